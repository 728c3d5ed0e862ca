#!/bin/bash
# ferry listen --publish and ferry watch: lines become notifications, and notifications lines. Takes the build directory.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite cli-watch "${1:?usage: test-watch.sh BUILD}"

is_there() {
        [[ -S $1 ]]
}

lines_become_notifications() {
        printf 'price.a 1\nprice.b 2\nnews  two blanks \nprice.c' > lines
        start ferry listen unix:feed.sock --publish --after-clients 1 < lines
        local feed=$job
        run ferry watch --wait 20 unix:feed.sock 'price.*' --count 2
        ended 'a pattern' 0 $'price.a 1\nprice.b 2\n'
        await "$feed"
        ended 'a feed at the end of stdin' 0 ''
        start ferry listen unix:feed.sock --publish --after-clients 1 < lines
        feed=$job
        run ferry watch --no-reconnect --wait 20 unix:feed.sock
        ended 'no pattern' 0 $'price.a 1\nprice.b 2\nnews  two blanks \nprice.c\n'
        await "$feed"
        start ferry listen unix:feed.sock --publish --after-clients 1 < lines
        feed=$job
        run ferry watch --no-reconnect --wait 20 unix:feed.sock news price.c --json
        ended 'as JSON' 0 $'{"kind":"notification","type":"news","body":" two blanks "}\n{"kind":"notification","type":"price.c","body":null}\n'
        await "$feed"
        # More than a round handles.
        start ferry listen unix:feed.sock --publish --after-clients 1 < lines
        feed=$job
        # shellcheck disable=SC2046
        run ferry watch --no-reconnect --wait 20 unix:feed.sock $(seq 500) news
        ended 'many patterns' 0 $'news  two blanks \n'
        await "$feed"
        nothing_left 'a feed'
}

# More than a socket and its queue hold; to two clients, of which one reads late.
no_line_is_lost() {
        local feed other

        mkfifo go
        seq 200000 | sed 's/^/n /' > lines
        start ferry listen unix:feed.sock --publish --after-clients 2 < lines
        feed=$job
        start bash -c 'ferry watch --no-reconnect --wait 20 unix:feed.sock | (read -r < go; cmp - lines)'
        other=$job
        # shellcheck disable=SC2016
        run bash -c 'ferry watch --no-reconnect --wait 20 unix:feed.sock | (echo > go; cmp - lines)'
        ended 'a client' 0 ''
        await "$other"
        ended 'a client that reads late' 0 ''
        await "$feed"
        ended 'their feed' 0 ''
}

retains_b() {
        [[ $(ferry watch unix:feed.sock b --count 1 --timeout 0.1 2> /dev/null) == 'b 4' ]]
}

# The other clients get all.
a_client_that_does_not_read_is_disconnected() {
        seq 300000 | sed 's/^/n /' > lines
        mkfifo full
        exec 7<> full
        start ferry listen unix:feed.sock --publish --after-clients 2 --timeout 2 < lines
        local feed=$job
        mark
        ferry watch --no-reconnect --wait 20 unix:feed.sock > full 2> err.watch 7>&- &
        local stuck=$!
        # shellcheck disable=SC2016
        run bash -c 'ferry watch --no-reconnect --wait 20 unix:feed.sock | cmp - lines'
        ended 'a client that reads' 0 ''
        await "$feed"
        ended 'the feed' 0 ''
        says_exactly 'a client that does not read' "ferry: a client (process $stuck) has read nothing for 2 s, and is disconnected"$'\n'
        kill -KILL "$stuck"
        exec 7>&-
}

the_last_value_is_retained() {
        local feed

        mkfifo input
        exec 7<> input
        start ferry listen unix:feed.sock --publish --retain --value < input 7>&-
        feed=$job
        printf 'a.x 1\na.y {"n":2}\na.x 3\nb 4\n' >&7
        check 'it listens' soon is_there feed.sock
        check 'it has read the last line' soon retains_b
        run ferry watch unix:feed.sock 'a.*' --count 2
        ended 'a later client' 0 $'a.y {"n":2}\na.x 3\n'
        run ferry watch unix:feed.sock 'c' --timeout 0.05
        ended 'a type that has no value' 124 ''
        says 'a type that has no value' "ferry: 'unix:feed.sock' has sent no notification within 0.05 s"
        exec 7>&-
        await "$feed"
        ended 'the feed' 0 ''
}

