<?php
// Stands in for riki137/php-stream-ipc where the programs of the pages are tested: the calls that they use, on the small peer
// of tests/interop.
declare(strict_types=1);

namespace StreamIpc {
        require __DIR__ . '/../interop/stream-ipc.php';

        \Interop\define_classes('StreamIpc');

        final class Promise
        {
                public function __construct(private IpcSession $session, private string $id)
                {
                }

                public function await(): object
                {
                        return $this->session->wait($this->id);
                }
        }

        final class IpcSession
        {
                private array $onRequest = [], $onMessage = [];

                public function __construct(private \Interop\Peer $peer)
                {
                }

                public function onRequest(callable $handler): void
                {
                        $this->onRequest[] = $handler;
                }

                public function onMessage(callable $handler): void
                {
                        $this->onMessage[] = $handler;
                }

                public function notify(object $message): void
                {
                        $this->peer->send($message);
                }

                public function request(object $message, float $timeout = 30.0): Promise
                {
                        return new Promise($this, $this->peer->ask($message));
                }

                public function wait(string $id): object
                {
                        $seen = [];
                        $answer = $this->peer->wait($id, $seen);
                        array_map($this->dispatch(...), $seen);
                        return $answer ?? throw new \RuntimeException('the other side has gone');
                }

                public function dispatch(object $message): void
                {
                        if (!isset($message->request)) {
                                foreach ($this->onMessage as $handler) {
                                        $handler($message, $this);
                                }
                                return;
                        }
                        foreach ($this->onRequest as $handler) {
                                $answer = $handler($message->request, $this);
                                if ($answer !== null) {
                                        $this->peer->answer($message, $answer);
                                        return;
                                }
                        }
                        $this->peer->answer($message, $this->peer->error('Unhandled request'));
                }

                public function receive(): void
                {
                        $message = $this->peer->receive();
                        if ($message !== null) {
                                $this->dispatch($message);
                        }
                }
        }

        final class NativeIpcPeer
        {
                private array $sessions = [];

                public function createStreamSession($write, $read): IpcSession
                {
                        return $this->sessions[] = new IpcSession(new \Interop\Peer($read, $write, false, 'StreamIpc'));
                }

                public function createStdioSession(): IpcSession
                {
                        return $this->createStreamSession(STDOUT, STDIN);
                }

                public function tick(?float $timeout = null): void
                {
                        foreach ($this->sessions as $session) {
                                $session->receive();
                        }
                }
        }
}
