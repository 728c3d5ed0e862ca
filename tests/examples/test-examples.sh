#!/bin/bash
# Every example, and all that they print. Takes the build directory.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite examples "${1:?usage: test-examples.sh BUILD}"

log='StreamIpc\Message\LogMessage'

# They start each other as ./NAME, so they run where they were built.
run_there() {
        run env -C "$build/examples" "$@" < /dev/null
}

# whole NAME OUT: the example ends well, and prints this, and nothing on stderr
whole() {
        run_there "./$1"
        ended "$1" 0 "$2"
        says_exactly "$1" ''
        nothing_left "$1"
}

background-worker() {
        run_there ferry listen exec:./background-worker --json
        ended background-worker 0 "$(for i in {1..5}; do
                printf '{"kind":"notification","type":"StreamIpc\\\\Message\\\\LogMessage","body":{"message":"Progress: %s/5 complete","level":"info"}}\n' "$i"
        done)"$'\n''{"kind":"notification","type":"StreamIpc\\Message\\LogMessage","body":{"message":"Task completed successfully","level":"success"}}'$'\n'
        says_exactly background-worker ''
        nothing_left background-worker
}

monitor() {
        whole monitor "$(printf '[info] Progress: %s/5 complete\n' {1..5})"$'\n[success] Task completed successfully\n'

        # Its worker, if it fails; first its output ends, and then itself.
        printf '#!/bin/sh\nexec >&-\nread -r go < go\nexit 3\n' > background-worker
        chmod +x background-worker
        mkfifo go
        start "$build/examples/monitor"
        echo > go
        await "$job"
        ended 'monitor of a worker that fails' 1 ''
        says_exactly 'monitor of a worker that fails' $'monitor: the child exited with status 3\n'
}

child() {
        run_there ferry call exec:./child t hello
        ended child 0 'Hello from child!'
        # What it has printed it keeps until it ends.
        says_exactly child $'junk on stderr: Received from parent: hello\n'
        run_there ferry call --dialect stream-ipc exec:./child "$log" hello
        ended 'child, in stream-ipc' 0 'Hello from child!'
        nothing_left child
}

parent() {
        whole parent $'Child responded: Hello from child!\n'
        run "$build/examples/parent"
        ended 'parent without a child' 1 ''
        says 'parent without a child' 'the child exited with status 127'
}

event-handlers() {
        run_there ferry call exec:./event-handlers "$log" hello
        ended 'event-handlers: a request of its own' 0 'Processed: hello'
        run_there ferry call exec:./event-handlers other hello
        ended 'event-handlers: a request of another' 1 ''
        says 'event-handlers: a request of another' 'ferry: no idea what to do with a other'
        { printf 'noise\n'; ferry notify fd:,1 --dialect stream-ipc "$log" hello; } > in
        run "$build/examples/event-handlers" < in
        ended 'event-handlers: a notification' 0 ''
        says_exactly 'event-handlers: a notification' \
                $'[info] hello\nstdio:: the other side has closed the connection\n'
}

foreign-loop() {
        run_there ./foreign-loop
        ended foreign-loop 0 -
        is 'foreign-loop: what it has heard' "$(tr -d '.' < out)" "
$(printf 'Progress: %s/5 complete\n' {1..5})
Task completed successfully"
        check 'foreign-loop: it went on working' test "$(tr -cd . < out | wc -c)" -gt 20
        says_exactly foreign-loop ''
        nothing_left foreign-loop
}

json-codec() {
        whole json-codec $'Child responded: Hello from child!\n'
}

manager() {
        local i

        run_there ./manager
        ended manager 0 -
        says_exactly manager ''
        for i in 1 2 3; do
                is "manager: what worker $i says" "$(grep "^exec:./worker $i: " out)" "exec:./worker $i: Worker $i starting task
exec:./worker $i: Worker $i halfway done
exec:./worker $i: Worker $i completed task"
        done
        is 'manager: no more than that' "$(wc -l < out)" 9
        within 'manager: they work at the same time' 2000 5500
        nothing_left manager
}

worker() {
        run_there ferry call 'exec:./worker 7' t 'a task'
        ended worker 0 $'0\n25\n50\n75\nWorker 7 completed task'
        says_exactly worker $'notification StreamIpc\\Message\\LogMessage: Worker 7 starting task\nnotification StreamIpc\\Message\\LogMessage: Worker 7 halfway done\n'
}

own-codec() {
        whole own-codec $'hello world\n'
}

progress-client() {
        whole progress-client $'Sending request...\nProgress: Starting work\nProgress: Progress: 1/3\nProgress: Progress: 2/3\nProgress: Progress: 3/3\nFinal response: Task complete!\n'
}

