<?php
// The site of ../../php as a worker of crowd.py, which says what a line is: php worker.php SOCKET
require_once __DIR__ . '/../../php/site.php';

while (($line = fgets(STDIN)) !== false) {
    [$method, $path, $query, $cookie, $mode, $csrf, $name, $password] = explode("\t", rtrim($line, "\n"));
    $server = ['REQUEST_METHOD' => $method, 'REQUEST_URI' => $query === '' ? $path : "$path?$query",
        'HTTP_SEC_FETCH_SITE' => 'same-origin', 'HTTP_SEC_FETCH_MODE' => $mode];
    $cookies = $cookie === '' ? [] : [explode('=', $cookie, 2)[0] => explode('=', $cookie, 2)[1]];
    // As in php-fpm: a connection for each request.
    $site = new Site(new Sessions($argv[1]), new Cookie());
    [$status, $headers, $body] = $site->respond($server, $cookies, compact('csrf', 'name', 'password'));
    $words = [$status, $headers['Set-Cookie'] ?? '', $headers['Location'] ?? '', $body];
    echo implode("\t", str_replace(["\t", "\n"], ' ', $words)), "\n";
}
