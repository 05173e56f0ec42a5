<?php
declare(strict_types=1);

namespace TokenCache;

/** The responses that are the same on every site. @internal */
final class Answer
{
    /** @return array{int, array<string, string>, string} status, headers, body */
    public static function to(Unavailable|NotAccepted $error, Request $request): array
    {
        $headers = ['Content-Type' => 'text/plain; charset=utf-8', 'Cache-Control' => 'no-store'];
        if ($error instanceof Unavailable) {
            // The reason is the operator's: it is in the daemon's log, and in PHP's.
            error_log("tokencached: {$error->getMessage()}");
            return [503, ['Retry-After' => '1'] + $headers, "Please try again in a moment.\n"];
        }
        $address = !$request->isPost && $request->isNavigation() ? $request->onceMore() : null;
        return $address !== null
            ? [303, ['Location' => $address] + $headers, '']
            : [409, $headers, "Something changed meanwhile, perhaps in another tab. Please go back, reload and try again.\n"];
    }
}
