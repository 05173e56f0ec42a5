#!/usr/bin/raku
# The cure: the worker keeps nothing. Every process asks the same daemon.
use lib $?FILE.IO.parent.add('lib'), $?FILE.IO.parent(3).add('raku/lib');
use Feedback;
use TokenCache;

my $sessions = TokenCache.new(path => %*ENV<TOKENCACHED_SOCKET>);

sub new-captcha($token) { $sessions.ask('CAPTCHA.ISSUE', 'FORM', 'feedback', 'FOR', $token)<captcha> }

# A ROTATE ends the frontend tokens of before with the session token.
sub new-frontend($token) { $sessions.ask('CSRF.ISSUE', $token, 'FORM', 'feedback')<csrf> }

sub page($visit) {
    my %holder = $sessions.ask-about('TOKEN.VISIT', $visit.token, 'CSRF', 'feedback', 'DATA', 'name');
    # Within this request the token that was sent, if it was good.
    my $token = %holder<accepted> ?? $visit.token !! %holder<sessiontoken>;
    %(
        frontend     => %holder<csrf>,
        captcha      => new-captcha($token),
        name         => %holder<data><name>,
        sessiontoken => %holder<sessiontoken>,
    )
}

sub picture($visit) { $sessions.ask('CAPTCHA.OPEN', $visit.fields<c> // '')<solution> }

sub api($visit, $action) {
    # For a front end that keeps a token of its own instead of a cookie.
    return start() if $action eq 'session';
    my $token = $visit.token;
    my %check = $sessions.ask('CSRF.VERIFY', $token, $visit.frontend, 'FORM', 'feedback', 'SITE', $visit.site);
    return %( error => 'invalid frontend token' ) if %check<status> ne 'passed';
    # A change of privilege replaces the token at once; any other call does so when it is due.
    my %holder = $sessions.ask-about($action eq 'renew' ?? 'TOKEN.ROTATE' !! 'TOKEN.VALIDATE', $token);
    return %( error => "session %holder<status>" ) unless %holder<accepted>;
    my %reply = %holder<sid sessiontoken>:p;
    given $action {
        when 'captcha' { %reply<captcha> = new-captcha($token) }
        when 'renew'   { %reply<frontend> = new-frontend(%reply<sessiontoken>) }
        default        { feedback($visit, %reply) }
    }
    %reply
}

sub start() {
    my %holder = $sessions.ask-about('TOKEN.VISIT', '', 'CSRF', 'feedback');
    %( |(%holder<sid sessiontoken>:p), frontend => %holder<csrf> )
}

# The first thing worth remembering makes a session of a guest; then this reply has the new token.
sub feedback($visit, %reply) {
    my %fields = $visit.fields;
    my %verdict = $sessions.ask(
        'CAPTCHA.VERIFY', %fields<captcha> // '', %fields<answer> // '', 'FORM', 'feedback', 'FOR', $visit.token);
    return %reply<error> = "captcha %verdict<status>" if %verdict<status> ne 'passed';
    my %kept = $sessions.ask('TOKEN.SET', $visit.token, 'DATA', 'name', %fields<name> // '');
    return %reply<error> = "session %kept<status>" unless %kept<accepted>;
    %reply<outcome> = 'thank you';
    %reply<name> = $sessions.ask('TOKEN.GET', $visit.token, 'DATA', 'name')<data><name>;
    %reply<sessiontoken> = $_ with %kept<sessiontoken>;
}

serve-feedback(:&page, :&picture, :&api);
