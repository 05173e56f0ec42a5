#| A site with a login, on top of TokenCache: a request in, a response out.
#|   request:  method, path, query, cookies, site, mode, form: HTTP_COOKIE, HTTP_SEC_FETCH_SITE, HTTP_SEC_FETCH_MODE
#|   response: status, headers, body
unit class Site;

use TokenCache;

#| One form name serves the whole site.
constant FORM = 'site';
#| Of a page that was sent to itself.
constant MARK = 'again=1';

#| Whoever sent a request. Two rules keep themselves: each command takes the newest token that is known, and the response,
#| whatever it will be, has the cookie of the last reply with a token.
class Visitor {
    has TokenCache $.sessions is required;
    has Str $.cookie is required;
    has Str $.token is required;
    has Str $.set-cookie is rw;

    method visit(*@options --> Hash) { self!note: $!sessions.ask-about('TOKEN.VISIT', $!token, |@options) }

    method ask(Str $command, *@words --> Hash) { self!note: $!sessions.ask($command, $!token, |@words) }

    method !note(%fields --> Hash) {
        with %fields<sessiontoken> {
            $!token = $_;
            $!set-cookie = $!sessions.set-cookie(%fields, $!cookie);
        }
        %fields
    }
}

has TokenCache $.sessions is required;

#| tc for development on http://localhost, and nowhere else.
has Str $.cookie = '__Host-tc';

method respond(%request --> Hash) {
    my $name = $!cookie;
    my $token = (%request<cookies> // '') ~~ / [^ | ';' \s*] $name '=' (<-[;\s]>*) / ?? ~$0 !! '';
    my $visitor = Visitor.new(:$!sessions, :$!cookie, :$token);
    my %response;
    {
        CATCH {
            when TokenCache::Unavailable {
                %response = status => 503, headers => { Retry-After => 1 }, body => "try again: {.why}\n";
            }
        }
        %response = self!answer(%request, $visitor);
    }
    # On the 503 as well: a later fault takes back no token that was given.
    %response<headers><Set-Cookie> = $_ with $visitor.set-cookie;
    # Beside every token, and every page that a form of this visitor is in.
    %response<headers><Cache-Control> = 'no-store';
    %response
}

sub check-password(%form) { (%form<name> // '') eq 'ann' && (%form<password> // '') eq 'apple' ?? 'ann' !! Str }

method !answer(%request, Visitor $visitor) {
    my %form = %request<form> // {};
    my $is-post = %request<method> ne 'GET' | 'HEAD';
    # One question a page: who is it, is the form that came genuine, and a token for the form that goes.
    my %visit = $visitor.visit:
        |($is-post ?? ('CHECK', %form<csrf> // '', FORM) !! ()),
        |(%request<site> ?? ('FETCH-SITE', %request<site>) !! ()),
        |(%request<mode> ?? ('FETCH-MODE', %request<mode>) !! ()),
        |($is-post ?? ('POST',) !! ()), 'CSRF', FORM;
    # The browser has a newer token than the one it sent, or is about to: let it come again, once.
    my $again = once-more(%request<query> // '');
    return redirect($again)
        if !%visit<accepted> && !%visit<sessiontoken>.defined && !$is-post
        && (%request<mode> || 'navigate') eq 'navigate' && $again.defined;
    # Logged in means accepted, and a subject.
    my $subject = %visit<accepted> ?? %visit<subject> !! '';
    if $is-post && %request<path> eq '/login' {
        # The second click of two: whatever became of its form.
        return redirect('/') if $subject;
        # failed, expired, outdated: nothing is carried out, and the form is shown again, as it was filled.
        my $who = %visit<check> eq 'passed' ?? check-password(%form) !! Str;
        return page(%visit, '', %form<name> // '', 'Please send it again.') without $who;
        $visitor.ask('TOKEN.LOGIN', $who);
        return redirect('/');
    }
    if $is-post && %request<path> eq '/logout' && %visit<check> eq 'passed' {
        # A token from before a login ends nothing (replayed), and the cookie stays.
        $visitor.set-cookie = $!sessions.removal($!cookie) if $visitor.ask('TOKEN.REVOKE')<status> eq 'revoked';
        return redirect('/');
    }
    page(%visit, $subject)
}

sub page(%visit, $subject, $name = '', $notice = '') {
    my $csrf = qq|<input type="hidden" name="csrf" value="%visit<csrf>">|;
    my $form = $subject
        ?? qq|<form method="post" action="/logout">$csrf\<button>Log out</button></form>|
        !! qq|<form method="post" action="/login">$csrf\<input name="name" value="{escaped($name)}">|
            ~ '<input name="password" type="password"><button>Log in</button></form>';
    my $who = escaped($subject || 'guest');
    %( status => 200, headers => %( Content-Type => 'text/html; charset=utf-8' ),
       body => "<!doctype html><title>Sessions</title><p>$notice Hello, \<b>$who\</b>.</p>$form" )
}

sub redirect($address) { %( status => 303, headers => %( Location => $address ), body => '' ) }

#| The address of the page itself: its query, and the mark as a parameter of its own. Whatever the path is, it stays.
#| Undefined where the mark is there: once is enough. A page leaves the mark out of its own links.
sub once-more(Str $query --> Str) {
    return Str if $query.split('&').first(MARK).defined;
    '?' ~ ($query ?? "$query&" !! '') ~ MARK
}

sub escaped(Str $text) { $text.subst(/ <[&<>"']> /, { "&#{.ord};" }, :g) }
