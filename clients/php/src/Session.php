<?php
declare(strict_types=1);

namespace TokenCache;

// For speed: PHP looks for a function of that name in this namespace first, and has opcodes for some only without.
use function array_fill_keys, array_filter, array_keys, array_map, array_push, array_values, explode, htmlspecialchars,
    is_int, is_string, preg_match, strlen;

/**
 * The session of whoever sent a request. Everyone has one: a visitor whom nobody knows is a guest, who costs the store nothing
 * until something is stored. Made by Session::start, or by Middleware.
 *
 * Every method that asks the daemon throws Unavailable where nobody knows the answer. Two rules are kept in here: each command
 * takes the newest token that is known (but for loggedInWithin), and the response has the cookie of the last reply that brought one.
 */
final class Session
{
    private const MOST_CAPTCHA_BYTES = 4096;
    private const MOST_ANSWER_BYTES = 256;

    private string $token;
    /** What the browser surely has: the token that came, or that of a login or rotate since, beside which no other is good. */
    private string $presented;
    /** @var list<string> */
    private array $bind = [];
    /** @var array<string, mixed> the last reply that told who it is */
    private array $holder;
    private string $check;
    private bool $isPageOnly;
    /** @var array<string, string>|null null: not known any more */
    private ?array $data;
    private bool $isEnded = false;
    private ?string $setCookie = null;
    private bool $isPrivate = false;
    /** @var (callable(self): void)|null */
    private $onHeaders = null;

    /** Asks who it is: one question a request. The form that came is judged by it, too. */
    public function __construct(private Client $client, private Settings $settings, private Request $request)
    {
        $this->token = $this->presented = $request->token;
        foreach ($settings->bind as $signal) {
            // A browser that names itself by nothing is one of that name: where the binding is strict, the daemon wants to be told.
            if ($signal === 'ua' || $request->address !== '') {
                array_push($this->bind, 'BIND', $signal, $signal === 'ua' ? $request->agent : $request->address);
            }
        }
        $options = $request->isPost ? ['CHECK', $request->csrf, $settings->form, 'POST'] : [];
        if ($request->fetchSite !== '') {
            array_push($options, 'FETCH-SITE', $request->fetchSite);
        }
        if ($request->fetchMode !== '') {
            array_push($options, 'FETCH-MODE', $request->fetchMode);
        }
        array_push($options, 'CSRF', $settings->form, 'DATA');
        $visit = $this->note($client->ask('TOKEN.VISIT', $this->token, ...$this->bind, ...$options));
        $this->holder = self::whole($visit);
        $this->check = $request->isPost ? self::text($visit, 'check') ?? '' : '';
        $this->data = $visit['data'] ?? null;
        $this->isPageOnly = $visit['accepted'] === 0 && !isset($visit['sessiontoken']);
    }

    /**
     * For sites without a framework: the session of the request that PHP serves. Call it before any output; the output is held back
     * until the script ends, so that the cookie can go out with it. With $superglobal, `$_SESSION` is this session's data: what
     * changed in it is written when the script ends.
     *
     * A browser that holds a newer token than the one it sent is sent to the page once more: then the script ends here. Unavailable
     * that the site does not catch is answered with 503.
     */
    public static function start(Settings $settings = new Settings(), bool $superglobal = true): self
    {
        return Native::start($settings, $superglobal);
    }

    /** Who is logged in; null for guests, and for a session of nobody. */
    public function user(): ?string
    {
        return $this->holder['accepted'] === 1 && $this->holder['subject'] !== '' ? $this->holder['subject'] : null;
    }

    /** The public name of the session, 32 hex digits: fit for logs. */
    public function sid(): string
    {
        return $this->holder['sid'];
    }

    /** When the user last proved who they are, Unix time; null if nobody did. */
    public function authTime(): ?int
    {
        return $this->user() === null || $this->holder['auth_time'] === 0 ? null : $this->holder['auth_time'];
    }

