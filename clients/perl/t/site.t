# A visitor's life with the site, on Starman and on nginx with FastCGI processes; and its program under plain CGI.
use v5.26;
use warnings;
use experimental 'signatures';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Open3;
use JSON::PP qw(decode_json);
use Support;
use Test::More;
use Time::HiRes qw(sleep);

my $daemon = daemon();

for my $how ('run', -x '/usr/sbin/nginx' ? 'run-fcgi' : ()) {
    my $port = free_port();
    my $site = start("$daemon->{log}.$how", ROOT . "/site/$how", '--socket', $daemon->{socket}, '--port', $port, '--reveal-captchas');
    for (1 .. 200) {
        last if IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port");
        sleep 0.1;
    }
    my $logged_in = sub ($user) {
        my $browser = browser($port);
        $browser->get('/login');
        is $browser->post('/login', { user => $user })->{status}, 303;
        return $browser;
    };

    subtest "$how: a guest, a cart, a login that keeps it, a logout" => sub {
        my $browser = browser($port);
        my $first = $browser->get('/');
        like $first->{content}, qr/guest/;
        is scalar $first->{cookies}->@*, 1;
        like $first->{cookies}[0], qr/\Atc=[^;]+; Path=\/; HttpOnly; SameSite=Lax\z/;
        is_deeply $browser->get('/login')->{cookies}, [];
        my $cart = $browser->post('/cart', { item => 'pär & <x>' });
        is_deeply decode_json($cart->{content}), ['pär & <x>'];
        my $login = $browser->post('/login', { user => 'ann <a>', remember => 1 });
        is $login->{status}, 303;
        like $login->{cookies}[0], qr/; Max-Age=77(?:76000|75999);/;
        like $browser->get('/')->{content}, qr/user: ann &#60;a&#62;/;
        is_deeply decode_json($browser->get('/cart')->{content}), ['pär & <x>'];
        like $browser->post('/logout')->{cookies}[0], qr/\Atc=; Max-Age=0; Path=\//;
        like $browser->get('/')->{content}, qr/guest/;
    };

    subtest "$how: forged forms, the second click, an outdated form" => sub {
        my ($browser, $other) = map { browser($port) } 1, 2;
        $_->get('/login') for $browser, $other;
        is $browser->send('POST', '/login', form => { csrf => $_, user => 'ann' })->{status}, 200 for 'forged', '', $other->{csrf}, 'x' x 9000;
        is $browser->send('POST', '/login', form => { csrf => $browser->{csrf}, user => 'x' x 300 })->{status}, 200;
        my ($cookie, $csrf) = @$browser{qw(cookie csrf)};
        my @clicks = map { $browser->post('/login', { user => 'bea', csrf => $csrf }, cookie => $cookie) } 1, 2;
        is_deeply [map { $_->{status} } @clicks], [303, 303];
        is $clicks[1]{cookies}[0] =~ s/;.*//r, $clicks[0]{cookies}[0] =~ s/;.*//r, 'the same token';
        like $browser->post('/cart', { csrf => $csrf, item => 'plum' })->{content}, qr/value="plum"/;
        is_deeply decode_json($browser->post('/cart', { item => 'plum' })->{content}), ['plum'];
        my $late = $browser->get('/?q=x', cookie => $cookie);
        is_deeply [@$late{qw(status cookies)}, $late->{headers}{location}], [303, [], '?q=x&again=1'];
        my $shown = $browser->get('/?q=x&again=1', cookie => $cookie);
        is_deeply [@$shown{qw(status cookies)}], [200, []];
    };

    subtest "$how: a login form that does not pass: whoever is logged in goes on, and stays who they are" => sub {
        my $browser = $logged_in->('bea');
        for my $user ('bea', 'cleo', '') {
            my $answer = $browser->send('POST', '/login', form => { csrf => 'forged', user => $user });
            is_deeply [@$answer{qw(status cookies)}, $answer->{headers}{location}], [303, [], '/'];
        }
        $browser->get('/login');
        is $browser->post('/login', { user => 'x' x 300 })->{status}, 200, 'a name too long';
        like $browser->get('/')->{content}, qr/user: bea/;
        is $browser->post('/login', { user => 'cleo' })->{status}, 303;
        like $browser->get('/')->{content}, qr/user: cleo/;
    };

    subtest "$how: devices, logout everywhere, a counter" => sub {
        my ($laptop, $phone, $other) = ($logged_in->("eve-$how"), $logged_in->("eve-$how"), $logged_in->("mallory-$how"));
        my ($sid) = map { $_->{sid} } grep { !$_->{current} } decode_json($laptop->get('/devices')->{content})->@*;
        for my $browser ($other, $laptop) {
            $browser->get('/');
            $browser->post('/devices/end', { sid => $sid });
            is $phone->get('/api/me')->{status}, $browser == $other ? 200 : 401;
        }
        $phone = $logged_in->("eve-$how");
        $laptop->get('/');
        like $laptop->post('/logout-everywhere')->{cookies}[0], qr/\Atc=; Max-Age=0/;
        is $phone->get('/api/me')->{status}, 401;
        is_deeply [map { decode_json($other->send('POST', '/api/count', mode => 'cors')->{content})->{count} } 1 .. 3], [1, 2, 3];
        is $other->send('POST', '/api/count', mode => 'cors', site => 'cross-site')->{status}, 401;
    };

    subtest "$how: a captcha is good once, for its visitor" => sub {
        my $browser = browser($port);
        my $captcha_of = sub ($response) { $response->{content} =~ /name="captcha" value="([^"]*)" data-solution="([^"]*)"/ };
        my ($captcha, $solution) = $captcha_of->($browser->get('/contact'));
        like $browser->get("/captcha?of=$captcha")->{content}, qr/>$solution</;
        is $browser->send('POST', '/contact', form => { csrf => 'forged', captcha => $captcha, answer => $solution })->{status}, 200;
        is $browser->post('/contact', { captcha => $captcha, answer => " \L$solution" })->{status}, 303, 'a forged form has not spent it';
        is $browser->post('/contact', { captcha => $captcha, answer => $solution })->{status}, 200, 'spent';
        my ($stolen, $its) = $captcha_of->(browser($port)->get('/contact'));
        is $browser->post('/contact', { captcha => $stolen, answer => $its })->{status}, 200, 'another visitor\'s';
    };

    subtest "$how: back from a payment page, an outage" => sub {
        my $browser = $logged_in->('hal');
        my $back = $browser->send('POST', '/payment/return', form => { paid => 1 }, cookie => '', site => 'cross-site');
        is_deeply [@$back{qw(status cookies)}, $back->{headers}{location}], [303, [], '/'];
        $daemon->stop;
        my $fault = $browser->get('/');
        is_deeply [@$fault{qw(status cookies)}, @{ $fault->{headers} }{qw(retry-after cache-control)}], [503, [], 1, 'no-store'];
        $daemon->start;
        like $browser->get('/')->{content}, qr/user: hal/;
    };

    is stop($site), 0, "$how ends with status 0 at SIGTERM";
}

subtest 'plain CGI' => sub {
    local %ENV = (
        %ENV, GATEWAY_INTERFACE => 'CGI/1.1', REQUEST_METHOD => 'GET', PATH_INFO => '/', SCRIPT_NAME => '', QUERY_STRING => '', HTTP_HOST => 'localhost',
        SERVER_PROTOCOL => 'HTTP/1.1', SITE_SOCKET => $daemon->{socket});
    my $page = qx($^X @{[ROOT]}/site/site.fcgi </dev/null);
    like $page, qr/\AStatus: 200\r\n/;
    like $page, qr/\r\nSet-Cookie: tc=[^;]+; Path=\/; HttpOnly; SameSite=Lax\r\nCache-Control: no-store\r\n\r\n<!doctype html>/;
};

for my $options (['--port', 8000], ['--socket', '/x', '--port', 0], ['--socket', '/x', '--port', 'x'], ['--socket', '/x', '--port', 1, 'more']) {
    my $child = open3(my $in, my $out, undef, ROOT . '/site/run', @$options);
    my $text = join '', <$out>;
    waitpid $child, 0;
    is $? >> 8, 2, "refused: @$options";
    like $text, qr/usage:/;
}

done_testing;
