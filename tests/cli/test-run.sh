#!/bin/bash
# ferry run as people see it: every task ends once, the run ends, and nothing of it is left. Takes the build directory.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite cli-run "${1:?usage: test-run.sh BUILD}"

echoes=(ferry listen stdio: --echo)
interop=$tests/interop

# summary NAME TEXT: the last line on stderr says that, and a rate
summary() {
        local last

        last=$(tail -n 1 err)
        is "$1: the summary" "${last%,*}" "ferry: $2"
        check "$1: the rate" grep -qE ', [0-9]+\.[0-9] tasks/s$' <<< "$last"
}

# said NAME LINE…: stderr of the last run is these lines, in any order, and a summary
said() {
        local name=$1

        shift
        if cmp -s <((($#)) && printf '%s\n' "$@" | sort) <(sed '$d' err | sort); then
                pass
        else
                fail "$name: stderr is not: $*"
                show
        fi
}

has_lines() {
        [[ $(wc -l < "$1") -ge $2 ]]
}

## What the project promises ---------------------------------------------------------------------------

promises() {
        mark
        seq 1 100 | ferry run --workers 4 -- ferry listen stdio: --exec "sed 's/^/task /'" 2> err | sort -V | tail -1 > out
        is 'a hundred tasks' "$(< out)" 'task 100'
        summary 'a hundred tasks' '100 done, 0 failed, 0 restarts'
        said 'a hundred tasks'
        mark
        seq 1 50 | ferry run --ordered --workers 4 -- ferry listen stdio: --echo 2> err | cmp - <(seq 1 50)
        is 'in order' "${PIPESTATUS[*]}" '0 0 0'
        run ferry run --workers 2 -- /no/such/program < /dev/null
        ended 'no such program' 3 ''
        says_exactly 'no such program' $'ferry: /no/such/program cannot be started: No such file or directory\n'
        nothing_left 'no such program'
}

# The pauses between its starts are what takes the time.
crashes() {
        seq 1 20 > tasks
        run ferry run --workers 2 -- sh -c 'head -c 1 >/dev/null; kill -SEGV $$' < tasks
        ended 'a worker that crashes' 1 ''
        summary 'a worker that crashes' "0 done, 20 failed, $(sed -n 's/.*, \([0-9]*\) restarts.*/\1/p' err) restarts"
        mapfile -t lines < <(seq -f 'ferry: task %g: its worker was killed by SIGSEGV' 1 20)
        said 'a worker that crashes' "${lines[@]}"
        nothing_left 'a worker that crashes'
}

usage() {
        local command

        for command in 'ferry run' 'ferry run --workers 2' 'ferry run --' 'ferry run --workers 0 cat' \
                'ferry run --workers -1 cat' 'ferry run --workers abc cat' 'ferry run --workers 2x cat' 'ferry run --workers= cat' \
                'ferry run --retry -1 cat' 'ferry run --retry often cat' 'ferry run --timeout never cat' 'ferry run --type' \
                'ferry run --frobnicate cat' 'ferry run --echo cat' 'ferry run --dialect klingon cat' \
                'ferry run --dialect innmind cat' 'ferry run --dialect ferry,innmind cat' 'ferry run --dialect pcntl,ferry cat' \
                'ferry run --codec xml cat'; do
                eval "run $command" < /dev/null
                ended "usage: $command" 2 ''
                check "usage: $command: a sentence" grep -q '^ferry: ' err
        done
        run ferry run --help
        ended 'help' 0 -
        check 'help tells the options' test "$(grep -cE -- '--(workers|type|ordered|retry|value|dialect|timeout|json) ' out)" = 8

        # What stands behind the command is its own.
        echo hello > tasks
        run ferry run --workers 1 ferry listen stdio: --echo < tasks
        ended 'without a --' 0 $'hello\n'
        run ferry run --workers 1 -- sh -c 'exec ferry "$@"' -- listen stdio: --echo < tasks
        ended 'two of them' 0 $'hello\n'
        run ferry run --retry 0 --workers 1 "${echoes[@]}" < tasks
        ended 'no more tries' 0 $'hello\n'
        run ferry run "${echoes[@]}" < tasks
        ended 'as many workers as there are processors' 0 $'hello\n'
        run ferry run --workers 1 --type number -- ferry listen stdio: --exec 'echo "$FERRY_TYPE"' < tasks
        ended 'another type' 0 $'number\n\n'
        run ferry run --workers 1 -- ferry listen stdio: --exec 'printf %s "$FERRY_TYPE"' < tasks
        ended 'its type' 0 $'task\n'
}

# The default number of workers is that of the processors that may be used.
processors() {
        local first

        if ! command -v taskset > /dev/null; then
                skipped 'the affinity mask: this needs taskset(1)'
                return
        fi
        first=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*\([0-9]*\).*/\1/p' /proc/self/status)
        run taskset -c "$first" ferry run -- sh -c 'echo >> started; exec ferry listen stdio: --echo' <<< hello
        ended 'one processor' 0 $'hello\n'
        is 'one processor, one worker' "$(wc -l < started)" 1
}

## Tasks -----------------------------------------------------------------------------------------------

# Of the tasks in $1 those are done that stand in $2, whatever the rest.
values() {
        local workers ordered tasks=$1 expected=$2 failed=$3

        printf '%b' "$tasks" > tasks
        for workers in 1 4; do
                for ordered in '' --ordered; do
                        run ferry run --value --workers $workers $ordered -- "${echoes[@]}" < tasks
                        [[ $ordered ]] || { sort -n out > sorted && mv sorted out; }
                        ended "values $tasks, $workers workers $ordered" $((failed > 0)) "$expected"
                        summary "values $tasks" "$(wc -l < out) done, $failed failed, 0 restarts"
                        is "values $tasks: each has its reason" "$(grep -c 'the line is no JSON: it is wrong at byte' err)" "$failed"
                done
        done
        nothing_left "values $tasks"
}

json_values() {
        local i all

        values 'x' '' 1
        values 'x\n' '' 1
        values '\n' '' 1
        values 'x\nx' '' 2
        values '1\nx' $'1\n' 1
        values '1\nx\n' $'1\n' 1
        values 'x\n1' $'1\n' 1
        values '1\nx\n2\nx\n3\n' $'1\n2\n3\n' 2
        values "$(printf 'x\\n%.0s' {1..100})1\\n" $'1\n' 100
        values "1\\n$(printf 'x\\n%.0s' {1..100})" $'1\n' 100
        values '{"b": [1, 2.5, null]}\n' $'{"b":[1,2.5,null]}\n' 0
        values '[1]2\n3\n' $'3\n' 1
        run ferry run --value --workers 2 -- "${echoes[@]}" <<< $'1\n{"a":\n3'
        says 'the number of the line' 'ferry: task 2: the line is no JSON: it is wrong at byte 5'

        # More of them than are read at once.
        { printf 'bad\n%.0s' {1..30000}; echo 7; } > tasks
        run ferry run --value --workers 2 -- "${echoes[@]}" < tasks
        ended 'thirty thousand bad ones' 1 $'7\n'
        summary 'thirty thousand bad ones' '1 done, 30000 failed, 0 restarts'
}

lines() {
        local ordered i

        : > empty
        for i in empty /dev/null; do
                run ferry run --workers 2 -- "${echoes[@]}" < $i
                ended "nothing to do: $i" 0 ''
                summary "nothing to do: $i" '0 done, 0 failed, 0 restarts'
        done
        printf '\n\n\n' > tasks
        run ferry run --workers 2 -- "${echoes[@]}" < tasks
        ended 'empty lines are tasks' 0 $'\n\n\n'
        printf 'a\n\nb' > tasks
        run ferry run --ordered --workers 2 -- "${echoes[@]}" < tasks
        ended 'no newline at the end' 0 $'a\n\nb\n'
        printf 'a\0b\n\xff\xfe\r\n\x01\n' > tasks
        run ferry run --ordered --workers 2 -- "${echoes[@]}" < tasks
        ended 'all bytes' 0 @tasks
        seq 1 20000 > tasks
        run ferry run --ordered --workers 3 -- "${echoes[@]}" < tasks
        ended 'many' 0 @tasks
        summary 'many' '20000 done, 0 failed, 0 restarts'
        mark
        while read -r -N 7 i || [[ $i ]]; do printf %s "$i"; done < <(seq 1 300) | ferry run --ordered "${echoes[@]}" > out 2> err
        is 'pieces of lines' "$(< out)" "$(seq 1 300)"
        run ferry run --workers 8 -- "${echoes[@]}" <<< one
        ended 'more workers than tasks' 0 $'one\n'
        nothing_left 'more workers than tasks'

        run ferry run --workers 1 -- "${echoes[@]}" <&-
        ended 'without stdin' 4 ''
        says 'without stdin' 'ferry: reading failed: Bad file descriptor'
        run ferry run --workers 1 -- "${echoes[@]}" < /
        ended 'a folder' 4 ''
        says 'a folder' 'ferry: reading failed: Is a directory'
        nothing_left 'a folder'

        # What was not started has read nothing.
        echo here > tasks
        run bash -c 'ferry run --workers 2 -- /no/such/program; cat' < tasks
        ended 'nothing was read' 0 $'here\n'
}

huge() {
        head -c 9000000 /dev/urandom | base64 -w0 > tasks
        echo >> tasks
        run ferry run --workers 1 -- "${echoes[@]}" < tasks
        ended 'twelve million bytes' 0 @tasks
        within 'twelve million bytes' 0 20000

        # The limit is told, whoever finds it, and the next line is the next.
        { echo a; head -c 16777216 /dev/zero | tr '\0' x; echo; echo b; } > tasks
        run ferry run --ordered --workers 2 -- "${echoes[@]}" < tasks
        ended 'as long as a frame' 1 $'a\nb\n'
        said 'as long as a frame' 'ferry: task 2: the message has more than 16777216 bytes, the limit (frame_max)'
        { echo a; head -c 16777217 /dev/zero | tr '\0' x; echo; echo b; } > tasks
        run ferry run --ordered --workers 2 -- "${echoes[@]}" < tasks
        ended 'longer than a frame' 1 $'a\nb\n'
        said 'longer than a frame' 'ferry: task 2: the line has more than 16777216 bytes'
        { echo a; head -c 70000000 /dev/zero | tr '\0' x; printf '\nb\n'; head -c 40000000 /dev/zero | tr '\0' x; } > tasks
        run ferry run --ordered --retry 3 --workers 1 -- "${echoes[@]}" < tasks
        ended 'far too long, and so is the last' 1 $'a\nb\n'
        said 'far too long, and so is the last' 'ferry: task 2: the line has more than 16777216 bytes' \
                'ferry: task 4: the line has more than 16777216 bytes'
        summary 'far too long, and so is the last' '2 done, 2 failed, 0 restarts'
        rm tasks
}

# The first one waits for the fifth.
order() {
        local slow='read -r x; [ "$x" = 5 ] && echo > go; [ "$x" = 1 ] && read -r y < go; printf %s "$x"'

        mkfifo go
        run ferry run --ordered --workers 2 -- ferry listen stdio: --exec "$slow" <<< $'1\n2\n3\n4\n5\n6'
        ended 'in order' 0 $'1\n2\n3\n4\n5\n6\n'
        run ferry run --workers 2 -- ferry listen stdio: --exec "$slow" <<< $'1\n2\n3\n4\n5'
        is 'as they come' "$(head -n 3 out | paste -sd' ')" '2 3 4'
        is 'as they come: all' "$(sort out | paste -sd' ')" '1 2 3 4 5'

        # What waits for one that is slow is bounded: the last ones are not even begun.
        exec 8<> go
        run ferry run --ordered --workers 2 -- sh -c \
                'mkdir first && exec ferry listen stdio: --exec "[ -e go-on ] || read -r y < go; cat"; exec ferry listen stdio: --echo' \
                < <(seq 1 2000; : > go-on; echo >&8)
        exec 8>&-
        seq 1 2000 > expected
        ended 'one that is slow' 0 @expected
}

# Large answers that wait for the first one are bounded in bytes: the ninth is begun only when the first is done.
held_bytes() {
        local i command

        command='read -r x; : > "begun $x"; if [ $x = 1 ]; then
                until [ -e "begun 5" ]; do sleep 0.01; done
                i=0; while [ $i -lt 20 ] && [ ! -e "begun 9" ]; do sleep 0.02; i=$((i + 1)); done
                [ ! -e "begun 9" ] || : > early; fi
                printf "%s " $x; head -c 4000000 /dev/zero | tr "\0" x'
        run ferry run --ordered --workers 2 -- ferry listen stdio: --exec "$command" < <(seq 1 20)
        is 'large answers that wait' "$(cut -d' ' -f1 out | paste -sd' ')" "$(seq 1 20 | paste -sd' ')"
        is 'large answers that wait: all bytes' "$(wc -c < out)" $((20 * 4000000 + 9 * 3 + 11 * 4))
        check 'large answers that wait: the input waits, too' test ! -e early
        rm out
        nothing_left 'large answers that wait'
}

outputs() {
        local i

        run ferry run --json --workers 1 -- "${echoes[@]}" <<< $'a\nb'
        ended 'json' 0 $'{"task":1,"kind":"response","type":"task","id":"1","body":"a"}\n{"task":2,"kind":"response","type":"task","id":"2","body":"b"}\n'
        run ferry run -v --workers 2 -- "${echoes[@]}" <<< a
        ended 'what the sessions were' 0 $'a\n'
        is 'what the sessions were' "$(grep -c '"dialect":"ferry",.*"stream":"process".*"in_flight":0' err)" 2
        # The first waits for the second: without the number nobody could tell which is which.
        mkfifo second
        run ferry run --json --workers 2 -- ferry listen stdio: --exec \
                'read -r task; if [ $task = b ]; then echo > second; else read -r word < second; fi; echo $task' <<< $'a\nb'
        sort -o out out
        ended 'json, in whatever order' 0 \
                $'{"task":1,"kind":"response","type":"task","id":"1","body":"a\\n"}\n{"task":2,"kind":"response","type":"task","id":"1","body":"b\\n"}\n'
        run ferry run --workers 1 -- sh -c 'echo noise; echo log >&2; exec ferry listen stdio: --echo' <<< hello
        ended 'noise' 0 $'hello\n'
        said 'noise' 'junk on stdout: noise' 'junk on stderr: log'

        # A reader that goes is the end, quietly.
        mark
        { seq 1 100000; } 2> /dev/null | { ferry run --workers 2 -- "${echoes[@]}" 2> err; echo $? > its-status; } | head -1 > out
        is 'its reader has gone' "$(< its-status)" 0
        is 'its reader has gone: what was read' "$(wc -l < out)" 1
        said 'its reader has gone'
        nothing_left 'its reader has gone'
        # Even if somebody works for ever on the next.
        mark
        { echo 1; echo 2; } | { ferry run --workers 2 -- \
                sh -c 'mkdir answers && exec ferry listen stdio: --echo; exec sleep 1000' 2> err; echo $? > its-status; } | true
        is 'its reader has gone, and somebody works for ever' "$(< its-status)" 0
        nothing_left 'its reader has gone, and somebody works for ever'
        if [[ -e /dev/full ]]; then
                mark
                seq 1 10 | ferry run --workers 2 -- "${echoes[@]}" 2> err > /dev/full
                is 'a full device' "${PIPESTATUS[1]}" 3
                says 'a full device' 'No space left'
                is 'a full device is told once' "$(grep -c 'No space' err)" 1
        fi
        mark
        ferry run --workers 1 -- "${echoes[@]}" <<< hello > out 2>&-
        status=$?
        ended 'without stderr' 0 $'hello\n'
        mark
        ferry run --workers 1 -- "${echoes[@]}" <<< hello 2> err >&-
        is 'without stdout' $? 3

        # What people see who look on.
        if command -v script > script-is && script -qec true /dev/null > /dev/null < /dev/null; then
                # The shell is the user's here, or sh: what it reads is plain.
                printf 'a\nb\n' > tasks
                run script -qec 'ferry run --workers 1 -- ferry listen stdio: --echo < tasks' /dev/null < /dev/null
                ended 'on a terminal' 0 -
                check 'on a terminal there is a bar' grep -qF '[..............................] 0 of 2' out
                check 'which is taken away' grep -qE $'\r\033\\[Ka\r' out
                check 'and a summary' grep -qF 'ferry: 2 done, 0 failed' out
        else
                skipped 'the bar on a terminal: this needs script(1)'
        fi
}

## Failures --------------------------------------------------------------------------------------------

failures() {
        local ordered

        for ordered in '' --ordered; do
                run ferry run --workers 2 $ordered -- ferry listen stdio: <<< $'1\n2\n3'
                ended 'an answer that is an error' 1 ''
                said 'an answer that is an error' 'ferry: task '{1,2,3}': this listener only listens: it was started without --echo, --reply or --exec'
                summary 'an answer that is an error' '0 done, 3 failed, 0 restarts'
                run ferry run --workers 2 $ordered --retry 3 -- ferry listen stdio: --exec \
                        'read -r x; [ "$x" = 2 ] && exit 7; printf %s "$x"' <<< $'1\n2\n3'
                [[ $ordered ]] || { sort out > sorted && mv sorted out; }
                ended 'one of three' 1 $'1\n3\n'
                said 'one of three' 'ferry: task 2: the command exited with status 7'
                summary 'one of three' '2 done, 1 failed, 0 restarts'
        done

        # Each costs its own worker only, also where it comes to an end in order.
        run ferry run --workers 1 -- sh -c 'echo alas >&2; exit 3' <<< $'1\n2\n3'
        ended 'it exits' 1 ''
        says 'it exits' 'ferry: task '{1,2,3}': its worker exited with status 3; its last words: alas'
        run ferry run --workers 1 -- true <<< $'1\n2\n3'
        ended 'it exits with 0, for ever' 1 ''
        says 'it exits with 0, for ever' 'ferry: task '{1,2,3}': its worker exited with status 0'
        run ferry run --workers 1 -- ferry listen stdio: --exec 'read -r x; [ "$x" = 2 ] && kill -KILL $PPID; printf %s "$x"' \
                <<< $'1\n2\n3'
        ended 'one is killed' 1 $'1\n3\n'
        said 'one is killed' 'ferry: task 2: its worker was killed by SIGKILL'
        summary 'one is killed' '2 done, 1 failed, 1 restarts'
        nothing_left 'one is killed'

}

silence() {
        local dialect

        # Who does not answer is replaced; what waited is not given to it any more.
        run ferry run --workers 1 --timeout 0.1 -- sh -c 'mkdir first && exec sleep 1000; exec ferry listen stdio: --echo' \
                <<< $'1\n2\n3'
        says 'one does not answer' 'ferry: task 1: no answer within 0.1 s'
        run ferry run --workers 2 --timeout 0.1 --retry 1 -- sleep 1000 <<< $'1\n2\n3\n4\n5'
        ended 'nobody ever answers' 1 ''
        said 'nobody ever answers' 'ferry: task '{1..5}': no answer within 0.1 s'
        nothing_left 'nobody ever answers'
        # What it has started for the task ends with it.
        for dialect in ferry stream-ipc; do
                run ferry run --dialect $dialect --workers 2 --timeout 0.3 -- ferry listen stdio: --exec 'sleep 1000; true' <<< $'1\n2\n3'
                ended "a command is too slow, in $dialect" 1 ''
                nothing_left "a command is too slow, in $dialect"
        done
        # Who can no longer be talked to is replaced.
        run ferry run --workers 1 --timeout 0.2 -- sh -c 'exec <&-; exec sleep 1000' <<< $'1\n2'
        ended 'its stdin is closed' 1 ''
        summary 'its stdin is closed' "0 done, 2 failed, $(sed -n 's/.*, \([0-9]*\) restarts.*/\1/p' err) restarts"
        run ferry run --workers 1 -- sh -c 'exec >&-; exec sleep 1000' <<< $'1\n2'
        ended 'its stdout is closed' 1 ''
        says 'its stdout is closed' 'ferry: task 2: its worker has closed the connection'
        nothing_left 'its stdout is closed'
}

last_words() {
        # Also what a worker says when it has been told to end.
        run ferry run --workers 1 -- sh -c 'ferry listen stdio: --echo; echo "one task" >&2; printf "and no newline" >&2' <<< a
        ended 'last words' 0 $'a\n'
        said 'last words' 'junk on stderr: one task' 'junk on stderr: and no newline'
        run ferry run --json --workers 1 -- sh -c 'ferry listen stdio: --echo; printf "\377" >&2' <<< a
        says 'last words, in JSON' '{"kind":"junk","body":{"__bytes":"/w=="},"source":"stderr"}'
}

# However much is in hand while no worker is there.
large_tasks() {
        { yes die | head -6; for i in 1 2 3; do head -c 9000000 /dev/zero | tr '\0' a; echo; done; } > large
        run ferry run --workers 3 -- ferry listen stdio: --exec 'x=$(head -c 3); case $x in die) kill -9 $PPID ;; *) wc -c ;; esac' < large
        ended 'large tasks' 1 $'8999997\n\n8999997\n\n8999997\n\n'
        summary 'large tasks' '3 done, 6 failed, 6 restarts'
}

writes_output() {
        local number first

        read -r number first _ < "/proc/$1/syscall" && [[ $number != running && $first == 0x1 ]]
}

has_children() {
        [[ $(pgrep -c -P "$1") == "$2" ]]
}

# What is done is printed, also behind a task that is given up.
printed() {
        local done

        mkfifo tasks
        exec 5<> tasks
        seq 1 5 >&5
        start ferry run --ordered --workers 2 -- ferry listen stdio: --exec 'read -r x; [ $x != 1 ] || sleep 1000; : > "did $x"; echo $x' < tasks
        soon test -e 'did 5'
        kill -TERM "$job"
        soon has_children "$job" 1
        interrupt TERM
        ended 'behind one that is given up' 143 $'2\n\n3\n\n4\n\n5\n\n'
        nothing_left 'behind one that is given up'
        exec 5>&-

        # A signal that comes while the reader is slow loses nothing.
        mkfifo slow
        exec 8<> slow
        seq -f '%0100g' 1 5000 > many
        start sh -c 'exec ferry run --workers 2 -- ferry listen stdio: --echo > slow' < many
        soon writes_output "$job"
        kill -TERM "$job"
        cat < slow > lines 8>&- &
        exec 8>&-
        await "$job"
        wait $!
        ended 'a slow reader' 143 ''
        done=$(sed -n 's/^ferry: \([0-9]*\) done.*/\1/p' err)
        is 'a slow reader' "$(wc -l < lines)" "$done"
}

deadlines() {
        # The time of a task begins when somebody has it: each takes little of it, all of them more.
        run ferry run --workers 1 --timeout 6 -- ferry listen stdio: --exec 'sleep 1.3; printf x' <<< $'1\n2\n3\n4\n5'
        ended 'those behind have their time, too' 0 $'x\nx\nx\nx\nx\n'
}

retries() {
        run ferry run --workers 1 --retry 2 -- ferry listen stdio: --exec 'echo >> tries; kill -KILL $PPID' <<< $'1'
        ended 'two more tries' 1 ''
        said 'two more tries' 'ferry: task 1: its worker was killed by SIGKILL'
        is 'two more tries' "$(wc -l < tries)" 3
        run ferry run --workers 1 -- ferry listen stdio: --exec 'echo >> once; kill -KILL $PPID' <<< $'1'
        is 'no more tries, unless they are asked for' "$(wc -l < once)" 1
        run ferry run --workers 1 --retry 1 -- ferry listen stdio: --exec \
                'read -r x; mkdir "first $x" && kill -KILL $PPID; printf %s "$x"' <<< $'1\n2\n3'
        ended 'the second try is good' 0 $'1\n2\n3\n'
        summary 'the second try is good' '3 done, 0 failed, 3 restarts'
        # An answer is an answer.
        run ferry run --workers 1 --retry 9 -- ferry listen stdio: --exec 'echo >> answers; exit 1' <<< $'1'
        ended 'an error is not tried again' 1 ''
        is 'an error is not tried again' "$(wc -l < answers)" 1
        nothing_left 'tries'

        # It cannot be started again.
        printf '#!/bin/sh\nrm -- "$0"\nexec ferry listen stdio: --exec "kill -KILL \\$PPID"\n' > once-only
        chmod +x once-only
        run ferry run --workers 1 -- ./once-only <<< $'1\n2\n3'
        ended 'it has gone' 3 ''
        says 'it has gone' 'ferry: task 1: its worker was killed by SIGKILL' './once-only cannot be started: No such file'
        nothing_left 'it has gone'
        (ulimit -n 40 && run ferry run --workers 1000 -- "${echoes[@]}" <<< 1; [[ $status -eq 3 && -s err ]])
        is 'too few descriptors' $? 0
        nothing_left 'too few descriptors'
}

## Signals ---------------------------------------------------------------------------------------------

# Start a run whose input stays open, in which somebody works.
begin() {
        rm -f begun go tasks
        mkfifo begun go tasks
        exec 6<> tasks
        printf '1\n2\n3\n' >&6
        start "$@" <&6
        read -r < begun
        exec 6>&-
}

signal_TERM() {
        signalled TERM
}

signal_INT() {
        signalled INT
}

signal_HUP() {
        signalled HUP
}

signalled() {
        local signal=$1 number worker

        number=$((128 + $(kill -l "$signal")))
        # Who can finish does.
        begin ferry run --workers 1 -- ferry listen stdio: --exec 'echo > begun; read -r x < go; printf done'
        worker=$(ps -o pid= --ppid "$job")
        kill -"$signal" "$job"
        check "$signal is passed on" soon heard_signal "$((worker))"
        echo > go
        await "$job"
        ended "$signal: the task in hand" $number $'done\n'
        summary "$signal: the task in hand" '1 done, 0 failed, 2 not done, 0 restarts'
        nothing_left "$signal: the task in hand"

        # Who dies of it is not started again.
        begin ferry run --workers 1 --retry 5 -- sh -c 'echo > begun; exec sleep 1000'
        interrupt "$signal"
        ended "$signal: it dies" $number ''
        says "$signal: it dies" 'ferry: 0 done, ' ', 0 restarts, '
        within "$signal: it dies" 0 15000
        nothing_left "$signal: it dies"

        # The second one ends those who do not hear it.
        begin ferry run --workers 1 -- sh -c 'trap "" TERM INT HUP; echo > begun; sleep 1000; sleep 1000'
        kill -"$signal" "$job"
        if [[ $signal == TERM ]]; then interrupt INT; number=130; else interrupt TERM; number=143; fi
        check "$signal, and another one" test "$status" -gt 128
        nothing_left "$signal, and another one"
}

signal_others() {
        # It is passed on, and told at the end.
        begin ferry run --workers 1 -- sh -c 'trap "exit 7" USR1; echo > begun; while :; do read -r x < go; done'
        kill -USR1 "$job"
        check 'USR1 reaches the workers' soon has_lines "$job_err" 1
        interrupt TERM
        says 'USR1' 'its worker exited with status 7'

        # With nohup nothing hangs up.
        mkfifo begun-2 go-2
        start nohup ferry run --workers 1 -- ferry listen stdio: --exec 'echo > begun-2; read -r x < go-2; printf done' <<< 1
        read -r < begun-2
        kill -HUP "$job"
        echo > go-2
        await "$job"
        ended 'nohup' 0 $'done\n'

        # A run that is killed takes its workers along.
        begin ferry run --workers 1 -- sh -c 'echo > begun; exec sleep 1000'
        interrupt KILL
        ended 'killed' 137 ''
        nothing_left 'killed'
}

# One that is stuck in a full pipe ends, too.
stuck() {
        mkfifo full
        exec 7<> full
        mark
        yes | ferry run --workers 2 -- "${echoes[@]}" > full 2> stuck-err &
        job=$!
        check 'it is stuck' soon is_stuck "$job"
        kill -TERM "$job"
        check 'a run that is stuck in a full pipe ends' soon has_ended "$job"
        exec 7>&-
        nothing_left 'a run that is stuck'
}

# Whether it waits in a write to a pipe, where the kernel tells that; else whether it can be told to end.
is_stuck() {
        local call=

        read -r call < "/proc/$1/wchan"
        [[ $call == *pipe* ]] || { [[ ! $call || $call == 0 ]] && handles_signals "$1"; }
} 2> /dev/null

## Dialects --------------------------------------------------------------------------------------------

dialects() {
        local dialect codec

        for dialect in auto ferry stream-ipc pcntl; do
                run ferry run --ordered --workers 2 --dialect $dialect -- "${echoes[@]}" --dialect $dialect <<< $'1\n2\n3'
                ended "in $dialect" 0 $'1\n2\n3\n'
                said "in $dialect"
        done
        for codec in msgpack php json; do
                run ferry run --workers 1 --codec $codec --value -- "${echoes[@]}" <<< '{"a":[1]}'
                ended "in $codec" 0 $'{"a":[1]}\n'
        done
        run ferry run --workers 1 --timeout 0.2 --dialect pcntl -- "${echoes[@]}" --dialect ferry <<< 1
        ended 'who speaks another' 1 ''
        run ferry run --dialect innmind "${echoes[@]}" <<< 1
        says_exactly 'innmind' $'ferry: workers are talked to in one of ferry, stream-ipc and pcntl; innmind is for services\n'
        nothing_left 'dialects'
        if ! command -v php > /dev/null; then
                skipped 'PHP workers: this needs php'
                return
        fi
        for codec in php json; do
                run ferry run --ordered --workers 2 --dialect stream-ipc --codec $codec --type 'StreamIpc\Message\LogMessage' -- \
                        php -n "$interop/stream-ipc-child.php" $codec StreamIpc <<< $'echo 1\necho 2\necho 3'
                ended "workers in PHP, $codec" 0 -
                is "workers in PHP, $codec" "$(wc -l < out)" 3
                nothing_left "workers in PHP, $codec"
        done
}

# FERRY_TEST names those to be run, separated by commas.
all=promises,crashes,usage,processors,json_values,lines,huge,order,held_bytes,outputs,failures,silence,last_words,large_tasks,printed,deadlines,retries
all+=,signal_TERM,signal_INT,signal_HUP,signal_others,stuck,dialects
IFS=, read -r -a chosen <<< "${FERRY_TEST:-$all}"
aside "${chosen[@]}"
finish
