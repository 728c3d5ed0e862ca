#!/bin/bash
# Channels and stores: PHP's own functions on one side, ferry on the other: the examples, the tool, and two programs of this
# folder. Takes the build directory.

# In an IPC namespace of its own no other test is seen, and every object that is left is ours.
if [[ -z ${FERRY_TEST_IPC-} ]] && unshare --ipc true 2> /dev/null; then
        FERRY_TEST_IPC=private exec unshare --ipc "$BASH" "$0" "$@"
fi
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite channels-php "${1:?usage: test-channels.sh BUILD}"

here=$tests/interop
examples=$build/examples
if ! command -v php > /dev/null; then
        skipped 'PHP is not installed'
        finish
fi
php=("$(command -v php)" -n)
for extension in posix sockets shmop sysvmsg sysvsem sysvshm; do
        "${php[@]}" -r "exit(extension_loaded('$extension') ? 0 : 1);" || php+=(-d "extension=$extension")
        if ! "${php[@]}" -r "exit(extension_loaded('$extension') ? 0 : 1);" 2> /dev/null; then
                skipped "this PHP has no $extension"
                finish
        fi
done
peer=("${php[@]}" "$here/channels.php")

# What a part needs: p for sockets and FIFOs, which must be empty at its end, and k for key files.
prepare() {
        mkdir p k
        mkfifo go
}

