#!/bin/bash
# The tool on three machines, which are network namespaces: a nats-server of the system on the first, listeners on the second, and
# callers on the third. Their links are slowed down, lose packets, and are cut. What callers report must be what listeners have done,
# and must be reported in time. Takes the build directory. Where there are no namespaces, as for a user, all is left out.
. "$(dirname "${BASH_SOURCE[0]}")/../support/nats.sh"
need_server cli-machines
PATH=$PATH:/usr/sbin:/sbin
names=ferry-test-$$
if ! ip netns add "$names-hub" 2> /dev/null || ! ip -n "$names-hub" link add hub up type bridge 2> /dev/null; then
        ip netns del "$names-hub" 2> /dev/null
        echo 'SKIPPED cli-machines: network namespaces cannot be made here (it takes root, and ip of iproute2)'
        echo 'cli-machines: 0 passed, 0 failed, 1 skipped'
        exit 0
fi
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite cli-machines "${1:?usage: test-machines.sh BUILD}"

remove_machines() {
        local name

        [[ $BASHPID -eq $$ ]] || return
        for name in hub one two three; do
                ip netns del "$names"-$name 2> /dev/null
        done
}
trap 'clean_up; remove_machines' EXIT

# add_machine NAME ADDRESS
add_machine() {
        ip netns add "$names-$1" &&
                ip -n "$names"-hub link add "port-$1" up type veth peer name net0 netns "$names-$1" &&
                ip -n "$names"-hub link set "port-$1" master hub &&
                ip -n "$names-$1" link set lo up &&
                ip -n "$names-$1" link set net0 up &&
                ip -n "$names-$1" address add "$2/24" dev net0
}

# on NAME COMMAND…: as words that start and run can begin with
on() {
        words=(ip netns exec "$names-$1" "${@:2}")
}

start_on() {
        on "$@"
        start "${words[@]}"
}

run_on() {
        on "$@"
        run "${words[@]}"
}

# The link of a machine takes no packet, or takes them again. Neither side is told.
cut_link() { ip -n "$names"-hub link set "port-$1" nomaster; }
mend_link() { ip -n "$names"-hub link set "port-$1" master hub; }

# Both directions of a link: what is sent waits, and some of it is lost. Without netem the queue is short, and what does not fit
# into it is lost.
worsen() {
        local where=(ip netns exec "$names-$1" tc qdisc add dev net0 root)
        local back=(ip netns exec "$names-hub" tc qdisc add dev "port-$1" root)

        if "${where[@]}" netem delay 10ms 5ms loss 5% 2> /dev/null && "${back[@]}" netem delay 10ms 5ms loss 5% 2> /dev/null; then
                shaping='netem'
        else
                "${where[@]}" tbf rate 1mbit burst 3000 limit 4500 && "${back[@]}" tbf rate 1mbit burst 3000 limit 4500
                shaping='tbf'
        fi
}

improve() {
        ip netns exec "$names-$1" tc qdisc del dev net0 root
        ip netns exec "$names-hub" tc qdisc del dev "port-$1" root
}

# Packets that the queues of a machine and of its port have dropped, so far.
count_lost() {
        { ip netns exec "$names-$1" tc -s qdisc show dev net0 root; ip netns exec "$names-hub" tc -s qdisc show dev "port-$1" root; } |
                awk '/dropped/ { sub(/.*dropped /, ""); sum += $1 } END { print sum + 0 }'
}

# Work: notes the number in the journal, waits while there is a file "hold", and answers with it.
cat > work.sh <<'END'
read -r number rest
echo "$number" >> journal
while [ -e hold ]; do sleep 0.01; done
echo "done $number"
END
: > journal

# call NUMBER OPTION…: a request in the background, with a body of @padding bytes
padding=
call() {
        start_on three ferry call --timeout "$deadline_s" --wait "$wait_s" "${@:2}" nats:work x "$1 $padding"
        calls[$1]=$job
}

declare -A calls reported

begin_calls() {
        calls=()
}

