<?php
// phpredis and predis, for clients.py, which says what a line is: probe.php phpredis|predis SOCKET
[, $library, $path] = $argv;

function shown($reply): string
{
    if (!is_array($reply)) {
        return is_int($reply) ? ":$reply" : ($reply === null ? '_' : "\$$reply");
    }
    return implode("\t", ['(', ...array_map('shown', array_values($reply)), ')']);
}

if ($library === 'predis') {
    require_once 'Predis/Autoloader.php';
    Predis\Autoloader::register();
    $version = Predis\Client::VERSION;
    $connect = fn() => new Predis\Client(['scheme' => 'unix', 'path' => $path, 'timeout' => 2, 'read_write_timeout' => 2], ['exceptions' => false]);
    $call = function ($client, $words) {
        $reply = $client->executeRaw($words, $isError);
        return $isError ? "!$reply" : shown($reply);
    };
    // A pipeline takes commands that predis knows, and such raw ones.
    $pipeline = fn($client, $commands) => array_map(
        fn($reply) => $reply instanceof Predis\Response\ErrorInterface ? '!' . $reply->getMessage() : shown($reply),
        $client->pipeline(function ($pipe) use ($commands) {
            foreach ($commands as $words) {
                $pipe->executeCommand(new Predis\Command\RawCommand($words));
            }
        }));
    $disconnect = fn($client) => $client->disconnect();
} else {
    $version = phpversion('redis');
    $connect = function () use ($path) {
        $client = new Redis();
        $client->connect($path, 0, 2);
        $client->setOption(Redis::OPT_READ_TIMEOUT, 2);
        $client->setOption(Redis::OPT_MAX_RETRIES, 0);
        return $client;
    };
    // ERR is false, and its text is asked for.
    $call = function ($client, $words) {
        $client->clearLastError();
        $reply = $client->rawCommand(...$words);
        return $client->getLastError() !== null ? '!' . $client->getLastError() : shown($reply);
    };
    $pipeline = function ($client, $commands) {
        $client->multi(Redis::PIPELINE);
        foreach ($commands as $words) {
            $client->rawCommand(...$words);
        }
        return array_map(fn($reply) => $reply === false ? '!' . $client->getLastError() : shown($reply), $client->exec());
    };
    $disconnect = fn($client) => $client->close();
}

echo "$version\n";
$client = null;
while (($line = fgets(STDIN)) !== false) {
    $words = explode("\t", rtrim($line, "\n"));
    $commands = [];
    for ($left = $words[0] === 'call' ? 0 : (int) $words[1]; $left > 0; $left--) {
        $commands[] = explode("\t", rtrim(fgets(STDIN), "\n"));
    }
    try {
        $client ??= $connect();
        $replies = $commands ? $pipeline($client, $commands) : [$call($client, array_slice($words, 1))];
    } catch (Exception $failure) {
        $replies = ['!' . str_replace("\n", ' ', $failure->getMessage())];
        if ($client) {
            try {
                $disconnect($client);
            } catch (Exception $again) {
            }
        }
        $client = null;
    }
    echo implode("\n", $replies), "\n";
}
