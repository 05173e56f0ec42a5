<?php
require __DIR__ . '/begin.php';
header('Content-Type: application/json');
echo json_encode(['session' => $_SESSION, 'user' => $session->user(), 'sid' => $session->sid()]);
