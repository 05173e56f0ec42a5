package TokenCache::CGI;
use v5.26;
use warnings;
use experimental 'signatures';
use CGI::Fast;
use TokenCache::Sessions;

sub new ($class, %options) {
    return bless { sessions => TokenCache::Sessions->new(%options) }, $class;
}

sub serve ($self, $site) {
    while (my $cgi = CGI::Fast->new) {
        $self->handle($cgi, $site);
    }
    return;
}

sub handle ($self, $cgi, $site) {
    my $session;
    my $response = eval {
        my $csrf = $cgi->request_method =~ /\A(?:GET|HEAD)\z/ ? undef : $ENV{HTTP_X_CSRF_TOKEN} // scalar $cgi->param('csrf');
        $session = $self->{sessions}->visit(\%ENV, $csrf);
        $session->superseded && $self->{sessions}->comes_again(\%ENV) || $site->($cgi, $session);
    } || $self->_answer($@);
    $self->{sessions}->finish($session, $response);
    my ($status, $headers, $body) = @$response;
    my $head = "Status: $status\r\n";
    # A line end in a value would begin another header.
    while (my ($name, $value) = splice @$headers, 0, 2) { $head .= "$name: " . $value =~ s/[\r\n]+/ /gr . "\r\n" }
    print "$head\r\n", @$body;
    return;
}

sub _answer ($self, $error) {
    warn $error =~ s/\n*\z/\n/r;
    return $self->{sessions}->answer(\%ENV, $error) // [500, ['Content-Type' => 'text/plain'], ["internal server error\n"]];
}

1;

__END__

=encoding utf8

=head1 NAME

TokenCache::CGI - sessions, guests, forms and captchas by tokencached, for CGI::Fast

=head1 SYNOPSIS

    use TokenCache::CGI;

    TokenCache::CGI->new(socket => '/run/tokencached/tokencached.sock')->serve(sub {
        my ($cgi, $session) = @_;
        return [200, ['Content-Type' => 'text/plain'], ['Hello ' . ($session->user // 'guest')]];
    });

=head1 DESCRIPTION

For programs under mod_fcgid and its like, and under plain CGI. The site is a function of a L<CGI> object and a
L<TokenCache::Session>; it returns status, headers and body as in PSGI, the body in bytes. The response gets the
visitor's cookie, once, when a reply says so, with C<Cache-Control: no-store>. Where nobody knows the answer is 503 and
the cookie stays.

=head1 METHODS

=head2 new(%options)

The options of L<Plack::Middleware::TokenCache>. The function C<bind> is given C<\%ENV>.

=head2 serve($site)

Answers requests until the web server ends the process.

=head2 handle($cgi, $site)

Answers one.

=cut
