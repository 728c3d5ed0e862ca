#!/bin/bash
# What the tool does with the descriptors and signals that it inherits, and with text that a terminal would act on. Takes the
# build directory.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite cli-output "${1:?usage: test-output.sh BUILD}"
# suite has made it absolute
PATH=$build/tests:$PATH

echo_child='exec:ferry listen stdio: --echo'
escapes=$'a\e[31mb\x07\x7f\xc2\x9b31m\xe2\x80\xaec\xe2\x80\xa8\xd8\x9c\xe2\x81\xa6\xff\r'
shown='a^[[31mb^G^?<U+009B>31m<U+202E>c<U+2028><U+061C><U+2066><FF>^M'

## Lost output --------------------------------------------------------------------------------------------

lost() {
        local arguments=$1 how=$2

        case $arguments in
        list*)
                ferry listen unix:l.sock > /dev/null & local job=$!
                FERRY_DIR=$PWD/names ferry listen named > /dev/null & local other=$!
                soon ferry wait --timeout 0 unix:l.sock 2> /dev/null
                export FERRY_DIR=$PWD/names
                soon ferry wait --timeout 0 named 2> /dev/null ;;
        recv*)
                { soon test -e d; ferry send udg:d x; } & local job=$! ;;
        esac
        mark
        case $how in
        full) eval "ferry $arguments" < in > /dev/full 2> err; status=$? ;;
        closed) eval "ferry $arguments" < in >&- 2> err; status=$? ;;
        esac
        : > out
        ended "$arguments: $how" 3 ''
        says "$arguments: $how" 'stdout'
        # The next one may listen there.
        [[ ! ${other-} ]] || { kill "$other"; wait "$other"; } 2> /dev/null
        [[ ! ${job-} ]] || { kill "$job"; wait "$job"; } 2> /dev/null
        unset FERRY_DIR
        rm -f d
}

run_lost() {
        local how=$1 arguments

        printf '"%s"' "$(head -c 100000 /dev/zero | tr '\0' x)" > in
        : > key
        mkdir -m 700 names
        ferry store shm:key put 1 value
        while read -r arguments; do
                lost "$arguments" "$how"
        done <<'COMMANDS'
--help
--version
call --help
call "$echo_child" t x
call --json "exec:ferry listen stdio:" t x
convert --from json --to json
listen 'exec:ferry notify fd:,1 t x'
run --workers 1 -- ferry listen stdio: --echo
recv --count 1 udg:d
store shm:key get 1
store shm:key list
store --json shm:key list
list --json
list
ipcs
ipcs --json
COMMANDS
        ferry store shm:key remove
}

a_full_disk_is_an_error_of_every_command() {
        run_lost full
}

a_closed_stdout_is_an_error_of_every_command() {
        run_lost closed
}

the_limit_of_a_file_is_an_error() {
        printf '"%s"' "$(head -c 10000 /dev/zero | tr '\0' x)" > in
        mkfifo said
        cat said > err & local reader=$!
        (ulimit -f 1; ferry convert --from json --to json < in > limited 2> said)
        status=$?
        wait $reader
        : > out
        ended 'a file that may not grow' 3 ''
        says 'a file that may not grow' 'cannot write to stdout: File too large'
}

has_emptied_stdin() {
        [[ $(< "/proc/$1/comm") == ferry ]] && ! read -r -t 0 < slow
} 2> /dev/null

## Descriptors without blocking ---------------------------------------------------------------------------

stdin_that_does_not_block_is_waited_for() {
        local arguments

        mkfifo slow
        while read -r arguments; do
                { printf 'one'; until [[ -e seen ]]; do read -r -t 0.01 <> pause; done; printf 'two'; } > slow &
                eval "start prepare nonblock-0 -- ferry $arguments" < slow
                # It has emptied the pipe, and waits.
                soon has_emptied_stdin "$job"
                : > seen
                await "$job"
                rm -f seen
                ended "$arguments, with a stdin that does not block" 0 onetwo
        done <<'COMMANDS'
call "$echo_child" t -
convert --from plain --to plain
COMMANDS
        { printf 'one\n'; printf 'two'; } > in
        run prepare nonblock-0 -- ferry run --ordered --workers 1 -- ferry listen stdio: --echo < in
        ended 'run' 0 $'one\ntwo\n'
}

