<?php
declare(strict_types=1);

namespace TokenCache\Tests;

use TokenCache\Client;
use TokenCache\Unavailable;

/** Whatever goes wrong between worker and daemon is Unavailable, and the connection is not used again. */
final class ClientFaultTest extends TestCase
{
    private const TOKEN = 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb';

    private static function token(): string
    {
        return self::TOKEN . str_repeat('c', 96);
    }

    public function testALateReplyAnswersNoOtherQuestion(): void
    {
        $daemon = new ScriptedDaemon([["$3\r\nann\r\n", 1.0], "$3\r\nbob\r\n"]);
        $client = new Client($daemon->socket(), 0.5);
        $begin = microtime(true);
        try {
            $client->call('GET', 'ann');
            $this->fail('the reply was late');
        } catch (Unavailable $error) {
            $this->assertSame('the daemon did not answer in time', $error->getMessage());
        }
        $this->assertLessThan(0.9, microtime(true) - $begin);
        usleep(1_000_000);
        $this->assertSame('bob', $client->call('GET', 'bob'));
    }

    public function testTheTimeOutIsOneForAllOfTheAnswer(): void
    {
        // Each byte comes soon enough.
        $daemon = new ScriptedDaemon(["$100\r\n" . str_repeat('x', 102)], 1, 0.1);
        $client = new Client($daemon->socket(), 0.3);
        $begin = microtime(true);
        try {
            $client->call('PING');
            $this->fail('there was no whole answer');
        } catch (Unavailable) {
        }
        $seconds = microtime(true) - $begin;
        $this->assertGreaterThan(0.25, $seconds);
        $this->assertLessThan(2.0, $seconds);
    }

    /** @dataProvider faults */
    public function testAFaultIsUnavailableAndTheNextQuestionHasAConnectionOfItsOwn(string $reply, string $why): void
    {
        $daemon = new ScriptedDaemon([$reply, ScriptedDaemon::visit([])]);
        $client = new Client($daemon->socket());
        try {
            $client->ask('TOKEN.VALIDATE', self::token());
            $this->fail('that was an answer');
        } catch (Unavailable $error) {
            $this->assertSame($why, $error->getMessage());
        }
        $this->assertSame('valid', $client->ask('TOKEN.VALIDATE', self::token())['status']);
    }

    /** @return array<string, array{string, string}> */
    public static function faults(): array
    {
        $other = ScriptedDaemon::visit(['sid' => str_repeat('a', 32)]);
        $none = 'the reply to TOKEN.VALIDATE is none about a token';
        return [
            'of another session' => [$other, 'the reply to TOKEN.VALIDATE is about another session'],
            'without sid' => [ScriptedDaemon::map(['status' => 'valid', 'accepted' => 1]),
                'the reply to TOKEN.VALIDATE is about another session'],
            'accepted is text' => [ScriptedDaemon::visit(['accepted' => '1']), $none],
            'data are text' => [ScriptedDaemon::visit(['data' => 'x']), $none],
            'data are numbers' => [ScriptedDaemon::visit(['data' => ['x' => 5]]), $none],
            'no map' => ["+OK\r\n", $none],
            'a list' => ["*2\r\n+status\r\n+valid\r\n", $none],
            'nothing' => ["_\r\n", $none],
            'two replies' => ["+OK\r\n+OK\r\n", 'the daemon sent more than was asked'],
            'an error' => ["-UNAVAILABLE Redis did not answer in time\r\n", 'UNAVAILABLE Redis did not answer in time'],
            'overloaded' => ["-OVERLOADED too many clients\r\n", 'OVERLOADED too many clients'],
            'a protocol error' => ["-ERR Protocol error: too long\r\n", 'ERR Protocol error: too long'],
            'no RESP' => ["HTTP/1.1 400 Bad Request\r\n", 'the reply is no RESP'],
            'a number that is none' => [":1x\r\n", 'a number of a reply is none'],
            'longer than believed' => ["$99999999999\r\n", 'a length of a reply is none, or too long'],
            'more elements than believed' => ["*99999999999\r\n", 'a length of a reply is none, or too long'],
            'a text that is longer than it says' => ["$2\r\nabc\r\n", 'a text of a reply has another length than it says'],
            'a text that is shorter than it says' => ["$4\r\nabc\r\n$3\r\n", 'a text of a reply has another length than it says'],
            'a length with a sign' => ["$+2\r\nab\r\n", 'a length of a reply is none, or too long'],
            'negative' => ["$-2\r\n", 'a length of a reply is none, or too long'],
            'nested without end' => [str_repeat("*1\r\n", 100), 'a reply is nested too deep'],
            'a field without a name' => ["%1\r\n:1\r\n:1\r\n", 'a field of a reply has no name'],
            'a line without end' => [str_repeat('+', 200_000), 'a line of a reply is too long'],
            'half a reply, then the end' => ['', 'the daemon closed the connection'],
            'half a reply, then silence' => ["%2\r\n$6\r\nstatus\r\n$5\r\nva", 'the daemon did not answer in time'],
        ];
    }

