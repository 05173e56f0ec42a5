#!/usr/bin/perl
# Sessions of a web worker in Perl, with the Redis module (Debian: libredis-perl).
#
#     perl sessions.pl /run/tokencached/tokencached.sock
use strict;
use warnings;
use Redis;

package Sessions;

sub new {
    my ($class, $path) = @_;
    return bless { path => $path }, $class;
}

# Returns the fields of the reply. Dies with "unavailable" where nobody knows: keep the cookie, answer 503.
sub ask {
    my ($self, $command, @arguments) = @_;
    my $reply = eval {
        # No reconnect of the library's own: a repeated command would be a second one. The time-out is longer than
        # the daemon's redis.timeout.
        $self->{redis} //= Redis->new(
            sock => $self->{path}, reconnect => 0, encoding => undef, read_timeout => 2, write_timeout => 2);
        # The module sends a method's name with its underscores as separate words: TOKEN VISIT.
        my $method = "token_$command";
        $self->{redis}->$method(@arguments);
    };
    if (!defined $reply) {
        # After any error: a late reply must not answer the next question.
        delete $self->{redis};
        die "unavailable\n";
    }
    return { @$reply };
}

# One page view: the holder's fields, and the token to hand on, or undef if it stays.
sub visit {
    my ($self, $token) = @_;
    my $fields = $self->ask(visit => $token);
    if ($fields->{accepted} && $fields->{sid} ne lc substr $token, 0, 32) {
        delete $self->{redis};
        die "unavailable\n";
    }
    return ($fields, $fields->{sessiontoken});
}

# After the password was checked: the token to hand on.
sub login { my ($self, $token, $subject) = @_; return $self->ask(login => $token, $subject)->{sessiontoken} }

sub logout { my ($self, $token) = @_; return $self->ask(revoke => $token) }

package main;

my $sessions = Sessions->new($ARGV[0]);
eval {
    my ($fields, $cookie) = $sessions->visit('');
    print "first visit: $fields->{status} - set the cookie\n";
    ($fields, my $successor) = $sessions->visit($cookie);
    print "second visit: $fields->{status} - new cookie: ", (defined $successor ? 'yes' : 'no'), "\n";
    my $old = $cookie;
    $cookie = $sessions->login($cookie, 'ann');
    print "old cookie after login: ", $sessions->ask(validate => $old)->{status}, "\n";
    ($fields) = $sessions->visit($cookie);
    print "visit after login: $fields->{status}, subject $fields->{subject}\n";
    $sessions->logout($cookie);
    my $reply = $sessions->ask(validate => $cookie);
    print "after logout: $reply->{status}, $reply->{reason}\n";
    1;
} or do { print STDERR "503 Service Unavailable; the cookie stays: $@"; exit 1 };
