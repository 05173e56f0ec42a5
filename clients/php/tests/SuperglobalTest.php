<?php
declare(strict_types=1);

namespace TokenCache\Tests;

use TokenCache\Client;

/** `$_SESSION` code behind Session::start, on PHP's own web server. */
final class SuperglobalTest extends TestCase
{
    private static PageServer $server;
    /** For what happens at the same time. */
    private static PageServer $other;

    public static function setUpBeforeClass(): void
    {
        self::$server = new PageServer(self::daemon()->socket());
        self::$other = new PageServer(self::daemon()->socket());
    }

    public static function tearDownAfterClass(): void
    {
        self::$server->stop();
        self::$other->stop();
        parent::tearDownAfterClass();
    }

    /** @return array<string, mixed> */
    private static function shown(Browser $browser): array
    {
        return json_decode($browser->go('/show.php'), true, 512, JSON_THROW_ON_ERROR);
    }

    /** Another tab, at the other server. */
    private static function besides(Browser $browser): Browser
    {
        $tab = self::$other->browser();
        $tab->jar = $browser->jar;
        return $tab;
    }

    public function testAGuestWhoStoresNothingIsNoSession(): void
    {
        $browser = self::$server->browser();
        $this->assertSame([], self::shown($browser)['session']);
        $this->assertStringStartsWith('eyJ', $browser->jar['tc']);
        $this->assertSame(['no-store'], $browser->all('Cache-Control'));
        self::shown($browser);
        $this->assertSame([], $browser->all('Set-Cookie'));
    }

    public function testWhatIsStoredIsThereInTheNextRequest(): void
    {
        $browser = self::$server->browser();
        $browser->go('/set.php?set[cart]=pen&set[theme]=dark');
        $this->assertCount(1, $browser->all('Set-Cookie'));
        $this->assertMatchesRegularExpression('/\A[0-9a-f]{128}\z/', $browser->jar['tc']);
        $browser->go('/set.php?unset[]=theme');
        $this->assertSame(['cart' => 'pen'], self::shown($browser)['session']);
        $browser->go('/clear.php');
        $this->assertSame([], self::shown($browser)['session']);
        $browser->go('/set.php?set[cart]=pen');
        // As other languages see it.
        $fields = (new Client(self::daemon()->socket()))->ask('TOKEN.GET', $browser->jar['tc'])['data'];
        $this->assertSame(['cart' => 'pen'], $fields);
    }

    public function testValuesKeepTheirTypes(): void
    {
        $browser = self::$server->browser();
        $browser->go('/types.php');
        $this->assertSame('all there', $browser->go('/types.php?check=1'), self::$server->errors());
    }

    public function testATextThatABrowserMadeUpIsNoObject(): void
    {
        $browser = self::$server->browser();
        $browser->go('/set.php?set[a]=1');
        $client = new Client(self::daemon()->socket());
        $client->ask('TOKEN.SET', $browser->jar['tc'], 'DATA', 'note', "\0php:" . 'O:4:"Bomb":0:{}');
        $this->assertSame('null', $browser->go('/object.php'));
        // It is left where it is.
        $browser->go('/set.php?set[a]=2');
        $this->assertSame(200, $browser->status);
        $this->assertStringContainsString('Bomb', $client->ask('TOKEN.GET', $browser->jar['tc'])['data']['note']);
        // And none is stored that could not come back.
        $browser->go('/object.php?set=1');
        $this->assertSame(500, $browser->status);
        $this->assertSame('2', self::shown($browser)['session']['a']);
        $this->assertStringContainsString('$_SESSION holds a Bomb: name it in the classes of Settings', self::$server->errors());
        file_put_contents(self::$server->folder . '/errors', '');
    }

    public function testNorInsideOfAnObjectThatIsAllowed(): void
    {
        $browser = self::$server->browser();
        $browser->go('/set.php?set[a]=1');
        $browser->go('/object.php?set=inside');
        $this->assertSame(500, $browser->status);
        $this->assertStringContainsString('$_SESSION holds a Bomb: name it in the classes of Settings', self::$server->errors());
        file_put_contents(self::$server->folder . '/errors', '');
        $inside = "\0php:" . 'O:11:"ArrayObject":4:{i:0;i:0;i:1;a:1:{i:0;O:4:"Bomb":0:{}}i:2;a:0:{}i:3;N;}';
        (new Client(self::daemon()->socket()))->ask('TOKEN.SET', $browser->jar['tc'], 'DATA', 'note', $inside);
        $this->assertSame('null', $browser->go('/object.php'));
        $this->assertStringContainsString('which cannot be read: it holds a Bomb: name it', self::$server->errors());
        // What looks like an object and stands in a text of one is none.
        $text = "\0php:" . serialize(new \ArrayObject(['a' => 'O:4:"Bomb":0:{}']));
        (new Client(self::daemon()->socket()))->ask('TOKEN.SET', $browser->jar['tc'], 'DATA', 'note', $text);
        $this->assertSame('ArrayObject', $browser->go('/object.php'));
        file_put_contents(self::$server->folder . '/errors', '');
    }

