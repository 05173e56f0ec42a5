<?php
declare(strict_types=1);

namespace TokenCache;

/** A session in PHP's own terms: `$_SERVER`, header(), `$_SESSION`. Used by Session::start. @internal */
final class Native
{
    /** Headers that say something of the page which is not sent. */
    private const OF_THE_PAGE = ['Location', 'Refresh', 'Content-Length', 'Content-Encoding', 'Content-Disposition',
        'Content-Range', 'Content-Language', 'Content-Location', 'Content-MD5', 'Digest', 'Repr-Digest', 'Accept-Ranges', 'ETag',
        'Last-Modified', 'Expires', 'Transfer-Encoding', 'X-Sendfile', 'X-Accel-Redirect'];

    public static function start(Settings $settings, bool $superglobal): Session
    {
        if (headers_sent($file, $line)) {
            throw new \LogicException("Session::start comes before any output; $file wrote in line $line");
        }
        // Held back: a guest whose first data are written at the end is given a cookie then.
        ob_start();
        $previous = set_exception_handler(null);
        $caught = static function (\Throwable $error) use ($settings, $previous): void {
            if ($error instanceof Unavailable || $error instanceof NotAccepted && !$error instanceof LoginRefused) {
                self::answer($error, $settings);
            } elseif ($previous !== null) {
                $previous($error);
            } else {
                throw $error;
            }
        };
        set_exception_handler($caught);
        $session = new Session($settings->client(), $settings, Request::fromGlobals($settings));
        $session->onHeaders(static fn (Session $session) => self::send($session->headers(), $settings->cookieName()));
        // Whatever the site says of caches later: a response with a token in it is kept by none.
        header_register_callback(static fn () => self::send($session->headers(), $settings->cookieName()));
        if (($address = $session->onceMore()) !== null) {
            header("Location: $address", true, 303);
            exit;
        }
        if ($superglobal) {
            SuperglobalHandler::start($session, $settings->classes);
            // Before the output goes out, so that a cookie, or a 503, can go with it.
            register_shutdown_function(static function () use ($caught): void {
                try {
                    if (session_status() === PHP_SESSION_ACTIVE) {
                        session_write_close();
                    }
                } catch (\Throwable $error) {
                    $caught($error);
                }
            });
        }
        return $session;
    }

    /**
     * Once in a response, beside the site's own cookies.
     *
     * @param array<string, string> $headers
     */
    private static function send(array $headers, string $cookie): void
    {
        if (headers_sent()) {
            // The site sent its page early. A browser that comes with the token before is given this one again.
            return;
        }
        if (isset($headers['Set-Cookie'])) {
            $lines = array_filter(headers_list(), static fn ($line) => stripos($line, 'Set-Cookie:') === 0);
            header_remove('Set-Cookie');
            foreach ($lines as $line) {
                if (!str_starts_with(ltrim(substr($line, strlen('Set-Cookie:'))), "$cookie=")) {
                    header($line, false);
                }
            }
            header("Set-Cookie: {$headers['Set-Cookie']}", false);
        }
        if (isset($headers['Cache-Control'])) {
            header("Cache-Control: {$headers['Cache-Control']}");
        }
    }

    private static function answer(Unavailable|NotAccepted $error, Settings $settings): void
    {
        // What a page that did not come to its end has put there is not kept.
        if (session_status() === PHP_SESSION_ACTIVE) {
            session_abort();
        }
        while (ob_get_level() > 0 && ob_end_clean()) {
        }
        if (headers_sent()) {
            return;
        }
        foreach (self::OF_THE_PAGE as $name) {
            header_remove($name);
        }
        [$status, $headers, $body] = Answer::to($error, Request::fromGlobals($settings));
        http_response_code($status);
        foreach ($headers as $name => $value) {
            header("$name: $value");
        }
        echo $body;
    }
}
