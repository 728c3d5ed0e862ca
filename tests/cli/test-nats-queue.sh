#!/bin/bash
# Tasks that a stream of JetStream keeps, at a private nats-server of the system. Takes the build directory. Where there is no
# nats-server, all is left out.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../support/nats.sh"
need_server cli-nats-queue
suite cli-nats-queue "${1:?usage: test-nats-queue.sh BUILD}"

# api SUBJECT [QUESTION]: the answer of JetStream.
api() {
        ferry call --value "nats:\$JS.API.$1" '' "${2:-{\}}"
}
# How many messages of a stream stand at a subject of it.
stored() {
        api "STREAM.INFO.$1" '{"subjects_filter":">"}' | grep -o "\"$1.$2\":[0-9]*" | cut -d: -f2
}
holds() { # STREAM NUMBER
        [ "$(stored "$1" task)" = "$2" ]
}
# Whether the consumer has nothing to deliver, and nothing that is not acknowledged.
is_empty() {
        [ "$(api "CONSUMER.INFO.$1.ferry" | grep -oE '"num_(ack_pending|pending)":[1-9]|"name"')" = '"name"' ]
}
is_asked() {
        api "CONSUMER.INFO.$1.ferry" | grep -q '"num_waiting":[1-9]'
}
# make_stream NAME MEMBER…: with other settings than those of ferry run.
make_stream() {
        api "STREAM.CREATE.$1" "{\"name\":\"$1\",$2}" > made
        check "the stream $1" grep -q '"created"' made
}
# make_consumer NAME MEMBERS: the same.
make_consumer() {
        api "CONSUMER.DURABLE.CREATE.$1.ferry" "{\"stream_name\":\"$1\",\"config\":{\"durable_name\":\"ferry\",$2}}" > made
        check "the consumer of $1" grep -q '"created"' made
}
# Silent tasks are delivered again after 200 ms, instead of 30 s.
hasty='"ack_policy":"explicit","ack_wait":200000000,"max_deliver":-1,"max_ack_pending":-1,"filter_subject":'

put() { # STREAM, tasks in the file tasks
        run ferry run --on "nats+queue:$1" --quiet < tasks
        ended "tasks for $1" 0 -
}
# take STREAM COMMAND [OPTION…]: a run that ends when there are no more tasks.
take() {
        run ferry run --tasks "nats+queue:$1" --wait 0 --quiet "${@:3}" -- ferry listen stdio: --exec "$2"
}
start_taking() {
        start ferry run --tasks "nats+queue:$1" --quiet "${@:3}" -- ferry listen stdio: --exec "$2"
}
stop() {
        kill -TERM "$1"
        await "$1"
}
has_lines() { # FILE NUMBER
        [ -e "$1" ] && [ "$(wc -l < "$1")" -ge "$2" ]
}

tasks_are_stored_and_done() {
        seq 1 30 > tasks
        run ferry run --on nats+queue:jobs --ordered --quiet < tasks
        ended 'storing' 0 @out
        is 'the last confirmation' "$(tail -n 1 out)" '{"stream":"jobs", "seq":30}'
        is 'what is stored' "$(stored jobs task)" 30
        take jobs 'sed s/^/did-/' --workers 3
        is 'its status' "$status" 0
        is 'each is done' "$(sort -t- -k2 -n out)" "$(seq 1 30 | sed s/^/did-/)"
        is 'what is stored behind that' "$(stored jobs task)" ''
        take jobs cat
        ended 'a run without tasks' 0 ''
        says_exactly 'a run without tasks' ''
}

a_run_without_an_end_waits_for_tasks() {
        start_taking jobs cat --workers 1
        local worker=$job output=$job_out
        soon is_asked jobs
        echo late > tasks
        put jobs
        check 'a late task' soon [ -s "$output" ]
        stop "$worker"
        is 'its answer' "$(cat out)" late
        is 'its status' "$status" 143
}

any_bytes_are_tasks() {
        head -c 500000 /dev/zero | tr '\0' x > large
        { echo; printf '\xff\xfe\0\x01\n'; cat large; echo; } > tasks
        put bytes
        take bytes cat --workers 1 --ordered
        ended 'any bytes' 0 @tasks
        start ferry run --on nats+queue:bytes --quiet < <(
                echo small
                soon holds bytes 1
                cat large large large)
        await "$job"
        ended 'a task over max_payload' 1 $'{"stream":"bytes", "seq":4}\n'
        says 'a task over max_payload' 'task 2: not executed:'
}