# The SysV objects whose keys are those of files in k: kind and identifier, one a line.
objects() {
        local file device inode kind key id rest

        for file in k/*; do
                [[ -e $file ]] || continue
                read -r device inode < <(stat -c '%d %i' "$file")
                for kind in msg shm sem; do
                        while read -r key id rest; do
                                [[ $key == $((0x54 << 24 | (device & 0xff) << 16 | inode & 0xffff)) ]] && echo "$kind $id $file"
                        done < "/proc/sysvipc/$kind"
                done
        done
}

has_objects() {
        [[ -n $(objects) ]]
}

nothing_stays() {
        is "$1: files that are left" "$(ls -A p)" ''
        is "$1: objects that are left" "$(objects)" ''
        nothing_left "$1"
}

# run_php ROLE ARGUMENTS…: to its end
run_php() {
        run "${peer[@]}" "$@"
}

# expect NAME OUT ROLE ARGUMENTS…: PHP prints this
expect() {
        local name=$1 out=$2

        shift 2
        run_php "$@"
        ended "$name" 0 "$out"
}

# start_php ROLE ARGUMENTS…: in the background; returns when PHP has printed its first line
start_php() {
        start "${peer[@]}" "$@"
        soon test -s "$job_out"
}

port() {
        "${peer[@]}" port "$1"
}

# ready ADDRESS: the last job is bound, or listens, there
ready() {
        check "$1 is ready" ferry wait --timeout $enough_s "$1"
}

# all_equal NAME COUNT: each line of the last output says "equal", and there are so many
all_equal() {
        is "$1" "$(grep -av '^equal: ' out)" ''
        is "$1: how many" "$(grep -ac '^equal: ' out)" "$2"
}

## Datagrams -------------------------------------------------------------------------------------------

# datagrams_of ADDRESS SENDER OWN: SENDER is a pattern for a sender of PHP, OWN an address for PHP to send from
datagrams_of() {
        local address=$1 sender=$2 own=$3 listener

        start_php datagram-listener "$address" 2
        listener=$job
        run "$examples/datagram-sender" "$address"
        ended "$address: the example sends" 0 ''
        says_exactly "$address: the example sends" ''
        run ferry send "$address" 'from the tool'
        ended "$address: the tool sends" 0 ''
        await "$listener"
        ended "$address: PHP receives" 0 $'ready\nHello from Sender\nfrom the tool\n'

        start "$examples/datagram-listener" "$address"
        listener=$job
        ready "$address"
        expect "$address: PHP sends" '' datagram-sender "$address"
        await "$listener"
        ended "$address: the example receives" 0 -
        check "$address: the example names the sender" grep -qxE "Hello from Sender \(from '$sender'\)" out

        start ferry recv "$address" --count 1
        listener=$job
        ready "$address"
        expect "$address: PHP sends to the tool" '' datagram-sender "$address" $'ünï\xff'
        await "$listener"
        ended "$address: the tool receives" 0 $'ünï\xff'
        says_exactly "$address: the tool receives" ''

        start "$build/tests/channel-relay" "$address"
        listener=$job
        ready "$address"
        expect "$address: PHP receives the answer" $'to question\n' datagram-ask "$address" "$own"
        await "$listener"
        ended "$address: the answer" 0 ''
}

# sizes_of ADDRESS LIMIT: nothing, a byte, the largest record, and a byte more
sizes_of() {
        local address=$1 limit=$2 size listener

        for size in 0 1 "$limit"; do
                head -c "$size" /dev/zero | tr '\0' x > in
                start_php datagram-listener "$address"
                listener=$job
                run ferry send "$address" - < in
                ended "$address: $size bytes are sent" 0 ''
                await "$listener"
                if [[ $size -le 1 ]]; then
                        ended "$address: $size bytes arrive at PHP" 0 "ready"$'\n'"$(< in)"$'\n'
                else
                        ended "$address: $size bytes arrive at PHP" 0 "ready"$'\n'"$size bytes $(md5sum < in | cut -d' ' -f1)"$'\n'
                fi

                start ferry recv "$address" --count 1
                listener=$job
                ready "$address"
                expect "$address: PHP sends $size bytes" "sent $size"$'\n' datagram-size "$address" "$size"
                await "$listener"
                ended "$address: $size bytes arrive" 0 @in
        done

        start_php datagram-listener "$address"
        listener=$job
        head -c $((limit + 1)) /dev/zero > in
        run ferry send "$address" - < in
        ended "$address: a byte more is refused" 4 ''
        says "$address: a byte more is refused" "$limit"
        expect "$address: a byte more is refused by PHP" $'not sent: Message too long\n' datagram-size "$address" $((limit + 1))
        run ferry send "$address" 'after that'
        ended "$address: after that" 0 ''
        await "$listener"
        ended "$address: nothing of it arrives" 0 $'ready\nafter that\n'
}

unix_datagrams() {
        prepare
        datagrams_of udg:p/d.sock '' udg:p/own.sock
        sizes_of udg:p/d.sock $(($(< /proc/sys/net/core/wmem_default) - 32))

        # A receiver that does not read: the sender waits, and nothing is lost.
        local total=$(($(< /proc/sys/net/unix/max_dgram_qlen) + 10)) sent=0 listener sender

        start_php datagram-listener udg:p/d.sock $total
        listener=$job
        kill -STOP "$listener"
        while run ferry send udg:p/d.sock --timeout 0.2 "number $sent"; [[ $status == 0 && $sent -lt $total ]]; do
                sent=$((sent + 1))
        done
        ended 'a receiver without room' 124 ''
        says 'a receiver without room' 'p/d.sock'
        start ferry send udg:p/d.sock "number $sent"
        sender=$job
        kill -CONT "$listener"
        await "$sender"
        ended 'a receiver that reads again' 0 ''
        while [[ $((++sent)) -lt $total ]]; do
                run ferry send udg:p/d.sock "number $sent"
        done
        await "$listener"
        ended 'all of them, in order' 0 "ready"$'\n'"$(for ((sent = 0; sent < total; sent++)); do echo "number $sent"; done)"$'\n'
        nothing_stays 'unix datagrams'
}

udp_datagrams() {
        prepare
        datagrams_of "udp:127.0.0.1:$(port udp)" 'udp:127\.0\.0\.1:[0-9]+' udp:127.0.0.1:0
        sizes_of "udp:127.0.0.1:$(port udp)" 65507
        run ferry recv 'udp:[::1]:0' --timeout 0.01
        if [[ $status = 124 ]]; then
                datagrams_of "udp:[::1]:$(port udp)" 'udp:\[::1\]:[0-9]+' 'udp:[::1]:0'
        else
                skipped 'udp over IPv6: this machine has none'
        fi
        nothing_stays 'udp datagrams'
}

## Streams ---------------------------------------------------------------------------------------------

streams_of() {
        local address=$1 server

        start_php stream-server "$address"
        server=$job
        run "$examples/stream-client" "$address"
        ended "$address: the example as the client" 0 $'Hello from Server\n'
        await "$server"
        ended "$address: PHP as the server" 0 $'ready\nHello from Client\n'

        # What the tool does not read must not cost what it has sent.
        start_php stream-server "$address"
        server=$job
        head -c 1000000 /dev/urandom | base64 -w0 > in
        run ferry send "$address" - < in
        ended "$address: the tool as the client" 0 ''
        await "$server"
        is "$address: all that it sends arrives" "$(tail -n +2 out | md5sum)" "$(md5sum < in)"

        start "$examples/stream-server" "$address"
        server=$job
        ready "$address"
        expect "$address: PHP as the client" $'Hello from Server\n' stream-client "$address"
        await "$server"
        ended "$address: the example as the server" 0 $'Hello from Client\n'

        start ferry recv "$address" --count 2
        server=$job
        ready "$address"
        expect "$address: PHP as a client of the tool" '' stream-say "$address" 'one '
        expect "$address: PHP as the next one" '' stream-say "$address" $'two\xff'
        await "$server"
        ended "$address: the tool as the server" 0 $'one two\xff'
}

streams() {
        prepare
        streams_of unix:p/s.sock
        streams_of "tcp:127.0.0.1:$(port tcp)"
        nothing_stays streams
}

## FIFOs -----------------------------------------------------------------------------------------------

fifos() {
        local writer

        prepare
        start "$examples/fifo-writer" fifo:p/f
        writer=$job
        check 'the example makes the FIFO' soon test -p p/f
        is 'its mode' "$(stat -c %a p/f)" 600
        expect 'PHP reads' $'Hello from Writer\n' fifo-reader p/f
        await "$writer"
        ended 'the example writes' 0 ''
        check 'the FIFO goes with the example' test ! -e p/f

        start "$examples/fifo-reader" fifo:p/f
        local reader=$job
        check 'the example makes the FIFO, as a reader' soon test -p p/f
        expect 'PHP writes' '' fifo-writer p/f
        await "$reader"
        ended 'the example reads' 0 $'Hello from Writer\n'

        # PHP's FIFO stays when ferry has used it.
        start "${peer[@]}" fifo-writer p/f
        writer=$job
        check 'PHP makes the FIFO' soon test -p p/f
        run ferry recv fifo:p/f --count 1
        ended 'the tool reads' 0 $'Hello from Writer\n'
        await "$writer"
        start "${peer[@]}" fifo-reader p/f
        run ferry send fifo:p/f --wait $enough_s 'through a fifo'
        ended 'the tool writes' 0 ''
        await "$job"
        ended 'PHP reads from the tool' 0 'through a fifo'
        check 'the FIFO of PHP is still there' test -p p/f

        # The death of the last writer is the end of the file.
        start ferry recv fifo:p/f --count 1
        reader=$job
        start bash -c 'exec > p/f; printf begun; exec sleep 1000'
        soon test -s "out.${run_of[reader]}"
        kill -KILL "$job"
        await "$reader"
        ended 'a writer that is killed' 0 begun
        rm p/f
        nothing_stays fifos
}

## Queues ----------------------------------------------------------------------------------------------

value='{"text":"Hello from Writer","numbers":[1,2.5]}'

# both_ways NAME ADDRESS KEY_FILE PRINTED: the examples NAME-writer and NAME-reader, with PHP as the other one
both_ways() {
        local name=$1 address=$2 file=$3 printed=$4

        run "$examples/$name-writer" "$address"
        ended "$name-writer" 0 ''
        says_exactly "$name-writer" ''
        expect "$name-writer, read by PHP" "$printed"$'\n' "$name-reader" "$file"
        is "$name-reader of PHP leaves nothing" "$(objects)" ''
        expect "$name-writer of PHP" '' "$name-writer" "$file"
        run "$examples/$name-reader" "$address"
        ended "$name-reader" 0 "$printed"$'\n'
        says_exactly "$name-reader" ''
        is "$name-reader leaves nothing" "$(objects)" ''
}

queue_values() {
        local name number line count=0

        prepare
        touch k/a k/b
        both_ways queue msgq:k/a k/a "$value"

        # Every kind of value, through the values of the library.
        run_php names
        count=$(wc -l < out)
        run_php msg-send-all k/a
        is 'PHP sends every value' "$(sort -u out)" sent
        run "$build/tests/channel-relay" msgq:k/a msgq:k/b "$count"
        ended 'the library receives and sends every value' 0 ''
        run_php msg-expect-all k/b
        all_equal 'PHP receives every value' "$count"

        # Those that JSON can write, through the tool.
        run_php names json
        count=$(wc -l < out)
        check 'JSON can write many of them' test "$count" -ge 15
        run_php msg-send-all k/a json
        run ferry recv msgq:k/a --count "$count" --json --timeout $enough_s
        ended 'the tool receives values as JSON' 0 -
        cp out lines
        number=0
        while read -r line; do
                number=$((number + 1))
                line=${line#*\"body\":}
                run ferry send msgq:k/b --type $number --value -- "${line%\}}"
                [[ $status == 0 ]] || ended "the tool sends $line" 0 ''
        done < lines
        run_php msg-expect-all k/b json
        all_equal 'PHP receives values from the tool' "$count"

        # The bytes themselves.
        for name in int array-map string-zeros object-class; do
                expect "PHP sends $name" $'sent\n' msg-send k/a 1 $name
                "${peer[@]}" serialize $name > expected
                run ferry recv msgq:k/a --count 1
                ended "the bytes of $name" 0 @expected
                run ferry send msgq:k/a - < expected
                expect "PHP receives $name" $'equal\n' msg-expect k/a $name
        done

        # Values that PHP does not serialize.
        while read -r name line; do
                expect "PHP sends $name as it is" $'sent\n' msg-send-raw k/a 1 "$name"
                run ferry recv msgq:k/a --count 1
                ended "$name as it is" 0 "$line"
        done <<< $'string Hello from PHP\nint -42\nfloat 0.100000\nfloat-large 10000000000000000905969664.000000\ntrue 1\nfalse 0'
        run ferry send msgq:k/a 'as it is'
        expect 'PHP receives bytes' "1 $(printf 's:8:"as it is";' | base64)"$'\n' msg-receive-raw k/a 0

        # Types.
        for number in 5 2 9; do
                expect "PHP sends type $number" $'sent\n' msg-send k/a $number int
                run ferry send msgq:k/b --type $number "of type $number"
        done
        for number in 9:9 -3:2 0:5; do
                run ferry recv msgq:k/a --count 1 --type ${number%:*} --json
                ended "the tool receives type ${number%:*}" 0 "{\"type\":${number#*:},\"body\":-42}"$'\n'
                expect "PHP receives type ${number%:*}" "${number#*:} $(printf 's:9:"of type %s";' ${number#*:} | base64)"$'\n' \
                        msg-receive-raw k/b ${number%:*}
        done
        run_php msg-remove k/a
        run_php msg-remove k/b
        nothing_stays 'values in queues'
}

queue_limits() {
        local max size before
        max=$(< /proc/sys/kernel/msgmax)

        prepare
        touch k/q
        for size in 0 1 "$max"; do
                head -c "$size" /dev/zero | tr '\0' x > in
                expect "PHP sends $size bytes" $'sent\n' msg-send-size k/q "$size"
                run ferry recv msgq:k/q --count 1
                ended "$size bytes arrive" 0 @in
                run ferry send msgq:k/q - < in
                ended "$size bytes are sent" 0 ''
                expect "$size bytes arrive at PHP" "1 $(printf 's:%s:"%s";' "$size" "$(< in)" | base64 -w0)"$'\n' msg-receive-raw k/q 0
        done
        head -c $((max + 1)) /dev/zero > in
        run ferry send msgq:k/q - < in
        ended 'a byte more is refused' 4 ''
        says 'a byte more is refused' "$max" 'k/q'
        expect 'a byte more is refused by PHP' $'not sent: error 22\n' msg-send-size k/q $((max + 1))
        expect 'nothing of it is in the queue' $'0\n' msg-count k/q

        # A small buffer of PHP: the record stays, and ferry gets it whole.
        run ferry send msgq:k/q 'more than ten bytes'
        expect 'PHP with a small buffer' $'not received: error 7\n' msg-receive-raw k/q 0 10
        run ferry recv msgq:k/q --count 1
        ended 'the record is still there' 0 'more than ten bytes'

        # A raw body is not a value.
        expect 'PHP sends a body that is not serialized' $'sent\n' msg-send-raw k/q 1 string
        run ferry recv msgq:k/q --count 1 --json
        ended 'a body that is not serialized' 0 $'{"type":1,"body":"Hello from PHP"}\n'
        says 'a body that is not serialized' 'not a value'

        # Full: ferry waits for PHP, and PHP for ferry.
        local left count=0
        for ((left = $(< /proc/sys/kernel/msgmnb); left > 0; left -= size)); do
                size=$((left < max ? left : max))
                count=$((count + 1))
                expect 'PHP fills the queue' $'sent\n' msg-send-size k/q "$size"
        done
        before=$(cpu_ms)
        run ferry send msgq:k/q --timeout 0.3 'no room'
        ended 'a full queue' 124 ''
        says 'a full queue' 'k/q'
        within 'a full queue' 300 10000
        check 'waiting for room takes no processor time' test $(($(cpu_ms) - before)) -lt 250
        expect 'a full queue of PHP' $'not sent: error 11\n' msg-send-size k/q 1
        start ferry send msgq:k/q 'room at last'
        local sender=$job
        run_php msg-receive-raw k/q 0
        await "$sender"
        ended 'ferry sends when PHP has received' 0 ''
        start "${peer[@]}" msg-send-size k/q "$max" block
        sender=$job
        run ferry recv msgq:k/q --count "$count"
        is 'ferry receives what was before' "$(tail -n 1 out)" 'room at last'
        await "$sender"
        ended 'PHP sends when ferry has received' 0 $'sent\n'
        run ferry recv msgq:k/q --count 1
        is 'and ferry receives that' "$(wc -c < out)" "$max"

        # Empty.
        before=$(cpu_ms)
        run ferry recv msgq:k/q --count 1 --timeout 0.3
        ended 'an empty queue' 124 ''
        says 'an empty queue' 'k/q'
        check 'waiting for a record takes no processor time' test $(($(cpu_ms) - before)) -lt 250
        start ferry recv msgq:k/q --count 1
        local receiver=$job
        run_php msg-send-size k/q 1
        await "$receiver"
        ended 'a record that comes later' 0 x

        # Removed by PHP while ferry waits.
        run_php msg-remove k/q
        start ferry recv msgq:k/q --count 1
        receiver=$job
        check 'the receiver makes the queue' soon has_objects
        run_php msg-remove k/q
        await "$receiver"
        ended 'a queue that is removed' 3 ''
        says 'a queue that is removed' 'k/q'
        nothing_stays 'limits of queues'
}

## Stores ----------------------------------------------------------------------------------------------

store_values() {
        local number name

        prepare
        touch k/a k/b
        both_ways shm shm:k/a k/a "$value"
        both_ways shmop shm:k/a k/a 'Hello from Writer'

        run_php names
        local count
        count=$(wc -l < out)
        expect 'PHP puts every value' '' shm-put-all k/a
        run "$build/tests/channel-relay" shm:k/a shm:k/b
        ended 'the library copies every value' 0 ''
        run_php shm-expect-all k/b
        all_equal 'PHP gets every value' "$count"
        run_php shm-list k/b
        cp out expected
        run ferry store shm:k/b list --json
        is 'the list is that of PHP' "$(sed -E 's/.*"key":(-?[0-9]+),.*"size":([0-9]+).*/\1 \2/' out)" "$(< expected)"
        run ferry store shm:k/b remove
        ended 'the tool removes a segment' 0 ''

        # Those that JSON can write, through the tool.
        run_php names json
        cp out names
        count=$(wc -l < names)
        while read -r number name; do
                run ferry store shm:k/a get "$number" --json
                cp out in
                run ferry store shm:k/b put "$number" --size 65536 --value - < in
                [[ $status == 0 ]] || ended "the tool puts $name: $(< in)" 0 ''
        done < names
        run_php shm-expect-all k/b json
        all_equal 'PHP gets values from the tool' "$count"

        # Keys, and what is missing.
        largest=$(php -r 'echo PHP_INT_MAX;') least=$(php -r 'echo PHP_INT_MIN;')
        run ferry store shm:k/b put -- "$least" least
        expect 'the least key' $'"least"\n' shm-get k/b "$least"
        run_php shm-put k/b "$largest" string
        run ferry store shm:k/b get "$largest"
        ended 'the largest key' 0 'Hello from PHP'
        run_php shm-drop k/b "$largest"
        run ferry store shm:k/b get "$largest"
        ended 'a key that PHP has removed' 1 ''
        run ferry store shm:k/b remove -- "$least"
        expect 'a key that the tool has removed' $'nothing\n' shm-get k/b "$least"

        # Raw bytes are not variables.
        run_php shm-remove k/b
        run ferry store shm:k/a remove
        run ferry store shm:k/b remove
        expect 'PHP writes raw bytes' $'6\n' shmop-write k/b 0 'abcdef'
        run ferry store shm:k/b get 1
        ended 'raw bytes are not variables' 4 ''
        says 'raw bytes are not variables' 'k/b'
        run ferry store shm:k/b remove
        ended 'a segment of raw bytes is removed' 0 ''
        nothing_stays 'values in stores'
}

