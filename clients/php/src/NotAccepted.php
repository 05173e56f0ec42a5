<?php
declare(strict_types=1);

namespace TokenCache;

/**
 * Something was to be stored, and the session is over: ended meanwhile, or the browser holds a newer token than it sent. Nothing
 * was stored. Left to Session::start or Middleware, a page is asked for again (303), everything else is told to try again (409).
 */
class NotAccepted extends \RuntimeException
{
    /**
     * @param string $status of the reply, as `replayed`
     * @param string $reason why the session was ended, as `logout`; empty where nothing says it
     */
    final public function __construct(public readonly string $status, public readonly string $reason = '')
    {
        parent::__construct(trim("the session is not accepted: $status $reason"));
    }

    /** @param array<string, mixed> $reply */
    public static function by(array $reply): static
    {
        $reason = $reply['reason'] ?? '';
        return new static($reply['status'], is_string($reason) ? $reason : '');
    }
}
