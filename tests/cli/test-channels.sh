#!/bin/bash
# The tool's commands for channels, stores and objects of the kernel, as a user runs them. Takes the build directory.

# In an IPC namespace of its own no other test is seen, and every object that is left is ours.
if [[ -z ${FERRY_TEST_IPC-} ]] && unshare --ipc true 2> /dev/null; then
        FERRY_TEST_IPC=private exec unshare --ipc "$BASH" "$0" "$@"
fi
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite cli-channels "${1:?usage: test-channels.sh BUILD}"

all_objects() {
        tail -n +2 /proc/sysvipc/msg /proc/sysvipc/shm /proc/sysvipc/sem
}

# The first free port from a random one on, of what the kernel lists for that protocol.
port() {
        local candidate

        for ((candidate = 20000 + RANDOM % 12000; ; candidate++)); do
                grep -qi "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$candidate") " "/proc/net/$1" "/proc/net/${1}6" 2> /dev/null ||
                        break
        done
        echo "$candidate"
}

# refused NAME STATUS TEXT…: the last run printed nothing on stdout, and one sentence on stderr that holds the texts
refused() {
        local name=$1 expected=$2

        shift 2
        ended "$name" "$expected" ''
        says "$name" 'ferry: ' "$@"
        local lines
        mapfile lines < err
        is "$name: one sentence" "${#lines[@]}" 1
}

# failed NAME TEXT…: the same with any exit status but 0 and 2
failed() {
        local name=$1

        shift
        check "$name: exit status $status" test "$status" -ne 0 -a "$status" -ne 2
        refused "$name" "$status" "$@"
}

# receive ADDRESS OPTIONS…: ferry recv in the background, until it is ready
receive() {
        start ferry recv "$@"
        check "$1 is ready" ferry wait --timeout $enough_s "$1"
}

# arrives NAME OUT: what the last receiver printed
arrives() {
        await "$job"
        ended "$1" 0 "$2"
        says_exactly "$1" ''
}

## What the project promises ---------------------------------------------------------------------------

promises() {
        local udp

        receive udg:d.sock --count 1
        run ferry send udg:d.sock 'Hello from Sender'
        ended 'a datagram is sent' 0 ''
        says_exactly 'a datagram is sent' ''
        arrives 'a unix datagram' 'Hello from Sender'
        check 'its socket is gone' test ! -e d.sock

        udp=udp:127.0.0.1:$(port udp)
        receive "$udp" --count 1
        run ferry send "$udp" 'over ip'
        ended 'a datagram is sent over ip' 0 ''
        arrives 'a datagram over ip' 'over ip'

        start ferry recv fifo:f --count 1
        run ferry send fifo:f --wait 20 'through a fifo'
        ended 'bytes are sent through a FIFO' 0 ''
        arrives 'a FIFO' 'through a fifo'
        check 'the FIFO is gone' test ! -e f

        run ferry store shm:key put 1 --value '{"a":[1,2]}'
        ended 'a value is put' 0 ''
        says_exactly 'a value is put' ''
        run ferry store shm:key get 1
        ended 'a value is got' 0 $'{"a":[1,2]}\n'
        run ferry store shm:key get 1 --json
        ended 'a value is got as JSON' 0 $'{"a":[1,2]}\n'
        run ferry store shm:key remove
        ended 'a store is removed' 0 ''

        run ferry ipcs
        ended 'ipcs' 0 -
        nothing_left 'what the project promises'
}

## Channels --------------------------------------------------------------------------------------------

