# The client before a daemon that does what the test says.
use v5.26;
use warnings;
use experimental 'signatures';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Support;
use Test::More;
use Time::HiRes qw(sleep time);
use TokenCache::Client;
use TokenCache::Error;

my $SID = 'ab' x 16;
my $TOKEN = $SID . '0' x 96;

sub client ($answer, %options) { return TokenCache::Client->new(socket => scripted($answer), %options) }

# What a call dies with.
sub error_of ($call) { return eval { $call->(); 1 } ? undef : $@ }

subtest 'one connection, and each question has its own reply' => sub {
    my $client = client(sub ($number, $command, $word) { resp("$number $word") });
    is $client->ask('ECHO', "w$_"), "1 w$_" for 1 .. 20;
};

subtest 'a late reply does not answer the next question' => sub {
    my $client = client(sub ($number, $command, $word) { sleep 1 if $word eq 'first'; resp($word) }, timeout => 0.5);
    my $started = time;
    ok +TokenCache::Unavailable->caught(error_of(sub { $client->ask('ECHO', 'first') })), 'no answer in time';
    cmp_ok time - $started, '<', 0.9, 'the time-out is kept';
    sleep 0.7;
    is $client->ask('ECHO', 'second'), 'second';
};

subtest 'an alarm of the worker in the middle of a question closes the connection' => sub {
    my $client = client(sub ($number, $command, $word) { sleep 1.5 if $word eq 'first'; resp($word) });
    local $SIG{ALRM} = sub { die "alarm\n" };
    Time::HiRes::alarm(0.2);
    is error_of(sub { $client->ask('ECHO', 'first') }), "alarm\n";
    sleep 1.4;
    is $client->ask('ECHO', 'second'), 'second';
};

subtest 'an error reply is the error that it says, and closes the connection' => sub {
    my $client = client(sub ($number, $command, $word) { $word eq 'bad' ? "-UNAVAILABLE Redis is out of reach\r\n" : resp("$number") });
    my $error = error_of(sub { $client->ask('ECHO', 'bad') });
    ok +TokenCache::Unavailable->caught($error);
    is "$error", 'UNAVAILABLE Redis is out of reach';
    is $error->status, 503;
    is $client->ask('ECHO', 'next'), 2, 'another connection';
    ok +TokenCache::CommandError->caught(error_of(sub { client(sub { "-ERR unknown command\r\n" })->ask('NONSENSE') })), 'ERR is a fault of the call';
};

subtest 'a reply about another session is nobody\'s, and the connection is closed' => sub {
    my $client = client(sub ($number, @) { resp({ status => 'valid', accepted => \1, sid => $number == 1 ? 'cd' x 16 : $SID }) });
    like error_of(sub { $client->ask_about('TOKEN.VALIDATE', $TOKEN) }), qr/another session/;
    is $client->ask_about('TOKEN.VALIDATE', $TOKEN)->{sid}, $SID;
    for my $written (uc $TOKEN, "0x$TOKEN", "0X$TOKEN", MIME::Base64::encode_base64url(pack 'H*', $TOKEN)) {
        is TokenCache::Client::sid_of($written), $SID, substr $written, 0, 4;
    }
    is TokenCache::Client::sid_of($_), undef for "0x${TOKEN}0", "$TOKEN\n", 'g' x 128, '+' x 86, 'x' x 85;
    my $guest = 'e30.' . MIME::Base64::encode_base64url(qq({"jti":"$SID","iat":1})) . '.c2ln';
    is TokenCache::Client::sid_of($guest), $SID, 'a guest\'s stands in its claims';
    like error_of(sub { client(sub { resp({ status => 'valid', accepted => \1, sid => 'cd' x 16 }) })->ask_about('TOKEN.VISIT', $guest) }), qr/another session/;
    like error_of(sub { client(sub { "+OK\r\n" })->ask_about('TOKEN.VISIT', '') }), qr/no answer about a token/;
};

