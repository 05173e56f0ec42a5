# What a site can do for a visitor, before a daemon.
use v5.26;
use warnings;
use experimental 'signatures';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Support;
use Test::More;
use Time::HiRes qw(sleep);
use TokenCache::Client;
use TokenCache::Cookie;
use TokenCache::Error;
use TokenCache::Session;

my $daemon = daemon();
my $client = TokenCache::Client->new(socket => $daemon->{socket});
my $cookie = TokenCache::Cookie->new('tc', 1);

sub error_of ($call) { return eval { $call->(); 1 } ? undef : $@ }

# One request of a browser that holds $jar->{token}, with the form that its last page had; what it is given is in the
# jar then.
sub request ($jar, $use = sub { }, %options) {
    my $session = TokenCache::Session->visit(
        client => $client, cookie => $cookie, token => $jar->{token} // '', form_name => 'site', fetch_site => 'same-origin',
        fetch_mode => 'navigate', is_post => 1, csrf => $jar->{csrf}, bind => [], %options);
    my $result = $use->($session);
    my $line = $session->set_cookie // '';
    $jar->{token} = $1 if $line =~ /\Atc=([^;]*)/;
    $jar->{csrf} = $line =~ /\Atc=;/ ? undef : $session->csrf;
    return $result;
}

sub logged_in ($user, %options) {
    my $jar = {};
    request($jar);
    request($jar, sub ($session) { $session->login($user, %options) });
    return $jar;
}

request({}, sub ($session) {
    is $session->user, undef, 'a guest is nobody';
    is $session->kind, 'guest';
    is $session->status, 'none';
    like $session->sid, qr/\A[0-9a-f]{32}\z/;
});

subtest 'login without a genuine form is refused, unless another proof is said to be there' => sub {
    my $jar = {};
    request($jar, sub ($session) { like error_of(sub { $session->login('ann') }), qr/without a genuine form \(none came\)/ });
    $jar->{csrf} = 'forged';
    request($jar, sub ($session) { like error_of(sub { $session->login('ann') }), qr/without a genuine form \(failed\)/ });
    request($jar, sub ($session) {
        ok $session->login('ann', form => 0);
        is $session->user, 'ann';
    });
};

request({}, sub ($session) {
    like error_of(sub { $session->login($_[0], form => 0) }), qr/1 to 256 bytes/, 'login refuses what is no user' for '', 'x' x 257, undef;
    like error_of(sub { $session->login('ann', form => 0, ilde => '1h') }), qr/no option ilde/;
    like error_of(sub { $session->set({}, ttl => '1h') }), qr/no option ttl/;
});

subtest 'data is kept by field' => sub {
    my $jar = logged_in('ann');
    request($jar, sub ($session) {
        is_deeply $session->set({ a => 1, 'ä' => "ö\r\n", x => 'y' }), { changed => 3, conflict => undef };
        is_deeply $session->set({ a => 1 }), { changed => 0, conflict => undef };
        is_deeply $session->set({ a => 2 }, if => { a => 9, b => '' }), { changed => 0, conflict => { a => 1 } };
        is_deeply $session->set({ a => 2 }, if => { a => 1 }), { changed => 1, conflict => undef };
        is_deeply $session->get('a', 'none'), { a => 2 };
        is_deeply $session->set({ x => '' }), { changed => 1, conflict => undef };
        is_deeply $session->get, { a => 2, 'ä' => "ö\r\n" };
        is $session->increment('n'), 1;
        is $session->increment('n', -3), -2;
        ok +TokenCache::CommandError->caught(error_of(sub { $session->increment('ä') }));
        is_deeply [map { $session->take('a')->{a} } 1, 2], [2, undef];
    });
};

subtest 'the first thing to remember makes a session of a guest, with its sid' => sub {
    my $jar = {};
    my $sid = request($jar, sub ($session) { $session->sid });
    is_deeply request($jar, sub ($session) { $session->get }), {};
    request($jar, sub ($session) {
        is $session->set_cookie, undef;
        $session->set({ cart => 'pear' });
        like $session->set_cookie, qr/\Atc=$sid/;
    });
    request($jar, sub ($session) {
        is_deeply [$session->sid, $session->kind, $session->user], [$sid, 'session', undef];
        is_deeply $session->get('cart'), { cart => 'pear' };
    });
};

