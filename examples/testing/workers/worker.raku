# The site of ../../raku as a worker of crowd.py, which says what a line is: raku worker.raku SOCKET
use lib $?FILE.IO.parent(3).add('raku/lib'), $?FILE.IO.parent(4).add('clients/raku/lib');
use Site;
use TokenCache;
use TokenCache::Middleware;
use TokenCache::Request;

sub MAIN(Str $socket) {
    my &answer = TokenCache::Middleware.new(client => TokenCache.new(path => $socket)).wrap(&site);
    $*OUT.out-buffer = 0;
    for $*IN.lines -> $line {
        my ($method, $path, $query, $cookies, $mode, $csrf, $name, $password) = $line.split("\t");
        my %response = answer TokenCache::Request.new(
            body => "csrf=$csrf&name=$name&password=$password".encode, variables => %(
                REQUEST_METHOD => $method, PATH_INFO => $path, QUERY_STRING => $query, HTTP_COOKIE => $cookies,
                CONTENT_TYPE => 'application/x-www-form-urlencoded', HTTP_SEC_FETCH_SITE => 'same-origin', HTTP_SEC_FETCH_MODE => $mode));
        my @words = %response<status>, %response<headers><Set-Cookie>[0], %response<headers><Location>, %response<body>;
        put @words.map({ ($_ // '').Str.trans(["\t", "\n"] => [' ', ' ']) }).join("\t");
    }
}
