<?php
declare(strict_types=1);

namespace TokenCache\Tests;

/** A real daemon on its embedded Redis. PROGRAMS is the folder of tokencached. */
final class Daemon extends Program
{
    /** @param array<string, string> $settings as its --set takes them */
    public function __construct(private array $settings = [])
    {
        parent::__construct();
        $this->run();
    }

    public function run(): void
    {
        $program = (getenv('PROGRAMS') ?: dirname(__DIR__, 3) . '/.build/release') . '/tokencached';
        $sets = [];
        // The machine that tests run on may be busy.
        foreach ($this->settings + ['redis.timeout' => '1500ms'] as $key => $value) {
            array_push($sets, '--set', "$key=$value");
        }
        $this->start([$program, '--socket', $this->socket(), '--state-dir', "$this->folder/state", ...$sets],
            fn (): bool => self::answers("unix://{$this->socket()}"));
    }

    public function socket(): string
    {
        return "$this->folder/tokencached.sock";
    }
}
