# The first pages of the documentation, as they stand there but for the socket; and that it can be read at all.
use v5.26;
use warnings;
use experimental 'signatures';
use FCGI;
use File::Temp;
use FindBin;
use lib "$FindBin::Bin/lib";
use HTTP::Request::Common;
use IO::Socket::UNIX;
use Plack::Test;
use Pod::Checker;
use POSIX qw(dup2);
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

# One question of a web server to a FastCGI process that listens at this path: the response's head and body.
sub ask_fastcgi ($path, %parameters) {
    my $record = sub ($type, $content) { pack('CCnnCx', 1, $type, 1, length $content, 0) . $content };
    my $pairs = join '', map { pack('NN', map { length | 1 << 31 } $_, $parameters{$_}) . $_ . $parameters{$_} } sort keys %parameters;
    my $server = IO::Socket::UNIX->new(Peer => $path) or die "$path: $!\n";
    # Begin, as a responder whose connection ends with the request; parameters and their end; no body.
    print $server $record->(1, pack 'nCx5', 1, 0), $record->(4, $pairs), $record->(4, ''), $record->(5, '');
    $server->flush;
    my $output = '';
    while (read $server, my $head, 8) {
        my (undef, $type, undef, $length, $padding) = unpack 'CCnnC', $head;
        my $content = '';
        read $server, $content, $length + $padding if $length + $padding;
        $output .= substr $content, 0, $length if $type == 6;
    }
    return split /\r\n\r\n/, $output, 2;
}

subtest 'the page for CGI::Fast' => sub {
    open my $in, '<:encoding(UTF-8)', ROOT . '/README.md' or die "README.md: $!\n";
    my ($code) = do { local $/; <$in> } =~ /```perl\n(#![^`]*?site\.fcgi.*?)```/s or die "README.md has no site.fcgi\n";
    my $daemon = daemon();
    $code =~ s{/run/tokencached/tokencached\.sock}{$daemon->{socket}} or die "site.fcgi names no socket\n";
    my $folder = File::Temp->newdir('tokencache-docs-XXXXXX', TMPDIR => 1);
    open my $file, '>:encoding(UTF-8)', "$folder/site.fcgi" or die "site.fcgi: $!\n";
    print $file $code;
    close $file;
    # As mod_fcgid does it: the listening socket is the process's standard input.
    open my $input, '<&', \*STDIN or die "standard input: $!\n";
    dup2(FCGI::OpenSocket("$folder/site.sock", 5), 0);
    my $site = start("$daemon->{log}.site", $^X, (map { "-I$_" } @INC), "$folder/site.fcgi");
    dup2(fileno $input, 0);
    my $ask = sub ($cookie) {
        return ask_fastcgi("$folder/site.sock", REQUEST_METHOD => 'GET', REQUEST_URI => '/', SCRIPT_NAME => '', PATH_INFO => '/', QUERY_STRING => '',
            SERVER_PROTOCOL => 'HTTP/1.1', HTTPS => 'on', HTTP_HOST => 'shop.example', HTTP_COOKIE => $cookie,
            HTTP_SEC_FETCH_MODE => 'navigate', HTTP_SEC_FETCH_SITE => 'none');
    };
    my ($head, $body) = $ask->('');
    is $body, 'Hello guest';
    like $head, qr/^Status: 200\r$/m;
    my ($guest) = $head =~ /^Set-Cookie: (__Host-tc=eyJ[^;]*); Path=\/; Secure; HttpOnly; SameSite=Lax\r?$/m;
    ok $guest, 'a guest has a cookie' or diag $head;
    ($head, $body) = $ask->($guest);
    is $body, 'Hello guest';
    unlike $head, qr/Set-Cookie/, 'the second page leaves it';
    my $token = TokenCache::Client->new(socket => $daemon->{socket})->ask('TOKEN.LOGIN', '', 'ann')->{sessiontoken};
    is +($ask->("__Host-tc=$token"))[1], 'Hello ann', 'the same process knows who is logged in';
    $daemon->stop;
    like +($ask->("__Host-tc=$token"))[0], qr/^Status: 503.*^Retry-After:/ms, 'nobody knows';
    stop($site);
};

done_testing;