# Their ends, in order; each of them by its deadline, with time for a busy machine. What it reports must be true at the end, and is
# counted in $done, $unknown and $not_executed.
end_calls() {
        local number began now

        now_ms
        began=$now
        done=0 unknown=0 not_executed=0
        for number in "${!calls[@]}"; do
                await "${calls[$number]}"
                if [[ $status == 0 ]]; then
                        done=$((done + 1)) reported[$number]='done'
                        is "the answer to $number" "$(< out)" "done $number"
                elif grep -qE 'not executed|was not sent|cannot reach' err; then
                        not_executed=$((not_executed + 1)) reported[$number]='not executed'
                else
                        unknown=$((unknown + 1)) reported[$number]=unknown
                        check "the status of $number, which is unknown, is $status" is_unknown "$status"
                        check "$number ends without a sentence" [ -s err ]
                fi
        done
        now_ms
        took=$((now - began))
        within 'the calls' 0 $((1000 * (deadline_s + wait_s + enough_s)))
}

is_unknown() { [[ $1 == 124 || $1 == 3 ]]; }

# By both accounts.
compare_accounts() {
        local number count

        for number in "${!reported[@]}"; do
                count=$(grep -cx "$number" journal)
                case ${reported[$number]} in
                done) is "how often $number ran, which was answered" "$count" 1 ;;
                'not executed') is "how often $number ran, which was not executed" "$count" 0 ;;
                *) check "$number is unknown, and ran $count times" [ "$count" -le 1 ] ;;
                esac
        done
}

if ! add_machine one 10.99.0.1 || ! add_machine two 10.99.0.2 || ! add_machine three 10.99.0.3; then
        fail 'the machines'
        finish
fi
# A client that does not answer is given up after some seconds, which lost packets do not take.
cat > server.conf <<'END'
listen: "10.99.0.1:4222"
ping_interval: "5s"
ping_max: 2
END
start_on one "$server" -c server.conf
server_job=$job server_err=$job_err
is_ready() { grep -q 'Server is ready' "$server_err"; }
check 'the server starts' soon is_ready
export NATS_URL=nats://10.99.0.1:4222
deadline_s=5 wait_s=0

start_listener() {
        start_on two ferry listen nats:work --exec 'sh work.sh' --quiet
        listener=$job
        deadline_s=20 wait_s=20
        begin_calls
        call "first-$listener"
        end_calls
        is "the first request to a listener" "$done" 1
}

requests_cross_machines() {
        local i

        start_listener
        deadline_s=20 wait_s=0
        begin_calls
        for ((i = 0; i < 8; i++)); do
                call "plain-$i"
        done
        end_calls
        is 'requests that are answered' "$done" 8
}

a_link_that_loses_packets_loses_no_request() {
        local i

        worsen two
        worsen three
        deadline_s=30 wait_s=20
        padding=$(head -c 12000 /dev/zero | tr '\0' p)
        begin_calls
        for ((i = 0; i < 12; i++)); do
                call "lossy-$i"
        done
        end_calls
        padding=
        check "no packet was lost ($shaping)" [ "$(($(count_lost two) + $(count_lost three)))" -gt 0 ]
        is 'requests that are answered' "$done" 12
        improve two
        improve three
}

is_begun() { grep -qx "$1" journal; }

a_request_whose_worker_cannot_be_reached_is_unknown_by_its_deadline() {
        : > hold
        deadline_s=2 wait_s=0
        begin_calls
        call held-two
        soon is_begun held-two
        cut_link two
        end_calls
        is 'a request in hand' "$unknown" 1
        mend_link two
        rm hold
}

a_request_whose_caller_is_cut_off_is_unknown_by_its_deadline() {
        : > hold
        deadline_s=2 wait_s=0
        begin_calls
        call held-three
        soon is_begun held-three
        cut_link three
        end_calls
        is 'a request in hand' "$unknown" 1
        begin_calls
        deadline_s=1 wait_s=1
        call never
        end_calls
        is 'a request without a server' "$not_executed$unknown" 10
        mend_link three
        rm hold
}

a_server_that_is_cut_off_is_found_again() {
        deadline_s=2 wait_s=0
        : > hold
        begin_calls
        call held-one
        soon is_begun held-one
        cut_link one
        end_calls
        is 'a request in hand' "$unknown" 1
        rm hold
        mend_link one
}

