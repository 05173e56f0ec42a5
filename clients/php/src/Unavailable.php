<?php
declare(strict_types=1);

namespace TokenCache;

/** Nobody knows the answer: the visitor's cookie stays, and the response is 503. Nobody is logged out by it. */
final class Unavailable extends \RuntimeException
{
}
