#| A client of tokencached for a worker that serves one request at a time: one connection over the Unix socket, kept open.
#| RESP2, as the daemon speaks it to whoever does not say HELLO.
unit class TokenCache;

use NativeCall;

#| Nobody knows the answer: keep the visitor's cookie, answer 503. The connection is closed by then, so that a late reply
#| cannot answer the next question; the next call connects anew.
class Unavailable is Exception {
    has Str $.why;
    method message(--> Str) { "unavailable: $!why" }
}

#| A reply longer than this, or nested deeper, is not one of the daemon's.
constant MAX-LENGTH  = 1_048_576;
constant MAX-NESTING = 4;

constant SOL_SOCKET  = 1;
constant SO_RCVTIMEO = 20;
constant SO_SNDTIMEO = 21;

sub setsockopt(int32, int32, int32, Blob, uint32 --> int32) is native {*}

has Str $.path is required;

#| Seconds for a call; longer than the daemon's redis.timeout (250ms), so that the daemon's own answer comes first.
has Numeric $.timeout = 2;

has $!socket;
has Buf $!received;
has Int $!position;
has Instant $!deadline;

#| Sends a command, for example ask('TOKEN.VALIDATE', $token), and returns the fields of its reply as a hash. Replies that
#| do not accept the token are answers, too. Throws Unavailable.
method ask(*@words --> Hash) { self!call(@words, &fields) }

#| The same for TOKEN.LIST, whose reply is a list of such hashes.
method ask-list(*@words --> List) { self!call(@words, -> @maps { @maps.map(&fields).List }) }

#| As ask, about a token. A reply about an accepted session token names that session; otherwise it answers somebody else's
#| question. A guest's token does not begin with its sid, so that there is nothing to compare.
method ask-about(Str $command, Str $token, *@words --> Hash) {
    my %fields = self.ask($command, $token, |@words);
    my $names-itself = $token.chars == 128 && !$token.contains('.');
    self.give-up('the reply is about another session')
        if %fields<accepted> && %fields<sid>.defined && $names-itself && %fields<sid> ne $token.substr(0, 32).lc;
    %fields
}

method !call(@words, &read) {
    $!deadline = now + $!timeout;
    my $answer = try {
        self!connect without $!socket;
        $!socket.write(request(@words));
        read(self!read-reply(0))
    };
    self.give-up($!.message) if $!;
    $answer
}

method give-up(Str $why) {
    self.close;
    Unavailable.new(:$why).throw
}

method close() {
    try .close with $!socket;
    $!socket = Nil
}

method !connect() {
    $!received = Buf.new;
    $!position = 0;
    $!socket = IO::Socket::INET.connect($!path, 0, :family(PF_UNIX));
    # Raku's sockets know no time-out; the system's do. struct timeval: seconds, microseconds.
    my $time = Buf.new;
    $time.write-int64(0, $!timeout.Int);
    $time.write-int64(8, (($!timeout - $!timeout.Int) * 1_000_000).Int);
    for SO_RCVTIMEO, SO_SNDTIMEO -> $option {
        die 'no time-out on this socket' if setsockopt($!socket.native-descriptor, SOL_SOCKET, $option, $time, 16);
    }
}

#| An array of bulk strings. utf8-c8, so that bytes which are no UTF-8 stay what they are.
sub request(@words --> Blob) {
    [~] "*{+@words}\r\n".encode('ascii'), |@words.map: {
        my $bytes = .Str.encode('utf8-c8');
        |("\$$bytes.bytes()\r\n".encode('ascii'), $bytes, "\r\n".encode('ascii'))
    }
}

method !read-reply(Int $nesting) {
    die 'the reply is nested too deep' if $nesting > MAX-NESTING;
    my $line = self!read-line;
    my $rest = $line.substr(1);
    given $line.substr(0, 1) {
        when ':' { $rest.Int }
        when '+' { $rest }
        when '-' { die $rest }
        when '$' { $rest eq '-1' ?? Str !! self!read-bytes(length($rest)).decode('utf8-c8') }
        when '*' { [(^length($rest)).map: { self!read-reply($nesting + 1) }] }
        default  { die 'the reply is not RESP' }
    }
}

sub length(Str $digits --> Int) {
    my $length = $digits ~~ /^ \d ** 1..7 $/ ?? $digits.Int !! die 'the reply has no length';
    $length <= MAX-LENGTH ?? $length !! die 'the reply is too long'
}

method !read-line(--> Str) {
    my int $at = $!position;
    loop {
        while $at + 1 < $!received.elems {
            if $!received[$at] == 13 {
                my $line = $!received.subbuf($!position, $at - $!position).decode('latin-1');
                $!position = $at + 2;
                return $line;
            }
            $at = $at + 1;
        }
        die 'the reply is too long' if $at - $!position > MAX-LENGTH;
        # What came before this line is done with.
        $at = $at - $!position;
        self!receive;
    }
}

method !read-bytes(Int $count --> Blob) {
    self!receive while $!received.elems - $!position < $count + 2;
    my $bytes = $!received.subbuf($!position, $count);
    $!position = $!position + $count + 2;
    $bytes
}

method !receive() {
    die 'no reply in time' if now > $!deadline;
    my $bytes = $!socket.recv(:bin);
    die 'the connection ended' unless $bytes.defined && $bytes.elems;
    $!received = $!received.subbuf($!position).append($bytes);
    $!position = 0;
}

#| The pairs of a map as a hash; a map in it is one of its own.
sub fields(@pairs --> Hash) {
    die 'the reply is no map' unless @pairs %% 2;
    my %fields;
    for @pairs -> $name, $value {
        die 'the reply is no map' unless $name ~~ Str:D;
        %fields{$name} = $value ~~ Positional ?? fields($value) !! $value;
    }
    %fields
}