a_line_that_cannot_be_published_is_reported() {
        printf 'a 1\n\n b\nc [1\n\xff 1\nd 2\n' > lines
        start ferry listen unix:feed.sock --publish --value --after-clients 1 < lines
        local feed=$job
        run ferry watch --no-reconnect --wait 20 unix:feed.sock
        ended 'the lines that are right' 0 $'a 1\nd 2\n'
        await "$feed"
        ended 'their feed' 4 ''
        says 'a line without a type' 'ferry: line 2 of stdin was not published: it has to begin with a TYPE: 1 to 65535 bytes of UTF-8' \
                'ferry: line 3 of stdin' 'ferry: line 5 of stdin'
        says 'a line that is not JSON' 'ferry: line 4 of stdin was not published: BODY is not JSON: it ends too early, at byte 2'
        yes ' ' | head -n 25 > lines
        run ferry listen unix:feed.sock --publish < lines
        ended 'many lines' 4 ''
        is 'lines that are shown' "$(grep -c 'was not published' err)" 10
        says 'the others' 'ferry: 15 more lines of stdin were not published'
        run ferry listen unix:feed.sock --publish <&-
        ended 'no stdin' 3 ''
        says 'no stdin' 'ferry: cannot read stdin: '
}

a_watch_ends_as_it_should() {
        local feed

        run ferry watch unix:none.sock --wait 0
        ended 'no service' 3 ''
        run ferry watch unix:none.sock 'a..b'
        ended 'a malformed pattern' 4 ''
        says 'a malformed pattern' "ferry: 'a..b' is not a pattern: a part between two dots, or before or behind one, is empty"
        printf 'a 1\n' > lines
        start ferry listen unix:feed.sock --publish --after-clients 1 < lines
        feed=$job
        run ferry watch --no-reconnect --wait 20 unix:feed.sock --count 3
        ended 'too few' 3 $'a 1\n'
        says 'too few' "ferry: 'unix:feed.sock' has ended 2 notifications too early"
        await "$feed"
        # A service that does not publish may be watched, too; and a signal ends that.
        start ferry listen unix:feed.sock --echo
        feed=$job
        start ferry watch --no-reconnect --wait 20 unix:feed.sock
        soon handles_signals "$job"
        interrupt INT
        ended 'an interrupted watch' 130 ''
        kill -TERM "$feed"
        await "$feed"
        run bash -c 'ferry watch unix:none.sock >&-'
        ended 'no stdout' 3 -
        says 'no stdout' "ferry: cannot print what 'unix:none.sock' sends: stdout is closed"
        # A peer that is no service.
        start ferry watch --count 1 'exec:ferry listen stdio:'
        check 'no service: it says so' soon grep -q 'error: not a service: it sends no notifications by pattern' "$job_err"
        interrupt TERM
        ended 'no service' 143 ''
        says 'no service' 'error: not a service: it sends no notifications by pattern'
}

comes_to() {
        grep -qxF -- "$1" "$job_out"
}

# In the time between, what the service publishes is missed; the last values are retained by it.
a_watch_survives_a_restart_of_its_service() {
        local feed watch

        mkfifo input
        exec 7<> input
        start ferry listen unix:feed.sock --publish --retain < input 7>&-
        feed=$job
        check 'it listens' soon is_there feed.sock
        echo 'a.x 1' >&7
        run ferry watch unix:feed.sock 'a.*' --count 1 --timeout 20
        ended 'what is retained' 0 $'a.x 1\n'
        start ferry watch unix:feed.sock 'a.*' --count 3
        watch=$job
        check 'it comes' soon comes_to 'a.x 1'
        kill -KILL "$feed"
        check 'it is lost' soon grep -q "^ferry: lost 'unix:feed.sock', and connecting again: " "$job_err"
        ferry listen unix:feed.sock --publish --retain < input 7>&- &
        feed=$!
        printf 'a.x 2\nb 1\na.y 3\n' >&7
        await "$watch"
        ended 'a watch' 0 $'a.x 1\na.x 2\na.y 3\n'
        says_exactly 'a watch' "$(grep "^ferry: lost 'unix:feed.sock', and connecting again: the other side has closed the connection" err)"$'\nferry: connected to '"'unix:feed.sock' again"$'\n'
        exec 7>&-
        wait "$feed"
}

options_that_would_do_nothing_are_refused() {
        local words

        while read -r words; do
                # shellcheck disable=SC2086
                run ferry $words
                ended "$words" 2 ''
        done <<'END'
listen x --retain
listen x --after-clients 1
listen x --timeout 1
listen x --publish --after-clients 0
listen x --publish --after-clients 5000
listen stdio: --publish
listen x --publish --dialect stream-ipc
listen x --publish --dialect ferry,stream-ipc
watch
watch exec:x --wait 1
watch x --allow root
watch exec:x --no-reconnect
watch udp:localhost:1
END
}

# FERRY_TEST names those to be run, separated by commas.
all=lines_become_notifications,no_line_is_lost,the_last_value_is_retained,a_line_that_cannot_be_published_is_reported
all+=,a_watch_survives_a_restart_of_its_service,a_client_that_does_not_read_is_disconnected,a_watch_ends_as_it_should,options_that_would_do_nothing_are_refused
IFS=, read -r -a chosen <<< "${FERRY_TEST:-$all}"
aside "${chosen[@]}"
finish
