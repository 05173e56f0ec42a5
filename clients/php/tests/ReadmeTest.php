<?php
declare(strict_types=1);

namespace TokenCache\Tests;

/** The site of README.md, as it stands there, in a fresh folder with the package from Composer. */
final class ReadmeTest extends TestCase
{
    public function testASiteThatIsBuiltByItWorks(): void
    {
        $site = new Program();
        foreach (self::files() as $name => $code) {
            file_put_contents("$site->folder/$name", str_replace('/run/tokencached/tokencached.sock', self::daemon()->socket(), $code));
        }
        $this->assertSame(['cart.php', 'index.php', 'login.php', 'logout.php', 'settings.php'],
            array_map('basename', glob("$site->folder/*.php") ?: []));
        // Nothing from elsewhere is needed.
        self::shell($site->folder, 'composer config --global repositories.packagist.org false');
        self::shell($site->folder, str_replace('…/clients/php', dirname(__DIR__), self::installation()));

        $server = new PageServer(self::daemon()->socket(), $site->folder);
        $browser = $server->browser();
        $this->assertStringContainsString('Hello, guest. You were here 1 times.', $browser->go('/'), $server->errors());
        $this->assertStringContainsString('Hello, guest. You were here 2 times.', $browser->go('/'));
        $right = ['name' => 'ann', 'password' => 'apple', 'remember' => 'on'];
        $browser->go('/login.php', ['csrf' => 'forged'] + $right);
        $this->assertStringContainsString('value="ann"', $browser->body);
        $browser->go('/login.php', ['csrf' => self::csrf($browser), 'password' => 'pear'] + $right);
        $this->assertStringContainsString('value="ann"', $browser->body);
        $browser->go('/login.php', ['csrf' => self::csrf($browser)] + $right);
        $this->assertSame([303, ['/']], [$browser->status, $browser->all('Location')]);
        $this->assertStringContainsString('; Max-Age=77', $browser->all('Set-Cookie')[0]);
        $this->assertStringContainsString('Hello, ann. You were here 3 times.', $browser->go('/'));

        $cart = ['items' => ['visits' => "\0php:i:3;", 'item.pen' => '2', 'voucher' => 'SPRING', 'changes' => '1'], 'count' => 1,
            'notice' => 'Your cart is saved.'];
        $this->assertEquals($cart, json_decode($browser->go('/cart.php'), true), $server->errors());
        $this->assertSame(2, json_decode($browser->go('/cart.php'), true)['count']);

        $browser->go('/logout.php');
        $browser->go('/logout.php', ['csrf' => self::csrf($browser)]);
        $this->assertSame(303, $browser->status);
        $this->assertStringContainsString('Hello, guest. You were here 1 times.', $browser->go('/'));
        $this->assertSame('', $server->errors());
    }

    private static function csrf(Browser $browser): string
    {
        preg_match('/name="csrf" value="([^"]*)"/', $browser->body, $found);
        return $found[1] ?? '';
    }

    /** @return array<string, string> name → code */
    private static function files(): array
    {
        preg_match_all('/```php\n(<\?php \/\/ (\S+\.php)\n.*?)```/s', (string) file_get_contents(dirname(__DIR__) . '/README.md'), $found);
        return array_combine($found[2], $found[1]);
    }

    /** The first block of commands. */
    private static function installation(): string
    {
        preg_match('/```sh\n(.*?)```/s', (string) file_get_contents(dirname(__DIR__) . '/README.md'), $found);
        return $found[1];
    }

    private static function shell(string $folder, string $commands): void
    {
        $environment = "COMPOSER_ALLOW_SUPERUSER=1 COMPOSER_NO_INTERACTION=1 COMPOSER_HOME=$folder/composer";
        exec("cd $folder && $environment sh -ec " . escapeshellarg($commands) . ' 2>&1', $lines, $status);
        self::assertSame(0, $status, implode("\n", $lines));
    }
}