datagrams() {
        local udp group_port

        receive udg:d.sock --count 3
        run ferry send udg:d.sock one
        run ferry send udg:d.sock ''
        run ferry send udg:d.sock - < <(printf 'a\0b\nc')
        await "$job"
        printf 'one\n\na\0b\nc\n' > expected
        ended 'records of many are lines' 0 @expected

        receive udg:d.sock --count 1 --json
        run ferry send udg:d.sock $'ü"\n'
        await "$job"
        check 'a record as JSON' grep -qE '^\{"sender":"udg:@[^"]+","uid":'"$EUID"',"pid":[0-9]+,"body":"ü\\"\\n"\}$' out

        receive udg:d.sock --count 1 --value
        run ferry send udg:d.sock --value '{"a":[1.5,null]}'
        arrives 'a value in a datagram' $'{"a":[1.5,null]}\n'

        udp=udp:127.0.0.1:$(port udp)
        receive "$udp" --count 1 --json
        run ferry send "$udp" text
        await "$job"
        check 'a record over ip as JSON' grep -qE '^\{"sender":"udp:127\.0\.0\.1:[0-9]+","body":"text"\}$' out

        run ferry recv udg:d.sock --timeout 0.2
        refused 'nothing comes' 124 d.sock '0.2'
        check 'the socket of a timeout is gone' test ! -e d.sock
        run ferry send udg:d.sock text
        refused 'no receiver' 3 d.sock
        run ferry send "$udp" text
        refused 'no receiver over ip' 3 "$udp"
        start ferry send udg:d.sock --wait 20 text
        local sender=$job
        start ferry recv udg:d.sock --count 1
        arrives 'a sender that waits' text
        await "$sender"
        ended 'a sender that has waited' 0 ''

        # A second receiver, a stale socket, a file in its place.
        receive udg:d.sock
        local receiver=$job
        run ferry recv udg:d.sock
        refused 'a second receiver' 3 d.sock "$receiver"
        kill -KILL "$receiver"
        await "$receiver"
        check 'a killed receiver leaves its socket' test -S d.sock
        receive udg:d.sock
        interrupt TERM
        check 'a stale socket is replaced, and goes' test ! -e d.sock
        echo text > file
        run ferry recv udg:file --timeout 1
        failed 'a file in the place of a socket' file
        is 'the file is as before' "$(< file)" text
        nothing_left datagrams

        # Groups.
        run ferry send udp:239.1.2.3:9 text
        failed 'multicast without an interface' 239.1.2.3 interface
        run ferry recv udp:0.0.0.0:0 --timeout 1
        failed 'a public address' 0.0.0.0 public
        run ferry send udp:127.255.255.255:9 text
        failed 'broadcast' 127.255.255.255
        run ferry recv "udp:0.0.0.0:$(port udp)" --public --group 239.1.2.3
        refused 'a group without an interface' 2 '--interface'
        run ferry recv "udp:0.0.0.0:$(port udp)" --public --group 239.1.2.3 --interface nosuch
        failed 'a group at a missing interface' nosuch
        group_port=$(port udp)
        # Its socket is bound before it is in the group, which no other test joins.
        start ferry recv "udp:0.0.0.0:$group_port" --public --group 239.1.2.77 --interface lo --count 1
        check 'it has joined' soon grep -q '4D0201EF' /proc/net/igmp
        run ferry send "udp:239.1.2.77:$group_port" --interface lo 'to a group'
        ended 'multicast is sent' 0 ''
        arrives 'multicast' 'to a group'

        # The largest record.
        head -c 65507 /dev/zero > in
        receive "$udp" --count 1
        run ferry send "$udp" - < in
        arrives 'the largest record over ip' @in
        head -c 65508 /dev/zero > in
        run ferry send "$udp" - < in
        refused 'a byte more over ip' 4 "$udp" 65507
}

streams() {
        local address

        for address in unix:s.sock "tcp:127.0.0.1:$(port tcp)"; do
                head -c 3000000 /dev/urandom > in
                receive "$address" --count 1
                run ferry send "$address" - < in
                ended "$address: bytes are sent" 0 ''
                arrives "$address: bytes" @in

                receive "$address" --count 2
                run ferry send "$address" 'one '
                run ferry send "$address" 'two'
                arrives "$address: two clients" 'one two'

                receive "$address" --count 1 --json
                run ferry send "$address" text
                await "$job"
                check "$address: as JSON" grep -q '"body":"text"}$' out

                run ferry send "$address" text
                refused "$address: no listener" 3 "$address"
                run ferry recv "$address" --timeout 0.2
                refused "$address: no client" 124 "$address"
        done
        check 'the socket is gone' test ! -e s.sock
        nothing_left streams
}

