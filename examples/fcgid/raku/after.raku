#!/usr/bin/raku
# The cure: the worker keeps nothing. Every process asks the same daemon.
use lib $?FILE.IO.parent.add('lib'), $?FILE.IO.parent(3).add('raku/lib');
use Feedback;
use TokenCache;

my $sessions = TokenCache.new(path => %*ENV<TOKENCACHED_SOCKET>);

sub new-captcha($token) { $sessions.ask('CAPTCHA.ISSUE', 'FORM', 'feedback', 'FOR', $token)<captcha> }

# What the browser says of its request.
sub fetch-of($visit) {
    |($visit.site ?? ('FETCH-SITE', $visit.site) !! ()), |($visit.mode ?? ('FETCH-MODE', $visit.mode) !! ())
}

# Of a reply what an answer hands on.
sub news(%holder) { %holder<sid sessiontoken max_age>:p }

sub page($visit) {
    my %holder = $sessions.ask-about(
        'TOKEN.VISIT', $visit.token, |fetch-of($visit), 'CSRF', 'feedback', 'DATA', 'name');
    # The browser has a newer token than the one it sent, or is about to: let it come again, once.
    return %( again => True ) if !%holder<accepted> && !%holder<sessiontoken>.defined && !$visit.fields<again>;
    # For the rest of the request the newest token that is known.
    my $token = %holder<sessiontoken> // $visit.token;
    %(
        frontend     => %holder<csrf>,
        captcha      => new-captcha($token),
        name         => %holder<data><name>,
        set-cookie   => $sessions.set-cookie(%holder),
    )
}

sub picture($visit) { $sessions.ask('CAPTCHA.OPEN', $visit.fields<c> // '')<solution> }

sub api($visit, $action) {
    # For a front end that keeps a token of its own instead of a cookie.
    return start() if $action eq 'session';
    return renew($visit) if $action eq 'renew';
    # Guests may give feedback, too: a site for those who are logged in adds 'REQUIRE', 'subject'.
    my %holder = $sessions.ask-about(
        'TOKEN.VALIDATE', $visit.token, 'CHECK', $visit.frontend, 'feedback', |fetch-of($visit));
    return %( error => "session %holder<status>" ) unless %holder<accepted>;
    my %reply = news(%holder);
    # For the rest of the request the newest token that is known.
    my $token = %holder<sessiontoken> // $visit.token;
    if %holder<check> ne 'passed' { %reply<error> = 'invalid frontend token' }
    elsif $action eq 'captcha'    { %reply<captcha> = new-captcha($token) }
    else                          { feedback($visit.fields, $token, %reply) }
    %reply
}

# A change of privilege replaces the token at once; any other call does so when it is due. The frontend tokens of before are
# outdated by it: the answer brings the next.
sub renew($visit) {
    my @site = $visit.site ?? ('FETCH-SITE', $visit.site) !! ();
    my %check = $sessions.ask('CSRF.VERIFY', $visit.token, $visit.frontend, 'FORM', 'feedback', |@site);
    return %( error => 'invalid frontend token' ) if %check<status> ne 'passed';
    my %holder = $sessions.ask-about('TOKEN.ROTATE', $visit.token, 'CSRF', 'feedback');
    return %( error => "session %holder<status>" ) unless %holder<accepted>;
    %( |news(%holder), frontend => %holder<csrf> )
}

sub start() {
    my %holder = $sessions.ask-about('TOKEN.VISIT', '', 'CSRF', 'feedback');
    %( |(%holder<sid sessiontoken>:p), frontend => %holder<csrf> )
}

# The first thing worth remembering makes a session of a guest; then this reply has the new token.
sub feedback(%fields, $token, %reply) {
    my %verdict = $sessions.ask(
        'CAPTCHA.VERIFY', %fields<captcha> // '', %fields<answer> // '', 'FORM', 'feedback', 'FOR', $token);
    return %reply<error> = "captcha %verdict<status>" if %verdict<status> ne 'passed';
    my %kept = $sessions.ask('TOKEN.SET', $token, 'DATA', 'name', %fields<name> // '');
    return %reply<error> = "session %kept<status>" unless %kept<accepted>;
    %reply<outcome> = 'thank you';
    my $newest = %kept<sessiontoken> // $token;
    %reply<name> = $sessions.ask('TOKEN.GET', $newest, 'DATA', 'name')<data><name>;
    %reply = |%reply, |(%kept<sessiontoken max_age>:p) with %kept<sessiontoken>;
}

serve-feedback(:&page, :&picture, :&api);