    public function testBytesMayComeOneByOne(): void
    {
        $whole = ScriptedDaemon::visit(['data' => ['theme' => "dark\r\n"], 'subject' => 'ann']);
        foreach ([1, 2, 3, 7] as $step) {
            $daemon = new ScriptedDaemon([$whole], $step);
            $reply = (new Client($daemon->socket()))->ask('TOKEN.VISIT', self::token());
            $this->assertSame(['theme' => "dark\r\n"], $reply['data']);
            $this->assertSame('ann', $reply['subject']);
        }
    }

    public function testBytesThatComeUnaskedEndAConnectionBeforeItIsUsed(): void
    {
        // The first answer is followed by one that nobody asked for, a moment later.
        $daemon = new ScriptedDaemon(["+one\r\n", ["+two\r\n", 0.0], "+three\r\n"]);
        $client = new Client($daemon->socket());
        $this->assertSame('one', $client->call('PING'));
        $stream = (new \ReflectionProperty($client, 'stream'))->getValue($client);
        fwrite($stream, "*1\r\n$4\r\nPING\r\n");
        usleep(100_000);
        $this->assertSame('three', $client->call('PING'));
    }

    public function testAPersistentConnectionOfARequestThatWasCutOffGivesNobodyItsReply(): void
    {
        // The reply may be there already, come later, or have been read by half.
        foreach ([0.0, 0.3] as $wait) {
            foreach ([0, 5] as $read) {
                $daemon = new ScriptedDaemon(["+warm\r\n", ["$9\r\nann\r\n\$3\r\n\r\n", $wait], "$3\r\nbob\r\n", "$3\r\neve\r\n"]);
                $cut = new Client($daemon->socket(), 2.0, persistent: true);
                $this->assertSame('warm', $cut->call('GET', 'warm'));
                // The request ends here: by exit, by a fatal error.
                $stream = (new \ReflectionProperty($cut, 'stream'))->getValue($cut);
                fwrite($stream, "*2\r\n$3\r\nGET\r\n$3\r\nann\r\n");
                if ($read > 0) {
                    fread($stream, $read);
                }
                unset($cut);
                $next = new Client($daemon->socket(), 2.0, persistent: true);
                $this->assertSame('bob', $next->call('GET', 'bob'));
                $this->assertSame($stream, (new \ReflectionProperty($next, 'stream'))->getValue($next));
                $this->assertSame('eve', $next->call('GET', 'eve'));
                $next->close();
            }
        }
    }

    public function testAPersistentConnectionIsClosedAfterAFault(): void
    {
        $daemon = new ScriptedDaemon(["+one\r\n", "-UNAVAILABLE x\r\n", "+two\r\n"]);
        [$one, $two] = [new Client($daemon->socket(), 2.0, true), new Client($daemon->socket(), 2.0, true)];
        $this->assertSame('one', $one->call('PING'));
        try {
            $two->call('PING');
            $this->fail('that was an answer');
        } catch (Unavailable) {
        }
        // The connection of both is gone.
        $this->assertSame('two', $one->call('PING'));
        $one->close();
    }

