<?php
// A site with a login, for php-fpm or mod_php; for development: php -S localhost:8000 site.php
require_once __DIR__ . '/sessions.php';

/**
 * Whoever sent a request. Two rules keep themselves: each command takes the newest token that is known, and the response,
 * whatever it will be, has the cookie of the last reply with a token.
 */
class Visitor
{
    public ?string $setCookie = null;

    public function __construct(private Sessions $sessions, private Cookie $cookie, private string $token) {}

    public function visit(string ...$options): array
    {
        return $this->note($this->sessions->askAbout('TOKEN.VISIT', $this->token, ...$options));
    }

    public function ask(string $command, string ...$arguments): array
    {
        return $this->note($this->sessions->ask($command, $this->token, ...$arguments));
    }

    private function note(array $fields): array
    {
        $this->token = $fields['sessiontoken'] ?? $this->token;
        $this->setCookie = $this->cookie->of($fields) ?? $this->setCookie;
        return $fields;
    }
}

/** A request in, a response out: [status, headers, body]. */
class Site
{
    /** One form name serves the whole site. */
    private const FORM = 'site';
    /** Of a page that was sent to itself. */
    private const MARK = 'again=1';

    public function __construct(private Sessions $sessions, private Cookie $cookie) {}

    /**
     * @param array $server as $_SERVER
     * @param array $cookies as $_COOKIE
     * @param array $form as $_POST
     */
    public function respond(array $server, array $cookies, array $form): array
    {
        $visitor = new Visitor($this->sessions, $this->cookie, $cookies[$this->cookie->name] ?? '');
        try {
            [$status, $headers, $body] = $this->answer($server, $visitor, $form);
        } catch (Unavailable $error) {
            [$status, $headers, $body] = [503, ['Retry-After' => '1'], "try again: {$error->getMessage()}"];
        }
        // On the 503 as well: a later fault takes back no token that was given.
        if ($visitor->setCookie !== null) {
            $headers['Set-Cookie'] = $visitor->setCookie;
        }
        // Beside every token, and every page that a form of this visitor is in.
        return [$status, $headers + ['Cache-Control' => 'no-store'], $body];
    }

    private function answer(array $server, Visitor $visitor, array $form): array
    {
        [$path, $query] = explode('?', $server['REQUEST_URI'], 2) + ['/', ''];
        $isPost = !in_array($server['REQUEST_METHOD'], ['GET', 'HEAD'], true);
        [$site, $mode] = [$server['HTTP_SEC_FETCH_SITE'] ?? '', $server['HTTP_SEC_FETCH_MODE'] ?? ''];
        // One question a page: who is it, is the form that came genuine, and a token for the form that goes.
        $visit = $visitor->visit(
            ...($isPost ? ['CHECK', $form['csrf'] ?? '', self::FORM] : []),
            ...($site === '' ? [] : ['FETCH-SITE', $site]), ...($mode === '' ? [] : ['FETCH-MODE', $mode]),
            ...($isPost ? ['POST'] : []), ...['CSRF', self::FORM]);
        // The browser has a newer token than the one it sent, or is about to: let it come again, once.
        $isPageOnly = $visit['accepted'] === 0 && !isset($visit['sessiontoken']);
        $again = self::onceMore($query);
        if ($isPageOnly && !$isPost && in_array($mode, ['', 'navigate'], true) && $again !== null) {
            return self::redirect($again);
        }
        // Logged in means accepted, and a subject.
        $subject = $visit['accepted'] === 1 ? $visit['subject'] : '';
        if ($isPost && $path === '/login') {
            // The second click of two: whatever became of its form.
            if ($subject !== '') {
                return self::redirect('/');
            }
            // failed, expired, outdated: nothing is carried out, and the form is shown again, as it was filled.
            $name = $visit['check'] === 'passed' ? self::checkPassword($form) : null;
            if ($name === null) {
                return self::page($visit, $subject, $form['name'] ?? '', 'Please send it again.');
            }
            $visitor->ask('TOKEN.LOGIN', $name);
            return self::redirect('/');
        }
        if ($isPost && $path === '/logout' && $visit['check'] === 'passed') {
            // A token from before a login ends nothing (replayed), and the cookie stays.
            if ($visitor->ask('TOKEN.REVOKE')['status'] === 'revoked') {
                $visitor->setCookie = $this->cookie->removal();
            }
            return self::redirect('/');
        }
        return self::page($visit, $subject);
    }

    /**
     * The address of the page itself: its query, and the mark as a parameter of its own. Whatever the path is, it stays.
     * Null where the mark is there: once is enough. A page leaves the mark out of its own links.
     */
    private static function onceMore(string $query): ?string
    {
        if (in_array(self::MARK, explode('&', $query), true)) {
            return null;
        }
        return '?' . ($query === '' ? '' : "$query&") . self::MARK;
    }

    private static function checkPassword(array $form): ?string
    {
        return [$form['name'] ?? '', $form['password'] ?? ''] === ['ann', 'apple'] ? 'ann' : null;
    }

    private static function page(array $visit, string $subject, string $name = '', string $notice = ''): array
    {
        $csrf = "<input type=\"hidden\" name=\"csrf\" value=\"{$visit['csrf']}\">";
        $form = $subject !== ''
            ? "<form method=\"post\" action=\"/logout\">$csrf<button>Log out</button></form>"
            : "<form method=\"post\" action=\"/login\">$csrf<input name=\"name\" value=\"" . htmlspecialchars($name) . '">'
            . '<input name="password" type="password"><button>Log in</button></form>';
        $who = htmlspecialchars($subject === '' ? 'guest' : $subject);
        return [200, [], "<!doctype html><title>Sessions</title><p>$notice Hello, <b>$who</b>.</p>$form"];
    }

    private static function redirect(string $address): array
    {
        return [303, ['Location' => $address], ''];
    }
}

if (PHP_SAPI !== 'cli') {
    $path = getenv('TOKENCACHED_SOCKET') ?: '/run/tokencached/tokencached.sock';
    // php -S is for development on http://localhost, and so is a web server that says it is; everything else is for HTTPS.
    $isDevelopment = PHP_SAPI === 'cli-server' || getenv('SITE_DEVELOPMENT') === '1';
    $site = new Site(new Sessions($path), new Cookie($isDevelopment));
    [$status, $headers, $body] = $site->respond($_SERVER, $_COOKIE, $_POST);
    http_response_code($status);
    foreach ($headers as $name => $value) {
        header("$name: $value");
    }
    echo $body;
}