a_full_stdout_that_does_not_block_is_waited_for() {
        head -c 3000000 /dev/zero | tr '\0' x > in
        mkfifo slow
        start sh -c 'prepare nonblock-1 -- ferry call "exec:ferry listen stdio: --echo" t - > slow' < in
        exec 5< slow
        cat <&5 > got
        exec 5<&-
        await "$job"
        ended 'a full stdout' 0 ''
        check 'a full stdout: nothing is lost' cmp -s in got
}

a_line_on_stderr_is_one_write() {
        local i frames='exec:for i in 1 2 3; do echo noise $i; done; echo words >&2; exec ferry listen stdio: --echo'

        run prepare writes -- ferry call -v "$frames" t x
        check 'call' test "$(grep -c whole out)" -ge 2
        is 'call: parts of lines' "$(grep -c part out)" 0
        for i in 'call' 'frobnicate' 'call --frobnicate' 'convert --from perl' 'store shm:nothing get 1'; do
                # shellcheck disable=SC2086
                run prepare writes -- ferry $i
                is "$i: parts of lines" "$(grep -c part out)" 0
        done
}

lines_that_stderr_refuses_change_no_status() {
        # shellcheck disable=SC2016
        run sh -c 'ferry call "$1" t hello 2> /dev/full' - 'exec:echo noise >&2; exec ferry listen stdio: --echo'
        ended 'a full disk at stderr' 0 hello
        run sh -c 'ferry call exec:false t 2> /dev/full'
        ended 'the same for a failure' 3 ''
        run sh -c 'ferry call exec:false t 2>&-'
        ended 'a stderr that is closed' 3 ''
}

lines_are_whole_on_a_stderr_that_does_not_block() {
        mkfifo slow
        seq -f 'line %050g' 1 5000 > in
        start sh -c 'prepare nonblock-2 -- ferry call "exec:cat in; exec ferry listen stdio: --echo" t x 2> slow'
        # Junk comes in pieces, which need not end with a line. The reader rests for longer than it may where there is no time left.
        { sleep 0.3; sed 's/^junk on stdout: //'; } < slow | tr -d '\n' > got
        await "$job"
        ended 'a full stderr' 0 x
        check 'a full stderr: all is there' cmp -s <(tr -d '\n' < in) got
}

a_signal_ends_a_wait_for_stdout() {
        mkfifo full
        exec 7<> full
        head -c 300000 /dev/zero | tr '\0' x > in
        start sh -c 'exec ferry call "exec:ferry listen stdio: --echo" t - > full' < in
        read -r -N 1 <&7
        interrupt TERM
        exec 7>&-
        ended 'a call whose output is not read' 143 ''
}

## What is inherited --------------------------------------------------------------------------------------

ignored_signals_stay_ignored() {
        local signal

        for signal in INT TERM HUP; do
                start prepare ignore-"$(kill -l $signal)" -- ferry listen unix:"$signal".sock
                soon ferry wait --timeout 0 unix:"$signal".sock 2> /dev/null
                kill -$signal "$job"
                run ferry notify unix:"$signal".sock t x
                ended "SIG$signal is ignored" 0 ''
                interrupt KILL
                ended "SIG$signal is ignored" 137 $'x\n'
        done
}

blocked_signals_are_let_in() {
        local signal

        for signal in INT TERM HUP; do
                start prepare block-"$(kill -l $signal)" -- ferry listen unix:"$signal".sock
                soon ferry wait --timeout 0 unix:"$signal".sock 2> /dev/null
                interrupt $signal
                ended "SIG$signal is blocked" 0 ''
        done
}

an_ignored_sigchld_hides_no_failure() {
        run prepare ignore-17 -- ferry call "exec:ferry listen stdio: --exec 'exit 3'" t x
        ended 'a command that fails' 1 ''
        says 'a command that fails' 'exited with status 3'
        run prepare ignore-17 -- ferry listen 'exec:exit 3'
        ended 'a child that fails' 3 ''
        says 'a child that fails' 'exited with status 3'
}

