# The first page of the documentation, as it stands there but for the socket; and that it can be read at all.
use v5.26;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use HTTP::Request::Common;
use Plack::Test;
use Pod::Checker;
use Support;
use Test::More;

my $documented = 0;
for my $file (glob ROOT . '/lib/TokenCache.pm ' . ROOT . '/lib/*/*.pm ' . ROOT . '/lib/Plack/Middleware/*.pm') {
    my $checker = Pod::Checker->new(-quiet => 1);
    open my $out, '>', \my $text or die "$!\n";
    $checker->parse_from_file($file, $out);
    cmp_ok $checker->num_errors, '<=', 0, $file;
    $documented += $checker->num_errors == 0;
}
is $documented, 5;

for my $file ('lib/TokenCache.pm', 'README.md') {
    open my $in, '<:encoding(UTF-8)', ROOT . "/$file" or die "$file: $!\n";
    my $text = do { local $/; <$in> };
    my ($code) = $file =~ /md\z/ ? $text =~ /```perl\n(.*?)```/s : $text =~ /=head1 SYNOPSIS\n(.*?)=head1/s;
    my $daemon = daemon();
    $code =~ s{/run/tokencached/tokencached\.sock}{$daemon->{socket}};
    my $app = eval $code or die $@;
    my $test = Plack::Test->create($app);
    my $page = $test->request(GET 'http://localhost/');
    like $page->content, qr/Hello guest/, $file;
    my ($csrf) = $page->content =~ /value="([^"]*)"/;
    my ($cookie) = $page->header('Set-Cookie') =~ /\A([^;]*)/;
    my $login = $test->request(POST 'http://localhost/', [csrf => $csrf, user => 'ann'], Cookie => $cookie);
    is $login->code, 303;
    ($cookie) = $login->header('Set-Cookie') =~ /\A([^;]*)/;
    like $test->request(GET 'http://localhost/', Cookie => $cookie)->content, qr/Hello ann/;
}

done_testing;
