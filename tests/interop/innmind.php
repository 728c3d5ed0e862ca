<?php
// What the two innmind peers share, made from the facts about the bytes: frames, control messages, media types, and
// what a recorded conversation consists of. They take and refuse what real peers do, and read as these do: without
// waiting, each piece of a frame once. A frame that is not there whole when its first byte is looked at costs the
// connection, or the process.
declare(strict_types=1);

namespace Interop;

ini_set('display_errors', 'stderr');
ini_set('log_errors', '0');

const CONTROL = [
        'innmind/ipc:connection.start' => 'start',
        'innmind/ipc:connection.start-ok' => 'start-ok',
        'innmind/ipc:connection.close' => 'close',
        'innmind/ipc:connection.close-ok' => 'close-ok',
        'innmind/ipc:message.received' => 'received',
        'innmind/ipc:heartbeat' => 'heartbeat',
];
const END = "\xce";
const TOP_LEVELS = 'application|audio|example|font|image|message|model|multipart|text|video';
const NAME = '[A-Za-z0-9][A-Za-z0-9!#$&^_.-]{0,126}';
const TOKEN = '[A-Za-z0-9!#$%&\'*+^_.`|~-]';

final class Message
{
        public readonly ?string $control;       // its name; null: a user's message

        public function __construct(public readonly string $type, public readonly string $content,
                                    public readonly string $bytes = '')
        {
                // The media type and the content decide, and nothing else.
                $this->control = $type === 'text/plain' ? CONTROL[$content] ?? null : null;
        }

        public static function control(string $name): self
        {
                return new self('text/plain', array_flip(CONTROL)[$name]);
        }

        public function encode(): string
        {
                return pack('n', strlen($this->type)) . $this->type .
                       pack('N', strlen($this->content)) . $this->content . END;
        }

        // One line of text.
        public function show(): string
        {
                return $this->control ?? $this->type . ' ' . show($this->content);
        }
}

function show(string $content): string
{
        return strlen($content) <= 200 && preg_match('/^[\x20-\x7e]*\z/', $content) ?
                $content : sprintf('(%d bytes, md5 %s)', strlen($content), md5($content));
}

// A media type as the other side gives it to its program, or null if it refuses it. Parameters come separated by ";"
// or ",", followed by one space or none, and leave as "; a=1, b=2" without quotes; a last newline of a part is not
// noticed.
function media_type(string $bytes): ?string
{
        $parts = preg_split('/[;,] ?/', $bytes);
        $kind = '(?:' . TOP_LEVELS . ')/' . NAME . '(?:\+' . NAME . ')?';
        if (!preg_match("@^($kind)$@", array_shift($parts), $found)) {
                return null;
        }
        $type = $found[1];
        foreach ($parts as $i => $part) {
                if (!preg_match('@^(' . NAME . ')=(' . TOKEN . '+)$@', $part, $found) &&
                    !preg_match('@^(' . NAME . ')="(' . TOKEN . '*)"$@', $part, $found)) {
                        return null;
                }
                $type .= ($i === 0 ? '; ' : ', ') . $found[1] . '=' . $found[2];
        }
        return $type;
}

// An integer, or the end of the process: this exception is not caught.
function number(string $format, string $bytes): int
{
        $found = @unpack($format, $bytes);

        return $found === false ? null : $found[1];
}

// As much of it as is there.
function piece($stream, int $size): string
{
        return $size === 0 ? '' : (string)@fread($stream, $size);
}

// A frame, or the reason why there is none: "left" if the other side is gone.
function read_message($stream): Message|string
{
        $head = piece($stream, 2);
        if ($head === '') {
                return 'left';
        }
        $type = piece($stream, number('n', $head));
        $size = piece($stream, 4);
        $content = piece($stream, number('N', $size));
        $end = piece($stream, 1);
        if (strlen($content) !== number('N', $size) || $end !== END) {
                return 'a frame that is not whole';
        }
        $known = media_type($type);
        if ($known === null) {
                return 'the media type ' . show($type);
        }
        return new Message($known, $content, $head . $type . $size . $content . $end);
}

