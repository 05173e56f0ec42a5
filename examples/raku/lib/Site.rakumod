#| A site with a login, on clients/raku: a request and its session in, a response out.
unit module Site;

use TokenCache::Middleware;

sub site($request, $session) is export {
    given "$request.method() $request.path()" {
        when 'POST /login' {
            # The second click of two: whatever became of its form.
            return redirect('/') if $session.user.defined;
            # Nothing is carried out, and the form is shown again, as it was filled.
            my %form = $request.form;
            my $who = $session.passed ?? check-password(%form) !! Str;
            return form($session, %form<name> // '', 'Please send it again.') without $who;
            $session.login($who);
            redirect('/')
        }
        when 'POST /logout' {
            return form($session) unless $session.passed;
            $session.logout;
            redirect('/')
        }
        default { form($session) }
    }
}

sub check-password(%form) { (%form<name> // '') eq 'ann' && (%form<password> // '') eq 'apple' ?? 'ann' !! Str }

sub form($session, $name = '', $notice = '') {
    my $who = escaped($session.user // 'guest');
    my $form = $session.user.defined
        ?? qq|<form method="post" action="/logout">{$session.csrf-field}<button>Log out</button></form>|
        !! qq|<form method="post" action="/login">{$session.csrf-field}<input name="name" value="{escaped($name)}">|
            ~ '<input name="password" type="password"><button>Log in</button></form>';
    page("<!doctype html><title>Sessions</title><p>$notice Hello, <b>{$who}</b>.</p>$form")
}
