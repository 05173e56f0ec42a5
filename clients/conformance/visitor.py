"""A person before the site: knows who they are, what is in their cart, and counts whatever the site gets wrong."""
import base64
import collections
import contextlib
import json
import re
import threading
import time

from browser import Browser, Jar, Lost

# How long an answer of "nobody knows" is met with patience.
PATIENCE_SECONDS = 30
MOST_FORMS = 5


class Counts:
    """What a site is judged by; `broken` are rules that were broken, in words."""

    def __init__(self):
        self.lock, self.numbers, self.broken = threading.Lock(), collections.Counter(), collections.Counter()
        self.examples = {}

    def add(self, what, example=""):
        with self.lock:
            self.numbers[what] += 1
            self.examples.setdefault(what, str(example))

    def rule(self, holds, text, example=""):
        """A rule of the site; returns whether it holds."""
        if not holds:
            with self.lock:
                self.broken[text] += 1
                self.examples.setdefault(text, str(example))
        return holds

    @property
    def passed(self):
        numbers = self.numbers
        return not (self.broken or any(numbers[name] for name in ("logged out", "wrong identity", "lost data", "5xx", "cacheable")))


class Fate(Exception):
    """No definite answer within patience; the scenario ends."""


def sid_of(token):
    """The sid in a token: of a session its first 32 digits, of a guest the claim jti."""
    if re.fullmatch("[0-9a-f]{128}", token):
        return token[:32]
    with contextlib.suppress(ValueError, IndexError):
        return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["jti"]
    return None


def together(*actions):
    """Each in a thread; returns what they returned, raises what one of them raised."""
    results, failures = [None] * len(actions), []

    def run(index, action):
        try:
            results[index] = action()
        except Exception as failure:
            failures.append(failure)
    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results