progress-server() {
        run_there ferry call --dialect stream-ipc exec:./progress-server "$log" go
        ended progress-server 0 'Task complete!'
        is 'progress-server: what it reports' "$(< err)" "notification $log: Starting work
$(printf "notification ${log//\\/\\\\}: Progress: %s/3\n" 1 2 3)"
}

task-client() {
        whole task-client $'App\\Messages\\TaskMessage: {"action":"done","parameters":{"filename":"data.csv","columns":3}}\n'
}

task-server() {
        local task='{"action":"processFile","parameters":{"filename":"x","columns":["a","b"]}}'

        run_there ferry call exec:./task-server 'App\Messages\TaskMessage' --value "$task"
        ended task-server 0 $'{"action":"done","parameters":{"filename":"x","columns":2}}\n'
        run_there ferry call exec:./task-server 'App\Messages\TaskMessage' --value '{"action":"fly"}'
        ended 'task-server: what it cannot do' 1 ''
        says 'task-server: what it cannot do' 'I only know how to processFile'
}

# Stdout is the conversation: what it prints goes to stderr.
timeouts() {
        run_there ferry listen --reply quickly exec:./timeouts
        ended timeouts 0 $'Fast request\n'
        says_exactly timeouts $'junk on stderr: Received response: quickly\n'
        mkfifo silence
        run "$build/examples/timeouts" 0<> silence
        ended 'timeouts: no answer' 1 -
        says_exactly 'timeouts: no answer' $'Request timed out: no answer within 2 s\n'
        within 'timeouts: no answer' 2000 6000
}

uuid-ids() {
        run_there ./uuid-ids
        ended uuid-ids 0 -
        check uuid-ids grep -qxE '[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12} answered: Hello from child!' out
        is 'uuid-ids: no more than that' "$(wc -l < out)" 1
        says_exactly uuid-ids ''
}

# Services stand in directories of their own.
places() {
        export FERRY_DIR=$PWD/names TMPDIR=$PWD
        sockets=$PWD/innmind/ipc
}

counter-server() {
        local i server

        places
        start "$build/examples/counter-server"
        server=$job
        for i in {1..42}; do
                run "$build/examples/ping-client"
                [[ $status == 0 ]] || break
        done
        ended 'the last ping' 0 $'server responded pong\n'
        run "$build/examples/ping-client"
        ended 'one ping too many' 1 ''
        says_exactly 'one ping too many' $'ping-client: no response from the server: the other side has closed the session\n'
        await "$server"
        ended counter-server 0 $'42\n'
        says_exactly counter-server ''
        check 'counter-server: its socket is gone' test -z "$(ls "$sockets")"

        # A second one says why it cannot be.
        start "$build/examples/counter-server"
        server=$job
        soon test -S "$sockets/server-name.sock"
        run "$build/examples/counter-server"
        ended 'a second counter-server' 1 ''
        says 'a second counter-server' 'Unable to start the server: ' "by process $server"
        kill "$server"
        await "$server"
}

ping-client() {
        local client

        places
        run "$build/examples/ping-client" now
        ended 'ping-client without a server' 1 ''
        says 'ping-client without a server' 'no response from the server: no process listens at '
        # One that was started too early waits.
        start "$build/examples/ping-client"
        client=$job
        start ferry listen server-name --dialect innmind --reply 'at last' --count 1
        await "$client"
        ended 'ping-client before its server' 0 $'server responded at last\n'
        nothing_left ping-client
}

two-names() {
        local server

        places
        start "$build/examples/two-names"
        server=$job
        run ferry call echo t hello
        ended 'two-names: echo' 0 hello
        run ferry call time t
        ended 'two-names: time' 0 -
        check 'two-names: the time' test $(($(date +%s) - $(< out))) -lt 10
        kill "$server"
        await "$server"
        ended two-names 0 ''
        says_exactly two-names ''
        check 'two-names: nothing is left' test -z "$(ls "$FERRY_DIR")"
}

late-answers() {
        local server first

        places
        start "$build/examples/late-answers"
        server=$job
        start ferry call patience t one
        first=$job
        run ferry call patience t two
        ended 'late-answers: the second' 0 'Worth waiting for: two'
        await "$first"
        ended 'late-answers: the first' 0 'Worth waiting for: one'
        run ferry call patience t three --timeout 0.2
        ended 'late-answers: a client that gives up' 124 ''
        kill "$server"
        await "$server"
}

