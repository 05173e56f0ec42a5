<?php
// A login as old code has it, and as it is with a name: login.php?name=ann. These tests send no form.
require __DIR__ . '/begin.php';
$_SESSION['mine'] = 'yes';
if (isset($_GET['name'])) {
    $session->login($_GET['name'], form: false);
} else {
    session_regenerate_id(true);
}
setcookie('theme', 'dark');
header('Cache-Control: public, max-age=60');
echo session_id() === $session->sid() ? 'same' : 'other';
