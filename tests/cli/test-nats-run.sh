#!/bin/bash
# Tasks for workers at a private nats-server of the system. Takes the build directory. Where there is no nats-server, all is left out.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../support/nats.sh"
need_server cli-nats-run
suite cli-nats-run "${1:?usage: test-nats-run.sh BUILD}"

start_server plain -V -l "$folder/log"
server_job=$job

lives() {
        ferry call --wait 0 "nats:\$SRV.PING.$1" '' > /dev/null 2>&1
}

# start_pool SUBJECT WORKERS COMMAND: a pool, once an instance answers.
start_pool() {
        start ferry listen "nats:$1" --workers "$2" --exec "$3" --quiet
        soon lives "$1"
}

end_pool() {
        kill -TERM "$1"
        await "$1"
}

# give SUBJECT OPTION…: the tasks in tasks.
give() {
        run ferry run --on "nats:$1" --quiet "${@:2}" < tasks
}

tasks_come_to_pools_anywhere() {
        start_pool shout 2 'echo "$PPID" >> first; cat'
        local first=$job
        start_pool shout 2 'echo "$PPID" >> second; cat'
        local second=$job
        seq 1 100 > tasks
        give shout --ordered
        ended 'a run' 0 @tasks
        says_exactly 'a run' ''
        is 'the tasks of both' "$(cat first second | wc -l)" 100
        check 'both pools have worked' [ -s first -a -s second ]
        end_pool "$first"
        end_pool "$second"
}

a_full_pool_leaves_the_subject_and_says_that_it_lives() {
        start_pool full 1 'touch held; until [ -e go ]; do sleep 0.01; done; cat'
        local pool=$job
        start ferry call --wait 20 nats:full x hello
        local caller=$job
        soon [ -e held ]
        run ferry call --wait 0 nats:full x other
        ended 'a call to a full pool' 3 ''
        says 'a call to a full pool' 'no responders'
        run ferry call --wait 0 'nats:$SRV.PING.full' ''
        is 'whether it lives' "$status" 0
        # Its place is awaited, as an instance says that it lives.
        seq 1 3 > tasks
        start ferry run --on nats:full --wait 0 --quiet --ordered < tasks
        local runner=$job
        : > go
        await "$caller"
        ended 'the call that it has' 0 'hello'
        await "$runner"
        ended 'tasks that have waited' 0 @tasks
        rm go
        end_pool "$pool"
}

a_full_pool_at_a_wildcard_is_awaited() {
        start ferry listen 'nats:jobs.*' --workers 1 --exec 'touch wild; until [ -e go ]; do sleep 0.01; done; cat' --quiet
        local pool=$job
        start ferry call --wait 20 nats:jobs.one x hello
        local caller=$job
        soon [ -e wild ]
        seq 1 3 > tasks
        local before
        before=$(grep -c '<<- \[HPUB \$SRV\.INFO' log)
        start ferry run --on nats:jobs.two --wait 0.05 --quiet --ordered < tasks
        local runner=$job
        soon was_asked "$before"
        : > go
        await "$caller"
        await "$runner"
        ended 'tasks for a pool at a wildcard' 0 @tasks
        says_exactly 'tasks for a pool at a wildcard' ''
        rm go
        end_pool "$pool"
}

# was_asked BEFORE: all services, more often than that
was_asked() {
        [ "$(grep -c '<<- \[HPUB \$SRV\.INFO' log)" -gt "$1" ]
}

a_busy_pool_is_not_waited_for_longer_than_the_timeout() {
        start_pool busy 1 'touch taken; until [ -e go ]; do sleep 0.01; done; cat'
        local pool=$job
        start ferry call --wait 20 nats:busy x hello
        local caller=$job
        soon [ -e taken ]
        echo 1 > tasks
        give busy --wait 20 --timeout 1
        ended 'a run' 1 ''
        says 'a run' 'task 1: not executed: all workers at '"'nats:busy'"' are busy' 'for 1 s'
        run ferry call --wait 20 --timeout 1 nats:busy x other
        ended 'a call' 3 ''
        says_exactly 'a call' $'ferry: all workers at \'nats:busy\' are busy, and have refused requests for 1 s, so the request was not executed\n'
        : > go
        await "$caller"
        rm go
        end_pool "$pool"
}

what_a_killed_pool_had_is_unknown_and_the_rest_is_done() {
        start_pool killed 1 'touch dying; exec sleep 20'
        local dying=$job
        seq 1 20 > tasks
        start ferry run --on nats:killed --timeout 5 --quiet < tasks
        local runner=$job
        soon [ -e dying ]
        start_pool killed 2 cat
        local living=$job
        kill -KILL "$dying"
        await "$runner"
        is 'the run' "$status" 1
        is 'what was answered' "$(sort -n out | uniq | wc -l)" 19
        is 'what was not' "$(grep -c '^ferry: task [0-9]*: outcome unknown: ' err)" 1
        await "$dying"
        end_pool "$living"
}

tasks_without_workers_are_not_executed() {
        seq 1 2 > tasks
        give vacant --wait 0.05
        ended 'a run' 1 ''
        is 'its reasons' "$(grep -c "^ferry: task [12]: not executed: no responders: no worker listens at 'nats:vacant'" err)" 2
        # One that comes in time is found.
        start ferry run --on nats:late --wait 20 --quiet < tasks
        local runner=$job
        start_pool late 1 cat
        local pool=$job
        await "$runner"
        is 'a run that has waited' "$status $(sort out | tr '\n' ' ')" '0 1 2 '
        end_pool "$pool"
}

