"""A scripted browser: a cookie jar with the rules of RFC 6265bis, Sec-Fetch-* and Origin headers, tabs that share the jar."""
import email.utils
import html.parser
import http.client
import re
import socket
import threading
import time
import urllib.parse

MOST_AGE = 400 * 86400
MOST_REDIRECTS = 8
REQUEST_SECONDS = 30
LOCAL = ("127.0.0.1", "localhost", "[::1]")


class Cookie:
    def __init__(self, name, value):
        self.name, self.value = name, value
        self.domain, self.host_only, self.path = "", True, "/"
        self.secure = self.http_only = False
        self.same_site, self.expires = "lax", None

    @property
    def persists(self):
        return self.expires is not None


class Jar:
    """`secure_on_localhost`: whether http://localhost may set and get cookies that are for HTTPS, as most browsers have it,
    and not all."""

    def __init__(self, secure_on_localhost=False, clock=time.time):
        self.secure_on_localhost, self.clock = secure_on_localhost, clock
        self.cookies, self.lock = {}, threading.RLock()

    def store(self, address, header):
        """One Set-Cookie of a response from this address. Returns the cookie as it is kept, None where it is refused."""
        url = urllib.parse.urlsplit(address)
        pair, *attributes = header.split(";")
        name, equals, value = pair.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name or any(ord(c) < 32 for c in header):
            return None
        cookie = Cookie(name, value)
        cookie.domain, cookie.path = url.hostname, default_path(url.path)
        same_site, max_age, expires = "lax", None, None
        for attribute in attributes:
            key, _, text = attribute.partition("=")
            key, text = key.strip().lower(), text.strip()
            if key == "max-age" and re.fullmatch(r"-?\d+", text):
                max_age = int(text)
            elif key == "expires":
                try:
                    expires = email.utils.parsedate_to_datetime(text).timestamp()
                except (TypeError, ValueError):
                    pass
            elif key == "domain" and text:
                domain = text.lstrip(".").lower()
                if not domain_matches(url.hostname, domain) or "." not in domain:
                    return None
                cookie.domain, cookie.host_only = domain, domain == url.hostname and is_address(domain)
            elif key == "path" and text.startswith("/"):
                cookie.path = text
            elif key == "secure":
                cookie.secure = True
            elif key == "httponly":
                cookie.http_only = True
            elif key == "samesite" and text.lower() in ("lax", "strict", "none"):
                same_site = text.lower()
        cookie.same_site = same_site
        now = self.clock()
        if max_age is not None:
            cookie.expires = now + min(max_age, MOST_AGE) if max_age > 0 else 0
        elif expires is not None:
            cookie.expires = min(expires, now + MOST_AGE)
        if cookie.secure and not self.is_secure(url):
            return None
        if same_site == "none" and not cookie.secure:
            return None
        prefix = name.lower()
        if prefix.startswith("__secure-") and not cookie.secure:
            return None
        has_path = any(a.partition("=")[0].strip().lower() == "path" for a in attributes)
        if prefix.startswith("__host-") and not (cookie.secure and cookie.host_only and has_path and cookie.path == "/"):
            return None
        with self.lock:
            if not cookie.secure and not self.is_secure(url) and any(
                    other.secure and other.name == name and domain_matches(other.domain, cookie.domain)
                    for other in self.cookies.values()):
                return None
            key = (cookie.name, cookie.domain, cookie.path)
            if cookie.persists and cookie.expires <= now:
                self.cookies.pop(key, None)
            else:
                self.cookies[key] = cookie
        return cookie

    def header(self, address, method="GET", cross_site=False, top_level=True):
        """The Cookie header of a request. Of another site's request only a top-level GET brings Lax cookies."""
        url = urllib.parse.urlsplit(address)
        with self.lock:
            now = self.clock()
            self.cookies = {k: c for k, c in self.cookies.items() if not c.persists or c.expires > now}
            chosen = [
                c for c in self.cookies.values()
                if (url.hostname == c.domain if c.host_only else domain_matches(url.hostname, c.domain))
                and path_matches(url.path or "/", c.path)
                and (not c.secure or self.is_secure(url))
                and (not cross_site or c.same_site == "none"
                     or c.same_site == "lax" and top_level and method in ("GET", "HEAD"))]
        chosen.sort(key=lambda c: -len(c.path))
        return "; ".join(f"{c.name}={c.value}" for c in chosen)

    def value(self, name):
        with self.lock:
            return next((c.value for c in self.cookies.values() if c.name == name), "")

    def is_secure(self, url):
        return url.scheme == "https" or self.secure_on_localhost and url.hostname in LOCAL

    def close_browser(self):
        """Session cookies do not outlive it."""
        with self.lock:
            self.cookies = {k: c for k, c in self.cookies.items() if c.persists}

    def forget(self):
        with self.lock:
            self.cookies = {}


def default_path(path):
    return path.rpartition("/")[0] or "/" if path.startswith("/") else "/"


def path_matches(path, of_cookie):
    return path == of_cookie or path.startswith(of_cookie if of_cookie.endswith("/") else of_cookie + "/")


def is_address(host):
    return bool(re.fullmatch(r"[\d.]+|.*:.*", host))


def domain_matches(host, domain):
    return host == domain or not is_address(host) and host.endswith("." + domain)


