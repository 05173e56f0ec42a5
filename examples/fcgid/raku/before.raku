#!/usr/bin/raku
# The failure: what must be common to three processes lives in each of them. The report's site is in Raku, too.
use lib $?FILE.IO.parent.add('lib'), $?FILE.IO.parent(4).add('clients/raku/lib');
use Feedback;

sub random-hex(Int $bytes) { '/dev/urandom'.IO.open(:bin).read($bytes).list.fmt('%02x', '') }

my $frontend = random-hex(64);
my %solutions;

sub new-captcha() {
    my $captcha = random-hex(16);
    %solutions{$captcha} = 'ACDEFHJKLMNPRTUVWXY3479'.comb.roll(5).join;
    $captcha
}

sub page($) { %( :$frontend, captcha => new-captcha ) }

sub picture($visit) { %solutions{$visit.fields<c> // ''} }

sub api($visit, $action) {
    return %( captcha => Str, error => 'invalid frontend token' ) if $visit.frontend ne $frontend;
    return %( captcha => new-captcha ) if $action eq 'captcha';
    my $solution = %solutions{$visit.fields<captcha> // ''}:delete;
    return %( error => 'null captcha' ) without $solution;
    return %( error => 'wrong letters' ) if $solution ne ($visit.fields<answer> // '').uc;
    %( outcome => 'thank you', name => $visit.fields<name> )
}

serve-feedback(:&page, :&picture, :&api);
