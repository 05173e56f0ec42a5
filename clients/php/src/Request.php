<?php
declare(strict_types=1);

namespace TokenCache;

use Psr\Http\Message\ServerRequestInterface;

// For speed: PHP looks for a function of that name in this namespace first, and has opcodes for some only without.
use function explode, filter_var, in_array, is_array, is_string, preg_match, preg_replace, strcasecmp, strlen, strtr, substr;

/** What the daemon is told of a request, and what the rules for its answer depend on. */
final class Request
{
    /** Longer than any token; what is longer is none, and is not sent. */
    private const MOST_TOKEN_BYTES = 4096;
    /** Of a session in base64url. What is shorter is none; some commands would take `SID` for a word of theirs. */
    private const LEAST_TOKEN_BYTES = 86;
    /** The daemon's limit for BIND ua. */
    private const MOST_AGENT_BYTES = 4096;
    /** Longer than any value of Sec-Fetch-Site and Sec-Fetch-Mode. */
    private const MOST_FETCH_BYTES = 64;
    private const LOCAL = '/\A(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?\z/i';

    private function __construct(
        public readonly string $token,
        public readonly bool $isPost,
        public readonly string $target,
        public readonly string $fetchSite,
        public readonly string $fetchMode,
        public readonly string $csrf,
        public readonly string $address,
        public readonly string $agent,
        public readonly bool $isOwn,
    ) {
    }

    /** The request that PHP serves: `$_SERVER`, `$_COOKIE`, `$_POST`. */
    public static function fromGlobals(Settings $settings): self
    {
        $header = static fn (string $name): string => (string) ($_SERVER[$name] ?? '');
        return self::of($settings, $_COOKIE, $_POST, $header, (string) ($_SERVER['REQUEST_METHOD'] ?? 'GET'),
            (string) ($_SERVER['REQUEST_URI'] ?? '/'), (string) ($_SERVER['REMOTE_ADDR'] ?? ''));
    }

    public static function fromPsr(ServerRequestInterface $request, Settings $settings): self
    {
        $form = $request->getParsedBody();
        return self::of($settings, $request->getCookieParams(), is_array($form) ? $form : [],
            static fn (string $name): string => $request->getHeaderLine(strtr(substr($name, strlen('HTTP_')), '_', '-')), $request->getMethod(),
            $request->getRequestTarget(), (string) ($request->getServerParams()['REMOTE_ADDR'] ?? ''));
    }

    /**
     * @param array<mixed> $cookies
     * @param array<mixed> $form
     * @param callable(string): string $header by its name in `$_SERVER`
     */
    private static function of(
        Settings $settings,
        array $cookies,
        array $form,
        callable $header,
        string $method,
        string $target,
        string $address,
    ): self {
        if ($settings->development && preg_match(self::LOCAL, $header('HTTP_HOST')) !== 1) {
            throw new \LogicException('development is for http://localhost only: this site needs HTTPS, and development: false');
        }
        $isPost = !in_array($method, ['GET', 'HEAD'], true);
        $token = self::text($cookies[$settings->cookieName()] ?? '');
        if (strlen($token) < self::LEAST_TOKEN_BYTES) {
            $token = '';
        }
        $fetchSite = $header('HTTP_SEC_FETCH_SITE');
        $fetchMode = $header('HTTP_SEC_FETCH_MODE');
        $madeBy = $fetchSite;
        // Older browsers say it by Origin.
        if ($fetchSite === '' && $header('HTTP_ORIGIN') !== '') {
            $madeBy = strcasecmp((string) preg_replace('#\A[a-z]+://#i', '', $header('HTTP_ORIGIN')), $header('HTTP_HOST')) === 0
                ? 'same-origin' : 'cross-site';
        }
        // The daemon is told that where no cookie came, as with a form that another site sent: a new one would go over that which
        // the browser has. (With a cookie it could do harm to honest forms: some proxies change Host.)
        if ($token === '') {
            $fetchSite = $madeBy;
        }
        return new self(
            $token,
            $isPost,
            $target,
            strlen($fetchSite) > self::MOST_FETCH_BYTES ? 'none of a browser' : $fetchSite,
            strlen($fetchMode) > self::MOST_FETCH_BYTES ? 'none of a browser' : $fetchMode,
            $isPost ? self::text($form['csrf'] ?? $header('HTTP_X_CSRF_TOKEN')) : '',
            in_array('ip', $settings->bind, true) && filter_var($address, FILTER_VALIDATE_IP) !== false ? $address : '',
            in_array('ua', $settings->bind, true) ? substr($header('HTTP_USER_AGENT'), 0, self::MOST_AGENT_BYTES) : '',
            in_array($madeBy, ['same-origin', 'none', ''], true),
        );
    }

    private static function text(mixed $value): string
    {
        return is_string($value) && strlen($value) <= self::MOST_TOKEN_BYTES ? $value : '';
    }

    /** Whether the browser goes to a page by it. One that says nothing about it is taken for one that does. */
    public function isNavigation(): bool
    {
        return $this->fetchMode === '' || $this->fetchMode === 'navigate';
    }

    /**
     * Where the browser is sent to come again: the same page, its query, and a mark as a parameter of its own. Null where the mark
     * is there already: once is enough. A page leaves the mark out of its links.
     */
    public function onceMore(): ?string
    {
        [, $query] = explode('?', $this->target, 2) + ['', ''];
        if (in_array('again=1', explode('&', $query), true)) {
            return null;
        }
        // A query alone leaves the path as it is.
        return '?' . ($query === '' ? '' : "$query&") . 'again=1';
    }
}
