#| The feedback site's HTTP side, the same for both workers: requests in, pages and JSON out. Where tokens and captchas
#| live is the worker's business.
unit module Feedback;

use TokenCache;
use TokenCache::FastCGI;
use TokenCache::Middleware;
use TokenCache::Request;

#| Bytes of a request's body that are read; a feedback is short.
constant MAX-BODY = 16_384;
#| Of a page that was sent to itself.
constant MARK = 'again=1';

#| The pages, cut at their {{places}}: text and name in turn. A regex for each request would cost most of its time.
my %pages = <feedback.html captcha.svg>.map: -> $name {
    my @pieces = $?FILE.IO.parent(3).add("pages/$name").slurp.split(/ '{{' (\w+) '}}' /, :v);
    $name => @pieces.map({ $_ ~~ Match ?? ~.[0] !! $_ }).list
};

#| What the browser sent. The token is the cookie's, or the header's where a front end keeps its token itself; then the newest
#| that is known.
class Visit is export {
    has Str $.route;
    has Str $.query;
    has %.fields;
    has Str $.token;
    #| The last reply with a token: the response, whatever it will be, hands it on.
    has %.given;
    has Bool $.keeps-token;
    has Str $.frontend;
    has Str $.site;
    has Str $.mode;

    #| What the daemon replies about the visitor goes through here.
    method note(%reply --> Hash) {
        ($!token, %!given) = %reply<sessiontoken>, |%reply with %reply<sessiontoken>;
        %reply
    }

    #| The address of the page itself: its query, and the mark as a parameter of its own. Undefined where the mark is there:
    #| once is enough. A page leaves the mark out of its own links.
    method once-more(--> Str) {
        return Str if $!query.split('&').first(MARK).defined;
        '?' ~ ($!query ?? "$!query&" !! '') ~ MARK
    }

    method of(TokenCache::Request $request --> Visit) {
        my $header = $request.header('X-Session-Token') // '';
        Visit.new(
            route       => "$request.method() $request.path()",
            query       => $request.query,
            fields      => $request.form,
            token       => $header || $request.cookie('__Host-tc'),
            keeps-token => ?$header,
            frontend    => $request.header('X-Frontend-Token') // '',
            site        => $request.header('Sec-Fetch-Site') // '',
            mode        => $request.header('Sec-Fetch-Mode') // '',
        )
    }
}

#| Serves until mod_fcgid ends the process. Each function gets the visit:
#|   page    returns frontend, captcha, name, or again, and the browser is sent there
#|   picture returns the letters of the field c, or an undefined value
#|   api     returns what is sent as JSON
#| TokenCache::Unavailable is answered 503: nobody knows. Anything else that is thrown is 500.
sub serve-feedback(:&page!, :&picture!, :&api!) is export {
    serve :max-body(MAX-BODY), -> $request {
        my $visit = Visit.of($request);
        headed(handed-on($visit, response-to($visit, &page, &picture, &api)))
    }
}

sub response-to(Visit $visit, |functions) {
    CATCH {
        note .message;
        when TokenCache::Unavailable {
            # A script reads its answer as JSON.
            my %body = $visit.route.starts-with('POST /api/') ?? (json => %( error => 'try again' )) !! (body => "try again\n");
            return %( status => 503, type => 'text/plain', retry => True, |%body )
        }
        default { return %( status => 500, type => 'text/plain', body => "an error\n" ) }
    }
    answer($visit, |functions)
}

sub answer(Visit $visit, &page, &picture, &api) {
    given $visit.route {
        when 'GET /feedback' {
            my %page = page($visit);
            return %( status => 303, type => 'text/plain', body => '', location => %page<again> ) if %page<again>;
            %( type => 'text/html; charset=utf-8', body => filled('feedback.html', %page) )
        }
        when 'GET /captcha' {
            my $letters = picture($visit);
            return %( status => 404, type => 'text/plain', body => "null captcha\n" ) without $letters;
            my %places = $letters.comb.pairs.map({ ~.key => .value });
            %( type => 'image/svg+xml', body => filled('captcha.svg', %places) )
        }
        when /^ 'POST /api/' (captcha | feedback | renew | session) $/ {
            my %reply = api($visit, ~$0);
            %( status => (%reply<error> ?? 403 !! 200), json => %reply )
        }
        default { %( status => 404, type => 'text/plain', body => "not found\n" ) }
    }
}

#| A cookie's successor goes into the cookie, out of reach of scripts; a front end that keeps its token gets it as a field.
sub handed-on(Visit $visit, %response) {
    if $visit.keeps-token || $visit.route eq 'POST /api/session' {
        %response<json><sessiontoken> = $_ with %response<json> && $visit.given<sessiontoken>;
    } else {
        %response<set-cookie> = TokenCache.set-cookie($visit.given);
    }
    %response<type body> = 'application/json', json(%response<json>) if %response<json>;
    %response
}

sub filled(Str $name, %values) {
    %pages{$name}.map(-> $text, $place = Str { $text ~ escaped($place.defined ?? %values{$place} // '' !! '') }).join
}

#| A flat object of strings; an undefined value is null.
sub json(%fields) {
    my @members = %fields.sort.map: { json-string(.key) ~ ':' ~ (.value.defined ?? json-string(~.value) !! 'null') };
    '{' ~ @members.join(',') ~ '}'
}

sub json-string(Str $text) {
    '"' ~ $text.subst(/ <["\\] + :Cc> /, { .NFC.map({ sprintf '\\u%04x', $_ }).join }, :g) ~ '"'
}

sub headed(%response) {
    my %headers = Content-Type => %response<type>, Cache-Control => 'no-store',
        # Which of the processes it was.
        X-Worker => $*PID;
    %headers<Retry-After> = 1 if %response<retry>;
    %headers<Location>   = $_ with %response<location>;
    %headers<Set-Cookie> = $_ with %response<set-cookie>;
    %( status => %response<status> // 200, :%headers, body => %response<body> )
}
