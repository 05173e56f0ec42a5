<?php
require __DIR__ . '/begin.php';
$_SESSION = [];
setcookie(session_name(), '', 1);
session_destroy();
header('Location: /show.php', true, 303);
