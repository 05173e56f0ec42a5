<?php
declare(strict_types=1);

use TokenCache\NotAccepted;
use TokenCache\Session;

/** A request in, a response out: what a site does with the package, without a framework. The routes are in README.md. */
final class Site
{
    /** A field for each item, so that two tabs do not overwrite each other's cart. */
    private const ITEM = 'item.';
    private const MOST_ITEM_BYTES = 200;
    private const MOST_USER_BYTES = 256;

    /**
     * @param bool $superglobal whether the cart is kept in `$_SESSION`
     * @param bool $revealsCaptchas for tests: a page says what the picture would
     */
    public function __construct(private Session $session, private bool $superglobal, private bool $revealsCaptchas)
    {
    }

    /**
     * @param array<mixed> $query
     * @param array<mixed> $form
     * @return array{int, array<string, string>, string} status, headers, body
     */
    public function respond(string $method, string $path, array $query, array $form): array
    {
        $text = static fn (string $field): string => is_string($form[$field] ?? null) ? $form[$field] : '';
        switch (($method === 'HEAD' ? 'GET' : $method) . " $path") {
            case 'GET /':
                return $this->home();
            case 'GET /login':
                return $this->loginForm();
            case 'POST /login':
                return $this->login($text('user'), $text('remember') !== '');
            case 'POST /logout':
                return $this->ifPassed($this->home(...), '/', $this->session->logout(...));
            case 'POST /logout-everywhere':
                return $this->ifPassed($this->home(...), '/', function (): void {
                    if ($this->session->user() !== null) {
                        $this->session->logoutEverywhere();
                    }
                });
            case 'GET /cart':
                return self::json($this->items());
            case 'POST /cart':
                return $this->put($text('item'));
            case 'GET /api/me':
                return $this->session->user() === null
                    ? self::json(['user' => null], 401)
                    : self::json(['user' => $this->session->user(), 'sid' => $this->session->sid()]);
            case 'POST /api/count':
                return $this->count();
            case 'GET /devices':
                return $this->session->user() === null
                    ? self::json(['user' => null], 401)
                    : self::json(array_map(
                        static fn (array $one): array => ['sid' => $one['sid'], 'current' => $one['current']],
                        $this->session->devices(),
                    ));
            case 'POST /devices/end':
                return $this->ifPassed($this->home(...), '/devices', function () use ($text): void {
                    if ($this->session->user() !== null) {
                        $this->session->endDevice($text('sid'));
                    }
                });
            case 'GET /contact':
                return $this->contactForm();
            case 'POST /contact':
                return $this->session->captchaPassed($text('captcha'), $text('answer'))
                    ? self::redirect('/')
                    : $this->contactForm($text('text'), 'Please send it again.');
            case 'GET /captcha':
                return $this->picture(is_string($query['c'] ?? null) ? $query['c'] : '');
            case 'POST /payment/return':
                // From another site, so without the cookie: the page that follows has it. The payment's own signature would be
                // what is trusted here, not the visitor.
                return self::redirect('/');
            default:
                return [404, ['Content-Type' => 'text/plain'], "no such page\n"];
        }
    }

    /** @return array{int, array<string, string>, string} */
    private function home(string $notice = ''): array
    {
        $user = $this->session->user();
        $who = $user === null ? 'guest' : 'user: ' . htmlspecialchars($user);
        $field = $this->session->csrfField();
        $forms = "<form method=\"post\" action=\"/cart\">$field<input name=\"item\"><button>Put into the cart</button></form>";
        $forms .= $user === null
            ? '<p><a href="/login">Log in</a></p>'
            : "<form method=\"post\" action=\"/logout\">$field<button>Log out</button></form>"
            . "<form method=\"post\" action=\"/logout-everywhere\">$field<button>Log out everywhere</button></form>";
        return self::page("<p>$who</p>$forms", $notice);
    }

    /** @return array{int, array<string, string>, string} */
    private function loginForm(string $user = '', string $notice = ''): array
    {
        return self::page("<form method=\"post\" action=\"/login\">{$this->session->csrfField()}"
            . '<input name="user" value="' . htmlspecialchars($user) . '">'
            . '<label><input type="checkbox" name="remember" value="1"> Remember me</label><button>Log in</button></form>', $notice);
    }

    /**
     * A site of your own asks for a password here.
     *
     * @return array{int, array<string, string>, string}
     */
    private function login(string $user, bool $remember): array
    {
        // The second click of two: whatever became of its form.
        if (!$this->session->formPassed() && $this->session->user() !== null) {
            return self::redirect('/');
        }
        if (!$this->session->formPassed() || $user === '' || strlen($user) > self::MOST_USER_BYTES) {
            return $this->loginForm($user, 'Please send it again.');
        }
        if ($remember) {
            $this->session->login($user, idle: '30d', absolute: '90d');
        } else {
            $this->session->login($user);
        }
        return self::redirect('/');
    }

