#!/bin/bash
# ferry listen in trouble: commands, signals, outputs that are not read. Takes the build directory.
vectors=$(cd "$(dirname "${BASH_SOURCE[0]}")/../vectors" && pwd)
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite cli-listen "${1:?usage: test-listen.sh BUILD}"

is_there() {
        [[ -S $1 ]]
}

has_lines() {
        [[ -e $1 && $(wc -l < "$1") -ge $2 ]]
}

## Commands --------------------------------------------------------------------------------------------

a_command_ends_when_it_exits() {
        mkfifo go
        run ferry call 'exec:ferry listen stdio: --exec "cat go & echo hi"' t
        ended 'a process that the command has left holds its output' 0 $'hi\n'
        within 'a process that the command has left holds its output' 0 10000
        echo 1<> go
        run ferry call 'exec:ferry listen stdio: --exec "(cat go; echo late >&2) > /dev/null & echo hi"' t
        ended 'it holds its stderr' 0 $'hi\n'
        echo 1<> go
        run ferry call 'exec:ferry listen stdio: --exec "exec >&-; read -r line < go"' --timeout 0.2 t
        ended 'a command that closes its output has not ended' 124 ''
        echo 1<> go
        nothing_left 'a command that has ended'
}

an_output_is_limited_while_it_is_read() {
        run ferry call 'exec:ferry listen stdio: --exec "cat /dev/zero"' t
        ended 'output without end' 1 ''
        says 'output without end' 'wrote more than 16777216 bytes'
        run ferry call 'exec:ferry listen stdio: --exec "trap \"\" TERM PIPE; cat /dev/zero; cat /dev/zero; sleep 60"' t
        ended 'a command that ignores signals' 1 ''
        nothing_left 'a command whose output is too large'
}

a_reply_that_does_not_fit_is_an_error_reply() {
        start ferry listen unix:large.sock --exec 'head -c 16777216 /dev/zero' --count 1
        run ferry call --wait 20 unix:large.sock large
        ended 'a reply that does not fit' 1 ''
        says 'a reply that does not fit' 'cannot send the answer: it is larger than a message may be'
        await "$job"
        says 'its listener' "ferry: cannot send the answer to a request of type 'large': it is larger than a message may be"
        start ferry listen unix:large.sock --reply x --count 1 --dialect stream-ipc --value --reply 5
        run ferry call --wait 20 unix:large.sock --dialect stream-ipc 'App\Ask' x
        ended 'a reply that is no object' 1 ''
        await "$job"
        says 'its listener' 'cannot send'
}

# Each says how many run while it does; each waits until it has been told to go on.
commands_run_so_many_at_a_time() {
        local i jobs=() most

        mkdir running
        start ferry listen unix:few.sock --workers 2 --exec 'mkdir running/$$; ls running | wc -l; sleep 0.01; rmdir running/$$' --count 12
        local listener=$job
        check 'it listens' soon is_there few.sock
        for i in {1..12}; do
                start ferry call unix:few.sock t
                jobs+=("$job")
        done
        for i in "${jobs[@]}"; do
                await "$i"
                ended 'a request that waits its turn' 0 -
                cat out >> counts
        done
        most=$(sort -n counts | tail -1)
        check "at most two at a time, not $most" test "$most" -le 2
        await "$listener"
}

a_cancelled_request_is_not_begun() {
        mkfifo go
        start ferry listen unix:cancel.sock --workers 1 --exec 'cat >> begun; echo >> begun; cat go'
        local listener=$job

        start ferry call --wait 20 unix:cancel.sock t first
        local first=$job
        check 'the first one runs' soon has_lines begun 1
        run ferry call --timeout 0.1 unix:cancel.sock t second
        ended 'the second one is given up' 124 ''
        start ferry call unix:cancel.sock t third
        echo 1> go
        await "$first"
        check 'the third one runs' soon has_lines begun 2
        echo 1> go
        await "$job"
        ended 'the third one' 0 $'\n'
        is 'what has begun' "$(< begun)" $'first\nthird'
        kill -TERM "$listener"
        await "$listener"
        nothing_left 'requests that were cancelled'
}

