#| The small site that every language serves: a request and its session in, a response out. No password: it is for tests.
unit module Site;

use TokenCache;
use TokenCache::Middleware;

#| The fields of a cart begin so: one field an item, so that no request loses another's.
constant CART = 'item:';
#| Bytes of an item and of a user's name; the daemon takes 256.
constant MAX-NAME = 200;

#| Whether the solution of a captcha stands beside it, for a browser that cannot read pictures.
my Bool $reveals;

#| The site as a function of a request and its session.
sub site(Bool :$reveal-captchas = False) is export {
    $reveals = $reveal-captchas;
    &respond
}

sub respond($request, $session) {
    given "$request.method() $request.path()" {
        when 'GET /' | 'HEAD /' { home($session) }
        when 'GET /login' { login-page($session) }
        when 'POST /login' { log-in($session, $request.form) }
        when 'POST /logout' { carried-out($session, { .logout }) }
        when 'POST /logout-everywhere' { carried-out($session, { .logout-everywhere }) }
        when 'GET /cart' { json($session.is-outrun ?? () !! items($session)) }
        when 'POST /cart' { add($session, $request.form<item> // '') }
        when 'GET /api/me' {
            $session.user ?? json(%( user => $session.user, sid => $session.sid )) !! json(%( user => Nil ), :status(401))
        }
        when 'POST /api/count' { count($request, $session) }
        when 'GET /devices' { json($session.devices.map({ %( sid => .<sid>, current => .<current> ) }).list) }
        when 'POST /devices/end' { carried-out($session, { .end-device($request.form<sid> // '') }) }
        when 'GET /contact' { contact-page($session, '') }
        when 'POST /contact' { contact($session, $request.form) }
        # Believed by its own signature, not by the visitor, whose cookie the browser may hold back.
        when 'POST /payment/return' { redirect('/') }
        default { text('Not found.', 404) }
    }
}

# What a button does, or the page with its buttons again.
sub carried-out($session, &action) {
    return home($session) unless $session.passed;
    action($session);
    redirect('/')
}

sub home($session) {
    my $who = $session.user.defined ?? "user: {escaped($session.user)}" !! 'guest';
    my &form = -> $address, $label { qq|<form method="post" action="$address">{$session.csrf-field}<button>{$label}</button></form>| };
    my $forms = $session.user.defined
        ?? form('/logout', 'Log out') ~ form('/logout-everywhere', 'Log out everywhere') !! '<p><a href="/login">Log in</a></p>';
    html "<p>{$who}</p>{$forms}<p><a href=\"/contact\">Contact</a></p>"
        ~ cart-form($session)
}

sub cart-form($session, $item = '') {
    qq|<form method="post" action="/cart">{$session.csrf-field}<input name="item" value="{escaped($item)}"><button>Into the cart</button></form>|
}

sub login-page($session, %form = {}, $notice = '') {
    my $checked = %form<remember> ?? ' checked' !! '';
    html qq|<p>{$notice}</p><form method="post" action="/login">{$session.csrf-field}|
        ~ qq|<label>User <input name="user" value="{escaped(%form<user> // '')}"></label>|
        ~ qq|<label><input type="checkbox" name="remember" value="1"$checked> Remember me</label><button>Log in</button></form>|
}

sub log-in($session, %form) {
    my $user = %form<user> // '';
    # The second click of two, whatever became of its form; everybody else gets it again.
    return $session.user.defined ?? redirect('/') !! login-page($session, %form, 'Please send it again.') unless $session.passed;
    return login-page($session, %form, "A user's name has 1 to {MAX-NAME} bytes.") unless 0 < $user.encode('utf8-c8').bytes <= MAX-NAME;
    return login-page($session, %form, 'You have too many sessions.') unless $session.login($user, remember => ?%form<remember>);
    redirect('/')
}

sub items($session) { $session.get.keys.grep(*.starts-with(CART)).map(*.substr(CART.chars)).sort.list }

sub add($session, $item) {
    my $is-good = $session.passed && 0 < $item.encode('utf8-c8').bytes <= MAX-NAME;
    CATCH {
        # A session holds so many bytes, and no more.
        when TokenCache::Mistake { return text('The cart is full.', 413) }
        # The browser has a newer token than it sent, and with that the form will do.
        when TokenCache::NotAccepted { return html(cart-form($session, $item)) }
    }
    $is-good && $session.set({ CART ~ $item => '1' }) ?? json(items($session)) !! html(cart-form($session, $item))
}

# A script's request: same-origin, so the browser's own word is enough. Guests are not counted.
sub count($request, $session) {
    return text('Not from another site.', 403) if ($request.site // '') eq 'cross-site';
    $session.user.defined ?? json(%( count => $session.increment('count') )) !! json(%( user => Nil ), :status(401))
}

sub contact-page($session, $notice, %form = {}) {
    my $captcha = $session.captcha('contact');
    my $solution = $reveals && $captcha ?? qq| data-solution="{escaped($session.captcha-solution($captcha))}"| !! '';
    html qq|<p>{$notice}</p><form method="post" action="/contact">{$session.csrf-field}|
        ~ qq|<input type="hidden" name="captcha" value="$captcha"$solution><input name="answer">|
        ~ qq|<textarea name="text">{escaped(%form<text> // '')}</textarea><button>Send</button></form>|
}

sub contact($session, %form) {
    # The captcha only behind the form: somebody else's request must not spend it.
    return contact-page($session, 'Please send it again.', %form) unless $session.passed;
    return contact-page($session, 'The letters were others.', %form)
        unless $session.captcha-passed(%form<captcha> // '', %form<answer> // '', 'contact');
    redirect('/')
}

sub html($body) { page("<!doctype html><title>Site</title>$body") }

sub text($text, $status) { %( :$status, headers => { Content-Type => 'text/plain; charset=utf-8' }, body => "$text\n" ) }

sub json($value, :$status = 200) { %( :$status, headers => { Content-Type => 'application/json' }, body => json-of($value) ) }

sub json-of($value --> Str) {
    given $value {
        when Bool  { $_ ?? 'true' !! 'false' }
        when Int:D { ~$_ }
        when Str:D { '"' ~ .subst(/ <["\\] + :Cc> /, { .NFC.map({ sprintf '\\u%04x', $_ }).join }, :g) ~ '"' }
        when Associative { '{' ~ .sort.map({ json-of(.key) ~ ': ' ~ json-of(.value) }).join(', ') ~ '}' }
        when Positional  { '[' ~ .map(&json-of).join(', ') ~ ']' }
        default { 'null' }
    }
}
