#!/bin/bash
# PHP programs and ferry, each as the parent and as the child of the other. The PHP peers are our own. Takes the build
# directory.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite interop "${1:?usage: test-stream-ipc.sh BUILD}"

log='StreamIpc\Message\LogMessage'
here=$tests/interop
php=(php -n)

if ! command -v php > /dev/null; then
        skipped 'PHP is not installed, so there is no peer to talk to'
        finish
fi

# PHP as the parent.
parent() {
        local root line

        for root in StreamIpc PhpStreamIpc; do
                run "${php[@]}" -d memory_limit=1G "$here/stream-ipc-parent.php" "$1" $root "$build/examples/child"
                ended "a PHP parent, $1, $root" 0 -
                says_exactly "a PHP parent, $1, $root" ''
                check 'it has checked something' grep -q ^ok out
                while read -r line; do
                        case $line in
                        'ok '*) pass ;;
                        *) fail "a PHP parent, $1, $root: $line" ;;
                        esac
                done < out
                nothing_left "a PHP parent, $1, $root"
        done
}

parent_php() {
        parent php
}

parent_json() {
        parent json
}

# PHP as the child.
child() {
        local codec=$1 child="exec:php -n $here/stream-ipc-child.php $1 StreamIpc"
        local call=(ferry call "$child" --dialect stream-ipc --codec "$1")

        run "${call[@]}" "$log" hello
        ended "$codec: a request" 0 hello
        says_exactly "$codec: a request" ''
        run "${call[@]}" --json 'App\Messages\TaskMessage' --value '{"action":"run","parameters":{"list":[1,"ü",null,true,1.5],"empty":[]}}'
        ended "$codec: a message with parameters" 0 -
        check "$codec: a message with parameters" grep -qF \
                '"type":"App\\Messages\\TaskMessage","id":"' out
        check "$codec: its parameters" grep -qF '"body":{"action":"run","parameters":{"list":[1,"ü",null,true,1.5],"empty":[]}}' out

        run "${call[@]}" "$log" progress
        ended "$codec: progress" 0 'done'
        says_exactly "$codec: progress" "notification $log: 1 of 3"$'\n'"notification $log: 2 of 3"$'\n'"notification $log: 3 of 3"$'\n'

        run "${call[@]}" "$log" fail
        ended "$codec: an error" 1 ''
        says_exactly "$codec: an error" $'ferry: no, never\n'

        run "${call[@]}" --json "$log" junk
        ended "$codec: junk" 0 -
        check "$codec: the answer after the junk" grep -qF '"body":{"message":"after the junk","level":"info"}' out
        check "$codec: junk" grep -qxF '{"kind":"junk","body":"a stray line\n","source":"stdout"}' err
        check "$codec: between the junk" grep -qF '"body":{"message":"between","level":"info"}' err

        run "${call[@]}" "$log" warn
        ended "$codec: a PHP warning" 0 'warned: NULL'
        says "$codec: a PHP warning" 'junk on stderr:' 'Undefined array key "key"'

        run "${call[@]}" "$log" throw
        ended "$codec: a PHP program that dies of an exception" 3 ''
        says "$codec: a PHP program that dies of an exception" 'exited with status 255' 'thrown on purpose'

        run "${call[@]}" "$log" half
        ended "$codec: a child that dies within a frame" 3 ''
        says "$codec: a child that dies within a frame" 'in the middle of a message'

        run "${call[@]}" "$log" broken
        ended "$codec: a frame that does not decode" 0 'after the broken one'
        says "$codec: a frame that does not decode" 'error'

        run "${call[@]}" "$log" late
        ended "$codec: an answer without a request" 0 'to you'

        run "${call[@]}" "$log" bytewise
        ended "$codec: a frame in pieces" 0 whole
        says_exactly "$codec: a frame in pieces" "notification $log: bit by bit"$'\n'

        run "${call[@]}" "$log" ask
        ended "$codec: a child that asks" 0 -
        check "$codec: a child that asks gets an answer" grep -q 'ErrorMessage: the receiver has no handler' out

        head -c 1048576 < <(while :; do printf '\0abcdefg'; done) > expected
        run "${call[@]}" "$log" 'large 1048576'
        ended "$codec: 1 MiB comes" 0 @expected
        head -c 1048576 < <(while :; do printf 'some text, which may be UTF-8: ü ☃\n'; done) | iconv -c -f UTF-8 -t UTF-8 > in
        run "${call[@]}" "$log" - < in
        ended "$codec: 1 MiB goes and comes" 0 @in

        run "${call[@]}" --timeout 0.3 "$log" silent
        ended "$codec: a child that does not answer" 124 ''
        nothing_left "$codec: a child that does not answer"

        run ferry notify "$child" --dialect stream-ipc --codec "$codec" "$log" 'just so'
        ended "$codec: a notification" 0 ''

        # The real library does not notice the end of its input.
        local deaf="exec:php -n $here/stream-ipc-child.php $codec StreamIpc deaf"

        run ferry call "$deaf" --dialect stream-ipc --codec "$codec" "$log" hello
        ended "$codec: a child that never ends" 0 hello
        within "$codec: a child that never ends" 900 10000
        nothing_left "$codec: a child that never ends"
        run ferry call --timeout 0.3 "$deaf" --dialect stream-ipc --codec "$codec" "$log" silent
        ended "$codec: a child that never ends, nor answers" 124 ''
        nothing_left "$codec: a child that never ends, nor answers"

        # The old name.
        call=(ferry call "exec:php -n $here/stream-ipc-child.php $codec PhpStreamIpc" --dialect stream-ipc --codec "$codec"
                --namespace PhpStreamIpc)
        run "${call[@]}" 'PhpStreamIpc\Message\LogMessage' hello
        ended "$codec: under the old name" 0 hello
        run "${call[@]}" "$log" hello
        ended "$codec: the library's own class follows the name" 0 hello
        run "${call[@]}" 'PhpStreamIpc\Message\LogMessage' fail
        ended "$codec: an error under the old name" 1 ''
        says "$codec: an error under the old name" 'no, never'

        # A monitor tells the dialect and the codec by what comes.
        run ferry listen "exec:$here/stream-ipc-worker.php $codec" --reply fine
        ended "$codec: a monitor of a PHP worker" 0 $'one\ntwo\nand you?\n'
        says "$codec: a monitor of a PHP worker" 'junk on stdout: noise' 'junk on stderr: fine'
}

child_php() {
        child php
}

child_json() {
        child json
}

# C programs of ours as parents of PHP: they start ./child and ./background-worker.
examples() {
        printf '#!/bin/sh\nexec php -n %q json StreamIpc\n' "$here/stream-ipc-child.php" > child
        chmod +x child
        run "$build/examples/json-codec"
        ended 'examples/json-codec and a PHP child' 0 $'Child responded: Hello in JSON!\n'
        sed -i 's/ json / php /' child
        run "$build/examples/uuid-ids"
        ended 'examples/uuid-ids and a PHP child' 0 -
        check 'examples/uuid-ids and a PHP child' grep -qxE '[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12} answered: Hello from parent!' out

        ln -s "$here/stream-ipc-worker.php" background-worker
        run "$build/examples/monitor"
        ended 'examples/monitor and a PHP worker' 0 $'[info] one\n[success] two\n'

        # A peer that speaks another dialect is named.
        run ferry call --timeout 3 'exec:./background-worker; sleep 60' t hello
        ended 'a call in the wrong dialect' 124 ''
        says 'a call in the wrong dialect' 'speaks the dialect stream-ipc'
        nothing_left 'a call in the wrong dialect'
}

aside parent_php parent_json child_php child_json examples
finish