the_last_words_of_a_command_are_in_its_error() {
        start ferry listen unix:words.sock --exec 'echo one >&2; printf two >&2; exit 3' --count 1
        run ferry call --wait 20 unix:words.sock t
        ended 'a command that fails' 1 ''
        says_exactly 'a command that fails' $'ferry: the command exited with status 3; its last words: one | two\n'
        await "$job"
        says_exactly 'its stderr is ours' $'command: one\ncommand: two\n'
        start ferry listen unix:words.sock --exec 'seq 100000 >&2; kill -KILL $$' --count 1
        run ferry call --wait 20 unix:words.sock t
        says 'a command with many words' 'killed by SIGKILL; its last words: ' ' | 99999 | 100000'
        check 'they are bounded' test "$(wc -c < err)" -lt 2000
        await "$job"
        is 'all of its stderr' "$(md5sum < err)" "$(seq -f 'command: %.0f' 100000 | md5sum)"
        start ferry listen unix:words.sock --exec 'echo ferry: talk >&2; echo good' --count 1
        run ferry call --wait 20 unix:words.sock t
        ended 'a command that talks' 0 $'good\n'
        await "$job"
        says_exactly 'what it said, and does not pass for a line of ours' $'command: ferry: talk\n'
}

an_output_may_be_a_value() {
        run ferry call --json 'exec:ferry listen stdio: --value --exec "echo; echo {\\\"a\\\": [1, null]}"' t
        ended 'JSON' 0 $'{"kind":"response","type":"t","id":"1","body":{"a":[1,null]}}\n'
        run ferry call 'exec:ferry listen stdio: --value --exec "echo \"{\\\"a\\\": tru}\""' t
        ended 'bad JSON' 1 ''
        says_exactly 'bad JSON' $'ferry: the output of the command is not JSON: it is wrong at byte 9\n'
        run ferry call 'exec:ferry listen stdio: --value --exec true' t
        ended 'no JSON at all' 1 ''
        says 'no JSON at all' 'not JSON: it ends too early, at byte 0'
        run ferry call 'exec:ferry listen stdio: --value --exec "printf \"\\\\357\\\\273\\\\277{}\""' t
        says 'a byte order mark' 'a byte order mark (EF BB BF)'
        run ferry call 'exec:ferry listen stdio: --value --exec "echo x; exit 1"' t
        says_exactly 'a command that fails' $'ferry: the command exited with status 1\n'
}

a_status_that_is_unknown_is_no_success() {
        (trap '' CHLD; run ferry call 'exec:ferry listen stdio: --exec "exit 3"' t; [[ $status -eq 1 && ! -s out ]])
        is 'a failure where SIGCHLD is ignored' $? 0
}

the_type_in_the_environment_is_replaced() {
        FERRY_TYPE=theirs run ferry call 'exec:ferry listen stdio: --exec "tr \"\\\\0\" \"\\\\n\" < /proc/\$\$/environ | grep ^FERRY_TYPE="' ours
        ended 'there is one type' 0 $'FERRY_TYPE=ours\n'
}

# What is not known is removed, whatever it was.
the_environment_says_whose_message_it_is() {
        local show='env | grep -E "^FERRY_(KIND|PEER|TYPE)" | sort'

        export FERRY_KIND=theirs FERRY_PEER_PID=1 FERRY_PEER_UID=2 FERRY_TYPE=theirs
        start ferry listen unix:whose.sock --quiet --count 1 --exec "$show"
        ferry wait --timeout 20 unix:whose.sock
        start ferry call unix:whose.sock ask
        local caller=$job
        await "$caller"
        ended 'a request' 0 $'FERRY_KIND=request\nFERRY_PEER_PID='"$caller"$'\nFERRY_PEER_UID='"$UID"$'\nFERRY_TYPE=ask\n'
        start ferry listen tcp:127.0.0.1:0 --quiet --verbose --count 1 --exec "$show"
        soon grep -q 'listening at' "$job_err"
        run ferry call "$(sed -n 's/.*listening at //p' "$job_err")" ask
        ended 'a request by tcp' 0 $'FERRY_KIND=request\nFERRY_TYPE=ask\n'
        start ferry listen unix:told.sock --quiet --count 1 --notify-exec "$show > told"
        run ferry notify --wait 20 unix:told.sock tell
        await "$job"
        is 'a notification' "$(grep -c -e FERRY_KIND=notification -e FERRY_PEER_UID="$UID" -e FERRY_TYPE=tell -e FERRY_PEER_PID= told)" 4
        unset FERRY_KIND FERRY_PEER_PID FERRY_PEER_UID FERRY_TYPE
}

