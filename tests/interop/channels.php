<?php
// The PHP side of tests/interop/test-channels.sh: one role for each example of channels and stores, and roles for single
// steps of the tests. Each role uses PHP's own functions, as the article on IPC in PHP does.
//
//      php channels.php ROLE ARGUMENTS…
//
// An address is written as for ferry: udg:PATH, udp:HOST:PORT, unix:PATH, tcp:HOST:PORT. An object of SysV is named by the
// PATH of its key file, or by =KEY. A role whose peer must wait for it prints a line when it is ready.
declare(strict_types=1);

namespace {
        ini_set('display_errors', 'stderr');
        ini_set('log_errors', '0');
        ini_set('serialize_precision', '-1');
        error_reporting(E_ALL);

        enum Suit: string
        {
                case Hearts = 'H';
                case Spades = 'S';
        }

        class Base
        {
                private string $secret = 'of the base';
        }

        class Point extends Base
        {
                public ?int $x = 7;
                protected float $ratio = 0.1;
                private array $list = [1, 'two', ['three' => null]];
        }
}

namespace Channels {
        // The fields of a segment, for unpack().
        const INTEGER = PHP_INT_SIZE === 8 ? 'q' : 'l';
        const HEADER = 'a8magic/' . INTEGER . 'start/' . INTEGER . 'end/' . INTEGER . 'free/' . INTEGER . 'total';
        const CHUNK = INTEGER . 'key/' . INTEGER . 'length/' . INTEGER . 'next';

        // Values of every kind that the functions of PHP can move, by name. An object that is in a value twice is not among
        // them: for ferry objects are data, so it becomes two.
        function values(): array
        {
                return [
                        'null' => null,
                        'true' => true,
                        'false' => false,
                        'zero' => 0,
                        'int' => -42,
                        'int-max' => PHP_INT_MAX,
                        'int-min' => PHP_INT_MIN,
                        'float' => 0.1,
                        'float-whole' => 3.0,
                        'float-large' => 1e25,
                        'float-tiny' => 5e-324,
                        'float-minus-zero' => -0.0,
                        'float-inf' => INF,
                        'float-nan' => NAN,
                        'string' => 'Hello from PHP',
                        'string-empty' => '',
                        'string-utf8' => "ünï\u{1F600}",
                        'string-zeros' => "\0a\0b\0",
                        'string-bytes' => "\xff\xfe" . implode('', array_map(chr(...), range(0, 255))),
                        'string-long' => str_repeat('x', 4096),
                        'array-empty' => [],
                        'array-list' => [1, 2.5, null, 'x', false],
                        'array-map' => ['a' => 1, 'b' => ['c' => [], 'd' => [1, [2, [3]]]], '' => '', "\0" => 1],
                        'array-keys' => [5 => 'five', -1 => 'minus', 'k' => 'text'],
                        'array-of-maps' => [['id' => 1], ['id' => 2]],
                        'object' => (object)['a' => 1, 'b' => [null]],
                        'object-class' => new \Point,
                        'enum' => [\Suit::Spades, \Suit::Hearts],
                        'date' => new \DateTimeImmutable('2026-11-27 12:00:00.5', new \DateTimeZone('UTC')),
                ];
        }

        // Whether JSON can write the value and read it again.
        function fits_json(mixed $value): bool
        {
                $json = @json_encode($value, JSON_PRESERVE_ZERO_FRACTION);
                return $json !== false && serialize(json_decode($json, true)) === serialize($value)
                        // ferry writes 3.0 as 3.
                        && !(is_float($value) && $value === floor($value) && $value !== 0.0 && abs($value) < 1e15);
        }

        // The names of all values; of those that fit JSON.
        function names(string $filter): array
        {
                return array_keys($filter === 'json' ? array_filter(values(), fits_json(...)) : values());
        }

        function value(string $name): mixed
        {
                return array_key_exists($name, values()) ? values()[$name] : fail("no value has the name $name");
        }

        function fail(string $text): never
        {
                fwrite(STDERR, "channels.php: $text\n");
                exit(1);
        }

        function say(string $line): void
        {
                fwrite(STDOUT, "$line\n");
        }

        // Waits until the test writes a line, or closes stdin.
        function pause(): void
        {
                fgets(STDIN);
        }

