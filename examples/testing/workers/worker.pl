# The site of ../../perl as a worker of crowd.py, which says what a line is: perl worker.pl SOCKET
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../perl";
use Sessions;
use Site;

$| = 1;
my $site = Site->new(Sessions->new($ARGV[0]));
while (my $line = <STDIN>) {
    chomp $line;
    my ($method, $path, $query, $cookies, $mode, $csrf, $name, $password) = split /\t/, $line, -1;
    my $response = $site->respond({
        method => $method, path => $path, query => $query, cookies => $cookies, site => 'same-origin', mode => $mode,
        form => { csrf => $csrf, name => $name, password => $password } });
    my @words = ($response->{status}, @{ $response->{headers} }{qw(Set-Cookie Location)}, $response->{body});
    print join("\t", map { ($_ // '') =~ tr/\t\n/  /r } @words), "\n";
}