# No descriptor is left for a client, which waits until there is; or until the time is over.
short_of_descriptors() {
        local address=unix:s.sock hard

        command -v prlimit > /dev/null || return 0
        hard=$(ulimit -H -n)
        receive "$address" --count 1
        prlimit --pid "$job" --nofile="3:$hard"
        run ferry send "$address" 'late, but there'
        ended 'a client is sent for' 0 ''
        soon grep -q 'the client waits' "$job_err"
        prlimit --pid "$job" --nofile="64:$hard"
        await "$job"
        ended 'a client that had to wait is received' 0 'late, but there'
        says 'a client that had to wait is received' 'ferry: ' "$address"
        is 'it says so once' "$(wc -l < err)" 1

        # It is stopped until the client has come, however long that takes: a receiver looks once more when its time is over.
        receive "$address" --timeout 1.5
        kill -STOP "$job"
        prlimit --pid "$job" --nofile="3:$hard"
        run ferry send "$address" 'in vain'
        kill -CONT "$job"
        await "$job"
        check 'a client that waits in vain is an error' test "$status" -eq 3
        receive "$address"
        prlimit --pid "$job" --nofile="3:$hard"
        run ferry send "$address" 'in vain'
        soon grep -q 'the client waits' "$job_err"
        interrupt TERM
        nothing_left 'a signal ends the wait for a descriptor'
}

fifos() {
        head -c 1000000 /dev/urandom > in
        start ferry send fifo:f --create --mode 0640 --wait 20 - < in
        local sender=$job
        soon test -p f
        is 'the mode of a FIFO' "$(stat -c %a f)" 640
        run ferry recv fifo:f --count 1
        ended 'a sender that makes the FIFO' 0 @in
        await "$sender"
        ended 'a sender through a FIFO' 0 ''
        check 'the FIFO goes with its maker' test ! -e f

        run ferry send fifo:f text
        refused 'no FIFO' 3 'f'
        mkfifo f
        run ferry send fifo:f --wait 0.2 text
        check 'no reader of the FIFO' test "$status" -eq 3 -o "$status" -eq 124
        refused 'no reader of the FIFO' "$status" 'f'
        within 'no reader of the FIFO' 200 10000
        run ferry recv fifo:f --timeout 0.2
        refused 'no writer of the FIFO' 124 'f'
        check 'a FIFO of another maker stays' test -p f
        echo text > file
        run ferry recv fifo:file --timeout 1
        failed 'a file in the place of a FIFO' file FIFO
        run ferry send fifo:file text
        failed 'a file in the place of a FIFO, to send' file FIFO
        is 'that file is as before' "$(< file)" text
        chmod 666 f
        run ferry recv fifo:f --strict --timeout 1
        failed 'a FIFO with a wide mode' f 666

        # A session by two of them.
        rm f
        start ferry listen fifo:there,back --reply world --count 1
        run ferry call fifo:back,there hello --wait 20 body
        ended 'a session through two FIFOs' 0 world
        await "$job"
        ended 'the other end' 0 $'body\n'
        check 'both FIFOs are gone' test ! -e there -a ! -e back
        nothing_left fifos
}

queues() {
        local id

        run ferry send msgq:q text
        refused 'no queue' 3 'q'
        check 'a sender makes no key file' test ! -e q
        run ferry send msgq:q --create text
        ended 'a queue is made' 0 ''
        is 'the mode of the key file' "$(stat -c %a q)" 600
        run ferry send msgq:q --type 7 'of type 7'
        run ferry send msgq:q --value '{"a":1}'
        run ferry recv msgq:q --type 7 --count 1
        ended 'a record of a type' 0 'of type 7'
        run ferry recv msgq:q --count 1
        ended 'the first record' 0 text
        run ferry recv msgq:q --count 1 --json
        ended 'a value' 0 $'{"type":1,"body":{"a":1}}\n'
        run ferry recv msgq:q --count 1 --timeout 0.2
        refused 'an empty queue' 124 'q'
        run ferry send msgq:q --type 0 text
        refused 'a type that is out of range' 2 '--type'
        run ferry ipcs --remove msgq:q
        ended 'a queue is removed' 0 $'removed msgq:q\n'
        run ferry ipcs --remove msgq:q
        refused 'a queue that is removed already' 1 msgq:q

        start ferry recv msgq:0x0badcafe --count 1
        check 'a queue by key' ferry wait --timeout $enough_s msgq:0x0badcafe
        run ferry send msgq:195939070 'by key'
        arrives 'a queue by key' 'by key'
        run ferry ipcs --json
        id=$(sed -nE 's/.*"address":"(msgq:#[0-9]+)".*"key":195939070,.*/\1/p' out)
        check 'it is listed with its key' test -n "$id"
        run ferry send "$id" 'by id'
        run ferry recv "$id" --count 1
        ended 'a queue by its identifier' 0 'by id'
        run ferry ipcs --remove "$id"
        ended 'it is removed by its identifier' 0 "removed $id"$'\n'
        nothing_left queues
}

