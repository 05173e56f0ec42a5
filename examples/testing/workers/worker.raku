# The site of ../../raku as a worker of crowd.py, which says what a line is: raku worker.raku SOCKET
use lib $?FILE.IO.parent(3).add('raku/lib');
use Site;
use TokenCache;

sub MAIN(Str $socket) {
    my $site = Site.new(sessions => TokenCache.new(path => $socket));
    $*OUT.out-buffer = 0;
    for $*IN.lines -> $line {
        my ($method, $path, $query, $cookies, $mode, $csrf, $name, $password) = $line.split("\t");
        my %response = $site.respond: %(
            :$method, :$path, :$query, :$cookies, site => 'same-origin', :$mode, form => %( :$csrf, :$name, :$password ) );
        my @words = %response<status>, |%response<headers><Set-Cookie Location>, %response<body>;
        put @words.map({ ($_ // '').Str.trans(["\t", "\n"] => [' ', ' ']) }).join("\t");
    }
}