class Visitor:
    """One browser with its person. `expect` says who the site may greet from now on; requests under way may still be greeted
    as before."""

    def __init__(self, world, random, jar=None, modern=True):
        self.world, self.counts, self.random = world, world.counts, random
        self.browser = Browser(world.base, self.watch, "tc", jar or Jar(), modern)
        self.allowed = [(0.0, frozenset([None]))]
        self.items, self.count_least, self.count_most = set(), 0, 0
        # When a login's answer reached the jar, with the token it was sent with; and the last cookie that was stored.
        self.logins, self.written = [], None
        self.user = None

    # What is true of every answer

    def watch(self, browser, answer):
        counts = self.counts
        counts.add("requests")
        cookies = answer.set_cookies
        if answer.status == 503:
            counts.add("503")
            counts.rule(answer.headers.get("Retry-After"), "503 has Retry-After", answer)
            counts.rule(not any(is_removal(cookie) for cookie in cookies), "503 takes no cookie away", answer)
            counts.rule(not self.world.was_calm(answer.sent), "503 only while nobody knows", answer)
        elif answer.status >= 500:
            counts.add("5xx", answer)
        if cookies and "no-store" not in (answer.headers.get("Cache-Control") or "").lower():
            counts.add("cacheable", answer)
        ours = [cookie for cookie in cookies if cookie.partition("=")[0].strip() == "tc"]
        counts.rule(len(ours) <= 1, "one cookie at most", answer)
        for cookie in ours:
            words = {word.strip().lower().partition("=")[0]: word.strip().lower() for word in cookie.split(";")[1:]}
            counts.rule("httponly" in words and words.get("path") == "path=/" and words.get("samesite") == "samesite=lax"
                        and "domain" not in words, "the cookie is HttpOnly, SameSite=Lax, Path=/, and of this host alone", cookie)
            value = cookie.partition(";")[0].partition("=")[2]
            if not is_removal(cookie):
                counts.rule(sid_of(value), "the cookie is a token", cookie)
                counts.rule(value not in answer.text, "no session token in a page", answer)
            self.written = (answer, time.monotonic(), value)
            if answer.address.endswith("/login") and answer.method == "POST" and answer.status == 303:
                self.logins.append((time.monotonic(), answer.sent_token, value))
        if answer.sent_token and not answer.sent_token.startswith("eyJ"):
            counts.rule(answer.sent_token not in answer.text, "no session token in a page", answer)

    def overtaken(self):
        """Whether the cookie in the jar is of an answer that a login's answer overtook, or that took as long as a token lives:
        then no site could have kept this person logged in."""
        if self.written is None:
            return False
        answer, stored, value = self.written
        for arrived, token, new in self.logins:
            if answer.sent < arrived < stored and value != new and sid_of(value) == sid_of(token):
                return True
        return stored - answer.sent > 0.8 * self.world.rotation_seconds

    # Who is greeted

    def expect(self, *names):
        self.allowed.append((time.monotonic(), frozenset(names)))

    def may_be(self, since):
        """Who may have been greeted from then on."""
        starts = [start for start, _ in self.allowed] + [float("inf")]
        return frozenset().union(*(names for (_, names), end in zip(self.allowed, starts[1:]) if end > since))

    def judge(self, name, answer):
        """Returns whether that is who the person is."""
        allowed = self.may_be(answer.hops[-1].sent if answer.hops else answer.sent)
        if name in allowed:
            return True
        if name is not None:
            self.counts.add("wrong identity", f"{name} instead of {set(allowed)}: {answer}")
        elif self.overtaken():
            self.counts.add("excused", answer)
        else:
            self.counts.add("logged out", f"expected {set(allowed)}, after {self.written and self.written[0]}: {answer}")
        return False

    def forget(self):
        """What was known of a session that is gone."""
        self.items, self.count_least, self.count_most, self.user = set(), 0, 0, None
        self.expect(None)

    # Requests

    def ask(self, method, path, form=None, navigate=True, **options):
        """An answer that is none of 503. `retried` says that an earlier one may have been carried out."""
        retried, deadline = False, time.monotonic() + PATIENCE_SECONDS
        while True:
            started = time.monotonic()
            try:
                answer = (self.browser.open(path, method, form, **options) if navigate
                          else self.browser.send(method, path, form, **options))
                if answer.status != 503:
                    answer.retried = retried
                    return answer
            except Lost as lost:
                self.counts.rule(not self.world.was_calm(started), "every request is answered", lost)
            retried = True
            if time.monotonic() > deadline:
                self.counts.rule(False, f"an answer within {PATIENCE_SECONDS} s", f"{method} {path}")
                raise Fate(path)
            time.sleep(0.1)

    def lose(self, method, path, form=None, after=0.05, **options):
        """A request whose answer never comes."""
        with contextlib.suppress(Lost):
            self.browser.send(method, path, form, lose=after, **options)
        self.counts.add("requests")

    def look(self, **options):
        """The first page: who does it greet?"""
        answer = self.ask("GET", "/", **options)
        if not self.counts.rule(answer.status == 200, "GET / is a page", answer):
            raise Fate("/")
        if not self.judge(answer.name, answer) and answer.name is None:
            self.heal()
        return answer

    def heal(self):
        """Logged out by a fault of the site or of the network: it was counted, life goes on."""
        user = self.user
        self.forget()
        if user:
            self.log_in(user)

    def me(self):
        """The API: who am I? A refusal is tried again once, with the cookie that came meanwhile."""
        for _ in range(2):
            answer = self.ask("GET", "/api/me", navigate=False, mode="cors")
            self.counts.rule(answer.status in (200, 401), "GET /api/me is 200 or 401", answer)
            self.counts.rule("no-store" in (answer.headers.get("Cache-Control") or ""), "/api/me is stored by nobody", answer)
            value = json_of(answer)
            if answer.status == 200 or None in self.may_be(answer.sent):
                break
        name = value.get("user") if isinstance(value, dict) else None
        self.counts.rule((answer.status == 200) == (name is not None), "/api/me: 401 exactly for nobody", answer)
        if not self.judge(name, answer) and name is None:
            self.heal()
        return value.get("sid") if isinstance(value, dict) else None

    def csrf(self, path="/login"):
        """The token of a form, and its page."""
        page = self.ask("GET", path)
        if not self.counts.rule(page.status == 200 and page.page.csrf, f"GET {path} has a form with csrf", page):
            raise Fate(path)
        return page.page.csrf, page

    def submit(self, path, form, csrf=None, **options):
        """Sends a form, and again as long as it is shown again. The answer to the POST itself that was not."""
        retried = False
        for attempt in range(MOST_FORMS):
            token = csrf if csrf is not None and attempt == 0 else self.csrf()[0]
            answer = self.ask("POST", path, {**form, "csrf": token}, navigate=False, **options)
            # A try whose answer was lost may be what the form was shown again for.
            retried = answer.retried = answer.retried or retried
            if not is_form_again(answer):
                return answer
            self.counts.add("forms again", answer)
            options.pop("seconds", None)
        self.counts.rule(False, f"POST {path} comes to pass within {MOST_FORMS} times", answer)
        raise Fate(path)

    # What people do

    def log_in(self, name, remember=False, csrf=None, **options):
        """Returns the answer to the POST."""
        before = self.may_be(time.monotonic())
        self.expect(name, *before)
        begun = time.monotonic()
        answer = self.submit("/login", {"user": name, **({"remember": "on"} if remember else {})}, csrf, **options)
        if answer.retried and self.items and time.monotonic() - begun > self.world.overlap_seconds:
            # The first try was carried out, perhaps, and its answer lost for longer than a login can be repeated: what the
            # guest had is in a session that nobody holds.
            self.counts.add("excused", answer)
            self.items = set()
        self.counts.rule(answer.status == 303, "a login that passes is 303", answer)
        self.user = name
        self.expect(name)
        return answer

    def log_out(self, path="/logout"):
        self.expect(self.user, None)
        self.counts.rule(self.submit(path, {}).status == 303, f"POST {path} is 303", path)
        self.forget()

    def add(self, item, csrf=None, **options):
        """Puts something into the cart: from then on it has to be there."""
        answer = self.submit("/cart", {"item": item}, csrf, **options)
        if self.counts.rule(answer.status in (200, 201, 204, 303), "POST /cart that passes is JSON or 303", answer):
            self.items.add(item)

    def cart(self):
        """Looks whether all is there, and nothing else."""
        answer = self.ask("GET", "/cart")
        items = json_of(answer)
        if not self.counts.rule(isinstance(items, list), "GET /cart is a JSON array", answer):
            return
        missing = self.items - set(items)
        if missing and not self.overtaken():
            self.counts.add("lost data", f"{sorted(missing)} are not in {answer}")
        strange = {item for item in items if not str(item).startswith(self.prefix)}
        if strange:
            self.counts.add("wrong identity", f"somebody else's {sorted(strange)}: {answer}")

    @property
    def prefix(self):
        """Begins every item of this person; of guests and of who they log in as alike."""
        return f"{self.owner}-"

    owner = "nobody"

    def count(self):
        """Counts one, and returns the number."""
        self.count_most += 1
        answer = self.ask("POST", "/api/count", navigate=False, mode="cors")
        if answer.status == 401:
            answer = self.ask("POST", "/api/count", navigate=False, mode="cors")
        value = json_of(answer)
        if answer.status != 200 or not isinstance(value, dict):
            self.counts.rule(self.overtaken(), "POST /api/count counts for who is logged in", answer)
            return None
        if answer.retried:
            self.count_most += PATIENCE_SECONDS * 10
        self.count_least += 1
        return value["count"]


def is_removal(cookie):
    value = cookie.partition(";")[0].partition("=")[2].strip()
    return value in ("", "deleted", '""') or bool(re.search(r";\s*max-age=(0|-\d+)\s*(;|$)", cookie, re.I))


def is_form_again(answer):
    """A form that did not pass: the page is shown again, with a new csrf."""
    return answer.status in (200, 403, 409, 422) and answer.page.csrf is not None


def json_of(answer):
    try:
        return json.loads(answer.text)
    except ValueError:
        return None
