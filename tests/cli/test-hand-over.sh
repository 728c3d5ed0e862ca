#!/bin/bash
# ferry listen --take-over: services follow each other while ferry call --each sends requests. Takes the build directory.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite cli-hand-over "${1:?usage: test-hand-over.sh BUILD}"

# A socket that is bound, and does not listen yet, is not one to take over from.
is_there() {
        ferry wait --timeout 1 "unix:$1" 2> /dev/null
}

has_lines() {
        [[ -f $1 && $(wc -l < "$1") -ge $2 ]]
}

no_line_is_lost() {
        local services=() caller count=20000

        [[ -n ${FERRY_LONG-} ]] && count=100000
        start ferry listen unix:up.sock --echo --quiet
        services+=("$job")
        check 'it listens' soon is_there up.sock
        seq "$count" > lines
        start bash -c 'ferry call --each unix:up.sock t - < lines > answers'
        caller=$job
        for i in 1 2 3; do
                check "answers come ($i)" soon has_lines answers "$((i * count / 10))"
                start ferry listen unix:up.sock --echo --quiet --take-over
                services+=("$job")
                await "${services[-2]}"
                ended "the service that was followed ($i)" 0 ''
        done
        await "$caller"
        ended 'the caller' 0 ''
        check 'each line is there, in its order' cmp lines answers
        interrupt TERM
        ended 'the last service' 0 ''
        nothing_left 'the last service'
        is 'files' "$(compgen -G 'up.sock*')" ''
}

# It runs as it is for requests in hand; a plain client is closed behind its answer.
requests_in_hand_are_answered() {
        mkfifo go
        start ferry listen unix:up.sock --exec 'cat go'
        local old=$job
        check 'it listens' soon is_there up.sock
        start ferry call unix:up.sock t x
        local caller=$job
        exec 8> go
        start ferry listen unix:up.sock --echo --take-over --verbose 8>&-
        local next=$job
        check 'it has taken over' soon grep -q 'listening at' "$job_err"
        run ferry call --wait 20 unix:up.sock t new 8>&-
        ended 'the successor' 0 new
        printf 'old' >&8
        exec 8>&-
        await "$caller"
        ended 'a request in hand' 0 old
        await "$old"
        ended 'the service that was followed' 0 -
        kill -TERM "$next"
        await "$next"
}

what_cannot_be_taken_over_is_refused() {
        mkfifo input
        exec 8<> input
        start ferry listen unix:up.sock --publish < input 8>&-
        local feed=$job
        check 'it listens' soon is_there up.sock
        run ferry listen unix:up.sock --echo --take-over 8>&-
        ended 'a feed' 3 ''
        says 'a feed' "ferry: cannot take over 'up.sock': this service does not hand over to another process"
        exec 8>&-
        await "$feed"
        says 'the feed says why' 'may not take over: it would not get the lines of stdin that this process has read'
        run ferry listen tcp:127.0.0.1:0 --take-over
        ended 'tcp' 2 ''
        run ferry listen stdio: --take-over
        ended 'stdio' 2 ''
}

has_a_socket() {
        compgen -G "/proc/$1/fd/*" > /dev/null && readlink "/proc/$1/fd/"* | grep -q '^socket:'
}

# The service that it wants to follow hangs at that moment.
a_signal_ends_a_successor_that_waits() {
        start ferry listen unix:up.sock --echo
        local old=$job
        check 'it listens' soon is_there up.sock
        kill -STOP "$old"
        start ferry listen unix:up.sock --echo --take-over
        check 'it has connected' soon has_a_socket "$job"
        kill -TERM "$job"
        kill -CONT "$old"
        await "$job"
        ended 'the successor' 0 ''
        await "$old"
        ended 'the service that was followed' 0 ''
        is 'files' "$(compgen -G 'up.sock*')" ''
}

all=no_line_is_lost,requests_in_hand_are_answered,what_cannot_be_taken_over_is_refused,a_signal_ends_a_successor_that_waits
IFS=, read -r -a chosen <<< "${FERRY_TEST:-$all}"
aside "${chosen[@]}"
finish
