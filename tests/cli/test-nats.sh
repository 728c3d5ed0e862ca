#!/bin/bash
# The tool and a private nats-server of the system, on a free port of the loopback. Takes the build directory. Where there is no
# nats-server, all is left out.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../support/nats.sh"
need_server cli-nats
suite cli-nats "${1:?usage: test-nats.sh BUILD}"

start_server plain
server_job=$job

a_request_is_answered_by_a_listener() {
        start ferry listen nats:shout --exec 'tr a-z A-Z' --quiet
        local first=$job
        start ferry listen nats:shout --exec 'tr a-z A-Z' --quiet
        run ferry call --wait 20 nats:shout x hello
        ended 'a call' 0 'HELLO'
        says_exactly 'a call' ''
        run ferry call --json --value nats:shout x '{"a":[1,"b",null]}'
        ended 'a value' 0 $'{"kind":"response","type":"x","id":"1","body":"{\\"A\\":[1,\\"B\\",NULL]}"}\n'
        head -c 500000 /dev/zero | tr '\0' a > much
        tr a A < much > expected
        run ferry call nats:shout x - < much
        ended 'a large body' 0 @expected
        # One listener is enough.
        kill -TERM "$first"
        await "$first"
        is 'a listener that is asked to end' "$status" 0
        run ferry call nats:shout x again
        ended 'a call to the other listener' 0 'AGAIN'
        interrupt TERM
        is 'the other listener' "$status" 0
}

a_request_without_a_listener_is_not_executed() {
        run ferry call --wait 0 nats:vacant x hello
        ended 'no listener' 3 ''
        says_exactly 'no listener' $'ferry: no responders: no process listens at \'nats:vacant\', so the request was not executed\n'
        run ferry call --wait 0.05 nats:vacant x hello
        ended 'no listener after a wait' 3 ''
        run ferry notify nats:vacant x hello
        ended 'a notification to no listener' 0 ''
}

a_notification_comes_to_a_listener() {
        start ferry listen 'nats:news.>' --json --count 2
        local listener=$job
        run ferry call --wait 20 nats:news.now x hello
        ended 'a request that is not answered' 1 ''
        says 'a request that is not answered' 'this listener only listens'
        run ferry notify nats:news.today x body
        ended 'a notification' 0 ''
        await "$listener"
        is 'the listener' "$status" 0
        is 'what it prints' "$(grep notification out)" '{"kind":"notification","type":"x","body":"body"}'
}

a_request_in_hand_is_answered_when_the_listener_ends() {
        start ferry listen nats:slow --exec 'touch begun; until [ -e go ]; do sleep 0.01; done; cat' --quiet
        local listener=$job
        start ferry call --wait 20 nats:slow x hello
        local caller=$job
        soon [ -e begun ]
        kill -TERM "$listener"
        : > go
        await "$caller"
        ended 'a request in hand' 0 'hello'
        await "$listener"
        is 'the listener' "$status" 0
}

what_a_server_does_not_take_is_not_executed() {
        head -c 2000000 /dev/zero | tr '\0' a > larger
        run ferry call nats:shout x - < larger
        ended 'a request over max_payload' 4 ''
        says 'a request over max_payload' 'more than 1048576 bytes, the limit of the server'
        local url
        for url in http://127.0.0.1 nats:// nats://-host nats://a..b nats://127.1 'nats://a;b' nats://127.0.0.1:x 'nats://a b@127.0.0.1' nats://127.0.0.1,; do
                run env NATS_URL="$url" ferry call nats:shout x
                ended "the URL '$url'" 4 ''
                says "the URL '$url'" 'nats_url: ' 'write '
        done
        run env NATS_URL=nats://us:secret@127.0.0.1,http://us:secret@some-host ferry call nats:shout x
        says 'a URL of another scheme' "nats_url: '...@some-host' is not the URL of a server"
        check 'a secret' eval '! grep -q secret err'
        run env NATS_URL="${NATS_URL#nats://}" ferry notify --wait 0 nats:shout x
        ended 'a URL without a scheme' 0 ''
        run env NATS_URL=nats://127.0.0.1:1,nats://127.0.0.2:1 ferry call --wait 0 nats:shout x
        ended 'no server' 3 ''
        says 'no server' 'cannot reach any NATS server' 'no process listens there'
        run env NATS_URL="nats://127.0.0.1:1,$NATS_URL,nats://127.0.0.2:1" ferry notify --wait 0 nats:shout x
        ended 'one server of three' 0 ''
}

addresses_and_options_are_checked() {
        local address
        for address in nats: nats:. nats:a. 'nats:a b' nats:a..b 'nats:>.a'; do
                run ferry call "$address" x
                ended "the address '$address'" 2 ''
        done
        run ferry call 'nats:a.*' x
        ended 'a subject with a wildcard' 4 ''
        says 'a subject with a wildcard' 'has wildcards'
        for address in 'call nats://me:secret@127.0.0.1/a x' 'run --on nats://me:secret@127.0.0.1'; do
                run ferry $address < /dev/null
                check "$address" [ "$status" -ge 2 ]
                says "$address" 'without the URL of a NATS server'
                check "$address shows no password" [ "$(grep -c secret err)" = 0 ]
        done
        run ferry call --dialect ferry nats:a x
        ended 'a dialect' 2 ''
        run ferry wait nats:a
        ended 'waiting' 2 ''
        run ferry bridge nats:a
        check 'a bridge' [ "$status" != 0 ]
        says 'a bridge' 'takes messages'
        run ferry call nats:a $'x\ny'
        ended 'a type of two lines' 4 ''
        run ferry watch nats:a
        ended 'watching' 2 ''
        says 'watching' "'ferry listen' prints"
        run ferry describe nats:a
        ended 'a description' 2 ''
        run ferry listen nats:a --publish
        ended 'publishing' 2 ''
}

