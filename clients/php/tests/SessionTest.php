<?php
declare(strict_types=1);

namespace TokenCache\Tests;

use TokenCache\LoginRefused;
use TokenCache\NotAccepted;
use TokenCache\Session;
use TokenCache\Settings;

/** A session before a real daemon: the rules for the cookie, the newest token, and who is who. */
final class SessionTest extends TestCase
{
    public function testAGuestIsNobodyAndHasACookie(): void
    {
        $session = self::session();
        $this->assertNull($session->user());
        $this->assertNull($session->authTime());
        $this->assertMatchesRegularExpression(
            '/\A__Host-tc=eyJ[^;]+; Path=\/; Secure; HttpOnly; SameSite=Lax\z/',
            $session->headers()['Set-Cookie'],
        );
        $this->assertSame('no-store', $session->headers()['Cache-Control']);
    }

    public function testAGuestThatIsKnownIsStillNobodyAndKeepsTheCookie(): void
    {
        $first = self::session();
        $second = self::session(self::tokenOf($first));
        $this->assertSame('valid', $second->status());
        $this->assertSame($first->sid(), $second->sid());
        $this->assertNull($second->user());
        $this->assertSame([], $second->headers());
    }

    public function testTheFirstDataMakeASessionOfAGuestAndLoginKeepsThem(): void
    {
        $guest = self::session();
        $guest->set(['cart' => 'pen', 'theme' => 'dark']);
        $this->assertMatchesRegularExpression('/\A[0-9a-f]{128}\z/', self::tokenOf($guest));
        $session = self::session(self::tokenOf($guest));
        $this->assertSame(['cart' => 'pen', 'theme' => 'dark'], $session->all());
        $session->login('ann', data: ['browser' => 'Firefox'], form: false);
        $this->assertSame('ann', $session->user());
        $this->assertSame('pen', $session->get('cart'));
        $this->assertStringNotContainsString('Max-Age', $session->headers()['Set-Cookie']);
        $next = self::session(self::tokenOf($session));
        $this->assertSame('ann', $next->user());
        $this->assertSame(['cart' => 'pen', 'theme' => 'dark', 'browser' => 'Firefox'], $next->all());
        $this->assertEqualsWithDelta(time(), $next->authTime(), 5);
        // The token before is dead, and says nothing of ann.
        $old = self::session(self::tokenOf($guest));
        $this->assertNull($old->user());
        $this->assertTrue($old->isPageOnly());
        $this->assertSame([], $old->headers());
    }

    public function testRememberMeOutlivesTheBrowser(): void
    {
        $session = self::session();
        $session->login('ann', idle: '30d', absolute: '90d', form: false);
        $this->assertMatchesRegularExpression('/; Max-Age=77[67][0-9]{4};/', $session->headers()['Set-Cookie']);
    }

    public function testALoginThatIsClickedTwiceIsTheSameLogin(): void
    {
        $guest = self::session();
        [$token, $csrf] = [self::tokenOf($guest), $guest->csrf()];
        $tokens = [];
        for ($click = 0; $click < 2; $click++) {
            $session = self::session($token, ['csrf' => $csrf]);
            $this->assertTrue($session->formPassed(), "click $click: {$session->formCheck()}");
            $session->login('ann');
            $tokens[] = self::tokenOf($session);
        }
        $this->assertSame($tokens[0], $tokens[1]);
    }

    public function testOfTheSecondClickTheDataAreThoseOfTheSession(): void
    {
        $guest = self::session();
        $guest->set(['cart' => 'pen']);
        $token = self::tokenOf($guest);
        $first = self::session($token);
        $first->login('ann', form: false);
        $second = self::session($token);
        $this->assertSame([], $second->all());
        $second->login('ann', form: false);
        $this->assertSame(['cart' => 'pen'], $second->all());
    }

