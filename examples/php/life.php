<?php
// A visitor's life with the site beside this file, printed: php life.php /run/tokencached/tokencached.sock
require_once __DIR__ . '/site.php';

class Browser
{
    public array $jar = [];
    public string $csrf = '';

    public function __construct(private string $path) {}

    /** Sends a request with the cookies that the browser held when it was made, and follows redirects. */
    public function go(string $what, string $method, string $address, ?array $cookies = null, array $form = []): void
    {
        $cookies ??= $this->jar;
        $marks = [];
        while (true) {
            $server = ['REQUEST_METHOD' => $method, 'REQUEST_URI' => $address, 'HTTP_SEC_FETCH_SITE' => 'same-origin',
                'HTTP_SEC_FETCH_MODE' => 'navigate'];
            // As in php-fpm: a connection for each request.
            $site = new Site(new Sessions($this->path), new Cookie());
            [$status, $headers, $body] = $site->respond($server, $cookies, $form);
            if ($status === 503) {
                fwrite(STDERR, "503 Service Unavailable: $body\n");
                exit(1);
            }
            if (preg_match('/^([^=]*)=([^;]*)/', $headers['Set-Cookie'] ?? '', $new)) {
                $marks[] = $new[2] === '' ? 'cookie deleted' : 'cookie set';
                $this->jar = $cookies = $new[2] === '' ? [] : [$new[1] => $new[2]];
            }
            if (str_contains($body, 'send it again')) {
                $marks[] = 'the form again';
            }
            if (!isset($headers['Location'])) {
                break;
            }
            // A query alone leaves the path as it is.
            $path = str_starts_with($headers['Location'], '?') ? explode('?', $address)[0] : '';
            [$method, $address, $form] = ['GET', $path . $headers['Location'], []];
            if (str_contains($address, 'again=1')) {
                $marks[] = 'asked to come again';
            }
        }
        preg_match('/name="csrf" value="([^"]*)"/', $body, $csrf);
        preg_match('#<b>(.*)</b>#', $body, $who);
        $this->csrf = $csrf[1];
        echo "$what: $who[1], ", implode(', ', $marks) ?: 'cookie kept', "\n";
    }
}

$browser = new Browser($argv[1]);
$ann = ['name' => 'ann', 'password' => 'apple'];
$browser->go('first visit', 'GET', '/');
$browser->go('second visit', 'GET', '/');
[$before, $sent] = [$browser->jar, $browser->csrf];
$browser->go('a forged form', 'POST', '/login', null, ['csrf' => 'forged'] + $ann);
$browser->go('login', 'POST', '/login', null, ['csrf' => $browser->csrf] + $ann);
// The second click was sent with the cookie of before; so was the request of another tab.
$browser->go('second click', 'POST', '/login', $before, ['csrf' => $sent] + $ann);
$browser->go('late request', 'GET', '/', $before);
$browser->go('visit after login', 'GET', '/');
$browser->go('logout', 'POST', '/logout', null, ['csrf' => $browser->csrf]);
$browser->go('after logout', 'GET', '/');
