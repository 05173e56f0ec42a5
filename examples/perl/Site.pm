# A site with a login, on top of Sessions: a request in, a response out, as a FastCGI or PSGI worker has them.
#   request:  { method, path, query, cookies, site, mode, form }: HTTP_COOKIE, HTTP_SEC_FETCH_SITE, HTTP_SEC_FETCH_MODE
#   response: { status, headers, body }
package Site;
use strict;
use warnings;
use Sessions;

# One form name serves the whole site.
use constant FORM => 'site';

# The cookie's name is __Host-tc; for development on http://localhost, and nowhere else, tc.
sub new {
    my ($class, $sessions, $cookie) = @_;
    return bless { sessions => $sessions, cookie => $cookie // '__Host-tc' }, $class;
}

sub check_password { my ($name, $password) = @_; return $name eq 'ann' && $password eq 'apple' ? $name : undef }

sub respond {
    my ($self, $request) = @_;
    my $response = eval { $self->answer($request) };
    if (!$response) {
        die $@ unless ref $@ eq 'Sessions::Unavailable';
        $response = { status => 503, headers => { 'Retry-After' => 1 }, body => "try again: $@->{why}\n" };
    }
    # Beside every token, and every page that a form of this visitor is in.
    $response->{headers}{'Cache-Control'} = 'no-store';
    return $response;
}

sub answer {
    my ($self, $request) = @_;
    my ($sessions, $cookie, $form) = (@$self{qw(sessions cookie)}, $request->{form} // {});
    my $is_post = $request->{method} !~ /\A(?:GET|HEAD)\z/;
    my ($token) = ($request->{cookies} // '') =~ /(?:^|;\s*)\Q$cookie\E=([^;\s]*)/;
    $token //= '';
    # One question a page: who is it, is the form that came genuine, and a token for the form that goes.
    my $visit = $sessions->ask_about(
        'token_visit', $token,
        $is_post ? (CHECK => $form->{csrf} // '', FORM) : (),
        length($request->{site} // '') ? ('FETCH-SITE' => $request->{site}) : (),
        length($request->{mode} // '') ? ('FETCH-MODE' => $request->{mode}) : (),
        $is_post ? 'POST' : (),
        CSRF => FORM);
    my $set_cookie = Sessions::set_cookie($visit, $cookie);
    # For the rest of the request the newest token that is known.
    $token = $visit->{sessiontoken} // $token;
    # The browser has a newer token than the one it sent, or is about to: let it come again, once.
    return redirect("$request->{path}?again=1", $set_cookie)
        if !$visit->{accepted} && !defined $visit->{sessiontoken} && !$is_post
        && ($request->{mode} || 'navigate') eq 'navigate' && ($request->{query} // '') !~ /again/;
    # Logged in means accepted, and a subject.
    my $subject = $visit->{accepted} ? $visit->{subject} : '';
    if ($is_post && $request->{path} eq '/login') {
        # The second click of two: whatever became of its form.
        return redirect('/', $set_cookie) if length $subject;
        # failed, expired, outdated: nothing is carried out, and the form is shown again, as it was filled.
        my $name = $visit->{check} eq 'passed' ? check_password($form->{name} // '', $form->{password} // '') : undef;
        return page($visit, $set_cookie, $subject, $form->{name}, 'Please send it again.') unless defined $name;
        # Once in a response: the cookie of the last reply.
        return redirect('/', Sessions::set_cookie($sessions->ask('token_login', $token, $name), $cookie));
    }
    if ($is_post && $request->{path} eq '/logout' && $visit->{check} eq 'passed') {
        # A token from before a login ends nothing (replayed), and the cookie stays.
        $set_cookie = Sessions::removal($cookie) if $sessions->ask('token_revoke', $token)->{status} eq 'revoked';
        return redirect('/', $set_cookie);
    }
    return page($visit, $set_cookie, $subject);
}

sub page {
    my ($visit, $set_cookie, $subject, $name, $notice) = @_;
    my $csrf = qq(<input type="hidden" name="csrf" value="$visit->{csrf}">);
    my $form = length $subject
        ? qq(<form method="post" action="/logout">$csrf<button>Log out</button></form>)
        : qq(<form method="post" action="/login">$csrf<input name="name" value="${\escaped($name // '')}">)
        . qq(<input name="password" type="password"><button>Log in</button></form>);
    my $who = escaped(length $subject ? $subject : 'guest');
    return {
        status  => 200,
        headers => { 'Content-Type' => 'text/html; charset=utf-8', cookie_header($set_cookie) },
        body    => "<!doctype html><title>Sessions</title><p>${\($notice // '')} Hello, <b>$who</b>.</p>$form",
    };
}

sub redirect {
    my ($address, $set_cookie) = @_;
    return { status => 303, headers => { Location => $address, cookie_header($set_cookie) }, body => '' };
}

sub cookie_header { return defined $_[0] ? ('Set-Cookie' => $_[0]) : () }

sub escaped { return $_[0] =~ s/([&<>"'])/'&#' . ord($1) . ';'/ger }

1;
