#!/usr/bin/perl
# Subscribes to sessions with Redis.pm: subscriber.pl SOCKET SID…; ends when all of them were told.
use v5.20;
use warnings;
use Redis;

my ($path, @sids) = @ARGV;
my $redis = Redis->new(sock => $path, reconnect => 0, encoding => undef);
STDOUT->autoflush(1);
my $left = @sids;
my $told = sub {
    my ($message, undef, $channel) = @_;
    say substr($channel, length 'session:'), " $message";
    $left--;
};
$redis->subscribe((map { "session:$_" } @sids), $told);
say 'subscribed ', scalar @sids;
$redis->wait_for_messages(1) while $left > 0;
$redis->unsubscribe((map { "session:$_" } @sids), $told);
$redis->ping or die 'no PONG';
