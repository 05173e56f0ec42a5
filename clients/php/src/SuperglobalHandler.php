<?php
declare(strict_types=1);

namespace TokenCache;

/**
 * `$_SESSION`: each of its top-level keys is a field of the session, and only those that changed are written, so no request loses
 * what another stored. A text is stored as it is, everything else as serialize() writes it, behind a mark.
 *
 * Only objects of classes that Settings names are made: a text that begins like the mark may be a visitor's, stored by other means.
 *
 * Requests of one visitor do not wait for each other. session_regenerate_id() gives the visitor a new token, session_destroy() is
 * a logout. session_id() is the `sid`, which is no secret.
 *
 * @internal used by Session::start
 */
final class SuperglobalHandler implements
    \SessionHandlerInterface,
    \SessionIdInterface,
    \SessionUpdateTimestampHandlerInterface
{
    /** Begins a value that is no text. */
    private const MARK = "\0php:";

    /** @var array<string, string> the fields as they are stored, as far as this request knows */
    private array $stored = [];
    private bool $wasRead = false;
    private bool $isRegenerated = false;

    /** @param list<class-string> $classes */
    private function __construct(private Session $session, private array $classes)
    {
    }

    /** @param list<class-string> $classes whose objects may be in it */
    public static function start(Session $session, array $classes): void
    {
        session_set_save_handler(new self($session, $classes), false);
        session_id($session->sid());
        session_start([
            // The cookie and the headers beside it are the session's own, and so is the id: none comes from outside.
            'use_cookies' => '0', 'use_only_cookies' => '1', 'use_trans_sid' => '0', 'cache_limiter' => '',
            'use_strict_mode' => '0', 'serialize_handler' => 'php', 'lazy_write' => '0', 'gc_probability' => '0',
        ]);
    }

    public function open(string $path, string $name): bool
    {
        return true;
    }

    public function close(): bool
    {
        return true;
    }

    public function read(string $id): string
    {
        if ($this->isRegenerated) {
            // PHP goes on with `$_SESSION` as it is, and so does what is known of it.
            $this->isRegenerated = false;
            return '';
        }
        if ($this->wasRead) {
            $this->session->forget();
        }
        $this->wasRead = true;
        // Not handed to PHP, which would make objects of every class.
        $_SESSION = $this->stored = [];
        foreach ($this->session->all() as $field => $text) {
            $isText = !str_starts_with($text, self::MARK);
            $value = $isText ? $text : unserialize(substr($text, strlen(self::MARK)), ['allowed_classes' => $this->classes]);
            // What cannot be read stays as it is, and out of sight.
            if ($isText || self::classesIn($value, $this->classes) === []) {
                $_SESSION[$field] = $value;
                $this->stored[$field] = $text;
            }
        }
        return '';
    }

    public function write(string $id, string $data): bool
    {
        if ($this->session->isEnded() || !isset($_SESSION)) {
            return true;
        }
        $fields = array_map($this->encode(...), $_SESSION);
        $removed = array_fill_keys(array_keys(array_diff_key($this->stored, $fields)), '');
        // A login as somebody else made another session: what the one before held did not change, and stays there.
        $this->session->set(array_diff_assoc($fields, $this->stored) + $removed);
        $this->stored = $fields;
        return true;
    }

    /** Of `lazy_write`, which is off: write knows by itself what changed. */
    public function updateTimestamp(string $id, string $data): bool
    {
        return true;
    }

    /** By session_destroy(): a logout. By session_regenerate_id(true): nothing, create_sid comes next. */
    public function destroy(string $id): bool
    {
        $caller = debug_backtrace(DEBUG_BACKTRACE_IGNORE_ARGS, 2)[1]['function'] ?? '';
        if ($caller !== 'session_regenerate_id') {
            $this->session->logout();
        }
        return true;
    }

    public function validateId(string $id): bool
    {
        return $id === $this->session->sid();
    }

    /** By session_regenerate_id(): the session stays, its token is replaced at once. */
    public function create_sid(): string
    {
        $this->session->rotate();
        $this->isRegenerated = true;
        return $this->session->sid();
    }

    /** Redis expires each session by itself. */
    public function gc(int $max_lifetime): int|false
    {
        return 0;
    }

    private function encode(mixed $value): string
    {
        if (is_string($value) && $value !== '' && !str_starts_with($value, self::MARK)) {
            return $value;
        }
        foreach (self::classesIn($value, $this->classes) as $class) {
            throw new \InvalidArgumentException("\$_SESSION holds a $class: name it in the classes of Settings");
        }
        return self::MARK . serialize($value);
    }

    /**
     * The classes of the objects in it, without those that are known.
     *
     * @param list<class-string> $known
     * @return list<class-string>
     */
    private static function classesIn(mixed $value, array $known): array
    {
        $classes = [];
        $values = [$value];
        array_walk_recursive($values, static function (mixed $one) use (&$classes): void {
            if (is_object($one)) {
                $classes[] = $one::class;
            }
        });
        return array_values(array_diff($classes, $known));
    }
}
