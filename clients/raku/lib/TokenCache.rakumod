#| A client of tokencached for a worker that serves one request at a time: one connection over the Unix socket, kept open.
#| It belongs to one thread and does not lock. RESP2, as the daemon speaks it to whoever does not say HELLO.
unit class TokenCache;

use NativeCall;

#| Nobody knows the answer: keep the visitor's cookie, answer 503. The connection is closed by then, so that a late reply
#| cannot answer the next question; the next call connects anew.
class Unavailable is Exception {
    has Str $.why;
    method message(--> Str) { "unavailable: $!why" }
}

#| The daemon understood the call and will never carry it out (ERR, NOPERM): the caller is to be fixed, or gave more data than
#| a session may have. The cookie stays here, too.
class Mistake is Exception {
    has Str $.why;
    method message(--> Str) { $!why }
}

#| A reply longer than this, or nested deeper, is not one of the daemon's.
constant MAX-LENGTH  = 1_048_576;
constant MAX-NESTING = 4;
#| What is received at once.
constant PIECE = 16_384;
#| A longer path does not go into sockaddr_un.
constant MAX-PATH = 107;

# Of Linux, the only system that the daemon runs on. Rakudo's own sockets know no time-out, and block while they connect.
constant AF_UNIX      = 1;
constant SOCK_STREAM  = 1;
constant SOCK_CLOEXEC = 0o2000000;
constant SOL_SOCKET   = 1;
constant SO_RCVTIMEO  = 20;
constant SO_SNDTIMEO  = 21;
constant MSG_NOSIGNAL = 0x4000;

sub socket(int32, int32, int32 --> int32) is native {*}
sub setsockopt(int32, int32, int32, Blob, uint32 --> int32) is native {*}
sub connect-to(int32, Blob, uint32 --> int32) is native is symbol('connect') {*}
sub send-bytes(int32, Blob, size_t, int32 --> ssize_t) is native is symbol('send') {*}
sub receive-bytes(int32, Blob, size_t, int32 --> ssize_t) is native is symbol('recv') {*}
sub close-descriptor(int32 --> int32) is native is symbol('close') {*}

has Str $.path = '/run/tokencached/tokencached.sock';

#| Seconds for a call, connecting included; longer than the daemon's redis.timeout (250ms), so that the daemon's own answer
#| comes first.
has Numeric $.timeout = 2;

has Int $!descriptor;
has Buf $!received;
has Int $!position;
has Instant $!deadline;

submethod TWEAK() {
    die 'timeout takes a number of seconds above 0' unless $!timeout > 0;
    die "path takes 1 to {MAX-PATH} bytes" unless 0 < $!path.IO.absolute.encode.bytes <= MAX-PATH && $!path;
}

#| Sends a command, for example ask('TOKEN.VALIDATE', $token), and returns the fields of its reply as a hash. Replies that
#| do not accept the token are answers, too. Throws Unavailable, Mistake.
method ask(*@words --> Hash) { self!call(@words, &fields) }

#| The same for TOKEN.LIST, whose reply is a list of such hashes.
method ask-list(*@words --> List) { self!call(@words, -> @maps { @maps.map(&fields).List }) }

#| The same for any other reply (PING, TOKEN.COUNT): text, a number, or a list, as it came.
method ask-value(*@words) { self!call(@words, { $_ }) }

#| As ask, about a token. A reply about an accepted token names its session; otherwise it answers somebody else's question.
#| For the commands whose reply speaks of the token sent: VISIT, VALIDATE, SET, GET, GETDEL, INCR, EXPIRE, ROTATE.
method ask-about(Str $command, Str $token, *@words --> Hash) {
    my %fields = self.ask($command, $token, |@words);
    my $sid = sid-of($token);
    self!give-up('the reply is about another session') if %fields<accepted> && $sid.defined && %fields<sid> ne $sid;
    %fields
}

#| The value of Set-Cookie for a reply, undefined where the cookie stays as it is: whenever sessiontoken is in a reply, and
#| only then. The middleware calls it by itself. A cookie named __Host-… is for HTTPS, any other for http://localhost.
method set-cookie(%fields, Str $name = '__Host-tc' --> Str) {
    return Str without %fields<sessiontoken>;
    my $age = %fields<max_age>.defined ?? "; Max-Age=%fields<max_age>" !! '';
    "$name=%fields<sessiontoken>$age" ~ attributes($name)
}