class Page(html.parser.HTMLParser):
    """What of a page a form needs: the fields by name, and a captcha's revealed solution."""

    def __init__(self, text):
        super().__init__()
        self.fields, self.solution = {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if attributes.get("name") and "value" in attributes:
            self.fields.setdefault(attributes["name"], attributes["value"] or "")
        self.solution = attributes.get("data-solution", self.solution)

    @property
    def csrf(self):
        return self.fields.get("csrf")


class Answer:
    def __init__(self, address, method, sent_token, sent, status, headers, body):
        self.address, self.method, self.sent_token, self.sent = address, method, sent_token, sent
        self.status, self.headers, self.text = status, headers, body.decode("utf-8", "replace")
        self.body, self.arrived = body, time.monotonic()
        self.set_cookies = headers.get_all("Set-Cookie") or []
        self.hops = []

    @property
    def location(self):
        return self.headers.get("Location")

    @property
    def page(self):
        return Page(self.text)

    @property
    def name(self):
        """Who the page greets; None for a guest. Raises where it greets nobody."""
        found = re.search(r"user: ([A-Za-z0-9_-]+)", self.text)
        if found:
            return found[1]
        if "guest" in self.text:
            return None
        raise ValueError(f"{self.address} is a page that says neither 'user: NAME' nor 'guest': {self.text[:200]!r}")

    def __str__(self):
        return f"{self.method} {self.address} -> {self.status}, Set-Cookie {self.set_cookies}: {self.text[:300]!r}"


class Lost(Exception):
    """The connection ended before the answer came, or the browser cut it."""


class Browser:
    """A browser before one site. `watch` is told of every answer before its cookies are stored; tabs are threads that call
    `send` and `open` at the same time. `modern`: it sends Sec-Fetch-* headers."""

    def __init__(self, base, watch, cookie_name, jar=None, modern=True):
        self.base, self.watch, self.cookie_name, self.modern = base, watch, cookie_name, modern
        self.jar = jar if jar is not None else Jar()
        url = urllib.parse.urlsplit(base)
        self.host, self.port = url.hostname, url.port

    @property
    def token(self):
        return self.jar.value(self.cookie_name)

    def send(self, method, path, form=None, *, mode="navigate", initiator=None, seconds=0.0, delay=0.0, lose=None,
             headers=(), sent_as=None):
        """One request, without following redirects. `initiator` is the origin of another site's page that makes it, None for
        our own; `seconds` is how long the body takes to go; `delay` how long the answer is under way before the jar has its
        cookies; `lose` the seconds after which the connection is cut instead of waiting for an answer."""
        address = urllib.parse.urljoin(self.base, path)
        cross = initiator is not None
        body = urllib.parse.urlencode(form).encode() if form is not None else b""
        with self.jar.lock:
            cookie = self.jar.header(address, method, cross, mode == "navigate") if sent_as is None else sent_as
            token = self.token if cookie and sent_as is None else ""
            sent = time.monotonic()
        fields = [("Host", f"{self.host}:{self.port}"), ("Connection", "close"),
                  ("Accept", "text/html,*/*" if mode == "navigate" else "*/*")]
        # An address that was typed, or a page of ours.
        site = "cross-site" if cross else "none" if (method, path, mode) == ("GET", "/", "navigate") else "same-origin"
        if self.modern:
            fields += [("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode),
                       ("Sec-Fetch-Dest", {"navigate": "document", "no-cors": "image"}.get(mode, "empty"))]
        if method not in ("GET", "HEAD") or mode == "cors" and cross:
            fields.append(("Origin", initiator or self.base))
        if cookie:
            fields.append(("Cookie", cookie))
        if form is not None:
            fields.append(("Content-Type", "application/x-www-form-urlencoded"))
        if method == "POST":
            fields.append(("Content-Length", str(len(body))))
        fields += headers
        target = urllib.parse.urlsplit(address)
        connection = http.client.HTTPConnection(self.host, self.port, timeout=REQUEST_SECONDS)
        try:
            connection.putrequest(method, urllib.parse.urlunsplit(("", "", target.path or "/", target.query, "")),
                                  skip_host=True, skip_accept_encoding=True)
            for name, value in fields:
                connection.putheader(name, value)
            connection.endheaders()
            self._upload(connection, body, seconds)
            if lose is not None:
                time.sleep(lose)
                raise Lost("cut by the browser")
            response = connection.getresponse()
            answer = Answer(address, method, token, sent, response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException) as error:
            raise Lost(f"{method} {path}: {type(error).__name__} {error}") from error
        finally:
            connection.close()
        if delay:
            time.sleep(delay)
        with self.jar.lock:
            self.watch(self, answer)
            if sent_as is None:
                for header in answer.set_cookies:
                    self.jar.store(address, header)
        return answer

    @staticmethod
    def _upload(connection, body, seconds):
        pieces = 10 if seconds and body else 1
        size = -(-len(body) // pieces) or 1
        for start in range(0, len(body), size):
            connection.send(body[start:start + size])
            if seconds:
                time.sleep(seconds / pieces)

    def open(self, path, method="GET", form=None, **options):
        """A navigation: follows redirects, each with the cookies that the jar has by then."""
        hops = []
        for _ in range(MOST_REDIRECTS):
            answer = self.send(method, path, form, mode="navigate", **options)
            hops.append(answer)
            answer.hops = hops
            if answer.status not in (301, 302, 303, 307, 308) or not answer.location:
                return answer
            path = urllib.parse.urljoin(answer.address, answer.location)
            if answer.status in (301, 302, 303):
                method, form = "GET", None
            options.pop("seconds", None)
        raise ValueError(f"{path}: more than {MOST_REDIRECTS} redirects")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