# In their order, though the clients have gone.
each_notification_has_a_command() {
        local i

        start ferry listen unix:told.sock --workers 1 --notify-exec 'cat; echo; sleep 0.01' --echo --quiet
        ferry wait --timeout 20 unix:told.sock
        for i in 1 2 3 4 5; do
                ferry notify unix:told.sock tell "$i"
        done
        run ferry call unix:told.sock ask hello
        ended 'a request meanwhile' 0 hello
        interrupt TERM
        ended 'its end' 0 ''
        says_exactly 'what they have printed' $'command: 1\ncommand: 2\ncommand: 3\ncommand: 4\ncommand: 5\n'
        start ferry listen unix:told.sock --count 2 --quiet --notify-exec 'echo words >&2; exit 3'
        ferry notify --wait 20 unix:told.sock tell
        ferry notify --wait 20 unix:told.sock tell
        await "$job"
        ended 'commands that fail' 0 ''
        says 'commands that fail' \
                $'command: words\n' "ferry: the command for a notification of type 'tell' exited with status 3; its last words: words"
        start ferry listen unix:told.sock --quiet --workers 1 --drain 0.05 --notify-exec 'exec sleep 60'
        ferry wait --timeout 20 unix:told.sock
        ferry notify unix:told.sock tell
        ferry notify unix:told.sock tell
        interrupt TERM
        ended 'commands that take too long' 124 ''
        says_exactly 'commands that take too long' $'ferry: 2 commands of --notify-exec were not done within 0.05 s\n'
        nothing_left 'commands for notifications'
        # In innmind a message that nothing answers may be for the command.
        start ferry listen unix:told.sock --dialect innmind --count 1 --quiet --notify-exec 'echo "$FERRY_KIND"; cat'
        run ferry notify --dialect innmind --wait 20 unix:told.sock text/plain hello
        await "$job"
        says_exactly 'in innmind' $'command: message\ncommand: hello\n'
        start ferry listen unix:told.sock --count 1 --quiet --notify-exec 'exec cat'
        (ulimit -S -n 1024; ferry notify --wait 20 unix:told.sock tell hello)
        await "$job"
        says_exactly 'one' $'command: hello\n'
}

notifications_that_find_no_room_are_dropped_and_reported() {
        local i

        mkfifo go
        head -c 9000000 /dev/zero > large
        start ferry listen unix:told.sock --workers 1 --quiet --notify-exec 'read -r line < go; wc -c'
        ferry wait --timeout 20 unix:told.sock
        for i in 1 2 3 4; do
                ferry notify unix:told.sock tell - < large
        done
        exec 7<> go
        printf '\n\n\n' >&7
        interrupt TERM
        exec 7>&-
        ended 'commands that are too slow' 3 ''
        says 'commands that are too slow' 'notifications that do not fit into the 16777216 bytes that wait are dropped' \
                $'ferry: 2 notifications were dropped: the commands of --notify-exec are too slow\n'
        is 'those that have run' "$(grep -c 'command: ' err)" 2
        rm go large
}

a_command_that_cannot_be_started_says_so() {
        start ferry listen unix:e2big.sock --exec true --count 1
        local listener=$job
        run ferry call --wait 20 unix:e2big.sock "$(printf %060000d 0)"
        ended 'a long type' 0 ''
        await "$listener"
        (export A B C; for A in $(printf %0130000d 0); do B=$A C=$A
                run ferry call 'exec:ulimit -s 256; ferry listen stdio: --exec true' t
        done 2> /dev/null; [[ $status -ne 0 && -s err ]])
        is 'an environment that is too large' $? 0
}

a_guard_needs_few_descriptors() {
        local limit
        for limit in {21..28}; do
                (ulimit -n "$limit"; run ferry call "exec:ferry listen stdio: --exec 'echo hi'" t
                 [[ $status -eq 0 && $(< out) == hi ]] || grep -Eq 'cannot start the [cg].*: (Too many open files|No file descriptors available); the limit is raised by' err)
                is "a limit of $limit descriptors" $? 0
        done
}

## The guard -------------------------------------------------------------------------------------------

guard_of() {
        local pid

        for pid in $(marked "${1%/}"); do
                [[ $(< "/proc/$pid/comm") == ferry-guard ]] && echo "$pid"
        done 2> /dev/null
}

# A command that takes no notice of SIGTERM, and has started another one.
stubborn='trap "" TERM; sleep 60 & echo >> begun; sleep 61; sleep 62'

begin_stubborn() {
        rm -f begun
        start "$@" ferry listen unix:guard.sock --exec "$stubborn"
        listener=$job of_listener=$FERRY_TEST_MARK
        check 'it listens' soon is_there guard.sock
        start ferry call --wait 20 unix:guard.sock t
        client=$job
        check 'the command runs' soon has_lines begun 1
}

left_nothing() {
        await "$client"
        await "$listener"
        FERRY_TEST_MARK=$of_listener
        nothing_left "$1"
}

