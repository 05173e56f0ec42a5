<?php
declare(strict_types=1);

namespace TokenCache;

// For speed: PHP looks for a function of that name in this namespace first, and has opcodes for some only without.
use function array_pop, array_push, array_slice, base64_decode, bin2hex, count, explode, fclose, feof, fread, ftell, fwrite,
    getmypid, hrtime, implode, intdiv, is_array, is_int, is_resource, is_string, json_decode, preg_match, random_bytes,
    spl_object_id, str_starts_with, stream_select, stream_set_read_buffer, stream_set_timeout, stream_set_write_buffer,
    stream_socket_client, strlen, strpos, strspn, strtolower, strtr, substr;

/**
 * The daemon's protocol (RESP3) over its Unix socket: one connection, made at the first question, kept for as long as the object
 * lives. The connection is closed after every exception, also one that a signal's handler threw in the middle of a question: a
 * late reply must not answer the next one. It never repeats a command by itself. One question at a time: no two fibers share an
 * object; what a handler or a destructor asks in the middle of a question has a connection of its own.
 *
 * A persistent connection is the process's, and outlives the request. One that was used before is first asked to ECHO a random
 * word, in the same write as the question: whatever comes before that word belongs to a request that was cut off.
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
    /** Whether a question is open, or was cut off by exit or a fatal error, which run no `finally`. */
    private bool $isAsking = false;
    /** Which object asked last over a persistent connection: one that asks behind another does not know what that one left. */
    private static int $lastAsked = 0;
    /** @var list<string> what came, by lines, the last of which is not whole yet, and how many of them were read. */
    private array $lines = [''];
    private int $at = 0;
    /** On the clock of hrtime(). */
    private int $deadline = 0;
    /** PHP's time-out for the next read or write; 0 before one was set. */
    private int $milliseconds = 0;

    /**
     * @param string $path of the daemon's socket, absolute: a relative one would depend on the folder that PHP happens to be in
     * @param float $timeout seconds for one question, from connecting to the end of its answer
     * @param bool $persistent whether the connection outlives this object; for processes that serve one request at a time
     */
    public function __construct(private string $path, private float $timeout = 2.0, private bool $persistent = false)
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
        if (!$this->persistent) {
            $this->close();
        }
    }

    public function close(): void
    {
        if (is_resource($this->stream)) {
            fclose($this->stream);
        }
        $this->stream = null;
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
        $reply = $this->exchange([$command, $token, ...$arguments]);
        if (!self::isMap($reply) || !is_int($reply['accepted'] ?? null)) {
            throw $this->giveUp("the reply to $command is none about a token");
        }
        if ($reply['accepted'] === 1 && isset(self::KEEPS_SID[$command])) {
            $sid = $reply['sid'] ?? '';
            // For speed first as nearly all tokens are written.
            if ((strlen($token) !== 128 || substr($token, 0, 32) !== $sid) && self::sidOf($token) !== $sid) {
                throw $this->giveUp("the reply to $command is about another session");
            }
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
        return $this->exchange($words);
    }

    /**
     * A command about something else whose reply is a map.
     *
     * @internal
     * @return array<string, mixed>
     */
    public function map(string $command, string ...$arguments): array
    {
        $reply = $this->exchange([$command, ...$arguments]);
        return self::isMap($reply) ? $reply : throw $this->giveUp("the reply to $command is none");
    }

    /**
     * A command whose reply is a list of sessions.
     *
     * @internal
     * @return list<array<string, mixed>>
     */
    public function sessions(string $command, string ...$arguments): array
    {
        $reply = $this->exchange([$command, ...$arguments]);
        foreach (is_array($reply) ? $reply : [null] as $one) {
            if (!is_string($one['sid'] ?? null) || !is_array($one['data'] ?? [])) {
                throw $this->giveUp("the reply to $command is no list of sessions");
            }
        }
        return $reply;
    }

    /** The `sid` that stands in a token: of a session its first 16 bytes, of a guest the claim `jti`. Null if it is no token. */
    public static function sidOf(string $token): ?string
    {
        if (strlen($token) === 128 && strspn($token, '0123456789abcdefABCDEF') === 128) {
            return strtolower(substr($token, 0, 32));
        }
        if (preg_match('/\A0x([0-9a-f]{32})[0-9a-f]{96}\z/i', $token, $found) === 1) {
            return strtolower($found[1]);
        }
        if (preg_match('/\A[A-Za-z0-9_-]{86}\z/', $token) === 1) {
            return bin2hex(substr((string) base64_decode(strtr($token, '-_', '+/')), 0, 16));
        }
        $parts = explode('.', $token);
        $claims = count($parts) === 3 ? json_decode((string) base64_decode(strtr($parts[1], '-_', '+/')), true) : null;
        return is_array($claims) && is_string($claims['jti'] ?? null) ? $claims['jti'] : null;
    }

    /** Whether a reply is a map with a status, and its data, where it has some, are texts. */
    private static function isMap(mixed $reply): bool
    {
        if (!is_array($reply) || !is_string($reply['status'] ?? null) || !is_array($data = $reply['data'] ?? [])) {
            return false;
        }
        foreach ($data as $value) {
            if (!is_string($value)) {
                return false;
            }
        }
        return true;
    }

    /** @param array<string> $words */
    private function exchange(array $words): mixed
    {
        if ($this->isAsking) {
            // That question's reply is not this one's, and is left to it.
            return (new self($this->path, $this->timeout))->exchange($words);
        }
        try {
            $this->isAsking = true;
            $reply = $this->question($words);
            $this->isAsking = false;
            return $reply;
        } finally {
            // Whatever ended it too early, an exception of a signal's handler, too: no late reply answers the next one.
            if ($this->isAsking) {
                $this->close();
                $this->isAsking = false;
            }
        }
    }

    /** @param array<string> $words */
    private function question(array $words): mixed
    {
        $request = '*' . count($words) . "\r\n";
        foreach ($words as $word) {
            $request .= '$' . strlen($word) . "\r\n$word\r\n";
        }
        $this->deadline = hrtime(true) + (int) ($this->timeout * 1e9);
        if (!$this->isUsable()) {
            $this->connect();
            // In the same write as the question: it costs no round trip.
            if (ftell($this->stream) === 0) {
                $this->send("*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n" . $request);
                $this->readReply(0);
            } else {
                $word = "$16\r\n" . bin2hex(random_bytes(8)) . "\r\n";
                $this->send("*2\r\n$4\r\nECHO\r\n" . $word . $request);
                $this->skipBehind($word);
            }
        } else {
            $this->send($request);
            // Nothing is left of the reply before.
            $this->lines = explode("\r\n", $this->readBytes());
        }
        $reply = $this->readReply(0);
        if (isset($this->lines[$this->at + 1]) || $this->lines[$this->at] !== '') {
            throw $this->giveUp('the daemon sent more than was asked');
        }
        $this->lines = [''];
        $this->at = 0;
        return $reply;
    }

    /** Whether a connection stands that may be asked. One that has something to say unasked is at its end, or out of step. */
    private function isUsable(): bool
    {
        if (!is_resource($this->stream)) {
            return false;
        }
        $isOurs = $this->owner === getmypid();
        // Another object may have closed a persistent one, or left it in the middle of a question.
        if ($isOurs && $this->persistent && self::$lastAsked !== spl_object_id($this)) {
            return false;
        }
        $read = [$this->stream];
        $none = null;
        if ($isOurs && @stream_select($read, $none, $none, 0) === 0) {
            return true;
        }
        $this->close();
        return false;
    }

    private function connect(): void
    {
        $flags = STREAM_CLIENT_CONNECT | ($this->persistent ? STREAM_CLIENT_PERSISTENT : 0);
        $stream = @stream_socket_client("unix://$this->path", $number, $why, $this->timeout, $flags);
        if ($stream === false) {
            throw $this->giveUp("cannot connect to $this->path: $why");
        }
        stream_set_read_buffer($stream, 0);
        stream_set_write_buffer($stream, 0);
        $this->stream = $stream;
        $this->owner = (int) getmypid();
        $this->milliseconds = 0;
        self::$lastAsked = $this->persistent ? spl_object_id($this) : self::$lastAsked;
        $this->lines = [''];
        $this->at = 0;
    }

    private function send(string $bytes): void
    {
        $this->limitWaiting();
        while (($written = @fwrite($this->stream, $bytes)) !== strlen($bytes)) {
            if ($written === false || $written === 0) {
                throw $this->giveUp('the daemon took no command');
            }
            $bytes = substr($bytes, $written);
        }
    }

    private function readReply(int $depth): mixed
    {
        if (!isset($this->lines[$this->at + 1])) {
            $this->readLine();
        }
        $line = $this->lines[$this->at++];
        $kind = $line[0] ?? '';
        // Numbers and lengths are believed only as they are written: no sign, no blank, no zero before them.
        $number = (int) substr($line, 1);
        if ($kind === '$' || $kind === '=') {
            if ($line !== "$kind$number" || $number < 0 || $number > self::MOST_BYTES) {
                return $line === '$-1' ? null : throw $this->giveUp('a length of a reply is none, or too long');
            }
            $text = isset($this->lines[$this->at + 1]) && strlen($this->lines[$this->at]) === $number
                ? $this->lines[$this->at++] : $this->readText($number);
            // Text for people begins with its form, as `txt:`.
            return $kind === '$' ? $text : substr($text, 4);
        }
        if ($kind === ':') {
            return $line === ":$number" ? $number : throw $this->giveUp('a number of a reply is none');
        }
        if ($kind === '%' || $kind === '*') {
            if ($line !== "$kind$number" || $number < 0 || $number > self::MOST_ELEMENTS) {
                return $line === '*-1' ? null : throw $this->giveUp('a length of a reply is none, or too long');
            }
            if ($depth === self::MOST_DEPTH) {
                throw $this->giveUp('a reply is nested too deep');
            }
            return $kind === '%' ? $this->readMap($number, $depth + 1) : $this->readList($number, $depth + 1);
        }
        if ($kind === '-') {
            $this->close();
            $text = substr($line, 1);
            throw str_starts_with($text, 'ERR ') && !str_starts_with($text, 'ERR Protocol error')
                ? new InvalidCommand(substr($text, 4)) : new Unavailable($text);
        }
        return match ($kind) {
            '+' => substr($line, 1),
            '_' => null,
            default => throw $this->giveUp('the reply is no RESP'),
        };
    }

    /** @return list<mixed> */
    private function readList(int $count, int $depth): array
    {
        $elements = [];
        while ($count-- > 0) {
            $elements[] = $this->readReply($depth);
        }
        return $elements;
    }

    /** @return array<string, mixed> */
    private function readMap(int $count, int $depth): array
    {
        $map = [];
        [$lines, $at] = [$this->lines, $this->at];
        while ($count-- > 0) {
            // For speed: a field and its value that are there as a whole. A line of that length is the text: its end follows.
            if (isset($lines[$at + 4]) && $lines[$at] === '$' . strlen($name = $lines[$at + 1])) {
                $line = $lines[$at + 2];
                $kind = $line[0] ?? '';
                if ($kind === '$') {
                    $text = $lines[$at + 3];
                    if ($line === '$' . strlen($text)) {
                        $map[$name] = $text;
                        $at += 4;
                        continue;
                    }
                } elseif ($kind === ':') {
                    $number = (int) substr($line, 1);
                    if ($line === ":$number") {
                        $map[$name] = $number;
                        $at += 3;
                        continue;
                    }
                } elseif ($kind === '%') {
                    $this->at = $at + 2;
                    $map[$name] = $this->readReply($depth);
                    [$lines, $at] = [$this->lines, $this->at];
                    continue;
                }
            }
            $this->at = $at;
            $field = $this->readReply($depth);
            if (!is_string($field)) {
                throw $this->giveUp('a field of a reply has no name');
            }
            $map[$field] = $this->readReply($depth);
            [$lines, $at] = [$this->lines, $this->at];
        }
        $this->at = $at;
        return $map;
    }

    /** Waits until the next line is whole. */
    private function readLine(): void
    {
        do {
            // The end of what came may be the half of a line's end, too.
            $open = array_pop($this->lines);
            if (strlen($open) > self::READ_BYTES) {
                throw $this->giveUp('a line of a reply is too long');
            }
            $new = explode("\r\n", $open . $this->readBytes());
            if ($this->at === count($this->lines)) {
                // All before was read.
                [$this->lines, $this->at] = [$new, 0];
            } else {
                array_push($this->lines, ...$new);
            }
        } while (!isset($this->lines[$this->at + 1]));
    }

    /** A text that has line ends in it, or has not come yet. */
    private function readText(int $length): string
    {
        $bytes = implode("\r\n", array_slice($this->lines, $this->at));
        while (strlen($bytes) < $length + 2) {
            $bytes .= $this->readBytes();
        }
        if (substr($bytes, $length, 2) !== "\r\n") {
            throw $this->giveUp('a text of a reply has another length than it says');
        }
        $this->lines = explode("\r\n", substr($bytes, $length + 2));
        $this->at = 0;
        return substr($bytes, 0, $length);
    }

    private function skipBehind(string $word): void
    {
        $bytes = '';
        while (($at = strpos($bytes, $word)) === false) {
            if (strlen($bytes) > self::MOST_BYTES) {
                throw $this->giveUp('the daemon does not echo');
            }
            $bytes .= $this->readBytes();
        }
        $this->lines = explode("\r\n", substr($bytes, $at + strlen($word)));
    }

    private function readBytes(): string
    {
        $this->limitWaiting();
        $bytes = @fread($this->stream, self::READ_BYTES);
        if ($bytes === false || $bytes === '') {
            throw $this->giveUp(feof($this->stream) ? 'the daemon closed the connection' : 'the daemon did not answer in time');
        }
        return $bytes;
    }

    /** PHP's time-out is one for each read or write; ours is one for all of them. */
    private function limitWaiting(): void
    {
        $left = $this->deadline - hrtime(true);
        if ($left <= 0) {
            throw $this->giveUp('the daemon did not answer in time');
        }
        if (!is_resource($this->stream)) {
            throw $this->giveUp('the connection was closed in the middle of a question');
        }
        $milliseconds = (int) ($left / 1_000_000) + 1;
        if ($milliseconds !== $this->milliseconds) {
            stream_set_timeout($this->stream, intdiv($milliseconds, 1000), $milliseconds % 1000 * 1000);
            $this->milliseconds = $milliseconds;
        }
    }

    private function giveUp(string $why): Unavailable
    {
        $this->close();
        return new Unavailable($why);
    }
}
