#!/bin/bash
# innmind: PHP servers and clients, and ferry as either. The PHP peers are our own, and die where real ones die; so
# they are first held to the recordings of real ones, and to each other. Takes the build directory, and "ferry" for
# the tests of ferry instead of those of the peers.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite "innmind-${2:-peers}" "${1:?usage: test-innmind.sh BUILD [ferry]}"

here=$tests/interop
vectors=$tests/vectors
php=(php -n)

if ! command -v php > /dev/null; then
        skipped 'PHP is not installed, so there is no peer to talk to'
        finish
fi
if ! "${php[@]}" -r 'exit(function_exists("pcntl_signal") ? 0 : 1);'; then
        skipped 'this PHP knows no signals'
        finish
fi

# What every part begins with: sockets of its own.
alone() {
        export TMPDIR=$folder
        export FERRY_DIR=$folder/names
        mkdir -m 700 names
        sockets=$TMPDIR/innmind/ipc
}

# serve [OPTION…] NAME: a PHP server, $server; what it sees is in the file $log
serve() {
        start "${php[@]}" "$here/innmind-server.php" --heartbeat="${period:-0.2}" "$@"
        server=$job log=$job_out
        soon grep -qsx listening "$log" || fail "no PHP server: $*"
}

# client STEP…: a PHP client
client() {
        run "${php[@]}" "$here/innmind-client.php" --heartbeat=0.2 "$@"
}

# told NAME LINE…: the client has ended well, with these lines
told() {
        local name=$1

        shift
        ended "$name" 0 "$(printf '%s\n' "$@")"$'\n'
}

hex() {
        od -An -v -tx1 "$1" | tr -d ' \n'
}

# carries NAME COUNT: a visit of a PHP client finds that the server q carries this
carries() {
        client get q send text/plain cmd:count wait 5 close
        told "$1: what the server carries" 'ok get' 'ok send' "message text/plain $2" 'ok close'
}

# told_by NUMBER: what the server has heard from and said to this client, heartbeats left out
told_by() {
        grep "^[a-z]* $1 " "$log" | grep -v heartbeat | sed 's/ +[0-9]*$//'
}

# stops NAME: the server ends as it should when it is told to
stops() {
        kill -TERM "$server"
        await "$server"
        ended "$1: the server ends" 0 -
        says_exactly "$1: the server has nothing to complain of" ''
        check "$1: the server has ended in order" grep -qx ended out
        check "$1: its socket is gone" test ! -e "$sockets/q.sock"
}

# more_closed COUNT: so many clients have left in order
more_closed() {
        [[ $(grep -c '^closed' "$log") -ge $1 ]]
}

hello=000a746578742f706c61696e0000000568656c6c6fce
start_ok=$(hex "$vectors/innmind-connection-start-ok.bin")
close=$(hex "$vectors/innmind-connection-close.bin")
heartbeat=$(hex "$vectors/innmind-heartbeat.bin")

# The peers -------------------------------------------------------------------------------------------------

peers_talk() {
        alone
        client exists q
        told 'no server' absent
        serve q
        client exists q get q send text/plain ping wait 5 send text/plain '' wait 5 \
                send 'application/json; charset=utf-8' '{}' wait 5 close
        told 'a conversation' exists 'ok get' 'ok send' 'message text/plain ping' 'ok send' 'message text/plain ' \
                'ok send' 'message application/json; charset=utf-8 {}' 'ok close'
        check 'each message is acknowledged first' cmp -s <(told_by 1 | head -6) - << 'END'
out 1 start
in 1 start-ok
in 1 text/plain ping
out 1 received
out 1 text/plain ping
in 1 text/plain 
END
        check 'it has left in order' grep -qx 'closed 1' "$log"
        carries 'a conversation' 3

        client get q beats 16 send text/plain hello wait 5 close
        told 'three seconds of silence' 'ok get' 'ok beats' 'ok send' 'message text/plain hello' 'ok close'
        client get q send text/plain 'cmd:later 0.9' wait 5 close
        told 'an answer that comes later' 'ok get' 'ok send' 'message text/plain later' 'ok close'
        client get q idle 1.5 heard send text/plain hello heard wait 5 close
        told 'a client that is busy is beaten' 'ok get' 'ok idle' 'heard nothing' 'ok send' 'heard heartbeats' \
                'message text/plain hello' 'ok close'
        client get q send text/plain 'cmd:push 2' wait 5 wait 5 close
        told 'several answers' 'ok get' 'ok send' 'message text/plain push 1' 'message text/plain push 2' 'ok close'
        client get q send text/plain cmd:silent wait 0.3 close
        told 'no answer' 'ok get' 'ok send' nothing 'ok close'
        client get q send text/plain cmd:close closed
        told 'a client that is closed' 'ok get' 'ok send' 'ok closed'
        carries 'answers of all kinds' 9

        # As the real one: the answer to the first is taken for the acknowledgement of the second.
        client get q send text/plain one send text/plain two
        ended 'two messages to a server that answers' 1 $'ok get\nok send\nfailed: received expected; found: text/plain one\n'
        client get q send text/plain cmd:reset wait 5 send text/plain cmd:before
        ended 'a message before the acknowledgement' 1 -
        says 'a message before the acknowledgement' 'failed: received expected; found: text/plain before'
        stops 'a conversation'
}

