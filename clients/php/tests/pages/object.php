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
    $_SESSION['object'] = $_GET['set'] === 'inside' ? new ArrayObject([['x' => new Bomb()]]) : new Bomb();
} else {
    echo get_debug_type($_SESSION['note'] ?? null);
}
