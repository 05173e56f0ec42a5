<?php
echo 'early';
flush();
require __DIR__ . '/begin.php';