# Media types as the real one reads and writes them.
peers_types() {
        local type

        alone
        serve q
        client get q send 'text/plain;charset=utf-8' x wait 5 send 'image/svg+xml,a=1;b="2"' x wait 5 send \
                "text/html" innmind/ipc:heartbeat wait 5 close
        told 'media types' 'ok get' 'ok send' 'message text/plain; charset=utf-8 x' 'ok send' \
                'message image/svg+xml; a=1, b=2 x' 'ok send' 'message text/html innmind/ipc:heartbeat' 'ok close'
        for type in foo/bar TEXT/PLAIN text text/ /plain ' text/plain' 'text/plain ' 'text/plain;  a=b' \
                'text/plain; a' 'text/plain; a="b c"' 'text/a+b+c' text/-a; do
                client get q send "$type" x
                ended "no media type: $type" 1 -
                says "no media type: $type" 'is no media type'
        done
        carries 'clients that know that they failed, but left' lost
        stops 'media types'
}

# What costs the carry, and what does not.
peers_lose() {
        local name before

        alone
        serve q
        client connect q raw "$hello" wait 5 raw "$heartbeat" raw "$start_ok" close
        told 'before start-ok' 'ok connect' 'ok raw' 'message start' 'ok raw' 'ok raw' 'ok close'
        check 'a message before start-ok is ignored' grep -qx 'ignored 1 text/plain hello' "$log"
        client get q raw "$heartbeat" raw "$(hex "$vectors/innmind-connection-start.bin")" beats 2 close
        told 'a message that is a control message' 'ok get' 'ok raw' 'ok raw' 'ok beats' 'ok close'
        client get q raw "$hello$hello" wait 5 wait 5 wait 5 wait 5 close
        told 'two frames at once' 'ok get' 'ok raw' 'message received' 'message text/plain hello' 'message received' \
                'message text/plain hello' 'ok close'
        carries 'nothing wrong' 2
        client get q leave
        carries 'a client that leaves without a word' lost
        check 'that was seen' grep -qx 'left [0-9]*' "$log"
        for name in wrong-end unknown-top-level upper-case no-media-type truncated-content; do
                client get q send text/plain cmd:reset wait 5 raw "$(hex "$vectors/innmind-bad-$name.bin")" gone
                told "$name" 'ok get' 'ok send' 'message text/plain 0' 'ok raw' 'ok gone'
                carries "$name" lost
        done
        is 'all of these were dropped' "$(grep -c '^dropped' "$log")" 5
        # A client that is stopped meanwhile sees the reset too late to be hurt: it reads what was written before the end.
        client get q send text/plain cmd:reset wait 5 close
        kill -STOP "$server"
        client connect q leave
        kill -CONT "$server"
        carries 'a client that was never greeted' 0
        before=$(grep -c '^closed' "$log")
        client get q raw "$close" leave
        soon more_closed $((before + 1))
        carries 'a client that says close and does not wait' 0
        client connect q wait 5 raw "$start_ok$close" leave
        soon more_closed $((before + 3))
        carries 'a client that says all it has to say at once' 0
        # A client that has not said start-ok is not heard.
        client connect q wait 5 raw "$close" leave
        told 'close before start-ok' 'ok connect' 'message start' 'ok raw' 'ok leave'
        carries 'close before start-ok' lost
        stops 'what costs the carry'
}

