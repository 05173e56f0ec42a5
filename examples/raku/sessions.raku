#!/usr/bin/raku
# A visitor's life with the site beside this file, printed:
#
#     raku sessions.raku /run/tokencached/tokencached.sock
use lib $?FILE.IO.parent.add('lib'), $?FILE.IO.parent(3).add('clients/raku/lib');
use Site;
use TokenCache;
use TokenCache::Middleware;
use TokenCache::Request;

my &answer;
# What the browser holds, and the form of the page that it shows.
my ($jar, $csrf) = '', '';

# Sends a request with the cookie that the browser held when it was made, and follows redirects.
sub go($what, $method is copy, $path is copy, $cookies is copy, *%form is copy) {
    my @marks;
    my $query = '';
    loop {
        my $body = %form.map({ "{.key}={.value}" }).join('&').encode;
        my %response = answer TokenCache::Request.new(:$body, variables => %(
            REQUEST_METHOD => $method, PATH_INFO => $path, QUERY_STRING => $query, HTTP_COOKIE => $cookies,
            CONTENT_TYPE => 'application/x-www-form-urlencoded', HTTP_SEC_FETCH_SITE => 'same-origin', HTTP_SEC_FETCH_MODE => 'navigate'));
        if %response<status> == 503 {
            note "503 Service Unavailable: %response<body>";
            exit 1;
        }
        with %response<headers><Set-Cookie> {
            $jar = $cookies = .[0].split(';')[0];
            $jar = $cookies = '' if $jar.ends-with('=');
            @marks.push: $jar ?? 'cookie set' !! 'cookie deleted';
        }
        @marks.push: 'the form again' if %response<body>.contains('send it again');
        without %response<headers><Location> {
            $csrf = ~(%response<body> ~~ / 'name="csrf" value="' <( <-["]>* )> /);
            say "$what: {%response<body> ~~ / '<b>' <( .*? )> '</b>' /}, {@marks.join(', ') || 'cookie kept'}";
            return;
        }
        $method = 'GET';
        %form = ();
        # A query alone leaves the path as it is.
        (my $next, $query) = |%response<headers><Location>.split('?'), '';
        $path = $next if $next;
        @marks.push: 'asked to come again' if $query;
    }
}

sub MAIN(Str $socket) {
    &answer = TokenCache::Middleware.new(client => TokenCache.new(path => $socket), log => -> $ {}).wrap(&site);
    my %ann = name => 'ann', password => 'apple';
    go 'first visit', 'GET', '/', $jar;
    go 'second visit', 'GET', '/', $jar;
    my ($before, $sent) = $jar, $csrf;
    go 'a forged form', 'POST', '/login', $jar, csrf => 'forged', |%ann;
    go 'login', 'POST', '/login', $jar, :$csrf, |%ann;
    # The second click was sent with the cookie of before; so was the request of another tab.
    go 'second click', 'POST', '/login', $before, csrf => $sent, |%ann;
    go 'late request', 'GET', '/', $before;
    go 'visit after login', 'GET', '/', $jar;
    go 'logout', 'POST', '/logout', $jar, :$csrf;
    go 'after logout', 'GET', '/', $jar;
}