posix_queues() {
        local name=mqueue:ferry-test-$$

        if [[ ! -d /proc/sys/fs/mqueue ]]; then
                skipped 'POSIX queues: this kernel has none'
                return
        fi
        receive "$name" --count 1
        run ferry send "$name" text
        arrives 'a POSIX queue' text
        run ferry send "$name" --type 1 low
        run ferry send "$name" --type 9 high
        run ferry recv "$name" --count 2 --json
        ended 'priorities' 0 $'{"type":9,"body":"high"}\n{"type":1,"body":"low"}\n'
        head -c 8193 /dev/zero > in
        run ferry send "$name" - < in
        refused 'a record over the limit' 4 "$name" 8192
        run ferry ipcs --remove "$name"
        ended 'a POSIX queue is removed' 0 "removed $name"$'\n'
        run ferry send "$name" text
        refused 'a POSIX queue that is missing' 3 "$name"
}

## Stores ----------------------------------------------------------------------------------------------

stores() {
        run ferry store shm:k get 1
        failed 'no key file' k
        check 'get makes no key file' test ! -e k
        run ferry store shm:k put 1 text --size 1024
        ended 'a segment is made' 0 ''
        is 'the mode of the key file' "$(stat -c %a k)" 600
        run ferry store shm:k get 1
        ended 'a text' 0 text
        run ferry store shm:k get 1 --json
        ended 'a text as JSON' 0 $'"text"\n'
        run ferry store shm:k get 2
        refused 'a missing key' 1 k 2
        run ferry store shm:k put -- -5 minus
        run ferry store shm:k list --json
        is 'the list' "$(sed -E 's/.*"key":(-?[0-9]+).*/\1/' out)" $'1\n-5'
        run ferry store shm:k list
        check 'the list as a table' grep -qE '^key +size +offset' out
        run ferry store shm:k remove -- -5
        ended 'a variable is removed' 0 ''
        run ferry store shm:k remove -- -5
        refused 'a variable that is missing' 1 k
        head -c 2000 /dev/zero > in
        run ferry store shm:k put 1 - < in
        refused 'a value that does not fit' 4 k
        run ferry store shm:k get 1
        ended 'the old value' 0 text

        run ferry store shm:k lock -- "$BASH" -c 'echo "$1"; exit 3' '' done
        ended 'a command under the lock' 3 $'done\n'
        run ferry store shm:k lock -- ./nosuch
        refused 'a missing command' 127 nosuch
        run ferry store shm:k lock -- .
        refused 'a command that cannot be executed' 126
        mkfifo go
        start ferry store shm:k lock -- "$BASH" -c 'echo locked; read -r line' <> go
        local holder=$job
        soon test -s "$job_out"
        run ferry store shm:k get 1 --timeout 0.2
        refused 'a lock that is held' 124 k "$holder"
        start ferry store shm:k get 1
        local waiter=$job
        kill -KILL "$holder"
        await "$waiter"
        ended 'a lock whose owner is killed' 0 text

        # Two commands never run at once.
        local i jobs=()
        for i in 1 2 3 4; do
                start ferry store shm:k lock -- "$BASH" -c 'mkdir held && rmdir held'
                jobs+=("$job")
        done
        for i in "${jobs[@]}"; do
                await "$i"
                ended 'one command at a time' 0 ''
        done

        run ferry store shm:k repair
        ended 'nothing to repair' 0 ''
        run ferry store shm:k remove
        ended 'a segment is removed' 0 ''
        run ferry store shm:k get 1
        refused 'a segment that is removed' 1 k
        run ferry store shm:0x7e57 put 1 x
        run ferry store shm:32343 get 1
        ended 'a segment by key' 0 x
        run ferry store shm:0x7e57 remove
        ended 'it is removed' 0 ''
        nothing_left stores
}

