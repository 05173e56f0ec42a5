<?php
declare(strict_types=1);

namespace TokenCache\Tests;

use Nyholm\Psr7\ServerRequest;
use Psr\Http\Message\ServerRequestInterface;
use TokenCache\Client;
use TokenCache\Request;
use TokenCache\Session;
use TokenCache\Settings;

abstract class TestCase extends \PHPUnit\Framework\TestCase
{
    private static ?Daemon $daemon = null;

    /** One for all tests of a class. */
    protected static function daemon(): Daemon
    {
        return self::$daemon ??= new Daemon();
    }

    public static function tearDownAfterClass(): void
    {
        self::$daemon = null;
    }

    /**
     * @param array<string, string> $headers
     * @param array<string, string>|null $form null: GET
     */
    protected static function request(
        string $token = '',
        ?array $form = null,
        array $headers = [],
        string $target = 'https://example.org/',
        string $cookie = '__Host-tc',
    ): ServerRequestInterface {
        return (new ServerRequest($form === null ? 'GET' : 'POST', $target, $headers, null, '1.1', ['REMOTE_ADDR' => '192.0.2.1']))
            ->withCookieParams($token === '' ? [] : [$cookie => $token])->withParsedBody($form);
    }

    /**
     * @param array<string, string> $headers
     * @param array<string, string>|null $form
     */
    protected static function session(
        string $token = '',
        ?array $form = null,
        array $headers = [],
        ?Settings $settings = null,
    ): Session {
        $settings ??= new Settings(self::daemon()->socket());
        return new Session(new Client($settings->socket), $settings, Request::fromPsr(self::request($token, $form, $headers), $settings));
    }

    /** The token that the response would set. */
    protected static function tokenOf(Session $session): string
    {
        preg_match('/\A__Host-tc=([^;]+);/', $session->headers()['Set-Cookie'] ?? '', $found);
        return $found[1] ?? '';
    }

    /** A session of this user, its token. */
    protected static function loggedIn(string $user): string
    {
        $session = self::session();
        $session->login($user, form: false);
        return self::tokenOf($session);
    }
}
