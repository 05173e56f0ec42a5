<?php
// A page that is longer than any buffer, and then stores.
require __DIR__ . '/begin.php';
echo str_repeat('a long page ', 20_000);
$_SESSION['cart'] = 'pen';
