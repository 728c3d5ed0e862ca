<?php
// An innmind client, told step by step what to do. It takes what a real one takes, and fails on all else: status 1, and
// a line that begins with "failed:".
//
//      innmind-client.php [--heartbeat=S] STEP…
//
//      exists NAME             print "exists" or "absent"; no server is touched
//      get NAME                connect: the first thing heard must be the greeting
//      send TYPE CONTENT       the next thing heard must be the acknowledgement
//      send-file TYPE FILE     the same
//      wait S                  print the next message; "nothing" after S seconds without any byte (0: for ever),
//                              "closed" when the server has closed
//      wait-file FILE          put the content of the next message there
//      beats N                 wait while N heartbeats are sent; nothing but heartbeats may come
//      heard                   print whether heartbeats have come so far
//      idle S                  be busy elsewhere: neither read nor beat
//      close                   the next thing heard must be close-ok
//      closed                  the server must close now
//      gone                    the server must leave without a word
//      ended                   the server must end this: with a word, which is answered, or without
//      leave                   leave without a word, which costs the server its carry
//      connect NAME            only connect
//      raw HEX                 these bytes, in one write
//      replay RECORDING        the client's side of a recorded conversation, after "connect"
declare(strict_types=1);

namespace Interop;

require __DIR__ . '/innmind.php';

final class Client
{
        private mixed $stream = null;
        private bool $is_closed = false;
        private int $sent = 0;                  // heartbeats
        private int $heard = 0;

        public function __construct(private float $period)
        {
        }

        public function connect(string $name): void
        {
                if (!file_exists(socket_path($name))) {
                        fail("there is no $name");
                }
                $stream = @stream_socket_client('unix://' . socket_path($name), $code, $text);
                if ($stream === false) {
                        fail("$name does not answer: $text");
                }
                $this->stream = prepare($stream);
                $this->is_closed = false;
        }

        public function get(string $name): void
        {
                $this->connect($name);
                $this->expect('start');
                $this->say(Message::control('start-ok'));
        }

        public function send(string $type, string $content): void
        {
                if (media_type($type) === null) {
                        fail("$type is no media type");
                }
                $this->say(new Message($type, $content));
                $this->expect('received');
        }

        // The next message that is no heartbeat; null: nothing for so long, or closed, or as many heartbeats sent.
        public function wait(float $timeout = 0, int $beats = PHP_INT_MAX): ?Message
        {
                $heard = hrtime(true);
                while (!$this->is_closed) {
                        $ready = [$this->stream];
                        $none = null;
                        $us = (int)(fmod($this->period, 1) * 1e6);
                        if (!stream_select($ready, $none, $none, (int)$this->period, $us)) {
                                $this->say(Message::control('heartbeat'));
                                $this->sent++;
                                if (--$beats === 0 || ($timeout > 0 && hrtime(true) - $heard > $timeout * 1e9)) {
                                        return null;
                                }
                                continue;
                        }
                        $message = read_message($this->stream);
                        if (is_string($message)) {
                                fail($message === 'left' ? 'the server has left without a word' : $message);
                        }
                        $heard = hrtime(true);
                        if ($message->control === 'heartbeat') {
                                $this->heard++;
                        } elseif ($message->control === 'close') {
                                $this->say(Message::control('close-ok'));
                                fclose($this->stream);
                                $this->is_closed = true;
                        } else {
                                return $message;
                        }
                }
                return null;
        }

        public function close(): void
        {
                $this->say(Message::control('close'));
                $this->expect('close-ok');
                $this->leave();
        }

        public function leave(): void
        {
                fclose($this->stream);
                $this->is_closed = true;
        }

        public function is_closed(): bool
        {
                return $this->is_closed;
        }

        public function has_heard(): bool
        {
                return $this->heard > 0;
        }

        public function await_end(bool $may_speak): void
        {
                do {
                        $ready = [$this->stream];
                        $none = null;
                        if (!stream_select($ready, $none, $none, 10)) {
                                fail('the server stays');
                        }
                        $message = read_message($this->stream);
                } while ($message instanceof Message && $message->control === 'heartbeat');
                if ($may_speak && $message instanceof Message && $message->control === 'close') {
                        $this->say(Message::control('close-ok'));
                } elseif ($message !== 'left') {
                        fail('the end expected; found: ' . ($message instanceof Message ? $message->show() : $message));
                }
                $this->leave();
        }

        public function write(string $bytes): void
        {
                if (@fwrite($this->stream, $bytes) !== strlen($bytes)) {
                        fail('not written');
                }
        }

        public function replay(string $name): void
        {
                replay($this->stream, 'c', $name);
                $this->is_closed = true;
        }

        private function say(Message $message): void
        {
                if ($this->is_closed || !write_message($this->stream, $message)) {
                        fail('the peer does not take ' . $message->show());
                }
        }

        private function expect(string $control): void
        {
                $message = $this->wait();
                if ($message?->control !== $control) {
                        fail("$control expected; found: " . ($message?->show() ?? 'the server has closed'));
                }
        }
}

$options = getopt('', ['heartbeat:'], $rest);
$client = new Client((float)($options['heartbeat'] ?? 1));
$words = array_slice($argv, $rest);
$next = function () use (&$words): string {
        return array_shift($words) ?? fail('a word is missing');
};

while ($words) {
        $step = $next();
        $says = "ok $step";
        switch ($step) {
        case 'exists':
                $says = file_exists(socket_path($next())) ? 'exists' : 'absent';
                break;
        case 'get':
                $client->get($next());
                break;
        case 'connect':
                $client->connect($next());
                break;
        case 'send':
                $client->send($next(), $next());
                break;
        case 'send-file':
                $client->send($next(), (string)file_get_contents($next()));
                break;
        case 'wait':
                $message = $client->wait((float)$next());
                $says = $message ? 'message ' . $message->show() : ($client->is_closed() ? 'closed' : 'nothing');
                break;
        case 'wait-file':
                $message = $client->wait() ?? fail('a message expected; the server has closed');
                file_put_contents($next(), $message->content);
                $says = "ok $step " . ($message->control ?? $message->type);
                break;
        case 'beats':
                $message = $client->wait(0, (int)$next());
                if ($message || $client->is_closed()) {
                        fail('silence expected; found: ' . ($message?->show() ?? 'the end'));
                }
                break;
        case 'heard':
                $says = $client->has_heard() ? 'heard heartbeats' : 'heard nothing';
                break;
        case 'idle':
                usleep((int)((float)$next() * 1e6));
                break;
        case 'close':
                $client->close();
                break;
        case 'closed':
                $message = $client->wait();
                if ($message) {
                        fail('the end expected; found: ' . $message->show());
                }
                break;
        case 'gone':
        case 'ended':
                $client->await_end($step === 'ended');
                break;
        case 'leave':
                $client->leave();
                break;
        case 'raw':
                $client->write((string)hex2bin($next()));
                break;
        case 'replay':
                $client->replay($next());
                break;
        default:
                fail("there is no step $step");
        }
        echo "$says\n";
}