        function key(string $object): int
        {
                return $object[0] === '=' ? (int)substr($object, 1) : ftok($object, 'T');
        }

        function show(mixed $value): string
        {
                return json_encode($value, JSON_PRESERVE_ZERO_FRACTION | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES);
        }

        // [kind, host or path, port]
        function parse(string $address): array
        {
                [$kind, $rest] = explode(':', $address, 2);
                if ($kind === 'udg') {
                        return [AF_UNIX, $rest, 0];
                }
                $colon = strrpos($rest, ':');
                $host = trim(substr($rest, 0, $colon), '[]');
                return [str_contains($host, ':') ? AF_INET6 : AF_INET, $host, (int)substr($rest, $colon + 1)];
        }

        function url(string $address): string
        {
                [$kind, $rest] = explode(':', $address, 2);
                return "$kind://$rest";
        }

        function datagram_socket(int $family): \Socket
        {
                return socket_create($family, SOCK_DGRAM, $family === AF_UNIX ? 0 : SOL_UDP);
        }

        function semaphore(string $object): \SysvSemaphore
        {
                return sem_get(key($object), 1, 0600) ?: fail('sem_get failed');
        }

        function queue(string $object): \SysvMessageQueue
        {
                return msg_get_queue(key($object), 0600) ?: fail('msg_get_queue failed');
        }

        function segment(string $object, int $size = 1024): \SysvSharedMemory
        {
                return shm_attach(key($object), $size, 0600) ?: fail('shm_attach failed');
        }

        function same(string $name, string $found): void
        {
                say($found === serialize(value($name)) ? "equal: $name" : "different: $name: $found");
        }

        function send_and_show(\SysvMessageQueue $queue, int $type, mixed $value, bool $serialize, bool $block): void
        {
                $error = 0;
                $sent = @msg_send($queue, $type, $value, $serialize, $block, $error);
                say($sent ? 'sent' : "not sent: error $error");
        }

        // The last line of the output: the type, and the value in serialize() and base64.
        function receive_and_show(\SysvMessageQueue $queue, int $type, int $size, bool $unserialize, int $flags): void
        {
                $error = 0;
                $value = null;
                if (!@msg_receive($queue, $type, $got, $size, $value, $unserialize, $flags, $error)) {
                        say("not received: error $error");
                } else {
                        say("$got " . base64_encode(serialize($value)));
                }
        }

        $role = $argv[1] ?? '';
        $a = array_slice($argv, 2);

