<?php
// Sets what the query says, a value a field; `wait` seconds pass in between, as in a slow page.
require __DIR__ . '/begin.php';
usleep((int) (1e6 * ($_GET['wait'] ?? 0)));
foreach ($_GET['set'] ?? [] as $field => $value) {
    $_SESSION[$field] = $value;
}
foreach ($_GET['unset'] ?? [] as $field) {
    unset($_SESSION[$field]);
}
echo session_id();
