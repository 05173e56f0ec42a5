<?php
declare(strict_types=1);

namespace TokenCache;

/** The daemon's ERR: an argument that is not allowed. The message says what is; nothing was changed. A fault of the calling code. */
final class InvalidCommand extends \InvalidArgumentException
{
}