# What costs the server its life. Its socket stays, and no other server can take its place.
peers_die() {
        local name what

        alone
        for name in two-bytes truncated-length length-bomb; do
                serve q
                client get q raw "$(hex "$vectors/innmind-bad-$name.bin")" gone
                told "$name" 'ok get' 'ok raw' 'ok gone'
                await "$server"
                what=TypeError
                [[ $name != length-bomb ]] || what='Allowed memory size'
                ended "$name: the server has died" 255 -
                says "$name: the server says why" "$what"
                check "$name: the socket stays" test -S "$sockets/q.sock"
                run "${php[@]}" "$here/innmind-server.php" q
                ended "$name: no server takes its place" 1 ''
                rm "$sockets/q.sock"
        done
        # hello is 22 bytes: cut before its length is complete, and behind that.
        for name in 1 2 7 12 15; do
                serve q
                client get q raw "${hello:0:2 * name}" gone
                await "$server"
                ended "cut after $name bytes" 255 -
                rm "$sockets/q.sock"
        done
        serve q
        for name in 16 17 20 21; do
                client get q send text/plain cmd:reset wait 5 raw "${hello:0:2 * name}" gone
                told "cut after $name bytes" 'ok get' 'ok send' 'message text/plain 0' 'ok raw' 'ok gone'
                carries "cut after $name bytes" lost
        done
        stops 'cut late'
}

# An end in order: every client is told, and waited for.
peers_stop() {
        local how waiting

        alone
        for how in TERM INT HUP; do
                serve q
                start "${php[@]}" "$here/innmind-client.php" get q closed
                waiting=$job
                soon grep -qx 'in 1 start-ok' "$log"
                kill -$how "$server"
                await "$waiting"
                told "SIG$how: the client" 'ok get' 'ok closed'
                await "$server"
                ended "SIG$how: the server" 0 -
                check "SIG$how: the client has answered" cmp -s <(grep -v heartbeat out | tail -6) \
                        <(printf '%s\n' ending 'out 1 close' 'in 1 close-ok' 'closed 1' ended | sed '1i in 1 start-ok')
        done
        serve q
        client get q send text/plain cmd:stop closed
        told 'a client that stops the server' 'ok get' 'ok send' 'ok closed'
        await "$server"
        ended 'a server that is stopped' 0 -
        serve q
        run "${php[@]}" "$here/innmind-server.php" q
        ended 'a second server' 1 ''
        kill -KILL "$server"
        await "$server"
        client get q
        ended 'a server that was killed' 1 -
        says 'a server that was killed' 'does not answer'
}

# Each side in a conversation that a real pair had.
peers_recorded() {
        local name options steps

        alone
        for name in in-charset in-close in-empty in-json in-heart fx-server-client fx-self-closing; do
                options=()
                [[ $name != fx-self-closing ]] || options=(--answer=none)
                serve "${options[@]}" q
                client connect q replay $name
                told "$name: the server" 'ok connect' "ok replay"
                [[ $name == fx-server-client ]] || kill -TERM "$server"
                await "$server"
                ended "$name: the server" 0 -
        done
        # Of in-heart only what the client said was recorded.
        for name in in-charset in-close in-empty in-json fx-server-client fx-self-closing fx-long-multi; do
                case $name in
                in-charset) steps=(send 'application/json; charset=utf-8' '{}' wait 5 close) ;;
                in-close) steps=(send text/plain cmd:close closed) ;;
                in-empty) steps=(send text/plain '' wait 5 close) ;;
                in-json)
                        steps=(send application/json '{"name":"Zoë","list":[1,2.5,null],"map":{"a":true}}' wait 5 close)
                        ;;
                fx-server-client) steps=(send text/plain 'hello world' wait 5 send text/plain stop closed) ;;
                fx-self-closing) steps=(send text/plain 'hello world' close) ;;
                fx-long-multi)
                        steps=(send text/plain 'hello world' send text/plain second send text/plain third closed)
                        ;;
                esac
                serve --replay=$name q
                client get q "${steps[@]}"
                ended "$name: the client" 0 -
                await "$server"
                ended "$name: what the client has said" 0 $'listening\nended\n'
        done
}

# ferry ------------------------------------------------------------------------------------------------------