commands_end_with_their_listener() {
        local listener client of_listener

        begin_stubborn
        kill -KILL "$listener"
        left_nothing 'a listener that is killed'
        ended 'a listener that is killed' 137 $'null\n'
        begin_stubborn
        kill -TERM "$listener"
        let_signal_pass
        kill -TERM "$listener"
        left_nothing 'a listener that is signalled twice'
}

commands_that_take_too_long_are_ended() {
        start ferry listen unix:long.sock --timeout 0.1 --exec "$stubborn" --notify-exec 'echo $$ > noted; exec sleep 60'
        local listener=$job of_listener=$FERRY_TEST_MARK
        run ferry call --wait 20 unix:long.sock t
        ended 'a command that takes too long' 1 ''
        says_exactly 'a command that takes too long' $'ferry: the command took longer than 0.1 s (--timeout), and was ended\n'
        run ferry notify unix:long.sock t
        check 'a notification' soon grep -q "the command for a notification of type 't' took longer than 0.1 s" "$job_err"
        # It may have ended before its shell came so far.
        check 'the end of its command' eval '[ ! -s noted ] || ! kill -0 "$(cat noted)" 2> /dev/null'
        kill -TERM "$listener"
        await "$listener"
        FERRY_TEST_MARK=$of_listener
        nothing_left 'the listener'
        start ferry listen unix:short.sock --timeout 20 --exec cat
        run ferry call --wait 20 unix:short.sock t short
        ended 'a command in time' 0 'short'
        interrupt TERM
        run ferry listen unix:short.sock --timeout 20 --echo
        ended 'a time without a command' 2 ''
}

the_guard_survives_a_signal_to_the_group() {
        local listener client of_listener signal

        if ! command -v setsid > /dev/null; then
                skipped 'signals to the group: this needs setsid'
                return
        fi
        for signal in INT KILL; do
                begin_stubborn setsid
                kill -"$signal" -- "-$listener"
                [[ $signal == KILL ]] || { let_signal_pass; kill -KILL -- "-$listener"; }
                left_nothing "SIG$signal to the group"
        done
}

the_guard_holds_nothing() {
        local listener client of_listener guard

        begin_stubborn
        guard=$(guard_of "$of_listener")
        is 'its descriptors' "$(readlink "/proc/$guard"/fd/* | sed 's/:.*//' | sort | uniq -c | tr -s ' \n' ' ')" ' 3 /dev/null 1 pipe '
        is 'its directory' "$(readlink "/proc/$guard/cwd")" /
        kill -TERM "$guard"
        kill -INT "$guard"
        check 'it takes no notice of signals' test -e "/proc/$guard"
        # Another one takes its place, for the commands that run as well.
        kill -KILL "$guard"
        soon has_ended "$guard"
        start ferry call unix:guard.sock t
        check 'another command runs' soon has_lines begun 2
        kill -KILL "$listener"
        await "$job"
        left_nothing 'a guard that was replaced'
}

# Without another command that would show it.
a_guard_that_is_killed_is_replaced() {
        local listener client of_listener guard

        begin_stubborn
        guard=$(guard_of "$of_listener")
        kill -KILL "$guard"
        check 'another guard' soon has_other_guard "$of_listener" "$guard"
        kill -KILL "$listener"
        left_nothing 'a listener whose guard was killed'
}

has_other_guard() { # MARK PID
        local now
        now=$(guard_of "$1")
        [[ -n $now && $now != "$2" ]]
}

a_stopped_guard_does_not_keep_its_listener() {
        local listener of_listener guard

        start ferry listen unix:stopped.sock --exec cat
        listener=$job of_listener=$FERRY_TEST_MARK
        run ferry call --wait 20 unix:stopped.sock t hi
        ended 'a command with a guard' 0 hi
        guard=$(guard_of "$of_listener")
        kill -STOP "$guard"
        kill -TERM "$listener"
        await "$listener"
        ended 'a listener whose guard is stopped' 0 $'hi\n'
        check 'the guard has ended' soon test ! -e "/proc/$guard"
}

## The end ---------------------------------------------------------------------------------------------

