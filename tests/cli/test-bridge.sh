#!/bin/bash
# ferry bridge: what a peer sees of it, its ends, and its exit status. Takes the build directory.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite cli-bridge "${1:?usage: test-bridge.sh BUILD}"

a_session_over_a_bridge_is_like_one_without() {
        start ferry listen unix:echo.sock --echo --quiet
        run ferry call --wait 20 unix:echo.sock x hello
        ended 'a call without a bridge' 0 'hello'
        run ferry call 'exec:ferry bridge unix:echo.sock' x hello
        ended 'a call over a bridge' 0 'hello'
        run ferry call --dialect stream-ipc 'exec:ferry bridge unix:echo.sock' 'App\Ask' hello
        ended 'a call in stream-ipc' 0 'hello'
        run ferry notify 'exec:ferry bridge unix:echo.sock' x hello
        ended 'a notification' 0 ''
        run ferry bench --count 2000 --in-flight 50 --json 'exec:ferry bridge unix:echo.sock'
        check 'many requests over a bridge' grep -q '"requests":2000' out
        run ferry call 'exec:ferry bridge "exec:ferry bridge unix:echo.sock"' x twice
        ended 'a bridge over a bridge' 0 'twice'
        interrupt TERM
}

bytes_of_any_value_and_number_pass() {
        head -c 3000000 /dev/urandom > much
        run ferry bridge 'exec:cat' < much
        ended 'much' 0 @much
        run ferry bridge 'exec:cat' < /dev/null
        ended 'nothing' 0 ''
        run ferry bridge file:much, < /dev/null
        ended 'a file' 0 @much
        run ferry bridge 'exec:cat > copy' < much
        ended 'a command without output' 0 ''
        check 'the copy' cmp -s much copy
}

the_end_of_one_direction_leaves_the_other() {
        run ferry bridge 'exec:cat > all; wc -c < all' < much
        ended 'an answer behind the end of the input' 0 $'3000000\n'
        run bash -c 'sleep 0.2 | ferry bridge "exec:exec >&-; cat >/dev/null"'
        ended 'a command that closes its output' 0 ''
}

a_service_that_closes_ends_the_bridge() {
        mkfifo open
        start ferry recv unix:recv.sock --count 1
        soon [ -S recv.sock ]
        run bash -c 'printf bytes | ferry bridge unix:recv.sock'
        ended 'a service that takes bytes' 0 ''
        await "$job"
        ended 'what it has taken' 0 'bytes'
        start ferry listen unix:echo.sock --echo --quiet
        soon [ -S echo.sock ]
        local listener=$job
        start bash -c 'exec ferry bridge unix:echo.sock < open'
        exec 7> open
        soon has_client "$listener"
        kill -KILL "$listener"
        await "$job"
        ended 'a bridge whose service was killed' 0 ''
        exec 7>&-
}

# A socket more than the one that it listens at.
has_client() {
        [[ $(ls -l "/proc/$1/fd" | grep -c socket:) -ge 2 ]]
}

# A bridge has stdin and stdout no more, once the service has them.
has_stepped_aside() {
        [ ! -e "/proc/$1/fd/0" ] && [ ! -e "/proc/$1/fd/1" ]
}

a_service_takes_the_pipes_of_the_bridge() {
        mkfifo to from
        start ferry listen unix:pass.sock --exec 'sleep 0.2; cat' --quiet
        local listener=$job
        soon [ -S pass.sock ]
        start bash -c 'exec ferry bridge unix:pass.sock < to > from'
        local bridge=$job
        exec 7> to 8< from
        check 'the service has the pipes' soon has_stepped_aside "$bridge"
        # Its client has ended before it is answered.
        start ferry call --dialect stream-ipc fd:8,7 'App\Ask' late
        local call=$job
        exec 7>&- 8>&-
        await "$call"
        ended 'a call' 0 late
        await "$bridge"
        ended 'its bridge' 0 ''
        # What has no other end than the bridge ends with it.
        start bash -c 'exec ferry bridge unix:pass.sock < to > from'
        bridge=$job
        exec 7> to 8< from
        soon has_stepped_aside "$bridge"
        kill -KILL "$bridge"
        await "$bridge"
        run timeout 20 cat <&8
        ended 'the output of a bridge that was killed' 0 ''
        exec 7>&- 8>&-
        # Files and terminals are copied.
        run bash -c 'ferry bridge unix:pass.sock < /dev/null | cat'
        ended 'no pipe' 0 ''
        run ferry call unix:pass.sock x still
        ended 'the service goes on' 0 still
        job=$listener
        interrupt TERM
}

the_exit_status_says_how_it_ended() {
        run ferry bridge 'exec:exit 7' < /dev/null
        ended 'a command that fails' 7 ''
        run ferry bridge 'exec:kill -KILL $$' < /dev/null
        ended 'a command that was killed' 137 ''
        run ferry bridge 'exec:echo words >&2' < /dev/null
        says_exactly 'stderr of a command' $'command: words\n'
        run ferry bridge unix:nothing.sock < much
        ended 'no service' 69 ''
        says 'no service' 'unix:nothing.sock' 'No such file'
        run ferry bridge --wait 0.02 unix:nothing.sock < much
        ended 'no service that comes' 69 ''
        run bash -c 'ferry bridge "exec:cat" < much | head -c 1 > /dev/null; exit ${PIPESTATUS[0]}'
        ended 'a reader that has gone' 0 ''
        run bash -c 'echo lost | ferry bridge "exec:cat" > /dev/full'
        ended 'a full disk' 3 ''
        says 'a full disk' 'exec:cat' 'No space left on device'
        run bash -c 'ferry bridge "exec:cat; exit 7" < much > /dev/full'
        ended 'a full disk, and a command that fails' 3 ''
        says 'a full disk, and a command that fails' 'No space left on device'
        run bash -c 'ferry bridge "exec:cat" <&-'
        ended 'a stdin that is closed' 69 ''
        says 'a stdin that is closed' 'descriptor'
}

a_signal_ends_the_bridge_and_its_command() {
        start bash -c 'exec ferry bridge "exec:sleep 100" < open'
        exec 7> open
        soon pgrep -P "$job" > /dev/null
        interrupt TERM
        ended 'a signal' 143 ''
        nothing_left 'a signal'
        exec 7>&-
}

misuse_is_refused() {
        local arguments
        for arguments in 'stdio:' '' 'udp:127.0.0.1:9' 'shm:1' 'a b' '--wait 1 exec:cat' '--dialect innmind unix:x' '--dialect ferry x' 'one two' \
                '--timeout 1 x'; do
                # shellcheck disable=SC2086 # one word for each argument
                run ferry bridge ${arguments:-''} < /dev/null
                ended "bridge $arguments" 2 ''
        done
}

a_session_over_a_bridge_is_like_one_without
bytes_of_any_value_and_number_pass
the_end_of_one_direction_leaves_the_other
a_service_that_closes_ends_the_bridge
a_service_takes_the_pipes_of_the_bridge
the_exit_status_says_how_it_ended
a_signal_ends_the_bridge_and_its_command
misuse_is_refused
finish
