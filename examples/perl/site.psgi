# A site with a login on clients/perl; from a checkout, with Debian's libplack-perl:
#
#     plackup -I clients/perl/lib --port 8000 examples/perl/site.psgi     then http://localhost:8000: ann, password apple
use v5.26;
use warnings;
use experimental 'signatures';
use Encode qw(decode encode);
use Plack::Builder;
use Plack::Request;

use constant MOST_NOTE => 200;

sub password_is_right ($form) { return ($form->{name} // '') eq 'ann' && ($form->{password} // '') eq 'apple' }

# Carries out what was asked for; false where the form has to be shown again.
sub carried_out ($what, $session, $form) {
    # The second click of two has logged in already, whatever became of its form.
    return 1 if $what eq 'POST /login' && defined $session->user;
    return 0 unless $session->passed;
    return $session->login($form->{name}) if $what eq 'POST /login' && password_is_right($form);
    return $session->set({ note => $form->{note} })
        if $what eq 'POST /note' && defined $session->user && length($form->{note} // '') <= MOST_NOTE;
    return 0 unless $what eq 'POST /logout';
    $session->logout;
    return 1;
}

# The forms are filled as they came.
sub page ($session, $form) {
    my ($csrf, $user) = ($session->csrf_field, $session->user);
    my $forms = defined $user
        ? qq(<form method="post" action="/note">$csrf<input name="note" value="${\escaped($form->{note} // $session->data->{note} // '')}">)
        . qq(<button>Keep</button></form><form method="post" action="/logout">$csrf<button>Log out</button></form>)
        : qq(<form method="post" action="/login">$csrf<input name="name" value="${\escaped($form->{name} // '')}">)
        . '<input name="password" type="password"><button>Log in</button></form>';
    my $notice = %$form ? 'Please send it again.' : '';
    return [200, ['Content-Type' => 'text/html; charset=utf-8'], [encode('UTF-8',
        "<!doctype html><title>Sessions</title><p>$notice Hello, <b>${\escaped($user // 'guest')}</b>.</p>$forms")]];
}

sub escaped ($text) { return $text =~ s/([&<>"'])/'&#' . ord($1) . ';'/ger }

builder {
    # development: a cookie for http://localhost. Leave it out where the site has HTTPS.
    enable 'TokenCache', socket => $ENV{TOKENCACHED_SOCKET} // '/run/tokencached/tokencached.sock', development => 1,
        data => ['note'];
    sub ($env) {
        my $request = Plack::Request->new($env);
        my $session = $env->{'tokencache.session'};
        my $form = { map { decode('UTF-8', $_) } $request->body_parameters->as_hashref->%* };
        return [303, [Location => '/'], []] if carried_out($request->method . ' ' . $request->path, $session, $form);
        return page($session, $form);
    };
};
