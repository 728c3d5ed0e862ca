#!/bin/bash
# Tasks that a stream of JetStream keeps, at a private nats-server of the system. Takes the build directory. Where there is no
# nats-server, all is left out.
server=$(PATH=$PATH:/usr/sbin command -v nats-server) || {
        echo 'SKIPPED cli-nats-queue: nats-server is not installed'
        echo 'cli-nats-queue: 0 passed, 0 failed, 1 skipped'
        exit 0
}
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../support/nats.sh"
suite cli-nats-queue "${1:?usage: test-nats-queue.sh BUILD}"

start_server durable --jetstream --store_dir "$folder/store"
server_job=$job

# How many messages of a stream stand at a subject of it, and how many the consumer has still to deliver or to acknowledge.
stored() {
        ferry call --value "nats:\$JS.API.STREAM.INFO.$1" '' '{"subjects_filter":">"}' | grep -o "\"$1.$2\":[0-9]*" | cut -d: -f2
}
left() {
        ferry call "nats:\$JS.API.CONSUMER.INFO.$1.ferry" '' | grep -oE '"num_(ack_pending|pending)":[0-9]+' | cut -d: -f2 | paste -sd+ | bc
}
is_empty() {
        [ "$(left "$1")" = 0 ]
}

tasks_are_stored_and_done() {
        seq 1 30 > tasks
        run ferry run --on nats+queue:jobs --ordered --quiet < tasks
        ended 'storing' 0 @out
        is 'the last acknowledgement' "$(tail -n 1 out)" '{"stream":"jobs", "seq":30}'
        is 'what is stored' "$(stored jobs task)" 30
        start ferry run --tasks nats+queue:jobs --workers 3 --quiet -- ferry listen stdio: --exec 'sed s/^/did-/'
        local worker=$job
        soon is_empty jobs
        kill -TERM "$worker"
        await "$worker"
        is 'each is done' "$(sort -t- -k2 -n out)" "$(seq 1 30 | sed s/^/did-/)"
        is 'what is stored behind that' "$(stored jobs task)" ''
}

a_task_whose_worker_dies_is_delivered_again() {
        echo one > tasks
        run ferry run --on nats+queue:again --quiet < tasks
        ended 'storing' 0 $'{"stream":"again", "seq":1}\n'
        start ferry run --tasks nats+queue:again --workers 1 --quiet -- ferry listen stdio: --exec '[ -e tried ] || { touch tried; kill -9 $PPID; }; cat'
        local worker=$job
        soon [ -e tried ]
        soon is_empty again
        kill -TERM "$worker"
        await "$worker"
        is 'its answer' "$(cat out)" one
        says 'the first try' 'task 1: its worker was killed by SIGKILL'
}

a_task_that_fails_always_becomes_a_dead_letter() {
        echo bad > tasks
        run ferry run --on nats+queue:letters --quiet < tasks
        start ferry run --tasks nats+queue:letters --workers 1 --retry 1 --quiet -- ferry listen stdio: --exec 'echo x >> tries; exit 3'
        local worker=$job
        soon is_empty letters
        kill -TERM "$worker"
        await "$worker"
        is 'its tries' "$(grep -c x tries)" 2
        is 'its status' "$status" 143
        says 'the end of it' "it was delivered 2 times, and is stored at 'letters.dead' now"
        is 'the letters' "$(stored letters dead)" 1
        is 'the tasks' "$(stored letters task)" ''
}

a_long_task_is_not_given_to_others() {
        seq 1 1 > tasks
        run ferry run --on nats+queue:long --quiet < tasks
        # 150 ms without a sign, and the server delivers it again.
        ferry call --value 'nats:$JS.API.CONSUMER.DURABLE.CREATE.long.ferry' '' '{"stream_name":"long","config":{"durable_name":"ferry",
                "ack_policy":"explicit","ack_wait":150000000,"max_deliver":-1,"deliver_policy":"all","filter_subject":"long.task"}}' > made
        check 'the consumer' grep -q '"name":"ferry"' made
        start ferry run --tasks nats+queue:long --workers 2 --quiet -- ferry listen stdio: --exec 'echo x >> began; sleep 0.6; cat'
        local worker=$job
        soon is_empty_of_answers
        kill -TERM "$worker"
        await "$worker"
        is 'its begins' "$(grep -c x began)" 1
        is 'its answer' "$(cat out)" 1
}
is_empty_of_answers() {
        [ -s out ] && is_empty long
}

what_is_wrong_is_said() {
        echo 1 > tasks
        run ferry run --tasks nats+queue: -- cat < tasks
        ended 'no name' 2 ''
        run ferry run --tasks nats+queue:a.b -- cat < tasks
        ended 'a wrong name' 2 ''
        run ferry run --tasks elsewhere -- cat < tasks
        ended 'another address' 2 ''
        run ferry run --on nats+queue:a -- cat < tasks
        ended 'a command' 2 ''
        local durable=$NATS_URL
        start_server plain
        run ferry run --on nats+queue:a --quiet < tasks
        ended 'no JetStream' 3 ''
        says 'no JetStream' 'has no JetStream'
        kill -TERM "$job"
        await "$job"
        export NATS_URL=$durable
        run env NATS_URL=nats://127.0.0.1:1 ferry run --tasks nats+queue:a --quiet -- cat < tasks
        ended 'no server' 3 ''
}

tasks_are_stored_and_done
a_task_whose_worker_dies_is_delivered_again
a_task_that_fails_always_becomes_a_dead_letter
a_long_task_is_not_given_to_others
what_is_wrong_is_said
kill -TERM "$server_job"
await "$server_job"
finish
