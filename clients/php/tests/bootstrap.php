<?php
declare(strict_types=1);

require __DIR__ . '/../autoload.php';
require_once 'Nyholm/Psr7/autoload.php';
foreach (['Program', 'Daemon', 'ScriptedDaemon', 'PageServer', 'TestCase'] as $class) {
    require __DIR__ . "/$class.php";
}
if (!interface_exists(Psr\Http\Server\MiddlewareInterface::class)) {
    exit("the interfaces of PSR-15 are missing: install the Debian package php-psr\n");
}
