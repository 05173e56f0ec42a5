<?php
declare(strict_types=1);

namespace TokenCache;

/**
 * The daemon's protocol (RESP3) over its Unix socket: one connection, made at the first question, kept for as long as the object
 * lives. One per request in php-fpm. The connection is closed after every exception: a late reply must not answer the next
 * question. It never repeats a command by itself.
 */
final class Client
{
    private const MOST_BYTES = 64 << 20;
    private const MOST_ELEMENTS = 1 << 20;
    private const MOST_DEPTH = 8;
    private const READ_BYTES = 65536;
    /** Commands whose reply about an accepted token is about the session of the token that was sent. */
    private const KEEPS_SID = ['TOKEN.VISIT' => 1, 'TOKEN.VALIDATE' => 1, 'TOKEN.SET' => 1, 'TOKEN.GET' => 1, 'TOKEN.GETDEL' => 1,
        'TOKEN.INCR' => 1, 'TOKEN.EXPIRE' => 1, 'TOKEN.ROTATE' => 1];

    /** @var resource|null */
    private $stream = null;
    /** The process that connected: its children share the connection, and must not use it. */
    private int $owner = 0;
    /** Bytes that came, and how far they were read. */
    private string $input = '';
    private int $at = 0;
    /** On the clock of hrtime(). */
    private int $deadline = 0;

    /**
     * @param string $path of the daemon's socket, absolute: a relative one would depend on the folder that PHP happens to be in
     * @param float $timeout seconds for one question, from connecting to the end of its answer
     */
    public function __construct(private string $path, private float $timeout = 2.0)
    {
        if (!str_starts_with($path, '/')) {
            throw new \InvalidArgumentException('the path of the socket must be absolute');
        }
        if ($timeout <= 0) {
            throw new \InvalidArgumentException('the time-out must be more than 0 seconds');
        }
    }

    public function __destruct()
    {
        $this->close();
    }

    public function close(): void
    {
        if ($this->stream !== null) {
            fclose($this->stream);
            $this->stream = null;
        }
    }

    /**
     * A command about a token: its reply, a map.
     *
     * @return array<string, mixed>
     * @throws Unavailable also where an accepted reply is about another session than the token's
     * @throws InvalidCommand
     */
    public function ask(string $command, string $token, string ...$arguments): array
    {
        $reply = $this->call($command, $token, ...$arguments);
        if (!is_array($reply) || !is_string($reply['status'] ?? null) || !is_int($reply['accepted'] ?? null)) {
            throw $this->giveUp("the reply to $command is none about a token");
        }
        if ($reply['accepted'] === 1 && isset(self::KEEPS_SID[$command]) && ($reply['sid'] ?? '') !== self::sidOf($token)) {
            throw $this->giveUp("the reply to $command is about another session");
        }
        return $reply;
    }

    /**
     * Any command. A map is an array by its fields, a list an array, a number an int, text a string.
     *
     * @throws Unavailable nobody knows the answer
     * @throws InvalidCommand the daemon said ERR
     */
    public function call(string ...$words): mixed
    {
        $request = self::encode($words);
        $this->deadline = hrtime(true) + (int) ($this->timeout * 1e9);
        if (!$this->isUsable()) {
            $this->connect();
            // In the same write as the question: it costs no round trip.
            $this->send("*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n" . $request);
            $this->readReply(0);
        } else {
            $this->send($request);
        }
        $reply = $this->readReply(0);
        if ($this->at !== strlen($this->input)) {
            throw $this->giveUp('the daemon sent more than was asked');
        }
        $this->input = '';
        $this->at = 0;
        return $reply;
    }

    /** The `sid` that stands in a token: of a session its first 16 bytes, of a guest the claim `jti`. Null if it is no token. */
    public static function sidOf(string $token): ?string
    {
        if (preg_match('/\A(?:0x)?([0-9a-f]{32})[0-9a-f]{96}\z/i', $token, $found) === 1) {
            return strtolower($found[1]);
        }
        if (preg_match('/\A[A-Za-z0-9_-]{86}\z/', $token) === 1) {
            return bin2hex(substr((string) base64_decode(strtr($token, '-_', '+/')), 0, 16));
        }
        $parts = explode('.', $token);
        $claims = count($parts) === 3 ? json_decode((string) base64_decode(strtr($parts[1], '-_', '+/')), true) : null;
        return is_array($claims) && is_string($claims['jti'] ?? null) ? $claims['jti'] : null;
    }

    /** @param array<string> $words */
    private static function encode(array $words): string
    {
        $request = '*' . count($words) . "\r\n";
        foreach ($words as $word) {
            $request .= '$' . strlen($word) . "\r\n$word\r\n";
        }
        return $request;
    }