// In one write, all of it; what does not fit is lost.
function write_message($stream, Message $message): bool
{
        $bytes = $message->encode();
        $written = @fwrite($stream, $bytes);
        if ($written !== false && $written > 0 && $written < strlen($bytes)) {
                fwrite(STDERR, sprintf("only %d of %d bytes were taken\n", $written, strlen($bytes)));
        }
        return $written === strlen($bytes);
}

function prepare($stream)
{
        stream_set_blocking($stream, false);
        stream_set_read_buffer($stream, 0);
        stream_set_write_buffer($stream, 0);
        return $stream;
}

function socket_path(string $name): string
{
        return sys_get_temp_dir() . "/innmind/ipc/$name.sock";
}

// A recorded conversation, as a list of [direction, bytes or null where they were not recorded, size]; size 0 is the
// end of that direction. Heartbeats, which depend on time, are left out.
function conversation(string $name): array
{
        $folder = __DIR__ . '/../vectors';
        $frames = ['c>s' => null, 's>c' => null];
        $chunks = null;
        $manifest = (string)file_get_contents("$folder/manifest.json");
        foreach (json_decode($manifest, true, 512, JSON_THROW_ON_ERROR) as $entry) {
                foreach (['c>s' => 'c2s', 's>c' => 's2c'] as $direction => $suffix) {
                        if ($entry['name'] !== "innmind-live-$name-$suffix") {
                                continue;
                        }
                        $chunks = $entry['decoded']['chunks'];
                        $bytes = (string)file_get_contents("$folder/{$entry['file']}");
                        $offsets = array_column($entry['decoded']['frames'], 'offset');
                        foreach ($offsets as $i => $offset) {
                                $frames[$direction][$offset] =
                                        substr($bytes, $offset, ($offsets[$i + 1] ?? strlen($bytes)) - $offset);
                        }
                }
        }
        if ($chunks === null) {
                fail("there is no recording $name");
        }
        $beat = Message::control('heartbeat')->encode();
        $steps = [];
        $at = ['c>s' => 0, 's>c' => 0];
        foreach ($chunks as ['dir' => $direction, 'bytes' => $size]) {
                if ($size === 0) {
                        $steps[] = [$direction, '', 0];
                } elseif ($frames[$direction] === null && $size !== strlen($beat)) {
                        $steps[] = [$direction, null, $size];
                }
                // Several frames may have come at once.
                for ($end = $at[$direction] + $size; $frames[$direction] !== null && $at[$direction] < $end;) {
                        $frame = $frames[$direction][$at[$direction]];
                        $at[$direction] += strlen($frame);
                        if ($frame !== $beat) {
                                $steps[] = [$direction, $frame, strlen($frame)];
                        }
                }
        }
        return $steps;
}

// Play one side of it: "c" or "s". The other side must do its part, byte for byte.
function replay($stream, string $side, string $name): void
{
        foreach (conversation($name) as $i => [$direction, $bytes, $size]) {
                if ($direction[0] === $side) {
                        if ($size === 0) {
                                fclose($stream);
                                return;
                        }
                        if ($bytes === null || @fwrite($stream, $bytes) !== $size) {
                                fail("step $i: not written");
                        }
                        continue;
                }
                do {
                        $ready = [$stream];
                        $none = null;
                        if (!stream_select($ready, $none, $none, 10)) {
                                fail("step $i: nothing comes, $size bytes expected");
                        }
                        $message = read_message($stream);
                } while ($message instanceof Message && $message->control === 'heartbeat');
                if ($size === 0) {
                        if ($message !== 'left') {
                                fail("step $i: the end expected");
                        }
                } elseif (!$message instanceof Message || strlen($message->bytes) !== $size ||
                          ($bytes !== null && $message->bytes !== $bytes)) {
                        fail("step $i: $size bytes expected: " . show((string)$bytes) . '; found: ' .
                             ($message instanceof Message ? $message->show() : $message));
                }
        }
}

function fail(string $text): never
{
        echo "failed: $text\n";
        fwrite(STDERR, "failed: $text\n");
        exit(1);
}
