# The feedback site's HTTP side, the same for both workers: requests in, pages and JSON out. Where tokens and captchas live
# is the worker's business, as three functions.
package Feedback;
use strict;
use warnings;
use Encode qw(decode encode);
use FCGI;
use File::Basename qw(dirname);
use JSON::PP;
use lib dirname(__FILE__) . '/../../../clients/perl/lib';
use TokenCache::Cookie;
use TokenCache::Error;

# Bytes of a request's body that are read; a feedback is short.
use constant MAX_BODY => 16_384;

my $pages = dirname(__FILE__) . '/../pages';
my $json  = JSON::PP->new->utf8->canonical;
# Called __Host-tc: for HTTPS.
my $cookie = TokenCache::Cookie->new('tc', 0);

# Of a page that was sent to itself.
use constant MARK => 'again=1';

# Serves until mod_fcgid ends the process. Each function gets the request:
#   page    returns { frontend, captcha, name }, or { again }, and the browser is sent to the same page once
#   picture returns the letters of $request->{fields}{c}, or nothing
#   api     returns what is sent as JSON
# What the daemon replies about the visitor goes through `note`.
# A TokenCache::Unavailable is answered 503: nobody knows. Any other death is 500.
sub serve {
    my %functions = @_;
    my %environment;
    my $fcgi = FCGI::Request(\*STDIN, \*STDOUT, \*STDERR, \%environment);
    while ($fcgi->Accept >= 0) {
        my $request = request(\%environment);
        my $response = eval { answer(\%functions, $request) };
        if (!$response) {
            print STDERR $@ =~ s/\n*\z/\n/r;
            $response = TokenCache::Unavailable->caught($@)
                ? unavailable($request) : { status => 500, type => 'text/plain', body => "an error\n" };
        }
        send_out($request, $response);
    }
}

# A script reads its answer as JSON.
sub unavailable {
    my ($request) = @_;
    my $body = $request->{route} =~ m{\APOST /api/} ? { json => { error => 'try again' } } : { body => "try again\n" };
    return { status => 503, type => 'text/plain', headers => ['Retry-After: 1'], %$body };
}

# Two rules keep themselves: the request goes on with the newest token that is known, and the response, whatever it will be,
# hands on that of the last reply that had one.
sub note {
    my ($request, $reply) = @_;
    @$request{qw(token given)} = ($reply->{sessiontoken}, $reply) if defined $reply->{sessiontoken};
    return $reply;
}

# The token is the cookie's, or the header's where a front end keeps its token itself.
sub request {
    my ($environment) = @_;
    my $body = '';
    my $length = $environment->{CONTENT_LENGTH} || 0;
    read STDIN, $body, $length < MAX_BODY ? $length : MAX_BODY;
    my $header = $environment->{HTTP_X_SESSION_TOKEN};
    return {
        route       => "$environment->{REQUEST_METHOD} " . ($environment->{PATH_INFO} // ''),
        fields      => { map { fields_of($_) } $environment->{QUERY_STRING} // '', $body },
        token       => $header // $cookie->token_in($environment->{HTTP_COOKIE}),
        holds_token => defined $header,
        query       => $environment->{QUERY_STRING} // '',
        frontend    => $environment->{HTTP_X_FRONTEND_TOKEN} // '',
        site        => $environment->{HTTP_SEC_FETCH_SITE} // '',
        mode        => $environment->{HTTP_SEC_FETCH_MODE} // '',
    };
}

# In characters, as the client takes and gives them.
sub fields_of {
    my ($text) = @_;
    return map {
        my ($name, $value) = map { decode('UTF-8', tr/+/ /r =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger) } split(/=/, $_, 2), '';
        ($name => $value);
    } grep { length } split /&/, $text;
}

sub answer {
    my ($functions, $request) = @_;
    if ($request->{route} eq 'GET /feedback') {
        my $page = $functions->{page}->($request);
        return { status => 303, type => 'text/plain', body => '', headers => ["Location: $page->{again}"] } if $page->{again};
        return {
            type => 'text/html; charset=utf-8',
            body => filled('feedback.html', map { $_ => escaped($page->{$_} // '') } qw(frontend captcha name)),
        };
    }
    if ($request->{route} eq 'GET /captcha') {
        my $letters = $functions->{picture}->($request);
        return { status => 404, type => 'text/plain', body => "null captcha\n" } unless defined $letters;
        my $place = 0;
        my %places = map { $place++ => escaped($_) } split //, $letters;
        return { type => 'image/svg+xml', body => filled('captcha.svg', %places) };
    }
    if ($request->{route} =~ m{\APOST /api/(captcha|feedback|renew|session)\z}) {
        my $reply = $functions->{api}->($request, $1);
        return { status => $reply->{error} ? 403 : 200, json => $reply };
    }
    return { status => 404, type => 'text/plain', body => "not found\n" };
}

# The address of the page itself: its query, and the mark as a parameter of its own. Nothing where the mark is there: once is
# enough. A page leaves the mark out of its own links.
sub once_more {
    my ($query) = @_;
    return undef if grep { $_ eq MARK } split /&/, $query;
    return '?' . join '&', length $query ? $query : (), MARK;
}

sub filled {
    my ($name, %values) = @_;
    open my $file, '<:encoding(UTF-8)', "$pages/$name" or die "$name: $!";
    local $/;
    return encode('UTF-8', <$file> =~ s/\{\{(\w+)\}\}/$values{$1} \/\/ ''/ger);
}

sub escaped { return $_[0] =~ s/([&<>"'])/'&#' . ord($1) . ';'/ger }

sub send_out {
    my ($request, $response) = @_;
    my ($given, $set_cookie) = ($request->{given} // {});
    # A cookie's successor goes into the cookie, out of reach of scripts; a front end that keeps its token gets it as a field.
    if ($request->{holds_token} || $request->{route} eq 'POST /api/session') {
        $response->{json}{sessiontoken} = $given->{sessiontoken} if $response->{json} && $given->{sessiontoken};
    } else {
        $set_cookie = $cookie->of($given) if $given->{sessiontoken};
    }
    @$response{qw(type body)} = ('application/json', $json->encode($response->{json})) if $response->{json};
    my @headers = (
        'Status: ' . ($response->{status} // 200), "Content-Type: $response->{type}", 'Cache-Control: no-store',
        # Which of the processes it was.
        "X-Worker: $$", @{ $response->{headers} // [] });
    push @headers, "Set-Cookie: $set_cookie" if defined $set_cookie;
    print join("\r\n", @headers), "\r\n\r\n", $response->{body};
}

1;
