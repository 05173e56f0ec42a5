<?php
declare(strict_types=1);

// The process of ScriptedDaemon: scripted-daemon.php FOLDER
[, $folder] = $argv;
[$replies, $step, $pause] = unserialize((string) file_get_contents("$folder/replies"));
$server = stream_socket_server("unix://$folder/tokencached.sock");
touch("$folder/asked");
touch("$folder/ready");

/** @param resource $stream @return list<string>|null */
function command($stream): ?array
{
    $line = fgets($stream);
    if ($line === false) {
        return null;
    }
    $words = [];
    for ($left = (int) substr($line, 1); $left > 0; $left--) {
        $length = (int) substr((string) fgets($stream), 1);
        $words[] = substr((string) stream_get_contents($stream, $length + 2), 0, $length);
    }
    return $words;
}

while (($stream = stream_socket_accept($server, -1)) !== false) {
    while (($words = command($stream)) !== null) {
        if ($words[0] === 'HELLO') {
            fwrite($stream, "%1\r\n$5\r\nproto\r\n:3\r\n");
            continue;
        }
        if ($words[0] === 'ECHO') {
            fwrite($stream, '$' . strlen($words[1]) . "\r\n$words[1]\r\n");
            continue;
        }
        file_put_contents("$folder/asked", base64_encode(serialize($words)) . "\n", FILE_APPEND);
        $reply = array_shift($replies);
        if ($reply === null) {
            continue;
        }
        [$bytes, $seconds] = (array) $reply + ['', 0.0];
        usleep((int) ($seconds * 1e6));
        if ($bytes === '') {
            break;
        }
        foreach ($step >= strlen($bytes) ? [$bytes] : str_split($bytes, $step) as $piece) {
            @fwrite($stream, $piece);
            usleep((int) ($pause * 1e6));
        }
    }
    fclose($stream);
}