store_limits() {
        local size most=943

        prepare
        touch k/s k/t
        # 943 bytes are 952 when serialized, the most that a segment of 1,024 bytes holds; of a 32-bit PHP, it holds 984.
        [ "$(php -r 'echo PHP_INT_SIZE;')" = 8 ] || most=975
        expect 'PHP makes a segment' '' shm-make k/s 1024
        expect 'PHP fills it' $'put\n' shm-put-size k/s 1 $most
        run ferry store shm:k/s get 1
        is 'ferry gets that' "$(wc -c < out)" $most
        run_php shm-drop k/s 1
        head -c $((most + 1)) /dev/zero | tr '\0' x > in
        run ferry store shm:k/s put 1 short
        run ferry store shm:k/s put 1 - < in
        ended 'a value that does not fit' 4 ''
        says 'a value that does not fit' 'k/s'
        expect 'the old value is still there' $'"short"\n' shm-get k/s 1
        head -c $most /dev/zero | tr '\0' x > in
        run ferry store shm:k/s put 2 - < in
        ended 'a value that does not fit beside another' 4 ''
        run ferry store shm:k/s put 1 - < in
        ended 'a value that fits instead of the old one' 0 ''
        expect 'PHP has no room for more' $'not put\n' shm-put-size k/s 1 $((most + 1))
        run ferry store shm:k/s get 1
        ended 'PHP has dropped the old value' 1 ''
        run ferry store shm:k/s list
        ended 'the segment is whole' 0 -

        # Torn by a process that follows no lock.
        for size in 1 2 3; do
                run_php shm-put k/s $size int
        done
        expect 'a distance is wrong' $'torn\n' shm-tear k/s 2 next
        run ferry store shm:k/s get 1
        ended 'a distance is wrong' 4 ''
        run ferry store shm:k/s repair
        ended 'a distance is wrong: repair' 0 -
        expect 'the variable itself is whole' $'-42\n' shm-get k/s 2
        run_php shm-put k/s 3 int
        expect 'a length is wrong' $'torn\n' shm-tear k/s 2 length
        for size in 'get 1' 'put 1 x' 'list' 'remove 1'; do
                # shellcheck disable=SC2086
                run ferry store shm:k/s $size
                ended "torn: $size" 4 ''
                says "torn: $size" 'k/s' 'repair'
        done
        run ferry store shm:k/s repair
        ended 'torn: repair' 0 -
        check 'repair lists what it drops' grep -q '^dropped [0-9]* bytes' out
        expect 'what was whole is kept' $'-42\n' shm-get k/s 1
        expect 'what was torn is dropped' $'nothing\n' shm-get k/s 2
        run ferry store shm:k/s repair
        ended 'nothing more to repair' 0 ''
        run ferry store shm:k/s remove
        ended 'removed' 0 ''
        run ferry store shm:k/s get 1
        ended 'a segment that is missing' 1 ''
        nothing_stays 'limits of stores'
}

