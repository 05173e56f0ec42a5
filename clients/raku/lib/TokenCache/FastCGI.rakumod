#| A FastCGI responder over libfcgi (Debian: libfcgi0ldbl), for mod_fcgid, nginx and others.
unit module TokenCache::FastCGI;

use NativeCall;
use TokenCache::Request;

constant LIBRARY = 'libfcgi.so.0';
#| Requests that wait for a worker.
constant BACKLOG = 128;

sub FCGX_Accept(Pointer $in is rw, Pointer $out is rw, Pointer $error is rw, Pointer $variables is rw --> int32)
    is native(LIBRARY) {*}
sub FCGX_OpenSocket(Str $path, int32 $backlog --> int32) is native(LIBRARY) {*}
sub FCGX_GetStr(Blob $bytes, int32 $count, Pointer $stream --> int32) is native(LIBRARY) {*}
sub FCGX_PutStr(Blob $bytes, int32 $count, Pointer $stream --> int32) is native(LIBRARY) {*}
sub dup2(int32, int32 --> int32) is native {*}
sub strlen(Pointer --> size_t) is native {*}
sub memcpy(Blob, Pointer, size_t --> Pointer) is native {*}

#| Calls the function with each request and sends what it returns (see TokenCache::Middleware), until the web server ends the
#| process. The socket is descriptor 0, as mod_fcgid hands it on, or is made at the path `listen`. A longer body than `max-body`
#| bytes is answered 413.
sub serve(&application, Str :$listen, Int :$max-body = 65_536) is export {
    # libfcgi takes requests from descriptor 0.
    with $listen {
        my $descriptor = FCGX_OpenSocket($_, BACKLOG);
        die "no socket at $_" if $descriptor < 0 || dup2($descriptor, 0) < 0;
    }
    loop {
        my ($in, $out, $error, $list) = Pointer.new xx 4;
        # The request before is over by this call.
        last if FCGX_Accept($in, $out, $error, $list) < 0;
        my $bytes = answer(&application, variables($list), $in, $max-body);
        FCGX_PutStr($bytes, $bytes.bytes, $out);
    }
}

sub answer(&application, %variables, Pointer $in, Int $max-body --> Blob) {
    # One bad request does not end the process.
    CATCH {
        default {
            note .gist;
            return encoded %( status => 500, headers => %( Content-Type => 'text/plain' ), body => "An error.\n" )
        }
    }
    my $length = (%variables<CONTENT_LENGTH> // '') ~~ / ^ \d+ $ / ?? %variables<CONTENT_LENGTH>.Int !! 0;
    return encoded %( status => 413, headers => %( Content-Type => 'text/plain' ), body => "Too much.\n" ) if $length > $max-body;
    my $body = buf8.allocate($length);
    my $count = $length ?? FCGX_GetStr($body, $length, $in) !! 0;
    encoded application(TokenCache::Request.new(:%variables, body => $body.subbuf(0, $count)))
}

# NAME=value, up to a null. One character for each byte: what a browser sends need not be UTF-8.
sub variables(Pointer $list --> Hash) {
    my $texts = nativecast(CArray[Pointer], $list);
    my %variables;
    loop (my $index = 0; $texts[$index]; $index++) {
        my $bytes = buf8.allocate(strlen($texts[$index]));
        memcpy($bytes, $texts[$index], $bytes.bytes);
        my ($name, $value) = $bytes.decode('latin-1').split('=', 2);
        %variables{$name} = $value;
    }
    %variables
}

sub encoded(%response --> Blob) {
    my @lines = "Status: %response<status>";
    for %response<headers>.sort {
        for .value.list -> $value {
            # Else a value could begin a header of its own. (A range would miss CR LF, which is one character in Raku.)
            die "a header {.key} of several lines" if "$value" ~~ / <:Cc> /;
            @lines.push: "{.key}: $value";
        }
    }
    my $body = %response<body>;
    (@lines.join("\r\n") ~ "\r\n\r\n").encode('utf8-c8') ~ ($body ~~ Blob ?? $body !! $body.encode('utf8-c8'))
}