    /** What the daemon said of the token that came: `valid`, `rotated`, `none`, `revoked` and so on; `issued` after a login. */
    public function status(): string
    {
        return $this->holder['status'];
    }

    /** @return list<string> the signals in `log` mode that differ: of `ip` and `ua` */
    public function differs(): array
    {
        return array_values(array_filter(explode(' ', self::text($this->holder, 'differs') ?? '')));
    }

    /**
     * Whether a page of this site made the request, or the visitor by hand; a browser that says nothing is believed. For an API
     * that is called without a form.
     */
    public function isOwn(): bool
    {
        return $this->request->isOwn;
    }

    /**
     * Whether the browser holds a newer token than it sent, or is about to. Such a guest is for this response only: forms and login
     * work, nothing can be stored. An API says "try again".
     */
    public function isPageOnly(): bool
    {
        return $this->isPageOnly;
    }

    // Forms.

    /** The token for the site's forms. The page must not be kept by caches then, and is sent as such. */
    public function csrf(): string
    {
        $this->isPrivate = true;
        $this->changed();
        return self::text($this->holder, 'csrf') ?? self::text($this->ask('CSRF.ISSUE', 'FORM', $this->settings->form), 'csrf')
            ?? throw new \LogicException('the session was ended in this request: redirect');
    }

    /** The hidden field that every form of the site has. */
    public function csrfField(): string
    {
        return '<input type="hidden" name="csrf" value="' . htmlspecialchars($this->csrf()) . '">';
    }

    /**
     * Whether the form that came (its field `csrf`, or the header `X-CSRF-Token`) is this visitor's own. If not, carry nothing out
     * and show the form again, filled as it came. A login form of the user who is logged in already goes on all the same.
     */
    public function formPassed(): bool
    {
        return $this->check === 'passed';
    }

    /** `passed`, `failed`, `expired`, `outdated` (from before a login in another tab); empty for GET. */
    public function formCheck(): string
    {
        return $this->check;
    }

    public function captcha(): Captcha
    {
        $this->isPrivate = true;
        $this->changed();
        // Without a token there is nobody to make it for; the form of such a page does not pass anyway.
        $for = $this->token === '' ? [] : ['FOR', $this->token];
        $reply = $this->client->map('CAPTCHA.ISSUE', 'FORM', $this->settings->form, ...$for, ...$this->bind);
        return new Captcha(
            self::text($reply, 'captcha') ?? throw NotAccepted::by($reply),
            self::text($reply, 'solution') ?? throw NotAccepted::by($reply),
        );
    }

    /** For the request that draws the picture: what it says; null if it is over, or none of this site. */
    public function solutionOf(string $captcha): ?string
    {
        return strlen($captcha) > self::MOST_CAPTCHA_BYTES ? null
            : self::text($this->client->map('CAPTCHA.OPEN', $captcha), 'solution');
    }

    /** Whether the answer is right. Of a form that did not pass no captcha is spent: the answer is false. */
    public function captchaPassed(string $captcha, string $answer): bool
    {
        if (!$this->formPassed() || strlen($captcha) > self::MOST_CAPTCHA_BYTES || strlen($answer) > self::MOST_ANSWER_BYTES) {
            return false;
        }
        return $this->client->map('CAPTCHA.VERIFY', $captcha, $answer, 'FORM', $this->settings->form, 'FOR', $this->token,
            ...$this->bind)['status'] === 'passed';
    }

    // Login and logout.