kv-server() {
        local server watcher late

        places
        start "$build/examples/kv-server"
        server=$job
        run ferry wait kv
        run "$build/examples/kv-client" get user.1
        ended 'kv-server: a key that is not there' 1 ''
        says_exactly 'kv-server: a key that is not there' $'kv-client: there is no \'user.1\'\n'
        start "$build/examples/kv-client" watch 'user.*'
        watcher=$job
        # A watcher whose subscription has not come yet gets the value from those that are kept.
        run "$build/examples/kv-client" set user.1 Ann
        ended 'kv-server: set' 0 ''
        run "$build/examples/kv-client" set other.1 Eve
        soon grep -q Ann "out.${run_of[watcher]}"
        run "$build/examples/kv-client" set user.1 Bob
        soon grep -q Bob "out.${run_of[watcher]}"
        run "$build/examples/kv-client" get user.1
        ended 'kv-server: get' 0 $'Bob\n'
        # The last value, before any other.
        start "$build/examples/kv-client" watch user.1
        late=$job
        soon grep -q Bob "out.${run_of[late]}"
        run ferry call kv set '{"key": 5}' --value
        ended 'kv-server: no key' 1 ''
        says 'kv-server: no key' 'write {"key": TEXT, "value": VALUE}'
        run ferry describe kv
        ended 'kv-server: what it takes' 0 $'type  in                         out    text
set   {key: TEXT, value: VALUE}  null   Keeps a value, and sends it to its watchers.
get   KEY                        VALUE  Returns the value of a key.
'
        run ferry call kv put x
        ended 'kv-server: another request' 1 ''
        says_exactly 'kv-server: another request' \
                $'ferry: the receiver has no handler for the request \'put\'; it has handlers for \'set\', \'get\'\n'
        kill "$server"
        await "$server"
        ended kv-server 0 ''
        # Both watchers connect to the next one.
        start "$build/examples/kv-server"
        server=$job
        run ferry wait kv
        run "$build/examples/kv-client" set user.1 Zoe
        soon grep -q Zoe "out.${run_of[watcher]}"
        soon grep -q Zoe "out.${run_of[late]}"
        kill "$watcher" "$late" "$server"
        await "$watcher"
        ended 'kv-client watch' 143 $'user.1 = Ann\nuser.1 = Bob\nuser.1 = Zoe\n'
        await "$late"
        ended 'kv-client watch, later' 143 $'user.1 = Bob\nuser.1 = Zoe\n'
        await "$server"
        ended 'kv-server, again' 0 ''
        check 'kv-server: nothing is left' test -z "$(ls "$FERRY_DIR")"
}

kv-client() {
        places
        run "$build/examples/kv-client" get user.1
        ended 'kv-client without a server' 1 ''
        says 'kv-client without a server' 'kv-client: no process listens at '
        run "$build/examples/kv-client" drop user.1
        ended 'kv-client: an unknown command' 2 ''
        says 'kv-client: an unknown command' 'usage: kv-client set KEY VALUE | get KEY | watch PATTERN'
}

# What a chat client says is written into a pipe, and what it hears stands in its file.
chat-server() {
        local server one two

        places
        start "$build/examples/chat-server"
        server=$job
        soon test -S "$FERRY_DIR/chat.sock"
        mkfifo says
        start "$build/examples/chat-client" <> says
        one=$job
        echo 'is this on?' > says
        soon grep -q 'is this on' "out.${run_of[one]}"
        start "$build/examples/chat-client" < <(echo 'hello, all'; soon grep -q hello "out.${run_of[one]}")
        two=$job
        await "$two"
        ended 'the second chat client' 0 -
        soon grep -q '(goes)' "out.${run_of[one]}"
        is 'chat-server: what the first client hears' "$(cut -d: -f2- "out.${run_of[one]}")" " is this on?
 (comes)
 hello, all
 (goes)"
        is 'chat-server: the sender' "$(cut -d: -f1 "out.${run_of[one]}" | tail -1)" "$two"
        kill "$server"
        await "$one"
        ended 'the first chat client' 1 -
        says 'the first chat client' 'chat-client: the other side has closed the connection without a close'
        await "$server"
}

chat-client() {
        places
        run "$build/examples/chat-client"
        ended 'chat-client without a server' 1 ''
        says 'chat-client without a server' 'chat-client: no process listens at '
}

fork-messages() {
        run "$build/examples/fork-messages"
        ended fork-messages 0 -
        check fork-messages grep -qxE 'hello parent: \{"pid":[0-9]+,"lastMessage":"hello child"\}' out
        is 'fork-messages: no more than that' "$(wc -l < out)" 1
        says_exactly fork-messages ''
        nothing_left fork-messages
}