two_signals_at_once_are_one() {
        mkfifo begun go
        start ferry listen unix:x.sock --exec 'echo > begun; cat go'
        local listener=$job
        start ferry call --wait 20 unix:x.sock t x
        local client=$job
        read -r < begun
        kill -TERM "$listener"
        kill -TERM "$listener"
        kill -HUP "$listener"
        echo answer > go
        await "$client"
        ended 'the request in hand' 0 $'answer\n'
        await "$listener"
        ended 'the listener' 0 $'x\n'
}

## Text that a terminal acts on ---------------------------------------------------------------------------

diagnostics_are_escaped() {
        run ferry call "exec:ferry listen stdio:" "t$escapes" x
        says 'an address' 'ferry: '
        run ferry "$escapes"
        says_exactly 'a command' "ferry: there is no command '$shown': ferry --help lists the commands"$'\n'
        TEXT=$escapes run ferry call 'exec:printf "%s\n" "$TEXT"; exec ferry listen stdio: --echo' t x
        says 'junk' "junk on stdout: $shown"
        TEXT=$escapes run ferry call 'exec:printf "%s\n" "$TEXT" >&2; exec ferry listen stdio: --echo' t x
        says 'stderr' "junk on stderr: $shown"
        run ferry call 'exec:ferry notify fd:,1 progress '"'${escapes%%$'\xff'*}'"'; exec ferry listen stdio: --echo' t x
        says 'a notification' 'notification progress: a^[[31mb^G^?<U+009B>31m<U+202E>c<U+2028><U+061C><U+2066>'
        run ferry listen $'unix:/no\e[31m/x'
        says 'a path' '/no^[[31m/x'
}

a_newline_forges_no_line() {
        run ferry call 'exec:ferry notify fd:,1 progress "half
ferry: forged"; exec ferry listen stdio: --echo' t x
        says_exactly 'a body' $'notification progress: half\nnotification progress: ferry: forged\n'
        run ferry $'x\nferry: forged'
        is 'an argument' "$(grep -c ^ferry: err)" 1
        run ferry call "exec:ferry listen stdio: --exec 'printf \"x\nferry: forged\" >&2; exit 1'" t x
        check 'an error' test "$(grep -c '^ferry: forged' err)" = 0
}

bodies_are_escaped_on_a_terminal_only() {
        run ferry call "$echo_child" t "$escapes"
        ended 'a pipe' 0 "$escapes"
        run prepare terminal -- ferry call "$echo_child" t "$escapes"
        ended 'a terminal' 0 "$shown"$'\n'
        run prepare terminal -- ferry call "$echo_child" t --value $'{"a":"\xc2\x9b\x7f\xe2\x80\xae"}'
        ended 'JSON on a terminal' 0 '{"a":"\u009b\u007f\u202e"}'$'\n'
        run prepare terminal -- ferry call "$echo_child" t $'two\nlines\tx'
        ended 'newlines and tabs stay' 0 $'two\nlines\tx\n'
        printf '%s' "$escapes" > in
        run prepare terminal -- ferry convert --from plain --to plain < in
        ended 'convert' 0 "$shown"$'\n'
}

malformed_frames_cost_one_line_a_second() {
        local i more lines

        # A frame of ferry whose type is no UTF-8.
        for i in {1..500}; do
                printf '\xf3\x4a\x9d\xe2\0\0\0\x13\1\2\3\0\0\1\0\0\0\0\0\0\0\0\0\0\xffxxx'
        done > in
        run ferry call "exec:cat in; exec ferry listen stdio: --echo" t x
        lines=$(grep -c '^error' err)
        more=$(sed -n 's/^ferry: \([0-9]*\) more errors.*/\1/p' err | awk '{ n += $1 } END { print n + 0 }')
        check "lines: $lines" test "$lines" -ge 1 -a "$lines" -le $((2 + took / 1000))
        is 'all are counted' $((lines + more)) 500
}

## Times --------------------------------------------------------------------------------------------------

no_timeout_and_no_wait_are_said_so() {
        run ferry call --timeout none "$echo_child" t x
        ended 'none is for ever' 0 x
        run ferry call --timeout 0 'exec:sleep 20' t x
        ended '0 does not wait' 124 ''
        run ferry wait --timeout 0 nothing-there
        ended 'wait: 0' 124 ''
        run ferry recv --timeout 0 udg:d
        ended 'recv: 0' 124 ''
        run ferry call --timeout never "$echo_child" t x
        ended 'a word' 2 ''
        says 'a word' "--timeout: 'never' is not a number of seconds from 0 to 1000000, nor none"
}

