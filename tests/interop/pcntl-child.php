<?php
// A child whose channel is the descriptor that FERRY_FD names. What it does with a message is what its topic says.
declare(strict_types=1);

namespace Interop;

require __DIR__ . '/pcntl.php';

$stream = fopen('php://fd/' . getenv('FERRY_FD'), 'r+');
$socket = socket_import_stream($stream);
socket_set_block($socket);
send($socket, 'hello parent', ['from' => ['child' => true], 'list' => [1, 2.5, null, 'ü']]);
while ($message = receive($socket)) {
        switch ($message->topic) {
        case 'large':
                send($socket, 'large', str_repeat('x', $message->payload));
                break;
        case 'several':
                for ($i = 1; $i <= $message->payload; $i++) {
                        send($socket, 'one of several', $i);
                }
                break;
        case 'bytewise':
                foreach (str_split(frame('bit by bit', 'whole')) as $byte) {
                        socket_write($socket, $byte);
                }
                break;
        case 'type':
                send($socket, 'type', get_debug_type($message->payload) . ' ' . serialize($message->payload));
                break;
        case 'silent':
                break;
        case 'exit':
                exit($message->payload);
        case 'false':
                socket_write($socket, '4#b:0;');
                break;
        case 'half':
                socket_write($socket, substr(frame('half', 'never whole'), 0, 40));
                exit(0);
        default:
                send($socket, $message->topic, $message->payload);
        }
}
fwrite(STDERR, "the end\n");