ipcs() {
        run ferry send msgq:listed --create text
        run ferry store shm:listed put 1 text
        run ferry ipcs --json
        ended 'ipcs as JSON' 0 -
        check 'a queue is listed' grep -qE '"address":"msgq:#[0-9]+","kind":"msgq".*"mode":384' out
        check 'a segment is listed' grep -qE '"address":"shm:#[0-9]+","kind":"shm".*"mark":"unattached"' out
        check 'a lock is listed' grep -qE '"address":"sem:#[0-9]+","kind":"sem"' out
        run ferry ipcs
        ended 'ipcs as a table' 0 -
        check 'its headings' grep -qE '^kind +address +owner +mode' out
        check 'the mode' grep -qE '^msgq +msgq:#[0-9]+ .* 0600 ' out
        run ferry ipcs --remove msgq:listed shm:listed
        ended 'both are removed' 0 $'removed msgq:listed\nremoved shm:listed\n'
        run ferry ipcs --remove msgq:#999999999
        refused 'a missing object' 1 'msgq:#999999999'

        export FERRY_DIR=$PWD/names
        start ferry listen living
        local living=$job
        run ferry wait living
        start ferry listen dead
        run ferry wait dead
        kill -KILL "$job"
        await "$job"
        run ferry ipcs --remove-stale
        ended 'stale files are removed' 0 -
        check 'the dead one' grep -q dead out
        check 'not the living one' test -S names/living.sock
        check 'the dead socket is gone' test ! -e names/dead.sock
        run ferry ipcs --remove "unix:$PWD/names/living.sock"
        refused 'a living socket' 1 living.sock
        run ferry ipcs --json --remove "unix:$PWD/names/living.sock"
        is 'the same as JSON' "$status $(< out)" \
                "1 {\"address\":\"unix:$PWD/names/living.sock\",\"removed\":false,\"error\":\"its owner lives\"}"
        kill "$living"
        await "$living"
        unset FERRY_DIR
}

## Usage -----------------------------------------------------------------------------------------------

