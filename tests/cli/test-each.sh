#!/bin/bash
# ferry call --each: a request for each line of stdin over one session. Takes the build directory.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite cli-each "${1:?usage: test-each.sh BUILD}"
# suite has made it absolute
PATH=$build/tests:$PATH

echo_child='exec:ferry listen stdio: --echo'
deaf_child='exec:ferry listen stdio:'

# A listener at s.sock; its options are the arguments.
serve() {
        start ferry listen unix:s.sock --quiet "$@"
        listener=$job
        ferry wait --timeout 20 unix:s.sock
}

end_service() {
        kill -TERM "$listener"
        await "$listener"
}

each_line_is_a_request() {
        run ferry call --each "$echo_child" t - < <(printf 'one\n\n two \nlast')
        ended 'lines' 0 $'one\n\n two \nlast\n'
        says_exactly 'lines' ''
        run ferry call --each "$echo_child" t - < /dev/null
        ended 'no line' 0 ''
        run ferry call --each --null "$echo_child" t - < <(printf 'a\nb\0\0c')
        ended 'lines that end with NUL' 0 $'a\nb\n\nc\n'
        run ferry call --each --value "$echo_child" t - < <(printf '{"a":[1]}\n"text"\nnull\n')
        ended 'lines of JSON' 0 $'{"a":[1]}\ntext\nnull\n'
        run ferry call --each --json "$echo_child" t - < <(printf 'x\ny\n')
        ended 'replies as JSON' 0 $'{"task":1,"kind":"response","type":"t","id":"1","body":"x"}\n{"task":2,"kind":"response","type":"t","id":"2","body":"y"}\n'
        nothing_left 'call --each'
}

replies_come_in_the_order_of_the_lines_or_as_they_come() {
        serve --echo
        for options in '' '--in-flight 1' '--in-flight 3' '--in-flight 5000' '--shm' '--no-shm' '--codec json'; do
                seq 20000 > lines
                [[ $options != *' '[13] ]] || seq 2000 > lines
                # shellcheck disable=SC2086
                run ferry call --each $options unix:s.sock t - < lines
                ended "in order: $options" 0 @lines
        done
        end_service
        # The first line is answered once the third one was sent, which needs an answer to the second.
        mkfifo go
        serve --workers 3 --exec 'read line; [ "$line" = 1 ] && read -r line < go; [ "$line" = 3 ] && echo 1 > go; echo "$line"'
        run ferry call --each --unordered --in-flight 2 --timeout 20 unix:s.sock t - < <(printf '1\n2\n3\n')
        ended 'as they come' 0 -
        is 'the first reply' "$(head -n 1 out)" 2
        run ferry call --each --in-flight 2 --timeout 20 unix:s.sock t - < <(printf '1\n2\n3\n')
        ended 'the same in order' 0 $'1\n\n2\n\n3\n\n'
        end_service
}

parts_of_a_reply_are_printed_with_it() {
        serve --workers 3 --stream --exec 'read -r line; echo "$line a"; echo "$line b"'
        run ferry call --each unix:s.sock t - < <(seq 3)
        ended 'parts' 0 $'1 a\n1 b\n2 a\n2 b\n3 a\n3 b\n'
        run ferry call --each --json unix:s.sock t - < <(echo 1)
        ended 'parts as JSON' 0 -
        is 'parts as JSON' "$(grep -c '"task":1,"kind":"progress"' out)" 2
        end_service
        serve --stream --exec 'read -r line; echo "$line a"; exit 3'
        run ferry call --each unix:s.sock t - < <(printf '2\n')
        ended 'parts before a failure' 1 $'2 a\n'
        says 'parts before a failure' 'line 1: the command exited with status 3'
        end_service
        serve --stream --exec 'yes a line that is sent without an end, as a part of a reply'
        run ferry call --each unix:s.sock t - < <(echo 1)
        ended 'parts without end' 1 ''
        says_exactly 'parts without end' \
                $'ferry: line 1: outcome unknown: the parts of its reply have more than 16 MiB: use ferry call without --each\n'
        end_service
}

