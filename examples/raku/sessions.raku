#!/usr/bin/raku
# A visitor's life, with the module beside this file:
#
#     raku sessions.raku /run/tokencached/tokencached.sock
use lib $?FILE.IO.parent.add('lib');
use TokenCache;

sub MAIN(Str $socket) {
    my $sessions = TokenCache.new(path => $socket);
    CATCH {
        when TokenCache::Unavailable { note "503 Service Unavailable; the cookie stays: {.why}"; exit 1 }
    }
    # Whatever the browser sent, even nothing. Whenever sessiontoken is in a reply, hand it on.
    my %fields = $sessions.ask-about('TOKEN.VISIT', '');
    my $cookie = %fields<sessiontoken>;
    say "first visit: %fields<status> - set the cookie";
    %fields = $sessions.ask-about('TOKEN.VISIT', $cookie);
    say "second visit: %fields<status> - new cookie: ", %fields<sessiontoken> ?? 'yes' !! 'no';

    # After the password was checked. Not ask-about: a login may end the session that was, and begin another.
    my $old = $cookie;
    $cookie = $sessions.ask('TOKEN.LOGIN', $cookie, 'ann')<sessiontoken>;
    say "old cookie after login: ", $sessions.ask-about('TOKEN.VALIDATE', $old)<status>;
    %fields = $sessions.ask-about('TOKEN.VISIT', $cookie);
    say "visit after login: %fields<status>, subject %fields<subject>";

    $sessions.ask('TOKEN.REVOKE', $cookie);
    %fields = $sessions.ask-about('TOKEN.VALIDATE', $cookie);
    say "after logout: %fields<status>, %fields<reason>";
}
