# A site with a login, on top of Sessions: a request in, a response out, as a FastCGI or PSGI worker has them.
#   request:  { method, path, query, cookies, site, mode, form }: HTTP_COOKIE, HTTP_SEC_FETCH_SITE, HTTP_SEC_FETCH_MODE
#   response: { status, headers, body }
package Site;
use strict;
use warnings;
use Sessions;

# One form name serves the whole site.
use constant FORM => 'site';
# Of a page that was sent to itself.
use constant MARK => 'again=1';

# The cookie's name is __Host-tc; for development on http://localhost, and nowhere else, tc.
sub new {
    my ($class, $sessions, $cookie) = @_;
    return bless { sessions => $sessions, cookie => $cookie // '__Host-tc' }, $class;
}

sub check_password { my ($name, $password) = @_; return $name eq 'ann' && $password eq 'apple' ? $name : undef }

sub respond {
    my ($self, $request) = @_;
    my $visitor = Visitor->new(@$self{qw(sessions cookie)}, $request->{cookies} // '');
    my $response = eval { $self->answer($request, $visitor) };
    if (!$response) {
        die $@ unless ref $@ eq 'Sessions::Unavailable';
        $response = { status => 503, headers => { 'Retry-After' => 1 }, body => "try again: $@->{why}\n" };
    }
    # On the 503 as well: a later fault takes back no token that was given.
    $response->{headers}{'Set-Cookie'} = $visitor->{set_cookie} if defined $visitor->{set_cookie};
    # Beside every token, and every page that a form of this visitor is in.
    $response->{headers}{'Cache-Control'} = 'no-store';
    return $response;
}

sub answer {
    my ($self, $request, $visitor) = @_;
    my $form = $request->{form} // {};
    my $is_post = $request->{method} !~ /\A(?:GET|HEAD)\z/;
    # One question a page: who is it, is the form that came genuine, and a token for the form that goes.
    my $visit = $visitor->visit(
        $is_post ? (CHECK => $form->{csrf} // '', FORM) : (),
        length($request->{site} // '') ? ('FETCH-SITE' => $request->{site}) : (),
        length($request->{mode} // '') ? ('FETCH-MODE' => $request->{mode}) : (),
        $is_post ? 'POST' : (),
        CSRF => FORM);
    # The browser has a newer token than the one it sent, or is about to: let it come again, once.
    my $again = once_more($request->{query} // '');
    return redirect($again)
        if !$visit->{accepted} && !defined $visit->{sessiontoken} && !$is_post
        && ($request->{mode} || 'navigate') eq 'navigate' && defined $again;
    # Logged in means accepted, and a subject.
    my $subject = $visit->{accepted} ? $visit->{subject} : '';
    if ($is_post && $request->{path} eq '/login') {
        # The second click of two: whatever became of its form.
        return redirect('/') if length $subject;
        # failed, expired, outdated: nothing is carried out, and the form is shown again, as it was filled.
        my $name = $visit->{check} eq 'passed' ? check_password($form->{name} // '', $form->{password} // '') : undef;
        return page($visit, $subject, $form->{name}, 'Please send it again.') unless defined $name;
        $visitor->ask('token_login', $name);
        return redirect('/');
    }
    if ($is_post && $request->{path} eq '/logout' && $visit->{check} eq 'passed') {
        # A token from before a login ends nothing (replayed), and the cookie stays.
        $visitor->{set_cookie} = Sessions::removal($self->{cookie})
            if $visitor->ask('token_revoke')->{status} eq 'revoked';
        return redirect('/');
    }
    return page($visit, $subject);
}

sub page {
    my ($visit, $subject, $name, $notice) = @_;
    my $csrf = qq(<input type="hidden" name="csrf" value="$visit->{csrf}">);
    my $form = length $subject
        ? qq(<form method="post" action="/logout">$csrf<button>Log out</button></form>)
        : qq(<form method="post" action="/login">$csrf<input name="name" value="${\escaped($name // '')}">)
        . qq(<input name="password" type="password"><button>Log in</button></form>);
    my $who = escaped(length $subject ? $subject : 'guest');
    return {
        status  => 200,
        headers => { 'Content-Type' => 'text/html; charset=utf-8' },
        body    => "<!doctype html><title>Sessions</title><p>${\($notice // '')} Hello, <b>$who</b>.</p>$form",
    };
}

sub redirect { return { status => 303, headers => { Location => $_[0] }, body => '' } }

# The address of the page itself: its query, and the mark as a parameter of its own. Whatever the path is, it stays.
# Nothing where the mark is there: once is enough. A page leaves the mark out of its own links.
sub once_more {
    my ($query) = @_;
    return undef if grep { $_ eq MARK } split /&/, $query;
    return '?' . join '&', length $query ? $query : (), MARK;
}

sub escaped { return $_[0] =~ s/([&<>"'])/'&#' . ord($1) . ';'/ger }

# Whoever sent a request. Two rules keep themselves: each command takes the newest token that is known, and the response,
# whatever it will be, has the cookie of the last reply with a token.
package Visitor;

sub new {
    my ($class, $sessions, $cookie, $header) = @_;
    my ($token) = $header =~ /(?:^|;\s*)\Q$cookie\E=([^;\s]*)/;
    return bless { sessions => $sessions, cookie => $cookie, token => $token // '' }, $class;
}

sub visit { my ($self, @options) = @_; return $self->note($self->{sessions}->ask_about('token_visit', $self->{token}, @options)) }

sub ask {
    my ($self, $command, @arguments) = @_;
    return $self->note($self->{sessions}->ask($command, $self->{token}, @arguments));
}

sub note {
    my ($self, $fields) = @_;
    $self->{token} = $fields->{sessiontoken} // $self->{token};
    $self->{set_cookie} = Sessions::set_cookie($fields, $self->{cookie}) // $self->{set_cookie};
    return $fields;
}

1;
