# Sessions of a web worker in Perl, over the Redis module (Debian: libredis-perl). One object per worker: it keeps one
# connection.
package Sessions;
use strict;
use warnings;
use Redis;

# Longer than the daemon's redis.timeout (250ms), so that the daemon's own answer comes first.
use constant TIMEOUT_SECONDS => 2;

sub new {
    my ($class, $path) = @_;
    return bless { path => $path }, $class;
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

# Asks about a token. A reply about an accepted session token names that session; otherwise it answers somebody else's
# question. A guest's token does not begin with its sid, so that there is nothing to compare.
sub ask_about {
    my ($self, $command, $token, @arguments) = @_;
    my $fields = $self->ask($command, $token, @arguments);
    $self->give_up('the reply is about another session')
        if $fields->{accepted} && defined $fields->{sid} && $token =~ /\A[0-9a-f]{128}\z/i
        && $fields->{sid} ne lc substr $token, 0, 32;
    return $fields;
}

# After any error the connection is closed: a late reply must not answer the next question.
sub give_up {
    my ($self, $why) = @_;
    delete $self->{redis};
    die bless { why => $why =~ s/,? at \S+ line \d+.*//sr }, 'Sessions::Unavailable';
}

1;
