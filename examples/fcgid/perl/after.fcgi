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

# A ROTATE ends the frontend tokens of before with the session token.
sub new_frontend { return $sessions->ask('csrf_issue', $_[0], FORM => 'feedback')->{csrf} }

sub page {
    my ($request) = @_;
    my $visit = $sessions->ask_about('token_visit', $request->{token}, CSRF => 'feedback', DATA => 'name');
    # Within this request the token that was sent, if it was good.
    my $token = $visit->{accepted} ? $request->{token} : $visit->{sessiontoken};
    return {
        frontend     => $visit->{csrf},
        captcha      => new_captcha($token),
        name         => $visit->{data}{name},
        sessiontoken => $visit->{sessiontoken},
    };
}

sub api {
    my ($request, $action) = @_;
    # For a front end that keeps a token of its own instead of a cookie.
    return start() if $action eq 'session';
    my $token = $request->{token};
    my $check = $sessions->ask('csrf_verify', $token, $request->{frontend}, FORM => 'feedback', SITE => $request->{site});
    return { error => 'invalid frontend token' } if $check->{status} ne 'passed';
    # A change of privilege replaces the token at once; any other call does so when it is due.
    my $holder = $sessions->ask_about($action eq 'renew' ? 'token_rotate' : 'token_validate', $token);
    return { error => "session $holder->{status}" } unless $holder->{accepted};
    my $reply = { map { defined $holder->{$_} ? ($_ => $holder->{$_}) : () } qw(sid sessiontoken) };
    if    ($action eq 'captcha') { $reply->{captcha} = new_captcha($token) }
    elsif ($action eq 'renew')   { $reply->{frontend} = new_frontend($reply->{sessiontoken}) }
    else                         { feedback($request, $reply) }
    return $reply;
}

sub start {
    my $visit = $sessions->ask_about('token_visit', '', CSRF => 'feedback');
    return { sid => $visit->{sid}, sessiontoken => $visit->{sessiontoken}, frontend => $visit->{csrf} };
}

# The first thing worth remembering makes a session of a guest; then this reply has the new token.
sub feedback {
    my ($request, $reply) = @_;
    my ($token, $fields) = @$request{qw(token fields)};
    my $verdict = $sessions->ask(
        'captcha_verify', $fields->{captcha} // '', $fields->{answer} // '', FORM => 'feedback', FOR => $token);
    return $reply->{error} = "captcha $verdict->{status}" if $verdict->{status} ne 'passed';
    my $kept = $sessions->ask('token_set', $token, DATA => name => $fields->{name});
    return $reply->{error} = "session $kept->{status}" unless $kept->{accepted};
    my $data = $sessions->ask('token_get', $token, DATA => 'name')->{data};
    @$reply{qw(outcome name)} = ('thank you', $data->{name});
    $reply->{sessiontoken} = $kept->{sessiontoken} if defined $kept->{sessiontoken};
}

sub picture {
    my $opened = $sessions->ask('captcha_open', $_[0]{fields}{c} // '');
    return $opened->{solution};
}

Feedback::serve(page => \&page, picture => \&picture, api => \&api);
