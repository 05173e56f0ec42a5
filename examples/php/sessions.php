<?php
// Sessions of a web worker in PHP, with phpredis (Debian: php-redis).
//
//     php sessions.php /run/tokencached/tokencached.sock
//
// One Sessions object per worker: it keeps one connection.

/** Nobody knows the answer: keep the visitor's cookie, answer 503. */
class Unavailable extends Exception {}

class Sessions
{
    private ?Redis $redis = null;

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
        $fields = [];
        for ($i = 0; $i + 1 < count($reply); $i += 2) {
            $fields[$reply[$i]] = $reply[$i + 1];
        }
        return $fields;
    }

    /**
     * As ask. A reply about an accepted session token names that session; otherwise it answers somebody else's question.
     * A guest's token does not begin with its sid, so that there is nothing to compare.
     */
    public function askAbout(string $command, string $token, string ...$arguments): array
    {
        $fields = $this->ask($command, $token, ...$arguments);
        if ($fields['accepted'] === 1 && isset($fields['sid']) && preg_match('/\A[0-9a-f]{128}\z/i', $token)
            && $fields['sid'] !== strtolower(substr($token, 0, 32))) {
            throw $this->giveUp('the reply is about another session');
        }
        return $fields;
    }

    /** One page view: the holder's fields, and the token to hand on, or null if it stays. */
    public function visit(string $token): array
    {
        $fields = $this->askAbout('TOKEN.VISIT', $token);
        return [$fields, $fields['sessiontoken'] ?? null];
    }

    /** After the password was checked: the token to hand on. */
    public function login(string $token, string $subject): string
    {
        return $this->ask('TOKEN.LOGIN', $token, $subject)['sessiontoken'];
    }

    public function logout(string $token): void
    {
        $this->ask('TOKEN.REVOKE', $token);
    }

    /** After any error the connection is closed: a late reply must not answer the next question. */
    private function giveUp(string $why): Unavailable
    {
        $this->redis?->close();
        $this->redis = null;
        return new Unavailable($why);
    }
}

if (PHP_SAPI === 'cli') {
    $sessions = new Sessions($argv[1]);
    try {
        [$fields, $cookie] = $sessions->visit('');
        echo "first visit: {$fields['status']} - set the cookie\n";
        [$fields, $successor] = $sessions->visit($cookie);
        echo "second visit: {$fields['status']} - new cookie: ", $successor === null ? 'no' : 'yes', "\n";
        [$old, $cookie] = [$cookie, $sessions->login($cookie, 'ann')];
        echo 'old cookie after login: ', $sessions->askAbout('TOKEN.VALIDATE', $old)['status'], "\n";
        [$fields] = $sessions->visit($cookie);
        echo "visit after login: {$fields['status']}, subject {$fields['subject']}\n";
        $sessions->logout($cookie);
        $reply = $sessions->askAbout('TOKEN.VALIDATE', $cookie);
        echo "after logout: {$reply['status']}, {$reply['reason']}\n";
    } catch (Unavailable $error) {
        fwrite(STDERR, "503 Service Unavailable ({$error->getMessage()}); the cookie stays\n");
        exit(1);
    }
}