# Tasks for a pool on the second machine, given away on the third: ferry run with its journal of each task, and the listener with its
# own. A worker takes some time for each.
cat > task.sh <<'END'
read -r number rest
echo "$number" >> worked
sleep 0.02
echo "done $number"
END
tasks=120 workers=4 timeout_s=2

start_pool() {
        : > worked
        start_on two ferry listen nats:pool --workers $workers --exec 'sh task.sh' --quiet
        pool=$job
        soon lives pool
}

# $runner, with the journal $log
start_run() {
        log=log-$runs
        seq 1 $tasks > tasks
        start_on three ferry run --on nats:pool --workers $workers --timeout $timeout_s --wait 10 --joblog "$log" --quiet < tasks
        runner=$job runner_err=$job_err
}

lives() {
        run_on three ferry call --wait 0 "nats:\$SRV.PING.$1" ''
        [[ $status == 0 ]]
}

has_ended_tasks() { [[ -e $log && $(wc -l < "$log") -gt $1 ]]; }
reports_loss() { grep -q 'outcome unknown' "$runner_err"; }

# By the log each task has ended once, and by the journal of the workers that is true of it. $1 of them at least are done, and $2 at
# least unknown, each with a reason.
end_run() {
        local lost

        await "$runner"
        check "the run ends with $status" [ "$status" = $(($2 > 0)) -o "$status" = 0 ]
        lost=$(grep -c '^ferry: task [0-9]*: outcome unknown: ..' err)
        is "tasks that have ended once" "$(tail -n +2 "$log" | cut -f 1 | sort -n)" "$(< tasks)"
        tail -n +2 "$log" | awk -F '\t' '$NF == "replied" { print $1 }' | sort > replied
        tail -n +2 "$log" | awk -F '\t' '$NF == "not executed" { print $1 }' | sort > never
        sort -u worked > begun
        is 'tasks that were run twice' "$(sort worked | uniq -d)" ''
        is 'tasks that were replied to and not run' "$(comm -23 replied begun)" ''
        is 'tasks that were not executed and run' "$(comm -12 never begun)" ''
        is 'unknown tasks with a reason' "$lost" "$(awk -F '\t' '$NF == "unknown"' "$log" | wc -l)"
        is 'answers' "$(grep -c '^done ' out)" "$(wc -l < replied)"
        check "$(wc -l < replied) tasks are done" [ "$(wc -l < replied)" -ge "$1" ]
        check "$lost tasks are unknown" [ "$lost" -ge "$2" ]
        kill -TERM "$pool"
        await "$pool"
}

tasks_cross_machines() {
        start_pool
        start_run
        end_run $tasks 0
}

# The first packet to the server, which is lost.
is_connecting() { on three grep -q ' 02 ' /proc/net/tcp && "${words[@]}"; }

tasks_that_come_before_the_connection_are_done() {
        start_pool
        cut_link three
        start_run
        check 'the run connects' soon is_connecting
        mend_link three
        end_run $tasks 0
}

# cut_run MACHINE: while tasks run
cut_run() {
        start_pool
        start_run
        soon has_ended_tasks 20
        cut_link "$1"
        soon reports_loss
        mend_link "$1"
        end_run $((tasks / 2)) 1
}

tasks_that_lose_packets_are_done() {
        worsen two
        worsen three
        timeout_s=20
        start_pool
        start_run
        end_run $tasks 0
        timeout_s=2
        improve two
        improve three
}

requests_cross_machines
a_link_that_loses_packets_loses_no_request
a_request_whose_worker_cannot_be_reached_is_unknown_by_its_deadline
kill "$listener"
await "$listener"
start_listener
a_request_whose_caller_is_cut_off_is_unknown_by_its_deadline
a_server_that_is_cut_off_is_found_again
kill "$listener"
await "$listener"
start_listener
kill "$listener"
await "$listener"
compare_accounts
tasks_cross_machines
tasks_that_come_before_the_connection_are_done
tasks_that_lose_packets_are_done
cut_run two
cut_run three
cut_run one
kill "$server_job"
await "$server_job"
finish
