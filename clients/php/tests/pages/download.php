<?php
// A page that says a lot of itself, and then meets a fault.
require __DIR__ . '/begin.php';
foreach (['Content-Type: application/zip', 'Content-Length: 5', 'Content-Disposition: attachment; filename="a.zip"', 'ETag: "x"',
    'Content-Encoding: gzip', 'Last-Modified: Sat, 28 Nov 2026 10:00:00 GMT', 'Expires: Sun, 29 Nov 2026 10:00:00 GMT',
    'Content-Security-Policy: default-src *', 'Access-Control-Allow-Origin: https://a.example', 'Set-Cookie: theme=dark'] as $line) {
    header($line);
}
echo 'bytes';
$session->increment('downloads');
