#!/usr/bin/raku
# The cure: the worker keeps nothing. Every process asks the same daemon.
use lib $?FILE.IO.parent.add('lib'), $?FILE.IO.parent(4).add('clients/raku/lib');
use Feedback;
use TokenCache;

my $sessions = TokenCache.new(path => %*ENV<TOKENCACHED_SOCKET>);

sub new-captcha($token) { $sessions.ask('CAPTCHA.ISSUE', 'FORM', 'feedback', 'FOR', $token)<captcha> }

# What the browser says of its request.
sub fetch-of($visit) {
    |($visit.site ?? ('FETCH-SITE', $visit.site) !! ()), |($visit.mode ?? ('FETCH-MODE', $visit.mode) !! ())
}

sub page($visit) {
    my %holder = $visit.note: $sessions.ask-about(
        'TOKEN.VISIT', $visit.token, |fetch-of($visit), 'CSRF', 'feedback', 'DATA', 'name');
    # The browser has a newer token than the one it sent, or is about to: let it come again, once.
    my $again = $visit.once-more;
    return %( :$again ) if !%holder<accepted> && !%holder<sessiontoken>.defined && $again;
    %( frontend => %holder<csrf>, captcha => new-captcha($visit.token), name => %holder<data><name> )
}

sub picture($visit) { $sessions.ask('CAPTCHA.OPEN', $visit.fields<c> // '')<solution> }

sub api($visit, $action) {
    # For a front end that keeps a token of its own instead of a cookie.
    return start($visit) if $action eq 'session';
    return renew($visit) if $action eq 'renew';
    # Guests may give feedback, too: a site for those who are logged in adds 'REQUIRE', 'subject'.
    my %holder = $visit.note: $sessions.ask-about(
        'TOKEN.VALIDATE', $visit.token, 'CHECK', $visit.frontend, 'feedback', |fetch-of($visit));
    return %( error => "session %holder<status>" ) unless %holder<accepted>;
    my %reply = sid => %holder<sid>;
    if %holder<check> ne 'passed' { %reply<error> = 'invalid frontend token' }
    elsif $action eq 'captcha'    { %reply<captcha> = new-captcha($visit.token) }
    else                          { feedback($visit, %reply) }
    %reply
}

# A change of privilege replaces the token at once; any other call does so when it is due. The frontend tokens of before are
# outdated by it: the answer brings the next.
sub renew($visit) {
    my @site = $visit.site ?? ('FETCH-SITE', $visit.site) !! ();
    my %check = $sessions.ask('CSRF.VERIFY', $visit.token, $visit.frontend, 'FORM', 'feedback', |@site);
    return %( error => 'invalid frontend token' ) if %check<status> ne 'passed';
    my %holder = $visit.note: $sessions.ask-about('TOKEN.ROTATE', $visit.token, 'CSRF', 'feedback');
    return %( error => "session %holder<status>" ) unless %holder<accepted>;
    %( sid => %holder<sid>, frontend => %holder<csrf> )
}

sub start($visit) {
    my %holder = $visit.note: $sessions.ask-about('TOKEN.VISIT', '', 'CSRF', 'feedback');
    %( sid => %holder<sid>, frontend => %holder<csrf> )
}

# The first thing worth remembering makes a session of a guest; then this reply has the new token.
sub feedback($visit, %reply) {
    my %fields = $visit.fields;
    my %verdict = $sessions.ask(
        'CAPTCHA.VERIFY', %fields<captcha> // '', %fields<answer> // '', 'FORM', 'feedback', 'FOR', $visit.token);
    return %reply<error> = "captcha %verdict<status>" if %verdict<status> ne 'passed';
    my %kept = $visit.note: $sessions.ask('TOKEN.SET', $visit.token, 'DATA', 'name', %fields<name> // '');
    return %reply<error> = "session %kept<status>" unless %kept<accepted>;
    %reply<outcome> = 'thank you';
    %reply<name> = $sessions.ask('TOKEN.GET', $visit.token, 'DATA', 'name')<data><name>;
}

serve-feedback(:&page, :&picture, :&api);
