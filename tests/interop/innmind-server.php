<?php
// An innmind server: it greets, acknowledges, answers and folds what it is told over a carried count, and loses that
// count for everybody as the real one does: by a client that leaves without a word, or whose bytes it cannot take.
//
//      innmind-server.php [--heartbeat=S] [--log=FILE] [--answer=echo|none] [--replay=RECORDING] NAME
//
// What it sees and does goes to the log, a line each: "accepted N", "in N …", "out N …" (control messages by their
// short names; "+B": B bytes were there behind the frame already), "ignored N …", how client N left ("closed", "left"
// or "dropped", with the reason), and "carry C" after each message and each loss: the messages so far, or "lost".
//
// Messages with these contents make it do something, all others are answered with themselves:
//      cmd:count       answer the carry, and do not count this one
//      cmd:reset       carry 0, and answer that
//      cmd:silent      no answer
//      cmd:close       close this client
//      cmd:stop, stop  close all, and end
//      cmd:late S      answer after S seconds in which no client is served
//      cmd:later S     answer after S seconds
//      cmd:push N      N answers
//      cmd:before      a message before this one is acknowledged
//      cmd:type TYPE   answer with this media type, whatever it is
//      cmd:bytewise    answer in single bytes
declare(strict_types=1);

namespace Interop;

require __DIR__ . '/innmind.php';

final class Visitor
{
        public string $state = 'greeted';       // then "served", and "closing" until its close-ok comes
        public array $later = [];               // [when, message]

        public function __construct(public readonly int $number, public readonly mixed $stream, public float $heard)
        {
        }
}

final class Server
{
        private mixed $stream;
        private array $visitors = [];
        private int $count = 0;
        private ?int $carry = 0;
        private bool $is_ending = false;
        private bool $is_signalled = false;

        public function __construct(private string $path, private float $period, private bool $answers,
                                    private mixed $log)
        {
                if (!is_dir(dirname($path))) {
                        mkdir(dirname($path), 0777, true);
                }
                $stream = @stream_socket_server("unix://$path", $code, $text);
                if ($stream === false) {
                        // That is all that the real one says.
                        exit(1);
                }
                $this->stream = $stream;
                foreach ([SIGHUP, SIGINT, SIGABRT, SIGTERM, SIGTSTP, SIGALRM] as $signal) {
                        pcntl_signal($signal, function () {
                                $this->is_signalled = true;
                        });
                }
                pcntl_async_signals(true);
                $this->log('listening');
        }

        public function accept(): mixed
        {
                return prepare(stream_socket_accept($this->stream, 10));
        }

        public function end(): void
        {
                fclose($this->stream);
                unlink($this->path);
                $this->log('ended');
        }

        public function run(): void
        {
                while (!$this->is_ending || $this->visitors) {
                        if ($this->is_signalled) {
                                $this->is_signalled = false;
                                $this->shut();
                                continue;
                        }
                        $ready = $this->wait();
                        if ($ready === null) {
                                if ($this->is_ending) {
                                        break;          // a second signal: no client is waited for
                                }
                                continue;
                        }
                        if (in_array($this->stream, $ready, true)) {
                                $this->greet(prepare(stream_socket_accept($this->stream)));
                        }
                        $this->answer_late();
                        foreach ($this->visitors as $visitor) {
                                $is_silent = $this->now() - $visitor->heard > $this->period;
                                if ($is_silent && !in_array($visitor->stream, $ready, true)) {
                                        $this->say($visitor, Message::control('heartbeat'));
                                }
                        }
                        foreach ($this->visitors as $visitor) {
                                if (in_array($visitor->stream, $ready, true)) {
                                        $this->hear($visitor);
                                }
                        }
                }
                $this->end();
        }

        private function now(): float
        {
                return hrtime(true) / 1e9;
        }

        // Streams that can be read, none after a period; null after a signal.
        private function wait(): ?array
        {
                $ready = array_column($this->visitors, 'stream');
                if (!$this->is_ending) {
                        $ready[] = $this->stream;
                }
                $period = $this->period;
                foreach ($this->visitors as $visitor) {
                        foreach ($visitor->later as [$when]) {
                                $period = max(0, min($period, $when - $this->now()));
                        }
                }
                $none = null;
                $found = @stream_select($ready, $none, $none, (int)$period, (int)(fmod($period, 1) * 1e6));
                return $found === false ? null : $ready;
        }

        private function greet(mixed $stream): void
        {
                $visitor = new Visitor(++$this->count, $stream, $this->now());
                $this->visitors[$visitor->number] = $visitor;
                $this->log("accepted $visitor->number");
                if (!$this->say($visitor, Message::control('start'))) {
                        $this->part($visitor, "left $visitor->number before it was greeted");
                }
        }

        private function say(Visitor $visitor, Message $message): bool
        {
                $is_said = write_message($visitor->stream, $message);
                $this->log("out $visitor->number " . $message->show() . ($is_said ? '' : ' (not taken)'));
                return $is_said;
        }

