package TokenCache::Client;
use v5.26;
use warnings;
use experimental 'signatures';
use Encode ();
use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use File::Spec;
use IO::Socket::UNIX;
use MIME::Base64 qw(decode_base64url);
use Socket qw(MSG_NOSIGNAL SOCK_STREAM);
use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime);
use TokenCache::Error;

use constant {
    DEFAULT_SOCKET => '/run/tokencached/tokencached.sock',
    # Longer than the daemon's redis.timeout (250ms), so that the daemon's own answer comes first.
    DEFAULT_TIMEOUT => 2,
    MOST_TIMEOUT    => 60,
    # The daemon's own limits, past which it would close the connection.
    MOST_ARGUMENT => 128 * 1024,
    MOST_WORDS    => 1024,
    # Beyond these a peer is not tokencached.
    MOST_LINE  => 65_536,
    MOST_BULK  => 16 * 1024 * 1024,
    MOST_ITEMS => 1_000_000,
    MOST_DEPTH => 8,
    CHUNK      => 65_536,
};

sub new ($class, %options) {
    my $socket  = delete $options{socket} // DEFAULT_SOCKET;
    my $timeout = delete $options{timeout} // DEFAULT_TIMEOUT;
    die "TokenCache::Client takes socket and timeout, not @{[sort keys %options]}\n" if %options;
    # A relative path would depend on the folder that the worker was started in.
    die "socket takes the absolute path of the daemon's Unix socket\n" unless File::Spec->file_name_is_absolute($socket);
    die "timeout takes seconds, more than 0 and at most ${\MOST_TIMEOUT}\n"
        unless $timeout =~ /\A(?:\d+(?:\.\d*)?|\.\d+)\z/a && $timeout > 0 && $timeout <= MOST_TIMEOUT;
    return bless { socket => $socket, timeout => $timeout }, $class;
}

sub ask ($self, @words) {
    return $self->_ask(sub { undef }, @words);
}