        switch ($role) {
        // The article's scripts ---------------------------------------------------------------------------------

        case 'datagram-listener':       // ADDRESS [N]
                [$family, $host, $port] = parse($a[0]);
                $socket = datagram_socket($family);
                socket_bind($socket, $host, $port) || fail('socket_bind failed');
                say('ready');
                for ($n = (int)($a[1] ?? 1); $n > 0; $n--) {
                        $text = $from = '';
                        $from_port = 0;
                        if (socket_recvfrom($socket, $text, 1 << 20, 0, $from, $from_port) === false) {
                                fail('socket_recvfrom failed');
                        }
                        say(strlen($text) > 1000 ? strlen($text) . ' bytes ' . md5($text) : $text);
                }
                if ($family === AF_UNIX) {
                        unlink($host);
                }
                break;

        case 'datagram-sender':         // ADDRESS [TEXT]
                [$family, $host, $port] = parse($a[0]);
                $text = $a[1] ?? 'Hello from Sender';
                $socket = datagram_socket($family);
                socket_sendto($socket, $text, strlen($text), 0, $host, $port) === strlen($text) || fail('socket_sendto failed');
                break;

        case 'stream-server':           // ADDRESS
                $server = stream_socket_server(url($a[0]), $code, $text) ?: fail("stream_socket_server: $text");
                say('ready');
                $client = stream_socket_accept($server, 20) ?: fail('no client');
                fwrite($client, "Hello from Server\n");
                echo stream_get_contents($client);
                if (str_starts_with($a[0], 'unix:')) {
                        unlink(substr($a[0], 5));
                }
                break;

        case 'stream-client':           // ADDRESS
                $server = stream_socket_client(url($a[0]), $code, $text, 20) ?: fail("stream_socket_client: $text");
                echo fgets($server);
                fwrite($server, "Hello from Client\n");
                break;

        case 'stream-say':              // ADDRESS TEXT: connect, write, and close
                $server = stream_socket_client(url($a[0]), $code, $text, 20) ?: fail("stream_socket_client: $text");
                fwrite($server, $a[1]);
                break;

        case 'fifo-writer':             // PATH
                @posix_mkfifo($a[0], 0600) || filetype($a[0]) === 'fifo' || fail('posix_mkfifo failed');
                $fifo = fopen($a[0], 'w');
                fwrite($fifo, "Hello from Writer\n");
                fclose($fifo);
                break;

        case 'fifo-reader':             // PATH
                @posix_mkfifo($a[0], 0600) || filetype($a[0]) === 'fifo' || fail('posix_mkfifo failed');
                $fifo = fopen($a[0], 'r');
                echo stream_get_contents($fifo);
                break;

        case 'shm-writer':              // PATH
                $lock = semaphore($a[0]);
                sem_acquire($lock);
                shm_put_var(segment($a[0]), 1, ['text' => 'Hello from Writer', 'numbers' => [1, 2.5]]) || fail('no room');
                sem_release($lock);
                break;

        case 'shm-reader':              // PATH
                $lock = semaphore($a[0]);
                sem_acquire($lock);
                $shm = segment($a[0]);
                say(show(shm_get_var($shm, 1)));
                shm_remove($shm);
                sem_remove($lock);
                break;

        case 'shmop-writer':            // PATH
                $shm = shmop_open(key($a[0]), 'c', 0644, 1024);
                shmop_write($shm, 'Hello from Writer', 0);
                break;

        case 'shmop-reader':            // PATH
                $shm = shmop_open(key($a[0]), 'a', 0, 0);
                say(rtrim(shmop_read($shm, 0, shmop_size($shm)), "\0"));
                shmop_delete($shm);
                break;

        case 'queue-writer':            // PATH
                msg_send(queue($a[0]), 1, ['text' => 'Hello from Writer', 'numbers' => [1, 2.5]]) || fail('msg_send failed');
                break;

        case 'queue-reader':            // PATH
                $queue = queue($a[0]);
                msg_receive($queue, 1, $type, 1024, $value) || fail('msg_receive failed');
                say(show($value));
                msg_remove_queue($queue);
                break;

        // Values ------------------------------------------------------------------------------------------------

        case 'names':                   // [json]: a line for each value: its number, its name
                foreach (names($a[0] ?? '') as $name) {
                        say(array_search($name, array_keys(values()), true) + 1 . " $name");
                }
                break;

        case 'serialize':               // NAME: what serialize() writes
                echo serialize(value($a[0]));
                break;

        case 'port':                    // udp or tcp: a free port of 127.0.0.1
                $socket = $a[0] === 'udp' ? socket_create(AF_INET, SOCK_DGRAM, SOL_UDP)
                                          : socket_create(AF_INET, SOCK_STREAM, SOL_TCP);
                socket_bind($socket, '127.0.0.1', 0);
                socket_getsockname($socket, $host, $port);
                say((string)$port);
                break;

        case 'key':                     // PATH
                say((string)key($a[0]));
                break;

        // Datagrams ---------------------------------------------------------------------------------------------

        case 'datagram-size':           // ADDRESS SIZE: send so many bytes
                [$family, $host, $port] = parse($a[0]);
                $socket = datagram_socket($family);
                $text = str_repeat('x', (int)$a[1]);
                $sent = @socket_sendto($socket, $text, strlen($text), 0, $host, $port);
                say($sent === false ? 'not sent: ' . socket_strerror(socket_last_error($socket)) : "sent $sent");
                break;

        case 'datagram-ask':            // ADDRESS OWN: send from OWN (a path, or an address of udp with port 0), print the answer
                [$family, $host, $port] = parse($a[0]);
                [, $own_host] = parse($a[1]);
                $socket = datagram_socket($family);
                socket_bind($socket, $own_host, 0) || fail('socket_bind failed');
                socket_set_option($socket, SOL_SOCKET, SO_RCVTIMEO, ['sec' => 20, 'usec' => 0]);
                socket_sendto($socket, 'question', 8, 0, $host, $port) === 8 || fail('socket_sendto failed');
                socket_recvfrom($socket, $text, 1024, 0, $from, $from_port) === false && fail('no answer');
                $family === AF_UNIX || [$from, $from_port] === [$host, $port] || fail("an answer from $from:$from_port");
                say($text);
                if ($family === AF_UNIX) {
                        unlink($own_host);
                }
                break;

        // Queues ------------------------------------------------------------------------------------------------

        case 'msg-make':                // OBJECT [MODE]
                msg_get_queue(key($a[0]), octdec($a[1] ?? '600')) || fail('msg_get_queue failed');
                break;

        case 'msg-send':                // OBJECT TYPE NAME: a value, serialized
                send_and_show(queue($a[0]), (int)$a[1], value($a[2]), true, false);
                break;

        case 'msg-send-raw':            // OBJECT TYPE NAME: the same, not serialized
                send_and_show(queue($a[0]), (int)$a[1], value($a[2]), false, false);
                break;

        case 'msg-send-size':           // OBJECT SIZE [block]: raw bytes
                send_and_show(queue($a[0]), 1, str_repeat('x', (int)$a[1]), false, ($a[2] ?? '') === 'block');
                break;

        case 'msg-receive':             // OBJECT TYPE [SIZE]: a value, unserialized; at once
                receive_and_show(queue($a[0]), (int)$a[1], (int)($a[2] ?? 65536), true, MSG_IPC_NOWAIT);
                break;

        case 'msg-receive-raw':         // OBJECT TYPE [SIZE]: bytes; at once
                receive_and_show(queue($a[0]), (int)$a[1], (int)($a[2] ?? 65536), false, MSG_IPC_NOWAIT);
                break;

        case 'msg-expect':              // OBJECT NAME: receive it, and compare
                $queue = queue($a[0]);
                if (!msg_receive($queue, 0, $type, 65536, $value, true, MSG_IPC_NOWAIT, $error)) {
                        fail("not received: error $error");
                }
                say(serialize($value) === serialize(value($a[1])) ? 'equal' : 'different: ' . serialize($value));
                break;

        case 'msg-send-all':            // OBJECT [json]: every value, with its number as its type
                $queue = queue($a[0]);
                foreach (names($a[1] ?? '') as $i => $name) {
                        send_and_show($queue, $i + 1, value($name), true, false);
                }
                break;

        case 'msg-expect-all':          // OBJECT [json]: receive them, and compare
                $queue = queue($a[0]);
                foreach (names($a[1] ?? '') as $i => $name) {
                        if (!msg_receive($queue, $i + 1, $type, 65536, $value, true, MSG_IPC_NOWAIT, $error)) {
                                say("missing: $name: error $error");
                        } else {
                                same($name, serialize($value));
                        }
                }
                break;

        case 'msg-count':               // OBJECT
                say((string)msg_stat_queue(queue($a[0]))['msg_qnum']);
                break;

        case 'msg-remove':              // OBJECT
                msg_remove_queue(queue($a[0]));
                break;

        // Stores ------------------------------------------------------------------------------------------------

        case 'shm-make':                // OBJECT SIZE [MODE]
                shm_attach(key($a[0]), (int)$a[1], octdec($a[2] ?? '600')) || fail('shm_attach failed');
                break;

        case 'shm-put':                 // OBJECT KEY NAME
                say(@shm_put_var(segment($a[0]), (int)$a[1], value($a[2])) ? 'put' : 'not put');
                break;

        case 'shm-put-size':            // OBJECT KEY SIZE: a string of so many bytes
                say(@shm_put_var(segment($a[0]), (int)$a[1], str_repeat('x', (int)$a[2])) ? 'put' : 'not put');
                break;

        case 'shm-put-all':             // OBJECT: every value, under its number
                $shm = segment($a[0], 65536);
                foreach (array_keys(values()) as $i => $name) {
                        shm_put_var($shm, $i + 1, value($name)) || fail("no room for $name");
                }
                break;

        case 'shm-expect-all':          // OBJECT [json]: compare with the values under their numbers
                $shm = segment($a[0]);
                foreach (names($a[1] ?? '') as $name) {
                        $key = array_search($name, array_keys(values()), true) + 1;
                        same($name, shm_has_var($shm, $key) ? serialize(shm_get_var($shm, $key)) : 'nothing');
                }
                break;

        case 'shm-expect':              // OBJECT KEY NAME
                $shm = segment($a[0]);
                $found = shm_has_var($shm, (int)$a[1]) ? serialize(shm_get_var($shm, (int)$a[1])) : 'nothing';
                say($found === serialize(value($a[2])) ? 'equal' : "different: $found");
                break;

        case 'shm-get':                 // OBJECT KEY: as JSON
                $shm = segment($a[0]);
                say(shm_has_var($shm, (int)$a[1]) ? show(shm_get_var($shm, (int)$a[1])) : 'nothing');
                break;

        case 'shm-drop':                // OBJECT KEY: remove the variable
                shm_remove_var(segment($a[0]), (int)$a[1]);
                break;

        case 'shm-list':                // OBJECT: key and size of each variable, by the bytes of the segment
                $shm = shmop_open(key($a[0]), 'a', 0, 0);
                ['start' => $at, 'end' => $end] = unpack(HEADER, shmop_read($shm, 0, 8 + 4 * PHP_INT_SIZE));
                while ($at < $end) {
                        ['key' => $key, 'length' => $length, 'next' => $next] =
                                unpack(CHUNK, shmop_read($shm, $at, 3 * PHP_INT_SIZE));
                        say("$key $length");
                        $at += $next;
                }
                break;

        case 'shm-tear':                // OBJECT KEY WHAT: make the length of the variable, or the distance to the next, wrong
                $shm = shmop_open(key($a[0]), 'w', 0, 0);
                ['start' => $at, 'end' => $end] = unpack(HEADER, shmop_read($shm, 0, 8 + 4 * PHP_INT_SIZE));
                while ($at < $end) {
                        ['key' => $key, 'next' => $next] = unpack(CHUNK, shmop_read($shm, $at, 3 * PHP_INT_SIZE));
                        if ($key === (int)$a[1]) {
                                shmop_write($shm, pack(INTEGER, 1 << 30), $at + ($a[2] === 'length' ? 1 : 2) * PHP_INT_SIZE);
                                say('torn');
                                break;
                        }
                        $at += $next;
                }
                break;

        case 'shm-put-and-die':         // OBJECT: put, and die without detaching or releasing the lock
                $lock = semaphore($a[0]);
                sem_acquire($lock);
                shm_put_var(segment($a[0], 1024), 1, 'left behind');
                say('put');
                pause();
                posix_kill(getmypid(), SIGKILL);
                break;

        case 'shm-increment':           // OBJECT N: as two processes may do at once, under the lock
                $lock = semaphore($a[0]);
                $shm = segment($a[0]);
                say('ready');
                pause();
                for ($n = (int)$a[1]; $n > 0; $n--) {
                        sem_acquire($lock);
                        shm_put_var($shm, 1, shm_get_var($shm, 1) + 1) || fail('shm_put_var failed');
                        sem_release($lock);
                }
                break;

        case 'shm-remove':              // OBJECT
                shm_remove(segment($a[0]));
                break;

        case 'shmop-write':             // OBJECT OFFSET TEXT
                $shm = shmop_open(key($a[0]), 'c', 0644, 1024);
                say((string)shmop_write($shm, $a[2], (int)$a[1]));
                break;

        // Locks -------------------------------------------------------------------------------------------------

        case 'lock-hold':               // OBJECT: until stdin has a line or its end
                $lock = semaphore($a[0]);
                sem_acquire($lock) || fail('sem_acquire failed');
                say('locked');
                pause();
                sem_release($lock);
                break;

        case 'lock-try':                // OBJECT
                $lock = semaphore($a[0]);
                if (sem_acquire($lock, true)) {
                        say('free');
                        sem_release($lock);
                } else {
                        say('held');
                }
                break;

        case 'lock-take':               // OBJECT: waits for it
                $lock = semaphore($a[0]);
                say('waiting');
                sem_acquire($lock) || fail('sem_acquire failed');
                say('taken');
                sem_release($lock);
                break;

        case 'lock-make':               // OBJECT MODE
                sem_get(key($a[0]), 1, octdec($a[1])) || fail('sem_get failed');
                break;

        case 'lock-remove':             // OBJECT
                sem_remove(semaphore($a[0]));
                break;

        case 'fifo-make':               // PATH MODE
                umask(0);
                posix_mkfifo($a[0], octdec($a[1])) || fail('posix_mkfifo failed');
                break;

        default:
                fail("no role has the name '$role'");
        }
}