    /**
     * After the password was checked. A guest's data stay. The old token is dead with it, and forms from before are `outdated`.
     *
     * @param string $user 1 to 256 bytes
     * @param string|null $idle how long it lives without a request, as `2h` or `30d`; with it, or with $absolute, the cookie outlives
     *     the browser: "remember me" is `idle: '30d', absolute: '90d'`
     * @param string|null $absolute how long it lives at most
     * @param int|null $max the most sessions that the user may have; the oldest are ended, or the login is refused
     * @param array<string, string> $data fields to store with it
     * @param bool $form whether a form must have passed; false where another proof was checked, as a central login's `state`
     * @throws LoginRefused
     */
    public function login(
        string $user,
        ?string $idle = null,
        ?string $absolute = null,
        ?int $max = null,
        array $data = [],
        bool $form = true,
    ): void {
        if ($form && !$this->formPassed()) {
            $came = $this->check === '' ? 'none came' : $this->check;
            throw new \LogicException("login without a genuine form ($came): look at formPassed() first");
        }
        $limits = [...self::option('IDLE', $idle), ...self::option('ABSOLUTE', $absolute), ...self::option('MAX', $max)];
        $reply = $this->note($this->client->ask('TOKEN.LOGIN', $this->token, $user, ...$limits, ...$this->bind,
            ...['CSRF', $this->settings->form], ...self::words($data)));
        if ($reply['accepted'] !== 1) {
            throw LoginRefused::by($reply);
        }
        $before = $this->sid();
        $this->become($reply);
        if ($this->sid() !== $before) {
            // Another session: what it holds is not known yet.
            $this->data = null;
        }
        $this->learn($data);
    }

    /** A new token at once, for a change of privilege that is no login. Forms from before are `outdated`. */
    public function rotate(): void
    {
        $this->become($this->accepted($this->ask('TOKEN.ROTATE', 'CSRF', $this->settings->form)));
    }

    /** Whether the user logged in within that time, as `10m`. If not, ask for the password and call login with the same user. */
    public function loggedInWithin(string $time): bool
    {
        // Not the newest token: a successor that the response is still to bring would be confirmed by it.
        return $this->user() !== null && $this->note($this->client->ask('TOKEN.VALIDATE', $this->presented, ...$this->bind,
            ...['REQUIRE', 'login-within', $time]))['accepted'] === 1;
    }

    /** Redirect after it: there is no session in the rest of this request. */
    public function logout(): void
    {
        $reply = $this->client->ask('TOKEN.REVOKE', $this->token, ...$this->bind);
        // Anything else ended nothing (a guest, a token from before a login): the cookie stays.
        if ($reply['status'] === 'revoked') {
            $this->setCookie = $this->settings->setCookie('', 0);
            $this->token = '';
            $this->data = [];
            $this->isEnded = true;
            $this->holder = ['status' => 'revoked', 'accepted' => 0, 'subject' => '', 'sid' => $this->holder['sid']];
            $this->changed();
        }
    }

    /** Logs the user out on all devices, here too. Returns how many sessions that were. */
    public function logoutEverywhere(): int
    {
        $count = self::number($this->client->ask('TOKEN.REVOKEALL', $this->requireUser()), 'count')
            ?? throw new Unavailable('the reply to TOKEN.REVOKEALL has no count');
        $this->logout();
        return $count;
    }

    /** Logs the user out on all other devices: after a new password, say. Returns how many. */
    public function endOthers(): int
    {
        $reply = $this->client->ask('TOKEN.REVOKEALL', $this->requireUser(), 'EXCEPT', $this->token, ...$this->bind);
        return self::number($reply, 'count') ?? throw NotAccepted::by($reply);
    }

    /**
     * The user's sessions, newest first, at most 100: `sid`, `current`, `created`, `modified`, `auth_time`, `expires_in`,
     * `absolute_in`, `generation`, and `data` with the fields that are named.
     *
     * @return list<array<string, mixed>>
     */
    public function devices(string ...$fields): array
    {
        $this->isPrivate = true;
        $this->changed();
        $list = $this->client->sessions('TOKEN.LIST', $this->requireUser(), ...($fields === [] ? [] : ['DATA', ...$fields]));
        return array_map(fn (array $one): array => ['current' => $one['sid'] === $this->sid()] + $one, $list);
    }

