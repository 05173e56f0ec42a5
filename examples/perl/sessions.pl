#!/usr/bin/perl
# A visitor's life with the site beside this file, printed:
#
#     perl sessions.pl /run/tokencached/tokencached.sock
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Sessions;
use Site;

my $site = Site->new(Sessions->new($ARGV[0]));
# What the browser holds, and the form of the page that it shows.
my ($jar, $csrf) = ('', '');

# Sends a request with the cookie that the browser held when it was made, and follows redirects.
sub go {
    my ($what, $method, $path, $cookies, %form) = @_;
    my @marks;
    my $query = '';
    while (1) {
        my $response = $site->respond({
            method => $method, path => $path, query => $query, cookies => $cookies, site => 'same-origin',
            mode => 'navigate', form => \%form });
        if ($response->{status} == 503) {
            print STDERR "503 Service Unavailable: $response->{body}";
            exit 1;
        }
        if (my ($pair) = ($response->{headers}{'Set-Cookie'} // '') =~ /\A([^;]*)/) {
            push @marks, $pair =~ /=\z/ ? 'cookie deleted' : 'cookie set' if length $pair;
            $jar = $cookies = $pair =~ /=\z/ ? '' : $pair if length $pair;
        }
        push @marks, 'the form again' if $response->{body} =~ /send it again/;
        if (!defined $response->{headers}{Location}) {
            ($csrf) = $response->{body} =~ /name="csrf" value="([^"]*)"/;
            my ($who) = $response->{body} =~ m{<b>(.*)</b>};
            return print "$what: $who, ", join(', ', @marks) || 'cookie kept', "\n";
        }
        ($method, %form) = ('GET');
        # A query alone leaves the path as it is.
        (my $next, $query) = split /\?/, $response->{headers}{Location};
        $path = $next if length $next;
        push @marks, 'asked to come again' if length($query //= '');
    }
}

my @ann = (name => 'ann', password => 'apple');
go('first visit', 'GET', '/', $jar);
go('second visit', 'GET', '/', $jar);
my ($before, $sent) = ($jar, $csrf);
go('a forged form', 'POST', '/login', $jar, csrf => 'forged', @ann);
go('login', 'POST', '/login', $jar, csrf => $csrf, @ann);
# The second click was sent with the cookie of before; so was the request of another tab.
go('second click', 'POST', '/login', $before, csrf => $sent, @ann);
go('late request', 'GET', '/', $before);
go('visit after login', 'GET', '/', $jar);
go('logout', 'POST', '/logout', $jar, csrf => $csrf);
go('after logout', 'GET', '/', $jar);