# listen OPTION…: ferry serves under the name f; $listener
listen() {
        start ferry listen f --dialect innmind "$@"
        listener=$job
        soon is_listening "$sockets/f.sock" || fail "no server: ferry listen $*"
}

is_listening() {
        awk -v path="$1" '$4 == "00010000" && $8 == path { found = 1 } END { exit !found }' /proc/net/unix
}

# drained NAME: ferry, told to end, ends well and leaves nothing; what it has printed is in out
drained() {
        kill -TERM "$listener"
        await "$listener"
        ended "$1: ferry ends" 0 -
        check "$1: its socket is gone" test ! -e "$sockets/f.sock"
}

# ferry as the server of PHP clients.
ferry_serves() {
        local waiting

        alone
        listen --reply pong
        client get f send text/plain ping wait 5 send 'text/html; charset=utf-8' '<p>' wait 5 \
                send text/plain '' wait 5 close
        told 'a fixed answer' 'ok get' 'ok send' 'message text/plain pong' 'ok send' \
                'message text/html; charset=utf-8 pong' 'ok send' 'message text/plain pong' 'ok close'
        client get f send text/plain ping send text/plain ping
        ended 'the acknowledgement comes first, the answer next' 1 \
                $'ok get\nok send\nfailed: received expected; found: text/plain pong\n'
        # A client that leaves without a word hurts no other.
        client get f leave
        client get f send text/plain again wait 5 beats 16 send text/plain 'after three seconds' wait 5 close
        told 'three seconds of heartbeats' 'ok get' 'ok send' 'message text/plain pong' 'ok beats' 'ok send' \
                'message text/plain pong' 'ok close'

        start "${php[@]}" "$here/innmind-client.php" --heartbeat=0.2 get f send text/plain last wait 5 closed
        waiting=$job
        soon grep -q pong "out.${run_of[job]}"
        kill -TERM "$listener"
        await "$waiting"
        told 'a client that is told that ferry ends' 'ok get' 'ok send' 'message text/plain pong' 'ok closed'
        await "$listener"
        ended 'ferry ends' 0 -
        check 'ferry has printed what came' cmp -s <(head -3 out) <(printf 'ping\n<p>\n\n')
        check 'its socket is gone' test ! -e "$sockets/f.sock"
}

ferry_echoes() {
        local name

        alone
        cp "$vectors/innmind-generic-binary.bin" binary
        head -c 30000 < <(while cat binary 2> /dev/null; do :; done) > large
        listen --echo
        client get f send text/plain '' wait 5 send application/json '{"a":1}' wait 5 \
                send 'application/json; charset=utf-8' '{}' wait 5 send 'image/svg+xml; a=1, b=2' '<svg/>' wait 5 \
                send text/html innmind/ipc:heartbeat wait 5 close
        told 'echoes' 'ok get' 'ok send' 'message text/plain ' 'ok send' 'message application/json {"a":1}' 'ok send' \
                'message application/json; charset=utf-8 {}' 'ok send' 'message image/svg+xml; a=1, b=2 <svg/>' \
                'ok send' 'message text/html innmind/ipc:heartbeat' 'ok close'
        client get f send-file application/octet-stream binary wait-file back \
                send-file application/octet-stream large wait-file large.back close
        told 'bytes of all kinds' 'ok get' 'ok send-file' 'ok wait-file application/octet-stream' 'ok send-file' \
                'ok wait-file application/octet-stream' 'ok close'
        check 'bytes of all kinds come back' cmp -s binary back
        check '30,000 bytes come back' cmp -s large large.back

        # Heartbeats before start-ok are usual, messages are dropped; all that is a control message is none of the user.
        client connect f raw "$heartbeat" raw "$hello" wait 5 raw "$start_ok" raw "$heartbeat" \
                raw "$(hex "$vectors/innmind-connection-start.bin")" raw "$start_ok" send text/plain now wait 5 close
        told 'what comes too early' 'ok connect' 'ok raw' 'ok raw' 'message start' 'ok raw' 'ok raw' 'ok raw' 'ok raw' \
                'ok send' 'message text/plain now' 'ok close'
        client get f raw "$hello$hello" wait 5 wait 5 wait 5 wait 5 close
        told 'two frames at once' 'ok get' 'ok raw' 'message received' 'message text/plain hello' 'message received' \
                'message text/plain hello' 'ok close'
        client get f raw "${hello:0:6}" idle 0.1 raw "${hello:6:24}" idle 0.1 raw "${hello:30}" wait 5 wait 5 close
        told 'a frame in pieces' 'ok get' 'ok raw' 'ok idle' 'ok raw' 'ok idle' 'ok raw' 'message received' \
                'message text/plain hello' 'ok close'
        for name in wrong-end no-media-type length-bomb; do
                client get f raw "$(hex "$vectors/innmind-bad-$name.bin")" ended
                told "$name" 'ok get' 'ok raw' 'ok ended'
        done
        for name in two-bytes truncated-content truncated-length; do
                client get f raw "$(hex "$vectors/innmind-bad-$name.bin")" leave
        done
        client get f send text/plain still wait 5 close
        told 'after all that' 'ok get' 'ok send' 'message text/plain still' 'ok close'
        drained 'echoes'
}

