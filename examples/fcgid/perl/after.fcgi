#!/usr/bin/perl
# The cure: the worker keeps nothing. Every process asks the same daemon.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../../perl";
use Feedback;
use Sessions;

my $sessions = Sessions->new($ENV{TOKENCACHED_SOCKET});

sub new_captcha { return $sessions->ask('captcha_issue', FORM => 'feedback', FOR => $_[0])->{captcha} }

# What the browser says of its request.
sub fetch_of {
    my ($request) = @_;
    return map { length $_->[1] ? @$_ : () } ['FETCH-SITE' => $request->{site}], ['FETCH-MODE' => $request->{mode}];
}

sub page {
    my ($request) = @_;
    my $visit = $sessions->ask_about(
        'token_visit', $request->{token}, fetch_of($request), CSRF => 'feedback', DATA => 'name');
    # The browser has a newer token than the one it sent, or is about to: let it come again, once.
    return { again => 1 } if !$visit->{accepted} && !defined $visit->{sessiontoken} && !$request->{again};
    # For the rest of the request the newest token that is known.
    my $token = $visit->{sessiontoken} // $request->{token};
    return {
        frontend     => $visit->{csrf},
        captcha      => new_captcha($token),
        name         => $visit->{data}{name},
        map { $_ => $visit->{$_} } qw(sessiontoken max_age),
    };
}

sub api {
    my ($request, $action) = @_;
    # For a front end that keeps a token of its own instead of a cookie.
    return start() if $action eq 'session';
    return renew($request) if $action eq 'renew';
    # Guests may give feedback, too: a site for those who are logged in adds REQUIRE => 'subject'.
    my $holder = $sessions->ask_about(
        'token_validate', $request->{token}, CHECK => $request->{frontend}, 'feedback', fetch_of($request));
    return { error => "session $holder->{status}" } unless $holder->{accepted};
    my $reply = { map { defined $holder->{$_} ? ($_ => $holder->{$_}) : () } qw(sid sessiontoken max_age) };
    # For the rest of the request the newest token that is known.
    my $token = $holder->{sessiontoken} // $request->{token};
    if    ($holder->{check} ne 'passed') { $reply->{error} = 'invalid frontend token' }
    elsif ($action eq 'captcha')         { $reply->{captcha} = new_captcha($token) }
    else                                 { feedback($request->{fields}, $token, $reply) }
    return $reply;
}

# A change of privilege replaces the token at once; any other call does so when it is due. The frontend tokens of before are
# outdated by it: the answer brings the next.
sub renew {
    my ($request) = @_;
    my $check = $sessions->ask(
        'csrf_verify', @$request{qw(token frontend)}, FORM => 'feedback',
        length $request->{site} ? ('FETCH-SITE' => $request->{site}) : ());
    return { error => 'invalid frontend token' } if $check->{status} ne 'passed';
    my $holder = $sessions->ask_about('token_rotate', $request->{token}, CSRF => 'feedback');
    return { error => "session $holder->{status}" } unless $holder->{accepted};
    return { frontend => $holder->{csrf}, map { defined $holder->{$_} ? ($_ => $holder->{$_}) : () } qw(sid sessiontoken max_age) };
}

sub start {
    my $visit = $sessions->ask_about('token_visit', '', CSRF => 'feedback');
    return { sid => $visit->{sid}, sessiontoken => $visit->{sessiontoken}, frontend => $visit->{csrf} };
}

# The first thing worth remembering makes a session of a guest; then this reply has the new token.
sub feedback {
    my ($fields, $token, $reply) = @_;
    my $verdict = $sessions->ask(
        'captcha_verify', $fields->{captcha} // '', $fields->{answer} // '', FORM => 'feedback', FOR => $token);
    return $reply->{error} = "captcha $verdict->{status}" if $verdict->{status} ne 'passed';
    my $kept = $sessions->ask('token_set', $token, DATA => name => $fields->{name});
    return $reply->{error} = "session $kept->{status}" unless $kept->{accepted};
    my $newest = $kept->{sessiontoken} // $token;
    my $data = $sessions->ask('token_get', $newest, DATA => 'name')->{data};
    @$reply{qw(outcome name)} = ('thank you', $data->{name});
    @$reply{qw(sessiontoken max_age)} = @$kept{qw(sessiontoken max_age)} if defined $kept->{sessiontoken};
}

sub picture {
    my $opened = $sessions->ask('captcha_open', $_[0]{fields}{c} // '');
    return $opened->{solution};
}

Feedback::serve(page => \&page, picture => \&picture, api => \&api);