all_dialects_have_lines() {
        seq 500 > lines
        for dialect in ferry stream-ipc pcntl innmind; do
                serve --echo --dialect "$dialect"
                run ferry call --each --dialect "$dialect" unix:s.sock 'StreamIpc\Message\LogMessage' - < lines
                if [[ $dialect == innmind ]]; then
                        run ferry call --each --dialect innmind unix:s.sock text/plain - < lines
                fi
                ended "$dialect" 0 @lines
                end_service
        done
        start ferry listen tcp:127.0.0.1:0 --echo --verbose
        soon grep -q 'listening at' "$job_err"
        run ferry call --each "$(sed -n 's/.*listening at //p' "$job_err")" t - < lines
        ended 'tcp' 0 @lines
        kill -TERM "$job"
        await "$job"
}

failures_are_reported_by_line() {
        run ferry call --each --value "$echo_child" t - < <(printf '1\nnope\n3\n')
        ended 'a line that is not JSON' 1 $'1\n3\n'
        says_exactly 'a line that is not JSON' $'ferry: line 2: not executed: the line is not JSON: it is wrong at byte 1\n'
        run ferry call --each "$deaf_child" t - < <(seq 5)
        ended 'answers that are errors' 1 ''
        says_exactly 'answers that are errors' \
                $'ferry: lines 1 to 5: this listener only listens: it was started without --echo, --reply or --exec\n'
        run ferry call --each --json "$deaf_child" t - < <(seq 2)
        ended 'errors as JSON' 1 -
        is 'lines of JSON' "$(grep -c '"kind":"error"' out)" 2
        says_exactly 'errors as JSON' ''
        run ferry call --each 'exec:exec sleep 60' t - --timeout 0.1 < <(seq 3)
        ended 'no answer' 1 ''
        says_exactly 'no answer' $'ferry: lines 1 to 3: outcome unknown: no answer within 0.1 s\n'
        run ferry call --each 'exec:cat' t - < <(seq 3)
        ended 'a command that sends back what it reads' 1 ''
        says 'a command that sends back what it reads' 'COMMAND sends back what it reads'
        run ferry call --each "$echo_child; echo words >&2; exit 3" t - < <(seq 3)
        ended 'a command that fails at the end' 3 $'1\n2\n3\n'
        says 'a command that fails at the end' 'the child exited with status 3'
        run ferry call --each --wait 0 unix:nothing t - < <(seq 3)
        ended 'no service' 3 ''
        says 'no service' 'no process listens'
        serve --echo
        run bash -c "head -c 17000000 /dev/zero | tr '\\0' x | cat - <(printf '\\nnext\\n') | ferry call --each unix:s.sock t -"
        ended 'a line that is too long' 1 $'next\n'
        says_exactly 'a line that is too long' $'ferry: line 1: not executed: the line has more than 16777216 bytes\n'
        end_service
}

# What was in flight is unknown, and what follows is not sent.
the_end_of_the_service_is_reported() {
        # shellcheck disable=SC2016
        serve --workers 8 --exec 'read line; [ "$line" = 3 ] && kill -KILL $PPID; [ "$line" -lt 3 ] || exec sleep 60; echo "$line"'
        mkfifo feed
        exec 7<> feed
        start ferry call --each --no-reconnect unix:s.sock t - < feed
        local caller=$job caller_out=$job_out
        printf '1\n2\n' >&7
        soon grep -q 2 "$caller_out"
        printf '3\n4\n' >&7
        await "$caller"
        exec 7>&-
        ended 'a service that is killed' 3 $'1\n\n2\n\n'
        says 'a service that is killed' 'outcome unknown: the other side has closed the connection without a close' \
                'no line after line 4 was sent: '
        await "$listener"
        # While nothing is in flight, and more lines may come.
        serve --echo
        exec 7<> feed
        start ferry call --each --no-reconnect unix:s.sock t - < feed
        caller=$job caller_out=$job_out
        echo 1 >&7
        soon grep -q 1 "$caller_out"
        end_service
        await "$caller"
        exec 7>&-
        ended 'a service that ends' 3 $'1\n'
        says_exactly 'a service that ends' $'ferry: no line after line 1 was sent: \'unix:s.sock\' has ended the session\n'
        rm feed
}

