#| A FastCGI responder over libfcgi (Debian: libfcgi0ldbl): mod_fcgid hands the process a listening socket as descriptor 0.
unit module FastCGI;

use NativeCall;

constant LIBRARY = 'libfcgi.so.0';

sub FCGX_Accept(Pointer $in is rw, Pointer $out is rw, Pointer $error is rw, Pointer $parameters is rw --> int32)
    is native(LIBRARY) {*}
sub FCGX_GetParam(Str $name, Pointer $parameters --> Str) is native(LIBRARY) {*}
sub FCGX_GetStr(Blob $bytes, int32 $count, Pointer $stream --> int32) is native(LIBRARY) {*}
sub FCGX_PutStr(Blob $bytes, int32 $count, Pointer $stream --> int32) is native(LIBRARY) {*}

#| One request; good until the block that serve called with it returns.
class Request is export {
    has Pointer $.in is required;
    has Pointer $.out is required;
    has Pointer $.parameters is required;

    #| A CGI variable, such as REQUEST_METHOD; empty if there is none.
    method parameter(Str $name --> Str) { FCGX_GetParam($name, $!parameters) // '' }

    #| The body, up to so many bytes.
    method body(Int $limit --> Blob) {
        my $length = min($limit, self.parameter('CONTENT_LENGTH').Int // 0);
        my $bytes = buf8.allocate($length);
        my $count = FCGX_GetStr($bytes, $length, $!in);
        $bytes.subbuf(0, $count)
    }

    method send(Blob $bytes) { FCGX_PutStr($bytes, $bytes.bytes, $!out) }
}

#| Calls the block with each request until the web server ends the process. A request is over when the next is awaited.
sub serve(&block) is export {
    loop {
        my ($in, $out, $error, $parameters) = Pointer.new xx 4;
        last if FCGX_Accept($in, $out, $error, $parameters) < 0;
        block(Request.new(:$in, :$out, :$parameters));
    }
}
