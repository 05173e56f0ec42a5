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
putenv('PROGRAMS=' . ($options['programs'] ?? exit("php bench.php --programs FOLDER [--seconds N]\n")));
if (!extension_loaded('redis')) {
    exit("phpredis is missing: install the Debian package php-redis\n");
}
$daemon = new Daemon();
$settings = new Settings($daemon->socket(), development: true);
$token = (new Client($daemon->socket()))->call('TOKEN.LOGIN', '', 'ann', 'DATA', 'theme', 'dark', 'cart', '3 pens')['sessiontoken'];
$words = ['TOKEN.VISIT', $token, 'CSRF', 'site', 'DATA'];
[$_SERVER, $_COOKIE] = [['REQUEST_METHOD' => 'GET', 'REQUEST_URI' => '/', 'HTTP_HOST' => 'localhost'], ['tc' => $token]];

// Bare: phpredis hands out a flat array; what is in it has to be found out.
$connected = static function (bool $persistent) use ($daemon): \Redis {
    $redis = new \Redis();
    $persistent
        ? $redis->pconnect($daemon->socket(), 0, 2.0, 'bench', 0, 2.0)
        : $redis->connect($daemon->socket(), 0, 2.0, null, 0, 2.0);
    return $redis;
};
$client = static fn (bool $persistent) => new Client($daemon->socket(), 2.0, $persistent);
$session = static fn (Client $client) => new Session($client, $settings, Request::fromGlobals($settings));
[$keptRedis, $kept] = [$connected(false), $client(false)];
$ways = [
    'a connection that is kept: phpredis' => static fn () => $keptRedis->rawCommand(...$words),
    'Client' => static fn () => $kept->ask(...$words),
    'Session' => static fn () => $session($kept),
    'an object for each request, as in php-fpm: phpredis' => static fn () => $connected(false)->rawCommand(...$words),
    'phpredis, pconnect' => static fn () => $connected(true)->rawCommand(...$words),
    'Client, persistent: false' => static fn () => $client(false)->ask(...$words),
    'Session, persistent: false' => static fn () => $session($client(false)),
    'Client, persistent' => static fn () => $client(true)->ask(...$words),
    'Session, persistent (what Session::start does)' => static fn () => $session($client(true)),
];
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
$beside = [];
$median = static function (array $values): float {
    sort($values);
    return $values[intdiv(count($values), 2)];
};
printf("one VISIT with CSRF and data, medians of %d rounds of %d, PHP %s\n\n", ROUNDS, VISITS, PHP_VERSION);
print("| | µs | beside |\n|---|---:|---:|\n");
foreach ($microseconds as $name => $values) {
    // Beside the phpredis of its kind.
    $beside = str_ends_with($name, ': phpredis') ? $values : $beside;
    printf("| %s | %.1f | %.2f |\n", $name, $median($values), $median(array_map(static fn ($a, $b) => $a / $b, $values, $beside)));
}

// The site: the same page, made without asking anybody, and with the session of somebody who is logged in.
$bare = new Program();
file_put_contents("$bare->folder/bare.php", '<?php require "' . __DIR__ . '/site/Site.php";'
    . ' header("Content-Type: text/html; charset=utf-8");'
    . ' echo "<!doctype html><meta charset=\"utf-8\"><title>A small site</title><p>user: ", htmlspecialchars("ann"), "</p>";');
print("\nthe small site's first page on nginx and php-fpm, eight workers, eight requests at a time, medians of three runs; "
    . "CPU of nginx, PHP and ab\n\n| | requests/s | CPU, µs |\n|---|---:|---:|\n");
/** Microseconds that children which have ended have used, with theirs. */
$cpu = static function (): float {
    $used = getrusage(1) ?: [];
    return 1e6 * ($used['ru_utime.tv_sec'] + $used['ru_stime.tv_sec']) + $used['ru_utime.tv_usec'] + $used['ru_stime.tv_usec'];
};
[$rates, $costs] = [[], []];
foreach ([1, 2, 3] as $round) {
    foreach (['without the package' => "$bare->folder/bare.php", 'Session::start' => '', '$_SESSION' => 'superglobal',
        'PSR-15' => 'psr15'] as $name => $what) {
        $probe = stream_socket_server('tcp://127.0.0.1:0');
        $port = substr(strrchr((string) stream_socket_get_name($probe, false), ':'), 1);
        fclose($probe);
        $begin = $cpu();
        $site = new Program();
        $site->start([__DIR__ . '/site/run', '--socket', $daemon->socket(), '--port', $port,
            ...(in_array($what, ['superglobal', 'psr15'], true) ? ['--api', $what] : [])],
            static fn (): bool => Program::answers("tcp://127.0.0.1:$port"), str_starts_with($what, '/') ? ['SITE_INDEX' => $what] : []);
        exec("ab -q -k -c 8 -t {$options['seconds']} -n 1000000 -H 'Cookie: tc=$token' http://127.0.0.1:$port/ 2>&1", $lines, $status);
        $said = implode("\n", $lines);
        if ($status !== 0 || preg_match('/Non-2xx/', $said)
            || !preg_match('/Complete requests: +([0-9]+).*Requests per second: +([0-9.]+)/s', $said, $found)) {
            exit("ab failed: $said\n");
        }
        $site->stop();
        $rates[$name][] = (float) $found[2];
        $costs[$name][] = ($cpu() - $begin) / (int) $found[1];
        $lines = [];
    }
}
foreach ($rates as $name => $values) {
    printf("| %s | %.0f | %.0f |\n", $name, $median($values), $median($costs[$name]));
}