# A listener that is asked to end answers what it has begun and refuses the rest, which its successor then gets. Of those that a
# killed one had, it is not known whether they were executed.
lines_that_were_not_executed_are_sent_again() {
        seq 60 > lines
        mkfifo go
        serve --workers 2 --exec 'read -r line; [ "$line" = 5 ] && { : > begun; read -r none < go; }; printf %s "$line"'
        start ferry call --each --in-flight 40 --timeout 20 unix:s.sock t - < lines
        local caller=$job
        soon test -e begun
        kill -TERM "$listener"
        let_signal_pass
        echo > go
        await "$listener"
        ended 'the old listener' 0 ''
        serve --echo
        await "$caller"
        ended 'a restart' 0 @lines
        says_exactly 'a restart' ''
        end_service
        # shellcheck disable=SC2016
        serve --workers 1 --exec 'read -r line; [ "$line" = 5 ] && kill -KILL $PPID; printf %s "$line"'
        start ferry call --each --in-flight 40 --timeout 20 unix:s.sock t - < lines
        caller=$job
        await "$listener"
        serve --echo
        await "$caller"
        ended 'a listener that is killed' 1 -
        says 'a listener that is killed' 'outcome unknown: '
        check 'what it had not read is done' diff <(sed -n '45,$p' lines) <(tail -n 16 out)
        end_service
        run ferry call --each --timeout 0.2 unix:s.sock t - --wait 0 < lines
        ended 'no listener' 3 ''
        # One that ends and does not come back.
        mkfifo feed
        exec 7<> feed
        serve --echo
        start ferry call --each --timeout 0.2 unix:s.sock t - < feed
        caller=$job
        echo 1 >&7
        soon grep -q 1 "$job_out"
        end_service
        await "$caller"
        exec 7>&-
        ended 'a listener that does not come back' 3 $'1\n'
        says 'a listener that does not come back' 'no line after line 1 was sent: '
}

