# The visitor's cookie. On HTTPS it is called __Host-…, which browsers take from this very host and over HTTPS only. For
# development on http://localhost it has the plain name; that is a setting of the site, never what a request says of
# itself.
package TokenCache::Cookie;
use v5.26;
use warnings;
use experimental 'signatures';

# Longer than any token.
use constant MOST_VALUE => 4096;

sub new ($class, $name, $development) {
    die "cookie takes 1 to 64 letters, digits, points, hyphens and underscores\n" unless $name =~ /\A[\w.-]{1,64}\z/a;
    return bless {
        name       => $development ? $name : "__Host-$name",
        attributes => '; Path=/' . ($development ? '' : '; Secure') . '; HttpOnly; SameSite=Lax',
    }, $class;
}

sub name ($self) { return $self->{name} }

# The token that a Cookie header brings, or an empty text.
sub token_in ($self, $header) {
    my ($token) = ($header // '') =~ /(?:\A|;)\s*\Q$self->{name}\E\s*=\s*([^;\s]*)/;
    # `SID` is a word of the commands, and nobody's token.
    return defined $token && length $token <= MOST_VALUE && lc $token ne 'sid' ? $token : '';
}

# Set-Cookie for a reply that has a sessiontoken.
sub of ($self, $reply) {
    my $age = defined $reply->{max_age} ? "; Max-Age=$reply->{max_age}" : '';
    return "$self->{name}=$reply->{sessiontoken}$age$self->{attributes}";
}

sub removal ($self) { return "$self->{name}=; Max-Age=0$self->{attributes}" }

1;
