#!/bin/bash
# The C client of NATS as the other side in both roles, with a private nats-server. Takes the build directory. Where one of both is
# missing, all is left out.
build=${1:?usage: test-nats-peer.sh BUILD}
server=$(PATH=$PATH:/usr/sbin command -v nats-server)
if [[ -z $server || ! -x $build/tests/nats-peer ]]; then
        echo 'SKIPPED nats-peer: nats-server or libnats-dev is not installed'
        echo 'nats-peer: 0 passed, 0 failed, 1 skipped'
        exit 0
fi
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite nats-peer "$build"
. "$tests/support/nats.sh"
peer=$build/tests/nats-peer

start_server plain
server_job=$job

has_line() { # FILE LINE
        grep -qsxF -- "$2" "$1"
}

ferry_asks_the_client() {
        start "$peer" reply works
        local client=$job printed=$job_out
        soon has_line "$printed" ready
        run ferry call --wait 20 nats:works greeting hello
        ended 'a request' 0 '[hello]'
        run ferry call --codec json --value nats:works greeting '{"a":[1,null]}'
        ended 'a value' 0 '[{"a":[1,null]}]'
        run ferry call nats:works greeting fail
        ended 'a request that fails' 1 ''
        says 'a request that fails' 'it cannot'
        check 'the client sees the type' has_line "$printed" 'greeting [hello]'
        kill -TERM "$client"
        await "$client"
        run ferry call --wait 0 nats:works greeting hello
        ended 'the client has gone' 3 ''
}

the_client_asks_ferry() {
        start ferry listen 'nats:shout.*' --exec 'case $FERRY_TYPE in *fail) echo no >&2; exit 3;; esac; tr a-z A-Z' --json --count 4
        local listener=$job printed=$job_out
        run ferry call --wait 20 nats:shout.first x first
        ended 'the listener is there' 0 FIRST
        run "$peer" request shout.loud hello
        ended 'a request of the client' 0 $'HELLO\n'
        run "$peer" request shout.fail hello
        check 'a request of the client that fails' grep -q '^error 500: ' out
        run "$peer" publish shout.note 'for all'
        ended 'a publication' 0 ''
        await "$listener"
        is 'the listener' "$status" 0
        check 'the subject is the type' grep -q '"kind":"notification","type":"shout.note","body":"for all"' out
        run "$peer" request vacant hello
        ended 'no responders' 1 ''
}

ferry_asks_the_client
the_client_asks_ferry
kill -TERM "$server_job"
await "$server_job"
finish
