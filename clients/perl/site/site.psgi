# The site as PSGI; `run` starts it with what these variables say.
use v5.26;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib", $FindBin::Bin;
use Encode qw(decode);
use Plack::Builder;
use Plack::Request;
use Site;

my $site = Site->new(reveals_captchas => $ENV{SITE_REVEALS_CAPTCHAS});

# The last value of each parameter, in characters.
sub fields { return { map { decode('UTF-8', $_) } $_[0]->as_hashref->%* } }

# The first page without the package, for ../../conformance/speed.
sub bare { return [200, ['Content-Type' => 'text/html; charset=utf-8'], ['<!doctype html><title>Small site</title><p>user: ann</p>']] }

$ENV{SITE_IS_BARE} ? \&bare : builder {
    enable 'TokenCache', socket => $ENV{SITE_SOCKET}, development => 1;
    sub {
        my $request = Plack::Request->new(shift);
        return $site->respond({
            method => $request->method, path => $request->path, session => $request->env->{'tokencache.session'},
            form => fields($request->body_parameters), query => fields($request->query_parameters) });
    };
};
