package TokenCache;
use v5.26;
use warnings;

our $VERSION = 'v0.1.0';

1;

__END__

=encoding utf8

=head1 NAME

TokenCache - sessions, guests, forms and captchas of a site, by tokencached

=head1 SYNOPSIS

    # app.psgi
    use Plack::Builder;
    use Plack::Request;

    builder {
        enable 'TokenCache', socket => '/run/tokencached/tokencached.sock', development => 1;  # on http://localhost only
        sub {
            my $request = Plack::Request->new(shift);
            my $session = $request->env->{'tokencache.session'};
            if ($request->method eq 'POST') {
                $session->login($request->param('user')) if $session->passed;                  # check the password first
                return [303, [Location => '/'], []];
            }
            return [200, ['Content-Type' => 'text/html'], ['Hello ', $session->user // 'guest',
                '<form method="post">', $session->csrf_field, '<input name="user"><button>log in</button></form>']];
        };
    };

=head1 DESCRIPTION

tokencached is a daemon on a Unix socket that knows whether a session token is good. These modules ask it, and keep the
rules that make sessions safe: the cookie is set once and only when a reply says so, with its age, and C<no-store>
beside it; it stays where nobody knows, and the answer is 503; a guest is nobody; forms are checked before anything is
carried out.

=over

=item L<Plack::Middleware::TokenCache>

for PSGI

=item L<TokenCache::CGI>

for CGI::Fast, mod_fcgid

=item L<TokenCache::Session>

what a site does for a visitor

=item L<TokenCache::Client>

the client below, of core modules only

=back

=head1 ERRORS

All are objects of C<TokenCache::Error>: C<message>, C<status> of the HTTP answer, and their message as text.
C<< TokenCache::Unavailable->caught($@) >> says whether an error is one.

=over

=item TokenCache::Unavailable

Nobody knows the answer: the cookie stays as it is. 503.

=item TokenCache::NotAccepted

The visitor's token ended while the request was served, or was only good for this page: nothing was read or written.
C<token_status> is what the daemon calls it. A page is sent to itself once, everything else is 409.

=item TokenCache::CommandError

The daemon refuses the call itself: a fault of the site, or data that is longer than allowed. 500.

=back

=cut