# What a server delivers again so late that the run has ended is the next one's.
are_buried() { # STREAM NUMBER
        [ "$(stored "$1" dead)" = "$2" ] && return
        take "$1" 'exit 3' --workers 1 --retry 1
        return 1
}

tasks_in_json_are_acknowledged_as_others_are() {
        printf '%s\n' '{"a":[1,2]}' '"text"' > tasks
        run ferry run --value --quiet --on nats+queue:json < tasks
        ended 'tasks in JSON' 0 -
        take json cat --workers 1 --ordered
        check 'their end' soon is_empty json
        is 'what is left' "$(stored json task)" ''
        run ferry run --value --quiet --on nats+queue:json < tasks
        take json 'exit 3' --workers 1 --retry 1
        ended 'tasks in JSON that fail' 1 ''
        check 'the letters' soon are_buried json 2
}

a_task_whose_worker_dies_is_delivered_again() {
        echo one > tasks
        put again
        start_taking again '[ -e tried ] || { touch tried; kill -9 $PPID; }; cat' --workers 1
        local worker=$job output=$job_out
        check 'an answer' soon [ -s "$output" ]
        check 'its end' soon is_empty again
        stop "$worker"
        is 'its answer' "$(cat out)" one
        says 'the first try' 'task 1: its worker was killed by SIGKILL'
}

a_task_whose_run_is_killed_is_given_to_another() {
        echo one > tasks
        put killed
        make_consumer killed "$hasty\"killed.task\""
        start_taking killed 'touch held; exec sleep 60' --workers 1
        check 'a task in hand' soon [ -e held ]
        kill -KILL "$job"
        await "$job"
        start_taking killed cat --workers 1
        local worker=$job output=$job_out
        check 'an answer' soon [ -s "$output" ]
        check 'its end' soon is_empty killed
        stop "$worker"
        is 'its answer' "$(cat out)" one
}

a_run_that_is_stopped_finishes_what_it_has_or_gives_it_back() {
        seq 1 2 > tasks
        put stopped
        start_taking stopped 'touch begun; until [ -e go ]; do sleep 0.01; done; cat' --workers 1
        local first=$job
        check 'a task in hand' soon [ -e begun ]
        kill -TERM "$first"
        touch go
        await "$first"
        is 'what is done' "$(cat out)" 1
        is 'what is left' "$(stored stopped task)" 1
        rm begun go
        start_taking stopped 'touch begun; until [ -e go ]; do sleep 0.01; done; cat' --workers 1
        first=$job
        check 'another task in hand' soon [ -e begun ]
        kill -TERM "$first"
        let_signal_pass
        stop "$first"
        is 'what a run that ends in a hurry has done' "$(cat out)" ''
        # Not as late as one that nothing is known of, 30 s.
        touch go
        start_taking stopped cat --workers 1
        local second=$job output=$job_out
        check 'what was given back' soon [ -s "$output" ]
        stop "$second"
        is 'its answer' "$(cat out)" 2
}