    public function testFormsPassOnlyForTheirOwnVisitor(): void
    {
        $ann = self::session(self::loggedIn('ann'));
        $token = self::loggedIn('bob');
        $bob = self::session($token);
        $this->assertSame('', $bob->formCheck());
        foreach (['' => 'failed', 'forged' => 'failed', $ann->csrf() => 'failed', $bob->csrf() => 'passed'] as $csrf => $check) {
            $posted = self::session($token, ['csrf' => (string) $csrf]);
            $this->assertSame($check, $posted->formCheck());
            $this->assertSame($check === 'passed', $posted->formPassed());
        }
        $this->assertSame('failed', self::session($token)->formCheck() ?: self::session($token, [])->formCheck());
        // For scripts there is a header; what another site sends fails.
        $this->assertTrue(self::session($token, [], ['X-CSRF-Token' => $bob->csrf()])->formPassed());
        $this->assertFalse(self::session($token, ['csrf' => $bob->csrf()], ['Sec-Fetch-Site' => 'cross-site'])->formPassed());
    }

    public function testFormsFromBeforeALoginAreOutdated(): void
    {
        $session = self::session(self::loggedIn('ann'));
        $csrf = $session->csrf();
        $session->login('ann', form: false);
        $this->assertNotSame($csrf, $session->csrf());
        $this->assertSame('outdated', self::session(self::tokenOf($session), ['csrf' => $csrf])->formCheck());
        $this->assertTrue(self::session(self::tokenOf($session), ['csrf' => $session->csrf()])->formPassed());
    }

    public function testAPageWithAFormIsKeptByNoCache(): void
    {
        $session = self::session(self::loggedIn('ann'));
        $this->assertSame([], $session->headers());
        $this->assertStringContainsString($session->csrf(), self::session()->csrfField() . $session->csrf());
        $this->assertMatchesRegularExpression('/<input type="hidden" name="csrf" value="[A-Za-z0-9_-]+">/', $session->csrfField());
        $this->assertSame(['Cache-Control' => 'no-store'], $session->headers());
    }

    public function testWhatIsTooLongForATokenIsNone(): void
    {
        $this->assertSame('none', self::session(str_repeat('a', 200_000))->status());
        $this->assertSame('failed', self::session('', ['csrf' => str_repeat('a', 200_000)])->formCheck());
    }

    public function testLogoutDeletesTheCookieAndEndsTheSession(): void
    {
        $token = self::loggedIn('ann');
        $session = self::session($token);
        $session->logout();
        $this->assertSame('__Host-tc=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax', $session->headers()['Set-Cookie']);
        $this->assertNull($session->user());
        $this->assertNull(self::session($token)->user());
        $this->expectException(\LogicException::class);
        $session->csrf();
    }

    public function testLogoutWithATokenFromBeforeALoginLeavesTheCookie(): void
    {
        $guest = self::session();
        $guest->set(['cart' => 'pen']);
        $session = self::session(self::tokenOf($guest));
        $session->login('ann', form: false);
        $old = self::session(self::tokenOf($guest));
        $old->logout();
        $this->assertSame([], $old->headers());
        $this->assertSame('ann', self::session(self::tokenOf($session))->user());
    }

    public function testOnlyOnesOwnDevicesCanBeEnded(): void
    {
        [$laptop, $phone, $other] = [self::loggedIn('dora'), self::loggedIn('dora'), self::loggedIn('eve')];
        $session = self::session($laptop);
        $session->set(['browser' => 'Firefox']);
        $devices = $session->devices('browser');
        $this->assertCount(2, $devices);
        $this->assertSame([$session->sid()], array_column(array_filter($devices, static fn ($one) => $one['current']), 'sid'));
        $this->assertContains(['browser' => 'Firefox'], array_column($devices, 'data'));
        $this->assertFalse($session->endDevice(substr($other, 0, 32)));
        $this->assertFalse($session->endDevice('*'));
        $this->assertSame('eve', self::session($other)->user());
        $this->assertTrue($session->endDevice(substr($phone, 0, 32)));
        $this->assertNull(self::session($phone)->user());
        $this->assertTrue($session->endDevice($session->sid()));
        $this->assertStringContainsString('Max-Age=0', $session->headers()['Set-Cookie']);
    }