a_number_is_a_plain_decimal_one() {
        local text name

        for text in 0x1 inf nan 1e1 1e400 ' 5' '5 ' +5 -5 1,5 5s '' . 1.2.3 99999999999999999999; do
                run ferry call --timeout "$text" "$echo_child" t x
                ended "--timeout '$text'" 2 ''
                says "--timeout '$text'" "--timeout: '$text' is not a number of seconds from 0 to 1000000, nor none"
                run ferry run --max-rss "$text" -- cat
                ended "--max-rss '$text'" 2 ''
                says "--max-rss '$text'" "--max-rss: '$text' is not a number of bytes from 1, alone or with K, M or G"
        done
        for text in 0x1 inf nan 1e1 1e400 ' 5' '5 ' +5 - 1.5 5K ''; do
                for name in workers retry max-tasks; do
                        run ferry run --"$name"="$text" -- cat
                        ended "--$name '$text'" 2 ''
                        says "--$name '$text'" "--$name: '$text' is not a whole decimal number"
                done
                run ferry recv --type "$text" msgq:private
                ended "--type '$text'" 2 ''
                says "--type '$text'" "--type: '$text' is not a whole decimal number"
                run ferry store shm:private get "$text"
                ended "KEY '$text'" 2 ''
                says "KEY '$text'" "KEY: '$text' is not a whole decimal number"
        done
        for text in 0x1 ' 7' +7 '7 ' 8; do
                run ferry listen --mode "$text" unix:m
                ended "--mode '$text'" 2 ''
                says "--mode '$text'" "--mode: '$text' is not an octal number"
        done
        for text in 0x1 ' 5' +5 5e1 inf nan 5.5; do
                run ferry run --halt "soon,fail=$text" -- cat
                ended "--halt '$text'" 2 ''
                says "--halt '$text'" "--halt: 'soon,fail=$text'"
        done
        for text in 5 05 5. .5 0.5 none; do
                run ferry call --timeout "$text" "$echo_child" t x
                ended "--timeout '$text'" 0 x
        done
}

a_stderr_that_is_not_read_holds_no_deadline() {
        local caller

        mkfifo full
        exec 7<> full
        run bash -c 'exec ferry call --timeout 0.2 "exec:yes >&2" t 2> full'
        ended 'call' 124 ''
        run bash -c 'exec ferry run --timeout 0.2 --workers 1 --retry 0 -- sh -c "yes >&2" <<< one 2> full'
        ended 'run' 1 ''
        mark
        ferry call --timeout none 'exec:echo there > begun; exec yes >&2' t > out.caller 2> full 7>&- &
        caller=$!
        check 'the child floods stderr' soon test -e begun
        kill -TERM "$caller"
        wait "$caller"
        is 'TERM ends it' $? 143
        exec 7>&-
        nothing_left 'a stderr that is not read'
}

all=a_full_disk_is_an_error_of_every_command,a_closed_stdout_is_an_error_of_every_command,the_limit_of_a_file_is_an_error
all+=,stdin_that_does_not_block_is_waited_for,a_full_stdout_that_does_not_block_is_waited_for,a_line_on_stderr_is_one_write
all+=,lines_that_stderr_refuses_change_no_status,lines_are_whole_on_a_stderr_that_does_not_block,a_signal_ends_a_wait_for_stdout,ignored_signals_stay_ignored
all+=,blocked_signals_are_let_in,an_ignored_sigchld_hides_no_failure,two_signals_at_once_are_one,diagnostics_are_escaped
all+=,a_newline_forges_no_line,bodies_are_escaped_on_a_terminal_only,malformed_frames_cost_one_line_a_second
all+=,no_timeout_and_no_wait_are_said_so,a_number_is_a_plain_decimal_one,a_stderr_that_is_not_read_holds_no_deadline
IFS=, read -r -a chosen <<< "${FERRY_TEST:-$all}"
aside "${chosen[@]}"
finish
