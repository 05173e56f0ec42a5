# What the middlewares share: a session for each request, and its cookie in each response. A request is a PSGI
# environment, which is also what CGI programs find in %ENV; a response is [status, headers, body].
package TokenCache::Sessions;
use v5.26;
use warnings;
use experimental 'signatures';
use Encode ();
use TokenCache::Client;
use TokenCache::Cookie;
use TokenCache::Error;
use TokenCache::Session;

use constant {
    # Of a page that was sent to itself.
    MARK => 'again=1',
    # The longest that BIND ua takes, in bytes.
    MOST_SIGNAL => 4096,
};

my $LOCAL_HOST = qr/\A(?:localhost|[\w-]+\.localhost|127\.0\.0\.1|\[::1\])(?::\d+)?\z/ia;

sub new ($class, %options) {
    my ($client, $cookie, $development, $form, $bind, $data) = delete @options{qw(client cookie development form bind data)};
    # What is left is the client's.
    $client = TokenCache::Client->new(map { defined $options{$_} ? ($_ => $options{$_}) : () } keys %options) unless $client;
    return bless {
        client => $client, development => $development, cookie => TokenCache::Cookie->new($cookie // 'tc', $development),
        form   => $form // 'site', bind => $bind // sub { +{} }, fields => $data // [],
    }, $class;
}

# Asks who sent a request; `csrf` is the token of the form that came with it, undef if none is known yet.
sub visit ($self, $env, $csrf) {
    die "development is for http://localhost: a site that others use has HTTPS, and no development => 1\n"
        if $self->{development} && ($env->{HTTP_HOST} // '') !~ $LOCAL_HOST;
    my $signals = $self->{bind}->($env);
    # A browser without a name is bound to that: where the daemon wants the signal, nobody could log in without it.
    my @bind = map { (BIND => $_, _begin_of($signals->{$_} // '', MOST_SIGNAL)) }
        grep { $_ eq 'ua' ? exists $signals->{ua} : length($signals->{$_} // '') } qw(ip ua);
    return TokenCache::Session->visit(
        client     => $self->{client}, cookie => $self->{cookie}, token => $self->{cookie}->token_in($env->{HTTP_COOKIE}),
        form_name  => $self->{form}, fetch_site => $env->{HTTP_SEC_FETCH_SITE}, fetch_mode => $env->{HTTP_SEC_FETCH_MODE},
        is_foreign => _is_foreign($env), is_post => !_is_get($env), csrf => $csrf,
        bind       => \@bind, fields => $self->{fields});
}

# The way to itself for a page whose browser has a newer token than the one it sent, once; else undef.
sub comes_again ($self, $env) {
    return undef unless _is_get($env) && ($env->{HTTP_SEC_FETCH_MODE} || 'navigate') eq 'navigate';
    my $query = $env->{QUERY_STRING} // '';
    return undef if grep { $_ eq MARK } split /&/, $query;
    # A query alone leaves the path as it is.
    return [303, [Location => '?' . join '&', length $query ? $query : (), MARK], []];
}

# The response to what a site died with, or undef where that is none of ours.
sub answer ($self, $env, $error) {
    return undef unless TokenCache::Unavailable->caught($error) || TokenCache::NotAccepted->caught($error);
    my $again = TokenCache::NotAccepted->caught($error) && $self->comes_again($env);
    return $again || [$error->status, ['Content-Type' => 'text/plain; charset=utf-8', 'Retry-After' => 1], ["try again\n"]];
}

# Puts the visitor's cookie into a response whose head is about to be sent, an error page's, too: a later fault takes
# back no token that was given. `session` may be missing.
sub finish ($self, $session, $response) {
    my ($status, $headers) = @$response;
    my $cookie = $session && $session->set_cookie;
    my $name = $self->{cookie}->name;
    my @kept;
    my $is_cached;
    # Nobody else may be given this visitor's cookie or form, nor a moment's fault later on.
    my $is_personal = !$session || $session->is_personal || $status == 503;
    for (my $i = 0; $i < @$headers; $i += 2) {
        my ($header, $value) = @$headers[$i, $i + 1];
        next if defined $cookie && lc $header eq 'set-cookie' && $value =~ /\A\Q$name\E=/;
        next if $is_personal && lc $header eq 'cache-control';
        $is_cached = 1 if lc $header eq 'cache-control';
        push @kept, $header, $value;
    }
    push @kept, 'Set-Cookie' => $cookie if defined $cookie;
    push @kept, 'Cache-Control' => 'no-store' unless $is_cached;
    @$headers = @kept;
    $session->begin if $session;
    return;
}

# Whether another site's page made the request, as far as a browser without Sec-Fetch headers says it.
sub _is_foreign ($env) {
    return defined $env->{HTTP_ORIGIN} && lc($env->{HTTP_ORIGIN} =~ s{\Ahttps?://}{}ir) ne lc($env->{HTTP_HOST} // '');
}

# So much of a text as has that many bytes, in whole characters.
sub _begin_of ($text, $most) {
    my $bytes = Encode::encode_utf8($text);
    return $text if length $bytes <= $most;
    # One byte more tells whether a character ends there.
    return Encode::decode_utf8(substr($bytes, 0, $most + 1) =~ s/.[\x80-\xbf]*\z//sr);
}

sub _is_get ($env) { return $env->{REQUEST_METHOD} =~ /\A(?:GET|HEAD)\z/ }

1;