    /** Ends one of the user's own sessions. False if it is none of theirs, or has ended. */
    public function endDevice(string $sid): bool
    {
        if (preg_match('/\A[0-9a-f]{32}\z/', $sid) !== 1) {
            return false;
        }
        $reply = $this->client->ask('TOKEN.REVOKE', 'SID', $sid, 'SUBJECT', $this->requireUser());
        if ($reply['status'] === 'revoked' && $sid === $this->sid()) {
            $this->logout();
        }
        return $reply['status'] === 'revoked';
    }

    // Data: fields of text.

    public function get(string $field): ?string
    {
        return $this->all()[$field] ?? null;
    }

    /** @return array<string, string> all fields, as they were when the request came, and what was changed here since */
    public function all(): array
    {
        return $this->data ??= $this->ask('TOKEN.GET')['data'] ?? [];
    }

    /**
     * Stores fields; an empty value removes one. Other fields stay as they are, so no request loses what another stores. Of a
     * guest it makes a session: store what is worth one.
     *
     * @param array<string, string> $fields
     * @throws NotAccepted
     */
    public function set(array $fields): void
    {
        if ($fields !== []) {
            $this->accepted($this->ask('TOKEN.SET', ...self::words($fields)));
            $this->learn($fields);
        }
    }

    public function remove(string ...$fields): void
    {
        $this->set(array_fill_keys($fields, ''));
    }

    /**
     * Stores fields only where others are as they were read: false where they are not, and then `get` knows what they are.
     *
     * @param array<string, string> $if empty: there is no such field
     * @param array<string, string> $fields
     * @throws NotAccepted
     */
    public function setIf(array $if, array $fields): bool
    {
        $conditions = [];
        foreach ($if as $field => $value) {
            array_push($conditions, 'IF', (string) $field, $value);
        }
        $reply = $this->accepted($this->ask('TOKEN.SET', ...$conditions, ...self::words($fields)));
        $isSet = $reply['status'] !== 'conflict';
        $this->learn($isSet ? $fields : ($reply['data'] ?? throw new Unavailable('a conflict has no data'))
            + array_fill_keys(array_keys($if), ''));
        return $isSet;
    }

    /**
     * Adds to a number, 0 where there is none, and returns the sum. Counts each call once over all workers and hosts.
     *
     * @throws NotAccepted
     */
    public function increment(string $field, int $by = 1): int
    {
        $sum = self::number($this->accepted($this->ask('TOKEN.INCR', 'DATA', $field, (string) $by)), 'value')
            ?? throw new Unavailable('the reply to TOKEN.INCR has no value');
        $this->learn([$field => (string) $sum]);
        return $sum;
    }

    /** Gets a field and removes it: of any number of takers one gets it. For codes that are good once. */
    public function take(string $field): ?string
    {
        $value = $this->ask('TOKEN.GETDEL', 'DATA', $field)['data'][$field] ?? null;
        $this->learn([$field => '']);
        return $value;
    }

    /** A message for the page that is shown next; set it before the redirect. */
    public function flash(string $message, string $name = 'notice'): void
    {
        $this->set(["flash.$name" => $message]);
    }

    /** The message, once. A page without one costs no question. */
    public function takeFlash(string $name = 'notice'): ?string
    {
        return $this->get("flash.$name") === null ? null : $this->take("flash.$name");
    }

    // The response.

    /**
     * What the response must have: `Set-Cookie` where a reply brought a token, and `Cache-Control: no-store` beside it, and beside
     * forms. For frameworks without PSR-15; Session::start and Middleware do it by themselves.
     *
     * @return array<string, string>
     */
    public function headers(): array
    {
        return ($this->setCookie === null ? [] : ['Set-Cookie' => $this->setCookie])
            + ($this->setCookie === null && !$this->isPrivate ? [] : ['Cache-Control' => 'no-store']);
    }

    /** Where this request is to be sent once more, before it is served; null where it is to be served. */
    public function onceMore(): ?string
    {
        return $this->isPageOnly && !$this->request->isPost && $this->request->isNavigation() ? $this->request->onceMore() : null;
    }

