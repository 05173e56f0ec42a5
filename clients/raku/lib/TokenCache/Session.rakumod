#| Whoever sent a request. Rules that it keeps: each command takes the newest token that is known, but for `logged-in-within`; the response has the cookie
#| of the last reply with a token, and else none; a reply about somebody else's session is no reply.
#|
#| Every method that asks the daemon throws TokenCache::Unavailable where nobody knows, and those that read or change what is the
#| visitor's throw TokenCache::NotAccepted where the token ended meanwhile: let them pass, the middleware answers.
unit class TokenCache::Session;

use TokenCache;
use TokenCache::Request;

#| A method that changes whose session it is was called in a request whose form did not pass: it could be another site's.
class Unproven is Exception {
    has Str $.what;
    method message(--> Str) { "$!what: the form of this request did not pass; ask `passed` first, or say :unchecked" }
}

#| What "remember me" means.
constant REMEMBER-IDLE     = '30d';
constant REMEMBER-ABSOLUTE = '90d';
#| Longer than any form's token, captcha or answer. What a visitor sends beyond it is not asked about.
constant MAX-FIELD = 4096;

has TokenCache $.client is required;
has TokenCache::Request $.request is required;
#| The name of the form that `csrf` and `passed` speak of; one may serve a whole site.
has Str $.form = 'site';
#| BIND and its signals, as words of a command.
has @.bind;

#| The newest token that is known. Never into a page: that is what `csrf` is for.
has Str $.token is required;
#| What the token that the browser sent was worth: none, valid, rotated, expired, revoked, replayed, …
has Str $.status;
#| The public name of the session; fit for logs.
has Str $.sid;
#| The fields that the visit asked for, as this request found them.
has %.data;
#| When the user last proved who they are, in Unix time; 0 if nobody did.
has Int $.auth-time;
has Str $.check;

# The token that the browser holds, as far as this request knows.
has Str $!presented = $!token;
has Str $!subject = '';
has Str $!csrf;
has %!given;
has Bool $!is-ended = False;
has Bool $!is-outrun = False;
has Bool $!is-personal = False;

#| One question: who is it, is the form that came genuine, a token for the form that goes, and these fields of the data (all of
#| them by '*'). The middleware asks it before the application is called.
method visit(*@fields) {
    my $is-unsafe = $!request.is-unsafe;
    my %reply = self!note: $!client.ask-about: 'TOKEN.VISIT', $!token, |@!bind,
        |($is-unsafe ?? ('CHECK', self!sent-csrf, $!form, 'POST') !! ()),
        |option('FETCH-SITE', self!fetch-site), |option('FETCH-MODE', $!request.header('Sec-Fetch-Mode')), 'CSRF', $!form, |data-words(@fields);
    $!status = %reply<status>;
    $!check = %reply<check> // Str;
    %!data = %reply<data> // {};
    $!is-outrun = !%reply<accepted> && !%reply<sessiontoken>.defined;
    self
}

#| Who is logged in; Nil for a guest, who is accepted, too.
method user() { $!subject || Nil }

