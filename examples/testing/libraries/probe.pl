#!/usr/bin/perl
# Redis.pm and Redis::Fast, for clients.py, which says what a line is: probe.pl Redis|Redis::Fast SOCKET
use v5.20;
use warnings;

my ($library, $path) = @ARGV;
eval "require $library" or die $@;
STDOUT->autoflush(1);
say $library->VERSION;

sub shown { my ($reply) = @_; ref $reply ? join("\t", '(', (map { shown($_) } @$reply), ')') : defined $reply ? "\$$reply" : '_' }

# A method's name is made words at its underscores: token_validate is TOKEN VALIDATE.
sub method_of { lc($_[0]) =~ s/\./_/r }

my $client;
while (my $line = <STDIN>) {
    chomp $line;
    my ($word, @words) = split /\t/, $line, -1;
    my @commands = map { my $command = <STDIN>; chomp $command; [split /\t/, $command, -1] } 1 .. ($word eq 'call' ? 0 : $words[0]);
    my @replies = eval {
        $client //= $library->new(
            sock => $path, reconnect => 0, encoding => undef, cnx_timeout => 2, read_timeout => 2, write_timeout => 2);
        if (@commands) {
            my @done;
            for my $command (@commands) {
                my ($name, @rest) = @$command;
                my $method = method_of($name);
                $client->$method(@rest, sub { my ($reply, $error) = @_; push @done, defined $error ? "!$error" : shown($reply) });
            }
            $client->wait_all_responses;
            return @done;
        }
        my $method = method_of(shift @words);
        # In a list a map is spread; as one value it is an array.
        my $reply = $client->$method(@words);
        return shown($reply);
    };
    if ($@) {
        @replies = '!' . $@ =~ s/\n/ /gr;
        undef $client;
    }
    say for @replies;
}