# How much of its stdin, a file, a process has read, and whether it sleeps then.
has_read() { # PID LEAST
        local name value stat
        { read -r stat < "/proc/$1/stat" && read -r name value < "/proc/$1/fdinfo/0"; } 2> /dev/null || return 1
        [[ ${stat##*) } == S* && $name == pos: && $value -ge $2 ]] && read_so_far=$value
}

# It sleeps, and has read no more in 30 looks.
has_stopped() { # PID LEAST
        has_read "$1" "$2" || return 1
        [[ $read_so_far == "$stopped_at" ]] || looks=0
        stopped_at=$read_so_far
        [[ $((++looks)) -ge 30 ]]
}

# As many lines as are in flight, and as fit into the buffer of stdin. A file could be read at once.
stdin_is_read_as_lines_are_sent() {
        seq 1000000 > lines
        mkfifo go
        serve --workers 2 --exec 'read -r line < go; cat go'
        start ferry call --each --in-flight 2 unix:s.sock t - < lines
        local caller=$job read_so_far=0 stopped_at='' looks=0
        soon has_stopped "$caller" 65536
        check 'stdin is not read without limit' test "$read_so_far" -gt 0 -a "$read_so_far" -lt 300000
        kill -KILL "$caller" "$listener"
        await "$caller"
        await "$listener"
        rm -f go
}

a_stdout_that_is_not_read_stops_it() {
        seq 1000000 > lines
        serve --echo
        mkfifo pipe
        exec 7<> pipe
        start sh -c 'exec ferry call --each unix:s.sock t - > pipe' < lines
        local caller=$job read_so_far=0 stopped_at='' looks=0
        soon has_stopped "$caller" 100000
        check 'nothing more is sent' test "$read_so_far" -gt 0 -a "$read_so_far" -lt 600000
        kill -INT "$caller"
        await "$caller"
        is 'the end by a signal' "$status" 130
        says_exactly 'the end by a signal' $'ferry: stdout takes no more, and a signal has come: the output is incomplete\n'
        exec 7>&-
        run bash -c 'ferry call --each unix:s.sock t - < lines | head -n 2'
        ended 'a reader that goes' 0 $'1\n2\n'
        says_exactly 'a reader that goes' ''
        run sh -c 'ferry call --each unix:s.sock t - < lines > /dev/full'
        ended 'a full disk' 3 ''
        says_exactly 'a full disk' $'ferry: cannot write to stdout: No space left on device; the output is incomplete\n'
        run sh -c 'ferry call --each unix:s.sock t - < lines >&-'
        ended 'a closed stdout' 3 ''
        says_exactly 'a closed stdout' $'ferry: cannot print the replies of \'unix:s.sock\': stdout is closed\n'
        run sh -c 'ferry call --each unix:s.sock t - <&-'
        ended 'a closed stdin' 4 ''
        says_exactly 'a closed stdin' $'ferry: cannot read stdin: Bad file descriptor\n'
        end_service
}

# Of 12 MB each: more than the queue holds, than one write takes, and than may be in flight.
large_lines_pass() {
        for digit in 1 2 3 4; do
                head -c 12000000 /dev/zero | tr '\0' $digit
                echo
        done > lines
        serve --echo
        run ferry call --each unix:s.sock t - < lines
        ended 'large lines' 0 @lines
        run bash -c 'ferry call --each unix:s.sock t - < lines | (read -r -t 0.1 none <> pause; cat)'
        ended 'large lines for a slow reader' 0 @lines
        end_service
        rm lines
}

has_begun() {
        [[ -e begun.$1 ]]
}

a_signal_reports_what_is_in_flight() {
        serve --workers 4 --exec 'read -r line; : > "begun.$line"; exec sleep 60'
        mkfifo feed
        exec 7<> feed
        start ferry call --each unix:s.sock t - < feed
        local caller=$job
        printf '1\n2\n' >&7
        soon has_begun 2
        kill -TERM "$caller"
        await "$caller"
        exec 7>&-
        is 'the end by SIGTERM' "$status" 143
        says_exactly 'the end by SIGTERM' $'ferry: lines 1 to 2: outcome unknown: this side closed the session\n'
        kill -KILL "$listener"
        await "$listener"
        rm feed
}

# The flags of pipes belong to others, too.
descriptors_that_do_not_block_are_waited_for() {
        serve --echo
        seq 50000 > lines
        run bash -c '(head -c 100 lines; read -r -t 0.05 none <> pause; tail -c +101 lines) |
                prepare nonblock-0 nonblock-1 -- ferry call --each unix:s.sock t - | (read -r -t 0.05 none <> pause; cat)'
        ended 'pipes' 0 @lines
        end_service
}

options_that_would_do_nothing_are_refused() {
        for options in '--each unix:x t' '--each unix:x t body' '--in-flight 2 unix:x t' '--unordered unix:x t' '--null unix:x t' \
                '--each stdio: t -' '--each fd:0 t -' '--each fd:5,1 t -' '--each --in-flight 2 --dialect pcntl unix:x t -' \
                '--each --in-flight 0 unix:x t -' '--each --in-flight 65537 unix:x t -'; do
                # shellcheck disable=SC2086
                run ferry call $options < /dev/null
                ended "$options" 2 ''
        done
        run ferry notify --each unix:x t - < /dev/null
        ended 'notify --each' 2 ''
}

all=each_line_is_a_request,replies_come_in_the_order_of_the_lines_or_as_they_come,all_dialects_have_lines
all+=,parts_of_a_reply_are_printed_with_it,lines_that_were_not_executed_are_sent_again,failures_are_reported_by_line,the_end_of_the_service_is_reported,stdin_is_read_as_lines_are_sent
all+=,a_stdout_that_is_not_read_stops_it,large_lines_pass,a_signal_reports_what_is_in_flight
all+=,descriptors_that_do_not_block_are_waited_for,options_that_would_do_nothing_are_refused
IFS=, read -r -a chosen <<< "${FERRY_TEST:-$all}"
aside "${chosen[@]}"
finish
