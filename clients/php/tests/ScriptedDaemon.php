<?php
declare(strict_types=1);

namespace TokenCache\Tests;

/** A daemon that gives the replies that are written here, one to each command, whatever it is: for faults that no real one has. */
final class ScriptedDaemon extends Program
{
    /**
     * @param list<string|array{string, float}> $replies bytes, or bytes and the seconds to wait before them; after the last it is
     *     silent. An empty one closes the connection.
     * @param int $step so many bytes are written at a time, with this pause in seconds between them
     */
    public function __construct(array $replies, int $step = PHP_INT_MAX, float $pause = 0.0)
    {
        parent::__construct();
        file_put_contents("$this->folder/replies", serialize([$replies, $step, $pause]));
        $this->start([PHP_BINARY, __DIR__ . '/scripted-daemon.php', $this->folder],
            fn (): bool => file_exists("$this->folder/ready"));
    }

    public function socket(): string
    {
        return "$this->folder/tokencached.sock";
    }

    /** @return list<list<string>> the commands that it was asked, without HELLO */
    public function asked(): array
    {
        return array_map(unserialize(...), array_map(base64_decode(...), file("$this->folder/asked") ?: []));
    }

    /** @param array<string, string|int|array<string, string>> $fields */
    public static function map(array $fields): string
    {
        $text = '%' . count($fields) . "\r\n";
        foreach ($fields as $field => $value) {
            $text .= '$' . strlen($field) . "\r\n$field\r\n" . match (true) {
                is_array($value) => self::map($value),
                is_int($value) => ":$value\r\n",
                default => '$' . strlen($value) . "\r\n$value\r\n",
            };
        }
        return $text;
    }

    /**
     * VISIT's reply.
     *
     * @param array<string, string|int|array<string, string>> $fields
     */
    public static function visit(array $fields): string
    {
        return self::map($fields + ['status' => 'valid', 'accepted' => 1, 'kind' => 'session', 'sid' => str_repeat('b', 32),
            'subject' => '', 'auth_time' => 0, 'csrf' => 'c', 'data' => []]);
    }
}