ferry_answers_late() {
        alone
        listen --exec 'sleep 1; cat'
        client get f send text/plain slowly wait 10 close
        told 'an answer that takes time' 'ok get' 'ok send' 'message text/plain slowly' 'ok close'
        drained 'an answer that takes time'
        listen --exec 'echo "$FERRY_TYPE"; cat' --count 2
        client get f send 'text/plain; charset=utf-8' x wait 5 send text/html y wait 5 closed
        told 'ferry ends by itself' 'ok get' 'ok send' 'message text/plain; charset=utf-8 (27 bytes, md5 '"$(
                printf 'text/plain; charset=utf-8\nx' | md5sum | cut -c -32))" 'ok send' \
                "message text/html (11 bytes, md5 $(printf 'text/html\ny' | md5sum | cut -c -32))" 'ok closed'
        await "$listener"
        ended 'ferry ends by itself' 0 -
}

# A client that waits says that it is there, as real ones do. A server does not: a real client that waits with a timeout
# would wait as long again.
ferry_beats() {
        alone
        period=60 serve q
        run ferry call q --dialect innmind text/plain 'cmd:later 3.2'
        ended 'an answer after three seconds' 0 later
        check 'ferry has beaten' grep -q '^in 1 heartbeat' "$log"
        visited 'an answer after three seconds' 1
        stops 'an answer after three seconds'
        listen --echo
        client get f idle 3 heard send text/plain 'are you there' heard wait 10 close
        told 'a client that is silent' 'ok get' 'ok idle' 'heard nothing' 'ok send' 'heard nothing' \
                'message text/plain are you there' 'ok close'
        drained 'a client that is silent'
}

# A name that is taken, and what another process has left.
ferry_starts() {
        alone
        serve q
        run ferry listen q --dialect innmind --echo
        ended 'a name that a PHP server has' 3 ''
        carries 'a name that a PHP server has' 0
        # Whether that costs the carry depends on the order, so it must not happen at all.
        is 'ferry has not looked by connecting' "$(grep -c ^accepted "$log")" 1
        kill -KILL "$server"
        await "$server"
        check 'a killed server leaves its socket' test -S "$sockets/q.sock"
        start ferry listen q --dialect innmind --echo
        listener=$job
        soon is_listening "$sockets/q.sock"
        client get q send text/plain hello wait 5 close
        told 'what a killed server left is taken' 'ok get' 'ok send' 'message text/plain hello' 'ok close'
        run ferry listen q --dialect innmind --echo
        ended 'a name that ferry has' 3 ''
        says 'a name that ferry has' "$listener"
        kill -TERM "$listener"
        await "$listener"
        ended 'ferry ends' 0 $'hello\n'
}

# visited NAME COUNT: the last visit has ended in order, and the server carries COUNT
visited() {
        left_in_order "$1"
        carries "$1" "$2"
}

left_in_order() {
        local number

        number=$(grep -c ^accepted "$log")
        if soon grep -qx "closed $number" "$log"; then
                pass
        else
                fail "$1: it has not left in order: $(grep " $number\b" "$log" | paste -sd,)"
        fi
}

