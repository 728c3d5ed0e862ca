#!/bin/bash
# ferry run as people see it: every task ends once, the run ends, and nothing of it is left. Takes the build directory.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite cli-run "${1:?usage: test-run.sh BUILD}"

echoes=(ferry listen stdio: --echo)
interop=$tests/interop

# summary NAME TEXT: the last line on stderr says that, and a rate
summary() {
        local lines last rate=', [0-9]+\.[0-9] tasks/s$'

        mapfile -t lines < err
        last=${lines[*]: -1}
        is "$1: the summary" "${last%,*}" "ferry: $2"
        [[ $last =~ $rate ]]
        is "$1: the rate" $? 0
}

# How many that summary tells.
restarts() {
        sed -n 's/.*, \([0-9]*\) restarts.*/\1/p' err
}

# said NAME LINE…: stderr of the last run is these lines, in any order, and a summary
said() {
        local name=$1 lines IFS=$'\n'

        shift
        mapfile -t lines < err
        # Most often they stand in that order.
        if [[ ${#lines[@]} -gt 0 && "${lines[*]::${#lines[@]}-1}" == "$*" ]] || cmp -s <((($#)) && printf '%s\n' "$@" | sort) <(sed '$d' err | sort); then
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
        run ferry run --workers 1 -- cat <<< x
        ended 'a command that knows no dialect' 1 ''
        says 'a command that knows no dialect' 'COMMAND sends back what it reads: it must answer requests in a dialect of ferry'
        run ferry call exec:cat t hello
        ended 'call to a command that knows no dialect' 1 ''
        says 'call to a command that knows no dialect' 'COMMAND sends back what it reads'
}

# A command that crashes does not take all tasks along.
crashes() {
        local killed task lines

        seq 1 20 > tasks
        run ferry run --workers 2 -- ferry listen stdio: --exec 'kill -KILL $PPID' < tasks
        ended 'a crash loop' 3 ''
        summary 'a crash loop' "0 done, 10 failed, 10 not done, $(restarts) restarts"
        # Two workers take tasks side by side: the tenth to fail need not be the tenth that was read.
        killed=$(sed -n 's/^ferry: task \([0-9]*\): its worker was killed by SIGKILL$/\1/p' err)
        mapfile -t lines < <(
                for task in {1..20}; do
                        grep -qx "$task" <<< "$killed" && echo "ferry: task $task: its worker was killed by SIGKILL" ||
                                echo "ferry: task $task was not done: $task"
                done)
        said 'a crash loop' "${lines[@]}" \
                'ferry: giving up: the workers are in a crash loop: none has ever answered, 10 have died, and the last one was killed by SIGKILL'
        nothing_left 'a crash loop'
        seq 1 30 > tasks
        run ferry run --workers 8 --joblog jobs --retry 99 -- sh -c 'echo alas >&2; exit 3' < tasks
        ended 'a crash loop and many tries' 3 ''
        says 'a crash loop and many tries' '16 have died, and the last one exited with status 3; its last words: alas'
        is 'a crash loop and many tries: the list' "$(grep -c 'was not done: ' err)" 10
        says 'a crash loop and many tries: the rest' 'ferry: 20 more tasks were read and not done'
        run ferry run --resume --workers 2 --joblog jobs -- "${echoes[@]}" < tasks
        is 'what was not done can be resumed' "$(sort -n out)" "$(seq 1 30)"
        # Without any task, too.
        exec 9<> pause
        run ferry run --workers 4 -- false <&9
        exec 9>&-
        ended 'a crash loop before the first task' 3 ''
        says 'a crash loop before the first task' 'have died, and the last one exited with status 1' 'ferry: the rest of stdin was not read'
        # Once a worker has answered the run goes on.
        seq 1 16 > tasks
        run ferry run --ordered --workers 4 -- sh -c 'if mkdir first 2> /dev/null; then ferry listen stdio: --echo --count 1; : > answered; exit; fi
                until [ -e answered ]; do sleep 0.01; done; head -c 1 > /dev/null; kill -KILL $$' < tasks
        check 'a worker has answered' test "$status" = 1 -a "$(grep -c 'ferry: task .*killed by SIGKILL' err)" -ge 12
        nothing_left 'a worker has answered'
}

usage() {
        local command

        for command in 'ferry run' 'ferry run --workers 2' 'ferry run --' 'ferry run --workers 0 cat' \
                'ferry run --workers -1 cat' 'ferry run --workers abc cat' 'ferry run --workers 2x cat' 'ferry run --workers 1025 cat' 'ferry run --workers= cat' \
                'ferry run --retry -1 cat' 'ferry run --retry often cat' 'ferry run --timeout never cat' 'ferry run --type' \
                'ferry run --frobnicate cat' 'ferry run --echo cat' 'ferry run --dialect klingon cat' \
                'ferry run --dialect innmind cat' 'ferry run --dialect ferry,innmind cat' 'ferry run --dialect pcntl,ferry cat' \
                'ferry run --codec xml cat' 'ferry run --joblog' 'ferry run --halt' \
                'ferry run --max-tasks 0 cat' 'ferry run --max-tasks x cat' 'ferry run --max-tasks 99999999999 cat' 'ferry run --max-rss 0 cat' \
                'ferry run --max-rss K cat' 'ferry run --max-rss 1T cat' 'ferry run --max-rss -1 cat' 'ferry run --max-rss 9999999999G cat'; do
                eval "run $command" < /dev/null
                ended "usage: $command" 2 ''
                check "usage: $command: a sentence" grep -q '^ferry: ' err
        done
        run ferry run --help
        ended 'help' 0 -
        check 'help tells the options' test "$(grep -cE -- '--(workers|type|ordered|retry|value|dialect|timeout|json|null|halt|joblog|resume|resume-failed|quiet|max-tasks|max-rss) ' out)" = 16

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
                        is "values $tasks: each has its reason" "$(grep -cE 'the line is not JSON: it (is wrong at|ends too early, at) byte' err)" "$failed"
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
        says 'the number of the line' 'ferry: task 2: the line is not JSON: it ends too early, at byte 5'

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
        says 'without stdin' 'ferry: cannot read stdin: Bad file descriptor'
        run ferry run --workers 1 -- "${echoes[@]}" < /
        ended 'a folder' 4 ''
        says 'a folder' 'ferry: cannot read stdin: Is a directory'
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

        # The limit is reported, wherever it is found, and the next line is the next.
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
        # The first waits for the second: only the number tells which is which.
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
        # On a busy machine a worker may need longer than its second to end.
        sed -i '/workers had to be killed/d' err
        said 'its reader has gone'
        nothing_left 'its reader has gone'
        # Even if a worker works for ever on the next.
        mark
        { echo 1; echo 2; } | { ferry run --workers 2 -- \
                sh -c 'mkdir answers && exec ferry listen stdio: --echo; exec sleep 1000' 2> err; echo $? > its-status; } | true
        is 'its reader has gone, and a worker works for ever' "$(< its-status)" 0
        nothing_left 'its reader has gone, and a worker works for ever'
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

        # What a user sees on the terminal.
        if command -v script > script-is && script -qec true /dev/null > /dev/null < /dev/null; then
                # The shell is the user's here, or sh: what it reads is plain.
                printf 'a\nb\n' > tasks
                run script -qec 'ferry run --workers 1 -- ferry listen stdio: --echo < tasks' /dev/null < /dev/null
                ended 'on a terminal' 0 -
                check 'on a terminal there is a bar' grep -qF '[..............................] 0 of 2' out
                # The first of two tasks waits for the bar to be drawn again.
                run script -qec 'ferry run --workers 1 -- ferry listen stdio: --exec "sleep 0.06" < tasks' /dev/null < /dev/null
                ended 'the time that is left' 0 -
                check 'it has the time that is left' grep -qF '[###############...............] 1 of 2, 1 s left' out
                # What a worker says of its task: after a while, since the bar is not drawn all the time.
                run script -qec "echo a | ferry run --workers 1 -- ferry listen stdio: --stream --value --exec \
                        'sleep 0.06; echo 25; sleep 0.06; printf \"%s\\n\" \"\\\"half\\\"\"; sleep 0.06'" /dev/null < /dev/null
                ended 'progress of a task' 0 -
                check 'a number is a percentage' grep -qF '0 of 1 | 1: 25%' out
                check 'a text is shown' grep -qF '0 of 1 | 1: half' out
                run script -qec 'ferry run --workers 1 -- ferry listen stdio: --echo < tasks' /dev/null < /dev/null
                check 'which is taken away' grep -qE $'\r\033\\[Ka\r' out
                check 'and a summary' grep -qF 'ferry: 2 done, 0 failed' out
        else
                skipped 'the bar on a terminal: this needs script(1)'
        fi
}

## The log, and what goes on with it --------------------------------------------------------------------

columns=$'Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\tOutcome'

# logged FILE COLUMN…: these columns of all lines but the first, sorted
logged() {
        local file=$1

        shift
        tail -n +2 "$file" | cut -f "$(IFS=,; echo "$*")" | sort -n
}

joblog() {
        run ferry run --workers 1 --joblog jobs -- ferry listen stdio: --exec \
                'read -r x; case $x in 1) kill -KILL $PPID ;; 2) exit 3 ;; *) echo abc ;; esac' <<< $'1\n2\n33'
        ended 'a log' 1 $'abc\n\n'
        is 'a log: its columns' "$(head -n 1 jobs)" "$columns"
        is 'a log: its lines' "$(logged jobs 1 2 5- )" \
                $'1\t:\t1\t0\t0\t9\t1\tunknown\n2\t:\t1\t0\t1\t0\t2\tfailed\n3\t:\t2\t4\t0\t0\t33\treplied'
        check 'a log: its times' test "$(cut -f 3,4 jobs | grep -cxE $'[0-9]{10}\\.[0-9]{3}\t[0-9]+\\.[0-9]{3}')" = 3
        printf 'a\tb\\\n\x01\xc3\xa4\n' > tasks
        head -c 5000 /dev/zero | tr '\0' y >> tasks
        run ferry run --ordered --workers 1 --joblog jobs -- "${echoes[@]}" < tasks
        is 'text in a log' "$(logged jobs 9)" $'\\x01ä\na\\tb\\\\\n'"$(head -c 1024 /dev/zero | tr '\0' y)..."
        run ferry run --workers 1 --value --timeout 0.1 --joblog jobs -- sleep 1000 <<< $'1\nx'
        is 'tasks without an answer in a log' "$(logged jobs 1 7- )" $'1\t124\t0\t1\tunknown\n2\t4\t0\tx\tnot executed'

        # What cannot be a log is left as it is.
        for text in 'precious data' $'Seq\tHost' $'Seq\tHost\n' "$columns"$'\t\n'; do
                printf '%s' "$text" > other
                for option in --joblog '--resume --joblog'; do
                        run ferry run --workers 1 $option other -- "${echoes[@]}" <<< 1
                        # Such a beginning is all that a killed run may have left.
                        if [[ $columns != "$text"* ]]; then
                                ended "another file: $text" 4 ''
                                is "another file: $text" "$(< other)" "${text%$'\n'}"
                        else
                                ended "a torn first line" 0 $'1\n'
                                is "a torn first line" "$(wc -l < other)" 2
                                printf '%s' "$text" > other
                        fi
                done
        done
        printf '%s\n1\t:\n' "$columns" > other
        run ferry run --workers 1 --resume --joblog other -- "${echoes[@]}" <<< 1
        ended 'a log with another line' 4 ''
        says 'a log with another line' 'line 2 is not a line of a log'
        mkfifo fifo
        for file in / /no/such/folder/log fifo; do
                run ferry run --workers 1 --joblog $file -- "${echoes[@]}" <<< 1
                check "no log: $file" test "$status" = 3 -a -s err
        done
        run ferry run --workers 1 --resume --joblog /dev/null -- "${echoes[@]}" <<< 1
        ended 'nothing to resume from' 4 ''
        run ferry run --workers 1 --joblog /dev/null -- "${echoes[@]}" <<< 1
        ended 'a log without a reader' 0 $'1\n'
        for option in --resume --resume-failed; do
                run ferry run --workers 1 $option -- "${echoes[@]}" <<< 1
                ended "$option without a log" 2 ''
        done
        run ferry run --workers 1 --joblog jobs -- ferry run --workers 1 --resume --joblog jobs -- "${echoes[@]}" <<< 1
        says 'a log that is used' "'jobs' is the log of another ferry run"
        nothing_left 'a log that is used'

        # A full disk is not passed over.
        if [[ -e /dev/full ]]; then
                run ferry run --workers 1 --joblog /dev/full -- "${echoes[@]}" <<< 1
                ended 'a log on a full disk' 3 ''
                says 'a log on a full disk' "ferry: cannot write to '/dev/full': No space left on device"
        fi
        seq 1 100 > tasks
        mark
        (trap '' XFSZ; ulimit -f 1; exec ferry run --ordered --workers 2 --joblog full -- "${echoes[@]}" < tasks 2>&1 > >(cat > out)) | cat > err
        is 'a disk that becomes full' "${PIPESTATUS[0]}" 3
        says 'a disk that becomes full' "ferry: cannot write to 'full': File too large"
        is 'a disk that becomes full: whole lines' "$(tail -c 1 full | od -An -c)" "$(echo | od -An -c)"
        nothing_left 'a disk that becomes full'
        run ferry run --ordered --resume --workers 2 --joblog full -- "${echoes[@]}" < tasks
        ended 'and then there is room' 0 -
        is 'and then there is room' "$(logged full 1)" "$(seq 1 100)"
}

resume() {
        local i skipped

        seq 1 1000 > tasks
        run sh -c 'ferry run --joblog jobs --workers 4 -- ferry listen stdio: --echo < tasks | head -300'
        cp out printed
        run ferry run --resume --joblog jobs -- "${echoes[@]}" < tasks
        # None, if head(1) has ended before it was seen how much it has read.
        skipped=$(sed -n 's/.*, \([0-9]*\) skipped.*/\1/p' err)
        is 'what the log did not have' "$(wc -l < out)" $((1000 - ${skipped:-0}))
        is 'all is in the log' "$(logged jobs 1)" "$(seq 1 1000)"
        # Also what head(1) has read and not printed.
        is 'each was printed' "$(cat printed out | sort -nu)" "$(seq 1 1000)"
        run ferry run --resume --joblog jobs -- "${echoes[@]}" < tasks
        ended 'nothing is left to do' 0 ''
        summary 'nothing is left to do' '0 done, 0 failed, 1000 skipped, 0 restarts'

        # What a reader has not taken out of the pipe is not in the log.
        run bash -c 'ferry run --joblog jobs --ordered --workers 2 -- ferry listen stdio: --echo < tasks |
                { for i in {1..100}; do read -r line; echo "$line"; done; }'
        ended 'a reader that goes' 0 -
        cp out printed
        check 'a reader that goes' test "$(wc -l < out)" = 100 -a "$(logged jobs 1 | wc -l)" -le 100
        run ferry run --ordered --resume --joblog jobs -- "${echoes[@]}" < tasks
        is 'a reader that goes: each was printed' "$(cat printed out | sort -nu)" "$(seq 1 1000)"
        # One that stays has used all.
        run sh -c 'ferry run --joblog jobs --workers 4 -- ferry listen stdio: --echo < tasks | cat'
        is 'a reader that stays: all is in the log' "$(logged jobs 1)" "$(seq 1 1000)"

        # Killed at any time: nothing is lost.
        for i in 1 2; do
                : > did
                start ferry run --joblog "jobs $i" --workers 2 -- ferry listen stdio: --exec 'echo >> did; cat' < tasks
                soon has_lines did $((i * 20))
                interrupt KILL
                nothing_left 'a run that is killed'
                cp out before
                printf '7\t:\t12' >> "jobs $i"
                run ferry run --resume --joblog "jobs $i" --workers 2 -- "${echoes[@]}" < tasks
                is 'a run that is killed' "$(sort -nu before out | grep -c .)" 1000
                is 'a run that is killed: all is in the log' "$(logged "jobs $i" 1)" "$(seq 1 1000)"
        done

        # Failed tasks are done again on demand, and the last line about one counts.
        for i in 1 2; do
                run ferry run --workers 2 --joblog failed --resume-failed -- ferry listen stdio: --exec \
                        'read -r x; [ $x != 2 ] || [ -e second ] || exit 1; echo $x' <<< $'1\n2\n3'
                : > second
        done
        ended 'failed tasks are done again' 0 $'2\n\n'
        summary 'failed tasks are done again' '1 done, 0 failed, 2 skipped, 0 restarts'
        run ferry run --workers 2 --joblog failed --resume-failed -- "${echoes[@]}" <<< $'1\n2\n3\n4'
        ended 'and then they are good' 0 $'4\n'
        run ferry run --workers 2 --joblog failed -- ferry listen stdio: --exec 'exit 1' <<< $'1\n2'
        run ferry run --workers 2 --joblog failed --resume -- "${echoes[@]}" <<< $'1\n2\n3'
        ended 'else they are left out' 0 $'3\n'
        run ferry run --workers 2 --joblog failed --resume -- "${echoes[@]}" <<< $'1\n2\nx'
        ended 'another input' 4 ''
        says 'another input' "ferry: task 3 is not the one that 'failed' has with this number"
}

halt() {
        local half='read -r x; [ $((x % 2)) = 0 ] && exit 1; echo $x' arguments

        seq 1 20 > tasks
        while read -r arguments; do
                # As the shell splits it.
                set -- $arguments
                run ferry run --workers 1 --halt "$1" -- ferry listen stdio: --exec "$half" < tasks
                is "--halt $1" "$status $(sed -n 's/^ferry: \([0-9]*\) done, \([0-9]*\) failed.*/\1 \2/p' err)" "$2 $3 $4"
        done <<< 'never 1 10 10
                now 1 1 1
                soon 1 1 1
                soon,fail=3 1 3 3
                now,success=2 0 2 1
                soon,done=5 1 3 2
                soon,fail=20% 1 4 4
                now,fail=1% 1 3 3
                soon,fail=60% 1 10 10'
        says 'not enough' 'ferry: 10 done, 10 failed, 0 restarts'
        for arguments in x now, now,fail soon,fail= soon,fail=0 soon,fail=-1 soon,fail=1.5 soon,fail=0% soon,fail=101% soon,fail=1%% \
                soon,fail=1x soon,fail=nan never,fail=1 soon,killed=1; do
                run ferry run --workers 1 --halt $arguments -- "${echoes[@]}" < tasks
                ended "--halt $arguments" 2 ''
                says "--halt $arguments" "ferry: --halt: '$arguments' is not"
        done

        # Now is now: tasks in hand are dropped, and are in no log.
        run ferry run --workers 2 --halt now --joblog jobs -- ferry listen stdio: --exec \
                'read -r x; [ $x = 1 ] && { echo > begun; exec sleep 1000; }; until [ -e begun ]; do sleep 0.01; done; exit 1' < tasks
        ended 'now' 1 ''
        is 'now: the log' "$(logged jobs 1 10)" $'2\tfailed'
        nothing_left 'now'
        # Soon is when tasks in hand are done.
        run ferry run --workers 2 --halt soon --joblog jobs -- ferry listen stdio: --exec \
                'read -r x; [ $x = 2 ] && exit 1; until grep -q failed jobs; do sleep 0.01; done; echo $x' < tasks
        ended 'soon' 1 $'1\n\n'
        is 'soon: the log' "$(logged jobs 1 10)" $'1\treplied\n2\tfailed'
}

# Tasks may have newlines when they end with NUL.
nulls() {
        local ordered

        for ordered in '' --ordered; do
                printf 'a\nb\0\0c\0d' > tasks
                run ferry run --null $ordered --workers 1 -- "${echoes[@]}" < tasks
                ended "tasks that end with NUL $ordered" 0 $'a\nb\n\nc\nd\n'
        done
        printf '[1,\n2]\0{"a": "b"}\0' > tasks
        run ferry run --null --value --ordered --workers 2 -- "${echoes[@]}" < tasks
        ended 'JSON that ends with NUL' 0 $'[1,2]\n{"a":"b"}\n'
        head -c 17000000 /dev/zero | tr '\0' '\n' > tasks
        printf '\0a\nb\0' >> tasks
        run ferry run --null --workers 2 -- "${echoes[@]}" < tasks
        ended 'a task that is too long, and another one' 1 $'a\nb\n'
        rm tasks
}

quiet() {
        run ferry run --quiet --workers 1 -- ferry listen stdio: --exec 'read -r x; [ $x = 1 ] && exit 1; echo $x' <<< $'1\n2'
        ended 'quiet' 1 $'2\n\n'
        says_exactly 'quiet' $'ferry: task 1: the command exited with status 1\n'
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
        run ferry run --workers 1 -- sh -c 'ferry listen stdio: --exec "kill -KILL \$PPID"; echo alas >&2; exit 3' <<< $'1\n2\n3'
        ended 'it exits' 1 ''
        says 'it exits' 'ferry: task '{1,2,3}': its worker exited with status 3; its last words: ' 'alas'
        run ferry run --workers 1 -- sh -c 'ferry listen stdio: --exec "kill -KILL \$PPID"; exit 0' <<< $'1\n2\n3'
        ended 'it exits with 0' 1 ''
        says 'it exits with 0' 'ferry: task '{1,2,3}': its worker exited with status 0'
        # Whether it has a task then is chance; it ends in any case.
        run ferry run --workers 4 -- true < <(seq 1 40)
        ended 'it exits with 0, for ever' 3 ''
        says 'it exits with 0, for ever' 'ferry: giving up: the workers are in a crash loop: none has ever answered' 'and the last one exited with status 0'
        nothing_left 'it exits with 0, for ever'
        run ferry run --workers 1 -- ferry listen stdio: --exec 'read -r x; [ "$x" = 2 ] && kill -KILL $PPID; printf %s "$x"' \
                <<< $'1\n2\n3'
        ended 'one is killed' 1 $'1\n3\n'
        said 'one is killed' 'ferry: task 2: its worker was killed by SIGKILL'
        summary 'one is killed' '2 done, 1 failed, 1 restarts'
        nothing_left 'one is killed'

}

# A terminal of its own, in which the tool is in the foreground; its input is typed there.
on_terminal() {
        run script -qec "$1" /dev/null
}

terminals() {
        if ! command -v script > /dev/null; then
                skipped 'terminals: this needs script(1)'
                return
        fi
        printf '%s\n' 'read -r line < /dev/tty' 'exec ferry listen stdio: --reply "$line" --count 1' > asks.sh
        on_terminal "ferry call --timeout 10 'exec:sh asks.sh' t x" <<< 'from the terminal'
        check 'a child of call reads from the terminal' grep -q 'from the terminal' <(tail -n 1 out)
        is 'a child of call reads from the terminal' "$status" 0
        on_terminal "echo 1 | ferry run --timeout 0.7 --workers 1 -- sh asks.sh" <<< 'for no reader'
        is 'a worker that reads from the terminal' "$status" 1
        check 'a worker that reads from the terminal' grep -q 'was stopped by SIGTTIN: it uses the terminal' out
        nothing_left 'terminals'
}

silence() {
        local dialect

        # A worker that does not answer is replaced; what waited is not given to it any more.
        run ferry run --workers 1 --timeout 0.1 -- sh -c 'mkdir first && exec sleep 1000; exec ferry listen stdio: --echo' \
                <<< $'1\n2\n3'
        says 'one does not answer' 'ferry: task 1: no answer within 0.1 s'
        run ferry run --workers 1 --timeout 0.1 --retry 0 --dialect pcntl --type unknown -- sh -c 'cat > /dev/null' <<< one
        says 'a worker of pcntl does not know the type' "no answer within 0.1 s; in the dialect pcntl a side that does not know the type 'unknown' says nothing"
        run ferry run --workers 5 --timeout 0.05 -- sleep 1000 < <(seq 1 15)
        ended 'no worker ever answers' 3 ''
        summary 'no worker ever answers' "0 done, 10 failed, 5 not done, $(restarts) restarts"
        says 'no worker ever answers' 'ferry: giving up: no worker has ever answered, in 10 tries: no answer within 0.05 s' \
                'ferry: task 15 was not done: 15'
        run ferry run --workers 2 --timeout 0.1 --retry 1 -- sleep 1000 <<< $'1\n2\n3\n4\n5'
        ended 'no worker ever answers' 1 ''
        said 'no worker ever answers' 'ferry: task '{1..5}': no answer within 0.1 s'
        nothing_left 'no worker ever answers'
        # What it has started for the task ends with it.
        for dialect in ferry stream-ipc; do
                run ferry run --dialect $dialect --workers 2 --timeout 0.3 -- ferry listen stdio: --exec 'sleep 1000; true' <<< $'1\n2\n3'
                ended "a command is too slow, in $dialect" 1 ''
                nothing_left "a command is too slow, in $dialect"
        done
        # A worker whose session has failed is replaced.
        run ferry run --workers 1 --timeout 0.2 -- sh -c 'exec <&-; exec sleep 1000' <<< $'1\n2'
        ended 'its stdin is closed' 1 ''
        summary 'its stdin is closed' "0 done, 2 failed, $(restarts) restarts"
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
        let_signal_pass
        interrupt TERM
        ended 'behind one that is given up' 143 $'2\n\n3\n\n4\n\n5\n\n'
        nothing_left 'behind one that is given up'
        exec 5>&-

        # A signal that comes while the reader is slow loses nothing.
        : > answered
        mkfifo slow
        exec 8<> slow
        start sh -c 'exec ferry run --workers 2 -- ferry listen stdio: --exec "head -c 100000 /dev/zero; echo >> answered" > slow' < <(seq 1 100)
        soon has_lines answered 2
        kill -TERM "$job"
        cat < slow > lines 8>&- &
        exec 8>&-
        await "$job"
        wait $!
        ended 'a slow reader' 143 ''
        done=$(sed -n 's/^ferry: \([0-9]*\) done.*/\1/p' err)
        check 'a slow reader' test "$done" -ge 2
        is 'a slow reader' "$(wc -l < lines)" "$done"
}

deadlines() {
        # The time of a task begins when a worker has it: each takes little of it, all of them more.
        run ferry run --workers 1 --timeout 6 -- ferry listen stdio: --exec 'sleep 1.3; printf x' <<< $'1\n2\n3\n4\n5'
        ended 'those behind have their time, too' 0 $'x\nx\nx\nx\nx\n'
}

# While the reader of stdout waits, no time of a task runs out, and a signal is heard at once.
slow_reader() {
        seq -f '%0100000g' 1 20 > tasks
        mark
        ferry run --timeout 3 --workers 2 -- "${echoes[@]}" 2> err < tasks | { sleep 3.3; wc -c; } > out
        is 'a slow reader' "$(< out)" 2000020
        said 'a slow reader'
        summary 'a slow reader' '20 done, 0 failed, 0 restarts'
        nothing_left 'a slow reader'
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

# Each worker has a number of its own, and a worker that takes the place of another one has the same.
numbers() {
        export FERRY_WORKER=9
        run ferry run --workers 3 -- ferry listen stdio: --exec 'echo $FERRY_WORKER >> here
                until [ $(wc -l < here) -ge 3 ]; do sleep 0.01; done; printf %s "$FERRY_WORKER"' <<< $'a\nb\nc'
        unset FERRY_WORKER
        is 'the numbers of workers' "$(sort out | paste -sd' ')" '0 1 2'
        run ferry run --workers 2 --max-tasks 1 -- sh -c 'echo $FERRY_WORKER >> there; exec ferry listen stdio: --echo' <<< $'1\n2\n3\n4\n5\n6'
        is 'the numbers of workers that are replaced' "$(sort -u there | paste -sd' ')" '0 1'
}

# Workers that are replaced between two tasks lose none, whether they end by themselves or are told to.
recycling() {
        local dialect size

        seq 1 200 > tasks
        run ferry run --ordered --workers 2 -- "${echoes[@]}" --count 5 < tasks
        ended 'workers that end after five tasks' 0 @tasks
        check 'workers that end after five tasks' test "$(restarts)" -ge 38
        for dialect in ferry stream-ipc pcntl; do
                run ferry run --ordered --workers 2 --max-tasks 20 --dialect $dialect -- "${echoes[@]}" --dialect $dialect < tasks
                ended "--max-tasks in $dialect" 0 @tasks
                check "--max-tasks in $dialect" test "$(restarts)" -ge 8
        done
        head -n 10 tasks > some
        for size in 1 1k 1M; do
                run ferry run --ordered --workers 2 --max-rss $size -- "${echoes[@]}" < some
                ended "--max-rss $size" 0 @some
                check "--max-rss $size" test "$(restarts)" -ge 8
        done
        run ferry run --ordered --workers 2 --max-rss 1G -- "${echoes[@]}" < some
        ended '--max-rss 1G' 0 @some
        is '--max-rss 1G' "$(restarts)" 0
        nothing_left 'recycling'
}

## Signals ---------------------------------------------------------------------------------------------

# Start a run whose input stays open, in which a worker works.
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
        local signal=$1 number

        number=$((128 + $(kill -l "$signal")))
        # A worker that can finish does.
        begin ferry run --workers 1 -- sh -c 'trap ": > heard" TERM INT HUP; exec 3<&0
                ferry listen stdio: --exec "echo > begun; read -r x < go; printf done" <&3 & wait; wait'
        kill -"$signal" "$job"
        check "$signal is passed on" soon test -e heard
        rm -f heard
        echo > go
        await "$job"
        ended "$signal: the task in hand" $number $'done\n'
        summary "$signal: the task in hand" '1 done, 0 failed, 2 not done, 0 restarts'
        nothing_left "$signal: the task in hand"

        # A worker that dies of it is not started again.
        begin ferry run --workers 1 --retry 5 -- sh -c 'echo > begun; exec sleep 1000'
        interrupt "$signal"
        ended "$signal: it dies" $number ''
        says "$signal: it dies" 'ferry: 0 done, ' ', 0 restarts, '
        within "$signal: it dies" 0 15000
        nothing_left "$signal: it dies"

        # The second one ends the workers that ignore it.
        begin ferry run --workers 1 -- sh -c 'trap "" TERM INT HUP; echo > begun; sleep 1000; sleep 1000'
        kill -"$signal" "$job"
        let_signal_pass
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

# One whose reader has stopped reading ends, too.
stuck() {
        : > answered
        mkfifo full
        exec 7<> full
        start sh -c 'exec ferry run --workers 2 -- ferry listen stdio: --exec "head -c 100000 /dev/zero; echo >> answered" > full' < <(seq 1 100)
        soon has_lines answered 2
        interrupt TERM
        exec 7>&-
        ended 'a run that is stuck' 143 ''
        says 'a run that is stuck' 'the output is incomplete'
        nothing_left 'a run that is stuck'
}

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
        ended 'a worker that speaks another' 1 ''
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
all=promises,crashes,usage,processors,json_values,lines,huge,order,held_bytes,outputs,joblog,resume,halt,nulls,quiet,failures,silence,terminals,last_words,large_tasks,printed,deadlines,slow_reader,retries,numbers,recycling
all+=,signal_TERM,signal_INT,signal_HUP,signal_others,stuck,dialects
IFS=, read -r -a chosen <<< "${FERRY_TEST:-$all}"
aside "${chosen[@]}"
finish