    public function testLogoutOfTheOthersAndEverywhere(): void
    {
        $tokens = [self::loggedIn('finn'), self::loggedIn('finn'), self::loggedIn('finn')];
        $this->assertSame(2, self::session($tokens[0])->endOthers());
        $session = self::session($tokens[0]);
        $this->assertSame('finn', $session->user());
        $this->assertSame(1, $session->logoutEverywhere());
        $this->assertStringContainsString('Max-Age=0', $session->headers()['Set-Cookie']);
        $this->assertNull(self::session($tokens[0])->user());
        $this->expectException(\LogicException::class);
        self::session()->logoutEverywhere();
    }

    public function testWritersOfDifferentFieldsLoseNothing(): void
    {
        $token = self::loggedIn('ann');
        [$one, $two] = [self::session($token), self::session($token)];
        $one->set(['a' => '1', 'gone' => 'x']);
        $two->set(['b' => '2']);
        $one->remove('gone');
        $this->assertEquals(['a' => '1', 'b' => '2'], self::session($token)->all());
        $this->assertSame(['a' => '1'], $one->all());
    }

    public function testAnIfThatDoesNotHoldChangesNothingAndSaysWhatIsThere(): void
    {
        $token = self::loggedIn('ann');
        [$one, $two] = [self::session($token), self::session($token)];
        $this->assertTrue($one->setIf(['cart' => ''], ['cart' => 'apple']));
        $this->assertFalse($two->setIf(['cart' => ''], ['cart' => 'plum']));
        $this->assertSame('apple', $two->get('cart'));
        $this->assertTrue($two->setIf(['cart' => 'apple'], ['cart' => 'plum']));
        $this->assertSame('plum', self::session($token)->get('cart'));
    }

    public function testCountersAndWhatIsTakenOnce(): void
    {
        $token = self::loggedIn('ann');
        [$one, $two] = [self::session($token), self::session($token)];
        $this->assertSame([1, 2, -3], [$one->increment('n'), $two->increment('n'), $one->increment('n', -5)]);
        $one->flash('Saved');
        $next = self::session($token);
        $late = self::session($token);
        $this->assertSame(['Saved', null], [$next->takeFlash(), $next->takeFlash()]);
        $this->assertNull($late->takeFlash());
        $this->assertNull(self::session()->takeFlash());
    }

    public function testNothingIsStoredInASessionThatIsOver(): void
    {
        $token = self::loggedIn('ann');
        $late = self::session($token);
        self::session($token)->logout();
        try {
            $late->set(['cart' => 'pen']);
            $this->fail('it was stored');
        } catch (NotAccepted $error) {
            $this->assertSame(['revoked', 'logout'], [$error->status, $error->reason]);
        }
    }

    public function testACaptchaIsGoodOnceAndForItsVisitorAlone(): void
    {
        $visitor = self::session();
        [$token, $form] = [self::tokenOf($visitor), ['csrf' => $visitor->csrf()]];
        $captcha = $visitor->captcha();
        $this->assertSame($captcha->solution, $visitor->solutionOf($captcha->token));
        $this->assertStringContainsString("value=\"$captcha->token\"", $captcha->field());
        $this->assertStringNotContainsString($captcha->solution, str_replace($captcha->token, '', $captcha->field()));
        // A form that does not pass spends nothing.
        $this->assertFalse(self::session($token, ['csrf' => 'forged'])->captchaPassed($captcha->token, $captcha->solution));
        $other = self::session();
        $others = self::session(self::tokenOf($other), ['csrf' => $other->csrf()]);
        $this->assertFalse($others->captchaPassed($captcha->token, $captcha->solution));
        $this->assertTrue(self::session($token, $form)->captchaPassed($captcha->token, strtolower(" $captcha->solution ")));
        $this->assertFalse(self::session($token, $form)->captchaPassed($captcha->token, $captcha->solution));
        $wrong = $visitor->captcha();
        $this->assertFalse(self::session($token, $form)->captchaPassed($wrong->token, 'wrong'));
        $this->assertFalse(self::session($token, $form)->captchaPassed($wrong->token, $wrong->solution));
        $this->assertNull($visitor->solutionOf('made up'));
    }

