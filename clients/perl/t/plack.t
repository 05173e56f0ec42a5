# What the Plack middleware does to responses, and what happens when nobody knows.
use v5.26;
use warnings;
use experimental 'signatures';
use FindBin;
use lib "$FindBin::Bin/lib";
use HTTP::Request::Common;
use Plack::Builder;
use Plack::Test;
use Support;
use Test::More;
use TokenCache::Client;

my $daemon = daemon();
my $OURS = qr/\Atc=[^;]+; Path=\/; HttpOnly; SameSite=Lax\z/;

# The responses of a site to some requests, one behind the other, each with the cookie of the one before.
sub responses ($options, $app, @requests) {
    my $site = builder {
        enable 'TokenCache', socket => $daemon->{socket}, development => 1, %$options;
        $app;
    };
    my $test = Plack::Test->create($site);
    my $cookie;
    return map {
        $_->header(Cookie => $cookie) if defined $cookie && !defined $_->header('Cookie');
        my $response = $test->request($_);
        ($cookie) = map { /\A((?:__Host-)?tc=[^;]*)/ } $response->header('Set-Cookie') if $response->header('Set-Cookie');
        $response;
    } @requests;
}

sub ask ($app, %options) { return (responses(\%options, $app, GET 'http://localhost/'))[0] }

my %HEADS = (
    'a plain answer'                               => [[], 0],
    'an answer with cookies of the site'           => [['Set-Cookie' => 'a=1', 'set-cookie' => 'b=2', 'Cache-Control' => 'public'], 2],
    'an answer with another cookie of that name'   => [['Set-Cookie' => 'tc=old; Path=/'], 0],
);
for my $name (sort keys %HEADS) {
    my ($headers, $others) = $HEADS{$name}->@*;
    my $streamed = sub ($env) {
        return sub ($respond) {
            my $writer = $respond->([200, [@$headers]]);
            $writer->write('x');
            $writer->close;
        };
    };
    for ([$name => sub { [200, [@$headers], ['x']] }], ["$name, delayed" => sub { sub ($respond) { $respond->([200, [@$headers], ['x']]) } }], ["$name, streamed" => $streamed]) {
        my ($what, $app) = @$_;
        my $response = ask($app);
        my @cookies = $response->header('Set-Cookie');
        is scalar(grep { $_ =~ $OURS } @cookies), 1, "$what: the cookie is set once";
        is scalar(grep { /\Atc=/ } @cookies), 1;
        is scalar(grep { /\A[ab]=/ } @cookies), $others;
        is join('|', $response->header('Cache-Control')), 'no-store';
        is $response->content, 'x';
    }
}

subtest 'the cookie is the last of several, and for HTTPS unless it is development' => sub {
    my ($response, $next) = responses({ development => 0 }, sub ($env) {
        my $session = $env->{'tokencache.session'};
        if (!defined $session->user) {
            $session->login('ann', form => 0, idle => '1d', absolute => '1d');
            $session->rotate;
        }
        return [200, [], [$session->user]];
    }, GET('http://www.example.org/'), GET('http://www.example.org/'));
    my @cookies = $response->header('Set-Cookie');
    is scalar @cookies, 1;
    like $cookies[0], qr/\A__Host-tc=[0-9a-f]{128}; Max-Age=8(?:6400|6399); Path=\/; Secure; HttpOnly; SameSite=Lax\z/;
    is $next->content, 'ann';
    is $next->header('Set-Cookie'), undef, 'a cookie that is good stays';
};

subtest 'a page without cookie and form may be cached, one with a form may not' => sub {
    my ($first, $plain, $form) = responses({}, sub ($env) {
        return [200, ['Cache-Control' => 'public, max-age=60'], [$env->{PATH_INFO} eq '/form' ? $env->{'tokencache.session'}->csrf_field : 'x']];
    }, GET('http://localhost/'), GET('http://localhost/'), GET('http://localhost/form'));
    is_deeply [map { scalar $_->header('Cache-Control') } $first, $plain, $form], ['no-store', 'public, max-age=60', 'no-store'];
};

subtest 'development is refused where others use the site' => sub {
    my @hosts = qw(www.example.org localhost.example.org 10.0.0.1 localhost localhost:8000 127.0.0.1 [::1]:80);
    my @responses = responses({}, sub { [200, [], ['x']] }, map { GET 'http://localhost/', Host => $_ } @hosts);
    is_deeply [map { $_->code } @responses], [500, 500, 500, 200, 200, 200, 200];
};

