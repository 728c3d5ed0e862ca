<?php
// A child on stdin and stdout: stream-ipc-child.php CODEC ROOT [deaf]. What it does with a request is what the text of
// the request says. The real library never notices the end of its input and goes round and round; so does one that is
// deaf, and it does not hear SIGTERM's request to be quick about it either.
declare(strict_types=1);

namespace Interop;

require __DIR__ . '/stream-ipc.php';

ini_set('display_errors', 'stderr');
ini_set('log_errors', '0');
error_reporting(E_ALL);
[, $codec, $root] = $argv;
define_classes($root);
$peer = new Peer(STDIN, STDOUT, $codec === 'json', $root);

function handle(Peer $peer, object $envelope): void
{
        $request = $envelope->request;
        [$word, $rest] = explode(' ', ($request->message ?? 'echo') . ' ', 2);
        switch ($word) {
        case 'progress':
                for ($i = 1; $i <= 3; $i++) {
                        $peer->send($peer->log("$i of 3"));
                }
                $peer->answer($envelope, $peer->log('done', 'success'));
                break;
        case 'fail':
                $peer->answer($envelope, $peer->error('no, never'));
                break;
        case 'junk':
                $peer->write("a stray line\n");
                $peer->send($peer->log('between'));
                $peer->write("\xf3\x4a no frame \xf3");
                $peer->answer($envelope, $peer->log('after the junk'));
                break;
        case 'warn':
                $missing = [];
                $peer->answer($envelope, $peer->log('warned: ' . var_export($missing['key'], true)));
                break;
        case 'throw':
                throw new \LogicException('thrown on purpose');
        case 'half':
                $peer->write(substr(frame(encode($peer->log('never whole'), $peer->json)), 0, 40));
                exit(0);
        case 'broken':
                $peer->write(frame('O:9:"Not whole'));
                $peer->answer($envelope, $peer->log('after the broken one'));
                break;
        case 'late':
                $peer->answer((object)['id' => '1.1'], $peer->log('to another one'));
                $peer->answer($envelope, $peer->log('to you'));
                break;
        case 'bytewise':
                foreach (str_split(frame(encode($peer->log('bit by bit'), $peer->json))) as $byte) {
                        $peer->write($byte);
                }
                $peer->answer($envelope, $peer->log('whole'));
                break;
        case 'ask':
                $answer = $peer->wait($peer->ask($peer->log('may I?')));
                $peer->answer($envelope, $peer->log(get_class($answer) . ': ' .
                                                    (method_exists($answer, 'text') ? $answer->text() : $answer->message)));
                break;
        case 'large':
                $peer->answer($envelope, $peer->log(str_repeat("\0abcdefg", (int)$rest / 8)));
                break;
        case 'silent':
                break;
        default:
                $peer->answer($envelope, $request);
        }
}

while ($message = $peer->receive()) {
        if (isset($message->request)) {
                handle($peer, $message);
        } else {
                fwrite(STDERR, 'heard: ' . get_class($message) . ' ' . ($message->message ?? '') . "\n");
        }
}
if ($peer->junk !== '') {
        fwrite(STDERR, 'junk: ' . $peer->junk . "\n");
}
while (($argv[3] ?? '') === 'deaf') {
        fread(STDIN, 8192);
}
