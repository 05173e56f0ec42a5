#!/usr/bin/perl
# A visitor's life, with the module beside this file:
#
#     perl sessions.pl /run/tokencached/tokencached.sock
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Sessions;

my $sessions = Sessions->new($ARGV[0]);
eval {
    # Whatever the browser sent, even nothing. Whenever sessiontoken is in a reply, hand it on.
    my $fields = $sessions->ask_about('token_visit', '');
    my $cookie = $fields->{sessiontoken};
    print "first visit: $fields->{status} - set the cookie\n";
    $fields = $sessions->ask_about('token_visit', $cookie);
    print "second visit: $fields->{status} - new cookie: ", (defined $fields->{sessiontoken} ? 'yes' : 'no'), "\n";

    # After the password was checked. Not ask_about: a login may end the session that was, and begin another.
    my $old = $cookie;
    $cookie = $sessions->ask('token_login', $cookie, 'ann')->{sessiontoken};
    print "old cookie after login: ", $sessions->ask_about('token_validate', $old)->{status}, "\n";
    $fields = $sessions->ask_about('token_visit', $cookie);
    print "visit after login: $fields->{status}, subject $fields->{subject}\n";

    $sessions->ask('token_revoke', $cookie);
    $fields = $sessions->ask_about('token_validate', $cookie);
    print "after logout: $fields->{status}, $fields->{reason}\n";
    1;
} or do {
    die $@ unless ref $@;
    print STDERR "503 Service Unavailable; the cookie stays: $@->{why}\n";
    exit 1;
};
