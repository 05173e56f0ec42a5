<?php
declare(strict_types=1);

namespace TokenCache\Tests;

use Nyholm\Psr7\Factory\Psr17Factory;
use Nyholm\Psr7\Response;
use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\ServerRequestInterface;
use Psr\Http\Server\RequestHandlerInterface;
use TokenCache\Middleware;
use TokenCache\Session;
use TokenCache\Settings;

/** PSR-15: what goes out, whatever the site does, and whatever the daemon says. */
final class MiddlewareTest extends TestCase
{
    /** @param callable(Session): ResponseInterface $site */
    private static function respond(callable $site, ServerRequestInterface $request, ?string $socket = null): ResponseInterface
    {
        $handler = new class ($site) implements RequestHandlerInterface {
            /** @param callable(Session): ResponseInterface $site */
            public function __construct(private $site)
            {
            }

            public function handle(ServerRequestInterface $request): ResponseInterface
            {
                return ($this->site)($request->getAttribute(Session::class));
            }
        };
        $settings = new Settings($socket ?? self::daemon()->socket());
        return (new Middleware(new Psr17Factory(), $settings))->process($request, $handler);
    }

    public function testTheCookieIsSetOnceBesideTheSitesOwn(): void
    {
        $response = self::respond(static function (Session $session): ResponseInterface {
            $session->set(['cart' => 'pen']);
            $session->login('ann', form: false);
            return new Response(200, ['Set-Cookie' => 'theme=dark', 'Cache-Control' => 'public, max-age=60']);
        }, self::request());
        $this->assertCount(2, $response->getHeader('Set-Cookie'));
        $this->assertSame('theme=dark', $response->getHeader('Set-Cookie')[0]);
        $this->assertMatchesRegularExpression('/\A__Host-tc=[0-9a-f]{128};/', $response->getHeader('Set-Cookie')[1]);
        $this->assertSame('no-store', $response->getHeaderLine('Cache-Control'));
    }

    public function testACookieOfThisNameThatTheSiteWroteGivesWay(): void
    {
        $lines = ['__Host-tc=; Max-Age=0', 'theme=dark', ' __Host-tc=old; Path=/', '__Host-tcx=other'];
        $site = static fn (): ResponseInterface => new Response(200, ['Set-Cookie' => $lines]);
        $cookies = self::respond($site, self::request())->getHeader('Set-Cookie');
        $this->assertSame(['theme=dark', '__Host-tcx=other'], array_slice($cookies, 0, -1));
        $this->assertMatchesRegularExpression('/\A__Host-tc=eyJ/', end($cookies));
    }

    public function testWithoutANewTokenTheResponseIsTheSites(): void
    {
        $site = static fn (Session $session): ResponseInterface => new Response(200, ['Cache-Control' => 'max-age=60'], $session->user());
        $response = self::respond($site, self::request(self::loggedIn('ann')));
        $this->assertSame('ann', (string) $response->getBody());
        $this->assertFalse($response->hasHeader('Set-Cookie'));
        $this->assertSame('max-age=60', $response->getHeaderLine('Cache-Control'));
    }

    public function testNobodyKnowsIs503WithTheCookieAsItWas(): void
    {
        $site = fn () => $this->fail('the site was asked');
        foreach (['/nowhere/tokencached.sock', (new ScriptedDaemon([]))->socket()] as $socket) {
            $response = self::respond($site, self::request(self::loggedIn('ann')), $socket);
            $this->assertSame([503, '1'], [$response->getStatusCode(), $response->getHeaderLine('Retry-After')]);
            $this->assertFalse($response->hasHeader('Set-Cookie'));
            $this->assertSame('no-store', $response->getHeaderLine('Cache-Control'));
        }
    }

    public function testA503HasTheTokenThatCameBeforeTheFault(): void
    {
        $new = str_repeat('b', 32) . str_repeat('d', 96);
        $daemon = new ScriptedDaemon([ScriptedDaemon::visit(['status' => 'rotated', 'sessiontoken' => $new]),
            "-UNAVAILABLE Redis did not answer in time\r\n"]);
        $site = fn (Session $session) => $session->login('ann', form: false) ?? $this->fail('nobody knows');
        $response = self::respond($site, self::request(str_repeat('b', 128)), $daemon->socket());
        $this->assertSame(503, $response->getStatusCode());
        $this->assertSame("__Host-tc=$new; Path=/; Secure; HttpOnly; SameSite=Lax", $response->getHeaderLine('Set-Cookie'));
        // The login was called with the newest token.
        $this->assertSame(['TOKEN.LOGIN', $new, 'ann'], array_slice($daemon->asked()[1], 0, 3));
    }

    public function testAReplyAboutSomebodyElseIs503(): void
    {
        $daemon = new ScriptedDaemon([ScriptedDaemon::visit(['sid' => str_repeat('a', 32), 'subject' => 'bob'])]);
        $response = self::respond(fn () => $this->fail('the site was asked'), self::request(str_repeat('b', 128)), $daemon->socket());
        $this->assertSame(503, $response->getStatusCode());
    }

    public function testAnOldTokensPageIsAskedForOnceMore(): void
    {
        $guest = self::session();
        self::session(self::tokenOf($guest))->login('ann', form: false);
        $request = self::request(self::tokenOf($guest), null, ['Sec-Fetch-Mode' => 'navigate'], 'https://example.org/a?q=x');
        $response = self::respond(fn () => $this->fail('the site was asked'), $request);
        $this->assertSame([303, '?q=x&again=1'], [$response->getStatusCode(), $response->getHeaderLine('Location')]);
        $this->assertFalse($response->hasHeader('Set-Cookie'));
    }

    public function testASessionThatEndsMeanwhileSaysTryAgain(): void
    {
        $site = static function (Session $session): ResponseInterface {
            self::session(self::$token)->logout();
            $session->set(['a' => '1']);
            return new Response(200);
        };
        foreach ([[null, 303], [[], 409]] as [$form, $status]) {
            self::$token = self::loggedIn('ann');
            $this->assertSame($status, self::respond($site, self::request(self::$token, $form))->getStatusCode());
        }
    }

    private static string $token = '';

    public function testFaultsOfTheSiteAreTheSites(): void
    {
        $this->expectExceptionMessage('mine');
        self::respond(static fn () => throw new \RuntimeException('mine'), self::request());
    }

    public function testWhatTheBrowserSaysIsHandedOn(): void
    {
        $daemon = new ScriptedDaemon([ScriptedDaemon::visit(['check' => 'passed'])]);
        $request = self::request(str_repeat('b', 128), ['csrf' => 'x'], ['Sec-Fetch-Site' => 'same-origin', 'Sec-Fetch-Mode' => 'cors']);
        self::respond(static fn () => new Response(200), $request, $daemon->socket());
        $this->assertSame([['TOKEN.VISIT', str_repeat('b', 128), 'CHECK', 'x', 'site', 'POST', 'FETCH-SITE', 'same-origin',
            'FETCH-MODE', 'cors', 'CSRF', 'site', 'DATA']], $daemon->asked());
    }
}