subtest 'login keeps the data, rotate the data and the user' => sub {
    my $jar = {};
    request($jar, sub ($session) { $session->set({ cart => 'pear' }) });
    request($jar, sub ($session) { $session->login('ann', data => { browser => 'Firefox' }) });
    my $old = $jar->{token};
    request($jar, sub ($session) { $session->rotate });
    isnt $jar->{token}, $old;
    request($jar, sub ($session) {
        is $session->user, 'ann';
        ok $session->passed, 'the form that rotate gave is good';
        is_deeply $session->get, { cart => 'pear', browser => 'Firefox' };
    });
    request({ token => $old }, sub ($session) { is_deeply [$session->status, !!$session->superseded, $session->user], ['replayed', !!1, undef] });
};

subtest 'an ended session is gone on with by nobody' => sub {
    my $jar = logged_in('bob');
    request({%$jar}, sub ($session) {
        request({%$jar}, sub ($other) { $other->logout });
        for my $use (sub { $session->set({ a => 1 }) }, sub { $session->get }, sub { $session->increment('n') }, sub { $session->rotate },
            sub { $session->logout_elsewhere }) {
            my $error = error_of($use);
            ok +TokenCache::NotAccepted->caught($error) && $error->token_status eq 'revoked' && $error->status == 409;
        }
    });
};

subtest 'logout deletes the cookie of a session, and leaves others' => sub {
    my $guest = {};
    request($guest);
    my $old = $guest->{token};
    request($guest, sub ($session) {
        ok !$session->logout, 'a guest\'s';
        is $session->set_cookie, undef;
        ok $session->passed && $session->login('ann');
    });
    request({ token => $old }, sub ($session) {
        ok !$session->logout, 'that of an old tab';
        is $session->set_cookie, undef;
    });
    request($guest, sub ($session) {
        is $session->user, 'ann';
        ok $session->logout;
        is $session->user, undef;
        like error_of(sub { $session->csrf }), qr/after a logout/;
        like $session->set_cookie, qr/\Atc=; Max-Age=0; Path=\//;
    });
};

subtest 'devices, with what the login said of them' => sub {
    my $laptop = logged_in('dana', data => { browser => 'Firefox' });
    my $phone = logged_in('dana', data => { browser => 'Safari' });
    request($laptop, sub ($session) {
        is_deeply { map { ($_->{data}{browser} => $_->{current}) } $session->devices('browser') }, { Firefox => 1, Safari => 0 };
        ok !$session->end_device('no sid');
        ok !$session->end_device(undef);
        is $session->logout_elsewhere, 1;
    });
    request($phone, sub ($session) {
        is $session->user, undef;
        is_deeply [$session->devices], [];
        is $session->logout_everywhere, 0;
    });
    request($laptop, sub ($session) {
        is $session->user, 'dana';
        ok $session->end_device(uc $session->sid);
        like $session->set_cookie, qr/\Atc=; Max-Age=0/;
    });
};

subtest 'how long ago the password was given' => sub {
    my $jar = logged_in('ann', auth_time => 1_700_000_000);
    request($jar, sub ($session) {
        is $session->auth_time, 1_700_000_000;
        ok !$session->is_fresh('10m');
        $session->login('ann');
        ok $session->is_fresh('10m');
    });
    request({}, sub ($session) { ok !$session->is_fresh('10m') });
};

subtest 'limits of a session, and how long its cookie lives' => sub {
    my $jar = {};
    request($jar);
    request($jar, sub ($session) {
        $session->login('lena', idle => '30d', absolute => '90d');
        like $session->set_cookie, qr/; Max-Age=77(?:76000|75999);/;
        $session->rotate(absolute => '60d');
        like $session->set_cookie, qr/; Max-Age=51(?:84000|83999);/;
        $session->login('lena', idle => '30d', absolute => '90d', persistent => 0);
        unlike $session->set_cookie, qr/Max-Age/;
        ok +TokenCache::CommandError->caught(error_of(sub { $session->login('lena', idle => 'soon') }));
        $session->expire(idle => '1h');
        my ($device) = $session->devices;
        cmp_ok $device->{expires_in}, '<=', 3600;
        cmp_ok $device->{expires_in}, '>', 3500;
    });
};

subtest 'a form of this visitor\'s passes; another\'s, a changed one and another site\'s do not' => sub {
    my ($ann, $bob) = ({}, {});
    request($_) for $ann, $bob;
    my $csrf = $ann->{csrf};
    request($ann, sub ($session) {
        ok $session->passed;
        is $session->csrf_field, sprintf '<input type="hidden" name="csrf" value="%s">', $session->csrf;
        isnt $session->csrf, $csrf;
        ok $session->check($csrf);
        ok !$session->check($_) for $bob->{csrf}, 'forged', undef, [], 'x' x 9000;
        is $session->form, 'failed';
    });
    request($ann, sub ($session) {
        is $session->form, 'failed';
        ok !$session->is_own;
    }, fetch_site => 'cross-site');
};

