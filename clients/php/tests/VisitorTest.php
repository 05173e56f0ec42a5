<?php
declare(strict_types=1);

namespace TokenCache\Tests;

use TokenCache\Client;
use TokenCache\InvalidCommand;
use TokenCache\NotAccepted;
use TokenCache\Request;
use TokenCache\Session;
use TokenCache\Settings;

/** Whatever a visitor sends, the daemon takes: a command of the package's own that it refuses would be a 500. */
final class VisitorTest extends TestCase
{
    private const ODD = ['', ' ', 'SID', 'sid', 'DATA', 'BIND', 'SUBJECT', '0', '-', "\0", "a\r\nb", "\xff\xfe", 'ü',
        ['a', 'b'], [[]]];

    /** What a site does with a request, all of it. */
    private static function serve(\Psr\Http\Message\ServerRequestInterface $request, Settings $settings): Session
    {
        $session = new Session(new Client($settings->socket), $settings, Request::fromPsr($request, $settings));
        $form = $request->getParsedBody();
        $text = static fn (string $field): string => is_string($form[$field] ?? null) ? $form[$field] : '';
        foreach ([
            static fn () => $session->csrfField() . $session->captcha()->field(),
            static fn () => $session->solutionOf($text('captcha')),
            static fn () => $session->captchaPassed($text('captcha'), $text('answer')),
            static fn () => $session->endDevice($text('sid')),
            static fn () => $session->set(['text' => $text('text')]),
            static fn () => $session->setIf(['other' => $text('text')], ['other' => '1']),
            static fn () => $session->increment('n'),
            static fn () => $session->take('text'),
            static fn () => $session->rotate(),
            static fn () => $session->logout(),
            static fn () => $session->login('ann', form: false),
            static fn () => $session->loggedInWithin('1h'),
            static fn () => $session->endOthers(),
            static fn () => $session->logoutEverywhere(),
        ] as $act) {
            try {
                $act();
            } catch (InvalidCommand $error) {
                throw $error;
            } catch (NotAccepted | \LogicException) {
                // Answers, both: it is over; and nobody is logged in.
            }
        }
        return $session;
    }

    public function testNothingThatAVisitorSendsIsRefusedByTheDaemon(): void
    {
        $daemon = new Daemon(['binding.ua' => 'strict']);
        $settings = new Settings($daemon->socket(), bind: ['ua']);
        $long = [str_repeat('a', 86), str_repeat('a', 4096), str_repeat('a', 4097), str_repeat("ü\0", 70_000)];
        $served = 0;
        foreach ([...self::ODD, ...$long] as $odd) {
            $header = is_string($odd) ? trim((string) preg_replace('/[^\t\x20-\x7e\x80-\xff]/', '', $odd)) : '';
            $form = ['csrf' => $odd, 'captcha' => $odd, 'answer' => $odd, 'sid' => $odd,
                'text' => is_string($odd) ? substr($odd, 0, 1000) : $odd];
            foreach (['navigate', 'cors', $header] as $mode) {
                foreach ([null, $form] as $sent) {
                    $headers = array_fill_keys(['Sec-Fetch-Site', 'X-CSRF-Token', 'User-Agent', 'Origin'], $header);
                    $request = self::request('', $sent, ['Sec-Fetch-Mode' => $mode] + $headers)->withCookieParams(['__Host-tc' => $odd]);
                    self::serve($request, $settings);
                    $served++;
                }
            }
        }
        $this->assertSame(114, $served);
    }

    public function testABrowserWithALongNameOrNoneIsBoundToIt(): void
    {
        $daemon = new Daemon(['binding.ua' => 'strict']);
        $settings = new Settings($daemon->socket(), bind: ['ua']);
        foreach ([str_repeat('ü', 3000), str_repeat('a', 4095) . 'ü', ''] as $name) {
            $headers = $name === '' ? [] : ['User-Agent' => $name];
            $session = self::session('', null, $headers, $settings);
            $session->login('ann', form: false);
            $this->assertSame('ann', self::session(self::tokenOf($session), null, $headers, $settings)->user());
            $this->assertNull(self::session(self::tokenOf($session), null, ['User-Agent' => 'curl'], $settings)->user());
        }
        // In bytes, and no more of them than the daemon takes.
        $scripted = new ScriptedDaemon([ScriptedDaemon::visit([])]);
        self::session(str_repeat('b', 128), null, ['User-Agent' => 'a' . str_repeat('ü', 3000)],
            new Settings($scripted->socket(), bind: ['ua']));
        $this->assertSame(['BIND', 'ua', substr('a' . str_repeat('ü', 3000), 0, 4096)], array_slice($scripted->asked()[0], 2, 3));
    }

    public function testAnAddressThatIsNoneIsLeftAway(): void
    {
        $daemon = new Daemon(['binding.ip' => 'log']);
        $settings = new Settings($daemon->socket(), bind: ['ip']);
        foreach (['192.0.2.1', '::1', '::', '::ffff:192.0.2.1', '2001:DB8::1', '1:2:3:4:5:6:192.0.2.1', '1::2:3:4:5:6:7', '0.0.0.0',
            'fe80::1%eth0', '01.2.3.4', '192.0.2.1:80', '[::1]', 'unix:', '', '192.0.2.1, 192.0.2.2', '::1.2.3.4'] as $address) {
            $_SERVER = ['REQUEST_METHOD' => 'GET', 'REQUEST_URI' => '/', 'REMOTE_ADDR' => $address] + $_SERVER;
            $session = new Session(new Client($settings->socket), $settings, Request::fromGlobals($settings));
            $this->assertNull($session->user());
        }
    }
}
