#!/bin/bash
# ferry describe: what a service says of itself, as a table and as JSON; and services, peers and addresses that say nothing. Takes the
# build directory.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite cli-describe "${1:?usage: test-describe.sh BUILD}"

export FERRY_DIR=$PWD/names

a_listener_describes_itself() {
        local listener

        start ferry listen unix:d.sock --echo --describe 'resize=Makes an image smaller.' --describe 'App\Put=' \
                --describe $'odd "type"=a=b\nc'
        listener=$job
        run ferry wait unix:d.sock
        run ferry describe unix:d.sock
        ended 'a table' 0 $'type        in  out  text
resize      -   -    Makes an image smaller.
App\\Put     -   -    
odd "type"  -   -    a=b^Jc
'
        run ferry describe --json unix:d.sock
        ended 'as JSON' 0 '{"type":"resize","in":null,"out":null,"text":"Makes an image smaller."}
{"type":"App\\Put","in":null,"out":null,"text":""}
{"type":"odd \"type\"","in":null,"out":null,"text":"a=b\nc"}
'
        says_exactly 'as JSON' ''
        # It changes nothing in what is answered.
        run ferry call unix:d.sock other hello
        ended 'a type that is not described' 0 hello
        interrupt TERM
        # Nothing is printed of a question.
        is 'what the listener has printed' "$(< "$job_out")" hello

        start ferry listen unix:d.sock --echo
        listener=$job
        run ferry wait unix:d.sock
        run ferry describe unix:d.sock
        ended 'no description' 0 ''
        says_exactly 'no description' ''
        kill "$listener"
        await "$listener"
}

# No time is spent on waiting for an answer that cannot come.
services_of_another_dialect_are_told_at_once() {
        local listener

        start ferry listen unix:o.sock --echo --dialect stream-ipc
        listener=$job
        run ferry wait unix:o.sock
        run ferry describe unix:o.sock --timeout 1000
        ended 'describe' 3 ''
        says_exactly 'describe' $'ferry: the service at \'unix:o.sock\' does not speak ferry, but stream-ipc\n'
        run ferry watch unix:o.sock
        ended 'watch' 3 ''
        says_exactly 'watch' $'ferry: the service at \'unix:o.sock\' does not speak ferry, but stream-ipc\n'
        run ferry call --each --dialect ferry --timeout 1000 unix:o.sock t - <<< x
        ended 'call --each' 3 ''
        says 'call --each' 'does not speak ferry, but stream-ipc'
        run ferry call --dialect stream-ipc unix:o.sock 'App\Ask' x
        ended 'the dialect of the service' 0 -
        kill "$listener"
        await "$listener"
}

peers_without_a_description() {
        run ferry describe nothing --wait 0
        ended 'no service' 3 ''
        says 'no service' "no process listens at '" nothing.sock
        run ferry describe 'exec:ferry listen stdio: --echo'
        ended 'a child' 1 ''
        says_exactly 'a child' $'ferry: not taken: not a service: it has no description\n'
        # It answers a ping, as each peer does, and not the question.
        run ferry describe "exec:printf '\363\112\235\342\0\0\0\20\1\11\1\0\0\0\0\0\0\0\0\0\0\0\0\1'; cat > read"
        ended 'an older peer' 4 ''
        says 'an older peer' 'the other side has no descriptions: its version of ferry is older, or it is another program'
        run ferry describe 'exec:cat > read' --timeout 0.1
        ended 'a silent peer' 124 ''
        says 'a silent peer' 'no answer within 0.1 s'
        run ferry describe udp:127.0.0.1:1
        ended 'a channel' 2 ''
        run ferry describe
        ended 'no address' 2 ''
}

# A list that is none, and members that are none of ours: what can be shown is shown, and nothing acts on a terminal.
a_hostile_service() {
        # The answer, with the id 1: response, codec json, no type.
        frame() { # BODY
                # shellcheck disable=SC2059
                printf "\\363\\112\\235\\342\\0\\0\\0\\$(printf %03o $((16 + ${#1})))\\1\\4\\3\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\1"
                printf %s "$1"
        }
        frame '[{"type":"a\u001b[2J","in":5},7,{"text":"no type"},{"out":"o","type":"b"}]' > answer
        run ferry describe 'exec:cat answer; cat > read'
        ended 'a hostile service' 0 $'type    in  out  text\na^[[2J  -   -    -\nb       -   o    -\n'
        frame '"no list"' > answer
        run ferry describe 'exec:cat answer; cat > read' --json
        ended 'no list' 4 ''
        says 'no list' 'has answered with something other than a list of descriptions'
}

wrong_options() {
        run ferry listen unix:w.sock --describe resize
        ended 'no text' 2 ''
        says_exactly 'no text' $'ferry: --describe: write TYPE=TEXT, not \'resize\'\n'
        run ferry listen unix:w.sock --describe $'\xff=x'
        ended 'not UTF-8' 2 ''
        says_exactly 'not UTF-8' $'ferry: --describe: \'<FF>=x\' is not UTF-8\n'
        run ferry listen stdio: --describe a=b
        ended 'no service' 2 ''
        says 'no service' '--describe is for NAME, unix: and tcp: only'
        run ferry listen unix:w.sock --describe a=b --dialect pcntl
        ended 'another dialect' 2 ''
        says 'another dialect' '--describe is for the dialect ferry only'
        # shellcheck disable=SC2046
        run ferry listen unix:w.sock $(printf -- '--describe %s=x ' {1..257})
        ended 'too many' 2 ''
        says 'too many' '--describe: more than 256 types'
        local long
        long=$(head -c 100000 /dev/zero | tr '\0' x)
        # shellcheck disable=SC2046
        run ferry listen unix:w.sock $(for i in {1..11}; do printf -- '--describe %s=%s ' "$i" "$long"; done)
        ended 'too large' 4 ''
        says_exactly 'too large' $'ferry: --describe: all descriptions together would take more than 1 MiB\n'
        run ferry listen unix:w.sock --describe "$long=x"
        ended 'a long type' 4 ''
        says_exactly 'a long type' $'ferry: --describe: a TYPE has more than 65535 bytes\n'
        check 'nothing is left of them' test ! -e w.sock
}

aside a_listener_describes_itself
aside services_of_another_dialect_are_told_at_once
aside peers_without_a_description
aside a_hostile_service
aside wrong_options
finish