#| The value of Set-Cookie that takes the cookie away: after a REVOKE that answered revoked.
method removal(Str $name = '__Host-tc' --> Str) { "$name=; Max-Age=0" ~ attributes($name) }

sub attributes(Str $name) { '; Path=/' ~ ($name.starts-with('__Host-') ?? '; Secure' !! '') ~ '; HttpOnly; SameSite=Lax' }

#| Ends the connection; the next call makes a new one.
method close() {
    close-descriptor($_) with $!descriptor;
    $!descriptor = Nil
}

submethod DESTROY() { self.close }

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

method !call(@words, &read) {
    $!deadline = now + $!timeout;
    my $answer = try {
        self!connect without $!descriptor;
        self!send: request(@words);
        read(self!read-reply(0))
    };
    return $answer without $!;
    self!give-up($!.message) unless $! ~~ Mistake;
    self.close;
    $!.rethrow
}

method !give-up(Str $why) {
    self.close;
    Unavailable.new(:$why).throw
}

method !connect() {
    $!received = Buf.new;
    $!position = 0;
    $!descriptor = socket(AF_UNIX, SOCK_STREAM +| SOCK_CLOEXEC, 0);
    die 'no socket' if $!descriptor < 0;
    # struct sockaddr_un: the family and the path.
    my $address = Buf.new;
    $address.write-int16(0, AF_UNIX);
    $address.append: |$!path.IO.absolute.encode, 0;
    # A daemon that stands still takes connections until its queue is full; then connecting waits, too.
    self!allow(SO_SNDTIMEO);
    die "nobody listens at $!path" if connect-to($!descriptor, $address, $address.bytes) < 0;
}

#| Lets the system wait until the deadline, and no longer.
method !allow(Int $direction) {
    my $left = $!deadline - now;
    die 'no reply in time' if $left <= 0;
    # struct timeval: seconds, microseconds. Zero would mean for ever.
    my $time = Buf.new;
    $time.write-int64(0, $left.Int);
    $time.write-int64(8, max(1, (($left - $left.Int) * 1_000_000).Int));
    die 'no time-out on this socket' if setsockopt($!descriptor, SOL_SOCKET, $direction, $time, 16) < 0;
}

method !send(Blob $bytes is copy) {
    loop {
        self!allow(SO_SNDTIMEO);
        my $count = send-bytes($!descriptor, $bytes, $bytes.bytes, MSG_NOSIGNAL);
        die 'the connection ended' if $count <= 0;
        return if $count == $bytes.bytes;
        $bytes = $bytes.subbuf($count);
    }
}

#| An array of bulk strings. utf8-c8, so that bytes which are no UTF-8 stay what they are.
sub request(@words --> Blob) {
    my $bytes = "*{+@words}\r\n".encode('ascii');
    for @words {
        my $word = .Str.encode('utf8-c8');
        $bytes = $bytes ~ "\$$word.bytes()\r\n".encode('ascii') ~ $word ~ "\r\n".encode('ascii');
    }
    $bytes
}

method !read-reply(Int $nesting) {
    die 'the reply is nested too deep' if $nesting > MAX-NESTING;
    my $line = self!read-line;
    my $rest = $line.substr(1);
    given $line.substr(0, 1) {
        when '$' { $rest eq '-1' ?? Str !! self!read-bytes(length($rest)).decode('utf8-c8') }
        when ':' { $rest.Int }
        when '*' { [(^length($rest)).map: { self!read-reply($nesting + 1) }] }
        when '+' { $rest }
        when '-' { $rest ~~ / ^ [ERR|NOPERM] >> / ?? Mistake.new(why => $rest).throw !! die $rest }
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
        my $bytes := $!received;
        my int $end = $bytes.elems - 1;
        while $at < $end {
            if $bytes[$at] == 13 {
                my $line = $bytes.subbuf($!position, $at - $!position).decode('latin-1');
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
    self!allow(SO_RCVTIMEO);
    my $bytes = buf8.allocate(PIECE);
    my $count = receive-bytes($!descriptor, $bytes, PIECE, 0);
    die $count < 0 && now >= $!deadline ?? 'no reply in time' !! 'the connection ended' if $count <= 0;
    $!received = $!received.subbuf($!position).append($bytes.subbuf(0, $count));
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