subtest 'the captcha of a form that did not pass is not spent' => sub {
    my $jar = {};
    my $captcha = request($jar, sub ($session) { $session->captcha(solution => 'seven') });
    unlike $captcha, qr/seven/;
    request({ %$jar, csrf => 'forged' }, sub ($session) {
        ok !$session->solved($captcha, 'seven');
        is $session->captcha_solution($captcha), 'seven';
        is $session->captcha_solution('none'), undef;
    });
    request($jar, sub ($session) {
        ok !$session->solved($captcha, undef), 'an answer that is none spends it';
        ok !$session->solved($captcha, 'seven');
        my $next = $session->captcha;
        ok $session->solved($next, ' ' . lc $session->captcha_solution($next));
    });
};

subtest 'a response that has begun can take no cookie along, so nothing is changed' => sub {
    my $jar = logged_in('ann');
    request($jar, sub ($session) {
        $session->begin;
        like error_of($_), qr/before the first byte/
            for sub { $session->login('ann') }, sub { $session->rotate }, sub { $session->set({ a => 1 }) }, sub { $session->increment('n') },
            sub { $session->logout }, sub { $session->logout_everywhere }, sub { $session->expire(idle => '1h') }, sub { $session->is_fresh('1h') };
        is_deeply $session->get, {};
    });
    request($jar, sub ($session) { is $session->user, 'ann' });
};

subtest 'fields that each request needs come with its one question' => sub {
    my $jar = logged_in('ann', data => { theme => 'dark', cart => 'pear' });
    request($jar, sub ($session) { is_deeply $session->data, {} });
    request($jar, sub ($session) { is_deeply $session->data, { theme => 'dark' } }, fields => ['theme', 'absent']);
};

subtest 'a visitor for this page only can log in' => sub {
    my $jar = {};
    request($jar);
    my $late = { token => $jar->{token} };
    request($jar, sub ($session) { $session->login('ann') });
    request($late, sub ($session) { ok $session->superseded });
    request($late, sub ($session) { $session->login('bob') });
    request($late, sub ($session) { is $session->user, 'bob' });
    request($jar, sub ($session) { is $session->user, 'ann' });
};

subtest 'tokens are bound to the signals that are given' => sub {
    my $strict = daemon('binding.ip=strict');
    my $client = TokenCache::Client->new(socket => $strict->{socket});
    my $jar = {};
    my @home = (client => $client, bind => [BIND => 'ip', '192.0.2.7']);
    request($jar, sub { }, @home);
    request($jar, sub ($session) {
        ok $session->login('ann');
        ok $session->set({ a => 1 });
        ok $session->check($session->csrf);
        is $session->logout_elsewhere, 0;
        my $captcha = $session->captcha;
        ok $session->solved($captcha, $session->captcha_solution($captcha));
        $session->rotate;
        ok $session->is_fresh('1h');
    }, @home);
    request({%$jar}, sub ($session) { is $session->status, 'mismatch' }, client => $client, bind => [BIND => 'ip', '198.51.100.7']);
    request($jar, sub ($session) { is $session->user, 'ann' }, @home);
};

subtest 'a step-up does not confirm a successor that the browser does not have' => sub {
    my $fast = daemon('rotation.after=1s', 'rotation.overlap=500ms');
    my $client = TokenCache::Client->new(socket => $fast->{socket});
    my %get = (client => $client, is_post => 0, csrf => undef);
    my $token = $client->ask('TOKEN.LOGIN', '', 'ann')->{sessiontoken};
    sleep 1.2;
    request({ token => $token }, sub ($session) {
        is $session->status, 'rotated';
        ok $session->is_fresh('1h');
    }, %get);
    # The answer is lost, and the overlap passes.
    sleep 0.8;
    request({ token => $token }, sub ($session) { is $session->user, 'ann' }, %get);
};

subtest 'a name in a reply that is not accepted is nobody' => sub {
    my $path = scripted(sub { resp({ status => 'revoked', accepted => \0, sid => 'ab' x 16, subject => 'ann', csrf => 'c' }) });
    request({}, sub ($session) { is $session->user, undef }, client => TokenCache::Client->new(socket => $path));
};

done_testing;
