#!/bin/bash
# Makes copies of files of the library, each with one fault, and expects that the simulation finds it. The library as it is must pass.
# Ends with "mutants: N passed, N failed".
#
#   mutants.sh SOURCE BUILD
set -u
[ -f "${1-}/tests/support/silence.sh" ] && [ $# = 2 ] || { echo 'usage: mutants.sh SOURCE BUILD' >&2; exit 2; }
source=$(realpath "$1")
build=$(realpath "$2")
cd "$source" || exit 1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
. tests/support/silence.sh

wraps=()
for name in $(sed -nE 's/^REPLACE\([^,]*, ([a-z_]+),.*/\1/p' tests/simulation/*.c); do
        wraps+=("-Wl,--wrap=sys_$name")
done

# What happens in a run: as it comes, where there are few workers, and where requests wait for a connection until their deadlines. The
# last ones are of pools, the very last one has no worker most of the time, and its servers live.
runs=('--seed 1' '--seed 2 --workers 1 --hosts 1 --in-flight 2 --tasks 500 --worker-deaths 500'
        '--seed 3 --timeout 300 --server-deaths 3000 --rest 2000 --cuts 3000'
        '--seed 4 --room 200 --callers 2 --cuts 3000 --timeout 10000'
        '--pool 1 --seed 5 --tasks 5000' '--pool 1 --seed 6 --tasks 5000 --workers 8 --places 2 --leaving 1'
        '--pool 1 --seed 3 --workers 1 --hosts 1 --in-flight 2 --tasks 500 --worker-deaths 500 --busy 300 --wait 100'
        '--pool 1 --seed 7 --workers 2 --hosts 1 --callers 1 --in-flight 10 --tasks 300 --work-least 200 --work-most 1500 --busy 2 --wait 1'
        '--pool 1 --seed 8 --reconnect 0 --cuts 1000 --workers 10 --callers 2'
        '--pool 1 --seed 9 --workers 1 --hosts 1 --in-flight 8 --tasks 50 --work-least 500 --work-most 1000 --worker-deaths 2000 --server-deaths 0 --server-ends 0 --rest 60000')

# finds [FILE.c]: whether a run with that file instead of the library's breaks a rule, or crashes
finds() {
        local options

        ${CC:-gcc} -O1 -g -D_GNU_SOURCE -Isrc -Iinclude -Itests tests/simulation/simulate.c "$@" "$build/tests/libsimulation.a" \
                "$build/src/libferry.a" "${wraps[@]}" -lm -o "$folder/simulate" 2>"$folder/out" || { cat "$folder/out"; exit 1; }
        for options in "${runs[@]}"; do
                # shellcheck disable=SC2086 # one word for each option
                timeout 60 "$folder/simulate" $options >"$folder/out" 2>&1 || return 0
        done
        return 1
}

check 'the library as it is breaks a rule' "$(finds && cat "$folder/out")"

# mutant NAME FILE with a sed script on stdin, which must change the file.
mutant() {
        local copy=$folder/mutant.c

        sed -E -f /dev/stdin "$2" >"$copy"
        check "$1: the script changes nothing" "$(cmp -s "$2" "$copy" && echo "$2 has other lines now")"
        check "$1" "$(finds "$copy" || echo 'not found')"
}

mutant 'what was written counts as not executed at a deadline' src/session/call.c <<'E1'
/^enum ferry_outcome call_withdraw/,/^}/ s/return FERRY_OUTCOME_UNKNOWN/return FERRY_OUTCOME_NOT_EXECUTED/
E1
mutant 'what was written counts as not executed at the end of the session' src/session/call.c <<'E1'
/^void calls_end/,/^}/ s/outcome = FERRY_OUTCOME_UNKNOWN;/outcome = FERRY_OUTCOME_NOT_EXECUTED;/
E1
mutant 'what is withdrawn is sent nevertheless' src/session/call.c <<'E1'
/^enum ferry_outcome call_withdraw/,/^}/ { /outbox_withdraw\(/d }
E1
mutant 'a request that was refused counts as answered' src/wire/nats.c <<'E1'
s/\? WIRE_REFUSED : WIRE_ERROR;/? WIRE_ERROR : WIRE_ERROR;/
E1
mutant 'a request without responders counts as answered' src/wire/nats.c <<'E1'
/status == 503/,/}/ s/WIRE_REFUSED/WIRE_ERROR/
E1
mutant 'what a silent worker has accepted counts as not executed' src/session/accepted.c <<'E1'
s/call_end\(call, -ECONNRESET, FERRY_OUTCOME_UNKNOWN/call_end(call, -ECONNRESET, FERRY_OUTCOME_NOT_EXECUTED/
E1
mutant 'two requests have the same id' src/wire/nats.c <<'E1'
/^static size_t make_id/,/^}/ s/\+\+wire->counter/++wire->counter \& ~1ull/
E1

# Of pools.
mutant 'a pool does not begin when it is connected' src/process/remote.c <<'E1'
/^static void session_connected/,/^}/ { /loop_task_start\(/d }
E1
mutant 'a pool gives again what is unknown' src/session/call.c <<'E1'
/^void calls_end/,/^}/ s/outcome != FERRY_OUTCOME_NOT_EXECUTED \|\| !call_comes_back/!call_comes_back/
E1
mutant 'a pool loses a request that is refused' src/process/remote.c <<'E1'
/^static bool remote_returns/,/^}/ { /call_wait_again\(/d }
E1
mutant 'a pool counts a request in flight that was refused' src/process/remote.c <<'E1'
/^static bool remote_returns/,/^}/ { /remote->in_flight--/d }
E1
mutant 'a pool that is stopped waits for a request that was refused' src/process/remote.c <<'E1'
/^static bool remote_returns/,/^}/ { /manager->away--/d }
E1
mutant 'the pause of a pool does not end' src/process/remote.c <<'E1'
/^static bool remote_returns/,/^}/ { /loop_timer_start\(/d }
E1
mutant 'a pool gives up while a worker works for it' src/process/remote.c <<'E1'
/^static bool is_too_late/,/^}/ s/remote->in_flight == 0 && //
E1
mutant 'a pool counts the time of a lost task as refused' src/process/remote.c <<'E1'
/^static void remote_ends/,/^}/ s/remote->refused_since = 0/(void)0/
E1
mutant 'a pool waits for ever where no worker lives' src/process/remote.c <<'E1'
/^static bool is_too_late/,/^}/ s/return remote->in_flight == 0 &&/return false \&\&/
E1
mutant 'a pool keeps sessions that have ended' src/process/remote.c <<'E1'
/^int ferry_manager_connect/,/^}/ { /destroy_ended\(/d }
E1

echo "mutants: $passed passed, $failed failed"
[ $failed = 0 ]