        private function part(Visitor $visitor, string $how): void
        {
                fclose($visitor->stream);
                unset($this->visitors[$visitor->number]);
                $this->log($how);
        }

        private function lose(Visitor $visitor, string $how): void
        {
                $this->carry = null;
                $this->part($visitor, $how);
                $this->log_carry();
        }

        private function hear(Visitor $visitor): void
        {
                $message = read_message($visitor->stream);
                if (is_string($message)) {
                        $this->lose($visitor, $message === 'left' ? "left $visitor->number" :
                                                                    "dropped $visitor->number: $message");
                        return;
                }
                $visitor->heard = $this->now();
                $behind = strlen((string)@stream_socket_recvfrom($visitor->stream, 1 << 20, STREAM_PEEK));
                $this->log("in $visitor->number " . $message->show() . ($behind > 0 ? " +$behind" : ''));
                match (true) {
                        $visitor->state === 'greeted' && $message->control === 'start-ok' => $visitor->state = 'served',
                        $visitor->state === 'closing' && $message->control === 'close-ok' =>
                                $this->part($visitor, "closed $visitor->number"),
                        $visitor->state === 'served' && $message->control === 'close' => $this->let_go($visitor),
                        $visitor->state === 'served' && $message->control === null => $this->serve($visitor, $message),
                        $message->control === 'heartbeat' => null,
                        default => $this->log("ignored $visitor->number " . $message->show()),
                };
        }

        private function let_go(Visitor $visitor): void
        {
                $this->say($visitor, Message::control('close-ok'));
                $this->part($visitor, "closed $visitor->number");
        }

        private function serve(Visitor $visitor, Message $message): void
        {
                [$command, $argument] = [...explode(' ', $message->content, 2), ''];
                if ($command === 'cmd:before') {
                        $this->say($visitor, new Message('text/plain', 'before'));
                }
                if (!$this->say($visitor, Message::control('received'))) {
                        $this->part($visitor, "left $visitor->number before it was answered");
                        return;
                }
                if ($command === 'cmd:reset') {
                        $this->carry = 0;
                } elseif ($command !== 'cmd:count' && $this->carry !== null) {
                        $this->carry++;
                }
                $this->log_carry();
                switch ($command) {
                case 'cmd:count':
                case 'cmd:reset':
                        $this->say($visitor, new Message('text/plain', (string)($this->carry ?? 'lost')));
                        break;
                case 'cmd:silent':
                        break;
                case 'cmd:close':
                        $this->say($visitor, Message::control('close'));
                        $visitor->state = 'closing';
                        break;
                case 'cmd:stop':
                case 'stop':
                        $this->shut();
                        break;
                case 'cmd:late':
                        usleep((int)((float)$argument * 1e6));
                        $this->say($visitor, new Message('text/plain', 'late'));
                        break;
                case 'cmd:later':
                        $visitor->later[] = [$this->now() + (float)$argument, new Message('text/plain', 'later')];
                        break;
                case 'cmd:push':
                        for ($i = 1; $i <= (int)$argument; $i++) {
                                $this->say($visitor, new Message('text/plain', "push $i"));
                        }
                        break;
                case 'cmd:type':
                        $this->say($visitor, new Message($argument, 'of that type'));
                        break;
                case 'cmd:bytewise':
                        foreach (str_split((new Message('text/plain', 'byte by byte'))->encode()) as $byte) {
                                @fwrite($visitor->stream, $byte);
                        }
                        break;
                default:
                        if ($this->answers) {
                                $this->say($visitor, new Message($message->type, $message->content));
                        }
                }
        }

        private function answer_late(): void
        {
                foreach ($this->visitors as $visitor) {
                        foreach ($visitor->later as $i => [$when, $message]) {
                                if ($when <= $this->now()) {
                                        unset($visitor->later[$i]);
                                        $this->say($visitor, $message);
                                }
                        }
                }
        }

        // No new client; every client is told, and waited for without limit.
        private function shut(): void
        {
                if ($this->is_ending) {
                        return;
                }
                $this->is_ending = true;
                $this->log('ending');
                foreach ($this->visitors as $visitor) {
                        $visitor->state = 'closing';
                        if (!$this->say($visitor, Message::control('close'))) {
                                $this->part($visitor, "gone $visitor->number");
                        }
                }
        }

        private function log_carry(): void
        {
                $this->log('carry ' . ($this->carry ?? 'lost'));
        }

        private function log(string $line): void
        {
                fwrite($this->log, "$line\n");
        }
}

$options = getopt('', ['heartbeat:', 'log:', 'answer:', 'replay:'], $rest);
$server = new Server(socket_path($argv[$rest]), (float)($options['heartbeat'] ?? 1),
                     ($options['answer'] ?? 'echo') === 'echo',
                     isset($options['log']) ? fopen($options['log'], 'a') : STDOUT);
if (isset($options['replay'])) {
        replay($server->accept(), 's', $options['replay']);
        $server->end();
} else {
        $server->run();
}