# fake_getent SCRIPT: what looks up names from now on
fake_getent() {
        mkdir -p names
        printf '#!/bin/sh\n%s\n' "$1" > names/getent
        chmod +x names/getent
}

a_server_is_found_by_its_name() {
        local port=${NATS_URL##*:}
        export NATS_URL=nats://some-host:$port
        # The server listens at the second address only.
        fake_getent 'echo "127.0.0.3 STREAM $2"; echo "127.0.0.1 STREAM"'
        run env PATH="$folder/names:$PATH" ferry call --wait 0 nats:vacant x
        ended 'a name with two addresses' 3 ''
        says 'a name with two addresses' 'no responders'
        fake_getent 'exit 2'
        run env PATH="$folder/names:$PATH" ferry call --wait 0 nats:vacant x
        ended 'an unknown name' 3 ''
        says 'an unknown name' "the host 'some-host' is unknown"
        run env PATH="$folder/names:$PATH" NATS_URL="nats://some-host,nats://127.0.0.1:$port" ferry call --wait 0 nats:vacant x
        ended 'an unknown name, and another server' 3 ''
        says 'an unknown name, and another server' 'no responders'
        fake_getent 'kill -KILL $$'
        run env PATH="$folder/names:$PATH" ferry call --wait 0 nats:vacant x
        ended 'a getent that is killed' 3 ''
        says 'a getent that is killed' 'getent was killed by SIGKILL'
        # sh without its PATH, so that no getent is found.
        run env PATH=/nonexistent "$build/ferry" call --wait 0 nats:vacant x
        ended 'no getent' 4 ''
        says 'no getent' 'libc-bin'
        fake_getent 'exec sleep 60'
        run env PATH="$folder/names:$PATH" ferry call --wait 0 nats:vacant x
        ended 'a getent that hangs' 124 ''
        says 'a getent that hangs' 'looking up the host took too long'
        nothing_left 'a getent that hangs'
        export NATS_URL=nats://127.0.0.1:$port
}

a_user_and_what_is_denied() {
        cat > rights.conf <<'END'
authorization {
        users = [ { user: "me", password: "p@ss",
                    permissions: { publish: { deny: [ "secret" ] }, subscribe: { deny: [ "closed" ] } } } ]
}
END
        local plain=$NATS_URL
        start_server rights -c rights.conf
        local place=${NATS_URL#nats://} rights=$job
        run ferry call --wait 0 nats:shout x
        ended 'no user' 4 ''
        says 'no user' "ferry: the NATS server sent the error 'Authorization Violation': it takes no such login"
        export NATS_URL=nats://me:p%40ss@$place
        run ferry call --wait 0 nats:vacant x
        ended 'a user' 3 ''
        says 'a user' 'no responders'
        run ferry call nats:secret x
        ended 'a request that is denied' 4 ''
        says 'a request that is denied' 'Permissions Violation' 'was not passed on'
        run ferry notify nats:secret x
        ended 'a notification that is denied' 4 ''
        run ferry listen nats:closed
        ended 'a subscription that is denied' 3 ''
        says 'a subscription that is denied' 'Permissions Violation'
        kill -TERM "$rights"
        await "$rights"
        export NATS_URL=$plain
}

a_listener_outlives_its_server_and_a_call_does_not() {
        local place=${NATS_URL##*:}
        start ferry listen nats:stays --exec 'touch held; until [ -e let-go ]; do sleep 0.01; done; cat' --quiet
        local listener=$job
        start ferry call --wait 20 nats:stays x
        local caller=$job
        soon [ -e held ]
        kill -KILL "$server_job"
        await "$caller"
        ended 'a call' 3 ''
        says 'a call' 'ferry: outcome unknown: the connection to the NATS server is lost'
        await "$server_job"
        : > let-go
        start "$server" -a 127.0.0.1 -p "$place"
        server_job=$job
        run ferry call --wait 20 nats:stays x again
        ended 'a call by the next server' 0 'again'
        kill -TERM "$listener"
        await "$listener"
        is 'the listener' "$status" 0
        kill -TERM "$server_job"
        await "$server_job"
}

a_request_is_answered_by_a_listener
a_request_without_a_listener_is_not_executed
a_notification_comes_to_a_listener
a_request_in_hand_is_answered_when_the_listener_ends
what_a_server_does_not_take_is_not_executed
addresses_and_options_are_checked
a_server_is_found_by_its_name
a_user_and_what_is_denied
a_listener_outlives_its_server_and_a_call_does_not
finish
