#| Puts sessions in front of an application: a request in, a response out, and the rules for people kept in between.
#|
#| An application is a function of a request and its session that returns a hash:
#|   status   200 by default
#|   headers  name → value, or a list of values
#|   body     text, which goes out as UTF-8, or a Blob
unit class TokenCache::Middleware;

use TokenCache;
use TokenCache::Request;
use TokenCache::Session;

#| Of a page that was sent to itself, a parameter of its own.
constant MARK = 'again=1';
#| Seconds until somebody who was told 503 should come again.
constant RETRY-AFTER = 1;
#| A longer cookie is none of the daemon's; nor is `SID`, a word of the commands.
constant MAX-TOKEN = 4096;
#| Bytes; the daemon refuses a longer one, and the browser's name is the visitor's to write.
constant MAX-SIGNAL = 4096;

has TokenCache $.client is required;

#| The cookie's name. One without __Host- is for development on http://localhost, and is refused anywhere else.
has Str $.cookie = '__Host-tc';

#| The name of the site's forms.
has Str $.form = 'site';

#| The fields of the session's data that each request needs.
has @.data;

#| Signals that bind tokens, for a daemon whose binding.ip or binding.ua is on: a function of the request that returns
#| ip => …, ua => …; an undefined ip is left out. A browser without a name is bound to that: where the daemon wants the signal,
#| nobody could log in without it
has &.bind = -> $ { () };

#| Takes what a site's operator should read: faults, and exceptions of the application.
has &.log = -> $text { note $text };

submethod TWEAK() {
    die 'cookie takes a name of letters, digits, - and _' unless $!cookie ~~ / ^ <[A..Za..z0..9_-]>+ $ /;
}

#| The application with sessions: a function of a request.
method wrap(&application --> Callable) { -> TokenCache::Request $request { self.respond($request, &application) } }

method respond(TokenCache::Request $request, &application --> Hash) {
    my $token = $request.cookie($!cookie);
    my $session = TokenCache::Session.new(
        :$!client, :$request, :$!form, token => $token.chars <= MAX-TOKEN && $token.lc ne 'sid' ?? $token !! '',
        bind => &!bind($request).grep({ .key eq 'ua' || .value.defined })
            .map({ 'BIND', .key, begin-of(~(.value // ''), MAX-SIGNAL) }).flat);
    my %response = self!answer($request, $session, &application);
    # Names of headers in one spelling.
    my %headers = (%response<headers> // {}).map({ .key.split('-').map(*.tclc).join('-') => .value });
    my $status = %response<status> // 200;
    # On a 503 and a 500 as well: a later fault takes back no token that was given. Of this name there is no other beside it.
    with $session.set-cookie($!cookie) {
        %headers<Set-Cookie> = [|(%headers<Set-Cookie> // ()).grep(!*.starts-with("$!cookie=")), $_];
    }
    # No cache may give somebody else this visitor's cookie or form, nor a moment's fault later on.
    %headers<Cache-Control> = 'no-store' if $session.is-personal || $status == 503;
    %headers<Cache-Control> //= 'no-store';
    %( :$status, :%headers, body => %response<body> // '' )
}

method !answer($request, $session, &application) {
    CATCH {
        when TokenCache::Unavailable {
            &!log(.message);
            return plain(503, 'Try again in a moment.', Retry-After => RETRY-AFTER)
        }
        when TokenCache::NotAccepted {
            with once-more($request) { return $_ }
            &!log(.message);
            return plain(409, 'Try again in a moment.', Retry-After => RETRY-AFTER)
        }
        default {
            &!log(.gist);
            return plain(500, 'An error.')
        }
    }
    die "a cookie called $!cookie is for http://localhost alone: elsewhere HTTPS, and a name that begins with __Host-"
        unless $!cookie.starts-with('__Host-') || $request.is-local;
    $session.visit(@!data);
    # The browser holds a newer token than the one it sent.
    with $session.is-outrun ?? once-more($request) !! Nil { return $_ }
    application($request, $session)
}

# Lets a page come again, once. The query stays, and so does the path, whatever it is; a page leaves the mark out of its own links.
sub once-more($request) {
    return Nil if $request.is-unsafe || ($request.header('Sec-Fetch-Mode') || 'navigate') ne 'navigate';
    my $query = $request.query;
    return Nil if $query.split('&').first(MARK).defined;
    redirect('?' ~ ($query ?? "$query&" !! '') ~ MARK)
}

# So much of a text as has that many bytes, in whole characters.
sub begin-of(Str $text, Int $most --> Str) {
    my $bytes = $text.encode('utf8-c8');
    return $text if $bytes.bytes <= $most;
    my $end = $most;
    # Of a character of UTF-8 all bytes but the first are such; it has three of them at most.
    $end-- while $bytes[$end] +& 0xC0 == 0x80 && $end > $most - 3;
    $bytes.subbuf(0, $end).decode('utf8-c8')
}

sub plain(Int $status, Str $text, *%headers) {
    %( :$status, headers => %( Content-Type => 'text/plain; charset=utf-8', |%headers ), body => "$text\n" )
}

#| A page of HTML.
sub page(Str $html, Int :$status = 200 --> Hash) is export {
    %( :$status, headers => %( Content-Type => 'text/html; charset=utf-8' ), body => $html )
}

#| To another address, asked for by GET: the end of every form that was carried out.
sub redirect(Str $address --> Hash) is export { %( status => 303, headers => %( Location => $address ), body => '' ) }

#| Text for a page.
sub escaped(Str $text --> Str) is export { $text.subst(/ <[&<>"']> /, { "&#{.ord};" }, :g) }