## Locks -----------------------------------------------------------------------------------------------

locks() {
        local holder waiter

        prepare
        touch k/s
        run ferry store shm:k/s put 1 --value 1
        ended 'the store is made' 0 ''

        # PHP holds the lock.
        start "${peer[@]}" lock-hold k/s <> go
        holder=$job
        soon test -s "$job_out"
        run ferry store shm:k/s get 1 --timeout 0.3
        ended 'PHP excludes the tool' 124 ''
        says 'PHP excludes the tool' 'k/s' "$holder"
        run ferry store shm:k/s --timeout 0.3 lock -- echo no
        ended 'PHP excludes the lock of the tool' 124 ''
        start ferry store shm:k/s put 1 --value 2
        waiter=$job
        echo > go
        await "$holder"
        await "$waiter"
        ended 'the tool waits for PHP' 0 ''

        # PHP is killed while it holds it.
        start "${peer[@]}" lock-hold k/s <> go
        holder=$job
        soon test -s "$job_out"
        start ferry store shm:k/s put 1 --value 3
        waiter=$job
        kill -KILL "$holder"
        await "$waiter"
        ended 'PHP is killed, and the tool goes on' 0 ''
        expect 'PHP has the lock again' $'free\n' lock-try k/s

        # The tool holds it, for a command.
        start ferry store shm:k/s lock -- "$BASH" -c 'echo locked; read -r line; exit 7' <> go
        holder=$job
        soon test -s "$job_out"
        is 'the command is the process of the tool' "$(< /proc/"$holder"/comm)" "${BASH##*/}"
        expect 'the tool excludes PHP' $'held\n' lock-try k/s
        start "${peer[@]}" lock-take k/s
        waiter=$job
        soon test -s "$job_out"
        echo > go
        await "$holder"
        ended 'the exit status is that of the command' 7 $'locked\n'
        await "$waiter"
        ended 'PHP waits for the tool' 0 $'waiting\ntaken\n'

        # It is killed while it holds it.
        start ferry store shm:k/s lock -- "$BASH" -c 'echo locked; read -r line' <> go
        holder=$job
        soon test -s "$job_out"
        start "${peer[@]}" lock-take k/s
        waiter=$job
        soon test -s "$job_out"
        kill -KILL "$holder"
        await "$waiter"
        ended 'the tool is killed, and PHP goes on' 0 $'waiting\ntaken\n'
        expect 'the lock is free for PHP' $'free\n' lock-try k/s
        run ferry store shm:k/s get 1 --timeout 5
        ended 'the lock is free for the tool' 0 $'3\n'

        # Many rounds: the counter of the semaphore is never more than 1.
        for holder in {1..10}; do
                run_php lock-try k/s
                run ferry store shm:k/s get 1
        done
        start "${peer[@]}" lock-hold k/s <> go
        holder=$job
        soon test -s "$job_out"
        expect 'one lock is one lock' $'held\n' lock-try k/s
        echo > go
        await "$holder"

        run ferry store shm:k/s remove
        ended 'removed with its lock' 0 ''
        nothing_stays locks
}

