<?php
// An object of a class that Settings does not name; and what stands in `note`.
final class Bomb
{
    public function __wakeup(): void
    {
        echo 'bang ';
    }
}
require __DIR__ . '/begin.php';
if (isset($_GET['set'])) {
    $_SESSION['object'] = new Bomb();
} else {
    echo get_debug_type($_SESSION['note'] ?? null);
}