    /** @dataProvider unreadable */
    public function testWhatCannotBeReadStaysUntilTheSiteSetsIt(string $text, string $why): void
    {
        $browser = self::$server->browser();
        $browser->go('/set.php?set[a]=1');
        $client = new Client(self::daemon()->socket());
        $client->ask('TOKEN.SET', $browser->jar['tc'], 'DATA', "no\nte", "\0php:$text");
        $this->assertSame(['a' => '1'], self::shown($browser)['session']);
        $browser->go('/set.php?set[a]=2&set[b]=3');
        $this->assertSame(200, $browser->status);
        $this->assertEquals(['a' => '2', 'b' => '3', "no\nte" => "\0php:$text"], $client->ask('TOKEN.GET', $browser->jar['tc'])['data']);
        // The site learns of it.
        $this->assertStringContainsString("tokencached: \$_SESSION has no no\\nte, which cannot be read: $why", self::$server->errors());
        $browser->go('/set.php?set[no%0Ate]=new');
        $this->assertSame("new", self::shown($browser)['session']["no\nte"]);
        file_put_contents(self::$server->folder . '/errors', '');
    }

    /** @return array<string, array{string, string}> */
    public static function unreadable(): array
    {
        return [
            'half' => ['a:2:{i:0;', 'serialize() has not written it'],
            'nothing' => ['', 'serialize() has not written it'],
            'an object that does not end' => ['O:11:"ArrayObject":4:{', 'serialize() has not written it'],
            'an object as no PHP writes it' => ['O:+11:"ArrayObject":0:{}O:1', 'serialize() has not written it'],
            'a class that refuses' => ['O:11:"ArrayObject":0:{}', 'Incomplete or ill-typed serialization data'],
            'a class that is gone' => ['O:4:"Gone":0:{}', 'it holds a Gone: there is no such class'],
            'a class that would forge a line' => ["O:6:\"A\nForg\":0:{}", 'it holds a A\\nForg'],
            'a class without end' => ['O:60000:"' . str_repeat('A', 60_000) . '":0:{}', 'it holds a ' . str_repeat('A', 180)],
        ];
    }

    public function testOnlyWhatChangedIsWrittenSoThatRequestsLoseNothing(): void
    {
        $browser = self::$server->browser();
        $browser->go('/set.php?set[a]=0&set[old]=x');
        $begin = microtime(true);
        $slow = $browser->begin('/set.php?wait=1.5&set[a]=1');
        usleep(500_000);
        self::besides($browser)->go('/set.php?set[b]=2&unset[]=old');
        // Requests do not wait for each other.
        $this->assertLessThan(1.4, microtime(true) - $begin);
        $browser->finish($slow);
        $this->assertEquals(['a' => '1', 'b' => '2'], self::shown($browser)['session']);
    }

    public function testWhatDidNotChangeIsNotWritten(): void
    {
        $browser = self::$server->browser();
        $browser->go('/set.php?set[a]=1');
        $sets = fn (): int => (int) (preg_match('/cmdstat_token\.set:calls=(\d+)/i',
            (new Client(self::daemon()->socket()))->call('INFO', 'commandstats'), $found) ? $found[1] : 0);
        $before = $sets();
        $this->assertGreaterThan(0, $before);
        $browser->go('/set.php?set[a]=1');
        $browser->go('/show.php');
        $this->assertSame($before, $sets());
    }

    public function testASessionThatIsClosedAndOpenedAgainIsReadAgain(): void
    {
        $browser = self::$server->browser();
        $browser->go('/set.php?set[x]=0');
        $twice = $browser->begin('/twice.php');
        usleep(400_000);
        self::besides($browser)->go('/set.php?set[b]=2');
        $this->assertEquals(['x' => '0', 'a' => '1', 'b' => '2', 'c' => '3'], json_decode($browser->finish($twice), true));
        $this->assertEquals(['x' => '0', 'a' => '1', 'b' => '2', 'c' => '3'], self::shown($browser)['session']);
    }

