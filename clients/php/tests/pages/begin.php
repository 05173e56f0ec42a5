<?php
require_once getenv('AUTOLOAD') ?: __DIR__ . '/../../autoload.php';

$session = TokenCache\Session::start(new TokenCache\Settings(
    (string) getenv('TOKENCACHED_SOCKET'),
    development: true,
    classes: [ArrayObject::class, 'Gone'],
));
