#!/usr/bin/env -S php -n
<?php
// A worker that speaks first: it reports, prints what it should not, and asks in the end. stream-ipc-worker.php [CODEC]
declare(strict_types=1);

namespace Interop;

require __DIR__ . '/stream-ipc.php';

define_classes('StreamIpc');
$peer = new Peer(STDIN, STDOUT, ($argv[1] ?? 'php') === 'json', 'StreamIpc');
$peer->send($peer->log('one'));
if (isset($argv[1])) {
        echo "noise\n";
}
$peer->send($peer->log('two', 'success'));
if (isset($argv[1])) {
        fwrite(STDERR, $peer->wait($peer->ask($peer->log('and you?')))->message . "\n");
}
