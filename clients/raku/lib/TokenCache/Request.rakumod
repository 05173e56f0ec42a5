#| An HTTP request as a web server hands it on: CGI's variables and a body.
unit class TokenCache::Request;

#| Name → value, one character for each byte (latin-1), as CGI has them: REQUEST_METHOD, HTTP_COOKIE, …
has %.variables;
has Blob $.body = Blob.new;

has %!form;
has Bool $!is-parsed;

method method(--> Str) { %!variables<REQUEST_METHOD> // 'GET' }

#| Whether it may change something: whatever is not GET, HEAD or OPTIONS.
method is-unsafe(--> Bool) { not self.method eq 'GET' | 'HEAD' | 'OPTIONS' }

#| Decoded, without the query.
method path(--> Str) {
    %!variables<PATH_INFO> ?? text(%!variables<PATH_INFO>) !! decoded((%!variables<REQUEST_URI> // '/').split('?')[0])
}

#| What stands behind the question mark, as it came.
method query(--> Str) { %!variables<QUERY_STRING> // '' }

#| A header; an undefined text if there is none.
method header(Str $name --> Str) {
    my $variable = $name.uc.trans('-' => '_');
    text(%!variables{"HTTP_$variable"} // %!variables{$variable} // return Str)
}

#| What the browser says of where the request comes from: Sec-Fetch-Site, or of older browsers what Origin means. Undefined where
#| it says neither.
method site(--> Str) {
    with self.header('Sec-Fetch-Site') { return $_ if $_ }
    my $origin = self.header('Origin') // return Str;
    $origin.lc.split('://').tail eq (%!variables<HTTP_HOST> // '').lc ?? 'same-origin' !! 'cross-site'
}

#| The value of a cookie, empty if there is none.
method cookie(Str $name --> Str) {
    for (%!variables<HTTP_COOKIE> // '').split(';') {
        my ($key, $value) = .trim.split('=', 2);
        return $value // '' if $key eq $name;
    }
    ''
}

#| The fields of a form that was sent (application/x-www-form-urlencoded) and of the query, which it goes before.
method form(--> Hash) {
    return %!form if $!is-parsed;
    $!is-parsed = True;
    my $is-form = (self.header('Content-Type') // '').lc.starts-with('application/x-www-form-urlencoded');
    %!form = (self.query, $is-form ?? $!body.decode('latin-1') !! '').map(&pairs-of).flat
}

#| Whether the browser was sent here by http://localhost or an address of this machine.
method is-local(--> Bool) {
    my $host = (%!variables<HTTP_HOST> // %!variables<SERVER_NAME> // '').lc.subst(/ ':' \d+ $ /, '');
    so $host ~~ / ^ [ [.* '.']? 'localhost' | '127.' <[\d.]>+ | '[::1]' ] $ /
}

sub pairs-of(Str $text) {
    $text.split('&', :skip-empty).map: {
        my ($name, $value) = .split('=', 2);
        decoded($name.trans('+' => ' ')) => decoded(($value // '').trans('+' => ' '))
    }
}

# Percent-encoding stands for bytes: hence one character for each byte, and UTF-8 only at the end.
sub decoded(Str $text --> Str) {
    text($text.contains('%') ?? $text.subst(/ '%' (<xdigit> ** 2) /, { chr :16(~$0) }, :g) !! $text)
}

# What is no UTF-8 stays what it is.
sub text(Str $bytes --> Str) { $bytes.encode('latin-1').decode('utf8-c8') }
