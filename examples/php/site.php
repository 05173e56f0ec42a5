<?php
// A site with a login, for php-fpm or mod_php; for development: php -S localhost:8000 site.php
require_once __DIR__ . '/sessions.php';

/** A request in, a response out: [status, headers, body]. */
class Site
{
    /** One form name serves the whole site. */
    private const FORM = 'site';

    public function __construct(private Sessions $sessions, private Cookie $cookie) {}

    /**
     * @param array $server as $_SERVER
     * @param array $cookies as $_COOKIE
     * @param array $form as $_POST
     */
    public function respond(array $server, array $cookies, array $form): array
    {
        try {
            [$status, $headers, $body] = $this->answer($server, $cookies, $form);
        } catch (Unavailable $error) {
            [$status, $headers, $body] = [503, ['Retry-After' => '1'], "try again: {$error->getMessage()}"];
        }
        // Beside every token, and every page that a form of this visitor is in.
        return [$status, $headers + ['Cache-Control' => 'no-store'], $body];
    }

    private function answer(array $server, array $cookies, array $form): array
    {
        [$path, $query] = explode('?', $server['REQUEST_URI'], 2) + ['/', ''];
        $isPost = !in_array($server['REQUEST_METHOD'], ['GET', 'HEAD'], true);
        [$site, $mode] = [$server['HTTP_SEC_FETCH_SITE'] ?? '', $server['HTTP_SEC_FETCH_MODE'] ?? ''];
        $token = $cookies[$this->cookie->name] ?? '';
        // One question a page: who is it, is the form that came genuine, and a token for the form that goes.
        $visit = $this->sessions->askAbout('TOKEN.VISIT', $token,
            ...($isPost ? ['CHECK', $form['csrf'] ?? '', self::FORM] : []),
            ...($site === '' ? [] : ['FETCH-SITE', $site]), ...($mode === '' ? [] : ['FETCH-MODE', $mode]),
            ...($isPost ? ['POST'] : []), ...['CSRF', self::FORM]);
        $setCookie = $this->cookie->of($visit);
        // For the rest of the request the newest token that is known.
        $token = $visit['sessiontoken'] ?? $token;
        // The browser has a newer token than the one it sent, or is about to: let it come again, once.
        $isPageOnly = $visit['accepted'] === 0 && !isset($visit['sessiontoken']);
        if ($isPageOnly && !$isPost && in_array($mode, ['', 'navigate'], true) && !str_contains($query, 'again')) {
            return self::redirect("$path?again=1", $setCookie);
        }
        // Logged in means accepted, and a subject.
        $subject = $visit['accepted'] === 1 ? $visit['subject'] : '';
        if ($isPost && $path === '/login') {
            // The second click of two: whatever became of its form.
            if ($subject !== '') {
                return self::redirect('/', $setCookie);
            }
            // failed, expired, outdated: nothing is carried out, and the form is shown again, as it was filled.
            $name = $visit['check'] === 'passed' ? self::checkPassword($form) : null;
            if ($name === null) {
                return self::page($visit, $setCookie, $subject, $form['name'] ?? '', 'Please send it again.');
            }
            // Once in a response: the cookie of the last reply.
            return self::redirect('/', $this->cookie->of($this->sessions->ask('TOKEN.LOGIN', $token, $name)));
        }
        if ($isPost && $path === '/logout' && $visit['check'] === 'passed') {
            // A token from before a login ends nothing (replayed), and the cookie stays.
            if ($this->sessions->ask('TOKEN.REVOKE', $token)['status'] === 'revoked') {
                $setCookie = $this->cookie->removal();
            }
            return self::redirect('/', $setCookie);
        }
        return self::page($visit, $setCookie, $subject);
    }

    private static function checkPassword(array $form): ?string
    {
        return [$form['name'] ?? '', $form['password'] ?? ''] === ['ann', 'apple'] ? 'ann' : null;
    }

    private static function page(
        array $visit, ?string $setCookie, string $subject, string $name = '', string $notice = ''
    ): array {
        $csrf = "<input type=\"hidden\" name=\"csrf\" value=\"{$visit['csrf']}\">";
        $form = $subject !== ''
            ? "<form method=\"post\" action=\"/logout\">$csrf<button>Log out</button></form>"
            : "<form method=\"post\" action=\"/login\">$csrf<input name=\"name\" value=\"" . htmlspecialchars($name) . '">'
            . '<input name="password" type="password"><button>Log in</button></form>';
        $who = htmlspecialchars($subject === '' ? 'guest' : $subject);
        return [200, self::cookieHeader($setCookie),
            "<!doctype html><title>Sessions</title><p>$notice Hello, <b>$who</b>.</p>$form"];
    }

    private static function redirect(string $address, ?string $setCookie): array
    {
        return [303, ['Location' => $address] + self::cookieHeader($setCookie), ''];
    }

    private static function cookieHeader(?string $setCookie): array
    {
        return $setCookie === null ? [] : ['Set-Cookie' => $setCookie];
    }
}

if (PHP_SAPI !== 'cli') {
    $path = getenv('TOKENCACHED_SOCKET') ?: '/run/tokencached/tokencached.sock';
    // php -S is for development on http://localhost; everything else is for HTTPS.
    $site = new Site(new Sessions($path), new Cookie(development: PHP_SAPI === 'cli-server'));
    [$status, $headers, $body] = $site->respond($_SERVER, $_COOKIE, $_POST);
    http_response_code($status);
    foreach ($headers as $name => $value) {
        header("$name: $value");
    }
    echo $body;
}
