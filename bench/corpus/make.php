<?php
/* Writes the corpus of the codec benchmark beside this file: php -n bench/corpus/make.php. The same bytes each time: the
 * numbers come from a generator of our own, and each text from a list. */
namespace Corpus;

const FLAGS = JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION | JSON_THROW_ON_ERROR;
const WORDS = ['accept', 'backlog', 'connect', 'deadline', 'exit', 'frame', 'graceful', 'handler', 'inherit', 'journal',
        'kernel', 'listen', 'message', 'notify', 'output', 'payload', 'queue', 'request', 'signal', 'timeout'];

/* A linear congruential generator: 31 bits of it. */
function random(int $below): int
{
        static $state = 1;

        $state = ($state * 1103515245 + 12345) & 0x7fffffff;
        return intdiv($state, 8) % $below;
}

function word(): string
{
        return WORDS[random(count(WORDS))];
}

function sentence(int $words): string
{
        return implode(' ', array_map(fn() => word(), range(1, $words)));
}

/* What programs send to one another: an object of a class, as a request for a task has it. */
function small(): array
{
        return ['__class' => 'App\\Messages\\TaskMessage', 'action' => 'resize', 'id' => 4711, 'progress' => 0.25,
                'tags' => ['image', 'urgent', 'retry'],
                'parameters' => ['path' => '/var/spool/images/4711.png', 'width' => 640, 'height' => 480, 'keep' => true,
                        'owner' => null]];
}

/* Rows of a data base, some 100 KB of JSON. */
function table(): array
{
        $rows = [];
        for ($i = 0; $i < 600; $i++)
                $rows[] = ['id' => 100000 + $i, 'name' => ucfirst(word()) . ' ' . ucfirst(word()), 'email' => word() . "$i@example.org",
                        'age' => 18 + random(60), 'balance' => random(1000000) / 100, 'active' => random(2) === 1,
                        'note' => random(3) ? sentence(4) : null, 'groups' => [random(10), random(100), random(1000)]];
        return $rows;
}

/* Chains of 120 levels, lists and maps by turns. */
function deep(): array
{
        $chains = [];
        for ($i = 0; $i < 16; $i++) {
                $chain = ['leaf' => $i];
                for ($level = 0; $level < 120; $level++)
                        $chain = $level % 2 ? ['next' => $chain] : [$chain];
                $chains[] = $chain;
        }
        return $chains;
}

/* Strings that JSON must escape, and text beyond ASCII. */
function escapes(): array
{
        $texts = [];
        for ($i = 0; $i < 200; $i++)
                $texts[] = match ($i % 5) {
                        0 => "He said \"" . sentence(3) . "\"\n\tat C:\\" . word() . "\\" . word(),
                        1 => "{$i}: \u{fc}ber \u{4e2d}\u{6587} " . sentence(2) . " \u{1f600} \u{20ac}5",
                        2 => sentence(30),
                        3 => "<a href=\"/" . word() . "\">" . word() . "</a>\r\n",
                        4 => "\x01\x02" . word() . "\x1f",
                };
        return $texts;
}

function doubles(): array
{
        $numbers = [];
        for ($i = 0; $i < 500; $i++)
                $numbers[] = match ($i % 5) {
                        0 => random(100000) / 100,
                        1 => random(1 << 27) / (1 << 27),
                        2 => -random(1 << 27) / 3,
                        3 => (1 + random(1 << 27) / 7) * 10.0 ** (random(60) - 30),
                        4 => (float)random(1000),
                };
        return $numbers;
}

/* A text of 64 KB without anything to escape, as a file has it. */
function text(): array
{
        return ['path' => '/var/log/messages', 'text' => implode('. ', array_map(fn() => sentence(12), range(1, 700)))];
}

ini_set('serialize_precision', '-1');
foreach (['small', 'table', 'deep', 'escapes', 'doubles', 'text'] as $name)
        file_put_contents(__DIR__ . "/$name.json", json_encode(("Corpus\\$name")(), FLAGS, 512));
