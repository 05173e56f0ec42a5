<?php
require __DIR__ . '/begin.php';
$_SESSION['cart'] = 'pen';
throw new RuntimeException('mine');
