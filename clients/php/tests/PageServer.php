<?php
declare(strict_types=1);

namespace TokenCache\Tests;

/** PHP's own web server with the pages of tests/pages, or another folder; it serves one request at a time. */
final class PageServer extends Program
{
    private int $port;

    public function __construct(string $socket, string $pages = __DIR__ . '/pages')
    {
        parent::__construct();
        $probe = stream_socket_server('tcp://127.0.0.1:0');
        $this->port = (int) substr(strrchr((string) stream_socket_get_name($probe, false), ':'), 1);
        fclose($probe);
        // Its errors do not stand in pages, as on a site.
        $this->start([PHP_BINARY, '-d', 'display_errors=0', '-d', 'error_log=' . "$this->folder/errors", '-S',
            "127.0.0.1:$this->port", '-t', $pages], fn (): bool => self::answers("tcp://127.0.0.1:$this->port"),
            ['TOKENCACHED_SOCKET' => $socket]);
    }

    public function browser(): Browser
    {
        return new Browser($this->port);
    }

    public function errors(): string
    {
        return (string) @file_get_contents("$this->folder/errors");
    }
}

/** A cookie jar, and what is sent with it. */
final class Browser
{
    /** @var array<string, string> */
    public array $jar = [];
    public int $status = 0;
    /** @var list<string> the response's headers */
    public array $headers = [];
    public string $body = '';

    public function __construct(private int $port)
    {
    }

    /**
     * A page, as a browser asks for it.
     *
     * @param array<string, string>|null $form null: GET
     */
    public function go(string $address, ?array $form = null): string
    {
        return $this->finish($this->begin($address, $form, ['Sec-Fetch-Site: same-origin', 'Sec-Fetch-Mode: navigate']));
    }

    /**
     * Sends a request; its answer is read by finish.
     *
     * @param array<string, string>|null $form
     * @param list<string> $headers
     * @return resource
     */
    public function begin(string $address, ?array $form = null, array $headers = [])
    {
        $body = http_build_query($form ?? []);
        $cookies = implode('; ', array_map(static fn ($name, $value) => "$name=$value", array_keys($this->jar), $this->jar));
        $lines = [($form === null ? 'GET' : 'POST') . " $address HTTP/1.0", "Host: localhost:$this->port", "Cookie: $cookies",
            'Content-Type: application/x-www-form-urlencoded', 'Content-Length: ' . strlen($body), ...$headers];
        $stream = stream_socket_client("tcp://127.0.0.1:$this->port");
        fwrite($stream, implode("\r\n", $lines) . "\r\n\r\n$body");
        return $stream;
    }

    /** @param resource $stream */
    public function finish($stream): string
    {
        [$head, $this->body] = explode("\r\n\r\n", (string) stream_get_contents($stream), 2) + ['', ''];
        $this->headers = explode("\r\n", $head);
        $this->status = (int) (explode(' ', $this->headers[0])[1] ?? 0);
        foreach ($this->all('Set-Cookie') as $cookie) {
            preg_match('/\A([^=]*)=([^;]*)/', $cookie, $found);
            if ($found[2] === '') {
                unset($this->jar[$found[1]]);
            } else {
                $this->jar[$found[1]] = $found[2];
            }
        }
        return $this->body;
    }

    /** @return list<string> */
    public function all(string $name): array
    {
        $lines = array_filter($this->headers, static fn (string $line): bool => stripos($line, "$name:") === 0);
        return array_values(array_map(static fn (string $line): string => trim(substr($line, strlen($name) + 1)), $lines));
    }
}