sub ask_about ($self, $command, $token, @words) {
    my $sid = sid_of($token);
    return $self->_ask(sub ($reply) {
        return 'the reply is no answer about a token' unless ref $reply eq 'HASH' && defined $reply->{status};
        return 'the reply is about another session'
            if $reply->{accepted} && defined $sid && $sid ne ($reply->{sid} // '');
        return undef;
    }, $command, $token, @words);
}

sub close ($self) {
    delete $self->{connection};
    return;
}

# The sid that stands in a token: of a session its first 16 bytes, of a guest the claim jti. undef where there is none.
sub sid_of ($token) {
    return lc $1 if $token =~ /\A(?:0x)?([0-9a-f]{32})[0-9a-f]{96}\z/i;
    return unpack 'H32', decode_base64url($token) if $token =~ /\A[\w-]{86}\z/a;
    my ($claims) = $token =~ /\A[^.]+\.([^.]+)\.[^.]+\z/ or return undef;
    return decode_base64url($claims) =~ /\A\{"jti":"([0-9a-f]{32})"/ ? $1 : undef;
}

sub _ask ($self, $fault_of, @words) {
    my $command = _encode(@words);
    # Taken out for as long as the question is open: whatever ends it too early, an alarm of the worker's own, too, the
    # connection does not come back, and no late reply answers the next question.
    my $connection = delete $self->{connection};
    my $deadline = _now() + $self->{timeout};
    undef $connection unless $connection && _is_fresh($connection);
    $connection //= $self->_connect($deadline);
    _write($connection, $command, $deadline);
    my $reply = _reply($connection, $deadline);
    if (ref $reply eq 'SCALAR') {
        my $class = $$reply =~ /\A(?:ERR|NOPERM|NOPROTO)\b/ ? 'TokenCache::CommandError' : 'TokenCache::Unavailable';
        $class->throw($$reply);
    }
    my $fault = $fault_of->($reply);
    _unavailable($fault) if defined $fault;
    $self->{connection} = $connection;
    return $reply;
}

sub _connect ($self, $deadline) {
    my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $self->{socket}, Blocking => 0)
        or _unavailable("the daemon is not reached: $!");
    my $connection = { socket => $socket, buffer => '', at => 0, process => $$ };
    _write($connection, _encode('HELLO', 3), $deadline);
    my $hello = _reply($connection, $deadline);
    _unavailable($$hello) if ref $hello eq 'SCALAR';
    _unavailable('this is no tokencached') unless ref $hello eq 'HASH' && ($hello->{proto} // '') eq '3';
    return $connection;
}

# Whether a kept connection is this process's own, and silent: one that the daemon has closed can be read from.
sub _is_fresh ($connection) {
    return $connection->{process} == $$ && $connection->{buffer} eq '' && !_wait($connection->{socket}, 0, 0);
}

sub _encode (@words) {
    TokenCache::CommandError->throw("ERR a command has at most ${\MOST_WORDS} words") if @words > MOST_WORDS;
    my $bytes = '*' . @words . "\r\n";
    for my $word (@words) {
        utf8::encode(my $text = "$word");
        TokenCache::CommandError->throw("ERR an argument has at most ${\MOST_ARGUMENT} bytes") if length $text > MOST_ARGUMENT;
        $bytes .= '$' . length($text) . "\r\n$text\r\n";
    }
    return $bytes;
}

sub _write ($connection, $bytes, $deadline) {
    while (length $bytes) {
        my $sent = send $connection->{socket}, $bytes, MSG_NOSIGNAL;
        if (defined $sent) {
            substr $bytes, 0, $sent, '';
        } elsif ($!{EAGAIN} || $!{EWOULDBLOCK}) {
            _wait($connection->{socket}, 1, $deadline - _now()) or _unavailable('no answer in time');
        } elsif (!$!{EINTR}) {
            _unavailable("the daemon closed the connection: $!");
        }
    }
    return;
}

sub _reply ($connection, $deadline) {
    my $reply = _read($connection, $deadline, 0);
    substr $connection->{buffer}, 0, $connection->{at}, '';
    $connection->{at} = 0;
    return $reply;
}

# A reply: a map as a hash, an array as one, integers and texts as they are, an error as a reference to its text.
sub _read ($connection, $deadline, $depth) {
    my $rest = _line($connection, $deadline);
    my $kind = substr $rest, 0, 1, '';
    return $rest if $kind eq '+';
    return \$rest if $kind eq '-';
    return undef if $kind eq '_';
    if ($kind eq ':') {
        _unavailable('an integer is none') unless $rest =~ /\A-?(?:0|[1-9]\d*)\z/a;
        return $rest;
    }
    if ($kind eq '$') {
        my $length = _count($rest, MOST_BULK);
        my $bytes = _take($connection, $length + 2, $deadline);
        _unavailable('a text does not end where its length says') unless substr($bytes, $length, 2, '') eq "\r\n";
        return utf8::decode($bytes) ? $bytes : Encode::decode('UTF-8', $bytes);
    }
    _unavailable('a reply of an unknown kind') unless $kind eq '*' || $kind eq '%';
    _unavailable('a reply is nested too deeply') if $depth == MOST_DEPTH;
    my $count = _count($rest, MOST_ITEMS) * ($kind eq '%' ? 2 : 1);
    my @items = map { scalar _read($connection, $deadline, $depth + 1) } 1 .. $count;
    return $kind eq '*' ? \@items : {@items};
}

sub _count ($text, $most) {
    _unavailable("a length is none from 0 to $most") unless $text =~ /\A(?:0|[1-9]\d{0,8})\z/a && $text <= $most;
    return $text;
}

# The next line, without its end. What was read of the buffer stays in it until the reply is whole.
sub _line ($connection, $deadline) {
    my $begin = $connection->{at};
    my $searched = $begin;
    my $end;
    while (($end = index $connection->{buffer}, "\r\n", $searched) < 0) {
        my $length = length $connection->{buffer};
        _unavailable("a line has more than ${\MOST_LINE} bytes") if $length - $begin > MOST_LINE;
        # The last byte may be the first of the two.
        $searched = $length > $begin ? $length - 1 : $begin;
        _fill($connection, $deadline);
    }
    $connection->{at} = $end + 2;
    return substr $connection->{buffer}, $begin, $end - $begin;
}

sub _take ($connection, $length, $deadline) {
    my $begin = $connection->{at};
    my $end = $connection->{at} += $length;
    _fill($connection, $deadline) while length $connection->{buffer} < $end;
    return substr $connection->{buffer}, $begin, $length;
}

sub _fill ($connection, $deadline) {
    while (1) {
        _wait($connection->{socket}, 0, $deadline - _now()) or _unavailable('no answer in time');
        my $got = sysread $connection->{socket}, $connection->{buffer}, CHUNK, length $connection->{buffer};
        return if $got;
        next if !defined $got && ($!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR});
        _unavailable('the daemon closed the connection' . (defined $got ? '' : ": $!"));
    }
}

# Whether a socket can be read from, or written to, within so many seconds.
sub _wait ($socket, $is_write, $seconds) {
    my $end = _now() + $seconds;
    while (1) {
        vec(my $set = '', fileno $socket, 1) = 1;
        my $left = $end - _now();
        my $ready = select $is_write ? undef : $set, $is_write ? $set : undef, undef, $left > 0 ? $left : 0;
        return $ready > 0 if $ready >= 0 || !$!{EINTR};
    }
}

sub _now { return clock_gettime(CLOCK_MONOTONIC) }

sub _unavailable ($why) { TokenCache::Unavailable->throw($why) }

1;

__END__

=encoding utf8

=head1 NAME

TokenCache::Client - asks tokencached over its Unix socket

=head1 SYNOPSIS

    my $client = TokenCache::Client->new(socket => '/run/tokencached/tokencached.sock');
    my $visit = $client->ask_about('TOKEN.VISIT', $token, CSRF => 'site');
    print $visit->{accepted} && length $visit->{subject} ? "user: $visit->{subject}" : 'guest';

=head1 DESCRIPTION

One for a worker process: it keeps one connection, asks one question at a time, and gives the connection up after any
failure, an error reply too. A process that was forked makes one of its own. Texts are characters, on the wire they are
UTF-8. A site is better served by L<Plack::Middleware::TokenCache> or L<TokenCache::CGI>, which know what to do with the
replies.

=head1 METHODS

=head2 new(socket => $path, timeout => $seconds)

The absolute path of the daemon's socket (F</run/tokencached/tokencached.sock>), and how long an answer may take: more
than 0 and at most 60 seconds (2), longer than the daemon's C<redis.timeout>. Nothing is asked yet.

=head2 ask($command, @words)

Sends a command and returns its reply: maps as hash references, arrays as array references. Dies with a
C<TokenCache::Unavailable> where nobody knows the answer, and with a C<TokenCache::CommandError> where the call itself
is refused; see L<TokenCache/ERRORS>.

=head2 ask_about($command, $token, @words)

As C<ask>, about a token. A reply about an accepted token names its session; one of another session answers somebody
else's question, and is C<TokenCache::Unavailable>.

=head2 close

Gives up the connection; a later call makes a new one.

=cut