    /** @return array{int, array<string, string>, string} */
    private function put(string $item): array
    {
        $isItem = $item !== '' && strlen($item) <= self::MOST_ITEM_BYTES && preg_match('//u', $item) === 1;
        if (!$this->session->formPassed() || !$isItem || $this->session->isPageOnly()) {
            return $this->cartForm($item);
        }
        if ($this->superglobal) {
            $_SESSION[self::ITEM . $item] = '1';
            return self::redirect('/cart');
        }
        try {
            $this->session->set([self::ITEM . $item => '1']);
        } catch (NotAccepted) {
            // Ended between two questions, by another tab.
            return $this->cartForm($item);
        }
        return self::redirect('/cart');
    }

    /** @return array{int, array<string, string>, string} */
    private function cartForm(string $item): array
    {
        return self::page("<form method=\"post\" action=\"/cart\">{$this->session->csrfField()}<input name=\"item\" value=\""
            . htmlspecialchars($item) . '"><button>Put into the cart</button></form>', 'Please send it again.');
    }

    /** @return list<string> */
    private function items(): array
    {
        $items = [];
        foreach (array_keys($this->superglobal ? $_SESSION : $this->session->all()) as $field) {
            if (str_starts_with((string) $field, self::ITEM)) {
                $items[] = substr((string) $field, strlen(self::ITEM));
            }
        }
        return $items;
    }

    /**
     * There is no form: pages of other sites are kept out by what the browser says of them.
     *
     * @return array{int, array<string, string>, string}
     */
    private function count(): array
    {
        if ($this->session->user() === null) {
            return self::json(['user' => null], 401);
        }
        return $this->session->isOwn()
            ? self::json(['count' => $this->session->increment('count')])
            : self::json(['error' => 'not from another site'], 403);
    }

    /** @return array{int, array<string, string>, string} */
    private function contactForm(string $text = '', string $notice = ''): array
    {
        $captcha = $this->session->captcha();
        $solution = $this->revealsCaptchas ? ' data-solution="' . htmlspecialchars($captcha->solution) . '"' : '';
        return self::page("<form method=\"post\" action=\"/contact\">{$this->session->csrfField()}{$captcha->field()}"
            . '<textarea name="text">' . htmlspecialchars($text) . '</textarea>'
            . "<img src=\"/captcha?c=" . rawurlencode($captcha->token) . "\" alt=\"letters\"$solution><input name=\"answer\">"
            . '<button>Send</button></form>', $notice);
    }

    /**
     * A bot reads it as well as a person does: draw yours.
     *
     * @return array{int, array<string, string>, string}
     */
    private function picture(string $captcha): array
    {
        $letters = $this->session->solutionOf($captcha);
        if ($letters === null) {
            return [404, ['Content-Type' => 'text/plain'], "no such picture\n"];
        }
        $width = 20 * mb_strlen($letters) + 20;
        return [200, ['Content-Type' => 'image/svg+xml', 'Cache-Control' => 'no-store'],
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"$width\" height=\"40\"><text x=\"10\" y=\"28\" font-size=\"24\" "
            . 'letter-spacing="4">' . htmlspecialchars($letters) . '</text></svg>'];
    }

    /**
     * A form that changes something: carried out only if it is this visitor's own, shown again if not.
     *
     * @param callable(string): array{int, array<string, string>, string} $shownAgain
     * @param callable(): void $carriedOut
     * @return array{int, array<string, string>, string}
     */
    private function ifPassed(callable $shownAgain, string $address, callable $carriedOut): array
    {
        if (!$this->session->formPassed()) {
            return $shownAgain('Please send it again.');
        }
        $carriedOut();
        return self::redirect($address);
    }

    /** @return array{int, array<string, string>, string} */
    private static function page(string $body, string $notice): array
    {
        $notice = $notice === '' ? '' : "<p><strong>$notice</strong></p>";
        return [200, ['Content-Type' => 'text/html; charset=utf-8'],
            "<!doctype html><meta charset=\"utf-8\"><title>A small site</title>$notice$body"];
    }

    /** @return array{int, array<string, string>, string} */
    private static function json(mixed $value, int $status = 200): array
    {
        return [$status, ['Content-Type' => 'application/json', 'Cache-Control' => 'no-store'],
            json_encode($value, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE)];
    }

    /** @return array{int, array<string, string>, string} */
    private static function redirect(string $address): array
    {
        return [303, ['Location' => $address], ''];
    }
}
