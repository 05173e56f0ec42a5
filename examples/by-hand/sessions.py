#!/usr/bin/python3
"""A site with a login without a package: every rule for workers by hand, over somebody else's Redis client. For languages that
have no package, to read; a site in Python takes clients/python, as ../python/small_site.py does.

    python3 examples/by-hand/sessions.py [PORT]     then http://localhost:8000: ann, password apple

Needs the redis library, Debian's python3-redis or the newest of PyPI. One Sessions object per worker process or thread: it
keeps one connection.
"""
import base64
import html
import os
import re
import sys
import urllib.parse
import wsgiref.simple_server

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

SESSION_TOKEN = re.compile("[0-9a-fA-F]{128}")
GUEST_SID = re.compile(rb'{"jti":"([0-9a-f]{32})"')
# One form name serves the whole site.
FORM = "site"
# Of a page that was sent to itself.
MARK = "again=1"
MOST_BODY = 16384
MOST_NOTE = 200


class Unavailable(Exception):
    """Nobody knows the answer: keep the visitor's cookie, answer 503."""


class Sessions:
    def __init__(self, path, timeout=2.0):
        # The time-out is longer than the daemon's redis.timeout. No retries of the library's own: a command that is
        # sent again is a second command. A relative path would depend on the folder that the worker was started in.
        self.redis = redis.Redis(
            unix_socket_path=os.path.abspath(path), socket_timeout=timeout, retry=Retry(NoBackoff(), 0))

    def ask(self, *command):
        try:
            return fields_of(self.redis.execute_command(*command))
        except BaseException as error:
            # After any exception, be it a worker's own time limit: a late reply must not answer the next question.
            self.redis.connection_pool.disconnect()
            if isinstance(error, Exception):
                raise Unavailable(f"{type(error).__name__}: {error}") from error
            raise

    def ask_about(self, command, token, *arguments):
        """As ask. A reply about an accepted token names its session; otherwise it answers somebody else's question."""
        fields = self.ask(command, token, *arguments)
        if fields["accepted"] == 1 and sid_of(token) not in (None, fields["sid"]):
            self.redis.connection_pool.disconnect()
            raise Unavailable("the reply is about another session")
        return fields


def fields_of(reply):
    """The fields of a reply: a dict in RESP3, which newer libraries choose, and [name, value, …] in RESP2."""
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {text(name): fields_of(value) if text(name) == "data" else text(value) for name, value in pairs}


def text(value):
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def sid_of(token):
    """The sid that stands in a token: of a session the first 32 digits, of a guest the claim jti."""
    if SESSION_TOKEN.fullmatch(token):
        return token[:32].lower()
    parts = token.split(".")
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "==") if len(parts) == 3 else b""
    except ValueError:
        return None
    found = GUEST_SID.match(claims)
    return found[1].decode() if found else None


class Cookie:
    """The whole cookie, written from a reply. `development` is for http://localhost, where not all browsers take a cookie
    that is for HTTPS; never for a site that others use."""

    def __init__(self, development=False):
        self.name = "tc" if development else "__Host-tc"
        self.attributes = "; Path=/" + ("" if development else "; Secure") + "; HttpOnly; SameSite=Lax"

    def token(self, header):
        pairs = (pair.strip().partition("=") for pair in header.split(";"))
        return next((value for name, _, value in pairs if name == self.name), "")

    def of(self, fields):
        """Set-Cookie, or None where the cookie stays as it is: whenever sessiontoken is in a reply, and only then."""
        if "sessiontoken" not in fields:
            return None
        age = f"; Max-Age={fields['max_age']}" if "max_age" in fields else ""
        return f"{self.name}={fields['sessiontoken']}{age}{self.attributes}"

    def removal(self):
        return f"{self.name}=; Max-Age=0{self.attributes}"


class Visitor:
    """Whoever sent a request. Two rules keep themselves: each command takes the newest token that is known, and the response,
    whatever it will be, has the cookie of the last reply with a token."""

    def __init__(self, sessions, cookie, header):
        self.sessions, self.cookie = sessions, cookie
        self.token, self.set_cookie = cookie.token(header), None

    def visit(self, *options):
        return self.note(self.sessions.ask_about("TOKEN.VISIT", self.token, *options))

    def ask(self, command, *arguments):
        return self.note(self.sessions.ask(command, self.token, *arguments))

    def note(self, fields):
        if "sessiontoken" in fields:
            self.token, self.set_cookie = fields["sessiontoken"], self.cookie.of(fields)
        return fields


def check_password(name, password):
    return name if (name, password) == ("ann", "apple") else None