writers() {
        local n=10000 i pids=()

        [[ -z ${FERRY_LONG-} ]] || n=100000
        prepare
        touch k/s
        run ferry store shm:k/s put 1 --value 0
        for i in 1 2; do
                mkfifo go.$i.c go.$i.php
                start "$build/tests/store-writer" shm:k/s $n <> go.$i.c
                pids+=("$job")
                soon test -s "$job_out"
                start "${peer[@]}" shm-increment k/s $n <> go.$i.php
                pids+=("$job")
                soon test -s "$job_out"
        done
        for i in go.*; do
                echo > $i
        done
        # This takes longer than a run may.
        for i in "${pids[@]}"; do
                wait "$i"
                is 'a writer ends' $? 0
        done
        run ferry store shm:k/s get 1
        ended "four writers, $n updates each" 0 "$((4 * n))"$'\n'
        expect 'PHP gets the same' "$((4 * n))"$'\n' shm-get k/s 1
        run ferry store shm:k/s remove
        nothing_stays 'four writers'
}

## What breaks elsewhere -------------------------------------------------------------------------------

# A process of PHP that is killed leaves its segment and its lock; the tool finds and removes them.
leftovers() {
        local id

        prepare
        touch k/s
        start "${peer[@]}" shm-put-and-die k/s <> go
        soon test -s "$job_out"
        kill -KILL "$job"
        await "$job"
        run ferry store shm:k/s get 1 --timeout 5
        ended 'what a killed process has put' 0 'left behind'
        id=$(objects | sed -n 's/^shm \([0-9]*\) .*/\1/p')
        run ferry ipcs --json
        check 'it is listed' grep -qE "\"address\":\"shm:#$id\".*\"mark\":\"unattached\"" out
        run ferry ipcs --remove "shm:#$id"
        ended 'it is removed' 0 "removed shm:#$id"$'\n'
        is 'with its lock' "$(objects)" ''

        # What PHP makes by default lets other users in: this is accepted, and refused with --strict.
        touch k/q
        run_php msg-make k/q 666
        run_php shm-make k/s 1024 666
        run ferry send msgq:k/q hello
        ended 'a wide queue is accepted' 0 ''
        run ferry send msgq:k/q hello --strict
        ended 'a wide queue is refused' 4 ''
        says 'a wide queue is refused' 'k/q' '666'
        expect 'a wide queue has what was accepted' $'1\n' msg-count k/q
        run ferry store shm:k/s put 1 x
        ended 'a wide segment is accepted' 0 ''
        run ferry store shm:k/s put 1 y --strict
        ended 'a wide segment is refused' 4 ''
        says 'a wide segment is refused' 'k/s' '666'
        run_php msg-remove k/q
        run ferry store shm:k/s remove
        nothing_stays leftovers
}

