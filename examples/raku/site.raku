#!/usr/bin/raku
# A site with a login on clients/raku, a FastCGI worker; from a checkout, with Debian's libfcgi0ldbl:
#
#     raku -I clients/raku/lib examples/raku/site.raku --listen=/tmp/site.sock
#
# README.md has what nginx needs. Where the package is installed, mod_fcgid starts it as it is.
use TokenCache;
use TokenCache::FastCGI;
use TokenCache::Middleware;

constant MOST-NOTE = 200;

sub password-is-right(%form) { (%form<name> // '') eq 'ann' && (%form<password> // '') eq 'apple' }

#| Carries out what was asked for; false where the form has to be shown again.
sub carried-out($what, $session, %form --> Bool) {
    # The second click of two has logged in already, whatever became of its form.
    return True if $what eq 'POST /login' && $session.user.defined;
    return False unless $session.passed;
    given $what {
        when 'POST /login' { return password-is-right(%form) && $session.login(%form<name>) }
        when 'POST /note' {
            my $note = %form<note> // '';
            return $session.user.defined && $note.chars <= MOST-NOTE && $session.set(%( :$note ))
        }
        when 'POST /logout' {
            $session.logout;
            return True
        }
    }
    False
}

#| The forms are filled as they came.
sub forms($session, %form --> Str) {
    my $csrf = $session.csrf-field;
    my &value = -> $name { escaped(%form{$name} // $session.data{$name} // '') };
    my $forms = $session.user.defined
        ?? qq|<form method="post" action="/note">$csrf\<input name="note" value="{value('note')}"><button>Keep</button></form>|
            ~ qq|<form method="post" action="/logout">$csrf\<button>Log out</button></form>|
        !! qq|<form method="post" action="/login">$csrf\<input name="name" value="{value('name')}">|
            ~ '<input name="password" type="password"><button>Log in</button></form>';
    my $notice = %form ?? 'Please send it again.' !! '';
    "<!doctype html><title>Sessions</title><p>$notice Hello, <b>{escaped($session.user // 'guest')}</b>.</p>$forms"
}

sub site($request, $session) {
    my %form = $request.is-unsafe ?? $request.form !! %();
    carried-out("$request.method() $request.path()", $session, %form) ?? redirect('/') !! page(forms($session, %form))
}

sub MAIN(Str :$listen) {
    my $client = TokenCache.new(path => %*ENV<TOKENCACHED_SOCKET> // '/run/tokencached/tokencached.sock');
    # tc: a cookie for http://localhost. Leave it out where the site has HTTPS. `note` comes with the question who it is.
    serve TokenCache::Middleware.new(:$client, cookie => 'tc', data => ['note']).wrap(&site), :$listen;
}
