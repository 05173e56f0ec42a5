<?php
// Closes the session and opens it again, as long pages do.
require __DIR__ . '/begin.php';
$_SESSION['a'] = '1';
session_write_close();
usleep(1_000_000);
session_start();
$_SESSION['c'] = '3';
echo json_encode($_SESSION);
