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

#| As ask, about a token. A reply about an accepted token names its session; otherwise it answers somebody else's question.
method ask-about(Str $command, Str $token, *@words --> Hash) {
    my %fields = self.ask($command, $token, |@words);
    my $sid = sid-of($token);
    self.give-up('the reply is about another session') if %fields<accepted> && $sid.defined && %fields<sid> ne $sid;
    %fields
}

#| The sid that stands in a token: of a session the first 32 digits, of a guest the claim jti.
sub sid-of(Str $token --> Str) {
    my @parts = $token.split('.');
    return $token.chars == 128 ?? $token.substr(0, 32).lc !! Str if @parts != 3;
    # Six bits a character; the claims begin with {"jti":" and 32 hex digits, 40 bytes.
    constant DIGITS = ('A'..'Z', 'a'..'z', '0'..'9', '-', '_').flat.antipairs.hash;
    my $bits = @parts[1].comb.head(56).map({ (DIGITS{$_} // return Str).fmt('%06b') }).join;
    my $claims = $bits.comb(8).map({ .parse-base(2).chr }).join;
    $claims ~~ / ^ '{"jti":"' (<[0..9a..f]> ** 32) / ?? ~$0 !! Str
}

#| The value of Set-Cookie for a reply, undefined where the cookie stays as it is: whenever sessiontoken is in a reply, and
#| only then. A cookie named __Host-… is for HTTPS; on http://localhost it is called tc.
method set-cookie(%fields, Str $name = '__Host-tc' --> Str) {
    return Str without %fields<sessiontoken>;
    my $age = %fields<max_age>.defined ?? "; Max-Age=%fields<max_age>" !! '';
    "$name=%fields<sessiontoken>$age" ~ attributes($name)
}

#| The value of Set-Cookie that takes the cookie away: after a REVOKE that answered revoked.
method removal(Str $name = '__Host-tc' --> Str) { "$name=; Max-Age=0" ~ attributes($name) }

sub attributes(Str $name) { '; Path=/' ~ ($name.starts-with('__Host-') ?? '; Secure' !! '') ~ '; HttpOnly; SameSite=Lax' }

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
    $!socket = IO::Socket::INET.connect($!path.IO.absolute, 0, :family(PF_UNIX));
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
