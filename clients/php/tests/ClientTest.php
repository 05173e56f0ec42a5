<?php
declare(strict_types=1);

namespace TokenCache\Tests;

use TokenCache\Client;
use TokenCache\InvalidCommand;
use TokenCache\Unavailable;

/** The client before a real daemon. */
final class ClientTest extends TestCase
{
    private function client(float $timeout = 2.0): Client
    {
        return new Client(self::daemon()->socket(), $timeout);
    }

    public function testMapsListsNumbersAndTextAreWhatTheyAreInPHP(): void
    {
        $client = $this->client();
        $reply = $client->call('TOKEN.LOGIN', '', 'ann', 'DATA', 'theme', "dark\r\n\0ü");
        $this->assertSame('issued', $reply['status']);
        $this->assertSame(1, $reply['accepted']);
        $this->assertMatchesRegularExpression('/\A[0-9a-f]{128}\z/', $reply['sessiontoken']);
        $this->assertSame(['theme' => "dark\r\n\0ü"], $client->call('TOKEN.GET', $reply['sessiontoken'])['data']);
        $this->assertSame($reply['sid'], $client->call('TOKEN.LIST', 'ann')[0]['sid']);
        $this->assertSame(1, $client->call('TOKEN.COUNT', 'ann'));
        $this->assertSame('PONG', $client->call('PING'));
        $this->assertStringStartsWith('# Clients', $client->call('INFO', 'clients'));
    }

    public function testOneConnectionIsKept(): void
    {
        $client = $this->client();
        $this->assertSame($client->call('CLIENT', 'ID'), $client->call('CLIENT', 'ID'));
    }

    public function testWhatTheDaemonRefusesIsSaidAndTheConnectionIsNew(): void
    {
        $client = $this->client();
        $id = $client->call('CLIENT', 'ID');
        try {
            $client->call('TOKEN.LOGIN', '', '');
            $this->fail('an empty user was taken');
        } catch (InvalidCommand $error) {
            $this->assertStringContainsString('1 to 256 bytes', $error->getMessage());
        }
        $this->assertNotSame($id, $client->call('CLIENT', 'ID'));
    }

    public function testAValueOfTheSizeOfASession(): void
    {
        $client = $this->client();
        $token = $client->call('TOKEN.ISSUE')['sessiontoken'];
        $value = random_bytes(60_000);
        $this->assertSame(1, $client->ask('TOKEN.SET', $token, 'DATA', 'blob', $value)['changed']);
        $this->assertSame($value, $client->ask('TOKEN.GET', $token)['data']['blob']);
    }

    public function testADaemonThatWasStartedAnewIsFoundWithoutAFailure(): void
    {
        $daemon = new Daemon();
        $client = new Client($daemon->socket());
        $token = $client->call('TOKEN.ISSUE', 'SUBJECT', 'ann')['sessiontoken'];
        $daemon->stop();
        $daemon->run();
        $this->assertSame('valid', $client->ask('TOKEN.VALIDATE', $token)['status']);
    }

    public function testAPersistentConnectionIsTheNextObjectsToo(): void
    {
        $client = fn (): Client => new Client(self::daemon()->socket(), 2.0, persistent: true);
        $id = $client()->call('CLIENT', 'ID');
        $this->assertSame($id, $client()->call('CLIENT', 'ID'));
        $this->assertSame(['theme' => 'dark'], $client()->call('TOKEN.GET', $client()->call('TOKEN.ISSUE', 'DATA', 'theme', 'dark')
            ['sessiontoken'])['data']);
        $client()->close();
    }

    public function testAPersistentConnectionToADaemonThatWasStartedAnew(): void
    {
        $daemon = new Daemon();
        $client = fn (): Client => new Client($daemon->socket(), 2.0, persistent: true);
        $this->assertSame('PONG', $client()->call('PING'));
        $daemon->stop();
        $daemon->run();
        $this->assertSame('PONG', $client()->call('PING'));
        $client()->close();
    }

    public function testNoDaemonIsUnavailable(): void
    {
        $this->expectException(Unavailable::class);
        $this->expectExceptionMessage('cannot connect to /nowhere/tokencached.sock');
        (new Client('/nowhere/tokencached.sock'))->call('PING');
    }

    public function testARelativePathIsRefused(): void
    {
        $this->expectException(\InvalidArgumentException::class);
        new Client('tokencached.sock');
    }

    public function testAChildOfThisProcessHasAConnectionOfItsOwn(): void
    {
        $client = $this->client();
        $id = $client->call('CLIENT', 'ID');
        [$here, $there] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        $child = pcntl_fork();
        if ($child === 0) {
            fwrite($there, (string) $client->call('CLIENT', 'ID') . "\n");
            // Nothing of PHPUnit's runs twice.
            posix_kill(posix_getpid(), SIGKILL);
        }
        $this->assertNotSame($id, (int) fgets($here));
        pcntl_waitpid($child, $status);
        $this->assertSame($id, $client->call('CLIENT', 'ID'));
    }

    /** @dataProvider tokens */
    public function testTheSidStandsInTheToken(?string $sid, string $token): void
    {
        $this->assertSame($sid, Client::sidOf($token));
    }

    /** @return array<string, array{?string, string}> */
    public static function tokens(): array
    {
        $bytes = random_bytes(64);
        $hex = bin2hex($bytes);
        $sid = substr($hex, 0, 32);
        $claims = rtrim(strtr(base64_encode((string) json_encode(['iat' => 1, 'jti' => $sid])), '+/', '-_'), '=');
        return [
            'hex' => [$sid, $hex],
            'hex in capitals behind 0x' => [$sid, '0x' . strtoupper($hex)],
            'base64url' => [$sid, rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=')],
            'guest' => [$sid, "eyJ.$claims.x"],
            'guest without claims' => [null, 'eyJ.eyJ.x'],
            'line end behind it' => [null, "$hex\n"],
            'nothing' => [null, ''],
        ];
    }
}
