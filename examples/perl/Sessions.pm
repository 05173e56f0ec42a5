# Sessions of a web worker in Perl, over the Redis module (Debian: libredis-perl). One object per worker: it keeps one
# connection.
package Sessions;
use strict;
use warnings;
use File::Spec;
use MIME::Base64 qw(decode_base64url);
use Redis;

# Longer than the daemon's redis.timeout (250ms), so that the daemon's own answer comes first.
use constant TIMEOUT_SECONDS => 2;

# A relative path would depend on the folder that the web server started the worker in.
sub new {
    my ($class, $path) = @_;
    return bless { path => File::Spec->rel2abs($path) }, $class;
}

# Sends a command and returns the fields of its reply. The module makes words of a method's name at its underscores:
# token_visit is sent as TOKEN VISIT. Dies with a Sessions::Unavailable where nobody knows: keep the cookie, answer 503.
sub ask {
    my ($self, $command, @arguments) = @_;
    my $reply = eval {
        # No reconnect of the library's own: a repeated command would be a second one.
        $self->{redis} //= Redis->new(
            sock => $self->{path}, reconnect => 0, encoding => undef, cnx_timeout => TIMEOUT_SECONDS,
            read_timeout => TIMEOUT_SECONDS, write_timeout => TIMEOUT_SECONDS);
        $self->{redis}->$command(@arguments);
    };
    $self->give_up($@) if ref $reply ne 'ARRAY';
    my %fields = @$reply;
    $fields{data} = { @{ $fields{data} } } if ref $fields{data};
    return \%fields;
}

# Asks about a token. A reply about an accepted token names its session; otherwise it answers somebody else's question.
sub ask_about {
    my ($self, $command, $token, @arguments) = @_;
    my $fields = $self->ask($command, $token, @arguments);
    my $sid = sid_of($token);
    $self->give_up('the reply is about another session')
        if $fields->{accepted} && defined $sid && $fields->{sid} ne $sid;
    return $fields;
}

# The sid that stands in a token: of a session the first 32 digits, of a guest the claim jti.
sub sid_of {
    my ($token) = @_;
    return lc substr $token, 0, 32 if $token =~ /\A[0-9a-f]{128}\z/i;
    my ($claims) = $token =~ /\A[^.]+\.([^.]+)\.[^.]+\z/ or return undef;
    return decode_base64url($claims) =~ /\A\{"jti":"([0-9a-f]{32})"/ ? $1 : undef;
}

# The value of Set-Cookie for a reply, or nothing where the cookie stays as it is: whenever sessiontoken is in a reply, and
# only then. A cookie named __Host-… is for HTTPS; on http://localhost it is called tc.
sub set_cookie {
    my ($fields, $name) = @_;
    return unless defined $fields->{sessiontoken};
    my $age = defined $fields->{max_age} ? "; Max-Age=$fields->{max_age}" : '';
    return "$name=$fields->{sessiontoken}$age" . attributes($name);
}

sub removal { my ($name) = @_; return "$name=; Max-Age=0" . attributes($name) }

sub attributes { return '; Path=/' . ($_[0] =~ /\A__Host-/ ? '; Secure' : '') . '; HttpOnly; SameSite=Lax' }

# After any error the connection is closed: a late reply must not answer the next question.
sub give_up {
    my ($self, $why) = @_;
    delete $self->{redis};
    die bless { why => $why =~ s/,? at \S+ line \d+.*//sr }, 'Sessions::Unavailable';
}

1;
