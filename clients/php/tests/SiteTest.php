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
}
