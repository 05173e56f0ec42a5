<?php
require __DIR__ . '/begin.php';
$_SESSION['half'] = 'done';
$session->increment('n');
