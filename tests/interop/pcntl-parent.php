<?php
// The parent of one child that speaks pcntl on its descriptor 3: pcntl-parent.php ROLE COMMAND…. Prints a line for each
// check: "ok NAME", or what was found instead; then what the child has printed, and its status.
declare(strict_types=1);

namespace Interop;

use Sweikenb\Library\Pcntl\Model\Ipc\MessageModel;

require __DIR__ . '/pcntl.php';

$role = $argv[1];
[$ours, $theirs] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
$process = proc_open(array_slice($argv, 2), [['file', '/dev/null', 'r'], ['file', 'printed', 'w'], STDERR, $theirs], $pipes);
fclose($theirs);
$socket = socket_import_stream($ours);
socket_set_block($socket);

function check(string $name, mixed $found, mixed $expected): void
{
        echo $found === $expected ? "ok $name\n" :
             "$name: " . var_export($found, true) . ' instead of ' . var_export($expected, true) . "\n";
}

function echoed(\Socket $socket, string $topic, mixed $payload): array
{
        send($socket, $topic, $payload);
        $message = receive($socket);
        return [$message?->topic, $message?->payload];
}

switch ($role) {
case 'echo':
        foreach (['true' => true, 'false' => false, 'int' => PHP_INT_MIN, 'float' => 0.1, 'inf' => -INF, 'empty' => '',
                  'bytes' => "\0\xff\"};#", 'list' => [1, [2, [3, []]]], 'map' => ['a' => ['b' => null], 7 => 'x'],
                  'topic' => ['topic' => 'x', 'payload' => '12#'], '12#34#' => '#', '' => 'no topic',
                  "\xff\xfe\"\n" => 1, 'large' => str_repeat('0123456789', 3000)] as $topic => $payload) {
                check("echo $topic", echoed($socket, (string)$topic, $payload), [(string)$topic, $payload]);
        }
        // It is the library that makes a string of it when it reads.
        check('null', echoed($socket, 'null', null), ['null', '']);
        [, $inner] = echoed($socket, 'object', new MessageModel('inner', [1]));
        check('an object', [$inner::class, $inner->topic, $inner->payload], [MessageModel::class, 'inner', [1]]);
        $shared = [1, 2];
        check('a reference', echoed($socket, 'shared', [&$shared, &$shared])[1], [[1, 2], [1, 2]]);
        $right = 0;
        for ($i = 0; $i < 2000; $i++) {
                $right += echoed($socket, "round $i", str_repeat('r', $i * 10)) === ["round $i", str_repeat('r', $i * 10)];
        }
        check('2000 rounds', $right, 2000);
        socket_write($socket, '00' . frame('zeros', 1));
        check('leading zeros', receive($socket)?->topic, 'zeros');
        foreach (str_split(frame('bytewise', 1)) as $byte) {
                socket_write($socket, $byte);
        }
        check('byte by byte', receive($socket)?->topic, 'bytewise');
        break;
case 'read':
        // ferry prints what comes, also if it is more than a real reader could take.
        send($socket, 'hello child', 'first');
        send($socket, 'large', str_repeat('x', 1000000));
        send($socket, 'last', ['a' => 1]);
        break;
case 'answer':
        $message = receive($socket);
        check('what ferry asks', [$message?->topic, $message?->payload], ['question', ['n' => 6]]);
        send($socket, 'answer', ['n' => 42]);
        break;
case 'hear':
        $message = receive($socket);
        check('what ferry says', [$message?->topic, $message?->payload], ['news', 'of ferry']);
        break;
case 'break':
        socket_write($socket, 'x5#');
        check('the end', receive($socket), null);
        break;
}
socket_shutdown($socket, 1);
check('nothing more', receive($socket), null);
$status = proc_close($process);
readfile('printed');
echo "\nstatus $status\n";
