<?php
declare(strict_types=1);

namespace TokenCache;

/** How a site uses the daemon. The defaults are for a site on HTTPS, on the host of the daemon. */
final class Settings
{
    /**
     * @param string $socket the daemon's Unix socket, an absolute path
     * @param bool $development for http://localhost only: a cookie without `__Host-` and `Secure`, which not all browsers take
     *     there. A request to another host is refused then.
     * @param string $cookie the cookie's name, behind `__Host-` where it is for HTTPS
     * @param string $form the name that all forms of the site share, 1 to 256 bytes of UTF-8
     * @param list<'ip'|'ua'> $bind what the daemon is told of the client: needed for `binding.ip` and `binding.ua`. The address is
     *     that of the connection: behind a proxy let the web server set it (nginx: real_ip, Apache: mod_remoteip)
     * @param float $timeout seconds until an answer is given up; longer than the daemon's `redis.timeout`
     * @param bool $persistent whether php-fpm, mod_fcgid and mod_php keep the connection from one request to the next. Elsewhere it
     *     is the Client's, and ends with it
     * @param list<class-string> $classes whose objects `$_SESSION` may hold
     */
    public function __construct(
        public readonly string $socket = '/run/tokencached/tokencached.sock',
        public readonly bool $development = false,
        public readonly string $cookie = 'tc',
        public readonly string $form = 'site',
        public readonly array $bind = [],
        public readonly float $timeout = 2.0,
        public readonly bool $persistent = true,
        public readonly array $classes = [],
    ) {
        if (preg_match('/\A[A-Za-z0-9_-]+\z/', $cookie) !== 1) {
            throw new \InvalidArgumentException('the name of a cookie has letters, digits, - and _ only');
        }
        if (array_diff($bind, ['ip', 'ua']) !== []) {
            throw new \InvalidArgumentException("bind takes 'ip' and 'ua'");
        }
    }

    public function client(): Client
    {
        $servesOneByOne = in_array(PHP_SAPI, ['fpm-fcgi', 'cgi-fcgi', 'apache2handler'], true);
        return new Client($this->socket, $this->timeout, $this->persistent && $servesOneByOne);
    }

    public function cookieName(): string
    {
        return $this->development ? $this->cookie : "__Host-$this->cookie";
    }

    /** The value of Set-Cookie: a reply's token, for as long as the reply says. */
    public function setCookie(string $token, ?int $maxAge): string
    {
        return "{$this->cookieName()}=$token" . ($maxAge === null ? '' : "; Max-Age=$maxAge") . '; Path=/'
            . ($this->development ? '' : '; Secure') . '; HttpOnly; SameSite=Lax';
    }
}
