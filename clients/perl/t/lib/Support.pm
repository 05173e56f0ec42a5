# Servers and browsers of the tests. Each test starts what it needs in a folder of its own and ends it.
package Support;
use v5.26;
use warnings;
use experimental 'signatures';
use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX qw(WNOHANG);
use Socket qw(SOCK_STREAM);
use Time::HiRes qw(sleep time);
use TokenCache::Client;

our @EXPORT = qw(ROOT daemon scripted resp start stop free_port browser);

use constant ROOT => abs_path(dirname(__FILE__) . '/../..');

my (%children, @folders);
# A test that is told to stop still cleans up.
$SIG{TERM} = $SIG{INT} = sub { exit 143 };
END {
    my $status = $?;
    stop($_) for keys %children;
    @folders = ();
    $? = $status;
}

# Starts a program whose output goes to a file, and returns its process.
sub start ($log, @command) {
    my $test = $$;
    my $child = fork // die "no process can be started: $!\n";
    if (!$child) {
        open STDOUT, '>>', $log or die "$log: $!\n";
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }
    $children{$child} = $test;
    return $child;
}

sub stop ($child, $how = 'TERM') {
    # A process that was forked by a test ends nothing of the test's.
    return unless ($children{$child} // 0) == $$;
    delete $children{$child};
    kill $how => $child;
    my $end = time + 15;
    while (waitpid($child, WNOHANG) == 0) {
        kill KILL => $child if time > $end;
        sleep 0.02;
    }
    return $?;
}

sub folder {
    push @folders, File::Temp->newdir('tokencache-perl-XXXXXX', TMPDIR => 1);
    return "$folders[-1]";
}

# A daemon on an embedded Redis: { socket, process }; `start` and `stop` of it keep its data.
sub daemon (@settings) {
    my $folder = folder();
    mkdir "$folder/state", 0700;
    my $programs = $ENV{PROGRAMS} // ROOT . '/../../.build/release';
    my $daemon = bless {
        socket  => "$folder/d.sock", log => "$folder/log",
        # Patience with a busy machine, within the client's two seconds.
        command => ["$programs/tokencached", '--socket', "$folder/d.sock", '--state-dir', "$folder/state", map { ('--set', $_) }
            'redis.timeout=1500ms', @settings],
    }, 'Support::Daemon';
    $daemon->start;
    return $daemon;
}

sub Support::Daemon::start ($self) {
    $self->{process} = start($self->{log}, $self->{command}->@*);
    my $client = TokenCache::Client->new(socket => $self->{socket});
    for (1 .. 400) {
        # Guests need the key ring, the rest needs Redis.
        return if eval { $client->ask('TOKEN.COUNT', 'nobody'); $client->ask('TOKEN.VISIT', ''); 1 };
        last if waitpid($self->{process}, WNOHANG);
        sleep 0.05;
    }
    open my $log, '<', $self->{log};
    die "the daemon did not start: ", <$log>;
}

sub Support::Daemon::stop ($self) { return stop($self->{process}) }

# A daemon's socket that answers what the test says: `answer` is a function of the number of the connection, from 1, and
# of the words of each command but HELLO; it returns bytes, or undef to hang up.
sub scripted ($answer) {
    my $path = folder() . '/d.sock';
    my $listener = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path, Listen => 5) or die "$path: $!\n";
    my $test = $$;
    my $child = fork // die "no process can be started: $!\n";
    if (!$child) {
        @SIG{qw(TERM PIPE)} = ('DEFAULT', 'IGNORE');
        for (my $number = 1; my $connection = $listener->accept; $number += 1) {
            while (my @words = _command($connection)) {
                my $bytes = $words[0] eq 'HELLO' ? resp({ proto => \3 }) : $answer->($number, @words);
                last unless defined $bytes;
                syswrite $connection, $bytes;
            }
        }
        POSIX::_exit(0);
    }
    $children{$child} = $test;
    return $path;
}

sub _command ($connection) {
    my ($count) = (<$connection> // '') =~ /\A\*(\d+)/ or return;
    return map {
        my ($length) = (<$connection> // '') =~ /\A\$(\d+)/ or return;
        read $connection, my $word, $length + 2;
        substr $word, 0, $length;
    } 1 .. $count;
}

# RESP3 of a value: a reference to a number is an integer.
sub resp ($value) {
    return ':' . $$value . "\r\n" if ref $value eq 'SCALAR';
    return '*' . @$value . "\r\n" . join '', map { resp($_) } @$value if ref $value eq 'ARRAY';
    return '%' . keys(%$value) . "\r\n" . join '', map { (resp($_), resp($value->{$_})) } sort keys %$value if ref $value eq 'HASH';
    return '$' . length($value) . "\r\n$value\r\n";
}

sub free_port {
    return IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')->sockport;
}

sub browser ($port) { return bless { port => $port, cookie => '', csrf => '' }, 'Support::Browser' }

# Sends a request and returns { status, headers, cookies, content }; what the response sets is in the jar, and the form
# of its page is `csrf`. Options: form, cookie, mode, site, headers.
sub Support::Browser::send ($self, $method, $path, %options) {
    my $cookie = $options{cookie} // $self->{cookie};
    my %request = (headers => {
        length $cookie ? (Cookie => $cookie) : (), 'Sec-Fetch-Mode' => $options{mode} // 'navigate', 'Sec-Fetch-Site' => $options{site} // 'same-origin',
        ($options{headers} // {})->%* });
    my $http = HTTP::Tiny->new(max_redirect => 0, timeout => 30, keep_alive => 0);
    if ($options{form}) {
        $request{content} = $http->www_form_urlencode($options{form});
        $request{headers}{'Content-Type'} = 'application/x-www-form-urlencoded';
    }
    my $response = $http->request($method, "http://127.0.0.1:$self->{port}$path", \%request);
    my $lines = $response->{headers}{'set-cookie'} // [];
    $response->{cookies} = ref $lines ? $lines : [$lines];
    for ($response->{cookies}->@*) {
        my ($pair) = /\A(tc=[^;]*)/ or next;
        $self->{cookie} = $pair eq 'tc=' ? '' : $pair;
    }
    $self->{csrf} = $1 if $response->{content} =~ /name="csrf" value="([^"]*)"/;
    return $response;
}

sub Support::Browser::get ($self, $path, %options) { return $self->send('GET', $path, %options) }

# Sends the form of the page that is shown.
sub Support::Browser::post ($self, $path, $form = {}, %options) {
    return $self->send('POST', $path, form => { csrf => $self->{csrf}, %$form }, %options);
}

1;
