#!/bin/bash
# The tool as people see it: what it prints, to the byte, and how it ends. Takes the build directory.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite cli "${1:?usage: test-cli.sh BUILD}"

log='StreamIpc\Message\LogMessage'
echo_child='exec:ferry listen stdio: --echo'

# A frame with that payload, as printf takes it.
frame() {
        printf '\\363\\112\\235\\342\\000\\000\\%03o\\%03o%s' $((${#1} >> 8)) $((${#1} & 255)) "$1"
}

## What the project promises ---------------------------------------------------------------------------

promises() {
        run ferry call "$echo_child" greeting hello
        ended 'call to an echo' 0 hello
        says_exactly 'call to an echo' ''
        nothing_left 'call to an echo'

        run ferry call "$echo_child" --dialect stream-ipc --codec php "$log" hello
        ended 'call in stream-ipc' 0 hello
        says_exactly 'call in stream-ipc' ''

        start ferry call "$echo_child" --dialect stream-ipc --codec json --json "$log" \
                --value '{"message":"hi","level":"warn"}'
        await "$job"
        ended 'call with a value, in json' 0 \
                '{"kind":"response","type":"StreamIpc\\Message\\LogMessage","id":"'"$job"'.1","body":{"message":"hi","level":"warn"}}'$'\n'

        start ferry listen unix:x.sock --exec 'tr a-z A-Z'
        run ferry call --wait 20 unix:x.sock shout hello
        ended 'call to a socket, answered by a command' 0 HELLO
        kill -TERM "$job"
        await "$job"
        ended 'the listener' 0 $'hello\n'

        run ferry convert --from php --to json <<< 'a:1:{s:1:"k";i:1;}'
        ended 'convert, with a newline behind it' 0 '{"k":1}'
        printf 'a:1:{s:1:"k";i:1;}' > in
        run ferry convert --from php --to json < in
        ended 'convert' 0 '{"k":1}'

        run ferry call 'exec:echo noise; exec ferry listen stdio: --echo' t hello
        ended 'call with noise' 0 hello
        says_exactly 'call with noise' $'junk on stdout: noise\n'

        run ferry call exec:false t hello
        ended 'call to what fails' 3 ''
        says_exactly 'call to what fails' $'ferry: the child exited with status 1\n'
        within 'call to what fails' 0 10000

        local before
        before=$(cpu_ms)
        run ferry call --timeout 0.2 'exec:sleep 60' t hello
        ended 'call to a silent command' 124 ''
        says 'call to a silent command' 'no answer within 0.2 s'
        within 'call to a silent command' 200 10000
        check 'waiting burns no processor time' test $(($(cpu_ms) - before)) -lt 400
        nothing_left 'call to a silent command'

        head -c 12000000 /dev/urandom | base64 -w0 > in
        run ferry call "$echo_child" t - < in
        ended 'call with 16 MB' 0 @in

        start ferry call "$echo_child" t - < in
        await "$job"
        ended 'the same in the background' 0 @in
}

## Usage -----------------------------------------------------------------------------------------------

usage() {
        local command

        for command in 'ferry' 'ferry frobnicate' 'ferry --frobnicate' \
                'ferry call' 'ferry call unix:x' 'ferry call unix:x t b c' 'ferry listen' 'ferry listen unix:x y' \
                'ferry notify unix:x' 'ferry convert' 'ferry convert --from php' 'ferry convert --to php' \
                'ferry convert --from php --to perl' 'ferry convert --from php --to json more' \
                'ferry call --frobnicate unix:x t' 'ferry call -x unix:x t' 'ferry call -vx unix:x t' \
                'ferry call unix:x t --timeout' 'ferry call --json=yes unix:x t' \
                'ferry call --timeout soon unix:x t' 'ferry call --timeout -1 unix:x t' 'ferry call --timeout 1s unix:x t' \
                'ferry call --timeout nan unix:x t' 'ferry call --timeout= unix:x t' 'ferry call --wait never unix:x t' \
                'ferry call --dialect klingon unix:x t' 'ferry call --codec xml unix:x t' \
                'ferry call --echo unix:x t' 'ferry listen --timeout 1 unix:x' 'ferry convert --json --from php --to php' \
                'ferry listen --count 0 unix:x' 'ferry listen --count -1 unix:x' 'ferry listen --count many unix:x' \
                'ferry listen --count 99999999999999999999 unix:x' \
                'ferry listen --echo --reply x unix:x' 'ferry listen --exec a --reply x unix:x' \
                'ferry call no.where t' 'ferry call http://x t' 'ferry call unix: t' 'ferry call stdio:x t' \
                'ferry call :: t' 'ferry call exec: t' 'ferry call fd: t' 'ferry call fd:x t' 'ferry call fd:, t' 'ferry call fd:-1 t' \
                'ferry list x' 'ferry list --timeout 1' 'ferry wait' 'ferry wait a b' 'ferry wait --json a' 'ferry wait no.where' \
                'ferry wait stdio:' 'ferry wait exec:true' 'ferry wait --dialect klingon a' 'ferry wait --timeout soon a' \
                'ferry call file: t' 'ferry call file:, t' 'ferry call tcp: t' 'ferry call tcp:127.0.0.1 t' 'ferry call tcp:127.0.0.1:x t' \
                'ferry call tcp:127.0.0.1:65536 t' 'ferry call tcp:::1:80 t' 'ferry notify tcp:example.com:80 t' 'ferry listen tcp:80' \
                'ferry listen --value unix:x' 'ferry listen --value --echo unix:x' 'ferry listen --workers 2 --echo unix:x' \
                'ferry listen --public unix:x' 'ferry listen --public stdio:' 'ferry listen --quiet --json unix:x' \
                'ferry call --wait 1 exec:cat t' 'ferry notify --wait 1 fd:0 t' 'ferry call --wait none file:x t' \
                'ferry call --allow 1 exec:cat t' 'ferry call --allow 1 x t' 'ferry notify --allow 1 tcp:127.0.0.1:80 t' \
                'ferry notify --wait 0 stdio: t' 'ferry call --value unix:x t' 'ferry notify --value unix:x t' \
                'ferry call --namespace X --dialect ferry unix:x t' 'ferry listen --namespace X --dialect innmind x' \
                'ferry run --namespace X --dialect pcntl true' 'ferry wait --dialect ferry udg:x' \
                'ferry wait --dialect innmind,ferry a' 'ferry call --codec php --dialect pcntl unix:x t' \
                'ferry notify --codec json --dialect innmind x t' 'ferry listen --codec php --dialect pcntl unix:x' \
                'ferry listen --codec php --dialect pcntl,innmind unix:x' 'ferry run --codec php --dialect pcntl true' \
                'ferry listen --workers 1025 --exec true unix:x' 'ferry --version x' 'ferry --help x' 'ferry help frobnicate' \
                'ferry help call x' \
                'ferry store shm:x get 1 --value' 'ferry store shm:x get 1 --size 10' 'ferry store shm:x list --mode 600' \
                'ferry store shm:x put 1 x --json' 'ferry store shm:x remove --json' 'ferry store shm:x --json lock -- true' \
                'ferry recv --strict udp:127.0.0.1:1' 'ferry send --strict tcp:127.0.0.1:1 x' \
                'ferry call --public tcp:127.0.0.1:80 t' 'ferry listen no.where' 'ferry notify no.where t' 'ferry call unix:'"$(printf %0200d 0)"' t'; do
                # shellcheck disable=SC2086
                run $command < /dev/null
                ended "usage: $command" 2 ''
                says "usage: $command" 'ferry: '
        done
        check 'nothing was created by wrong usage' test ! -e x

        run ferry call '' t
        ended 'an empty address' 2 ''
        # An unset variable of a script.
        for command in 'listen unix:x --exec=' 'listen unix:x --group=' 'call unix:x t --namespace=' 'run --joblog= true' \
                'recv udp:127.0.0.1:9 --interface=' 'call exec: t'; do
                # shellcheck disable=SC2086
                run ferry $command < /dev/null
                ended "empty: $command" 2 ''
        done
        run ferry run -- ''
        ended 'run of an empty command' 2 ''
        says_exactly 'run of an empty command' $'ferry: run needs a COMMAND: \'\' is empty\n'
        run ferry store shm:x lock -- ' '
        ended 'lock for an empty command' 2 ''
        says_exactly 'lock for an empty command' $'ferry: store lock needs a COMMAND: \' \' is empty\n'
        run ferry run --joblog '' -- true
        says_exactly 'a joblog without a name' $'ferry: --joblog needs a FILE: \'\' is empty\n'
        run ferry call 'exec: ' t
        ended 'a blank command line' 2 ''
        run ferry listen --workers 5000 --exec true unix:x
        says_exactly 'too many workers' $'ferry: --workers: 5000 is more than 1024\n'
        run ferry call --help
        mv out expected
        run ferry help call
        ended 'help of a command' 0 @expected
        run ferry call "unix:$(printf %0200d 0)" t
        says 'a path that is too long' 'too long'
        run ferry call -vx unix:x t
        says 'the letter that is wrong is named' "no option '-x'"
        run ferry call unix:x t --timeout
        says 'what needs an argument is named' '--timeout needs an argument'
        run ferry listen unix:x --echo --reply x
        says 'what excludes each other is named' 'exclude each other'

        for command in 'ferry --help' 'ferry -h' 'ferry help' 'ferry call --help' 'ferry listen -h' 'ferry notify --help' \
                'ferry convert --help'; do
                # shellcheck disable=SC2086
                run $command
                ended "$command" 0 -
                says_exactly "$command" ''
                check "$command tells something" grep -q 'ferry' out
        done
        run ferry --help
        for command in call listen notify convert; do
                check "--help tells of $command" grep -q "ferry $command" out
        done
        run ferry call --help
        for command in --dialect --codec --namespace --timeout --wait --json --value; do
                check "call --help tells of $command" grep -q -- "$command" out
        done
        run ferry --version
        check '--version' grep -qxE 'ferry [0-9]+\.[0-9]+\.[0-9]+' out
        ended '--version' 0 -
}

options_anywhere() {
        run ferry call --timeout 5 "$echo_child" --dialect ferry t --json hello --codec json
        ended 'options anywhere' 0 $'{"kind":"response","type":"t","id":"1","body":"hello"}\n'
        run ferry call "$echo_child" t --timeout=5 -- --json
        ended 'what is behind -- is no option' 0 --json
        run ferry call -- "$echo_child" t -5
        ended 'a body that looks like an option' 0 -5
        run ferry call --tim 5 "$echo_child" t hello
        ended 'an option cut short' 0 hello
}

## Bodies ----------------------------------------------------------------------------------------------

bodies() {
        local text line

        for text in '' ' ' 'two words' $'a\nb\n' $'\n' 'ümläut ☃' $'\xff\xfe' '{"a":1}' '%s%n%d' "'quoted'" '--'; do
                run ferry call "$echo_child" t -- "$text"
                ended "a text comes back as it is: $text" 0 "$text"
        done
        run env LC_ALL=C ferry call "$echo_child" t 'ümläut ☃'
        ended 'in the locale C' 0 'ümläut ☃'

        printf 'a\0b\0\n\r\n\0' > in
        run ferry call "$echo_child" t - < in
        ended 'stdin with NUL bytes' 0 @in
        run ferry call "$echo_child" --dialect stream-ipc "$log" - < in
        ended 'stdin with NUL bytes, in stream-ipc' 0 @in
        : > in
        run ferry call "$echo_child" t - < in
        ended 'an empty stdin' 0 ''
        run ferry call "$echo_child" --json t - < in
        ended 'an empty stdin is an empty string' 0 $'{"kind":"response","type":"t","id":"1","body":""}\n'
        run ferry call "$echo_child" t
        ended 'no body, in ferry' 0 $'null\n'
        run ferry call "$echo_child" --dialect stream-ipc --json 'App\Ping'
        check 'no body, in stream-ipc' grep -q '"body":{}' out
        run ferry call "$echo_child" --dialect stream-ipc --json 'App\Ping' x
        check 'a text for a class of the user, in stream-ipc' grep -q '"body":{"message":"x"}' out
        run ferry call "$echo_child" --dialect stream-ipc --json "$log" x
        check 'a text for a LogMessage has a level' grep -q '"body":{"message":"x","level":"info"}' out

        for line in null true -12 1.5 '{}' '{"a":[1,2,{"b":null}],"c":"ü☃"}' '[[],[[]],""]' 9223372036854775807; do
                run ferry call "$echo_child" t --value -- "$line"
                ended "a value comes back: $line" 0 "$line"$'\n'
        done
        run ferry call "$echo_child" t --value '"text"'
        ended 'a value that is a string is printed as text' 0 text
        printf ' {"a" :\n1}\n' > in
        run ferry call "$echo_child" t --value - < in
        ended 'a value from stdin' 0 $'{"a":1}\n'

        for line in '' '{' '{"a":}' 'nul' '1 2' "{'a':1}" $'"\xff"' '01'; do
                run ferry call "$echo_child" t --value "$line"
                ended "no JSON: $line" 4 ''
                says "no JSON: $line" 'ferry: BODY'
        done
        run ferry call "$echo_child" t --value "$(printf '[%.0s' {1..2000})"
        ended 'JSON that is too deep' 4 ''
        run ferry listen unix:x --reply '{' --value
        ended 'a --reply that is no JSON' 4 ''
        check 'and no socket is there' test ! -e x

        for line in ferry stream-ipc; do
                head -c 17000000 /dev/zero > in
                run ferry call "$echo_child" --dialect $line "$log" - < in
                ended "too large, in $line" 4 ''
                says "too large, in $line" 'ferry: '
                run ferry notify "$echo_child" --dialect $line "$log" - < in
                ended "notify: too large, in $line" 4 ''
                nothing_left "too large, in $line"
        done
        run ferry call "$echo_child" t - < /dev/zero
        ended 'a stdin without end' 4 ''

        for line in '--dialect ferry' '--dialect stream-ipc'; do
                # shellcheck disable=SC2086
                run ferry call "$echo_child" $line --codec json "$log" $'\xff'
                ended "not encodable: no UTF-8 in json, $line" 4 ''
                says 'not encodable' 'UTF-8'
        done
        run ferry call "$echo_child" --dialect stream-ipc "$log" --value 5
        ended 'stream-ipc: a number is no object' 4 ''
        run ferry call "$echo_child" --dialect stream-ipc '' hello
        ended 'stream-ipc: a class has a name' 4 ''
        run ferry call "$echo_child" $'\xff' hello
        ended 'ferry: a type is UTF-8' 4 ''
        nothing_left 'not encodable'

        for line in msgpack php json; do
                run ferry call "$echo_child" --codec $line t --value '{"a":[1,2.5,null,"x"]}'
                ended "the codec $line" 0 $'{"a":[1,2.5,null,"x"]}\n'
        done
}

## Answers ---------------------------------------------------------------------------------------------

answers() {
        run ferry call 'exec:ferry listen stdio:' t hello
        ended 'no answer' 1 ''
        says 'no answer' '--echo'

        run ferry call 'exec:ferry listen stdio: --reply fixed' t hello
        ended '--reply' 0 fixed
        run ferry call "exec:ferry listen stdio: --reply '{\"n\":[1]}' --value" --json t hello
        ended '--reply with a value' 0 $'{"kind":"response","type":"t","id":"1","body":{"n":[1]}}\n'
        run ferry call 'exec:ferry listen stdio: --reply fixed' --dialect stream-ipc --json 'App\Ask' hello
        check '--reply with a text in stream-ipc is a LogMessage' \
                grep -q '"type":"StreamIpc\\\\Message\\\\LogMessage".*"body":{"message":"fixed","level":"info"}' out
        run ferry call "exec:ferry listen stdio: --reply '{\"n\":1}' --value" --dialect stream-ipc --json 'App\Ask' hello
        check '--reply with a value in stream-ipc has the type of the request' \
                grep -q '"type":"App\\\\Ask".*"body":{"n":1}' out
        printf 'a\0b' > in
        start ferry listen unix:reply.sock --reply - --count 1 < in
        run ferry call --wait 20 unix:reply.sock t hello
        ended '--reply from stdin' 0 @in
        await "$job"
        ended '--reply from stdin, the listener' 0 $'hello\n'

        run ferry call 'exec:ferry listen stdio: --exec "tr a-z A-Z"' t hello
        ended '--exec' 0 HELLO
        run ferry call 'exec:ferry listen stdio: --exec "printf %s \"\$FERRY_TYPE\""' 'the type' hello
        ended '--exec knows the type' 0 'the type'
        run ferry call 'exec:ferry listen stdio: --exec cat' --dialect stream-ipc --json 'App\Ask' hello
        check '--exec in stream-ipc answers with a LogMessage' \
                grep -q '"type":"StreamIpc\\\\Message\\\\LogMessage".*"body":{"message":"hello","level":"info"}' out
        run ferry call 'exec:ferry listen stdio: --exec cat' t --value '{"a":[1]}'
        ended '--exec gets a value as JSON' 0 '{"a":[1]}'
        run ferry call 'exec:ferry listen stdio: --exec "exit 3"' t hello
        ended '--exec fails' 1 ''
        says_exactly '--exec fails' $'ferry: the command exited with status 3\n'
        run ferry call 'exec:ferry listen stdio: --exec "kill -9 \$\$"' t hello
        ended '--exec is killed' 1 ''
        says '--exec is killed' 'SIGKILL'
        run ferry call 'exec:ferry listen stdio: --exec "no-such-program-here"' t hello
        ended '--exec: not found' 1 ''
        says '--exec: not found' 'status 127'
        run ferry call 'exec:ferry listen stdio: --exec true' t hello
        ended '--exec answers nothing' 0 ''
        run ferry call --json 'exec:ferry listen stdio: --exec "exit 3"' t hello
        ended 'an error as JSON' 1 $'{"kind":"error","type":"t","id":"1","body":"the command exited with status 3"}\n'
        run ferry call --json --dialect stream-ipc 'exec:ferry listen stdio: --exec "exit 3"' "$log" hello
        ended 'an error as JSON, in stream-ipc' 1 -
        check 'an error as JSON, in stream-ipc' grep -q '^{"kind":"error",.*the command exited with status 3.*}$' out

        head -c 1048576 /dev/urandom > in
        run ferry call 'exec:ferry listen stdio: --exec cat' t - < in
        ended '--exec with 1 MiB both ways' 0 @in
        run ferry call 'exec:ferry listen stdio: --exec "wc -c | tr -d \" \""' t - < in
        ended '--exec with 1 MiB in' 0 $'1048576\n'
        run ferry call 'exec:ferry listen stdio: --exec true' t - < in
        ended '--exec that does not read' 0 ''
        run ferry call 'exec:ferry listen stdio: --exec "exec <&-; echo x"' t - < in
        ended '--exec that closes its stdin' 0 $'x\n'
        run ferry call --dialect stream-ipc 'exec:ferry listen stdio: --exec cat' "$log" - < in
        ended '--exec with 1 MiB both ways, in stream-ipc' 0 @in
        run ferry call 'exec:ferry listen stdio: --exec "head -c 17000000 /dev/zero"' t
        ended '--exec with an answer over the limit' 1 ''
        nothing_left '--exec'
}

how_many_are_marked() {
        [[ $(marked "${1%/}" | wc -l) -eq $2 ]]
}

# The caller waits no more: the command is ended, with all that it has started, also if it ignores signals.
cancelled() {
        local command listener of_listener

        # Time enough to begin it: a command that is killed while it starts another cannot end that.
        for command in 'sleep 60' 'sleep 60; true' 'trap "" TERM; sleep 60; sleep 60' 'sleep 60 & wait'; do
                run ferry call --timeout 1 "exec:ferry listen stdio: --exec '$command'" t
                ended "no answer in time from: $command" 124 ''
                nothing_left "no answer in time from: $command"
        done

        # One that has left the group of the command is not waited for.
        if command -v setsid > /dev/null; then
                mkfifo go
                run ferry call --timeout 0.2 "exec:ferry listen stdio: --exec 'setsid cat go'" t
                ended 'no answer in time from a session of its own' 124 ''
                # It may have been ended before it had one; so this must not wait for it.
                echo 1<> go
                nothing_left 'no answer in time from a session of its own'
        fi

        # Beside the listener there is its guard.
        start ferry listen unix:cancel.sock --exec 'sleep 60 & sleep 61; :'
        listener=$job of_listener=$FERRY_TEST_MARK
        check 'it listens' soon is_there cancel.sock
        run ferry call --timeout 1 unix:cancel.sock t hello
        ended 'a call that is given up' 124 ''
        check 'a call that is given up ends the command, and no more' soon how_many_are_marked "$of_listener" 2

        start ferry call unix:cancel.sock t hello
        check 'the command runs' soon how_many_are_marked "$of_listener" 5
        kill -KILL "$job"
        await "$job"
        check 'a client that dies ends the command, and no more' soon how_many_are_marked "$of_listener" 2

        start ferry call unix:cancel.sock t hello
        check 'the command runs again' soon how_many_are_marked "$of_listener" 5
        kill -INT "$job"
        await "$job"
        ended 'a call that is interrupted' 130 ''
        check 'a call that is interrupted ends the command, and no more' soon how_many_are_marked "$of_listener" 2

        kill -TERM "$listener"
        await "$listener"
        ended 'the listener of all these' 0 $'hello\nhello\nhello\n'
}

## Lines of JSON ---------------------------------------------------------------------------------------

json_lines() {
        run ferry call --json 'exec:echo noise; echo to stderr >&2; exec ferry listen stdio: --echo' t hello
        ended 'junk as JSON' 0 $'{"kind":"response","type":"t","id":"1","body":"hello"}\n'
        check 'junk of stdout as JSON' grep -qxF '{"kind":"junk","body":"noise\n","source":"stdout"}' err
        check 'junk of stderr as JSON' grep -qxF '{"kind":"junk","body":"to stderr","source":"stderr"}' err

        run ferry call --json 'exec:printf "\377\n"; exec ferry listen stdio: --echo' t hello
        says_exactly 'junk that is no text, as JSON' $'{"kind":"junk","body":{"__bytes":"/wo="},"source":"stdout"}\n'
        run ferry call --json "$echo_child" t $'\xff'
        ended 'a body that is no text, as JSON' 0 $'{"kind":"response","type":"t","id":"1","body":{"__bytes":"/w=="}}\n'
        run ferry call --json "$echo_child" --dialect stream-ipc --codec php "$log" $'\xff'
        check 'a property that is no text, as JSON' grep -qF '"body":{"message":{"__bytes":"/w=="},"level":"info"}' out

        # A child that reports before it answers.
        local reports='exec:ferry notify fd:,1 progress half; exec ferry listen stdio: --echo'

        run ferry call "$reports" t hello
        ended 'a notification meanwhile' 0 hello
        says_exactly 'a notification meanwhile' $'notification progress: half\n'
        run ferry call --json "$reports" t hello
        ended 'a notification meanwhile, as JSON' 0 $'{"kind":"response","type":"t","id":"1","body":"hello"}\n'
        says_exactly 'a notification meanwhile, as JSON' $'{"kind":"notification","type":"progress","body":"half"}\n'

        # A whole frame that does not decode.
        run ferry call --json --dialect stream-ipc "exec:printf '$(frame 'O:1x')'; exec ferry listen stdio: --echo" "$log" hello
        ended 'a frame that does not decode' 0 -
        says_exactly 'a frame that does not decode' \
                $'{"kind":"error","body":"a payload that is wrong at byte 3, for the codec php"}\n'
        run ferry call --json --dialect stream-ipc --codec php "exec:printf '$(frame 'O:1:"A":2:{s:1:"a";d:INF;s:1:"b";d:NAN;}')'; exec ferry listen stdio: --echo" "$log" hello
        says_exactly 'INF and NAN as JSON' $'{"kind":"notification","type":"A","body":{"a":"INF","b":"NAN"}}\n'

        start ferry listen --json unix:json.sock --echo --count 2
        run ferry notify --wait 20 unix:json.sock 'a type' --value '{"a":[1]}'
        ended 'notify' 0 ''
        run ferry call unix:json.sock t hello
        await "$job"
        ended 'listen --json' 0 \
                $'{"kind":"notification","type":"a type","body":{"a":[1]}}\n{"kind":"request","type":"t","id":"1","body":"hello"}\n'
}

## Listeners -------------------------------------------------------------------------------------------

is_there() {
        [[ -S $1 ]]
}

is_gone() {
        [[ ! -e $1 ]]
}

# Also where ssh is not installed.
another_machine_needs_ssh() {
        run env PATH=/nonexistent "$build/ferry" list --on localhost
        ended 'a list without ssh' 3 ''
        says 'a list without ssh' 'ssh cannot be started'
        run env PATH=/nonexistent "$build/ferry" call ssh:localhost:echo t x
        ended 'a call without ssh' 3 ''
        says 'a call without ssh' 'ssh cannot be started'
        run env PATH=/nonexistent "$build/ferry" run --on localhost --workers 1 -- true <<< x
        ended 'a run without ssh' 3 ''
        says 'a run without ssh' "ssh"
}

listeners() {
        local listener client i

        # How many.
        start ferry listen unix:count.sock --echo --count 3
        listener=$job
        for i in 1 2 3; do
                run ferry call --wait 20 unix:count.sock t "hello $i"
                ended "message $i of 3" 0 "hello $i"
        done
        await "$listener"
        ended '--count 3' 0 $'hello 1\nhello 2\nhello 3\n'
        check 'no socket is left' is_gone count.sock
        check 'no lock is left' is_gone count.sock.lock
        run ferry call --wait 0 unix:count.sock t hello
        ended 'no listener is left' 3 ''
        says 'no listener is left' "no process listens at 'count.sock'"

        # In use.
        start ferry listen unix:used.sock --echo
        listener=$job
        run ferry call --wait 20 unix:used.sock t hello
        run ferry listen unix:used.sock
        ended 'in use' 3 ''
        says_exactly 'in use' "ferry: 'used.sock' is in use by process $listener"$'\n'
        within 'in use' 0 10000
        run ferry call unix:used.sock t hello
        ended 'the first listener is still there' 0 hello

        # Left by a listener that was killed.
        kill -KILL "$listener"
        await "$listener"
        check 'a socket without a listener' is_there used.sock
        run ferry call --wait 0.1 unix:used.sock t hello
        ended 'a socket without a listener refuses' 3 ''
        start ferry listen unix:used.sock --echo
        listener=$job
        run ferry call --wait 20 unix:used.sock t again
        ended 'a socket without a listener is taken over' 0 again
        kill -TERM "$listener"
        await "$listener"
        ended 'ended by SIGTERM' 0 $'again\n'

        # By name.
        export FERRY_DIR=$PWD/names
        start ferry listen echo --echo
        listener=$job
        run ferry call --wait 20 echo ping hello
        ended 'a service is found by its name' 0 hello
        run ferry listen echo --echo
        ended 'a name is in use' 3 ''
        says_exactly 'a name is in use' "ferry: '$PWD/names/echo.sock' is in use by process $listener"$'\n'
        kill -KILL "$listener"
        await "$listener"
        run ferry call --wait 0.1 echo ping hello
        ended 'a killed service is gone' 3 ''
        start ferry listen echo --echo
        listener=$job
        run ferry call --wait 20 echo ping again
        ended 'a name is taken over' 0 again
        kill -TERM "$listener"
        await "$listener"
        check 'no socket is left' is_gone names/echo.sock
        chmod 755 names
        run ferry call echo ping hello
        ended 'a directory that is not safe' 4 ''
        says 'a directory that is not safe' 'not safe'
        unset FERRY_DIR

        echo precious > file
        run ferry listen unix:file
        ended 'there is a file' 3 ''
        is 'and it stays' "$(< file)" precious
        run ferry listen unix:no/such/folder/x.sock
        ended 'there is no such folder' 3 ''
        run ferry call --wait 0.1 unix:file t hello
        ended 'calling a file' 3 ''

        # A call waits until a process listens.
        start ferry call --wait 20 unix:later.sock t hello
        client=$job
        start ferry listen unix:later.sock --echo --count 1
        await "$client"
        ended 'a call that came before its listener' 0 hello
        await "$job"
        ended 'the listener that came later' 0 $'hello\n'

        # Twenty at once.
        local clients=() of_client=() good=0

        start ferry listen unix:many.sock --exec 'read -r line; echo "$line, too"' --count 20
        listener=$job
        for i in {1..20}; do
                start ferry call --wait 20 unix:many.sock t "client $i"
                clients+=("$job")
        done
        for i in {1..20}; do
                await "${clients[i - 1]}"
                [[ $status -eq 0 && $(< out) == "client $i, too" ]] && good=$((good + 1))
        done
        is 'clients that got their answer' $good 20
        await "$listener"
        ended 'the listener of twenty' 0 -
        is 'what it printed' "$(sort -V out)" "$(printf 'client %d\n' {1..20})"

        # The mode of the socket: no other user may connect.
        start ferry listen unix:mode.sock
        check 'it listens' soon is_there mode.sock
        is 'the mode of the socket' "$(stat -c %a mode.sock)" 600
        kill -TERM "$job"
        await "$job"
        ended 'at once' 0 ''

        # What a peer sends that is no frame ends that peer only.
        if command -v python3 > /dev/null; then
                start ferry listen unix:wild.sock --echo
                listener=$job
                run ferry call --wait 20 unix:wild.sock t before
                python3 -c '
import os, socket
for noise in (b"GET / HTTP/1.0\r\n\r\n", os.urandom(100000), b"\xf3\x4a\x9d\xe2\xff\xff\xff\xff" + b"x" * 64, b"\xf3\x4a", b""):
    peer = socket.socket(socket.AF_UNIX)
    peer.connect("wild.sock")
    try:
        peer.sendall(noise)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(65536): pass
    except OSError: pass
'
                run ferry call unix:wild.sock t after
                ended 'a listener survives noise' 0 after
                kill -TERM "$listener"
                await "$listener"
                ended 'a listener that has heard noise' 0 $'before\nafter\n'
        fi
}

# A session with one peer: it ends with that.
monitors() {
        run ferry listen 'exec:ferry notify fd:,1 a one; ferry notify fd:,1 b two'
        ended 'a monitor prints, until the child ends' 0 $'one\ntwo\n'
        run ferry listen 'exec:ferry notify fd:,1 a one; exit 3'
        ended 'a monitored child fails' 3 $'one\n'
        says 'a monitored child fails' 'the child exited with status 3'
        run ferry listen 'exec:kill -SEGV $$'
        ended 'a monitored child dies' 3 ''
        says 'a monitored child dies' 'SIGSEGV'
        run ferry listen 'exec:echo to stdout; echo to stderr >&2'
        ended 'junk of a monitored child' 0 ''
        says 'junk of a monitored child' 'junk on stdout: to stdout' 'junk on stderr: to stderr'
        run ferry listen 'exec:/no/such/program'
        ended 'no such program' 3 ''
        says 'no such program' 'status 127' '/no/such/program'
        run ferry listen "exec:printf '$(frame 'O:1:"A":0:{}')$(frame 'O:1:"B":0:{}' | head -c 40)'"
        ended 'a child that ends within a frame' 3 $'{"__class":"A"}\n'
        says 'a child that ends within a frame' 'in the middle of a message'

        # A child may ask.
        run ferry listen --reply 'the answer' 'exec:exec 3>&1; ferry call fd:0,3 question "what?" >&2'
        ended 'a child that asks' 0 $'what?\n'
        says 'a child that asks' 'junk on stderr: the answer'
}

## Signals ---------------------------------------------------------------------------------------------

drain_TERM() {
        drain TERM
}

drain_INT() {
        drain INT
}

drain() {
        local signal=$1 listener client of_listener

        mkfifo begun go
        start ferry listen unix:drain.sock --exec 'echo > begun; cat go; cat'
        listener=$job
        start ferry call --wait 20 unix:drain.sock t hello
        client=$job
        read -r < begun
        kill -"$signal" "$listener"
        check 'no new client may come' soon is_gone drain.sock
        run ferry call --wait 0 unix:drain.sock t hello
        ended 'a later client learns it' 3 ''
        echo the answer: > go
        await "$client"
        ended 'the request in hand is answered' 0 $'the answer:\nhello'
        await "$listener"
        ended 'the listener' 0 $'hello\n'
        says_exactly 'the listener' ''

        # The same with one session.
        mkfifo to from
        start ferry listen fd:3,4 --exec 'echo > begun; cat go; cat' 3<> to 4<> from
        listener=$job
        start ferry call fd:3,4 t hello 3<> from 4<> to
        client=$job
        read -r < begun
        kill -"$signal" "$listener"
        echo the answer: > go
        await "$client"
        ended 'the request in hand is answered by a session' 0 $'the answer:\nhello'
        await "$listener"
        ended 'the session' 0 $'hello\n'

        # The second one ends it.
        start ferry listen unix:drain.sock --exec 'echo > begun; cat go'
        listener=$job of_listener=$FERRY_TEST_MARK
        start ferry call --wait 20 unix:drain.sock t hello
        client=$job
        read -r < begun
        kill -"$signal" "$listener"
        check 'it has been heard' soon is_gone drain.sock
        let_signal_pass
        kill -"$signal" "$listener"
        await "$listener"
        ended 'twice' $((128 + $(kill -l "$signal"))) $'hello\n'
        await "$client"
        ended 'twice: the client' 3 ''
        FERRY_TEST_MARK=$of_listener
        nothing_left 'twice'
}

end_TERM() {
        end TERM
}

end_INT() {
        end INT
}

end() {
        local signal=$1

        start ferry listen unix:idle.sock
        check 'it listens' soon is_there idle.sock
        interrupt "$signal"
        ended 'an idle listener' 0 ''

        mkfifo begun
        start ferry listen 'exec:echo > begun; exec sleep 60'
        read -r < begun
        interrupt "$signal"
        ended 'a monitor' 0 ''
        nothing_left 'a monitor'

        # A call dies by the signal, and takes its child along, which has no say in it.
        start ferry call 'exec:trap "" TERM; echo > begun; sleep 60; sleep 60' t hello
        read -r < begun
        interrupt "$signal"
        ended 'a call' $((128 + $(kill -l "$signal"))) ''
        says_exactly 'a call' ''
        within 'a call' 0 10000
        nothing_left 'a call'

        start ferry notify --wait 20 unix:vacant-too.sock t hello
        check 'notify handles signals' soon handles_signals "$job"
        interrupt "$signal"
        ended 'notify' $((128 + $(kill -l "$signal"))) ''
}

# One that is stuck in a full pipe ends, too.
stuck() {
        mkfifo full
        exec 7<> full
        head -c 300000 /dev/zero | tr '\0' x > in
        mark
        ferry listen unix:stuck.sock > full 2> /dev/null 7>&- &
        job=$!
        run ferry notify --wait 20 unix:stuck.sock t - < in
        ended 'notify to a listener that is stuck' 0 ''
        kill -TERM "$job"
        check 'it takes no more' soon is_gone stuck.sock
        check 'a listener that is stuck in a full pipe ends' soon has_ended "$job"
        exec 7>&-
}

## Output and input that are not as usual --------------------------------------------------------------

notified_until_gone() {
        ! ferry notify --wait 0 "$1" t more 2> /dev/null
}

outputs() {
        local command

        # A reader that goes is the end, quietly.
        mark
        { ferry listen unix:epipe.sock 2> err; echo $? > its-status; } | head -1 > first &
        run ferry notify --wait 20 unix:epipe.sock t one
        check 'a listener whose reader has gone ends' soon notified_until_gone unix:epipe.sock
        check 'it ends in order' soon test -s its-status
        is 'a listener whose reader has gone' "$(< its-status)" 0
        says_exactly 'a listener whose reader has gone' ''
        is 'what was read of it' "$(< first)" one

        if [[ -e /dev/full ]]; then
                for command in 'ferry --help' 'ferry --version' 'ferry call --help' "ferry convert --from json --to php" \
                        'ferry call exec:ferry\ listen\ stdio:\ --echo t hello' 'ferry listen exec:ferry\ notify\ fd:,1\ t\ x'; do
                        eval "start $command < <(echo 1)" > /dev/null
                        await "$job"
                        mark
                        eval "$command < <(echo 1) > /dev/full 2> err"
                        is "into a full device: $command" $? 3
                        says "into a full device: $command" 'No space left'
                done
        fi

        # Descriptors that are closed.
        run ferry call "$echo_child" t hello <&-
        ended 'without stdin' 0 hello
        run ferry call "$echo_child" t - <&-
        ended 'reading a stdin that is closed' 4 ''
        mark
        ferry call "$echo_child" t hello 2> err >&-
        is 'without stdout' $? 3
        mark
        ferry call "$echo_child" t hello > out 2>&-
        status=$?
        ended 'without stderr' 0 hello
        mark
        ferry call exec:false t hello > out 2>&-
        status=$?
        ended 'without stderr, failing' 3 ''
        mark
        ferry call "$echo_child" t hello <&- >&- 2>&-
        is 'without all three' $? 3
        mark
        ferry listen unix:closed.sock --echo <&- >&- 2>&- &
        run ferry call --wait 20 unix:closed.sock t hello
        ended 'a listener without any' 0 hello
        run ferry call unix:closed.sock t hello
        wait %?closed.sock
        run ferry listen stdio: --echo <&-
        check 'listen stdio: without stdin' test $status -ne 0
        run ferry listen stdio: --echo < /dev/null
        ended 'listen stdio: that ends at once' 0 ''
        : > in
        run ferry listen stdio: --echo < in
        ended 'listen stdio: with an empty file' 0 ''
        run ferry convert --from json --to php < /
        check 'convert of a folder' test $status -ge 3
        nothing_left 'odd descriptors'

        # Few descriptors.
        (ulimit -n 5 && run ferry call "$echo_child" t hello; [[ $status -eq 3 && -s err ]])
        is 'five descriptors are too few, and it says so' $? 0
        (ulimit -n 32 && run ferry call "$echo_child" t hello; [[ $status -eq 0 && $(< out) == hello ]])
        is 'thirty-two descriptors are enough' $? 0
}

files() {
        run ferry notify file:,messages t hello
        ended 'notify into a file' 0 ''
        run ferry notify file:,messages t --value '{"a":1}'
        ended 'another one' 0 ''
        run ferry listen file:messages
        ended 'messages of a file' 0 $'hello\n{"a":1}\n'
        run ferry listen --json file:messages
        ended 'messages of a file, as JSON' 0 \
                $'{"kind":"notification","type":"t","body":"hello"}\n{"kind":"notification","type":"t","body":{"a":1}}\n'
        { echo junk; cat messages; } > junk-and-messages
        run ferry listen file:junk-and-messages
        ended 'messages of a file with junk' 0 $'hello\n{"a":1}\n'
        says_exactly 'messages of a file with junk' $'junk on input: junk\n'
        head -c -1 messages > cut
        run ferry listen file:cut
        ended 'a file that was cut' 3 $'hello\n'
        says 'a file that was cut' 'in the middle of a message'
        run ferry listen stdio: -v < messages
        ended 'listen stdio: -v prints on stderr' 0 -
        says 'listen stdio: -v prints on stderr' 'hello'
        run ferry listen file:nowhere
        ended 'a file that is not there' 3 ''
        says 'a file that is not there' 'nowhere'
        run ferry notify file:,/no/such/folder/x t hello
        ended 'a file that cannot be' 3 ''
        run ferry notify file:,stream-ipc --dialect stream-ipc "$log" hello
        is 'a frame of stream-ipc, its header' "$(od -An -tx1 -N8 stream-ipc | tr -d ' ')" f34a9de200000059
        is 'a frame of stream-ipc, its payload' "$(tail -c +9 stream-ipc)" \
                'O:28:"StreamIpc\Message\LogMessage":2:{s:7:"message";s:5:"hello";s:5:"level";s:4:"info";}'
        run ferry listen file:stream-ipc
        ended 'a file of stream-ipc is known as such' 0 $'hello\n'
        run ferry notify file:,old --dialect stream-ipc --namespace PhpStreamIpc 'PhpStreamIpc\Message\LogMessage' hello
        check 'the old namespace' grep -qF 'O:31:"PhpStreamIpc\Message\LogMessage"' old
}

fds() {
        # A listener over two fifos.
        mkfifo to from
        start ferry listen fd:3,4 --echo 3<> to 4<> from
        run ferry call fd:4,3 t hello 3<> to 4<> from
        ended 'a call over two fifos' 0 hello
        kill -TERM "$job"
        await "$job"
        ended 'the listener over two fifos' 0 $'hello\n'
        rm to from

        # A listener that is a coprocess, and lives on from call to call.
        coproc ferry listen stdio: --echo 2> /dev/null
        local pid=$COPROC_PID in=${COPROC[0]} out=${COPROC[1]} i

        for i in 1 2 3; do
                run ferry call fd:8,9 --dialect stream-ipc "$log" "hello $i" 8< "/dev/fd/$in" 9> "/dev/fd/$out"
                ended "call $i over a coprocess" 0 "hello $i"
        done
        exec {in}<&- {out}>&-
        wait "$pid"
        is 'the coprocess ends with its stdin' $? 0

        run ferry call fd:3,4 t hello
        ended 'descriptors that are not open' 3 ''
        says_exactly 'descriptors that are not open' $'ferry: descriptor 3 is not open\n'
        run ferry notify fd:,1 t hello
        ended 'a notification on stdout' 0 -
        check 'a notification on stdout is a frame' test "$(head -c 4 out | od -An -tx1 | tr -d ' ')" = f34a9de2
        run ferry notify fd:0, t hello < /dev/null
        check 'notify on what can only be read' test $status -ne 0
}

## Converting ------------------------------------------------------------------------------------------

convert() {
        local from to json='{"a":[1,-2,1.5,true,null,"x\u0000y","ü"],"b":{"x":2},"c":{"__class":"A\\B","p":1}}'

        printf '%s' "$json" | tee value.json > value.json-objects
        ferry convert --from json-objects --to php < value.json-objects > value.php
        ferry convert --from json-objects --to msgpack < value.json-objects > value.msgpack
        for from in json-objects php msgpack; do
                for to in json-objects php msgpack; do
                        run ferry convert --from $from --to $to < value.$from
                        ended "convert from $from to $to" 0 @value.$to
                        { cat value.$from; echo; } > with-newline
                        run ferry convert --from $from --to $to < with-newline
                        ended "convert from $from to $to, with a newline behind it" 0 @value.$to
                done
        done
        is 'what php looks like' "$(tr '\0' 0 < value.php)" \
                'a:3:{s:1:"a";a:7:{i:0;i:1;i:1;i:-2;i:2;d:1.5;i:3;b:1;i:4;N;i:5;s:3:"x0y";i:6;s:2:"ü";}s:1:"b";a:1:{s:1:"x";i:2;}s:1:"c";O:3:"A\B":1:{s:1:"p";i:1;}}'
        run ferry convert --from json --to php <<< '{"1":2}'
        ended 'a key that is a number, in php' 0 'a:1:{i:1;i:2;}'
        run ferry convert --from php --to json <<< 'a:1:{i:1;i:2;}'
        ended 'a key that is a number, in json' 0 '{"1":2}'
        # Data chooses no class, and none is lost on the way.
        run ferry convert --from json --to php <<< '{"x":{"__class":"Evil"}}'
        ended 'a key __class, in json' 0 'a:1:{s:1:"x";a:1:{s:7:"__class";s:4:"Evil";}}'
        run ferry convert --from json --to json <<< '{"x":{"__class":"Evil"}}'
        ended 'a key __class, through json' 0 '{"x":{"__class":"Evil"}}'
        run ferry convert --from php --to json <<< 'a:1:{s:1:"x";O:1:"A":0:{}}'
        ended 'an object, to json' 4 ''
        says 'an object, to json' 'the class of an object (json-objects has one) at .x'
        run ferry convert --from php --to json-objects <<< 'a:1:{s:1:"x";O:1:"A":0:{}}'
        ended 'an object, to json-objects' 0 '{"x":{"__class":"A"}}'
        run ferry call --value --codec php 'exec:ferry listen --codec php stdio: --echo' t '{"__class":"Evil"}'
        ended 'a key __class in BODY' 0 $'{"__class":"Evil"}\n'
        printf '\xef\xbb\xbf{}' > marked
        run ferry convert --from json --to php < marked
        ended 'a byte order mark' 4 ''
        says 'a byte order mark' 'a byte order mark (EF BB BF)'
        run ferry notify --value "file:,out.bin" t - < marked
        ended 'a byte order mark in BODY' 4 ''
        says 'a byte order mark in BODY' 'BODY is not JSON: it is wrong at byte 0: a byte order mark'
        run ferry convert --from json --to json <<< ' { "a" : [ 1.0 , "\u00fc" ] } '
        ended 'convert makes JSON short' 0 '{"a":[1,"ü"]}'
        # In msgpack a newline is a number.
        printf '\n' > in
        run ferry convert --from msgpack --to json < in
        ended 'a newline in msgpack' 0 10
        printf '\n\n' > in
        run ferry convert --from msgpack --to json < in
        ended 'a newline in msgpack, and one behind it' 0 10

        for from in json php msgpack; do
                run ferry convert --from $from --to php < /dev/null
                ended "convert nothing from $from" 4 ''
                says "convert nothing from $from" 'ends too early'
                echo > in
                [[ $from == msgpack ]] || {
                        run ferry convert --from $from --to php < in
                        ended "convert an empty line from $from" 4 ''
                }
                head -c 10 value.$from > in
                run ferry convert --from $from --to php < in
                ended "convert half of a value from $from" 4 ''
                { cat value.$from; echo x; } > in
                run ferry convert --from $from --to php < in
                ended "convert a value and more from $from" 4 ''
        done
        run ferry convert --from json --to php <<< '{"a":tru}'
        ended 'no JSON' 4 ''
        says 'no JSON' 'json' 'byte'
        run ferry convert --from php --to json <<< 's:1:"'$'\xff''";'
        ended 'bytes that JSON cannot hold' 4 ''
        says 'bytes that JSON cannot hold' 'UTF-8'
        run ferry convert --from php --to json <<< 'd:INF;'
        ended 'INF in JSON' 4 ''
        says 'INF in JSON' 'INF'
        run ferry convert --from php --to json <<< 'E:4:"A:B_";'
        ended 'an enum in JSON' 4 ''
        run ferry convert --from php --to msgpack <<< 'E:4:"A:B_";'
        ended 'an enum in msgpack' 0 -
        printf '[%.0s' {1..2000} > in
        run ferry convert --from json --to php < in
        ended 'too deep' 4 ''
        { printf '['; for i in {1..20000}; do printf '{"key":%d},' "$i"; done; printf '0]'; } > in
        run ferry convert --from json --to json < in
        ended 'a large value' 0 @in
}

## The rest --------------------------------------------------------------------------------------------

waiting() {
        run ferry call --wait 0.5 unix:vacant.sock t hello
        ended 'no listener' 3 ''
        says 'no listener' "no process listens at 'vacant.sock'" 'No such file'
        within 'no listener' 500 5000
        run ferry notify --wait 0.1 unix:vacant.sock t hello
        ended 'no listener: notify' 3 ''
        within 'no listener: notify' 100 10000
        run ferry call --wait 0 unix:vacant.sock t hello
        ended 'no listener, and no waiting' 3 ''
        within 'no listener, and no waiting' 0 10000
        run ferry call --timeout 0.2 --wait 20 unix:vacant.sock t hello
        ended 'the timeout ends the waiting, too' 124 ''
        within 'the timeout ends the waiting, too' 200 10000

        # A peer that is there and says nothing.
        run ferry notify --timeout 0.2 'exec:sleep 60' t hello
        ended 'notify to a silent peer' 124 ''
        nothing_left 'notify to a silent peer'
        run ferry notify 'exec:cat > taken' --dialect stream-ipc "$log" hello
        ended 'notify in stream-ipc: once the bytes are taken' 0 ''
        run ferry notify exec:false t hello
        ended 'notify to what fails' 3 ''
        says 'notify to what fails' 'exited with status 1'
        run ferry call --timeout 0.3 'exec:while :; do echo noise; done' t hello
        ended 'noise without end' 124 ''
        nothing_left 'noise without end'
        run ferry call --timeout 0.3 "exec:printf '\\363\\112\\235\\342\\000\\001\\000\\000'; sleep 60" t hello
        ended 'a frame that does not go on' 124 ''
        nothing_left 'a frame that does not go on'
        run ferry call 'exec:trap "" TERM; exec <&- >&-; sleep 60; sleep 60' t hello
        ended 'a child that closes its output and lives on' 3 ''
        within 'a child that closes its output and lives on' 0 10000
        nothing_left 'a child that closes its output and lives on'
        run ferry call 'exec:echo last words >&2; exit 7' t hello
        ended 'last words' 3 ''
        says 'last words' 'exited with status 7' 'last words'
        # What a child has left behind holds its output; that does not delay the call.
        mkfifo go
        run ferry call 'exec:cat go & exit 0' t hello
        ended 'a child that leaves another behind' 3 ''
        within 'a child that leaves another behind' 0 10000
        echo > go
        rm go
}

# What happens to a child behind its answer.
ends_of_children() {
        run ferry call "$echo_child; seq 20000 >&2" t hello
        ended 'stderr behind the answer' 0 hello
        is 'all of it is shown' "$(grep -c '^junk on stderr: ' err)" 20000
        run ferry call "$echo_child; echo broken >&2; exit 7" t hello
        ended 'a child that fails behind its answer' 3 hello
        says_exactly 'a child that fails behind its answer' \
                $'junk on stderr: broken\nferry: the child exited with status 7 while it was being closed; its last words: broken\n'
        run ferry call "$echo_child; kill -SEGV \$\$" t hello
        ended 'a child that crashes behind its answer' 3 hello
        says 'a child that crashes behind its answer' 'was killed by SIGSEGV while it was being closed'
        run ferry call 'exec:ferry listen stdio: --exec "exit 3"; exit 7' t hello
        ended 'an error that is answered stays the status' 1 ''
        says 'and the end of the child is told' 'exited with status 7 while it was being closed'
        run ferry notify --dialect stream-ipc 'exec:cat > /dev/null; echo fatal >&2; exit 255' "$log" hello
        ended 'a child that fails behind a notification' 3 ''
        says 'a child that fails behind a notification' 'junk on stderr: fatal' 'exited with status 255 while it was being closed'
        run ferry listen --count 1 'exec:ferry notify fd:,1 a one; cat > /dev/null; echo fatal >&2; exit 6'
        ended 'a child that fails when its listener has heard enough' 3 $'one\n'
        says 'a child that fails when its listener has heard enough' 'junk on stderr: fatal' \
                'exited with status 6 while it was being closed'
        # What it has left behind holds its stderr.
        mkfifo go
        run ferry call 'exec:cat go > /dev/null & exec ferry listen stdio: --echo' t hello
        ended 'a child that leaves another behind' 0 hello
        says_exactly 'a child that leaves another behind' ''
        echo > go
        rm go
}

debugging() {
        run env FERRY_DEBUG=1 ferry call "$echo_child 2> theirs" t hello
        ended 'FERRY_DEBUG' 0 hello
        says 'FERRY_DEBUG' '> request t "hello"' '< response t "hello"'
        check 'FERRY_DEBUG of the child: in' grep -qF '< request t "hello"' theirs
        check 'FERRY_DEBUG of the child: out' grep -qF '> response t "hello"' theirs
        run env FERRY_DEBUG=1 ferry call 'exec:ferry listen stdio: 2> theirs' t hello
        ended 'FERRY_DEBUG of an error' 1 ''
        says 'FERRY_DEBUG of an error' '< error t "this listener only listens'
        check 'FERRY_DEBUG of an error, out' grep -qF '> error t "this listener only listens' theirs
        run env FERRY_DEBUG=0 ferry call "$echo_child" t hello
        ended 'FERRY_DEBUG is 0' 0 hello
        says_exactly 'FERRY_DEBUG is 0' ''
}

# What the rules of Unix forbid to others.
## Ports -----------------------------------------------------------------------------------------------

listens() {
        grep -q '^ferry: listening at ' "$1"
}

ports() {
        local listener address port

        start ferry listen tcp:127.0.0.1:0 --echo -v
        listener=$job
        check 'it tells where it listens' soon listens "$job_err"
        address=$(sed -n 's/^ferry: listening at //p' "$job_err")
        port=${address##*:}
        is 'in full' "$address" "tcp:127.0.0.1:$((port))"
        check 'at a port that there is' test "$port" -gt 0
        run ferry call "$address" greeting hello
        ended 'call to a port' 0 hello
        says_exactly 'call to a port' ''
        run ferry call "tcp:localhost:$port" --dialect stream-ipc "$log" hello
        ended 'call to localhost' 0 hello
        run ferry notify "$address" t told
        ended 'notify a port' 0 ''
        run ferry call -v "$address" t hello
        says 'nothing is known of the other side' '"stream":"tcp","pid":-1'
        run ferry listen "$address"
        ended 'a port in use' 3 ''
        says_exactly 'a port in use' "ferry: cannot bind '$address': port $port is in use"$'\n'
        kill -TERM "$listener"
        await "$listener"
        ended 'a listener at a port' 0 $'hello\nhello\ntold\nhello\n'
        run ferry call --wait 0 "$address" t hello
        ended 'no listener is at the port any more' 3 ''
        says_exactly 'no listener is at the port any more' "ferry: no process listens at '$address': Connection refused"$'\n'

        run ferry listen tcp:0.0.0.0:0
        ended 'others are kept out' 3 ''
        says 'others are kept out' '--public'
        start ferry listen tcp:0.0.0.0:0 --public --echo -v --count 1
        check 'unless they are asked in' soon listens "$job_err"
        port=$(sed -n 's/^ferry: listening at tcp:0\.0\.0\.0://p' "$job_err")
        run ferry call "tcp:127.0.0.1:$port" t hello
        ended 'a public listener' 0 hello
        await "$job"
        ended 'a public listener that has done its work' 0 $'hello\n'

        # A call waits until a process listens, at the port that was free just now.
        start ferry call --wait 20 "$address" t later
        listener=$job
        start ferry listen "$address" --echo --count 1
        await "$listener"
        ended 'a call that came before its listener' 0 later
        await "$job"
        ended 'the listener that came later' 0 $'later\n'

        run ferry call tcp:127.0.0.1:0 t
        ended 'no port to call' 4 ''
        says 'no port to call' 'for listening'
        run ferry call tcp:localhost.example:80 t
        ended 'a host by its name' 2 ''
        says 'a host by its name' 'tcp:localhost.example:80' 'in numbers'
}

permissions() {
        local as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)

        if [[ $(id -u) -ne 0 ]] || ! "${as_nobody[@]}" test -x "$build/ferry" 2> /dev/null; then
                skipped 'what another user may do: this needs root, and a build that others can run'
                return
        fi
        chmod 711 "$folder"
        start ferry listen unix:private.sock --echo
        run ferry call --wait 20 unix:private.sock t hello
        run "${as_nobody[@]}" env ASAN_OPTIONS=detect_leaks=0 ferry call unix:private.sock t hello
        ended 'another user may not connect' 4 ''
        says 'another user may not connect' 'Permission denied'
        chmod 666 private.sock
        run "${as_nobody[@]}" env ASAN_OPTIONS=detect_leaks=0 ferry call unix:private.sock t hello
        check 'and is refused if he can' test $status -ne 0
        run ferry call unix:private.sock t hello
        ended 'and the listener lives' 0 hello
        kill -TERM "$job"
        await "$job"
        ended 'and has heard nothing of him' 0 $'hello\nhello\n'
        run "${as_nobody[@]}" env ASAN_OPTIONS=detect_leaks=0 ferry listen unix:private-2.sock
        ended 'he may not listen there' 3 ''
        run "${as_nobody[@]}" env ASAN_OPTIONS=detect_leaks=0 ferry call "$echo_child" t hello
        ended 'but he may call a child' 0 hello
}

## Finding services ------------------------------------------------------------------------------------

# The last output, with what is different each time replaced.
plainly() {
        sed -E 's/"since":[0-9]+/"since":SINCE/; s/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[+-][0-9]{4}/SINCE/' out
}

finding() {
        local listener other began user

        # Services of other programs on this machine are not looked for.
        export FERRY_DIR=$PWD/names TMPDIR=$PWD
        user=$(id -un)
        run ferry list
        ended 'no service is there' 0 ''
        run ferry list --json
        ended 'no service is there, in JSON' 0 ''
        mkdir -m 755 unsafe
        FERRY_DIR=$PWD/unsafe run ferry list
        ended 'the directory is not safe' 3 ''
        says 'the directory is not safe' 'ferry: cannot list the services of this user: their directory is not safe'
        rmdir unsafe

        # Waiting ends when it can be called.
        start ferry wait echo
        other=$job
        start ferry listen echo --echo
        listener=$job
        await "$other"
        ended 'a service was waited for' 0 ''
        says_exactly 'a service was waited for' ''
        run ferry call --wait 0 echo ping hello
        ended 'and can be called' 0 hello
        run ferry wait echo --timeout 0
        ended 'a service that is there is not waited for' 0 ''
        run ferry wait --dialect stream-ipc "unix:$FERRY_DIR/echo.sock"
        ended 'a path is waited for' 0 ''

        run ferry list
        is 'the table' "$(plainly | tr -s ' ')" $'name pid uid dialects since busy address\n'"echo $listener $user ferry,stream-ipc SINCE no unix:$FERRY_DIR/echo.sock"
        check 'its columns stand below each other' awk 'NR == 1 { at = index($0, "address") }
                                                         END { exit index($0, "unix:") != at }' out
        began=$(sed -n 2p out | tr -s ' ' | cut -d ' ' -f 5)
        check 'the time can be read' test "$(($(date +%s) - $(date -d "$began" +%s)))" -lt 60
        run ferry list --json
        is 'in JSON' "$(plainly)" '{"name":"echo","address":"unix:'"$FERRY_DIR"'/echo.sock","pid":'"$listener"',"uid":'"$(id -u)"',"dialects":["ferry","stream-ipc"],"since":SINCE,"busy":false}'

        kill -STOP "$listener"
        run ferry list
        is 'a service that does not answer' "$(sed -n 2p out | tr -s ' ' | cut -d ' ' -f 6)" yes
        within 'a service that does not answer' 200 10000
        kill -CONT "$listener"
        kill -KILL "$listener"
        await "$listener"
        ended 'the handlers have heard of the call only' 137 $'hello\n'
        run ferry list
        ended 'a killed service is not listed' 0 ''

        local before
        before=$(cpu_ms)
        run ferry wait echo --timeout 0.3
        ended 'what a killed service has left is waited for' 124 ''
        says_exactly 'what a killed service has left is waited for' $'ferry: no process listens at \'echo\' yet, after 0.3 s\n'
        within 'what a killed service has left is waited for' 300 10000
        check 'waiting burns no processor time' test $(($(cpu_ms) - before)) -lt 200
        chmod 755 names
        run ferry wait echo
        ended 'a directory that is not safe' 4 ''
        says 'a directory that is not safe' 'not safe'
        chmod 700 names

        start ferry wait unix:vacant.sock
        soon handles_signals "$job"
        kill -TERM "$job"
        await "$job"
        ended 'waiting is ended by a signal' 143 ''
        unset FERRY_DIR
}

example() {
        run ferry listen "exec:$build/examples/background-worker"
        ended 'the monitor of the example' 0 "$(for i in {1..5}; do
                        echo '{"message":"Progress: '"$i"'/5 complete","level":"info"}'
                done)"$'\n{"message":"Task completed successfully","level":"success"}\n'
        says_exactly 'the monitor of the example' ''
}

# FERRY_TEST names those to be run, separated by commas.
all=promises,usage,options_anywhere,bodies,answers,cancelled,json_lines,another_machine_needs_ssh,listeners,monitors,drain_TERM,drain_INT
all+=,end_TERM,end_INT,stuck,outputs,files,fds,convert,waiting,finding,ends_of_children,debugging,ports,permissions,example
IFS=, read -r -a chosen <<< "${FERRY_TEST:-$all}"
aside "${chosen[@]}"
finish