# as_stranger ROLE ARGUMENTS…: PHP under another user
as_stranger() {
        run setpriv --reuid 65534 --regid 65534 --clear-groups "${php[@]}" -- "$@" < "$here/channels.php"
        ended "another user: $*" 0 -
}

strangers() {
        local key

        if [[ $EUID -ne 0 ]] || ! command -v setpriv > /dev/null; then
                skipped 'objects of other users: only root can make them'
                return
        fi
        prepare
        touch k/q k/s k/l
        chmod 711 "$folder" ..
        chmod 777 p

        key=$("${peer[@]}" key k/q)
        as_stranger msg-make "=$key" 666
        run ferry send msgq:k/q 'a secret'
        ended 'a queue of another user' 4 ''
        says 'a queue of another user' 'k/q' 'belongs to user 65534'
        run ferry recv msgq:k/q --count 1
        ended 'a queue of another user, to receive' 4 ''
        expect 'nothing was sent to it' $'0\n' msg-count k/q
        run_php msg-remove k/q

        key=$("${peer[@]}" key k/s)
        as_stranger shm-make "=$key" 1024 666
        run ferry store shm:k/s put 1 'a secret'
        ended 'a segment of another user' 4 ''
        says 'a segment of another user' 'k/s' 'belongs to user 65534'
        run_php shm-list k/s
        ended 'nothing was put into it' 0 ''
        run_php shm-remove k/s
        run ferry store shm:k/s get 1
        is 'no lock was made for it' "$(objects)" ''

        key=$("${peer[@]}" key k/l)
        as_stranger lock-make "=$key" 666
        run ferry store shm:k/l put 1 'a secret'
        ended 'a lock of another user' 4 ''
        says 'a lock of another user' 'k/l' 'belongs to user 65534'
        run_php lock-remove k/l
        run ferry ipcs --remove shm:k/l

        as_stranger fifo-make p/f 666
        run ferry send fifo:p/f --wait 0.1 'a secret'
        ended 'a FIFO of another user' 4 ''
        says 'a FIFO of another user' 'p/f' 'belongs to user 65534'
        run ferry recv fifo:p/f --count 1 --timeout 1
        ended 'a FIFO of another user, to read' 4 ''
        check 'it is not removed' test -p p/f
        rm p/f
        nothing_stays 'objects of other users'
}

all_objects() {
        tail -n +2 /proc/sysvipc/msg /proc/sysvipc/shm /proc/sysvipc/sem
}

before=$(all_objects)
aside unix_datagrams udp_datagrams streams fifos queue_values queue_limits store_values store_limits locks writers leftovers strangers
gather
parts=()
if [[ ${FERRY_TEST_IPC-} == private ]]; then
        is 'the objects of the system are those of before' "$(all_objects)" "$before"
fi
finish