    /** Whether a connection stands that may be asked. One that has something to say unasked is at its end, or out of step. */
    private function isUsable(): bool
    {
        if ($this->stream === null) {
            return false;
        }
        $read = [$this->stream];
        $none = null;
        if ($this->owner === getmypid() && @stream_select($read, $none, $none, 0) === 0) {
            return true;
        }
        $this->close();
        return false;
    }

    private function connect(): void
    {
        $stream = @stream_socket_client("unix://$this->path", $number, $why, $this->timeout);
        if ($stream === false) {
            throw $this->giveUp("cannot connect to $this->path: $why");
        }
        stream_set_read_buffer($stream, 0);
        stream_set_write_buffer($stream, 0);
        $this->stream = $stream;
        $this->owner = (int) getmypid();
        $this->input = '';
        $this->at = 0;
    }

    private function send(string $bytes): void
    {
        $this->limitWaiting();
        while ($bytes !== '') {
            $written = @fwrite($this->stream, $bytes);
            if ($written === false || $written === 0) {
                throw $this->giveUp('the daemon took no command');
            }
            $bytes = substr($bytes, $written);
        }
    }

    private function readReply(int $depth): mixed
    {
        $line = $this->readLine();
        $rest = substr($line, 1);
        switch ($line[0] ?? '') {
            case '$':
            case '=':
                $length = $this->count($rest, self::MOST_BYTES);
                if ($length === -1) {
                    return null;
                }
                $this->need($length + 2);
                $text = substr($this->input, $this->at, $length);
                $this->at += $length + 2;
                // Text for people begins with its form, as `txt:`.
                return $line[0] === '$' ? $text : substr($text, 4);
            case ':':
                return $this->integer($rest);
            case '%':
            case '*':
                if ($depth === self::MOST_DEPTH) {
                    throw $this->giveUp('a reply is nested too deep');
                }
                $count = $this->count($rest, self::MOST_ELEMENTS);
                if ($count === -1) {
                    return null;
                }
                $elements = [];
                for ($i = 0; $i < $count; $i++) {
                    if ($line[0] === '*') {
                        $elements[] = $this->readReply($depth + 1);
                    } else {
                        $field = $this->readReply($depth + 1);
                        if (!is_string($field)) {
                            throw $this->giveUp('a field of a reply has no name');
                        }
                        $elements[$field] = $this->readReply($depth + 1);
                    }
                }
                return $elements;
            case '+':
                return $rest;
            case '_':
                return null;
            case '-':
                $this->close();
                throw str_starts_with($rest, 'ERR ') && !str_starts_with($rest, 'ERR Protocol error')
                    ? new InvalidCommand(substr($rest, 4)) : new Unavailable($rest);
            default:
                throw $this->giveUp('the reply is no RESP');
        }
    }

    private function readLine(): string
    {
        $from = $this->at;
        while (($end = strpos($this->input, "\r\n", $from)) === false) {
            // Only what is new is looked at again, and the half of a line's end.
            $from = max($this->at, strlen($this->input) - 1);
            if ($from - $this->at > self::READ_BYTES) {
                throw $this->giveUp('a line of a reply is too long');
            }
            $this->readMore();
        }
        $line = substr($this->input, $this->at, $end - $this->at);
        $this->at = $end + 2;
        return $line;
    }

    private function need(int $bytes): void
    {
        while (strlen($this->input) - $this->at < $bytes) {
            $this->readMore();
        }
    }

    private function readMore(): void
    {
        $this->limitWaiting();
        $bytes = @fread($this->stream, self::READ_BYTES);
        if ($bytes === false || $bytes === '') {
            throw $this->giveUp(feof($this->stream) ? 'the daemon closed the connection' : 'the daemon did not answer in time');
        }
        $this->input .= $bytes;
    }

    /** PHP's time-out is one for each read or write; ours is one for all of them. */
    private function limitWaiting(): void
    {
        $left = $this->deadline - hrtime(true);
        if ($left <= 0) {
            throw $this->giveUp('the daemon did not answer in time');
        }
        stream_set_timeout($this->stream, intdiv($left, 1_000_000_000), intdiv($left % 1_000_000_000, 1000) + 1);
    }

    private function count(string $digits, int $most): int
    {
        $count = $this->integer($digits);
        if ($count < -1 || $count > $most) {
            throw $this->giveUp('a reply is too long');
        }
        return $count;
    }

    private function integer(string $digits): int
    {
        $number = (int) $digits;
        if ((string) $number !== $digits) {
            throw $this->giveUp('a number of a reply is none');
        }
        return $number;
    }

    private function giveUp(string $why): Unavailable
    {
        $this->close();
        return new Unavailable($why);
    }
}