    public function testRegenerateIdReplacesTheTokenAndKeepsTheData(): void
    {
        $browser = self::$server->browser();
        $browser->go('/set.php?set[a]=1');
        $old = $browser->jar['tc'];
        $this->assertSame('same', $browser->go('/login.php'));
        $this->assertNotSame($old, $browser->jar['tc']);
        $this->assertEquals(['a' => '1', 'mine' => 'yes'], self::shown($browser)['session']);
        $this->assertSame('replayed', (new Client(self::daemon()->socket()))->ask('TOKEN.VALIDATE', $old)['status']);
        $this->assertSame('', self::$server->errors());
    }

    public function testLoginWithANameAndTheSitesOwnCookie(): void
    {
        $browser = self::$server->browser();
        $browser->go('/set.php?set[a]=1');
        $this->assertSame('same', $browser->go('/login.php?name=ann'));
        $this->assertSame('dark', $browser->jar['theme']);
        $this->assertCount(2, $browser->all('Set-Cookie'));
        // Whatever the site says of caches.
        $this->assertSame(['no-store'], $browser->all('Cache-Control'));
        $shown = self::shown($browser);
        $this->assertSame('ann', $shown['user']);
        $this->assertEquals(['a' => '1', 'mine' => 'yes'], $shown['session']);
    }

    public function testALoginAsSomebodyElseTakesNothingAlong(): void
    {
        $browser = self::$server->browser();
        $browser->go('/set.php?set[secret]=x');
        $browser->go('/login.php?name=ann');
        $browser->go('/login.php?name=bob');
        $shown = self::shown($browser);
        $this->assertSame('bob', $shown['user']);
        $this->assertSame([], $shown['session']);
    }

    public function testDestroyIsALogout(): void
    {
        $browser = self::$server->browser();
        $browser->go('/login.php?name=ann');
        $old = $browser->jar['tc'];
        $browser->go('/logout.php');
        $this->assertSame(303, $browser->status);
        $this->assertArrayNotHasKey('tc', $browser->jar);
        $this->assertSame('revoked', (new Client(self::daemon()->socket()))->ask('TOKEN.VALIDATE', $old)['status']);
        $this->assertSame(['session' => [], 'user' => null], array_diff_key(self::shown($browser), ['sid' => 1]));
    }

    public function testBehindDestroyTheVisitorIsANewGuest(): void
    {
        foreach (['destroy', 'regenerate'] as $how) {
            foreach (['', '&set=x'] as $set) {
                $browser = self::$server->browser();
                $browser->go('/login.php?name=ann');
                $old = $browser->jar['tc'];
                $shown = json_decode($browser->go("/again.php?how=$how$set"), true);
                $this->assertSame(200, $browser->status, self::$server->errors());
                $session = $set === '' ? [] : ['mine' => 'x'];
                $this->assertSame(['session' => $session, 'user' => null, 'same' => true, 'csrf' => true], $shown);
                $this->assertSame('revoked', (new Client(self::daemon()->socket()))->ask('TOKEN.VALIDATE', $old)['status']);
                $this->assertSame(['session' => $session, 'user' => null], array_diff_key(self::shown($browser), ['sid' => 1]));
                $this->assertSame([], $browser->all('Set-Cookie'));
            }
        }
        // A guest, whom nothing ends, stays who they are.
        $browser = self::$server->browser();
        $sid = self::shown($browser)['sid'];
        $this->assertSame([], json_decode($browser->go('/again.php?how=destroy'), true)['session']);
        $this->assertSame($sid, self::shown($browser)['sid']);
        $this->assertSame('', self::$server->errors());
    }

    public function testALoginBehindALogoutKeepsWhatIsStored(): void
    {
        $browser = self::$server->browser();
        $browser->go('/login.php?name=ann');
        $browser->go('/again.php?how=login&set=bobs');
        $this->assertSame(['session' => ['mine' => 'bobs'], 'user' => 'bob'], array_diff_key(self::shown($browser), ['sid' => 1]));
        $this->assertSame('', self::$server->errors());
    }

