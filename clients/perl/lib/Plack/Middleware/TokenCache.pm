package Plack::Middleware::TokenCache;
use v5.26;
use warnings;
use experimental 'signatures';
use parent 'Plack::Middleware';
use Plack::Request;
use Plack::Util::Accessor qw(socket timeout client cookie development form bind data);
use TokenCache::Sessions;

# The client connects at the first question, in each worker process by itself.
sub prepare_app ($self) {
    my %options = map { ($_ => $self->{$_}) } qw(socket timeout client cookie development form bind data);
    $self->{sessions} = TokenCache::Sessions->new(%options);
    return;
}

sub call ($self, $env) {
    my $session;
    my $response = eval {
        $session = $self->{sessions}->visit($env, _csrf_of($env));
        $env->{'tokencache.session'} = $session;
        $session->superseded && $self->{sessions}->comes_again($env) || $self->app->($env);
    } || $self->_answer($env, $session, $@);
    $response = $self->_guarded($env, $session, $response) if ref $response eq 'CODE';
    return $self->response_cb($response, sub ($head) { $self->{sessions}->finish($session, $head) });
}

# A delayed response that dies before it begins is answered as one that is not delayed.
sub _guarded ($self, $env, $session, $delayed) {
    return sub ($respond) {
        my $has_begun;
        return if eval { $delayed->(sub (@head) { $has_begun = 1; $respond->(@head) }); 1 };
        die $@ if $has_begun;
        $respond->($self->_answer($env, $session, $@));
    };
}

# What the site died with, as a response. A fault of the site's own is for those who are around this middleware, unless
# the visitor has been given a token: that has to reach the browser.
sub _answer ($self, $env, $session, $error) {
    my $answer = $self->{sessions}->answer($env, $error);
    if (!$answer && $session && defined $session->set_cookie) {
        $answer = [500, ['Content-Type' => 'text/plain'], ["internal server error\n"]];
    }
    die $error unless $answer;
    $env->{'psgi.errors'}->print("$answer->[0]: $error" =~ s/\n*\z/\n/r) if $answer->[0] >= 400;
    return $answer;
}

# The form's token that came: from a script as a header, else in the body. undef where there is no form to look for.
sub _csrf_of ($env) {
    return undef if $env->{REQUEST_METHOD} =~ /\A(?:GET|HEAD)\z/;
    return $env->{HTTP_X_CSRF_TOKEN} if defined $env->{HTTP_X_CSRF_TOKEN};
    return undef unless ($env->{CONTENT_TYPE} // '') =~ m{\A(?:application/x-www-form-urlencoded|multipart/form-data)\b}i;
    return Plack::Request->new($env)->body_parameters->get('csrf') // '';
}

1;

__END__

=encoding utf8

=head1 NAME

Plack::Middleware::TokenCache - sessions, guests, forms and captchas by tokencached

=head1 SYNOPSIS

    use Plack::Builder;

    builder {
        enable 'TokenCache', socket => '/run/tokencached/tokencached.sock';
        sub {
            my $session = $_[0]{'tokencache.session'};
            [200, ['Content-Type' => 'text/plain'], ['Hello ' . ($session->user // 'guest')]];
        };
    };

=head1 DESCRIPTION

Asks once for each request who sent it, puts a L<TokenCache::Session> into C<< $env->{'tokencache.session'} >>, and its
cookie into the response: once, when a reply says so, with C<Cache-Control: no-store>. Where nobody knows the answer is
503 and the cookie stays. A page whose browser has a newer cookie than the one it sent is sent to itself once.

Forms (urlencoded and multipart) are read and checked before the site is called: see C<passed> in
L<TokenCache::Session>. A script sends its token as C<X-CSRF-Token>.

Each worker process has one connection, and waits for its answers: for servers such as Starman, not for event loops.
Middlewares around this one see its responses; what the site dies with goes on to them, but for
C<TokenCache::Unavailable> and C<TokenCache::NotAccepted>, and where the visitor was given a token that has to reach the
browser: then the answer is a plain 500. Put error pages of your own inside.

=head1 OPTIONS

=over

=item socket, timeout

As L<TokenCache::Client/new>. Or a C<client> in their place.

=item cookie

The cookie's name, C<tc>: on HTTPS C<__Host-tc>.

=item development

True on C<http://localhost>, and nowhere else: the cookie has the plain name and no C<Secure>. Every other host is
refused.

=item form

The name that the forms of the site have in the daemon, C<site>.

=item bind

A function of the environment: the signals that tokens are bound to, C<< { ip => ..., ua => ... } >>, where the daemon's
C<binding.ip> or C<binding.ua> is on.

=item data

A reference to the names of fields that each request needs: they come with the one question that is asked anyway, and
are in C<< $session->data >>.

=back

=cut