subtest 'forms: in the body, in a multipart, by a script, by nobody' => sub {
    my $app = sub ($env) {
        my $session = $env->{'tokencache.session'};
        return [200, [], [$env->{REQUEST_METHOD} eq 'GET' ? $session->csrf : $session->form // 'none']];
    };
    my ($page) = my @first = responses({}, $app, GET('http://localhost/'));
    my ($cookie) = $page->header('Set-Cookie') =~ /\A([^;]*)/;
    my $csrf = $page->content;
    my @posts = (
        POST('http://localhost/', [csrf => $csrf]), POST('http://localhost/', Content_Type => 'form-data', Content => [csrf => $csrf]),
        POST('http://localhost/', 'X-CSRF-Token' => $csrf), POST('http://localhost/', [csrf => 'forged']), POST('http://localhost/', [x => 1]),
        POST('http://localhost/', 'Sec-Fetch-Site' => 'cross-site', Content => [csrf => $csrf]), POST('http://localhost/', Content_Type => 'text/csv', Content => 'x'),
        POST("http://localhost/?csrf=$csrf", [x => 1]));
    $_->header(Cookie => $cookie) for @posts;
    is_deeply [map { $_->content } responses({}, $app, @posts)], [qw(passed passed passed failed failed failed none failed)];
};

subtest 'a session that ends while it is asked: a page comes again once, the rest is 409' => sub {
    my $client = TokenCache::Client->new(socket => $daemon->{socket});
    my $app = sub ($env) {
        my $session = $env->{'tokencache.session'};
        $client->ask('TOKEN.REVOKE', SID => $session->sid);
        return [200, [], [keys $session->get->%*]];
    };
    for ([GET('http://localhost/?q=1'), 303, '?q=1&again=1'], [GET('http://localhost/?again=1'), 409, undef],
        [GET('http://localhost/', 'Sec-Fetch-Mode' => 'cors'), 409, undef]) {
        my ($request, @expected) = @$_;
        $request->header(Cookie => 'tc=' . $client->ask('TOKEN.LOGIN', '', 'ann')->{sessiontoken});
        my ($response) = responses({}, $app, $request);
        is_deeply [$response->code, scalar $response->header('Location'), scalar $response->header('Set-Cookie')], [@expected, undef];
    }
};

subtest 'a fault of the site: 500 with the cookie that was given; without one it goes on' => sub {
    my $caught;
    my $app = builder {
        enable sub ($inner) { sub ($env) { eval { $inner->($env) } // do { $caught = $@; [500, [], ['caught outside']] } } };
        enable 'TokenCache', socket => $daemon->{socket}, development => 1;
        sub { die "a fault of the test\n" };
    };
    my $test = Plack::Test->create($app);
    my $first = $test->request(GET 'http://localhost/');
    is $first->code, 500;
    like scalar $first->header('Set-Cookie'), $OURS;
    unlike $first->content, qr/fault/;
    my ($cookie) = $first->header('Set-Cookie') =~ /\A([^;]*)/;
    is $test->request(GET 'http://localhost/', Cookie => $cookie)->content, 'caught outside';
    is $caught, "a fault of the test\n";
};

subtest 'an old browser\'s post from another site, whose cookie was held back, is given none that would go over it' => sub {
    my $app = sub ($env) { [200, [], [$env->{'tokencache.session'}->is_own ? 'own' : 'foreign']] };
    for (['https://pay.example', 'foreign', 0], ['null', 'foreign', 0], ['http://localhost', 'own', 1], [undef, 'own', 1]) {
        my ($origin, @expected) = @$_;
        my ($response) = responses({}, $app, POST 'http://localhost/', Host => 'localhost', Content_Type => 'text/plain',
            defined $origin ? (Origin => $origin) : ());
        is_deeply [$response->content, scalar(my @cookies = $response->header('Set-Cookie'))], \@expected, $origin // 'no Origin';
    }
    my ($response) = responses({}, $app, POST 'http://localhost/', Host => 'localhost', Origin => 'https://pay.example', 'Sec-Fetch-Site' => 'same-origin');
    is $response->content, 'own', 'Sec-Fetch-Site knows better';
};

subtest 'signals go along' => sub {
    my @seen;
    my $response = ask(sub ($env) { @seen = $env->{'tokencache.session'}{bind}->@*; [200, [], ['x']] },
        bind => sub ($env) { +{ ip => $env->{REMOTE_ADDR}, ua => 'x' x 9000 } });
    is $response->code, 200;
    is_deeply \@seen, [BIND => 'ip', '127.0.0.1', BIND => 'ua', 'x' x 4096];
};

subtest 'a browser\'s name is cut at the daemon\'s limit, in whole characters, and may be missing' => sub {
    my $strict = daemon('binding.ua=strict');
    for (["\xe4" x 4000, 2048], ['x' . "\x{20ac}" x 2000, 1366], ["\xe4" x 2048, 2048], ['x' x 4096, 4096], [undef, 0]) {
        my ($name, $characters) = @$_;
        my $seen;
        my ($response) = responses({ socket => $strict->{socket}, bind => sub { +{ ua => $name } } }, sub ($env) {
            my $session = $env->{'tokencache.session'};
            $session->login('ann', form => 0);
            $seen = $session->{bind}[2];
            return [200, [], [$session->user]];
        }, GET 'http://localhost/');
        is $response->content, 'ann';
        is $seen, substr $name // '', 0, $characters;
    }
};

subtest 'fields come along' => sub {
    my $app = sub ($env) {
        my $session = $env->{'tokencache.session'};
        $session->set({ theme => 'dark' }) unless %{$session->data};
        [200, [], [join ' ', $session->data->%*]];
    };
    my @pages = responses({ data => ['theme'] }, $app, map { GET 'http://localhost/' } 1, 2);
    is_deeply [map { $_->content } @pages], ['', 'theme dark'];
};

subtest 'nobody knows' => sub {
    my $old = 'tc=' . 'ab' x 16 . '0' x 96;
    my ($none) = responses({ socket => '/nonexistent/d.sock' }, sub { fail 'the site was asked' }, GET('http://localhost/', Cookie => $old));
    is_deeply [$none->code, map { scalar $none->header($_) } qw(Set-Cookie Retry-After Cache-Control)], [503, undef, 1, 'no-store'];
    my %visit = (
        status => 'rotated', accepted => \1, kind => 'session', sid => 'ab' x 16, subject => 'ann', auth_time => \1, sessiontoken => 'ab' x 16 . '1' x 96,
        max_age => \9, csrf => 'c');
    my $scripted = sub { scripted(sub ($number, $command, @) { $command eq 'TOKEN.VISIT' ? resp(\%visit) : "-UNAVAILABLE Redis did not answer in time\r\n" }) };
    for my $app (sub ($env) { $env->{'tokencache.session'}->set({ a => 1 }) },
        sub ($env) { sub ($respond) { $env->{'tokencache.session'}->set({ a => 1 }) } }) {
        my ($late) = responses({ socket => $scripted->() }, $app, GET('http://localhost/', Cookie => $old));
        is_deeply [$late->code, map { scalar $late->header($_) } qw(Set-Cookie Retry-After Cache-Control)],
            [503, "tc=$visit{sessiontoken}; Max-Age=9; Path=/; HttpOnly; SameSite=Lax", 1, 'no-store'], 'the 503 carries a token that was given before';
    }
};

subtest 'a stream that has begun can take no cookie along' => sub {
    my $error;
    ask(sub ($env) {
        return sub ($respond) {
            my $writer = $respond->([200, []]);
            eval { $env->{'tokencache.session'}->login('ann', form => 0) };
            $error = $@;
            $writer->close;
        };
    });
    like $error, qr/before the first byte/;
};

subtest 'a daemon that is restarted logs nobody out' => sub {
    my $restarted = daemon();
    my $app = sub ($env) {
        my $session = $env->{'tokencache.session'};
        $session->login('ann', form => 0) if $env->{PATH_INFO} eq '/login';
        return [200, [], [$session->user // 'guest']];
    };
    my ($cookie) = (responses({ socket => $restarted->{socket} }, $app, GET 'http://localhost/login'))[0]->header('Set-Cookie') =~ /\A([^;]*)/;
    my $site = builder { enable 'TokenCache', socket => $restarted->{socket}, development => 1; $app };
    my $test = Plack::Test->create($site);
    my $request = GET 'http://localhost/', Cookie => $cookie;
    is $test->request($request)->content, 'ann';
    $restarted->stop;
    is $test->request($request)->code, 503;
    $restarted->start;
    is $test->request($request)->content, 'ann';
    $restarted->stop;
    $restarted->start;
    is $test->request($request)->content, 'ann', 'at once, where nobody asked meanwhile';
};

done_testing;