    public function testAGuestsFirstDataGiveACookieBehindALongPage(): void
    {
        $browser = self::$server->browser();
        $this->assertStringStartsWith('a long page a long', $browser->go('/long.php'));
        $this->assertMatchesRegularExpression('/\A[0-9a-f]{128}\z/', $browser->jar['tc']);
    }

    public function testFaultsOfTheSiteAreTheSites(): void
    {
        $browser = self::$server->browser();
        $browser->go('/fault.php');
        $this->assertSame(500, $browser->status);
        $browser->go('/early.php');
        $this->assertStringContainsString('Session::start comes before any output', self::$server->errors());
        file_put_contents(self::$server->folder . '/errors', '');
    }

    public function testAnOldTokensPageIsAskedForOnceMore(): void
    {
        $browser = self::$server->browser();
        $browser->go('/show.php');
        $old = $browser->jar;
        $browser->go('/login.php?name=ann');
        $browser->jar = $old;
        $browser->go('/show.php?q=x');
        $this->assertSame([303, ['?q=x&again=1']], [$browser->status, $browser->all('Location')]);
        $browser->go('/show.php?q=x&again=1');
        $this->assertSame([200, []], [$browser->status, $browser->all('Set-Cookie')]);
        // It is nobody's, and nothing can be stored in it: said, not lost in silence.
        $browser->go('/set.php?set[a]=1', []);
        $this->assertSame(409, $browser->status);
    }

    public function testWhatCannotBeStoredIs503AndNoPage(): void
    {
        $new = str_repeat('b', 32) . str_repeat('d', 96);
        $daemon = new ScriptedDaemon([ScriptedDaemon::visit(['status' => 'rotated', 'sessiontoken' => $new]),
            "-UNAVAILABLE Redis did not answer in time\r\n", "-UNAVAILABLE Redis did not answer in time\r\n"]);
        $server = new PageServer($daemon->socket());
        $browser = $server->browser();
        $browser->jar = ['tc' => str_repeat('b', 128)];
        $browser->go('/long.php');
        $this->assertSame(503, $browser->status);
        $this->assertSame(['1'], $browser->all('Retry-After'));
        $this->assertSame("Please try again in a moment.\n", $browser->body);
        $this->assertSame($new, $browser->jar['tc']);
        // And where nobody knows who it is.
        $browser->go('/show.php');
        $this->assertSame([503, []], [$browser->status, $browser->all('Set-Cookie')]);
    }

    public function testA503SaysNothingOfThePageThatItStandsFor(): void
    {
        $daemon = new ScriptedDaemon([ScriptedDaemon::visit([]), "-UNAVAILABLE Redis did not answer in time\r\n"]);
        $server = new PageServer($daemon->socket());
        $browser = $server->browser();
        $browser->jar = ['tc' => str_repeat('b', 128)];
        $browser->go('/download.php');
        $this->assertSame([503, "Please try again in a moment.\n"], [$browser->status, $browser->body]);
        foreach (['Content-Length', 'Content-Disposition', 'Content-Encoding', 'ETag', 'Last-Modified', 'Expires'] as $name) {
            $this->assertSame([], $browser->all($name), $name);
        }
        $this->assertSame(['text/plain; charset=utf-8'], $browser->all('Content-Type'));
        // What is so on all of the site's pages stays.
        $this->assertSame(['default-src *'], $browser->all('Content-Security-Policy'));
        $this->assertSame(['https://a.example'], $browser->all('Access-Control-Allow-Origin'));
        $this->assertSame('dark', $browser->jar['theme']);
    }

    public function testAPageThatEndsIn503StoresNothingMore(): void
    {
        $daemon = new ScriptedDaemon([ScriptedDaemon::visit([]), "-UNAVAILABLE Redis did not answer in time\r\n"]);
        $server = new PageServer($daemon->socket());
        $browser = $server->browser();
        $browser->jar = ['tc' => str_repeat('b', 128)];
        $browser->go('/count.php');
        $this->assertSame(503, $browser->status);
        $this->assertSame(['TOKEN.VISIT', 'TOKEN.INCR'], array_column($daemon->asked(), 0));
    }

    public function testNoDaemonIs503(): void
    {
        $server = new PageServer('/nowhere/tokencached.sock');
        $browser = $server->browser();
        $browser->jar = ['tc' => str_repeat('b', 128)];
        $browser->go('/set.php?set[a]=1');
        $this->assertSame([503, [], ['no-store']], [$browser->status, $browser->all('Set-Cookie'), $browser->all('Cache-Control')]);
    }
}
