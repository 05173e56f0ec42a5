<?php
declare(strict_types=1);

namespace TokenCache\Tests;

/** A program that runs beside the tests, in a folder of its own, and ends with them. */
class Program
{
    private const START_SECONDS = 20;

    public readonly string $folder;
    /** @var resource|null */
    private $process = null;

    public function __construct()
    {
        $this->folder = sys_get_temp_dir() . '/tokencached-php-' . bin2hex(random_bytes(6));
        mkdir($this->folder, 0700);
    }

    public function __destruct()
    {
        $this->remove();
    }

    private function remove(): void
    {
        $this->stop();
        exec('rm -rf ' . escapeshellarg($this->folder));
    }

    /**
     * @param list<string> $command
     * @param array<string, string> $environment
     * @param callable(): bool $isReady
     */
    public function start(array $command, callable $isReady, array $environment = []): void
    {
        $log = ['file', "$this->folder/log", 'a'];
        // Should these tests be killed, it is told to end.
        $process = proc_open(['setpriv', '--pdeathsig', 'TERM', ...$command], [['file', '/dev/null', 'r'], $log, $log], $pipes,
            $this->folder, $environment + getenv());
        if ($process === false) {
            throw new \RuntimeException("$command[0] does not start");
        }
        $this->process = $process;
        $deadline = microtime(true) + self::START_SECONDS;
        while (!$isReady()) {
            if (!proc_get_status($process)['running'] || microtime(true) > $deadline) {
                $log = $this->log();
                // Of an object that was never whole nothing is destructed.
                $this->remove();
                throw new \RuntimeException("$command[0] did not start: $log");
            }
            usleep(10_000);
        }
    }

    public function stop(int $signal = SIGTERM): void
    {
        if ($this->process !== null) {
            proc_terminate($this->process, $signal);
            while (proc_get_status($this->process)['running']) {
                usleep(5000);
            }
            proc_close($this->process);
            $this->process = null;
        }
    }

    public function log(): string
    {
        return (string) file_get_contents("$this->folder/log");
    }

    public static function answers(string $address): bool
    {
        $stream = @stream_socket_client($address);
        return $stream !== false && fclose($stream);
    }
}