#| Whether the form of this request is genuine: made for this visitor and this form, and not sent by another site. If not, carry
#| nothing out and show it again, filled as it came, with the `csrf` of now.
method passed(--> Bool) { ($!check // '') eq 'passed' }

#| The browser holds a newer token than the one it sent, or is about to. The middleware sends a navigation to itself once; an
#| API says "try again".
method is-outrun(--> Bool) { $!is-outrun && $!status ne 'none' }

#| A token for a form of the page, and the field that holds it.
method csrf(--> Str) {
    $!is-personal = True;
    $!csrf //= $!client.ask('CSRF.ISSUE', $!token, |@!bind, 'FORM', $!form)<csrf> // ''
}
method csrf-field(--> Str) { qq|<input type="hidden" name="csrf" value="{self.csrf}">| }

#| Call it when the credentials were checked. False: the user has as many sessions as they may have, and nothing was changed.
#| `:remember` lets the cookie outlive the browser. Limits are durations such as 12h. The fields of `data` are for the list of
#| devices.
method login(
    Str $user, Bool :$remember, Str :$idle = $remember ?? REMEMBER-IDLE !! Str,
    Str :$absolute = $remember ?? REMEMBER-ABSOLUTE !! Str, Int :$auth-time, Int :$max, :%data, Bool :$unchecked --> Bool
) {
    self!prove('login', $unchecked);
    my %reply = self!note: $!client.ask: 'TOKEN.LOGIN', $!token, $user, |@!bind,
        |option('IDLE', $idle), |option('ABSOLUTE', $absolute), |option('AUTH-TIME', $auth-time), |option('MAX', $max),
        'CSRF', $!form, |set-words(%data);
    self!renewed(%reply)
}

#| A new token for any other change of privilege, such as a second factor; forms from before are outdated by it.
method rotate(Bool :$unchecked) {
    self!prove('rotate', $unchecked);
    self!renewed: living self!note: $!client.ask-about('TOKEN.ROTATE', $!token, |@!bind, 'CSRF', $!form);
}

#| Whether the user proved who they are within this duration, such as 10m. If not, ask for the password and call `login`.
method logged-in-within(Str $duration --> Bool) {
    # Not the newest token: this would confirm a successor before the browser has it.
    my %reply = self!note: $!client.ask-about(
        'TOKEN.VALIDATE', $!presented, |@!bind, 'REQUIRE', 'subject', 'REQUIRE', 'login-within', $duration);
    ?%reply<accepted>
}

#| Ends this session. A token from before a login ends nothing, and the cookie stays.
method logout(Bool :$unchecked) {
    self!prove('logout', $unchecked);
    self!end if $!client.ask('TOKEN.REVOKE', $!token)<status> eq 'revoked';
}

#| Ends all sessions of the user, or with `:others` all but this one; how many. Of a guest there are none.
method logout-everywhere(Bool :$others, Bool :$unchecked --> Int) {
    self!prove('logout-everywhere', $unchecked);
    return 0 without self.user;
    my %reply = $!client.ask('TOKEN.REVOKEALL', $!subject, |($others ?? ('EXCEPT', $!token, |@!bind) !! ()));
    # A token that ended is `revoked`, too, and nothing was changed.
    TokenCache::NotAccepted.new(status => %reply<status>).throw without %reply<count>;
    self!end unless $others;
    %reply<count>
}

#| The living sessions of the user, newest first: sid, created, modified, auth_time, current, and the data asked for. Of a guest
#| there are none.
method devices(*@fields --> List) {
    return () without self.user;
    $!client.ask-list('TOKEN.LIST', $!subject, |data-words(@fields)).map({ %( |$_, current => .<sid> eq $!sid ) }).List
}

#| Ends one of the user's own sessions; False if there is none of that name, or it is somebody else's.
method end-device(Str $sid, Bool :$unchecked --> Bool) {
    self!prove('end-device', $unchecked);
    return False without self.user;
    return False unless $sid ~~ / ^ <[0..9a..fA..F]> ** 32 $ /;
    my $is-ended = $!client.ask('TOKEN.REVOKE', 'SID', $sid, 'SUBJECT', $!subject)<status> eq 'revoked';
    self!end if $is-ended && $sid.lc eq $!sid;
    $is-ended
}

#| Fields of the session's data, all of them if none is named; those that are not there are left out.
method get(*@fields --> Hash) { self!data-of('TOKEN.GET', @fields || ['*']) }

#| As get, and the fields are gone: of any number of takers at most one gets them. For flash messages and one-time codes.
method take(*@fields --> Hash) { self!data-of('TOKEN.GETDEL', @fields) }

#| Writes these fields; an empty value removes one. The first makes a session of a guest. With `:if`, only where those fields have
#| these values, an empty one: where there is no such field. False: an `if` does not hold: decide anew.
method set(%fields, :%if --> Bool) {
    return True unless %fields;
    my %reply := living self!note: $!client.ask-about: 'TOKEN.SET', $!token, |@!bind,
        |%if.map({ 'IF', .key, .value }).flat, |set-words(%fields);
    %reply<status> ne 'conflict'
}

#| Adds to a field, over all workers and hosts at once, and returns the sum.
method increment(Str $field, Int $by = 1 --> Int) {
    living(self!note: $!client.ask-about('TOKEN.INCR', $!token, |@!bind, 'DATA', $field, $by))<value>
}

#| A new captcha of this visitor for a form, for a hidden field and for the address of its picture; empty where the browser sent
#| nothing to hold on to.
method captcha(Str $form = $!form --> Str) {
    $!is-personal = True;
    $!client.ask('CAPTCHA.ISSUE', 'FORM', $form, 'FOR', $!token, |@!bind)<captcha> // ''
}

#| What the picture shows, for the request that draws it; an undefined text if the captcha is over, or none.
method captcha-solution(Str $captcha --> Str) { $!client.ask('CAPTCHA.OPEN', bounded($captcha))<solution> // Str }

#| Whether this answers the captcha. The first attempt spends it, right or wrong; ask `passed` first, so that nobody else's request
#| spends it.
method captcha-passed(Str $captcha, Str $answer, Str $form = $!form --> Bool) {
    self!prove('captcha-passed', False);
    $!client.ask('CAPTCHA.VERIFY', bounded($captcha), bounded($answer), 'FORM', $form, 'FOR', $!token, |@!bind)<status> eq 'passed'
}

#| The value of Set-Cookie, of the last reply that had a token; undefined where the cookie stays as it is.
method set-cookie(Str $name --> Str) { $!is-ended ?? TokenCache.removal($name) !! TokenCache.set-cookie(%!given, $name) }

#| Whether the response is this visitor's alone: it has their cookie, or a form of theirs, or is about a token that was outrun.
method is-personal(--> Bool) { $!is-personal || $!is-ended || ?%!given || self.is-outrun }

# Whatever the daemon says of this visitor goes through here.
method !note(%reply --> Hash) {
    with %reply<sessiontoken> {
        $!token = $_;
        %!given = %reply;
        $!is-ended = False;
    }
    $!sid = $_ with %reply<sid>;
    $!csrf = $_ with %reply<csrf>;
    $!auth-time = $_ with %reply<auth_time>;
    # Logged in means accepted, and a subject. VISIT that did not accept speaks of a guest, who has none.
    $!subject = $_ with %reply<subject>;
    %reply
}

# After a LOGIN or ROTATE: no older token is asked about from here on.
method !renewed(%reply --> Bool) {
    $!presented = $!token if %reply<accepted>;
    ?%reply<accepted>
}

method !end() {
    ($!token, $!presented, $!subject, $!is-ended, $!auth-time) = '', '', '', True, 0;
    $!csrf = $!sid = Str;
    %!data = ();
}

method !prove(Str $what, $unchecked) { Unproven.new(:$what).throw unless $unchecked || self.passed }

# What the browser says of who made the request; an old one says it by Origin. That is believed where no cookie came, as with a form
# that another site sent: a new one would go over that which the browser held back. With a cookie it could do harm to honest forms:
# some proxies change Host, and the CSRF token speaks for the form.
method !fetch-site(--> Str) { $!request.header('Sec-Fetch-Site') || ($!token ?? Str !! $!request.site) }

method !sent-csrf(--> Str) { bounded($!request.form<csrf> // $!request.header('X-CSRF-Token') // '') }

method !data-of(Str $command, @fields --> Hash) {
    living(self!note: $!client.ask-about($command, $!token, |@!bind, |data-words(@fields)))<data>
}

# A reply that must be about somebody who is there. Nobody goes on with a token that ended meanwhile, or that was never more than good
# for a page.
sub living(%reply --> Hash) {
    TokenCache::NotAccepted.new(status => %reply<status>).throw unless %reply<accepted>;
    %reply
}

sub bounded(Str $text --> Str) { $text.chars <= MAX-FIELD ?? $text !! '' }

sub option(Str $name, $value) { $value.defined ?? ($name, $value) !! () }

sub data-words(@fields) {
    return () unless @fields;
    @fields[0] eq '*' ?? ('DATA',) !! ('DATA', |@fields)
}

sub set-words(%fields) { %fields ?? ('DATA', |%fields.map({ .key, .value }).flat) !! () }
