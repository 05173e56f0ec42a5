# The feedback site's HTTP side, the same for both workers: requests in, pages and JSON out. Where tokens and captchas live
# is the worker's business, as three functions.
package Feedback;
use strict;
use warnings;
use FCGI;
use File::Basename qw(dirname);
use JSON::PP;
use lib dirname(__FILE__) . '/../../perl';
use Sessions;

# Bytes of a request's body that are read; a feedback is short.
use constant MAX_BODY => 16_384;

my $pages = dirname(__FILE__) . '/../pages';
my $json  = JSON::PP->new->canonical;

# Serves until mod_fcgid ends the process. Each function gets the request:
#   page    returns { frontend, captcha, name }, and sessiontoken, max_age where the browser is to have a new one;
#           or { again }, and the browser is sent to the same page once
#   picture returns the letters of $request->{fields}{c}, or nothing
#   api     returns what is sent as JSON; sessiontoken in it goes back the way the old one came
# A Sessions::Unavailable is answered 503: nobody knows, and the cookie stays. Any other death is 500.
sub serve {
    my %functions = @_;
    my %environment;
    my $fcgi = FCGI::Request(\*STDIN, \*STDOUT, \*STDERR, \%environment);
    while ($fcgi->Accept >= 0) {
        my $response = eval { answer(\%functions, request(\%environment)) };
        if (!$response) {
            my $unavailable = ref $@;
            print STDERR $unavailable ? "unavailable: $@->{why}\n" : $@;
            $response = $unavailable
                ? { status => 503, type => 'text/plain', body => "try again\n", headers => ['Retry-After: 1'] }
                : { status => 500, type => 'text/plain', body => "an error\n" };
        }
        send_out($response);
    }
}

# The token is the cookie's, or the header's where a front end keeps its token itself.
sub request {
    my ($environment) = @_;
    my $body = '';
    my $length = $environment->{CONTENT_LENGTH} || 0;
    read STDIN, $body, $length < MAX_BODY ? $length : MAX_BODY;
    my ($cookie) = ($environment->{HTTP_COOKIE} // '') =~ /(?:^|;\s*)__Host-tc=([^;\s]*)/;
    my $header = $environment->{HTTP_X_SESSION_TOKEN};
    return {
        route       => "$environment->{REQUEST_METHOD} " . ($environment->{PATH_INFO} // ''),
        fields      => { map { fields_of($_) } $environment->{QUERY_STRING} // '', $body },
        token       => $header // $cookie // '',
        holds_token => defined $header,
        again       => scalar(($environment->{QUERY_STRING} // '') =~ /\bagain=/),
        frontend    => $environment->{HTTP_X_FRONTEND_TOKEN} // '',
        site        => $environment->{HTTP_SEC_FETCH_SITE} // '',
        mode        => $environment->{HTTP_SEC_FETCH_MODE} // '',
    };
}

sub fields_of {
    my ($text) = @_;
    return map {
        my ($name, $value) = map { tr/+/ /r =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger } split(/=/, $_, 2), '';
        ($name => $value);
    } grep { length } split /&/, $text;
}

sub answer {
    my ($functions, $request) = @_;
    if ($request->{route} eq 'GET /feedback') {
        my $page = $functions->{page}->($request);
        return { status => 303, type => 'text/plain', body => '', headers => ['Location: /feedback?again=1'] } if $page->{again};
        return {
            type => 'text/html; charset=utf-8', cookie => $page,
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
        my %response = (status => $reply->{error} ? 403 : 200, type => 'application/json');
        # A cookie's successor goes into the cookie, out of reach of scripts.
        my $token = { map { $_ => delete $reply->{$_} } qw(sessiontoken max_age) };
        if ($request->{holds_token} || $1 eq 'session') {
            $reply->{sessiontoken} = $token->{sessiontoken} if defined $token->{sessiontoken};
        } else {
            $response{cookie} = $token;
        }
        return { %response, body => $json->encode($reply) };
    }
    return { status => 404, type => 'text/plain', body => "not found\n" };
}

sub filled {
    my ($name, %values) = @_;
    open my $file, '<:raw', "$pages/$name" or die "$name: $!";
    local $/;
    return <$file> =~ s/\{\{(\w+)\}\}/$values{$1} \/\/ ''/ger;
}

sub escaped { return $_[0] =~ s/([&<>"'])/'&#' . ord($1) . ';'/ger }

sub send_out {
    my ($response) = @_;
    my @headers = (
        'Status: ' . ($response->{status} // 200), "Content-Type: $response->{type}", 'Cache-Control: no-store',
        # Which of the processes it was.
        "X-Worker: $$", @{ $response->{headers} // [] });
    my $set_cookie = Sessions::set_cookie($response->{cookie} // {}, '__Host-tc');
    push @headers, "Set-Cookie: $set_cookie" if defined $set_cookie;
    print join("\r\n", @headers), "\r\n\r\n", $response->{body};
}

1;
