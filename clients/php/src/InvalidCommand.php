<?php
declare(strict_types=1);

namespace TokenCache;

/** The daemon's ERR: an argument that is not allowed. The message says what is; nothing was changed. The caller is at fault. */
final class InvalidCommand extends \InvalidArgumentException
{
}