a_drain_has_an_end_where_it_is_given_one() {
        local listener client

        mkfifo begun
        start ferry listen unix:drain.sock --workers 1 --drain 0.05 --exec 'echo > begun; sleep 60'
        listener=$job
        start ferry call --wait 20 unix:drain.sock t one
        client=$job
        read -r < begun
        start ferry call unix:drain.sock t two
        check 'both are in hand' soon has_lines "out.${run_of[listener]}" 2
        kill -TERM "$listener"
        await "$client"
        ended 'a request whose time is over' 1 ''
        says_exactly 'a request whose time is over' $'ferry: the listener has ended before the command was done\n'
        await "$job"
        ended 'a request that was not begun' 1 ''
        says_exactly 'a request that was not begun' $'ferry: the listener has ended before it could answer\n'
        await "$listener"
        ended 'a drain that takes too long' 124 $'one\ntwo\n'
        says_exactly 'a drain that takes too long' $'ferry: 2 requests in hand were not answered within 0.05 s\n'
        start ferry listen unix:drain.sock --drain 60 --exec 'echo > begun; sleep 0.05; echo done'
        listener=$job
        start ferry call --wait 20 unix:drain.sock t one
        read -r < begun
        kill -TERM "$listener"
        await "$job"
        ended 'a request that is done in time' 0 $'done\n'
        await "$listener"
        ended 'a drain that is done in time' 0 $'one\n'
        nothing_left 'drains'
}

## The end of the input --------------------------------------------------------------------------------

