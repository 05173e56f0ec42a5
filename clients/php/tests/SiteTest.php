<?php
declare(strict_types=1);

namespace TokenCache\Tests;

require_once __DIR__ . '/../site/Site.php';

/** What the conformance of all languages does not see of the small site: its browsers hold the cookie back from other sites. */
final class SiteTest extends TestCase
{
    public function testAnotherSitesPageCountsNothingEvenWithTheCookie(): void
    {
        $token = self::loggedIn('ann');
        $count = static function (string $token, string $site): array {
            $session = self::session($token, [], ['Sec-Fetch-Site' => $site, 'Sec-Fetch-Mode' => 'cors']);
            [$status, , $body] = (new \Site($session, false, false))->respond('POST', '/api/count', [], []);
            return [$status, json_decode($body, true)['count'] ?? null];
        };
        $this->assertSame([200, 1], $count($token, 'same-origin'));
        $this->assertSame([403, null], $count($token, 'cross-site'));
        $this->assertSame([403, null], $count($token, 'same-site'));
        $this->assertSame([200, 2], $count($token, 'same-origin'));
        $this->assertSame([401, null], $count('', 'same-origin'));
    }

    public function testItIsServedFromWhereThePackageStands(): void
    {
        $probe = stream_socket_server('tcp://127.0.0.1:0');
        $port = substr(strrchr((string) stream_socket_get_name($probe, false), ':'), 1);
        fclose($probe);
        $site = new Program();
        $site->start([__DIR__ . '/../site/run', '--socket', self::daemon()->socket(), '--port', $port],
            static fn (): bool => Program::answers("tcp://127.0.0.1:$port"));
        $browser = new Browser((int) $port);
        $this->assertStringContainsString('<p>guest</p>', $browser->go('/'), $site->log());
        preg_match('/name="csrf" value="([^"]*)"/', $browser->go('/login'), $found);
        $browser->go('/login', ['csrf' => $found[1], 'user' => 'ann']);
        $this->assertStringContainsString('<p>user: ann</p>', $browser->go('/'), $site->log());
    }
}
