#| A site with a login, on top of TokenCache: a request in, a response out.
#|   request:  method, path, query, cookies, site, mode, form: HTTP_COOKIE, HTTP_SEC_FETCH_SITE, HTTP_SEC_FETCH_MODE
#|   response: status, headers, body
unit class Site;

use TokenCache;

#| One form name serves the whole site.
constant FORM = 'site';

has TokenCache $.sessions is required;

#| tc for development on http://localhost, and nowhere else.
has Str $.cookie = '__Host-tc';

method respond(%request --> Hash) {
    my %response;
    {
        CATCH {
            when TokenCache::Unavailable {
                %response = status => 503, headers => { Retry-After => 1 }, body => "try again: {.why}\n";
            }
        }
        %response = self!answer(%request);
    }
    # Beside every token, and every page that a form of this visitor is in.
    %response<headers><Cache-Control> = 'no-store';
    %response
}

sub check-password(%form) { (%form<name> // '') eq 'ann' && (%form<password> // '') eq 'apple' ?? 'ann' !! Str }

method !answer(%request) {
    my %form = %request<form> // {};
    my $is-post = %request<method> ne 'GET' | 'HEAD';
    my $name = $!cookie;
    my $token = (%request<cookies> // '') ~~ / [^ | ';' \s*] $name '=' (<-[;\s]>*) / ?? ~$0 !! '';
    # One question a page: who is it, is the form that came genuine, and a token for the form that goes.
    my @options = |($is-post ?? ('CHECK', %form<csrf> // '', FORM) !! ()),
        |(%request<site> ?? ('FETCH-SITE', %request<site>) !! ()),
        |(%request<mode> ?? ('FETCH-MODE', %request<mode>) !! ()),
        |($is-post ?? ('POST',) !! ()), 'CSRF', FORM;
    my %visit = $!sessions.ask-about('TOKEN.VISIT', $token, |@options);
    my $set-cookie = $!sessions.set-cookie(%visit, $!cookie);
    # For the rest of the request the newest token that is known.
    $token = $_ with %visit<sessiontoken>;
    # The browser has a newer token than the one it sent, or is about to: let it come again, once.
    return redirect("%request<path>?again=1", $set-cookie)
        if !%visit<accepted> && !%visit<sessiontoken>.defined && !$is-post
        && (%request<mode> || 'navigate') eq 'navigate' && !(%request<query> // '').contains('again');
    # Logged in means accepted, and a subject.
    my $subject = %visit<accepted> ?? %visit<subject> !! '';
    if $is-post && %request<path> eq '/login' {
        # The second click of two: whatever became of its form.
        return redirect('/', $set-cookie) if $subject;
        # failed, expired, outdated: nothing is carried out, and the form is shown again, as it was filled.
        my $who = %visit<check> eq 'passed' ?? check-password(%form) !! Str;
        return page(%visit, $set-cookie, '', %form<name> // '', 'Please send it again.') without $who;
        # Once in a response: the cookie of the last reply.
        return redirect('/', $!sessions.set-cookie($!sessions.ask('TOKEN.LOGIN', $token, $who), $!cookie));
    }
    if $is-post && %request<path> eq '/logout' && %visit<check> eq 'passed' {
        # A token from before a login ends nothing (replayed), and the cookie stays.
        my $is-over = $!sessions.ask('TOKEN.REVOKE', $token)<status> eq 'revoked';
        return redirect('/', $is-over ?? $!sessions.removal($!cookie) !! $set-cookie);
    }
    page(%visit, $set-cookie, $subject)
}

sub page(%visit, $set-cookie, $subject, $name = '', $notice = '') {
    my $csrf = qq|<input type="hidden" name="csrf" value="%visit<csrf>">|;
    my $form = $subject
        ?? qq|<form method="post" action="/logout">$csrf\<button>Log out</button></form>|
        !! qq|<form method="post" action="/login">$csrf\<input name="name" value="{escaped($name)}">|
            ~ '<input name="password" type="password"><button>Log in</button></form>';
    my $who = escaped($subject || 'guest');
    %( status => 200, headers => %( Content-Type => 'text/html; charset=utf-8', |cookie-header($set-cookie) ),
       body => "<!doctype html><title>Sessions</title><p>$notice Hello, \<b>$who\</b>.</p>$form" )
}

sub redirect($address, $set-cookie) {
    %( status => 303, headers => %( Location => $address, |cookie-header($set-cookie) ), body => '' )
}

sub cookie-header($set-cookie) { $set-cookie.defined ?? (Set-Cookie => $set-cookie,) !! () }

sub escaped(Str $text) { $text.subst(/ <[&<>"']> /, { "&#{.ord};" }, :g) }
