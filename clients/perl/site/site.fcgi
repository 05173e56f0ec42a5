#!/usr/bin/perl
# The site for CGI::Fast: under FastCGI it serves until the web server ends it, under plain CGI once.
use v5.26;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib", $FindBin::Bin;
use Encode qw(decode);
use Site;
use TokenCache::CGI;

my $site = Site->new(reveals_captchas => $ENV{SITE_REVEALS_CAPTCHAS});

# Fields in characters; the last value of each.
sub fields {
    my ($names, $value_of) = @_;
    return { map { (decode('UTF-8', $_) => decode('UTF-8', ($value_of->($_))[-1] // '')) } @$names };
}

TokenCache::CGI->new(socket => $ENV{SITE_SOCKET}, development => 1)->serve(sub {
    my ($cgi, $session) = @_;
    return $site->respond({
        method => $cgi->request_method, path => $cgi->path_info, session => $session,
        form   => fields([$cgi->param], sub { $cgi->multi_param($_[0]) }),
        query  => fields([$cgi->url_param], sub { $cgi->url_param($_[0]) }) });
});