    public function testAPasswordIsAskedForAgain(): void
    {
        $session = self::session(self::loggedIn('ann'));
        $this->assertTrue($session->loggedInWithin('10m'));
        // The daemon counts whole seconds.
        usleep(2_100_000);
        $this->assertFalse($session->loggedInWithin('1s'));
        $session->login('ann', form: false);
        $this->assertTrue($session->loggedInWithin('1s'));
        $this->assertFalse(self::session()->loggedInWithin('10m'));
    }

    public function testAskingForTheTimeOfLoginDoesNotConfirmASuccessorThatTheBrowserDoesNotHave(): void
    {
        $daemon = new Daemon(['rotation.after' => '1s', 'rotation.overlap' => '1s']);
        $settings = new Settings($daemon->socket());
        $session = self::session(settings: $settings);
        $session->login('ann', form: false);
        $token = self::tokenOf($session);
        usleep(1_200_000);
        $session = self::session($token, settings: $settings);
        $this->assertSame('rotated', $session->status());
        $this->assertTrue($session->loggedInWithin('1h'));
        // The response is lost, and the overlap passes.
        usleep(1_300_000);
        $this->assertSame('ann', self::session($token, settings: $settings)->user());
    }

    public function testALoginWithoutAGenuineFormIsNone(): void
    {
        foreach (['none came' => null, 'failed' => ['csrf' => 'forged']] as $check => $form) {
            $session = self::session('', $form);
            try {
                $session->login('ann');
                $this->fail('it logged in');
            } catch (\LogicException $error) {
                $this->assertStringContainsString("($check)", $error->getMessage());
            }
            $this->assertNull($session->user());
            // A central login has its own proof.
            $session->login('ann', form: false);
            $this->assertSame('ann', $session->user());
        }
    }

    public function testWhetherAPageOfThisSiteMadeTheRequest(): void
    {
        $token = self::loggedIn('ann');
        $isOwn = static fn (array $headers): bool => self::session($token, [], ['Host' => 'example.org'] + $headers)->isOwn();
        foreach (['same-origin' => true, 'none' => true, 'same-site' => false, 'cross-site' => false] as $site => $expected) {
            $this->assertSame($expected, $isOwn(['Sec-Fetch-Site' => $site, 'Origin' => 'https://example.org']), $site);
        }
        $this->assertTrue($isOwn([]));
        // Of a browser that says it by Origin alone.
        $this->assertTrue($isOwn(['Origin' => 'https://Example.org']));
        foreach (['https://evil.example', 'https://example.org.evil.example', 'https://example.org:8000', 'null'] as $origin) {
            $this->assertFalse($isOwn(['Origin' => $origin]), $origin);
        }
        // Behind a proxy that changes Host forms of the site pass all the same.
        $csrf = self::session($token)->csrf();
        $this->assertTrue(self::session($token, ['csrf' => $csrf], ['Host' => 'inside', 'Origin' => 'https://example.org'])->formPassed());
    }

    public function testAChangeOfPrivilegeReplacesTheToken(): void
    {
        $token = self::loggedIn('ann');
        $session = self::session($token);
        $session->set(['a' => '1']);
        $session->rotate();
        $this->assertSame('ann', $session->user());
        $this->assertSame('1', $session->get('a'));
        $this->assertTrue($session->loggedInWithin('10m'));
        $this->assertNull(self::session($token)->user());
        $this->assertSame('ann', self::session(self::tokenOf($session))->user());
    }