    /**
     * Is told whenever headers() changed.
     *
     * @internal
     * @param callable(self): void $told
     */
    public function onHeaders(callable $told): void
    {
        $this->onHeaders = $told;
        $told($this);
    }

    /** Whether logout ended it in this request. */
    public function isEnded(): bool
    {
        return $this->isEnded;
    }

    /** @internal Asks for the data anew at the next reading. */
    public function forget(): void
    {
        $this->data = null;
    }

    /**
     * After a logout: a new guest. The browser's cookie goes with the session that was ended, so there is none to be careful with.
     *
     * @internal
     */
    public function beginAnew(): void
    {
        $guest = $this->ask('TOKEN.VISIT', 'CSRF', $this->settings->form, 'DATA');
        $this->become($guest);
        $this->data = $guest['data'] ?? null;
    }

    /** @return array<string, mixed> */
    private function ask(string $command, string ...$arguments): array
    {
        return $this->note($this->client->ask($command, $this->token, ...$this->bind, ...$arguments));
    }

    /**
     * @param array<string, mixed> $reply
     * @return array<string, mixed>
     */
    private function note(array $reply): array
    {
        if (isset($reply['sessiontoken'])) {
            if (preg_match('/\A[A-Za-z0-9._-]+\z/', self::text($reply, 'sessiontoken')) !== 1) {
                throw new Unavailable('the token of a reply is none');
            }
            $this->token = $reply['sessiontoken'];
            $this->setCookie = $this->settings->setCookie($this->token, self::number($reply, 'max_age'));
            $this->changed();
        }
        return $reply;
    }

    /**
     * @param array<string, mixed> $reply
     * @return array<string, mixed>
     */
    private function accepted(array $reply): array
    {
        return $reply['accepted'] === 1 ? $reply : throw NotAccepted::by($reply);
    }

    /** @param array<string, mixed> $reply */
    private function become(array $reply): void
    {
        $this->holder = self::whole($reply);
        $this->presented = $this->token;
        $this->isPageOnly = $this->isEnded = false;
    }

    /**
     * A reply that says who it is.
     *
     * @param array<string, mixed> $reply
     * @return array<string, mixed>
     */
    private static function whole(array $reply): array
    {
        return is_string($reply['sid'] ?? null) && is_string($reply['subject'] ?? null) && is_int($reply['auth_time'] ?? null)
            ? $reply : throw new Unavailable('a reply does not say who it is');
    }

    /** @param array<string, mixed> $reply */
    private static function text(array $reply, string $name): ?string
    {
        $text = $reply[$name] ?? null;
        return $text === null || is_string($text) ? $text : throw new Unavailable("the $name of a reply is no text");
    }

    /** @param array<string, mixed> $reply */
    private static function number(array $reply, string $name): ?int
    {
        $number = $reply[$name] ?? null;
        return $number === null || is_int($number) ? $number : throw new Unavailable("the $name of a reply is no number");
    }

    /** @param array<string, string> $fields as they are now */
    private function learn(array $fields): void
    {
        if ($this->data !== null) {
            $this->data = array_filter($fields + $this->data, static fn (string $value): bool => $value !== '');
        }
    }

    private function requireUser(): string
    {
        return $this->user() ?? throw new \LogicException('nobody is logged in: look at user() first');
    }

    private function changed(): void
    {
        if ($this->onHeaders !== null) {
            ($this->onHeaders)($this);
        }
    }

    /** @return list<string> */
    private static function option(string $name, string|int|null $value): array
    {
        return $value === null ? [] : [$name, (string) $value];
    }

    /**
     * @param array<string, string> $fields
     * @return list<string>
     */
    private static function words(array $fields): array
    {
        $words = $fields === [] ? [] : ['DATA'];
        foreach ($fields as $field => $value) {
            array_push($words, (string) $field, $value);
        }
        return $words;
    }
}
