<?php
// The site on php-fpm, mod_fcgid or php -S; `run` beside this file starts it. SITE_API chooses by which of the package's ways.
declare(strict_types=1);

require __DIR__ . '/../autoload.php';
require __DIR__ . '/Site.php';

use TokenCache\Session;
use TokenCache\Settings;

// The web server's parameters, or the environment.
$setting = static fn (string $name): string => (string) ($_SERVER[$name] ?? getenv($name));
$settings = new Settings(socket: $setting('TOKENCACHED_SOCKET'), development: true);
$reveals = $setting('SITE_REVEALS_CAPTCHAS') === '1';
$api = $setting('SITE_API');

if ($api === 'psr15') {
    require __DIR__ . '/psr15.php';
    servePsr15($settings, $reveals);
} else {
    $session = Session::start($settings, superglobal: $api === 'superglobal');
    [$path] = explode('?', $_SERVER['REQUEST_URI'], 2);
    $site = new Site($session, $api === 'superglobal', $reveals);
    [$status, $headers, $body] = $site->respond($_SERVER['REQUEST_METHOD'], $path, $_GET, $_POST);
    http_response_code($status);
    foreach ($headers as $name => $value) {
        header("$name: $value");
    }
    echo $body;
}