# What ferry says to a PHP server.
ferry_calls() {
        local call=(ferry call q --dialect innmind) calls=() i

        alone
        serve q
        run "${call[@]}" text/plain ping
        ended 'a call' 0 ping
        visited 'a call' 1
        check 'what was said' cmp -s <(told_by 1 | grep '^in') \
                <(printf 'in 1 %s\n' start-ok 'text/plain ping' close)
        run "${call[@]}" text/plain
        ended 'no body' 0 ''
        visited 'no body' 2
        run "${call[@]}" 'application/json; charset=utf-8' '{}'
        ended 'a type with a charset' 0 '{}'
        check 'a type with a charset' grep -qxE 'in [0-9]+ application/json; charset=utf-8 \{\}( \+[0-9]+)?' "$log"
        run "${call[@]}" --json 'text/plain;charset=utf-8' x
        ended 'a type that comes back in another form' 0 \
                $'{"kind":"response","type":"text/plain; charset=utf-8","body":"x"}\n'
        run "${call[@]}" application/json --value '{"a": [1, null]}'
        ended 'a value' 0 '{"a":[1,null]}'
        run "${call[@]}" --json text/html '<p>'
        ended 'a call, --json' 0 $'{"kind":"response","type":"text/html","body":"<p>"}\n'
        run "${call[@]}" application/octet-stream - < "$vectors/innmind-generic-binary.bin"
        ended 'bytes of all kinds' 0 "@$vectors/innmind-generic-binary.bin"
        head -c 32000 < <(while printf '\0abcdefg' 2> /dev/null; do :; done) > large
        run "${call[@]}" application/octet-stream - < large
        ended '32,000 bytes' 0 @large
        run "${call[@]}" text/html innmind/ipc:heartbeat
        ended 'what is no control message' 0 innmind/ipc:heartbeat
        visited 'calls' 9
        run "${call[@]}" text/plain 'cmd:later 0.9'
        ended 'an answer between heartbeats' 0 later
        run "${call[@]}" text/plain 'cmd:late 0.5'
        ended 'an answer that keeps the server busy' 0 late
        run "${call[@]}" text/plain cmd:bytewise
        ended 'an answer in single bytes' 0 'byte by byte'
        run "${call[@]}" text/plain 'cmd:push 3'
        ended 'several answers' 0 'push 1'
        run "${call[@]}" text/plain 'cmd:type text/x-y+z; a=1, b=2'
        ended 'an answer of another type' 0 'of that type'
        visited 'answers of all kinds' 14
        run ferry call "unix:$sockets/q.sock" --dialect innmind text/plain ping
        ended 'a path' 0 ping
        run ferry notify q --dialect innmind text/plain cmd:silent
        ended 'a notification' 0 ''
        run ferry notify q --dialect innmind text/plain answered
        ended 'a notification that is answered' 0 ''
        visited 'notifications' 17
        run "${call[@]}" text/plain cmd:before
        visited 'a message before the acknowledgement' 18

        for ((i = 0; i < 10; i++)); do
                start "${call[@]}" text/plain "call $i"
                calls[i]=$job
        done
        for ((i = 0; i < 10; i++)); do
                await "${calls[i]}"
                ended "ten at once: $i" 0 "call $i"
        done
        carries 'ten at once' 28
        is 'all have left in order' "$(grep -cE '^(left|dropped)' "$log")" 0
        stops 'calls'
}