usage() {
        local command long
        long=$(printf %0108d 0)

        for command in 'ferry send' 'ferry send a b c d' 'ferry send name text' 'ferry send exec:true text' 'ferry send shm:k text' \
                'ferry send fifo:a,b text' 'ferry send http://x text' 'ferry send udp: text' 'ferry send udp:127.0.0.1 text' \
                'ferry send udp:127.0.0.1:65536 text' 'ferry send udp:example.com:80 text' 'ferry send udg: text' \
                'ferry send msgq: text' 'ferry send mqueue: text' 'ferry send mqueue:a/b text' "ferry send udg:$long text" \
                "ferry send unix:$long text" 'ferry send udg:x --type 1 text' 'ferry send tcp:127.0.0.1:9 --value 1' \
                'ferry send fifo:f --value 1' 'ferry send udg:x --create text' 'ferry send udg:x --ttl 1 text' \
                'ferry send udp:127.0.0.1:9 --ttl 0 text' 'ferry send udp:127.0.0.1:9 --ttl 256 text' \
                'ferry send msgq:k --type x text' 'ferry send msgq:k --type 0 text' 'ferry send msgq:k --type -1 text' \
                'ferry send mqueue:k --type 32768 text' 'ferry send msgq:k --mode 0600 text' \
                'ferry send msgq:k --create --mode 999 text' 'ferry send msgq:k --codec xml text' 'ferry send msgq:k --count 1 text' \
                'ferry recv' 'ferry recv a b' 'ferry recv name' 'ferry recv stdio:' 'ferry recv shm:k' 'ferry recv fifo:a,b' \
                'ferry recv udg:' 'ferry recv udg:x --count 0' 'ferry recv udg:x --count x' 'ferry recv udg:x --timeout x' \
                'ferry recv udg:x --type 1' 'ferry recv mqueue:x --type 1' 'ferry recv udg:x --public' 'ferry recv udg:x --wait 1' \
                'ferry recv udp:127.0.0.1:9 --group 239.1.2.3' 'ferry recv udp:127.0.0.1:9 --interface lo' \
                'ferry send msgq:private x' 'ferry send msgq:#5 --create x' 'ferry recv msgq:#5 --mode 600' 'ferry recv fifo:f --count 2' \
                'ferry send udp:127.0.0.1:9 --ttl 2 x' 'ferry send udp:127.0.0.1:9 --interface lo x' 'ferry send udp:[::1]:9 --ttl 2 x' \
                'ferry send unix:x --strict x' 'ferry recv unix:x --strict' 'ferry recv udg:x --strict' 'ferry send udg:@x --strict x' \
                'ferry store' 'ferry store shm:k' 'ferry store shm:k frobnicate' 'ferry store name get 1' 'ferry store msgq:k get 1' \
                'ferry store shm: get 1' 'ferry store shm:k get' 'ferry store shm:k get x' 'ferry store shm:k get 1 2' \
                'ferry store shm:k get 9223372036854775808' 'ferry store shm:k put 1' 'ferry store shm:k put x 1' \
                'ferry store shm:k put 1 x --size 0' 'ferry store shm:k list 1' \
                'ferry store shm:k lock' 'ferry store shm:k lock --' 'ferry store shm:k repair 1' 'ferry store shm:k remove x' \
                'ferry ipcs x' 'ferry ipcs --remove' 'ferry ipcs --remove --remove-stale' 'ferry ipcs --remove-stale x' \
                'ferry call udg:x t' 'ferry call fifo:f t' 'ferry call msgq:k t' 'ferry listen shm:k' 'ferry wait shm:k'; do
                # shellcheck disable=SC2086
                run $command < /dev/null
                ended "usage: $command" 2 ''
                says "usage: $command" 'ferry: '
        done
        is 'nothing was created by wrong usage' "$(ls -A | grep -vxE 'out|err|pause|log')" ''
        run ferry send msgq:k --value {
        refused 'a value that is not JSON' 4 BODY 'byte 1'
        run ferry store shm:k put 1 --value {
        refused 'a value of a store that is not JSON' 4 VALUE 'byte 1'
        run ferry send "udg:$long" text
        says 'a path that is too long' 'too long' 107
        run ferry send shm:k text
        says 'a command that takes the address is named' 'ferry store'
        run ferry recv name
        says 'the same for a service' 'name' 'channel'

        for command in send recv store ipcs; do
                run ferry $command --help
                ended "$command --help" 0 -
                says_exactly "$command --help" ''
                check "$command --help tells its arguments" grep -q "^ferry $command \[OPTIONS\]" out
        done
        run ferry send --help
        for command in --type --value --wait --timeout --create --mode --interface --ttl --broadcast; do
                check "send --help tells of $command" grep -q -- "$command" out
        done
        run ferry recv --help
        for command in --count --timeout --type --value --json --public --group --strict; do
                check "recv --help tells of $command" grep -q -- "$command" out
        done
        run ferry store --help
        for command in get put list remove lock repair --json --value --size --timeout; do
                check "store --help tells of $command" grep -q -- "$command" out
        done
        run ferry ipcs --help
        for command in --json --remove --remove-stale; do
                check "ipcs --help tells of $command" grep -q -- "$command" out
        done
        run ferry --help
        for command in send recv store ipcs udp: udg: fifo: msgq: mqueue: shm:; do
                check "--help tells of $command" grep -q -- "$command" out
        done
}

# A signal ends a receiver, and its socket or FIFO goes.
signals() {
        local address

        for address in udg:d.sock unix:s.sock fifo:f; do
                receive "$address"
                soon handles_signals "$job"
                interrupt TERM
                check "$address: it is gone after SIGTERM" test ! -e "${address#*:}"
                nothing_left "$address"
        done
        start ferry recv msgq:q
        run ferry wait --timeout $enough_s msgq:q
        soon handles_signals "$job"
        interrupt INT
        within 'a receiver of a queue ends at once' 0 10000
        run ferry ipcs --remove msgq:q
        ended 'the queue stays' 0 $'removed msgq:q\n'
}

before=$(all_objects)
aside promises datagrams streams short_of_descriptors fifos queues posix_queues stores ipcs usage signals
gather
parts=()
if [[ ${FERRY_TEST_IPC-} == private ]]; then
        is 'the objects of the system are those of before' "$(all_objects)" "$before"
fi
finish