process-manager() {
        run "$build/examples/process-manager"
        ended process-manager 0 -
        says_exactly process-manager ''
        is 'process-manager: four were created' "$(grep -c ' was created\.$' out)" 4
        is 'process-manager: how they ended, in that order' "$(sed -n 's/.* exited with //p' out | tr -d '\n')" 0.0.1.0.
        is 'process-manager: the child and its parent' "$(grep -c '^Parent PID: [0-9]*$\|^Child PID: [0-9]*$' out)" 2
        is 'process-manager: it stops at the failure' "$(tail -2 out | head -1)" 'One has failed: not waiting for the others.'
        nothing_left process-manager
}

batch() {
        run_there ./batch
        ended 'batch' 0 -
        # On a busy machine the last ones of two batches may end in one round of the loop.
        is 'batch: all of it' "$(sort out | paste -sd';')" \
                'all: 100 done, 0 failed;broken: 0 done, 50 failed;sum: 338350;urgent: 10 done, 0 failed'
        nothing_left batch
}

pool() {
        run_there ./pool
        ended pool 0 -
        is 'pool: twenty answers' "$(grep -c ' completed ' out)" 20
        is 'pool: each worker has worked' "$(sed 's/ completed .*//' out | sort -u | paste -sd,)" 'Worker 1,Worker 2,Worker sh'
        is 'pool: no task was done twice' "$(grep -o 'Task [0-9]*' out | sort | uniq -d)" ''
        nothing_left pool

        # A worker that dies, once: its task is lost, all others are done.
        printf '#!/bin/sh\nexec ferry listen stdio: --echo\n' > worker
        printf '#!/bin/sh\nmkdir died && head -c 1 > died/of && kill -SEGV $$\nexec ./worker\n' > worker.sh
        chmod +x worker worker.sh
        run "$build/examples/pool"
        ended 'pool with a worker that dies' 1 -
        is 'pool with a worker that dies: what becomes of the tasks' "$(sort -V out)" "$(printf 'Task %s\n' 1 2 {4..20})
the child was killed by SIGSEGV"
        nothing_left 'pool with a worker that dies'
}

worker.sh() {
        run_there ferry call 'exec:./worker.sh' t 'a task'
        ended worker.sh 0 'Worker sh completed a task'
        says_exactly worker.sh ''
        nothing_left worker.sh
}

queue() {
        run "$build/examples/queue"
        ended queue 0 ''
        says_exactly queue ''
        # A hundred times a tenth of a second, four at once.
        within queue 2400 20000
        nothing_left queue
}

relay() {
        local server

        places
        start env -C "$build/examples" ./relay
        server=$job
        soon test -S "$FERRY_DIR/relay.sock"
        run ferry call relay t hello
        ended relay 0 'Hello from child!'
        kill "$server"
        await "$server"
        nothing_left relay
}

# Channels and stores: each pair together, and each alone in a folder without its other end.

datagram-listener() {
        local listener

        start "$build/examples/datagram-listener"
        listener=$job
        run ferry wait udg:datagram.sock
        run "$build/examples/datagram-sender"
        ended 'datagram-sender' 0 ''
        says_exactly 'datagram-sender' ''
        await "$listener"
        ended 'datagram-listener' 0 -
        check 'datagram-listener: its senders have addresses' grep -qxE "Hello from Sender \(from 'udg:@.+'\)" out
        says_exactly 'datagram-listener' ''
        check 'datagram-listener: its socket is gone' test ! -e datagram.sock

        start "$build/examples/datagram-listener" udg:two.sock 2
        listener=$job
        run ferry wait udg:two.sock
        run "$build/examples/datagram-sender" udg:two.sock one
        run "$build/examples/datagram-sender" udg:two.sock ''
        await "$listener"
        is 'datagram-listener: two records' "$(sed 's/ (from .*/./' out)" $'one.\n.'
        nothing_left datagram-listener
}

datagram-sender() {
        run "$build/examples/datagram-sender"
        ended 'datagram-sender without a listener' 1 ''
        says 'datagram-sender without a listener' 'datagram-sender: ' datagram.sock
}

stream-server() {
        local server

        start "$build/examples/stream-server"
        server=$job
        run ferry wait unix:stream.sock
        run "$build/examples/stream-client"
        ended 'stream-client' 0 $'Hello from Server\n'
        says_exactly 'stream-client' ''
        await "$server"
        ended 'stream-server' 0 $'Hello from Client\n'
        says_exactly 'stream-server' ''
        check 'stream-server: its socket is gone' test ! -e stream.sock
        nothing_left stream-server
}

