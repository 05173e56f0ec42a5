<?php
// What old code does to begin anew, and a login behind a logout: again.php?how=destroy&set=x
require __DIR__ . '/begin.php';
if ($_GET['how'] === 'login') {
    $session->logout();
    $session->login('bob', form: false);
} else {
    session_destroy();
    session_start();
    if ($_GET['how'] === 'regenerate') {
        session_regenerate_id(true);
    }
}
if (isset($_GET['set'])) {
    $_SESSION['mine'] = $_GET['set'];
}
echo json_encode(['session' => $_SESSION, 'user' => $session->user(), 'same' => session_id() === $session->sid(),
    'csrf' => $session->csrf() !== '']);
