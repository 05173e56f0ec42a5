#| A client of tokencached for a worker that serves one request at a time: one connection over the Unix socket, kept open.
#| It belongs to one thread and does not lock. RESP2, as the daemon speaks it to whoever does not say HELLO.
unit class TokenCache;

use NativeCall;
# For speed, in few places: the same methods of Str and Blob look for the encoding by its name at every call, and split one line at a time.
use nqp;

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

#| The visitor's token ended while the request was served, or was only good for this page: nothing was read or written, and the
#| browser has a newer one, or is about to. To be tried again.
class NotAccepted is Exception {
    #| What the daemon calls it: revoked, replayed, …
    has Str $.status;
    method message(--> Str) { "the visitor's token is not good any more ($!status): to be tried again with the newer one" }
}

#| A reply longer than this, or nested deeper, is not one of the daemon's.
constant MAX-LENGTH  = 1_048_576;
constant MAX-NESTING = 4;
#| What is received at once.
constant PIECE = 16_384;
#| The system's time-outs are set anew where they are off by more seconds than this.
constant SLACK = 0.01e0;
#| The lines before texts of so many bytes: these are made once.
constant HEADS = (^256).map({ '$' ~ $_ }).eager;
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
constant POLLIN       = 1;
constant CLOCK_MONOTONIC = 1;

sub socket(int32, int32, int32 --> int32) is native {*}
sub setsockopt(int32, int32, int32, Blob, uint32 --> int32) is native {*}
sub connect-to(int32, Blob, uint32 --> int32) is native is symbol('connect') {*}
sub send-bytes(int32, Blob, size_t, int32 --> ssize_t) is native is symbol('send') {*}
sub receive-bytes(int32, Blob, size_t, int32 --> ssize_t) is native is symbol('recv') {*}
sub poll(Blob, ulong, int32 --> int32) is native {*}
sub close-descriptor(int32 --> int32) is native is symbol('close') {*}
sub clock_gettime(int32, Blob --> int32) is native {*}

has Str $.path = '/run/tokencached/tokencached.sock';

#| Seconds for a call, connecting included; longer than the daemon's redis.timeout (250ms), so that the daemon's own answer
#| comes first.
has Numeric $.timeout = 2;

has Int $!descriptor;
has Buf $!piece = buf8.allocate(PIECE);
# What came: by lines, a character for each byte, the last of which is not whole yet; and how many of them were read.
has $!lines;
has int $!at;
# Whether all of it is ASCII: then a line is the text that it stands for.
has Bool $!is-plain;
# On the system's clock that nobody sets, in seconds.
has num $!deadline;
has Buf $!clock = buf8.allocate(16);
# How long the system waits, in each direction of this connection.
has num $!sends-for;
has num $!receives-for;

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
    my %fields := self.ask($command, $token, |@words);
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

