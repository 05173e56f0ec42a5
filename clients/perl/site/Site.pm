# The little site that every package has, on the public parts of this one: a request in, a response out.
#   request: { method, path, session, form, query }, the fields of form and query in characters
#   response: [status, headers, body] of PSGI
package Site;
use v5.26;
use warnings;
use experimental 'signatures';
use Encode qw(encode_utf8);
use JSON::PP;
use TokenCache::Error;

use constant {
    # One field an item, so that two requests that add to a cart lose nothing.
    FIELD      => 'cart:',
    MOST_ITEM  => 200,
    MOST_USER  => 256,
    REMEMBERED => { idle => '30d', absolute => '90d' },
};

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

sub new ($class, %options) { return bless {%options}, $class }

my %ROUTES = (
    'GET /'                   => \&home,
    'GET /login'              => \&login_page,
    'POST /login'             => \&login,
    'POST /logout'            => sub ($self, $request) { $self->leave($request, 'logout') },
    'POST /logout-everywhere' => sub ($self, $request) { $self->leave($request, 'logout_everywhere') },
    'GET /cart'               => \&cart,
    'POST /cart'              => \&add_item,
    'GET /api/me'             => \&me,
    'POST /api/count'         => \&count,
    'GET /devices'            => \&devices,
    'POST /devices/end'       => \&end_device,
    'GET /contact'            => \&contact_page,
    'POST /contact'           => \&contact,
    'GET /captcha'            => \&picture,
    # From another site, without a form of ours, perhaps without the cookie: it is believed by its own signature, not by
    # the visitor.
    'POST /payment/return'    => sub { redirect('/') },
);

sub respond ($self, $request) {
    my $method = $request->{method} eq 'HEAD' ? 'GET' : $request->{method};
    my $route = $ROUTES{"$method $request->{path}"} or return [404, ['Content-Type' => 'text/plain'], ["not found\n"]];
    return $self->$route($request);
}

sub home ($self, $request) {
    my $session = $request->{session};
    my $user = $session->user;
    my $who = defined $user
        ? "<p>user: ${\escaped($user)}</p>" . form($session, '/logout', '<button>log out</button>')
        . form($session, '/logout-everywhere', '<button>log out everywhere</button>')
        : '<p>guest</p><a href="/login">log in</a>';
    return page('Home', $who . cart_form($session));
}

sub login_page ($self, $request) {
    my $user = escaped($request->{form}{user} // '');
    return page('Log in', form($request->{session}, '/login', qq(<input name="user" value="$user">)
        . '<label><input type="checkbox" name="remember" value="1">remember me</label><button>log in</button>'));
}

sub login ($self, $request) {
    my ($session, $form) = @$request{qw(session form)};
    my $user = $form->{user} // '';
    # Somebody is logged in already: the second click of two, whatever became of its form.
    return redirect('/') if !$session->passed && defined $session->user;
    return $self->login_page($request) unless $session->passed && fits($user, MOST_USER);
    $session->login($user, length($form->{remember} // '') ? REMEMBERED->%* : ());
    return redirect('/');
}

sub leave ($self, $request, $how) {
    return $self->home($request) unless $request->{session}->passed;
    $request->{session}->$how;
    return redirect('/');
}

sub items ($session) {
    return [sort map { substr $_, length FIELD } grep { index($_, FIELD) == 0 } keys $session->get->%*];
}

sub cart ($self, $request) {
    my $session = $request->{session};
    return json_of($session->superseded ? [] : items($session));
}

sub add_item ($self, $request) {
    my $session = $request->{session};
    my $item = $request->{form}{item} // '';
    return page('Cart', cart_form($session, $item)) unless $session->passed && fits($item, MOST_ITEM);
    my $is_stored = eval { $session->set({ FIELD . $item => 1 }) };
    if (!$is_stored) {
        # The browser has a newer token than it sent, and with that the form will do.
        return page('Cart', cart_form($session, $item)) if TokenCache::NotAccepted->caught($@);
        die $@;
    }
    return json_of(items($session));
}

sub me ($self, $request) {
    my $session = $request->{session};
    return json_of({ user => undef }, 401) unless defined $session->user;
    return json_of({ user => $session->user, sid => $session->sid });
}

sub count ($self, $request) {
    my $session = $request->{session};
    return json_of({ user => undef }, 401) unless defined $session->user && $session->is_own;
    return json_of({ count => 0 + $session->increment('count') });
}

sub devices ($self, $request) {
    my $session = $request->{session};
    my @devices = map { +{ sid => $_->{sid}, current => $_->{current} ? JSON::PP::true : JSON::PP::false } } $session->devices;
    return json_of(\@devices, defined $session->user ? 200 : 401);
}

sub end_device ($self, $request) {
    return $self->home($request) unless $request->{session}->passed;
    $request->{session}->end_device($request->{form}{sid});
    return redirect('/');
}

sub contact_page ($self, $request) {
    my $session = $request->{session};
    my $captcha = $session->captcha;
    my $solution = $self->{reveals_captchas} ? qq( data-solution="${\escaped($session->captcha_solution($captcha))}") : '';
    my $text = escaped($request->{form}{text} // '');
    return page('Contact', form($session, '/contact', qq(<input type="hidden" name="captcha" value="$captcha"$solution>)
        . qq(<img src="/captcha?of=$captcha" alt=""><input name="answer"><textarea name="text">$text</textarea><button>send</button>)));
}

sub contact ($self, $request) {
    return redirect('/') if $request->{session}->solved(@{ $request->{form} }{qw(captcha answer)});
    return $self->contact_page($request);
}

# A picture that a bot can read, too: draw yours.
sub picture ($self, $request) {
    my $solution = $request->{session}->captcha_solution($request->{query}{of});
    return [404, ['Content-Type' => 'text/plain'], ["too old\n"]] unless defined $solution;
    return [200, ['Content-Type' => 'image/svg+xml'], [encode_utf8('<svg xmlns="http://www.w3.org/2000/svg" width="120" height="40">'
        . qq(<text x="10" y="30" font-size="28">${\escaped($solution)}</text></svg>))]];
}

sub form ($session, $action, $fields) { return qq(<form method="post" action="$action">${\$session->csrf_field}$fields</form>) }

sub cart_form ($session, $item = '') {
    return form($session, '/cart', qq(<input name="item" value="${\escaped($item)}"><button>add to the cart</button>));
}

sub page ($title, $body) {
    return [200, ['Content-Type' => 'text/html; charset=utf-8'], [encode_utf8("<!doctype html><title>$title</title>$body")]];
}

sub json_of ($value, $status = 200) { return [$status, ['Content-Type' => 'application/json'], [$json->encode($value)]] }

sub redirect ($address) { return [303, [Location => $address], []] }

sub escaped ($text) { return $text =~ s/([&<>"'])/'&#' . ord($1) . ';'/ger }

sub fits ($name, $most) { return length $name && length encode_utf8($name) <= $most }

1;