class Site:
    def __init__(self, sessions, cookie, check_password=check_password):
        self.sessions, self.cookie, self.check_password = sessions, cookie, check_password

    def __call__(self, environ, start_response):
        visitor = Visitor(self.sessions, self.cookie, environ.get("HTTP_COOKIE", ""))
        try:
            status, headers, body = self.answer(environ, visitor)
        except Unavailable as error:
            print(f"503 Service Unavailable: {error}", file=environ["wsgi.errors"])
            status, headers, body = "503 Service Unavailable", [("Retry-After", "1")], "try again"
        # On the 503 as well: a later fault takes back no token that was given.
        if visitor.set_cookie:
            headers = [*headers, ("Set-Cookie", visitor.set_cookie)]
        # Beside every token, and every page that a form of this visitor is in.
        start_response(status, [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store"), *headers])
        return [body.encode()]

    def answer(self, environ, visitor):
        path = environ.get("PATH_INFO", "/")
        is_post = environ["REQUEST_METHOD"] not in ("GET", "HEAD")
        site, mode = environ.get("HTTP_SEC_FETCH_SITE"), environ.get("HTTP_SEC_FETCH_MODE")
        form = form_of(environ) if is_post else {}
        # One question a page: who is it, is the form that came genuine, and a token for the form that goes.
        visit = visitor.visit(
            *(["CHECK", form.get("csrf", ""), FORM] if is_post else []), *(["FETCH-SITE", site] if site else []),
            *(["FETCH-MODE", mode] if mode else []), *(["POST"] if is_post else []), "CSRF", FORM, "DATA", "note")
        # The browser has a newer token than the one it sent, or is about to: let it come again, once.
        page_only = visit["accepted"] == 0 and "sessiontoken" not in visit
        again = once_more(environ.get("QUERY_STRING", ""))
        if page_only and not is_post and mode in (None, "navigate") and again:
            return redirect(again)
        # Logged in means accepted, and a subject.
        subject = visit["subject"] if visit["accepted"] == 1 else ""
        if is_post and path == "/login":
            # The second click of two: whatever became of its form.
            if subject:
                return redirect("/")
            # failed, expired, outdated: nothing is carried out, and the form is shown again, as it was filled.
            name = visit["check"] == "passed" and self.check_password(form.get("name"), form.get("password"))
            if not name:
                return page(visit, subject, form)
            visitor.ask("TOKEN.LOGIN", name)
            return redirect("/")
        if is_post and path == "/note" and subject:
            note = form.get("note", "")
            # A session that ended meanwhile stores nothing.
            stored = visit["check"] == "passed" and len(note) <= MOST_NOTE and visitor.ask("TOKEN.SET", "DATA", "note", note)
            return redirect("/") if stored and stored["accepted"] == 1 else page(visit, subject, form)
        if is_post and path == "/logout" and visit["check"] == "passed":
            # A token from before a login ends nothing (`replayed`), and the cookie stays.
            if visitor.ask("TOKEN.REVOKE")["status"] == "revoked":
                visitor.set_cookie = self.cookie.removal()
            return redirect("/")
        return page(visit, subject, form)


def page(visit, subject, form):
    """The forms are filled as they came."""
    csrf = f'<input type="hidden" name="csrf" value="{visit["csrf"]}">'
    value = {name: html.escape(value) for name, value in {**visit.get("data", {}), **form}.items()}
    if subject:
        forms = (f'<form method="post" action="/note">{csrf}<input name="note" value="{value.get("note", "")}">'
                 f'<button>Keep</button></form><form method="post" action="/logout">{csrf}<button>Log out</button></form>')
    else:
        forms = (f'<form method="post" action="/login">{csrf}<input name="name" value="{value.get("name", "")}">'
                 '<input name="password" type="password"><button>Log in</button></form>')
    notice = "Please send it again." if form else ""
    body = f"<!doctype html><title>Sessions</title><p>{notice} Hello, <b>{html.escape(subject or 'guest')}</b>.</p>{forms}"
    return "200 OK", [], body


def redirect(address):
    return "303 See Other", [("Location", address)], ""


def once_more(query):
    """The address of the page itself: its query, and the mark as a parameter of its own. Whatever the path is, it stays. None
    where the mark is there: once is enough. A page leaves the mark out of its own links."""
    if MARK in query.split("&"):
        return None
    return f"?{query}&{MARK}" if query else f"?{MARK}"


def form_of(environ):
    length = min(int(environ.get("CONTENT_LENGTH") or 0), MOST_BODY)
    pairs = urllib.parse.parse_qsl(environ["wsgi.input"].read(length).decode("utf-8", "replace"), keep_blank_values=True)
    return dict(pairs)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    path = os.environ.get("TOKENCACHED_SOCKET", "/run/tokencached/tokencached.sock")
    with wsgiref.simple_server.make_server("localhost", port, Site(Sessions(path), Cookie(development=True))) as server:
        server.serve_forever()
