<?php
// What a VISIT costs through the package, beside bare clients in the same run, and what the small site serves in a second with the
// package and without. opcache is on as in php-fpm: php -d opcache.enable_cli=1 bench.php --programs FOLDER [--seconds N]
declare(strict_types=1);

namespace TokenCache\Tests;

require __DIR__ . '/autoload.php';
require __DIR__ . '/tests/Program.php';
require __DIR__ . '/tests/Daemon.php';

use TokenCache\Client;
use TokenCache\Request;
use TokenCache\Session;
use TokenCache\Settings;

const ROUNDS = 20;
const VISITS = 1000;

$options = getopt('', ['programs:', 'seconds:']) + ['seconds' => '5'];
putenv('PROGRAMS=' . ($options['programs'] ?? exit("bench.php --programs FOLDER [--seconds N]\n")));
$daemon = new Daemon();
$settings = new Settings($daemon->socket(), development: true);
$token = (new Client($daemon->socket()))->call('TOKEN.LOGIN', '', 'ann', 'DATA', 'theme', 'dark', 'cart', '3 pens')['sessiontoken'];
$words = ['TOKEN.VISIT', $token, 'CSRF', 'site', 'DATA'];
[$_SERVER, $_COOKIE] = [['REQUEST_METHOD' => 'GET', 'REQUEST_URI' => '/', 'HTTP_HOST' => 'localhost'], ['tc' => $token]];

/** The least that PHP can do: bytes out, bytes in, nothing understood. */
$bytes = '*5' . "\r\n" . implode('', array_map(static fn ($word) => '$' . strlen($word) . "\r\n$word\r\n", $words));
$open = static fn () => stream_socket_client("unix://{$daemon->socket()}");
$ask = static function ($stream) use ($bytes): string {
    fwrite($stream, $bytes);
    return (string) fread($stream, 65536);
};
$phpredis = static function () use ($daemon): \Redis {
    $redis = new \Redis();
    $redis->connect($daemon->socket(), 0, 2.0, null, 0, 2.0);
    return $redis;
};
[$stream, $client] = [$open(), new Client($daemon->socket())];
$ways = [
    'bytes alone, connection kept' => static fn () => $ask($stream),
    'Client, kept' => static fn () => $client->ask(...$words),
    'Session, kept' => static fn () => new Session($client, $settings, Request::fromGlobals($settings)),
    'bytes alone, connection for each' => static fn () => $ask($open()),
    'Client, for each' => static fn () => (new Client($daemon->socket()))->ask(...$words),
    'Session, for each' => static fn () => new Session(new Client($daemon->socket()), $settings, Request::fromGlobals($settings)),
];
$base = ['kept' => 'bytes alone, connection kept', 'each' => 'bytes alone, connection for each'];
if (extension_loaded('redis')) {
    $redis = $phpredis();
    $ways = ['phpredis, kept' => static fn () => $redis->rawCommand(...$words)]
        + ['phpredis, for each' => static fn () => $phpredis()->rawCommand(...$words)] + $ways;
    $base = ['kept' => 'phpredis, kept', 'each' => 'phpredis, for each'];
}
$microseconds = [];
for ($round = 0; $round < ROUNDS; $round++) {
    foreach ($ways as $name => $way) {
        $begin = hrtime(true);
        for ($visit = 0; $visit < VISITS; $visit++) {
            $way();
        }
        $microseconds[$name][] = (hrtime(true) - $begin) / 1000 / VISITS;
    }
}
$median = static function (array $values): float {
    sort($values);
    return $values[intdiv(count($values), 2)];
};
printf("one VISIT with CSRF and data, medians of %d rounds of %d, PHP %s\n\n| | µs | beside |\n|---|---:|---:|\n", ROUNDS, VISITS, PHP_VERSION);
foreach ($microseconds as $name => $values) {
    $beside = $microseconds[$base[str_ends_with($name, 'each') ? 'each' : 'kept']];
    printf("| %s | %.1f | %.2f |\n", $name, $median($values), $median(array_map(static fn ($a, $b) => $a / $b, $values, $beside)));
}

// The site: the same page, made without asking anybody, and with the session of somebody who is logged in.
$bare = new Program();
file_put_contents("$bare->folder/bare.php", '<?php require "' . __DIR__ . '/site/Site.php"; header("Content-Type: text/html; charset=utf-8");'
    . ' echo "<!doctype html><meta charset=\"utf-8\"><title>A small site</title><p>user: ", htmlspecialchars("ann"), "</p>";');
printf("\nthe small site's first page on nginx and php-fpm, eight workers, %s requests at a time\n\n| | requests/s |\n|---|---:|\n", 8);
$rates = [];
foreach ([1, 2, 3] as $round) {
    foreach (['without the package' => "$bare->folder/bare.php", 'Session::start' => '', '$_SESSION' => 'superglobal', 'PSR-15' => 'psr15']
        as $name => $what) {
        $probe = stream_socket_server('tcp://127.0.0.1:0');
        $port = substr(strrchr((string) stream_socket_get_name($probe, false), ':'), 1);
        fclose($probe);
        $site = new Program();
        $site->start([__DIR__ . '/site/run', '--socket', $daemon->socket(), '--port', $port,
            ...(in_array($what, ['superglobal', 'psr15'], true) ? ['--api', $what] : [])],
            static fn (): bool => Program::answers("tcp://127.0.0.1:$port"), str_starts_with($what, '/') ? ['SITE_INDEX' => $what] : []);
        exec("ab -q -k -c 8 -t {$options['seconds']} -n 1000000 -H 'Cookie: tc=$token' http://127.0.0.1:$port/ 2>&1", $lines, $status);
        $said = implode("\n", $lines);
        if ($status !== 0 || preg_match('/Non-2xx/', $said) || !preg_match('/Requests per second: +([0-9.]+)/', $said, $found)) {
            exit("ab failed: $said\n");
        }
        $rates[$name][] = (float) $found[1];
        $lines = [];
        $site->stop();
    }
}
foreach ($rates as $name => $values) {
    printf("| %s | %.0f |\n", $name, $median($values));
}
