#!/bin/bash
# Build and run the tests: with gcc, with clang and its sanitizers for memory and undefined behaviour, and those with
# threads with the one for threads. Ends with "N passed, N failed", which counts single tests over all of it.
#
#   check.sh [--long]
#
# --long: the full numbers (FERRY_LONG), then all of it 50 times while the machine has four other things to do, and
# what can be run under MemorySanitizer and valgrind.
set -u
cd "$(dirname "$0")/.." || exit 1

is_long=
if [ "${1:-}" = --long ]; then
        is_long=1
        export FERRY_LONG=1
fi
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1
export MSAN_OPTIONS=halt_on_error=1
# check's own time limit, for each test.
export CK_DEFAULT_TIMEOUT=60
export CK_TIMEOUT_MULTIPLIER=${is_long:+10}

passed=0
failed=0

# Each test program ends with a line that counts: NAME: N passed, N failed
count() { # LOG STATUS
        local counts before=$failed
        counts=$(sed -n 's/^[a-z-]*: \([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$1" |
                 awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }')
        passed=$((passed + ${counts% *}))
        failed=$((failed + ${counts#* }))
        # A program that died before it could count, or ran out of time.
        [ "$2" = 0 ] || [ $failed -gt "$before" ] || failed=$((failed + 1))
}

build() { # NAME COMPILER MESON-OPTIONS [TARGET…]
        local folder=build-check/$1 compiler=$2 options=$3
        shift 3
        echo "== ${folder#*/}"
        mkdir -p build-check
        # shellcheck disable=SC2086 # one word for each option
        if [ ! -e "$folder/build.ninja" ] && ! CC=$compiler meson setup "$folder" -Dwerror=true $options >"$folder.log" 2>&1; then
                cat "$folder.log"
        elif ninja -C "$folder" --quiet "$@"; then
                return 0
        fi
        failed=$((failed + 1))
        return 1
}

# Begin to run the tests of a build; wait for their end, and count them.
declare -A running
start() { # NAME MESON-TEST-OPTION…
        local name=$1
        shift
        rm -f "build-check/$name"/meson-logs/testlog*.txt
        # Twice as many as there are processors, since many of them wait.
        meson test -C "build-check/$name" --no-rebuild --print-errorlogs --num-processes $((2 * $(nproc))) "$@" \
                >"build-check/$name.out" 2>&1 &
        running[$name]=$!
}

finish() { # NAME
        local folder=build-check/$1 status
        wait "${running[$1]}"
        status=$?
        echo "== the tests of $1"
        cat "$folder.out"
        cat "$folder"/meson-logs/testlog*.txt >"$folder/testlog"
        count "$folder/testlog" $status
}

run() { # NAME MESON-TEST-OPTION…
        start "$@"
        finish "$1"
}

# While the tests of one wait, the next is built.
build gcc gcc '-Dc_args=-g1' && start gcc
build clang-threads clang '-Db_sanitize=thread -Db_lundef=false -Doptimization=0' tests/test-threads tests/child &&
        start clang-threads threads
build clang-sanitizers clang '-Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 -Dc_args=-gline-tables-only' && start clang-sanitizers
for name in gcc clang-threads clang-sanitizers; do
        [ -z "${running[$name]:-}" ] || finish "$name"
done

# What is found only by chance, or costs hours by the standards of a change.
go_on() {
        local checked='map buffer template codec references number tree vectors frame loop session own names service run fork
                       conformance-peers conformance-broken conformance-waiting conformance-limits'
        echo "== static, with clang-tidy"
        tools/static.sh --long . build-check/gcc | tee build-check/static.log
        count build-check/static.log "${PIPESTATUS[0]}"

        build clang-memory clang '-Db_sanitize=memory -Db_lundef=false' && run clang-memory --timeout-multiplier 10

        echo "== valgrind"
        # shellcheck disable=SC2086 # one word for each program
        run gcc --timeout-multiplier 20 --wrap='valgrind -q --error-exitcode=9 --leak-check=full
                --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect' $checked

        echo "== 50 times, at load 4"
        unset FERRY_LONG
        local busy=() i
        for i in 1 2 3 4; do
                while :; do :; done &
                busy+=($!)
        done
        trap 'kill "${busy[@]}"' EXIT
        run gcc --timeout-multiplier 10 --repeat 50 --no-suite static
        kill "${busy[@]}"
        trap - EXIT
}
[ -z "$is_long" ] || go_on

echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
