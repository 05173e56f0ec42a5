<?php
declare(strict_types=1);

namespace TokenCache\Tests;

use TokenCache\Session;
use TokenCache\Settings;
use TokenCache\Unavailable;

/** A reply that lacks what its reader needs, or has it in another form: nobody knows, which is 503, and no fault of the site. */
final class ReplyShapeTest extends TestCase
{
    /**
     * @dataProvider replies
     * @param list<string> $replies the last of them is the one
     * @param callable(Session): mixed $asks
     */
    public function testAReplyOfAnotherShapeIsUnavailable(array $replies, callable $asks): void
    {
        $daemon = new ScriptedDaemon($replies);
        $this->expectException(Unavailable::class);
        $asks(self::session(str_repeat('b', 128), ['csrf' => 'x'], settings: new Settings($daemon->socket())));
    }

    /** @return iterable<string, array{list<string>, callable(Session): mixed}> */
    public static function replies(): iterable
    {
        $visit = ScriptedDaemon::visit(['subject' => 'ann', 'check' => 'passed']);
        $map = ScriptedDaemon::map(...);
        $none = static fn (): mixed => null;
        $accepted = ['status' => 'valid', 'accepted' => 1, 'sid' => str_repeat('b', 32)];
        $without = static fn (string ...$names): string => $map(array_diff_key(['status' => 'none', 'accepted' => 0, 'sid' => 'c',
            'subject' => '', 'auth_time' => 0], array_flip($names)));
        foreach (['sid', 'subject', 'auth_time', 'status', 'accepted'] as $name) {
            yield "VISIT without $name" => [[$without($name)], $none];
        }
        foreach (['sid', 'subject', 'sessiontoken', 'check'] as $name) {
            yield "VISIT, $name is a number" => [[ScriptedDaemon::visit([$name => 5])], $none];
        }
        yield 'csrf is a number' => [[ScriptedDaemon::visit(['csrf' => 5])], static fn (Session $session) => $session->csrf()];
        yield 'differs is a number' => [[ScriptedDaemon::visit(['differs' => 5])],
            static fn (Session $session) => $session->differs()];
        yield 'auth_time is a text' => [[ScriptedDaemon::visit(['auth_time' => '5'])], $none];
        foreach (['', "x\r\nSet-Cookie: a=b", 'x; Path=/', 'a b'] as $token) {
            yield "a token that is none: $token" => [[ScriptedDaemon::visit(['sessiontoken' => $token])], $none];
        }
        yield 'max_age is a text' => [[ScriptedDaemon::visit(['sessiontoken' => 'x', 'max_age' => '5'])], $none];
        yield 'data are a text' => [[ScriptedDaemon::visit(['data' => 'x'])], $none];
        yield 'the value is a list' => [["*1\r\n+valid\r\n"], $none];
        $login = static fn (Session $session) => $session->login('ann');
        yield 'LOGIN does not say who it is' => [[$visit, $map($accepted)], $login];
        yield 'LOGIN without status' => [[$visit, $map(['accepted' => 1])], $login];
        yield 'ROTATE does not say who it is' => [[$visit, $map($accepted)], static fn (Session $session) => $session->rotate()];
        $increment = static fn (Session $session) => $session->increment('n');
        yield 'INCR without a value' => [[$visit, $map($accepted)], $increment];
        yield 'INCR, the value is a text' => [[$visit, $map(['value' => '5'] + $accepted)], $increment];
        yield 'a conflict without data' => [[$visit, $map(['status' => 'conflict'] + $accepted)],
            static fn (Session $session) => $session->setIf(['a' => ''], ['a' => '1'])];
        yield 'GETDEL, a field is a number' => [[$visit, $map(['data' => ['a' => 5]] + $accepted)],
            static fn (Session $session) => $session->take('a')];
        yield 'REVOKEALL without a count' => [[$visit, $map(['status' => 'revoked', 'accepted' => 0])],
            static fn (Session $session) => $session->logoutEverywhere()];
        yield 'REVOKE is a text' => [[$visit, "+OK\r\n"], static fn (Session $session) => $session->logout()];
        $devices = static fn (Session $session) => $session->devices();
        yield 'LIST is a text' => [[$visit, "+OK\r\n"], $devices];
        yield 'LIST of texts' => [[$visit, "*1\r\n+OK\r\n"], $devices];
        yield 'LIST of nobody' => [[$visit, "*1\r\n%0\r\n"], $devices];
        yield 'LIST is nothing' => [[$visit, "*-1\r\n"], $devices];
        $captcha = static fn (Session $session) => $session->captcha();
        yield 'CAPTCHA.ISSUE is a number' => [[$visit, ":5\r\n"], $captcha];
        yield 'CAPTCHA.ISSUE without status' => [[$visit, "%0\r\n"], $captcha];
        yield 'CAPTCHA.ISSUE, the solution is a number' => [
            [$visit, $map(['status' => 'issued', 'captcha' => 'x', 'solution' => 5])], $captcha];
        yield 'CAPTCHA.OPEN, the solution is a number' => [[$visit, $map(['status' => 'issued', 'solution' => 5])],
            static fn (Session $session) => $session->solutionOf('x')];
        yield 'CAPTCHA.VERIFY is a list' => [[$visit, "*0\r\n"], static fn (Session $session) => $session->captchaPassed('x', 'y')];
    }
}
