<?php
// A small peer that speaks stream-ipc, made from the facts about its bytes: frames, envelopes, both serializers. It is
// strict where PHP programs depend on it: what comes must become objects of its classes with exactly their properties.
declare(strict_types=1);

namespace App\Messages {
        final class TaskMessage
        {
                public function __construct(public string $action, public array $parameters)
                {
                }
        }

        class Base
        {
                private string $secret = 'of the base';
        }

        final class Assorted extends Base
        {
                public ?int $number = 7;
                protected float $ratio = 0.1;
                private array $list = [1, 'two', ['three' => null]];
                public ?object $inner = null;
        }
}

namespace Interop {
        const MAGIC = "\xf3\x4a\x9d\xe2";

        // The classes that every stream-ipc program has, under one of the two names.
        function define_classes(string $root): void
        {
                eval("namespace $root\\Message;
                        final class LogMessage { public function __construct(public string \$message, public string \$level = 'info') {} }");
                if ($root === 'StreamIpc') {
                        eval("namespace $root\\Message;
                                final class ErrorMessage {
                                        public function __construct(private string \$errorMessage) {}
                                        public function text(): string { return \$this->errorMessage; }
                                }");
                }
                eval("namespace $root\\Envelope;
                        final class RequestEnvelope { public function __construct(public string \$id, public object \$request) {} }
                        final class ResponseEnvelope { public function __construct(public string \$id, public object \$response) {} }");
        }

        // Properties as the JSON side sees them: of every visibility, by bare name, as they are declared.
        function properties(object $object): array
        {
                $result = [];
                foreach ((new \ReflectionClass($object))->getProperties() as $property) {
                        if (!$property->isStatic()) {
                                $result[$property->getName()] = $property;
                        }
                }
                return $result;
        }

        function to_plain(mixed $value): mixed
        {
                if (is_object($value)) {
                        $plain = ['__class' => get_class($value)];
                        foreach (properties($value) as $name => $property) {
                                $plain[$name] = to_plain($property->getValue($value));
                        }
                        return $plain;
                }
                return is_array($value) ? array_map(to_plain(...), $value) : $value;
        }

        function from_plain(mixed $value): mixed
        {
                if (!is_array($value)) {
                        return $value;
                }
                if (!isset($value['__class'])) {
                        return array_map(from_plain(...), $value);
                }
                $class = new \ReflectionClass($value['__class']);
                $object = $class->newInstanceWithoutConstructor();
                unset($value['__class']);
                foreach (properties($object) as $name => $property) {
                        if (array_key_exists($name, $value)) {
                                $property->setValue($object, from_plain($value[$name]));
                                unset($value[$name]);
                        }
                }
                if ($value !== []) {
                        throw new \RuntimeException('unknown properties: ' . implode(', ', array_keys($value)));
                }
                return $object;
        }

        function encode(object $message, bool $json): string
        {
                return $json ? json_encode(to_plain($message), JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES)
                             : serialize($message);
        }

        function decode(string $payload, bool $json): mixed
        {
                $value = $json ? from_plain(json_decode($payload, true, 512, JSON_THROW_ON_ERROR)) : unserialize($payload);
                // What PHP itself would write must be what came, or something was lost on the way.
                if (is_object($value) && encode($value, $json) !== $payload) {
                        throw new \RuntimeException("not as PHP writes it: $payload");
                }
                return $value;
        }

        function frame(string $payload): string
        {
                return MAGIC . pack('N', strlen($payload)) . $payload;
        }

        final class Peer
        {
                private string $buffer = '';
                private int $counter = 0;
                public string $junk = '';

                public function __construct(private $in, private $out, public bool $json, public string $root)
                {
                }

                public function log(string $text, string $level = 'info'): object
                {
                        return new ("$this->root\\Message\\LogMessage")($text, $level);
                }

                public function error(string $text): object
                {
                        return $this->root === 'StreamIpc' ? new \StreamIpc\Message\ErrorMessage($text)
                                                           : $this->log($text, 'error');
                }

                public function write(string $bytes): void
                {
                        while ($bytes !== '') {
                                $put = fwrite($this->out, $bytes);
                                if ($put === false || $put === 0) {
                                        throw new \RuntimeException('the other side reads no more');
                                }
                                $bytes = substr($bytes, $put);
                        }
                        fflush($this->out);
                }

                public function send(object $message): void
                {
                        $this->write(frame(encode($message, $this->json)));
                }

                public function ask(object $message): string
                {
                        $id = getmypid() . '.' . ++$this->counter;
                        $this->send(new ("$this->root\\Envelope\\RequestEnvelope")($id, $message));
                        return $id;
                }

                public function answer(object $request, object $message): void
                {
                        $this->send(new ("$this->root\\Envelope\\ResponseEnvelope")($request->id, $message));
                }

                // The next message; null at the end. What stands between frames is added to $this->junk.
                public function receive(): ?object
                {
                        for (;;) {
                                $at = strpos($this->buffer, MAGIC);
                                if ($at > 0) {
                                        $this->junk .= substr($this->buffer, 0, $at);
                                        $this->buffer = substr($this->buffer, $at);
                                }
                                if ($at !== false && strlen($this->buffer) >= 8) {
                                        $size = unpack('N', $this->buffer, 4)[1];
                                        if (strlen($this->buffer) >= 8 + $size) {
                                                $payload = substr($this->buffer, 8, $size);
                                                $this->buffer = substr($this->buffer, 8 + $size);
                                                return decode($payload, $this->json);
                                        }
                                }
                                $more = fread($this->in, 65536);
                                if ($more === '' || $more === false) {
                                        $this->junk .= $this->buffer;
                                        $this->buffer = '';
                                        return null;
                                }
                                $this->buffer .= $more;
                        }
                }

                // The message in the response to that request; notifications meanwhile go to $seen.
                public function wait(string $id, array &$seen = []): ?object
                {
                        while ($message = $this->receive()) {
                                if (($message->id ?? null) === $id && isset($message->response)) {
                                        return $message->response;
                                }
                                $seen[] = $message;
                        }
                        return null;
                }
        }
}