# Visits that go wrong cost the server nothing.
ferry_fails() {
        local call=(ferry call q --dialect innmind) signal type text accepted

        alone
        serve q
        run "${call[@]}" --timeout 1 text/plain cmd:silent
        ended 'no answer' 124 ''
        visited 'no answer' 1
        for signal in INT TERM; do
                start "${call[@]}" text/plain "cmd:silent $signal"
                soon grep -q "cmd:silent $signal" "$log"
                kill -$signal "$job"
                await "$job"
                check "SIG$signal: it has ended" test "$status" -ne 0
                left_in_order "SIG$signal"
        done
        carries 'interrupted' 3
        run "${call[@]}" text/plain cmd:close
        ended 'closed by the server' 3 ''
        visited 'closed by the server' 4

        accepted=$(grep -c ^accepted "$log")
        for type in foo/bar TEXT/PLAIN text text/ /plain '' ' text/plain' 'text/plain ' $'text/plain\n' \
                'text/plain;  a=b' 'text/plain; a' 'text/plain; a="b c"' 'text/a+b+c' text/-a 'text/plän' "text/$(printf %0128d 0)"; do
                run "${call[@]}" "$type" x
                ended "no media type: $type" 4 ''
        done
        for text in "${controls[@]}"; do
                run "${call[@]}" text/plain "innmind/ipc:$text"
                ended "a control message: $text" 4 ''
                run ferry notify q --dialect innmind text/plain "innmind/ipc:$text"
                ended "a notification that is a control message: $text" 4 ''
        done
        run "${call[@]}" text/plain --value '{"a": 1}'
        ended 'a map as text/plain' 4 ''
        head -c 131073 /dev/zero > large
        run "${call[@]}" text/plain - < large
        ended 'more than 128 KiB' 4 ''
        [[ $(grep -c ^accepted "$log") -eq $accepted ]] || left_in_order 'all that was refused'
        is 'all have left in order' "$(grep -cE '^(left|dropped)' "$log")" 0
        carries 'all that was refused' 4

        # Without its dialect, it is not touched.
        accepted=$(grep -c ^accepted "$log")
        run ferry call "unix:$sockets/q.sock" ping hello
        check 'the socket of an innmind server in another dialect' test "$status" = 3 -o "$status" = 4
        says 'the socket of an innmind server in another dialect' dialect innmind
        run ferry notify "unix:$sockets/q.sock" --dialect ferry ping hello
        check 'a notification in another dialect' test "$status" = 3 -o "$status" = 4
        says 'a notification in another dialect' dialect innmind
        is 'no client has come' "$(grep -c ^accepted "$log")" "$accepted"
        carries 'in another dialect' 4

        # It hangs: no time is enough, and it is not hurt once it goes on.
        kill -STOP "$server"
        run "${call[@]}" --timeout 0.5 text/plain hello
        ended 'a server that does not answer' 124 ''
        kill -CONT "$server"
        client get q send text/plain cmd:count wait 5 close
        check 'a server that did not answer carries on' grep -qxE 'message text/plain [45]' out
        run "${call[@]}" text/plain cmd:stop
        ended 'a server that stops' 3 ''
        await "$server"
        ended 'a server that stops: it has ended' 0 -
        check 'a server that stops: all were waited for' grep -qx ended out
        run ferry call vacant --dialect innmind --wait 0 text/plain hello
        ended 'no server' 3 ''
}

controls=(connection.start connection.start-ok connection.close connection.close-ok message.received heartbeat)

# Whether a server lives is read, not asked.
ferry_finds() {
        local waiting calling

        alone
        run ferry wait q --dialect innmind --timeout 0.3
        ended 'no server' 124 ''
        start ferry wait q --dialect innmind
        waiting=$job
        start ferry call q --dialect innmind --wait 20 text/plain hello
        calling=$job
        serve q
        await "$waiting"
        ended 'waiting for a server' 0 ''
        await "$calling"
        ended 'a call that waits for a server' 0 hello
        left_in_order 'a call that waits for a server'
        run ferry wait q --dialect innmind
        ended 'waiting for a server that is there' 0 ''
        run ferry list
        ended 'a list' 0 -
        check 'a list' grep -q '\bq\b.*innmind' out
        run ferry list --json
        ended 'a list, --json' 0 -
        check 'a list names the server' grep -q '"name":"q"' out
        # The kernel does not say whose it is; its owner it says.
        check 'a list names its user' grep -q "\"pid\":null,\"uid\":$UID\b" out
        check 'a list names the dialect' grep -q innmind out
        is 'only the call has come' "$(grep -c ^accepted "$log")" 1
        carries 'waiting and listing' 1
        kill -KILL "$server"
        await "$server"
        run ferry list --json
        ended 'an empty list' 0 ''
        run ferry wait q --dialect innmind --timeout 0.3
        ended 'a server that was killed' 124 ''
        run ferry call q --dialect innmind --wait 0 text/plain hello
        ended 'a call of a server that was killed' 3 ''

        listen --reply pong
        run ferry call f --dialect innmind text/plain ping
        ended 'ferry and ferry' 0 pong
        run ferry list --json
        check 'ferry lists ferry' grep -q '"name":"f"' out
        drained 'ferry and ferry'
}

if [[ ${2:-} == ferry ]]; then
        aside ferry_serves ferry_echoes ferry_answers_late ferry_beats ferry_starts ferry_calls ferry_fails ferry_finds
else
        aside peers_talk peers_types peers_lose peers_die peers_stop peers_recorded
fi
finish