#| The sid that stands in a token: of a session its first 16 bytes, of a guest the claim jti. Undefined where there is none.
sub sid-of(Str $token --> Str) {
    # For speed, as nearly all tokens are written.
    return $token.substr(0, 32).lc if $token.chars == 128 && !$token.contains('.');
    return $token.substr(2, 32).lc if $token ~~ / ^ 0 <[xX]> <[0..9a..fA..F]> ** 128 $ /;
    if $token.chars == 86 {
        with bytes-of($token.substr(0, 24)) { return .list.head(16).fmt('%02x', '') }
    }
    my @parts = $token.split('.');
    return Str if @parts != 3 || @parts[1].chars < 56;
    # The claims begin with {"jti":" and 32 hex digits, 40 bytes.
    my $claims = (bytes-of(@parts[1].substr(0, 56)) // return Str).decode('latin-1');
    $claims ~~ / ^ '{"jti":"' (<[0..9a..f]> ** 32) / ?? ~$0 !! Str
}

#| What base64url stands for, in whole groups: four characters are three bytes. Undefined where it is none.
sub bytes-of(Str $text --> Blob) {
    constant DIGITS = ('A'..'Z', 'a'..'z', '0'..'9', '-', '_').flat.antipairs.hash;
    my int @bytes;
    my int $bits = 0;
    for $text.comb.kv -> $place, $character {
        my $value = DIGITS{$character} // return Blob;
        $bits = $bits * 64 + $value;
        if $place % 4 == 3 {
            @bytes.push($bits div 65536);
            @bytes.push($bits div 256 % 256);
            @bytes.push($bits % 256);
            $bits = 0;
        }
    }
    Blob.new(@bytes)
}

method !call(@words, &read) {
    $!deadline = self!seconds + $!timeout.Num;
    my $answer = try {
        self.close if $!descriptor.defined && !self!is-silent;
        self!connect without $!descriptor;
        self!send: request(@words);
        my $reply = self!read-reply(0);
        die 'the daemon sent more than was asked' if $!at < $!lines.end || $!lines.AT-POS($!at) ne '';
        read($reply)
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
    $!lines := ('',);
    $!at = 0;
    $!is-plain = True;
    # Less than any time: not set.
    $!sends-for = $!receives-for = -1e0;
    $!descriptor = socket(AF_UNIX, SOCK_STREAM +| SOCK_CLOEXEC, 0);
    die 'no socket' if $!descriptor < 0;
    # struct sockaddr_un: the family and the path.
    my $address = Buf.new;
    $address.write-int16(0, AF_UNIX);
    $address.append: |$!path.IO.absolute.encode, 0;
    # A daemon that stands still takes connections until its queue is full; then connecting waits, too.
    $!sends-for = self!allow(SO_SNDTIMEO, $!sends-for);
    die "nobody listens at $!path" if connect-to($!descriptor, $address, $address.bytes) < 0;
}

#| Whether nothing came on a kept connection, not even its end: one that the daemon has closed can be read from.
method !is-silent(--> Bool) {
    # struct pollfd: the descriptor, what is asked about it, room for the answer.
    my $question = buf8.allocate(8);
    $question.write-int32(0, $!descriptor);
    $question.write-int16(4, POLLIN);
    poll($question, 1, 0) == 0
}

method !seconds(--> Num) {
    # struct timespec: seconds, nanoseconds.
    clock_gettime(CLOCK_MONOTONIC, $!clock);
    $!clock.read-int64(0).Num + $!clock.read-int64(8).Num / 1e9
}

#| Lets the system wait until the deadline, and no longer. As yet it waits for that long; returns for how long it will.
method !allow(Int $direction, num $waits --> Num) {
    my num $left = $!deadline - self!seconds;
    die 'no reply in time' if $left <= 0e0;
    # Most calls have all of their time before them, as those before them had.
    return $waits if $left - SLACK < $waits && $waits < $left + SLACK;
    # struct timeval: seconds, microseconds. Zero would mean for ever.
    my $time = Buf.new;
    $time.write-int64(0, $left.Int);
    $time.write-int64(8, max(1, (($left - $left.Int) * 1e6).Int));
    die 'no time-out on this socket' if setsockopt($!descriptor, SOL_SOCKET, $direction, $time, 16) < 0;
    $left
}

method !send(Blob $bytes is copy) {
    loop {
        $!sends-for = self!allow(SO_SNDTIMEO, $!sends-for);
        my $count = send-bytes($!descriptor, $bytes, $bytes.bytes, MSG_NOSIGNAL);
        die 'the connection ended' if $count <= 0;
        return if $count == $bytes.bytes;
        $bytes = $bytes.subbuf($count);
    }
}

#| An array of bulk strings.
sub request(@words --> Blob) {
    # All at once, as if each character were a byte: then as many bytes come out as there are characters, and line ends, which are one
    # character of two bytes.
    my $lines := nqp::list_s('*' ~ @words.elems);
    my str $word;
    my int $at = 0;
    my int $count = @words.elems;
    while $at < $count {
        $word = @words.AT-POS($at).Str;
        nqp::push_s($lines, HEADS.AT-POS(nqp::chars($word)) // '$' ~ nqp::chars($word));
        nqp::push_s($lines, $word);
        $at = $at + 1;
    }
    nqp::push_s($lines, '');
    my str $text = nqp::join("\r\n", $lines);
    my $bytes := nqp::encode($text, 'utf8', buf8.new);
    return $bytes if $bytes.elems == nqp::chars($text) + 1 + 2 * $count;
    # utf8-c8, so that bytes which are no UTF-8 stay what they are.
    my $slow = "*{+@words}\r\n".encode;
    for @words {
        my $word = .Str.encode('utf8-c8');
        $slow = $slow ~ "\$$word.bytes()\r\n".encode ~ $word ~ "\r\n".encode;
    }
    $slow
}

method !read-reply(Int $nesting) {
    die 'the reply is nested too deep' if $nesting > MAX-NESTING;
    my $line = self!read-line;
    my $kind = $line.substr(0, 1);
    my $rest = $line.substr(1);
    return self!read-list(length($rest), $nesting + 1) if $kind eq '*';
    return $rest eq '-1' ?? Str !! self!read-text(length($rest)) if $kind eq '$';
    return number($rest) if $kind eq ':';
    return $rest if $kind eq '+';
    die 'the reply is not RESP' if $kind ne '-';
    $rest ~~ / ^ [ERR|NOPERM] >> / ?? Mistake.new(why => $rest).throw !! die $rest
}

method !read-list(Int $count, Int $nesting) {
    # For speed: no block in the loop has variables of its own, or is left early; so none of them is called.
    my $elements := IterationBuffer.new;
    my int $left = $count;
    my int $at = $!at;
    my $lines := $!lines;
    my $line;
    my $next;
    while $left > 0 {
        $line := $at + 1 < $lines.elems ?? $lines.AT-POS($at) !! '';
        $next := $at + 2 < $lines.elems ?? $lines.AT-POS($at + 1) !! Str;
        if $next.defined && $line eq (HEADS.AT-POS($next.chars) // '$' ~ $next.chars) {
            # A text that is there as a whole: its end follows.
            $elements.push($!is-plain ?? $next !! text($next));
            $at = $at + 2;
        }
        elsif $line.starts-with(':') {
            $elements.push(number($line.substr(1)));
            $at = $at + 1;
        }
        else {
            $!at = $at;
            $elements.push(self!read-reply($nesting));
            $at = $!at;
            $lines := $!lines;
        }
        $left = $left - 1;
    }
    $!at = $at;
    $elements.List
}

sub length(Str $digits --> Int) {
    my $length = number($digits);
    0 <= $length <= MAX-LENGTH ?? $length !! die 'the reply has no length, or is too long'
}

#| As it is written, and no other way: no blank, no zero before it.
sub number(Str $digits --> Int) {
    my $number = $digits.Int;
    $number.defined && $number.Str eq $digits ?? $number !! die 'a number of the reply is none'
}

#| The text that a line's bytes stand for; utf8-c8, so that bytes which are no UTF-8 stay what they are.
sub text(Str $line --> Str) { $line.encode('latin-1').decode('utf8-c8') }

method !read-line(--> Str) {
    self!receive until $!at < $!lines.end;
    my $line = $!lines.AT-POS($!at);
    $!at = $!at + 1;
    $line
}

method !read-text(Int $length --> Str) {
    # It may have line ends in it, which are two bytes.
    my @parts = self!read-line;
    my int $bytes = @parts[0].chars;
    while $bytes < $length {
        @parts.push: self!read-line;
        $bytes = $bytes + 2 + @parts.tail.chars;
    }
    die 'a text of the reply has another length than it says' if $bytes != $length;
    my $all = @parts.join("\r\n");
    $!is-plain ?? $all !! text($all)
}

#| The next piece, as lines behind those that are there.
method !receive() {
    $!receives-for = self!allow(SO_RCVTIMEO, $!receives-for);
    my $count = receive-bytes($!descriptor, $!piece, PIECE, 0);
    # The system may have waited for a little less than what was left.
    die $count < 0 && self!seconds >= $!deadline - SLACK ?? 'no reply in time' !! 'the connection ended' if $count <= 0;
    my str $piece = nqp::decode(nqp::decont($!piece.subbuf(0, $count)), 'iso-8859-1');
    my $open = $!lines.AT-POS($!lines.end);
    die 'the reply is too long' if $open.chars > MAX-LENGTH;
    my $was-read = $!at == $!lines.end;
    # Each character that is no ASCII is two bytes in UTF-8.
    $!is-plain = nqp::elems(nqp::encode($piece, 'utf8', buf8.new)) == $count && ($was-read && $open eq '' || $!is-plain);
    # A line's end may have come by halves: two characters until they meet.
    if $open.ends-with("\r") {
        $open = $open.chop;
        $piece = "\r" ~ $piece;
    }
    my $new := nqp::hllize(nqp::split("\r\n", $piece));
    $new := ($open ~ $new.head, |$new.skip) if $open ne '';
    if $was-read {
        $!lines := $new;
        $!at = 0;
    }
    else {
        $!lines := (|$!lines.head($!lines.end).skip($!at), |$new);
        $!at = 0;
    }
}

#| The pairs of a map as a hash; a map in it is one of its own.
sub fields(@pairs --> Hash) {
    die 'the reply is no map' unless @pairs %% 2;
    my %fields;
    my int $at = 0;
    my int $end = @pairs.elems;
    while $at < $end {
        my $name := @pairs.AT-POS($at);
        my $value := @pairs.AT-POS($at + 1);
        die 'the reply is no map' unless $name ~~ Str:D;
        %fields.ASSIGN-KEY($name, $value ~~ Positional ?? fields($value) !! $value);
        $at = $at + 2;
    }
    %fields
}
