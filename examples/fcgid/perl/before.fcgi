#!/usr/bin/perl
# The failure: what must be common to three processes lives in each of them.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Feedback;

sub random_hex { open my $file, '<:raw', '/dev/urandom' or die; read $file, my $bytes, $_[0]; return unpack 'H*', $bytes }

my $frontend = random_hex(64);
my %solutions;

sub new_captcha {
    my @letters = qw(A C D E F H J K L M N P R T U V W X Y 3 4 7 9);
    my $captcha = random_hex(16);
    $solutions{$captcha} = join '', map { $letters[rand @letters] } 1 .. 5;
    return $captcha;
}

Feedback::serve(
    page    => sub { return { frontend => $frontend, captcha => new_captcha() } },
    picture => sub { return $solutions{ $_[0]{fields}{c} // '' } },
    api     => sub {
        my ($request, $action) = @_;
        return { captcha => undef, error => 'invalid frontend token' } if $request->{frontend} ne $frontend;
        return { captcha => new_captcha() } if $action eq 'captcha';
        my $solution = delete $solutions{ $request->{fields}{captcha} // '' };
        return { error => 'null captcha' } if !defined $solution;
        return { error => 'wrong letters' } if $solution ne uc $request->{fields}{answer};
        return { outcome => 'thank you', name => $request->{fields}{name} };
    },
);
