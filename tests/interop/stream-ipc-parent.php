<?php
// A parent that starts the tool: stream-ipc-parent.php CODEC ROOT WORKER, the worker being an example that answers.
// Prints a line for each check: "ok NAME" or "FAILED NAME: WHY".
declare(strict_types=1);

namespace Interop;

require __DIR__ . '/stream-ipc.php';

[, $codec, $root, $worker] = $argv;
define_classes($root);

final class Child
{
        public Peer $peer;
        private mixed $process;
        private array $pipes = [];
        private string $errors;

        public function __construct(string $command, string $codec, string $root)
        {
                $this->errors = tempnam(getcwd(), 'stderr');
                $this->process = proc_open(['/bin/sh', '-c', "exec $command"],
                                           [['pipe', 'r'], ['pipe', 'w'], ['file', $this->errors, 'w']], $this->pipes);
                $this->peer = new Peer($this->pipes[1], $this->pipes[0], $codec === 'json', $root);
        }

        // Close its stdin, read the rest; its status, and what it has said on stderr.
        public function end(): array
        {
                fclose($this->pipes[0]);
                $rest = 0;
                while ($this->peer->receive()) {
                        $rest++;
                }
                fclose($this->pipes[1]);
                return [proc_close($this->process), file_get_contents($this->errors), $rest];
        }
}

function check(string $name, mixed $found, mixed $expected): void
{
        echo $found == $expected && gettype($found) === gettype($expected) ? "ok $name\n"
                : "FAILED $name: " . substr(print_r($found, true), 0, 500) . ' instead of ' . substr(print_r($expected, true), 0, 500) . "\n";
}

function text(?object $message): string
{
        return $message === null ? 'nothing' : (method_exists($message, 'text') ? 'error: ' . $message->text()
                : ($message->level === 'error' ? 'error: ' : '') . $message->message);
}

try {
        $child = new Child('ferry listen stdio: --echo -v', $codec, $root);
        $peer = $child->peer;
        check('a request', $peer->wait($peer->ask($peer->log('hello', 'warn'))), $peer->log('hello', 'warn'));
        $task = new \App\Messages\TaskMessage('processFile', ['filename' => 'data.csv', 'columns' => ['name', 'äge'],
                                                              'options' => ['deep' => ['deeper' => [true, null, 1.5, -3]]]]);
        check('a message with parameters', $peer->wait($peer->ask($task)), $task);
        $assorted = new \App\Messages\Assorted();
        $assorted->inner = new \App\Messages\Assorted();
        check('properties of every kind', $peer->wait($peer->ask($assorted)), $assorted);
        $peer->send($peer->log('just so you know'));
        $ids = [];
        foreach (['a', 'b', 'c'] as $text) {
                $ids[$text] = $peer->ask($peer->log($text));
        }
        foreach ($ids as $text => $id) {
                check("request $text of three", text($peer->wait($id)), $text);
        }
        $peer->write("Warning: something\n");
        check('after junk', text($peer->wait($peer->ask($peer->log('go on')))), 'go on');
        $peer->write("\xf3\x4a\x9d");
        check('after junk that looks like a frame', text($peer->wait($peer->ask($peer->log('go on')))), 'go on');
        $peer->write(frame('this is no message'));
        check('after a frame that does not decode', text($peer->wait($peer->ask($peer->log('go on')))), 'go on');
        foreach (str_split(frame(encode($peer->log('slowly'), $peer->json)), 3) as $piece) {
                $peer->write($piece);
        }
        $large = str_repeat('0123456789abcde' . ($peer->json ? "\n" : "\0"), 65536);
        check('1 MiB', $peer->wait($peer->ask($peer->log($large))) == $peer->log($large), true);
        // All is written before anything is read.
        $ids = [];
        for ($i = 0; $i < 100; $i++) {
                $ids[] = $peer->ask($peer->log(str_repeat(chr(65 + $i % 26), 60000)));
        }
        $good = 0;
        foreach ($ids as $i => $id) {
                $good += $peer->wait($id) == $peer->log(str_repeat(chr(65 + $i % 26), 60000));
        }
        check('100 requests before the first answer is read', $good, 100);
        check('no stray bytes came', $peer->junk, '');
        [$status, $errors, $rest] = $child->end();
        check('it ends when its stdin ends', $status, 0);
        check('and says nothing more', $rest, 0);
        foreach (['just so you know', 'slowly', 'junk on stdin: Warning: something', 'request App\Messages\TaskMessage'] as $text) {
                check("it has printed: $text", str_contains($errors, $text), true);
        }

        $child = new Child('ferry listen stdio:', $codec, $root);
        $peer = $child->peer;
        check('a request without an answer', str_starts_with(text($peer->wait($peer->ask($peer->log('hello')))),
                                                               'error: this listener only listens'), true);
        // Over the limit: it is told so, and the conversation goes on.
        $id = $peer->ask($peer->log(str_repeat('x', 17 << 20)));
        check('a request over the limit', str_contains(text($peer->wait($id)), 'over the limit'), true);
        check('and the next one', str_starts_with(text($peer->wait($peer->ask($peer->log('hello')))), 'error: '), true);
        check('it ends', $child->end()[0], 0);

        $child = new Child("ferry listen stdio: --exec 'tr a-z A-Z; exit 0'", $codec, $root);
        check('a command answers', text($child->peer->wait($child->peer->ask($child->peer->log('hello')))), 'HELLO');
        $child->end();
        $child = new Child("ferry listen stdio: --exec 'exit 3'", $codec, $root);
        check('a command fails', text($child->peer->wait($child->peer->ask($child->peer->log('hello')))),
              'error: the command exited with status 3');
        $child->end();

        $child = new Child('ferry listen stdio: --echo', $codec, $root);
        $child->peer->write(substr(frame(encode($child->peer->log('never whole'), $child->peer->json)), 0, 30));
        check('half a frame, and the end', $child->end()[0], 3);

        $child = new Child($worker, $codec, $root);
        check('the example child', text($child->peer->wait($child->peer->ask($child->peer->log('it is me')))), 'Hello from child!');
        [$status, $errors] = $child->end();
        check('the example child ends', $status, 0);
        check('the example child has printed', $errors, "Received from parent: it is me\n");
} catch (\Throwable $error) {
        echo 'FAILED ', str_replace("\n", ' ', (string)$error), "\n";
}