a_task_that_fails_always_becomes_a_dead_letter() {
        printf '%s\n' good bad > tasks
        put letters
        start_taking letters 'read -r task; echo "$task" >> tries; [ "$task" = good ] || exit 3; echo "$task"' --workers 1 --retry 2
        local worker=$job errors=$job_err
        check 'a letter' soon grep -q 'is stored at' "$errors"
        check 'its end' soon is_empty letters
        stop "$worker"
        is 'its tries' "$(grep -c bad tries)" 3
        is 'the tries of another' "$(grep -c good tries)" 1
        says 'the end of it' "it was delivered 3 times, and is stored at 'letters.dead' now"
        is 'how often that is said' "$(grep -c 'is stored at' err)" 1
        is 'the letters' "$(stored letters dead)" 1
        is 'the tasks' "$(stored letters task)" ''
        is 'what it says' "$(api STREAM.MSG.GET.letters '{"last_by_subj":"letters.dead"}' | grep -o '"data":"[^"]*"')" "\"data\":\"$(printf bad | base64)\""
}

# put_msgpack STREAM BYTES: a task of the type t, which is published by hand.
put_msgpack() {
        local headers=$'NATS/1.0\r\nFerry-Type: t\r\nFerry-Codec: msgpack\r\n\r\n' line

        printf "$2" > body
        exec 5<> "/dev/tcp/127.0.0.1/${NATS_URL##*:}"
        printf 'CONNECT {"headers":true,"verbose":false}\r\nHPUB %s.task %d %d\r\n%s' "$1" ${#headers} \
                $((${#headers} + $(wc -c < body))) "$headers" >&5
        cat body - >&5 <<< $'\r\nPING\r'
        while read -r line <&5 && [ "$line" != $'PONG\r' ]; do :; done
        exec 5>&-
}
# letter STREAM FIELD: of its last dead letter.
letter() {
        api "STREAM.MSG.GET.$1" "{\"last_by_subj\":\"$1.dead\"}" | grep -o "\"$2\":\"[^\"]*" | cut -d'"' -f4 | base64 -d
}

# Its value is JSON, if that can be.
the_dead_letter_of_a_task_in_msgpack_has_its_value() {
        take packed cat
        put_msgpack packed '\x81\xa1a\x93\x01\xc3\xa1b'
        take packed 'exit 3' --workers 1 --retry 1
        ended 'a task in msgpack' 1 ''
        is 'its letter' "$(letter packed data)" '{"a":[1,true,"b"]}'
        is 'the headers of that' "$(letter packed hdrs | tr -d '\r' | grep -E 'Type|Codec')" $'Ferry-Type: t\nFerry-Codec: json'
        put_msgpack packed '\x81\xa1a\xa1\xff'
        take packed 'exit 3' --workers 1 --retry 1
        ended 'bytes in msgpack' 1 ''
        letter packed data > data
        check 'the letter of bytes' cmp -s data body
        is 'its headers' "$(letter packed hdrs | tr -d '\r' | grep -E 'Type|Codec')" $'Ferry-Type: t\nFerry-Codec: msgpack'
        is 'the letters' "$(stored packed dead)" 2
        check 'the end of the tasks' soon is_empty packed
}

a_run_with_a_dead_letter_fails_and_one_with_a_second_try_does_not() {
        echo one > tasks
        put ends
        take ends '[ -e once ] || { touch once; exit 3; }; cat' --workers 1
        is 'the status of a run with a second try' "$status $(cat out)" '0 one'
        put ends
        take ends 'exit 3' --workers 1 --retry 1
        ended 'a run with a dead letter' 1 ''
}

a_dead_letter_that_cannot_be_stored_stays_a_task() {
        make_stream half '"subjects":["half.task"],"retention":"workqueue"'
        echo bad > tasks
        put half
        start_taking half 'exit 3' --workers 1 --retry 1
        local worker=$job errors=$job_err
        check 'two tries' soon grep -q "cannot store it at 'half.dead', so it is delivered again: no responders" "$errors"
        stop "$worker"
        is 'the tasks' "$(stored half task)" 1
        make_stream last '"subjects":["last.task"],"retention":"workqueue"'
        put last
        make_consumer last '"ack_policy":"explicit","max_deliver":1,"filter_subject":"last.task"'
        take last 'exit 3' --workers 1
        ended 'a consumer that delivers once' 1 ''
        says 'a consumer that delivers once' 'it stays in the stream, but its consumer has a max_deliver of 1, and delivers it no more'
        is 'its tasks' "$(stored last task)" 1
}

a_long_task_is_not_given_to_others() {
        echo 1 > tasks
        put long
        make_consumer long "$hasty\"long.task\""
        start_taking long 'echo x >> began; until [ -e go ]; do sleep 0.01; done; cat' --workers 2
        local worker=$job output=$job_out
        check 'its begin' soon [ -s began ]
        sleep 0.6
        touch go
        check 'an answer' soon [ -s "$output" ]
        check 'its end' soon is_empty long
        stop "$worker"
        is 'its begins' "$(grep -c x began)" 1
        is 'its answer' "$(cat out)" 1
}

a_run_whose_reader_has_gone_gives_its_tasks_back() {
        # More than a pipe holds: what its reader has left there was printed.
        seq 1 100 | sed "s/$/ $(printf %04000d 0)/" > tasks
        put reader
        # What the server sends while the run ends is not given back: it is delivered again, after 2 s instead of 30.
        make_consumer reader '"ack_policy":"explicit","ack_wait":2000000000,"max_deliver":-1,"max_ack_pending":-1,"filter_subject":"reader.task"'
        start bash -c 'ferry run --tasks nats+queue:reader --workers 3 --quiet -- ferry listen stdio: --echo | head -n 1'
        await "$job"
        ended 'a run whose reader has gone' 0 @out
        says_exactly 'a run whose reader has gone' ''
        cp out both
        start_taking reader cat --workers 1
        check 'their end' soon is_empty reader
        stop "$job"
        is 'what the next one has done' "$(cat both out | cut -d ' ' -f 1 | sort -nu | tail -n 1)" 100
        is 'what is left' "$(stored reader task)" ''
}

a_run_that_is_halted_gives_its_tasks_back() {
        seq 1 2 > tasks
        put halted
        take halted 'exit 3' --workers 1 --halt now,fail=1
        ended 'a run that is halted' 1 ''
        is 'what is left' "$(stored halted task)" 2
}

runs_share_a_stream() {
        seq 1 2 > tasks
        put shared
        # Each task waits for the other one, which another run must have.
        local command='echo x >> here; until [ "$(wc -l < here)" -ge 2 ]; do sleep 0.01; done; cat'
        start_taking shared "$command" --workers 1
        local first=$job first_output=$job_out
        start_taking shared "$command" --workers 1
        local second=$job second_output=$job_out
        check 'a task of the first' soon [ -s "$first_output" ]
        check 'a task of the second' soon [ -s "$second_output" ]
        stop "$first"
        cat out > both
        stop "$second"
        is 'both' "$(sort both out)" "$(seq 1 2)"
}

a_server_that_was_killed_is_connected_to_again() {
        mkdir -p kept
        start_server first --jetstream --store_dir "$folder/kept"
        local first=$job port=${NATS_URL##*:}
        seq 1 3 > tasks
        put kept
        start_taking kept 'echo x >> began-kept; until [ -e go-on ]; do sleep 0.01; done; cat' --workers 2
        local worker=$job output=$job_out errors=$job_err
        check 'two tasks in hand' soon has_lines began-kept 2
        kill -KILL "$first"
        await "$first"
        check 'a loss' soon grep -q 'the connection to the NATS server is lost' "$errors"
        touch go-on
        check 'answers without a server' soon has_lines "$output" 2
        start "$server" -a 127.0.0.1 -p "$port" --jetstream --store_dir "$folder/kept"
        local second=$job
        check 'the third task' soon has_lines "$output" 3
        check 'their end' soon is_empty kept
        stop "$worker"
        is 'each once' "$(sort out)" "$(seq 1 3)"
        is 'their begins' "$(wc -l < began-kept)" 3
        stop "$second"
        export NATS_URL=$durable
}

a_consumer_that_is_deleted_is_reported_and_may_come_back() {
        echo 1 > tasks
        put gone
        take gone cat --workers 1
        start_taking gone cat --workers 1
        local worker=$job output=$job_out errors=$job_err
        check 'a request for tasks' soon is_asked gone
        api CONSUMER.DELETE.gone.ferry > made
        check 'what is said' soon grep -q "the stream 'gone' gives no tasks now: .*; trying again" "$errors"
        take gone cat --workers 1
        is 'a run that makes it anew' "$status" 0
        put gone
        check 'a task of the new one' soon [ -s "$output" ]
        stop "$worker"
}

a_task_that_cannot_be_read_stays() {
        echo 1 > tasks
        put strange
        take strange cat --workers 1
        exec 7<> "/dev/tcp/127.0.0.1/${NATS_URL##*:}"
        printf 'CONNECT {"verbose":false,"headers":true}\r\nHPUB strange.task 31 35\r\nNATS/1.0\r\nFerry-Codec: json\r\n\r\n{"a:\r\nPING\r\n' >&7
        while read -r -t 20 line <&7 && [[ $line != PONG* ]]; do :; done
        exec 7>&-
        is 'what is stored' "$(stored strange task)" 1
        start_taking strange cat --workers 1
        local worker=$job errors=$job_err
        check 'what is said' soon grep -q "a task of the stream 'strange' cannot be taken or acknowledged, and stays there: a message whose body is wrong" "$errors"
        echo good > tasks
        put strange
        check 'the next one' soon [ -s "$job_out" -o -s "out.${run_of[$worker]}" ]
        stop "$worker"
        is 'what is stored then' "$(stored strange task)" 1
}

limits_of_a_stream_are_reported() {
        make_stream small '"subjects":["small.*"],"retention":"workqueue","max_msgs":1,"discard":"new"'
        seq 1 2 > tasks
        run ferry run --on nats+queue:small --ordered --quiet < tasks
        ended 'a full stream' 1 $'{"stream":"small", "seq":1}\n'
        says 'a full stream' 'task 2: it was not stored: maximum messages exceeded'
}

streams_and_consumers_of_others_are_checked() {
        echo 1 > tasks
        make_stream foreign '"subjects":["elsewhere.>"]'
        run ferry run --on nats+queue:foreign --quiet < tasks
        ended 'a stream without the subject' 4 ''
        says 'a stream without the subject' "the stream 'foreign' cannot keep tasks at 'foreign.task': it has not the subject of the tasks"
        make_stream silent '"subjects":["silent.>"],"no_ack":true'
        run ferry run --on nats+queue:silent --quiet < tasks
        ended 'a stream that confirms nothing' 4 ''
        make_stream unheard '"subjects":["unheard.>"],"retention":"interest"'
        run ferry run --on nats+queue:unheard --quiet < tasks
        ended 'a stream that drops what it has confirmed' 4 ''
        says 'a stream that drops what it has confirmed' 'its retention is interest'
        local index=0 settings
        for settings in '"ack_policy":"none","filter_subject":"c1.task"' '"ack_policy":"explicit","filter_subject":"c2.>"' \
                        '"ack_policy":"explicit","filter_subject":"c3.task","deliver_subject":"there"' \
                        '"ack_policy":"explicit","filter_subject":"c4.task","headers_only":true' \
                        '"ack_policy":"explicit","filter_subject":"c5.task","deliver_policy":"new"'; do
                index=$((index + 1))
                make_stream "c$index" "\"subjects\":[\"c$index.>\"]"
                make_consumer "c$index" "$settings"
                take "c$index" cat
                ended "$settings" 4 ''
                says "$settings" "the consumer 'ferry' of the stream 'c$index' is not for tasks at 'c$index.task': it"
        done
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
        start_server plain
        run ferry run --on nats+queue:a --quiet < tasks
        ended 'no JetStream' 3 ''
        says 'no JetStream' 'has no JetStream'
        stop "$job"
        export NATS_URL=$durable
        run env NATS_URL=nats://127.0.0.1:1 ferry run --tasks nats+queue:a --quiet -- cat < tasks
        ended 'no server' 3 ''
}

# Two runs, of which one is killed, and a server that is killed as well: a journal of what was begun, and what the runs print.
a_thousand_tasks_are_done_whatever_dies() {
        mkdir -p journal-store
        start_server third --jetstream --store_dir "$folder/journal-store"
        local third=$job port=${NATS_URL##*:}
        seq 1 1000 > tasks
        put all
        make_consumer all "$hasty\"all.task\""
        local command='read -r n; echo "$n" >> journal; printf %s "$n"'
        start_taking all "$command" --workers 2
        local first=$job first_output=$job_out
        start_taking all "$command" --workers 2
        local second=$job second_output=$job_out
        check 'tasks of the first' soon has_lines "$first_output" 50
        kill -KILL "$first"
        await "$first"
        cp out killed
        check 'tasks of the second' soon has_lines "$second_output" 100
        kill -KILL "$third"
        await "$third"
        start "$server" -a 127.0.0.1 -p "$port" --jetstream --store_dir "$folder/journal-store"
        third=$job
        check 'their end' soon is_empty all
        stop "$second"
        # What was killed in the middle of a line has not answered that.
        is 'the answers' "$(cat killed out | sort -nu | comm -12 --nocheck-order - <(sort -n tasks) | wc -l)" 1000
        is 'what was begun' "$(sort -nu journal | wc -l)" 1000
        is 'the letters' "$(stored all dead)" ''
        stop "$third"
        export NATS_URL=$durable
}

start_server durable --jetstream --store_dir "$folder/store"
server_job=$job durable=$NATS_URL
tasks_are_stored_and_done
a_run_without_an_end_waits_for_tasks
any_bytes_are_tasks
tasks_in_json_are_acknowledged_as_others_are
a_task_whose_worker_dies_is_delivered_again
a_task_whose_run_is_killed_is_given_to_another
a_run_that_is_stopped_finishes_what_it_has_or_gives_it_back
a_task_that_fails_always_becomes_a_dead_letter
the_dead_letter_of_a_task_in_msgpack_has_its_value
a_run_with_a_dead_letter_fails_and_one_with_a_second_try_does_not
a_dead_letter_that_cannot_be_stored_stays_a_task
a_long_task_is_not_given_to_others
a_run_whose_reader_has_gone_gives_its_tasks_back
a_run_that_is_halted_gives_its_tasks_back
runs_share_a_stream
a_server_that_was_killed_is_connected_to_again
a_consumer_that_is_deleted_is_reported_and_may_come_back
a_task_that_cannot_be_read_stays
limits_of_a_stream_are_reported
streams_and_consumers_of_others_are_checked
what_is_wrong_is_said
a_thousand_tasks_are_done_whatever_dies
stop "$server_job"
finish