    public function testAnObjectThatAskedBeforeReadsNothingThatAnotherLeft(): void
    {
        $daemon = new ScriptedDaemon(["+one\r\n", "+two\r\n", ["$3\r\nann\r\n", 0.3], "$3\r\nbob\r\n", "$3\r\neve\r\n"]);
        [$one, $two] = [new Client($daemon->socket(), 2.0, true), new Client($daemon->socket(), 2.0, true)];
        $this->assertSame(['one', 'two'], [$one->call('PING'), $two->call('PING')]);
        // Here the second is cut off.
        fwrite((new \ReflectionProperty($two, 'stream'))->getValue($two), "*2\r\n$3\r\nGET\r\n$3\r\nann\r\n");
        $this->assertSame(['bob', 'eve'], [$one->call('GET', 'bob'), $one->call('GET', 'eve')]);
        $one->close();
    }

    /** Where a signal comes before the first bytes of ann's reply, its handler runs before the others have come. */
    private static function answersInPieces(string $folder): string
    {
        $server = stream_socket_server("unix://$folder/tokencached.sock");
        if (pcntl_fork() !== 0) {
            return "$folder/tokencached.sock";
        }
        $hello = "%1\r\n$5\r\nproto\r\n:3\r\n";
        $first = stream_socket_accept($server);
        fread($first, 8192);
        fwrite($first, "$hello+PONG\r\n");
        fread($first, 8192);
        usleep(2_000_000);
        fwrite($first, "*1\r\n");
        $second = @stream_socket_accept($server, 3);
        if ($second !== false) {
            fread($second, 8192);
            fwrite($second, "$hello$3\r\nbob\r\n");
        }
        @fwrite($first, "$3\r\nann\r\n");
        usleep(500_000);
        // Nothing of PHPUnit's runs twice.
        posix_kill(posix_getpid(), SIGKILL);
        return '';
    }

    public function testAnAlarmInTheMiddleOfAQuestionClosesTheConnection(): void
    {
        $program = new Program();
        $client = new Client(self::answersInPieces($program->folder), 4.0);
        $client->call('PING');
        pcntl_async_signals(true);
        pcntl_signal(SIGALRM, static fn () => throw new \RuntimeException('alarm'));
        pcntl_alarm(1);
        try {
            $client->call('GET', 'ann');
            $this->fail('there was no alarm');
        } catch (\RuntimeException $error) {
            $this->assertSame('alarm', $error->getMessage());
        } finally {
            pcntl_signal(SIGALRM, SIG_DFL);
        }
        $this->assertSame('bob', $client->call('GET', 'bob'));
        pcntl_wait($status);
    }

    public function testAQuestionInTheMiddleOfAnotherHasItsOwnAnswer(): void
    {
        $program = new Program();
        $client = new Client(self::answersInPieces($program->folder), 4.0);
        $client->call('PING');
        pcntl_async_signals(true);
        pcntl_signal(SIGALRM, static function () use ($client, &$inner): void {
            $inner = $client->call('GET', 'bob');
        });
        pcntl_alarm(1);
        $this->assertSame([['ann'], 'bob'], [$client->call('GET', 'ann'), $inner]);
        pcntl_signal(SIGALRM, SIG_DFL);
        pcntl_wait($status);
    }

    public function testWhatIsAskedBehindExitIsNotAnsweredByTheQuestionThatItCutOff(): void
    {
        foreach (['false', 'true'] as $persistent) {
            $program = new Program();
            [$code, $socket] = [dirname(__DIR__) . '/autoload.php', self::answersInPieces($program->folder)];
            $script = "require '$code'; \$client = new TokenCache\\Client('$socket', 4.0, $persistent);" . '
                $client->call("PING");
                register_shutdown_function(static function () use ($client): void {
                    echo json_encode($client->call("GET", "bob"));
                });
                pcntl_async_signals(true);
                pcntl_signal(SIGALRM, static fn () => exit);
                pcntl_alarm(1);
                $client->call("GET", "ann");';
            exec(PHP_BINARY . ' -r ' . escapeshellarg($script) . ' 2>&1', $lines);
            $this->assertSame(['"bob"'], $lines);
            $lines = [];
            pcntl_wait($status);
        }
    }
}
