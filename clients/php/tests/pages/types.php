<?php
require __DIR__ . '/begin.php';
$values = ['text' => 'as it is', 'empty' => '', 'null' => null, 'int' => 5, 'float' => 0.5, 'true' => true, 'false' => false,
    'list' => [1, [2, 'x']], 'object' => new ArrayObject(['a' => 1]), 'mark' => "\0php:i:1;", 'bytes' => "\xff\0\r\n", 'a|b' => 'bar'];
if (isset($_GET['check'])) {
    foreach ($values as $field => $value) {
        if (!array_key_exists($field, $_SESSION) || $_SESSION[$field] != $value || gettype($_SESSION[$field]) !== gettype($value)) {
            echo "$field ";
        }
    }
    echo count($_SESSION) === count($values) ? 'all there' : 'more there';
} else {
    $_SESSION = $values;
}
