#!/bin/bash
# Replies in parts, as ferry call prints them and ferry listen sends them. Takes the build directory.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite cli-parts "${1:?usage: test-parts.sh BUILD}"

has_lines() {
        [[ -e $1 && $(wc -l < "$1") -ge $2 ]]
}

lines_are_parts() {
        run ferry call 'exec:ferry listen stdio: --stream --exec "printf \"one\\ntwo\\nthree\""' t
        ended 'lines of a command' 0 $'one\ntwo\nthree\n'
        run ferry call 'exec:ferry listen stdio: --stream --exec true' t
        ended 'no line' 0 $'null\n'
        run ferry call 'exec:ferry listen stdio: --stream --value --exec "seq 3"' --json t
        ended 'values' 0 -
        is 'they are numbers' "$(grep -c '"body":[ ]*[123]' out)" 3
        run ferry call 'exec:ferry listen stdio: --stream --value --exec "echo 1; echo x; sleep 60"' t
        ended 'a line that is not JSON' 1 $'1\n'
        says 'a line that is not JSON' 'a line of the command is not JSON'
        run ferry call 'exec:ferry listen stdio: --stream --exec "echo 1; echo why >&2; exit 3"' t
        ended 'a command that fails' 1 $'1\n'
        says 'a command that fails' 'the command exited with status 3; its last words: why'
        nothing_left 'a command whose lines are parts'
}

# They come before the command has ended.
parts_are_printed_as_they_come() {
        mkfifo go
        start ferry call 'exec:ferry listen stdio: --stream --exec "echo one; cat go; echo two"' t
        local call=$job output=$job_out
        check 'the first part is there' soon has_lines "$output" 1
        echo 'go on' > go
        await "$call"
        ended 'the parts' 0 $'one\ngo on\ntwo\n'
        nothing_left 'parts as they come'
}

# Of which neither side holds more than a little.
parts_of_a_large_file() {
        local lines=8000 listener call peak enough_s=$enough_s

        [[ -z ${FERRY_LONG-} ]] || lines=270000 enough_s=1000
        start ferry listen unix:large.sock --quiet --count 1 --stream --exec "cat go; seq -f '%04000.0f' $lines; cat go"
        listener=$job
        mkfifo go
        start ferry call --wait 20 --timeout 1000 unix:large.sock t
        call=$job
        echo > go
        check 'all but the last have come' soon has_lines "$job_out" $((lines + 1))
        # A sanitizer keeps memory that was freed.
        if ! nm "$build/ferry" 2> /dev/null | grep -qE '__(asan|msan|tsan)_init'; then
                for job in "$listener" "$call"; do
                        peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$job/status" 2> /dev/null)
                        check "a side takes ${peak:-?} KiB at most" test "${peak:-99999}" -lt 20000
                done
        fi
        echo > go
        await "$call"
        is 'all lines come' "$(wc -l < out)" $((lines + 2))
        await "$listener"
        nothing_left 'a large file'
}

a_reader_that_has_seen_enough_ends_the_command() {
        local status

        start ferry listen unix:enough.sock --stream --exec 'yes'
        local listener=$job
        ferry call --wait 20 unix:enough.sock t 2> err | head -3 > three
        status=("${PIPESTATUS[@]}")
        is 'three lines' "$(< three)" $'y\ny\ny'
        is 'the status of ferry call' "${status[0]}" 0
        kill -TERM "$listener"
        await "$listener"
        nothing_left 'a command without end'
}

a_client_without_parts_gets_all_at_the_end() {
        run ferry call --dialect stream-ipc 'exec:ferry listen stdio: --stream --exec "seq 3"' 'App\Ask' x
        ended 'in stream-ipc' 0 $'1\n2\n3\n'
        nothing_left 'a client without parts'
}

usage() {
        run ferry listen stdio: --stream
        ended 'without --exec' 2 ''
        says 'without --exec' '--stream needs --exec'
        run ferry listen stdio: --stream --exec true --dialect pcntl
        ended 'another dialect' 2 ''
        says 'another dialect' '--stream is for the dialect ferry only'
}

all=lines_are_parts,parts_are_printed_as_they_come,parts_of_a_large_file,a_reader_that_has_seen_enough_ends_the_command
all+=,a_client_without_parts_gets_all_at_the_end,usage
IFS=, read -r -a chosen <<< "${FERRY_TEST:-$all}"
aside "${chosen[@]}"
finish
