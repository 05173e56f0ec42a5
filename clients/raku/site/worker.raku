#!/usr/bin/raku
# A FastCGI worker of the small site:
#
#     raku -I ../lib -I lib worker.raku --socket=/run/tokencached/tokencached.sock --listen=/run/site/worker.sock
use Site;
use TokenCache;
use TokenCache::FastCGI;
use TokenCache::Middleware;

sub MAIN(Str :$socket!, Str :$listen, Bool :$reveal-captchas = False) {
    # Without the package's sessions: what ../../conformance/speed compares with.
    return serve -> $ { page '<!doctype html><title>Small site</title><p>user: ann</p>' }, :$listen if %*ENV<SITE_IS_BARE>;
    # tc: for http://localhost. A site that others use leaves the name as it is.
    my $middleware = TokenCache::Middleware.new(client => TokenCache.new(path => $socket), cookie => 'tc');
    serve $middleware.wrap(site(:$reveal-captchas)), :$listen;
}
