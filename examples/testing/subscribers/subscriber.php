<?php
// Subscribes to sessions with phpredis: subscriber.php SOCKET SID…; ends when all of them were told.
// phpredis shows no confirmations: a last session that never was is told behind all of them.
$sids = array_slice($argv, 2);
$redis = new Redis();
$redis->connect($argv[1]);
$redis->setOption(Redis::OPT_READ_TIMEOUT, -1);
$never = 'session:' . str_repeat('0', 32);
$channels = [...array_map(fn($sid) => "session:$sid", $sids), $never];
$left = count($sids);
try {
    $redis->subscribe($channels, function ($redis, $channel, $message) use (&$left, $never, $channels) {
        if ($channel === $never) {
            echo "subscribed $left\n";
            return;
        }
        echo substr($channel, strlen('session:')), " $message\n";
        if (--$left === 0) {
            $redis->unsubscribe($channels);
            // phpredis 5 reads on behind it, at a redis-server as well.
            $redis->close();
        }
    });
} catch (RedisException $end) {
    if ($left > 0) {
        throw $end;
    }
}