stream-client() {
        run "$build/examples/stream-client"
        ended 'stream-client without a server' 1 ''
        says 'stream-client without a server' 'stream-client: ' stream.sock
}

fifo-reader() {
        local reader

        start "$build/examples/fifo-reader"
        reader=$job
        soon test -p example.fifo
        run "$build/examples/fifo-writer"
        ended 'fifo-writer after its reader' 0 ''
        await "$reader"
        ended 'fifo-reader' 0 $'Hello from Writer\n'
        says_exactly 'fifo-reader' ''
        check 'fifo-reader: its FIFO is gone' test ! -e example.fifo
        nothing_left fifo-reader
}

fifo-writer() {
        local writer

        start "$build/examples/fifo-writer"
        writer=$job
        soon test -p example.fifo
        run "$build/examples/fifo-reader"
        ended 'fifo-reader after its writer' 0 $'Hello from Writer\n'
        await "$writer"
        ended 'fifo-writer' 0 ''
        says_exactly 'fifo-writer' ''
        check 'fifo-writer: its FIFO is gone' test ! -e example.fifo
        nothing_left fifo-writer
}

# alone NAME PATH: the example ends with a sentence about that object
alone() {
        run "$build/examples/$1"
        ended "$1 alone" 1 ''
        says "$1 alone" "$1: " "$2"
}

shm-writer() {
        run "$build/examples/shm-writer"
        ended shm-writer 0 ''
        says_exactly shm-writer ''
        run "$build/examples/shm-reader"
        ended shm-reader 0 $'{"text":"Hello from Writer","numbers":[1,2.5]}\n'
        says_exactly shm-reader ''
        alone shm-reader shm.key
}

shm-reader() {
        alone shm-reader shm.key
        check 'shm-reader: it makes nothing' test ! -e shm.key
}

# Each version answers until the next one has taken its place.
upgrade() {
        local caller

        seq 3000 > lines
        start "$build/examples/upgrade"
        local first=$job
        check 'it listens' soon test -S upgrade.sock
        start bash -c 'ferry call --each unix:upgrade.sock t - < lines > answers'
        caller=$job
        check 'it answers' soon grep -qs version answers
        kill -HUP "$first"
        await "$first"
        ended 'the first version' 0 ''
        await "$caller"
        ended 'the caller' 0 ''
        is 'the answers' "$(wc -l < answers)" 3000
        run ferry call unix:upgrade.sock t
        ended 'the second version' 0 $'{"version":2}\n'
        for job in $(marked "$folder"); do
                kill -TERM "$job"
        done
        check 'the second version has ended' soon test ! -e upgrade.sock
}

shmop-writer() {
        run "$build/examples/shmop-writer"
        ended shmop-writer 0 ''
        says_exactly shmop-writer ''
        run "$build/examples/shmop-reader"
        ended shmop-reader 0 $'Hello from Writer\n'
        says_exactly shmop-reader ''
        alone shmop-reader shmop.key
}

shmop-reader() {
        alone shmop-reader shmop.key
        check 'shmop-reader: it makes nothing' test ! -e shmop.key
}

queue-writer() {
        run "$build/examples/queue-writer"
        ended queue-writer 0 ''
        says_exactly queue-writer ''
        run "$build/examples/queue-reader"
        ended queue-reader 0 $'{"text":"Hello from Writer","numbers":[1,2.5]}\n'
        says_exactly queue-reader ''
}

queue-reader() {
        local reader

        start "$build/examples/queue-reader"
        reader=$job
        run ferry wait msgq:queue.key
        run "$build/examples/queue-writer"
        await "$reader"
        ended 'queue-reader before its writer' 0 $'{"text":"Hello from Writer","numbers":[1,2.5]}\n'
        nothing_left queue-reader
}

# All that were built; they sleep most of the time, so they do it together.
for file in "$build"/examples/*; do
        [[ -f $file && -x $file ]] || continue
        if declare -F "${file##*/}" > /dev/null; then
                aside "${file##*/}"
        else
                fail "${file##*/}: there is no test of this example"
        fi
done

# What `make demo` runs, and makes no colours where its output is no terminal.
demo() {
        # It preloads a library into what it starts, which must be of the same C library.
        if ! stdbuf -oL "$build/ferry" --version > /dev/null 2>&1; then
                echo 'skipped: the demo: stdbuf(1) works for programs of another C library only'
                return
        fi
        run bash "$tests/../tools/demo.sh" "$build"
        is 'the status of the demo' "$status" 0
        is 'the last line of the demo' "$(tail -1 out)" '{"a":[1,2]}'
        check 'the demo prints an escape sequence into a file' test "$(grep -c $'\033' out)" = 0
}
aside demo
finish
