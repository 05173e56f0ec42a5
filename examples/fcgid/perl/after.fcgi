#!/usr/bin/perl
# The cure: the worker keeps nothing. Every process asks the same daemon.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../../../clients/perl/lib";
use Feedback;
use TokenCache::Client;

my $sessions = TokenCache::Client->new(socket => $ENV{TOKENCACHED_SOCKET});

sub new_captcha { return $sessions->ask('CAPTCHA.ISSUE', FORM => 'feedback', FOR => $_[0])->{captcha} }

# What the browser says of its request.
sub fetch_of {
    my ($request) = @_;
    return map { length $_->[1] ? @$_ : () } ['FETCH-SITE' => $request->{site}], ['FETCH-MODE' => $request->{mode}];
}

sub page {
    my ($request) = @_;
    my $visit = Feedback::note($request, $sessions->ask_about(
        'TOKEN.VISIT', $request->{token}, fetch_of($request), CSRF => 'feedback', DATA => 'name'));
    # The browser has a newer token than the one it sent, or is about to: let it come again, once.
    my $again = Feedback::once_more($request->{query});
    return { again => $again } if !$visit->{accepted} && !defined $visit->{sessiontoken} && defined $again;
    return {
        frontend => $visit->{csrf},
        captcha  => new_captcha($request->{token}),
        name     => $visit->{data}{name},
    };
}

sub api {
    my ($request, $action) = @_;
    # For a front end that keeps a token of its own instead of a cookie.
    return start($request) if $action eq 'session';
    return renew($request) if $action eq 'renew';
    # Guests may give feedback, too: a site for those who are logged in adds REQUIRE => 'subject'.
    my $holder = Feedback::note($request, $sessions->ask_about(
        'TOKEN.VALIDATE', $request->{token}, CHECK => $request->{frontend}, 'feedback', fetch_of($request)));
    return { error => "session $holder->{status}" } unless $holder->{accepted};
    my $reply = { sid => $holder->{sid} };
    if    ($holder->{check} ne 'passed') { $reply->{error} = 'invalid frontend token' }
    elsif ($action eq 'captcha')         { $reply->{captcha} = new_captcha($request->{token}) }
    else                                 { feedback($request, $reply) }
    return $reply;
}

# A change of privilege replaces the token at once; any other call does so when it is due. The frontend tokens of before are
# outdated by it: the answer brings the next.
sub renew {
    my ($request) = @_;
    my $check = $sessions->ask(
        'CSRF.VERIFY', @$request{qw(token frontend)}, FORM => 'feedback',
        length $request->{site} ? ('FETCH-SITE' => $request->{site}) : ());
    return { error => 'invalid frontend token' } if $check->{status} ne 'passed';
    my $holder = Feedback::note($request, $sessions->ask_about('TOKEN.ROTATE', $request->{token}, CSRF => 'feedback'));
    return { error => "session $holder->{status}" } unless $holder->{accepted};
    return { sid => $holder->{sid}, frontend => $holder->{csrf} };
}

sub start {
    my ($request) = @_;
    my $visit = Feedback::note($request, $sessions->ask_about('TOKEN.VISIT', '', CSRF => 'feedback'));
    return { sid => $visit->{sid}, frontend => $visit->{csrf} };
}

# The first thing worth remembering makes a session of a guest; then this reply has the new token.
sub feedback {
    my ($request, $reply) = @_;
    my $fields = $request->{fields};
    my $verdict = $sessions->ask(
        'CAPTCHA.VERIFY', $fields->{captcha} // '', $fields->{answer} // '', FORM => 'feedback', FOR => $request->{token});
    return $reply->{error} = "captcha $verdict->{status}" if $verdict->{status} ne 'passed';
    my $kept = Feedback::note($request, $sessions->ask('TOKEN.SET', $request->{token}, DATA => name => $fields->{name}));
    return $reply->{error} = "session $kept->{status}" unless $kept->{accepted};
    my $data = $sessions->ask('TOKEN.GET', $request->{token}, DATA => 'name')->{data};
    @$reply{qw(outcome name)} = ('thank you', $data->{name});
}

sub picture {
    my $opened = $sessions->ask('CAPTCHA.OPEN', $_[0]{fields}{c} // '');
    return $opened->{solution};
}

Feedback::serve(page => \&page, picture => \&picture, api => \&api);
