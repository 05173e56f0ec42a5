<?php
// For sites without Composer: require this file.
declare(strict_types=1);

spl_autoload_register(static function (string $class): void {
    if (str_starts_with($class, 'TokenCache\\')) {
        $file = __DIR__ . '/src/' . strtr(substr($class, strlen('TokenCache\\')), '\\', '/') . '.php';
        if (is_file($file)) {
            require $file;
        }
    }
});