    public function testAReturnFromAPaymentPageLeavesTheCookie(): void
    {
        $headers = ['Sec-Fetch-Site' => 'cross-site', 'Sec-Fetch-Mode' => 'navigate'];
        $this->assertSame([], self::session('', [], $headers)->headers());
        // Of a browser that says it by Origin alone.
        $origin = static fn (string $origin): array => self::session('', [], ['Host' => 'example.org', 'Origin' => $origin])->headers();
        $this->assertSame([], $origin('https://pay.example'));
        $this->assertSame([], $origin('null'));
        $this->assertArrayHasKey('Set-Cookie', $origin('https://example.org'));
    }

    public function testARequestThatIsNoPageGivesNoCookie(): void
    {
        $session = self::session('', null, ['Sec-Fetch-Site' => 'same-origin', 'Sec-Fetch-Mode' => 'cors']);
        $this->assertSame([], $session->headers());
        $this->assertTrue($session->isPageOnly());
        $this->assertNull($session->onceMore());
    }

    public function testAPageOfAnOldTokenIsAskedForOnceMore(): void
    {
        $guest = self::session();
        self::session(self::tokenOf($guest))->login('ann', form: false);
        $settings = new Settings(self::daemon()->socket());
        foreach (['/' => '?again=1', '/a?q=x' => '?q=x&again=1', '/?again=10' => '?again=10&again=1', '/?q=x&again=1' => null]
            as $target => $address) {
            $request = self::request(self::tokenOf($guest), null, ['Sec-Fetch-Mode' => 'navigate'], "https://example.org$target");
            $session = new Session(new \TokenCache\Client($settings->socket), $settings, \TokenCache\Request::fromPsr($request, $settings));
            $this->assertSame($address, $session->onceMore());
        }
        $this->assertNull(self::session(self::tokenOf($guest), [])->onceMore());
    }

    public function testALoginThatIsRefused(): void
    {
        $daemon = new Daemon(['session.on-limit' => 'refuse']);
        $settings = new Settings($daemon->socket());
        self::session(settings: $settings)->login('ann', max: 1, form: false);
        $session = self::session(settings: $settings);
        try {
            $session->login('ann', max: 1, form: false);
            $this->fail('there were two');
        } catch (LoginRefused $error) {
            $this->assertSame('limit', $error->reason);
        }
        $this->assertNull($session->user());
    }

    public function testWhatIsBoundIsToldWithEveryQuestion(): void
    {
        $daemon = new Daemon(['binding.ua' => 'strict', 'binding.ip' => 'log']);
        $settings = new Settings($daemon->socket(), bind: ['ip', 'ua']);
        $firefox = ['User-Agent' => 'Firefox'];
        $session = self::session('', null, $firefox, $settings);
        $session->login('ann', form: false);
        $token = self::tokenOf($session);
        $same = self::session($token, null, $firefox, $settings);
        $same->set(['a' => '1']);
        $this->assertSame(1, $same->increment('n'));
        $same->rotate();
        $this->assertSame(0, $same->endOthers());
        $this->assertNotSame('', $same->captcha()->token);
        $other = self::session(self::tokenOf($same), null, ['User-Agent' => 'curl'], $settings);
        $this->assertSame('mismatch', $other->status());
        $this->assertNull($other->user());
        $this->assertSame([], $same->differs());
    }

    public function testACookieForDevelopmentIsForLocalhostOnly(): void
    {
        $settings = new Settings(self::daemon()->socket(), development: true);
        foreach (['localhost', 'localhost:8000', '127.0.0.1:8000', '[::1]:8000'] as $host) {
            $session = self::session('', null, ['Host' => $host], $settings);
            $this->assertMatchesRegularExpression('/\Atc=[^;]+; Path=\/; HttpOnly; SameSite=Lax\z/', $session->headers()['Set-Cookie']);
        }
        $this->expectException(\LogicException::class);
        self::session('', null, ['Host' => 'localhost.example.org'], $settings);
    }

    public function testSettingsSayWhatIsAllowed(): void
    {
        $this->expectExceptionMessage("bind takes 'ip' and 'ua'");
        new Settings(bind: ['agent']);
    }
}
