<?php
// What the two pcntl peers share, made from the facts about the bytes: a frame is written with one write, and read as the
// real library reads it: the length byte by byte up to #, then its payload with one read, whatever has come of it.
declare(strict_types=1);

namespace Sweikenb\Library\Pcntl\Model\Ipc {
        class MessageModel
        {
                public function __construct(public string $topic = '', public mixed $payload = null)
                {
                }

                public function __serialize(): array
                {
                        return ['topic' => $this->topic, 'payload' => $this->payload];
                }

                public function __unserialize(array $data): void
                {
                        $this->topic = $data['topic'] ?? '';
                        $this->payload = $data['payload'] ?? '';
                }
        }
}

namespace Interop {
        use Sweikenb\Library\Pcntl\Model\Ipc\MessageModel;

        ini_set('display_errors', 'stderr');
        ini_set('log_errors', '0');
        error_reporting(E_ALL);

        function frame(string $topic, mixed $payload): string
        {
                $bytes = serialize(new MessageModel($topic, $payload));
                return strlen($bytes) . '#' . $bytes;
        }

        function send(\Socket $socket, string $topic, mixed $payload): void
        {
                $bytes = frame($topic, $payload);
                if (socket_write($socket, $bytes) !== strlen($bytes)) {
                        throw new \RuntimeException('Can not send message.');
                }
        }

        // Null at the end.
        function receive(\Socket $socket): ?MessageModel
        {
                $length = '';
                while (true) {
                        $byte = '';
                        if (!socket_recv($socket, $byte, 1, 0)) {
                                return null;
                        }
                        if ($byte === '#') {
                                break;
                        }
                        if ($byte < '0' || $byte > '9') {
                                throw new \RuntimeException('Unexpected char, can not read message.');
                        }
                        $length .= $byte;
                }
                $bytes = '';
                socket_recv($socket, $bytes, (int)$length, 0);
                $message = @unserialize((string)$bytes);
                if (!$message instanceof MessageModel) {
                        throw new \RuntimeException('Can not unserialize message.');
                }
                return $message;
        }
}