services_of_others_take_tasks() {
        start ferry listen nats:queues --echo --quiet
        local listener=$job
        seq 1 50 > tasks
        give queues --wait 20 --ordered --workers 7 --json
        ended 'a run' 0 @out
        is 'its answers' "$(tail -n 1 out | sed 's/"id":"[0-9]*"/"id":""/')" '{"task":50,"kind":"response","type":"task","id":"","body":"50"}'
        kill -TERM "$listener"
        await "$listener"
}

# How often the server has passed on the question of whether an instance lives.
count_questions() {
        grep -c '<<- \[HPUB \$SRV\.PING' log
}

has_more_questions_than() {
        [ "$(count_questions)" -gt "$1" ]
}

lines_wait_for_a_pool_that_is_full() {
        start_pool small 1 'touch small; until [ -e go ]; do sleep 0.01; done; cat'
        local pool=$job
        start ferry call --wait 20 nats:small x hello
        local caller=$job
        soon [ -e small ]
        local before
        before=$(count_questions)
        seq 1 200 > lines
        start ferry call --each --wait 0 nats:small x - < lines
        local each=$job
        soon has_more_questions_than "$before"
        : > go
        await "$caller"
        await "$each"
        ended 'lines for a full pool' 0 @lines
        says_exactly 'lines for a full pool' ''
        rm go
        end_pool "$pool"
}

a_call_waits_for_a_pool_that_is_full() {
        start_pool narrow 1 'touch narrow; until [ -e go ]; do sleep 0.01; done; cat'
        local pool=$job
        start ferry call --wait 20 nats:narrow x hello
        local caller=$job
        soon [ -e narrow ]
        local before
        before=$(count_questions)
        # It asks when it was refused, and longer ago than it would wait for a listener.
        start ferry call --wait 0.001 nats:narrow x other
        local other=$job
        soon has_more_questions_than "$before"
        : > go
        await "$caller"
        await "$other"
        ended 'a call to a full pool' 0 'other'
        says_exactly 'a call to a full pool' ''
        rm go
        end_pool "$pool"
}

lines_are_given_up_after_the_timeout() {
        start_pool held 1 'touch holds; until [ -e go ]; do sleep 0.01; done; cat'
        local pool=$job
        start ferry call --wait 20 nats:held x hello
        local caller=$job
        soon [ -e holds ]
        seq 1 100 > lines
        run ferry call --each --in-flight 7 --wait 20 --timeout 0.3 nats:held x - < lines
        ended 'lines for a pool that stays full' 3 ''
        says 'lines for a pool that stays full' 'lines 1 to 7: not executed: all workers at '"'nats:held'"' are busy' \
             "no line after line 7 was sent: no process at 'nats:held' takes it"
        : > go
        await "$caller"
        rm go
        run ferry call --each --wait 0.05 nats:vacant x - < lines
        ended 'lines without a listener' 3 ''
        says 'lines without a listener' "not executed: no responders: no worker listens at 'nats:vacant'"
        end_pool "$pool"
}

a_line_whose_listener_dies_costs_no_other() {
        start_pool mortal 1 'touch doomed; exec sleep 20'
        local doomed=$job
        seq 1 20 > lines
        start ferry call --each --timeout 5 nats:mortal x - < lines
        local each=$job
        soon [ -e doomed ]
        start_pool mortal 2 cat
        local living=$job
        kill -KILL "$doomed"
        await "$each"
        is 'the lines' "$status" 1
        is 'what was answered' "$(sort -n out | uniq | wc -l)" 19
        is 'what was not' "$(grep -c '^ferry: line [0-9]*: outcome unknown: ' err)" 1
        await "$doomed"
        end_pool "$living"
}

without_a_server_the_run_gives_up() {
        echo 1 > tasks
        run env NATS_URL=nats://127.0.0.1:1 ferry run --on nats:x --wait 0 --quiet < tasks
        ended 'no server' 3 ''
        says 'no server' 'no process listens there'
}

arguments_are_checked() {
        echo 1 > tasks
        give x -- cat
        ended 'a command' 2 ''
        give 'a..b'
        ended 'a wrong subject' 2 ''
        give 'a.*'
        ended 'a wildcard' 4 ''
        says 'a wildcard' 'has wildcards'
        give x --max-tasks 3
        ended 'max-tasks' 2 ''
        give x --dialect ferry
        ended 'a dialect' 2 ''
        run ferry run --wait 1 cat < tasks
        ended 'a wait' 2 ''
        run ferry run < tasks
        ended 'no command' 2 ''
}

tasks_come_to_pools_anywhere
a_full_pool_leaves_the_subject_and_says_that_it_lives
a_full_pool_at_a_wildcard_is_awaited
a_busy_pool_is_not_waited_for_longer_than_the_timeout
what_a_killed_pool_had_is_unknown_and_the_rest_is_done
tasks_without_workers_are_not_executed
services_of_others_take_tasks
lines_wait_for_a_pool_that_is_full
a_call_waits_for_a_pool_that_is_full
lines_are_given_up_after_the_timeout
a_line_whose_listener_dies_costs_no_other
without_a_server_the_run_gives_up
arguments_are_checked
end_pool "$server_job"
finish
