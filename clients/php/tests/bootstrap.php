<?php
declare(strict_types=1);

// Composer's, where the package was installed by it.
require getenv('AUTOLOAD') ?: __DIR__ . '/../autoload.php';
require_once 'Nyholm/Psr7/autoload.php';
require_once __DIR__ . '/../site/psr15-interfaces.php';
foreach (['Program', 'Daemon', 'ScriptedDaemon', 'PageServer', 'TestCase'] as $class) {
    require __DIR__ . "/$class.php";
}