subtest 'a connection that was closed while nobody asked costs no question' => sub {
    my $client = client(sub ($number, $command, $word) { $word eq 'last' ? resp($word) . resp('what nobody asked for') : resp("$number") });
    is $client->ask('ECHO', 'last'), 'last';
    sleep 0.2;
    is $client->ask('ECHO', 'x'), 2, 'nor does one on which something came unasked';
    like error_of(sub { client(sub { undef })->ask('PING') }), qr/closed the connection/;
    like error_of(sub { TokenCache::Client->new(socket => '/nonexistent/d.sock')->ask('PING') }), qr/not reached: No such file/;
};

subtest 'a process that was forked makes a connection of its own' => sub {
    my $client = client(sub ($number, @) { resp("$number") });
    is $client->ask('PING'), 1;
    $client->close;
    is $client->ask('PING'), 2;
    # The scripted daemon serves one connection at a time: the child closes the kept one first.
    my $parents = delete local $client->{connection};
    my $child = open(my $out, '-|') // die "fork: $!\n";
    if (!$child) {
        $client->{connection} = { %$parents };
        print TokenCache::Client::_is_fresh($client->{connection}) ? 'kept' : 'left';
        POSIX::_exit(0) unless close STDOUT;
        POSIX::_exit(0);
    }
    is scalar <$out>, 'left';
    waitpid $child, 0;
};

subtest 'replies, however their bytes are cut' => sub {
    my $bytes = "%2\r\n\$6\r\nstatus\r\n\$5\r\nvalid\r\n\$4\r\ndata\r\n%1\r\n\$3\r\nk\r\n\r\n\$3\r\n\xc3\xa4\n\r\n";
    my $client = client(sub ($number, $command, @) {
        return $bytes if $command eq 'WHOLE';
        return "\$1\r\n\xff\r\n" if $command eq 'INVALID';
        return "*4\r\n:-7\r\n*0\r\n_\r\n:9223372036854775807\r\n";
    });
    is_deeply $client->ask('WHOLE'), { status => 'valid', data => { "k\r\n" => "ä\n" } };
    is $client->ask('INVALID'), "\x{fffd}", 'bytes that are no UTF-8';
    is_deeply $client->ask('OTHER'), [-7, [], undef, '9223372036854775807'];
    socketpair my $ours, my $theirs, Socket::AF_UNIX(), Socket::SOCK_STREAM(), 0 or die "socketpair: $!\n";
    $ours->blocking(0);
    my $child = fork // die "fork: $!\n";
    if (!$child) {
        for (split //, $bytes) { syswrite $theirs, $_; sleep 0.002 }
        POSIX::_exit(0);
    }
    my $connection = { socket => $ours, buffer => '', at => 0, process => $$ };
    is_deeply TokenCache::Client::_reply($connection, TokenCache::Client::_now() + 20), { status => 'valid', data => { "k\r\n" => "ä\n" } }, 'byte by byte';
    waitpid $child, 0;
};

for my $bytes ("\$-1\r\n", "\$99999999999\r\n", ":+1\r\n", "\$1\r\nab\r\n", "HTTP/1.1 400\r\n", "*1\r\n" x 9, 'x' x 70_000, "%9999999\r\n", "\r\n") {
    my $name = substr($bytes, 0, 15) =~ s/\r\n/|/gr;
    ok +TokenCache::Unavailable->caught(error_of(sub { client(sub { $bytes }, timeout => 1)->ask('PING') })), "no RESP3: $name";
}

subtest 'what the daemon would hang up on is not sent' => sub {
    my $client = client(sub ($number, $command, $word) { resp("$number $word") });
    is $client->ask('ECHO', 'ä'), '1 ä', 'characters are UTF-8 on the wire';
    ok +TokenCache::CommandError->caught(error_of(sub { $client->ask('ECHO', 'x' x 200_000) }));
    ok +TokenCache::CommandError->caught(error_of(sub { $client->ask(('x') x 1025) }));
    is $client->ask('ECHO', 'y'), '1 y', 'the connection is kept';
};

for my $options ([socket => 'd.sock'], [timeout => 0], [timeout => '2s'], [timeout => 61], [sokket => '/x']) {
    ok defined error_of(sub { TokenCache::Client->new(@$options) }), "refused: @$options";
}

done_testing;