# A request of dialect ferry with the id $1, the type t, and in JSON the body $2.
request_frame() {
        local size id

        printf -v size '\\x%02x' $((17 + ${#2}))
        printf -v id '\\x%02x' "$1"
        printf '%b%s' "\xf3\x4a\x9d\xe2\0\0\0$size\1\3\3\0\0\1\0\0\0\0\0\0\0\0\0${id}t" "$2"
}

# three-requests.bin is what this prints.
three_requests() {
        request_frame 1 '"one"'
        request_frame 2 '"two"'
        request_frame 3 '"three"'
}

# How many frames of that kind stand in the file out: 4 is a response, 5 an error, 9 the end.
frames() {
        od -An -v -tx1 out | tr -d ' \n' | grep -oE "f34a9de2.{8}01$1" | wc -l
}

requests_before_the_end_of_the_input_are_answered() {
        check 'three-requests.bin' cmp -s <(three_requests) "$tests/cli/three-requests.bin"
        run ferry listen stdio: --exec 'sleep .05; cat' < "$tests/cli/three-requests.bin"
        ended 'three requests' 0 -
        is 'their answers' "$(frames 04) $(frames 05)" '3 0'
        run ferry listen stdio: --workers 1 --exec 'sleep .05; cat' < "$tests/cli/three-requests.bin"
        is 'their answers, one at a time' "$(frames 04) $(frames 05)" '3 0'
        is 'in order' "$(grep -aoE '"(one|two|three)"' out | tr '\n' ' ')" '"one" "two" "three" '
        cat "$tests/cli/three-requests.bin" | run ferry listen stdio: --exec 'sleep .05; cat'
        is 'their answers, from a pipe' "$(frames 04) $(frames 05)" '3 0'
        run ferry listen "file:$tests/cli/three-requests.bin,answers" --exec 'sleep .05; cat' --quiet
        check 'the end of a file is in order' test "$status" -eq 0
        cp answers out
        is 'their answers, in a file' "$(frames 04) $(frames 05)" '3 0'
        # A command may take longer than closing may.
        run ferry listen stdio: --exec 'sleep 1.1; cat' < "$tests/cli/three-requests.bin"
        ended 'slow answers' 0 -
        is 'slow answers, all of them' "$(frames 04) $(frames 05)" '3 0'
        run ferry listen stdio: --drain 0.05 --exec 'sleep 1.1; cat' < "$tests/cli/three-requests.bin"
        ended 'answers that are too slow' 124 -
        says 'answers that are too slow' '3 requests were not answered within 0.05 s'
        head -c -1 "$tests/cli/three-requests.bin" > cut
        run ferry listen stdio: --exec 'sleep .05; cat' < cut
        is 'the answers to two and a half' "$(frames 04) $(frames 05)" '2 0'
        check 'an end within a request is an error' test "$status" -eq 3
        nothing_left 'requests before the end of the input'
}

# Two answers of 9 MB are more than may wait; a command begins when the one before it has exited, which may be before its
# answer waits.
a_client_that_does_not_read_is_given_no_more_answers() {
        local id

        for id in 1 2 3 4 5 6 7 8; do
                request_frame "$id" '"x"'
        done > eight
        # Reads when two commands have begun, and others could have.
        cat > reader << 'end'
lines() {
        test "$(cat begun 2> /dev/null | wc -l)" -ge "$1"
}
until lines 2; do sleep 0.01; done
for i in 1 2 3 4 5 6 7 8 9 10; do lines 8 || sleep 0.03; done
wc -l < begun > seen
tr -dc x | wc -c
end
        run sh -c 'ferry listen stdio: --workers 1 --exec "echo >> begun; head -c 9000000 /dev/zero | tr \"\\0\" x" < eight | sh reader'
        ended 'eight answers, and the x of frame_max' 0 $'72000001\n'
        check 'commands before the client reads' test "$(cat seen)" -le 4
}

# The answers come when the input has ended.
answers_that_a_full_disk_does_not_take_are_a_failure() {
        run sh -c 'exec ferry listen stdio: --exec cat < "$0" > /dev/full' "$tests/cli/three-requests.bin"
        ended 'answers of commands to a full disk' 3 ''
        says 'answers of commands to a full disk' 'No space left on device'
        run sh -c 'exec ferry listen stdio: --echo < "$0" > /dev/full' "$tests/cli/three-requests.bin"
        ended 'echoes to a full disk' 3 ''
        is 'the failure is reported once' "$(grep -c '' err)" 1
        run ferry listen "file:$tests/cli/three-requests.bin,/dev/full" --exec cat
        ended 'answers of commands to a full disk, as a file' 3 $'one\ntwo\nthree\n'
        says 'answers of commands to a full disk, as a file' 'No space left on device'
}

## Other users -----------------------------------------------------------------------------------------

# It is never wider than that, but narrower for a moment.
has_mode() {
        [[ $(stat -c '%a %g' "$1" 2> /dev/null) == "$2" ]]
}

the_mode_and_the_group_of_a_socket_are_given() {
        local command

        start ferry listen unix:mode.sock --mode 640 --group "$(id -gn)"
        check 'its mode and group' soon has_mode mode.sock "640 $(id -g)"
        kill -TERM "$job"
        await "$job"
        start ferry listen unix:mode.sock --group "$(id -g)" --allow "$(id -u)" --allow 12345
        check 'the mode for others of its group' soon has_mode mode.sock "660 $(id -g)"
        kill -TERM "$job"
        await "$job"
        run ferry listen unix:mode.sock --group no-such-group
        ended 'a group that does not exist' 3 ''
        says 'a group that does not exist' no-such-group
        run ferry listen unix:mode.sock --allow ''
        ended 'an empty user' 2 ''
        says_exactly 'an empty user' $'ferry: --allow needs a USER: \'\' is empty\n'
        run ferry listen unix:mode.sock --allow no-such-user
        ended 'a user that does not exist' 2 ''
        says_exactly 'a user that does not exist' $'ferry: --allow: there is no user \'no-such-user\'\n'
        for command in '--mode 777 tcp:127.0.0.1:0' '--mode 600 stdio:' '--group 1 fd:0,1' '--allow 1 tcp:127.0.0.1:0' '--allow 1 a-name' \
                '--allow 1 --mode 600 unix:mode.sock' '--mode 1777 unix:mode.sock' '--mode x unix:mode.sock' '--allow 4294967295 unix:mode.sock'; do
                # shellcheck disable=SC2086
                run ferry listen $command < /dev/null
                ended "what does nothing is refused: $command" 2 ''
                says "what does nothing is refused: $command" 'ferry: --'
        done
}

users_are_let_in_by_name() {
        local other

        if [[ $EUID -ne 0 ]] || ! command -v setpriv > /dev/null; then
                skipped 'other users: this needs root, and setpriv'
                return
        fi
        chmod 711 "$folder" "$folder/.."
        install -m 755 "$build/ferry" tool
        start ferry listen "unix:$PWD/door.sock" --echo --allow 12345 -v
        check 'it listens' soon has_mode door.sock '666 0'
        for other in 12345 0; do
                run setpriv --reuid=$other --regid=$other --clear-groups "$PWD/tool" call "unix:$PWD/door.sock" t hello
                ended "user $other is let in" 0 hello
        done
        run setpriv --reuid=12346 --regid=12346 --clear-groups "$PWD/tool" call "unix:$PWD/door.sock" t hello
        ended 'another one is not' 3 ''
        says 'another one is not' 'it runs as user 0, and may not allow this user'
        kill -TERM "$job"
        await "$job"

        # A client, also of root, sends nothing to a service of another user, unless it allows that user.
        install -d -m 711 -o 12345 theirs
        start setpriv --reuid=12345 --regid=12345 --clear-groups "$PWD/tool" listen "unix:$PWD/theirs/door.sock" --echo --allow 12346
        check 'another user listens' soon has_mode theirs/door.sock '666 12345'
        for other in 12346 0; do
                run setpriv --reuid=$other --regid=$other --clear-groups "$PWD/tool" call "unix:$PWD/theirs/door.sock" t hello
                ended "user $other does not allow the service" 4 ''
                says "user $other does not allow the service" 'the other side runs as user 12345, which allow does not admit'
                run setpriv --reuid=$other --regid=$other --clear-groups "$PWD/tool" call --allow 12345 "unix:$PWD/theirs/door.sock" t hello
                ended "user $other allows the service" 0 hello
                run setpriv --reuid=$other --regid=$other --clear-groups "$PWD/tool" notify --allow 12345 "unix:$PWD/theirs/door.sock" t hello
                ended "user $other allows the service, notify" 0 ''
        done
        kill -TERM "$job"
        await "$job"
        run setpriv --reuid=12345 --regid=12345 --clear-groups "$PWD/tool" listen "unix:$PWD/theirs/door.sock" --group 12346
        ended 'a group of others' 3 ''
        says_exactly 'a group of others' "ferry: cannot give '$PWD/theirs/door.sock' to the group 12346: Operation not permitted: only root and the members of that group can"$'\n'
        rmdir theirs
        nothing_left 'other users'
}

## Outputs ---------------------------------------------------------------------------------------------

# A message whose line has 65,536 bytes: sixteen of them fill what may wait.
long_lines() {
        local i

        head -c 65535 /dev/zero | tr '\0' x > line
        for ((i = 0; i < $1; i++)); do
                ferry notify --wait 20 "$2" t - < line || return
        done
}

serving_goes_on_while_stdout_is_not_read() {
        local listener i

        # Nothing is lost as long as it fits.
        mkfifo full
        exec 7<> full
        mark
        ferry listen unix:out.sock --echo --count 12 > full 2> err.listener 7>&- &
        listener=$!
        check 'notifications while stdout is not read' long_lines 10 unix:out.sock
        for i in 1 2; do
                run ferry call unix:out.sock t "request $i"
                ended "a request while stdout is not read, $i" 0 "request $i"
        done
        head -c $((10 * 65536 + 20)) <&7 > read
        wait "$listener"
        is 'the listener' $? 0
        is 'its output' "$(tail -n 2 read | tr '\n' ' ')" 'request 1 request 2 '
        is 'what it says' "$(< err.listener)" ''

        # Beyond that whole lines are lost, and that is reported.
        mark
        ferry listen unix:out.sock --echo --count 31 > full 2> err.listener 7>&- &
        listener=$!
        check 'notifications beyond what may wait' long_lines 30 unix:out.sock
        run ferry call unix:out.sock t 'a request'
        ended 'a request beyond what may wait' 0 'a request'
        exec 8< full 7>&-
        cat <&8 > read
        exec 8<&-
        wait "$listener"
        is 'the listener that has dropped lines' $? 3
        is 'all lines are whole' "$(awk '{ print length }' read | sort -u | tr '\n' ' ')" '65535 '
        cp err.listener err
        says 'what it says' 'ferry: stdout is not read: lines that do not fit' "ferry: $((31 - $(wc -l < read))) lines were dropped: stdout is not read"
        nothing_left 'a listener whose stdout is not read'
}

a_listener_whose_stdout_is_not_read_ends() {
        mkfifo full
        exec 7<> full
        mark
        ferry listen unix:out.sock > full 2> err 7>&- &
        local listener=$!
        check 'notifications' long_lines 3 unix:out.sock
        kill -TERM "$listener"
        soon has_ended "$listener"
        wait "$listener"
        is 'asked to stop' $? 3
        says 'asked to stop' 'lines were dropped: stdout is not read'
        exec 7>&-
}

a_quiet_listener_prints_nothing() {
        start ferry listen unix:quiet.sock --quiet --echo --count 2
        run ferry notify --wait 20 unix:quiet.sock t hello
        run ferry call unix:quiet.sock t hello
        ended 'a quiet listener answers' 0 hello
        await "$job"
        ended 'a quiet listener' 0 ''
        says_exactly 'a quiet listener' ''
}

serving_goes_on_while_stderr_is_not_read() {
        local listener

        mkfifo full
        exec 7<> full
        mark
        ferry listen unix:err.sock --count 2 --exec 'seq 50000 >&2; cat' > out.listener 2> full 7>&- &
        listener=$!
        run ferry call --wait 20 unix:err.sock t one
        ended 'a command whose stderr is not read' 0 one
        run ferry call unix:err.sock t two
        ended 'another one' 0 two
        wait "$listener"
        is 'the listener' $? 0
        exec 7>&-
        nothing_left 'a listener whose stderr is not read'
}

the_reason_of_a_client_s_failure_is_reported() {
        local listener

        start ferry listen unix:lost.sock --echo -v
        listener=$job
        check 'it listens' soon is_there lost.sock
        run ferry call unix:lost.sock t hello
        run ferry send unix:lost.sock 'GET / HTTP/1.0'
        check 'what was no frame' soon grep -q 'ferry: the session of process [0-9]* (user [0-9]*) has failed: .*not a frame of its dialect' "err.${run_of[listener]}"
        kill -TERM "$listener"
        await "$listener"
        ended 'a listener that has lost a client' 0 -
        is 'clients that were lost' "$(grep -c 'has failed' err)" 1
}

lost_clients_cost_one_line_a_second() {
        local i listener lines more began=$EPOCHSECONDS

        start ferry listen unix:lost.sock --echo -v
        listener=$job
        check 'it listens' soon is_there lost.sock
        for i in {1..30}; do
                ferry send unix:lost.sock 'GET / HTTP/1.0'
        done
        run ferry call unix:lost.sock t hello
        ended 'the service' 0 hello
        kill -TERM "$listener"
        await "$listener"
        lines=$(grep -c 'has failed' err)
        more=$(sed -n 's/^ferry: \([0-9]*\) more errors.*/\1/p' err | awk '{ n += $1 } END { print n + 0 }')
        check "lines: $lines" test "$lines" -ge 1 -a "$lines" -le $((2 + EPOCHSECONDS - began))
        is 'all are counted' $((lines + more)) 30
}

once() {
        is "$1: once" "$(grep -c "$2" err)" 1
}

# In innmind and pcntl there is no error for the other side: the reason is on stderr and in the exit status.
a_failed_request_without_an_error_ends_the_session() {
        run ferry listen stdio: --dialect innmind --exec 'exit 7' < <(cat "$vectors"/innmind-connection-start.bin "$vectors"/innmind-generic-json.bin)
        ended 'innmind' 3 -
        says 'innmind' 'a request failed, which the dialect innmind can report only by closing: the command exited with status 7'
        once 'innmind' 'a request failed'
        run ferry listen stdio: --dialect innmind --exec 'sleep 0.05; exit 7' < <(cat "$vectors"/innmind-connection-start.bin "$vectors"/innmind-generic-json.bin)
        ended 'behind the end of the input' 3 -
        says 'behind the end of the input' 'a request failed, which the dialect innmind can report only by closing: the command exited with status 7'
        once 'behind the end of the input' 'a request failed'
        run ferry call --dialect pcntl 'exec:ferry listen stdio: --dialect pcntl --exec "exit 7"; echo "status $?" >&2; exit 0' task-name hello
        ended 'pcntl' 3 ''
        says 'pcntl' 'a request failed, which the dialect pcntl can report only by closing: the command exited with status 7' 'status 3' \
                "which in this dialect is all that a failed request 'task-name' can say"
        run ferry call --timeout 0.1 --dialect pcntl 'exec:cat >/dev/null' task-name hello
        ended 'a type that is not known' 124 ''
        says 'a type that is not known' "a side that does not know the type 'task-name' says nothing"
        nothing_left 'a failed request'
}

# FERRY_TEST names those to be run, separated by commas.
all=a_command_ends_when_it_exits,an_output_is_limited_while_it_is_read,a_reply_that_does_not_fit_is_an_error_reply
all+=,commands_run_so_many_at_a_time,a_cancelled_request_is_not_begun,the_last_words_of_a_command_are_in_its_error
all+=,an_output_may_be_a_value,a_status_that_is_unknown_is_no_success,the_type_in_the_environment_is_replaced
all+=,the_environment_says_whose_message_it_is,each_notification_has_a_command
all+=,notifications_that_find_no_room_are_dropped_and_reported
all+=,a_command_that_cannot_be_started_says_so,a_guard_needs_few_descriptors,commands_end_with_their_listener
all+=,commands_that_take_too_long_are_ended,the_guard_survives_a_signal_to_the_group,the_guard_holds_nothing,a_guard_that_is_killed_is_replaced,requests_before_the_end_of_the_input_are_answered
all+=,answers_that_a_full_disk_does_not_take_are_a_failure
all+=,a_client_that_does_not_read_is_given_no_more_answers,a_stopped_guard_does_not_keep_its_listener
all+=,a_drain_has_an_end_where_it_is_given_one
all+=,the_mode_and_the_group_of_a_socket_are_given,users_are_let_in_by_name
all+=,serving_goes_on_while_stdout_is_not_read,a_listener_whose_stdout_is_not_read_ends,a_quiet_listener_prints_nothing
all+=,serving_goes_on_while_stderr_is_not_read,the_reason_of_a_client_s_failure_is_reported,lost_clients_cost_one_line_a_second
all+=,a_failed_request_without_an_error_ends_the_session
IFS=, read -r -a chosen <<< "${FERRY_TEST:-$all}"
aside "${chosen[@]}"
finish
