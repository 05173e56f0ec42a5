<?php
declare(strict_types=1);

namespace TokenCache;

/**
 * `$_SESSION`: each of its top-level keys is a field of the session, and only those that changed are written, so no request loses
 * what another stored. A text is stored as it is, everything else as serialize() writes it, behind a mark.
 *
 * Only objects of classes that Settings names are made: a text that begins like the mark may be a visitor's, stored by other means.
 * What cannot be read is said in PHP's error log, and stays stored as it is until the site sets that key.
 *
 * Requests of one visitor do not wait for each other. session_regenerate_id() gives the visitor a new token, session_destroy() is
 * a logout, and session_start() after it begins as a new guest. session_id() is the `sid`, which is no secret.
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
    /** A piece of what serialize() writes: the class of an object, and how many bytes behind it are of any kind. */
    private const PIECE = '/\G(?|N;|[bidrR]:[^;]*;|a:\d+:\{|\}|";|s:()(\d+):"|O:\d+:"([^"]*)()":\d+:\{|E:\d+:"([^":]*)():[^"]*";'
        . '|C:\d+:"([^"]*)":(\d+):\{)/';

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
        if ($this->session->isEnded()) {
            $this->session->beginAnew();
        }
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
            try {
                $_SESSION[$field] = $this->decode($text);
                $this->stored[$field] = $text;
            } catch (\Throwable $error) {
                // It stays as it is, and out of sight. Its name may be a visitor's, and the class that stands in it.
                error_log('tokencached: $_SESSION has no ' . addcslashes(
                    substr((string) $field, 0, 200) . ', which cannot be read: ' . substr($error->getMessage(), 0, 200),
                    "\0..\37\177..\377"
                ));
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
        if (!self::isRegenerating()) {
            $this->session->logout();
        }
        return true;
    }

    public function validateId(string $id): bool
    {
        return $id === $this->session->sid();
    }

    /** By session_regenerate_id(): the session stays, its token is replaced at once. By session_start(): it is what it is. */
    public function create_sid(): string
    {
        if (self::isRegenerating()) {
            $this->session->rotate();
            $this->isRegenerated = true;
        }
        return $this->session->sid();
    }

    /** Redis expires each session by itself. */
    public function gc(int $max_lifetime): int|false
    {
        return 0;
    }

    private static function isRegenerating(): bool
    {
        return (debug_backtrace(DEBUG_BACKTRACE_IGNORE_ARGS, 3)[2]['function'] ?? '') === 'session_regenerate_id';
    }

    private function encode(mixed $value): string
    {
        if (is_string($value) && $value !== '' && !str_starts_with($value, self::MARK)) {
            return $value;
        }
        $text = serialize($value);
        foreach (array_diff(self::classesIn($text), $this->classes) as $class) {
            throw new \InvalidArgumentException("\$_SESSION holds a $class: name it in the classes of Settings");
        }
        return self::MARK . $text;
    }

    private function decode(string $text): mixed
    {
        if (!str_starts_with($text, self::MARK)) {
            return $text;
        }
        $text = substr($text, strlen(self::MARK));
        foreach (self::classesIn($text) as $class) {
            if (!in_array($class, $this->classes, true) || !class_exists($class)) {
                throw new \UnexpectedValueException("it holds a $class: "
                    . (in_array($class, $this->classes, true) ? 'there is no such class' : 'name it in the classes of Settings'));
            }
        }
        $value = @unserialize($text, ['allowed_classes' => $this->classes]);
        return $value !== false || $text === serialize(false) ? $value
            : throw new \UnexpectedValueException('serialize() has not written it');
    }

    /**
     * The classes of all objects in what serialize() wrote, of those that stand in other objects, too.
     *
     * @return list<string>
     */
    private static function classesIn(string $text): array
    {
        if (preg_match('/[OCE]:[0-9]/', $text) !== 1) {
            return [];
        }
        $classes = [];
        for ($at = 0; $at < strlen($text);) {
            if (preg_match(self::PIECE, $text, $found, 0, $at) !== 1) {
                throw new \UnexpectedValueException('serialize() has not written it');
            }
            // Texts are passed over: what is in them is a visitor's.
            $at += strlen($found[0]) + (int) ($found[2] ?? 0);
            if (($found[1] ?? '') !== '') {
                $classes[] = $found[1];
            }
        }
        return array_values(array_unique($classes));
    }
}
