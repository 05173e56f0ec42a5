<?php
// Sessions of a site in PHP, with phpredis (Debian: php-redis).
//
//     php -S localhost:8000 site.php      a site for development; log in as ann with the password apple
//     php life.php /run/tokencached/tokencached.sock      a visitor's life, printed
//
// In php-fpm and mod_php make one Sessions object per request: connecting over the Unix socket costs some 15 µs more than a
// kept connection, and less than pconnect(), which asks the server each time whether the connection is still good.

/** Nobody knows the answer: keep the visitor's cookie, answer 503. */
class Unavailable extends Exception {}

class Sessions
{
    private ?Redis $redis = null;

    /** A relative path would depend on the folder that PHP happens to be in: give an absolute one. */
    public function __construct(private string $path, private float $timeout = 2.0) {}

    public function ask(string ...$command): array
    {
        try {
            if ($this->redis === null) {
                $this->redis = new Redis();
                // The time-out is longer than the daemon's redis.timeout.
                $this->redis->connect($this->path, 0, $this->timeout, null, 0, $this->timeout);
            }
            $reply = $this->redis->rawCommand(...$command);
        } catch (RedisException $error) {
            throw $this->giveUp($error->getMessage());
        }
        // phpredis: an ERR reply is no exception, it is false.
        if (!is_array($reply)) {
            throw $this->giveUp((string) $this->redis->getLastError());
        }
        return self::fields($reply);
    }

    /** As ask. A reply about an accepted token names its session; otherwise it answers somebody else's question. */
    public function askAbout(string $command, string $token, string ...$arguments): array
    {
        $fields = $this->ask($command, $token, ...$arguments);
        $sid = self::sidOf($token);
        if ($fields['accepted'] === 1 && $sid !== null && $fields['sid'] !== $sid) {
            throw $this->giveUp('the reply is about another session');
        }
        return $fields;
    }

    private static function fields(array $reply): array
    {
        $fields = [];
        for ($i = 0; $i + 1 < count($reply); $i += 2) {
            $fields[$reply[$i]] = $reply[$i] === 'data' ? self::fields($reply[$i + 1]) : $reply[$i + 1];
        }
        return $fields;
    }

    /** The sid that stands in a token: of a session the first 32 digits, of a guest the claim jti. */
    private static function sidOf(string $token): ?string
    {
        if (preg_match('/\A[0-9a-f]{128}\z/i', $token)) {
            return strtolower(substr($token, 0, 32));
        }
        $parts = explode('.', $token);
        $claims = count($parts) === 3 ? base64_decode(strtr($parts[1], '-_', '+/')) : '';
        return preg_match('/\A\{"jti":"([0-9a-f]{32})"/', (string) $claims, $found) ? $found[1] : null;
    }

    /** After any error the connection is closed: a late reply must not answer the next question. */
    private function giveUp(string $why): Unavailable
    {
        try {
            $this->redis?->close();
        } catch (RedisException) {
        }
        $this->redis = null;
        return new Unavailable($why);
    }
}

/** The whole cookie, written from a reply: whenever sessiontoken is in it, and only then; otherwise the cookie stays. */
class Cookie
{
    public readonly string $name;
    private string $attributes;

    /** $development is for http://localhost, where not all browsers take a cookie that is for HTTPS; never for others. */
    public function __construct(bool $development = false)
    {
        $this->name = $development ? 'tc' : '__Host-tc';
        $this->attributes = '; Path=/' . ($development ? '' : '; Secure') . '; HttpOnly; SameSite=Lax';
    }

    public function of(array $fields): ?string
    {
        if (!isset($fields['sessiontoken'])) {
            return null;
        }
        $age = isset($fields['max_age']) ? "; Max-Age={$fields['max_age']}" : '';
        return "{$this->name}={$fields['sessiontoken']}$age{$this->attributes}";
    }

    public function removal(): string
    {
        return "{$this->name}=; Max-Age=0{$this->attributes}";
    }
}
