<?php
require __DIR__ . '/begin.php';
$_SESSION = [];
