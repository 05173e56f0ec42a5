<?php
// An object of a class that Settings does not name; and what stands in `note`.
require __DIR__ . '/begin.php';
if (isset($_GET['set'])) {
    $_SESSION['object'] = new ArrayIterator([1]);
} else {
    echo get_debug_type($_SESSION['note'] ?? null);
}
