#!/bin/bash
# Services at a private nats-server of the system: what they say of themselves, and lists of them. Takes the build directory. Where
# there is no nats-server, all is left out.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../support/nats.sh"
need_server cli-nats-services
suite cli-nats-services "${1:?usage: test-nats-services.sh BUILD}"

start_server plain
server_job=$job

# What one service answers to a question, and which one that is.
ask() {
        run ferry call --wait 20 "nats:\$SRV.$1" ''
}

a_list_without_services_is_empty() {
        run ferry list nats: --timeout 0.02
        ended 'an empty list' 0 ''
        says_exactly 'an empty list' ''
}

a_listener_says_what_it_is() {
        start ferry listen nats:shout.loud --exec 'tr a-z A-Z' --quiet
        local listener=$job
        run ferry call --wait 20 nats:shout.loud x hello
        ended 'a call' 0 'HELLO'
        ask PING
        is 'the status of a ping' "$status" 0
        local pid='"metadata":{"host":"[^"]*","pid":"'$listener'"}'
        check 'a ping' grep -Eqx '\{"type":"io.nats.micro.v1.ping_response","name":"shout-loud","id":"[0-9a-f]{32}","version":"[0-9.]+",'"$pid"'\}' out
        local id
        id=$(grep -o '"id":"[^"]*' out | cut -d'"' -f4)
        ask INFO.shout-loud
        check 'information' grep -q '"io.nats.micro.v1.info_response".*"endpoints":\[{"name":"default","subject":"shout.loud","queue_group":"ferry","metadata":{}}\]' out
        run ferry call --timeout 20 nats:shout.loud x again
        ask "STATS.shout-loud.$id"
        check 'statistics' grep -Eq '"started":"20[0-9-]*T[0-9:]*Z","endpoints":\[\{"name":"default","subject":"shout.loud","queue_group":"ferry","num_requests":2,"num_errors":0,"last_error":"","processing_time":[1-9][0-9]*,"average_processing_time":[1-9][0-9]*\}\]' out
        local started
        started=$(grep -o '"started":"[^"]*' out | cut -d'"' -f4)
        check 'the time of the start' [ $(($(date +%s) - $(date -d "$started" +%s))) -le 60 ]
        run ferry call --wait 0 "nats:\$SRV.PING.other" ''
        ended 'another name' 3 ''
        run ferry call --wait 0 "nats:\$SRV.PING.shout-loud.0" ''
        ended 'another instance' 3 ''
        kill -TERM "$listener"
        await "$listener"
}

failures_are_counted() {
        start ferry listen nats:fails --exec 'exit 7' --quiet
        local listener=$job
        run ferry call --wait 20 nats:fails x hello
        ended 'a call that fails' 1 ''
        ask STATS.fails
        check 'statistics of failures' grep -q '"num_requests":1,"num_errors":1,"last_error":"the command exited with status 7"' out
        kill -TERM "$listener"
        await "$listener"
}

a_list_has_all_services() {
        start ferry listen 'nats:one.*' --echo --quiet
        local first=$job
        start ferry listen nats:two --echo --quiet
        local second=$job
        # This one is no service: what it says is counted.
        start ferry listen 'nats:$SRV.INFO' --reply '{"name":"three"}' --quiet
        local third=$job
        run ferry call --wait 20 nats:one.a x
        run ferry call --wait 20 nats:two x
        run ferry list nats: --timeout 0.3
        ended 'a list' 0 @out
        is 'the names in it' "$(cut -d' ' -f1 out)" $'name\n_SRV-INFO\none-_\ntwo'
        check 'the subjects in it' grep -q ' one\.\*$' out
        says 'a list' '1 answer to $SRV.INFO describes no service'
        run ferry list nats: --json --timeout 0.3
        is 'services in JSON' "$(grep -c '^{"name":"[^"]*","id":"[0-9a-f]*","version":"[^"]*","host":"[^"]*","description":"ferry","subjects":\["[^"]*"\],"metadata":{' out)" 3
        kill -TERM "$first" "$second" "$third"
        await "$first"
        await "$second"
        await "$third"
}

a_list_of_a_server_that_is_silent_ends() {
        kill -STOP "$server_job"
        run timeout 8 ferry list nats: --timeout 0.02
        ended 'a server that is stopped' 124 ''
        says 'a server that is stopped' 'ferry: cannot list the services: the NATS server has not taken the question within 1 s'
        kill -CONT "$server_job"
}

# A listener that speaks for the server's services, until end_stranger: its options are what it answers.
start_stranger() {
        start ferry listen 'nats:$SRV.INFO' "$@" --quiet
        soon lists _SRV-INFO
}

lists() {
        ferry list nats: --timeout 0.1 2> /dev/null | grep -q "^$1 "
}

an_instance_that_answers_twice_is_listed_once() {
        start ferry listen nats:two --echo --quiet
        local listener=$job
        run ferry call --wait 20 nats:two x
        start_stranger --exec "exec ferry call 'nats:\$SRV.INFO.two' ''"
        run ferry list nats: --timeout 0.5
        ended 'a list' 0 @out
        says_exactly 'a list' ''
        is 'the names in it' "$(cut -d' ' -f1 out)" $'name\n_SRV-INFO\ntwo'
        kill -TERM "$listener" "$job"
        await "$job"
        await "$listener"
}

what_a_stranger_says_is_escaped() {
        start_stranger --reply '{"type":"io.nats.micro.v1.info_response","name":"\u001b[31ma\nb","id":"\u0007","version":"\u009b","metadata":{"host":"\r"},"endpoints":[{"subject":"\t"}]}'
        run ferry list nats: --timeout 0.3
        ended 'a list' 0 @out
        is 'lines in it' "$(wc -l < out)" 3
        is 'control characters in it' "$(tr -d '\n' < out | LC_ALL=C grep -c $'[\x01-\x1f\x7f]\|\xc2[\x80-\x9f]')" 0
        check 'the name in it' grep -q '^^\[\[31ma' out
        interrupt TERM
}

a_list_without_a_server_fails() {
        run env NATS_URL=nats://127.0.0.1:1 ferry list nats: --wait 0
        ended 'no server' 3 ''
        says 'no server' 'cannot list the services: cannot reach the NATS server' 'no process listens there'
}

arguments_of_a_list_are_checked() {
        run ferry list nats:shout
        ended 'a subject' 2 ''
        run ferry list nats: --on host
        ended 'a host' 2 ''
        run ferry list --timeout 1
        ended 'a timeout' 2 ''
        run ferry list nats: nats:
        ended 'two addresses' 2 ''
}

a_list_without_services_is_empty
a_listener_says_what_it_is
failures_are_counted
a_list_has_all_services
a_list_of_a_server_that_is_silent_ends
an_instance_that_answers_twice_is_listed_once
what_a_stranger_says_is_escaped
a_list_without_a_server_fails
arguments_of_a_list_are_checked
kill -TERM "$server_job"
await "$server_job"
finish
