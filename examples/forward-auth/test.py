#!/usr/bin/python3
"""Runs the recipes of docs/forward-auth.md on the real programs, and attacks each of them.

    test.py --programs .build/release [--proxies nginx,caddy,haproxy,apache,traefik,envoy]

Traefik and Envoy, which Debian does not have, are looked for in the folder that --elsewhere names.

The site behind is an echo: it tells what of the request reached it. So what a client sent under the daemon's names, and what
a visitor without a token is shown, is seen at once.
"""
import argparse
import base64
import collections
import contextlib
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent / "testing"))
import stage as staging  # noqa: E402

COOKIE = "__Host-tc"
ROTATION_SECONDS = 1.0
# Its files, what the program needs to be told, and what the rule does with who is not let in: nginx turns a redirect of the
# daemon's into an error, so it is given the address in a field.
PROXIES = {
    "nginx": (["nginx.conf"], lambda path: ["nginx", "-c", path, "-p", str(pathlib.Path(path).parent)], "header"),
    "caddy": (["Caddyfile"], lambda path: ["caddy", "run", "--config", path, "--adapter", "caddyfile"], "redirect"),
    "haproxy": (["haproxy.cfg"], lambda path: ["haproxy", "-db", "-f", path], "redirect"),
    "apache": (["apache.conf"], lambda path: ["/usr/sbin/apache2", "-D", "FOREGROUND", "-f", path], "redirect"),
    "traefik": (["traefik.yaml", "traefik-site.yaml"], lambda path: ["traefik", f"--configFile={path}"], "redirect"),
    "envoy": (["envoy.yaml"], lambda path: ["envoy", "--disable-hot-restart", "--concurrency", "2", "-c", path], "redirect"),
}
# What the manual warns of: `return` comes before `auth_request`.
TRAP = 'location = /trap { auth_request /_auth; return 200 "{}"; }'
# Every page is no-store: they cannot say it of those with a cookie alone.
UNSTORED = ("traefik", "envoy")
# What the site reads of who it is: of the daemon, and of the rule's own names.
NAMES = {"sid": "x-auth-sid", "subject": "x-auth-subject", "time": "x-auth-time", "user": "remote-user"}
Answer = collections.namedtuple("Answer", "status fields body")


def accept_of(key):
    """What a server answers to a WebSocket's key (RFC 6455, 4.2.2)."""
    return base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()


def write_frame(write, text, mask=b""):
    """One of text; a client's has a mask (RFC 6455, 5.2)."""
    data, masked = text.encode(), 0x80 if mask else 0
    length = struct.pack(">B", masked | len(data)) if len(data) < 126 else struct.pack(">BH", masked | 126, len(data))
    write(b"\x81" + length + mask + unmasked(data, mask or bytes(4)))


def read_frame(read):
    kind, length = read(2)
    mask, length = length & 0x80, length & 0x7F
    if length == 126:
        length, = struct.unpack(">H", read(2))
    key = read(4) if mask else bytes(4)
    require(kind == 0x81, "a frame of text", kind)
    return unmasked(read(length), key).decode()


def unmasked(data, mask):
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))


class Site(http.server.BaseHTTPRequestHandler):
    """The site: says what reached it, and would have its pages cached by everybody; of /silent it says nothing. As a WebSocket it
    says so in the first frame, and then returns each in capitals."""
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen = json.dumps({"path": self.path, "method": self.command, "upgrade": self.headers.get_all("Upgrade") or []} | {
            # As CGI, FastCGI and WSGI name them: an underscore is a dash.
            name: [value for field, value in self.headers.items() if field.lower().replace("_", "-") == read]
            for name, read in NAMES.items()}).encode()
        if self.headers.get("Upgrade") == "websocket" and self.headers.get("Sec-WebSocket-Version") == "13":
            return self.converse(seen.decode())
        self.send_response(500 if self.path.endswith("/broken") else 200)
        if not self.path.endswith("/silent"):
            self.send_header("Cache-Control", "public, max-age=600")
        self.send_header("X-Reached", self.path)
        self.send_header("Content-Length", str(len(seen)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(seen)

    def converse(self, seen):
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept_of(self.headers["Sec-WebSocket-Key"]))
        self.end_headers()
        self.close_connection = True
        write_frame(self.wfile.write, seen)
        while self.rfile.peek(1)[:1] == b"\x81":
            write_frame(self.wfile.write, read_frame(self.rfile.read).upper())

    do_GET = do_POST = do_PUT = do_HEAD = do_OPTIONS = do_DELETE = do_PATCH = answer

    def log_message(self, *_):
        pass


class SiteServer(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A proxy that lets go of a connection is nothing to tell."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def ask(port, path="/page", method="GET", token=None, fields=(), body=None):
    """One request on a connection of its own; fields may come twice."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest(method, path, skip_host="Host" in dict(fields), skip_accept_encoding=True)
    for name, value in fields:
        connection.putheader(name, value)
    if token:
        connection.putheader("Cookie", f"{COOKIE}={token}")
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return Answer(answer.status, answer.headers, json.loads(text) if text.startswith(b"{") else None)


Opened = collections.namedtuple("Opened", "status fields body said")


def open_socket(port, token=None, fields=(), origin="same", path="/ws"):
    """A handshake as a browser makes it, and where it comes to be, a frame each way; `body` is what reached the site."""
    key = base64.b64encode(os.urandom(16)).decode()
    handshake = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", key)]
    origin = f"http://127.0.0.1:{port}" if origin == "same" else origin
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.putrequest("GET", path, skip_accept_encoding=True)
        for name, value in handshake + [("Origin", origin)] * bool(origin) + list(fields):
            connection.putheader(name, value)
        if token:
            connection.putheader("Cookie", f"{COOKIE}={token}")
        connection.endheaders()
        sent, answer = connection.sock, connection.getresponse()
        if answer.status != 101:
            return Opened(answer.status, answer.headers, None, None)
        require(answer.headers["Sec-WebSocket-Accept"] == accept_of(key), "the site's answer to the key", answer.headers)
        seen = json.loads(read_frame(answer.fp.read))
        write_frame(sent.sendall, "good day", mask=os.urandom(4))
        return Opened(101, answer.headers, seen, read_frame(answer.fp.read))


def is_opened(opened):
    return opened.status == 101 and opened.said == "GOOD DAY"


def require(truth, what, answer=None):
    if not truth:
        raise staging.Failed(f"{what}: {answer}")


def one(answer, field):
    """The field that hands on a token; a response that does may be stored by nobody."""
    lines = answer.fields.get_all(field) or []
    require(len(lines) <= 1, f"one {field} at most", answer)
    if not lines:
        return None
    # A handshake is a response that nobody stores.
    if answer.status != 101:
        require(answer.fields.get_all("Cache-Control") == ["no-store"], f"{field} goes with no-store alone", answer.fields)
    return lines[0]


def new_cookie(answer):
    """The token that the response sets."""
    line = one(answer, "Set-Cookie")
    if line is None:
        return None
    name, _, rest = line.partition("=")
    attributes = {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"}
    require(name == COOKIE and attributes < set(rest.split("; ")), "the cookie's attributes", answer.fields)
    return rest.split(";")[0]


def issue(stage, *words):
    """A token of somebody at this host: bound to the address that the proxy is to hand on."""
    return staging.ask_fields(stage.socket, *words, "BIND", "ip", "127.0.0.1")


def is_shown(answer):
    return answer.status == 200 and answer.body is not None


NAVIGATION = [("Sec-Fetch-Mode", "navigate"), ("Accept", "text/html")]
FETCH = [("Sec-Fetch-Mode", "cors"), ("Accept", "*/*")]
SOCKET = [("Sec-Fetch-Mode", "websocket"), ("Sec-Fetch-Site", "same-origin")]
FORGED = [("X-Auth-Subject", "root"), ("X-Auth-Sid", "0" * 32), ("x-auth-subject", "root"), ("X_Auth_Subject", "root"),
          ("X-Auth-Time", "9999999999"), ("X_Auth-Time", "9999999999"), ("Remote-User", "root"), ("Remote_User", "root"),
          ("X-Real-IP", "192.0.2.1"), ("X-Envoy-External-Address", "192.0.2.1")]


def walk(stage, port, name):
    """A visitor who logs in, is renewed, and logs out; and what everybody else is told."""
    login = issue(stage, "TOKEN.ISSUE", "SUBJECT", "ann")
    token, sid = login["sessiontoken"], login["sid"]
    # Programs, without cookies.
    programs = [issue(stage, "TOKEN.ISSUE", "SUBJECT", "bob")["sessiontoken"] for _ in range(2)]
    page = ask(port, token=token, fields=NAVIGATION)
    require(is_shown(page) and page.body["sid"] == [sid] and page.body["subject"] == page.body["user"] == ["ann"], "named", page)
    stored = "no-store" if name in UNSTORED else "public, max-age=600"
    require(page.fields.get("Cache-Control") == stored, "a page without a cookie is the site's to store", page)
    silent = ask(port, "/page/silent", token=token, fields=NAVIGATION)
    require(silent.fields.get_all("Cache-Control") == ["no-store"], "nobody stores a page of which the site says nothing", silent.fields)
    for method, body in (("POST", b"x" * 100_000), ("PUT", b"y"), ("DELETE", None), ("PATCH", b"")):
        answer = ask(port, "/page?a=b", method, token, FETCH, body)
        require(is_shown(answer) and answer.body["method"] == method, f"{method} is let in", answer)
    broken = ask(port, "/page/broken", token=token)
    require(broken.status == 500, "the site's own errors are the site's", broken)

    none = ask(port, "/page?x=1&y=2", fields=NAVIGATION)
    require(none.status == 302 and none.body is None, "a page is sent to the login page", none)
    require(none.fields["Location"].endswith("/login?return_to=/page%3Fx%3D1%26y%3D2"), "with the way back", none)
    require(is_shown(ask(port, none.fields["Location"].removeprefix(f"http://127.0.0.1:{port}"), fields=NAVIGATION)),
            "which is shown", none)
    fetch = ask(port, fields=FETCH)
    require(fetch.status == 401, "a fetch is told 401", fetch)
    require("Bearer" in (fetch.fields.get("WWW-Authenticate") or ""), "as HTTP says it", fetch.fields)
    old = ask(port, fields=[("Accept", "text/html,*/*")])
    require(old.status == 302, "a page of a browser without Sec-Fetch is sent to the login page, too", old)

    opened = open_socket(port, token, SOCKET)
    require(is_opened(opened) and opened.body["sid"] == [sid] and opened.body["subject"] == ["ann"], "a WebSocket", opened)
    require(new_cookie(opened) is None, "and no cookie before it is due", opened)

    # Due: a token that is renewed on the way, the same for whoever races, also for a browser that says no mode at the handshake.
    time.sleep(ROTATION_SECONDS + 0.2)
    answers = [ask(port, token=token, fields=NAVIGATION) for _ in range(3)]
    opened = open_socket(port, token)
    require(is_opened(opened), "a WebSocket while it is renewed", opened)
    # Apache and Traefik would lose the cookie, and so ask by a rule that renews none.
    expected = None if name in ("apache", "traefik") else new_cookie(answers[0])
    require(new_cookie(opened) == expected, "which is handed on with 101", opened.fields)
    require(all(map(is_shown, answers)), "let in while it is renewed", answers)
    successors = {new_cookie(answer) for answer in answers}
    require(len(successors) == 1 and None not in successors, "one successor for all", successors)
    successor = successors.pop()
    answer = ask(port, token=successor, fields=NAVIGATION)
    require(is_shown(answer) and answer.body["sid"] == [sid], "the successor is good", answer)

    for path, field, word in (("/page", "X-Session-Token", ""), ("/api/x", "Authorization", "Bearer ")):
        token = programs.pop()
        answer = ask(port, path, fields=[(field, word + token)])
        renewed = one(answer, "X-Session-Token")
        require(is_shown(answer) and not answer.fields.get("Set-Cookie"), f"{field}: let in", answer.fields)
        # Traefik hands no field of the daemon's on: the token stays as it is.
        require((renewed is None) == (name == "traefik"), f"{field}: renewed in a field", answer.fields)
        require(is_shown(ask(port, path, fields=[(field, word + (renewed or token))])), "by a good one", answer)

    foreign = ask(port, "/logout", "POST", successor, [("Sec-Fetch-Site", "cross-site")], b"")
    require(foreign.status == 403, "another site logs nobody out", foreign)
    claim = ("X-Forwarded-Host", "evil.example")
    origin = ask(port, "/logout", "POST", successor, [("Origin", "https://evil.example"), claim], b"")
    require(origin.status == 403, "nor by its origin", origin)
    out = ask(port, "/logout", "POST", successor, [("Origin", f"http://127.0.0.1:{port}"), claim], b"")
    require(out.status == 303 and "Max-Age=0" in out.fields["Set-Cookie"], "logged out", out)
    require(ask(port, token=successor, fields=FETCH).status == 401, "and stays out")
    require(open_socket(port, successor, SOCKET).status == 401, "of WebSockets, too")

    # By the site's own name, which is none of the daemon's. (The recipe for Caddy serves this host alone.)
    if name != "caddy":
        other = issue(stage, "TOKEN.ISSUE", "SUBJECT", "ann")["sessiontoken"]
        named = [("Host", "www.example.org"), ("Origin", "http://www.example.org")]
        require(ask(port, "/logout", "POST", other, named, b"").status == 303, "logged out at the site's name")

    # What looks like a WebSocket's address and is none is a page like others.
    due = [issue(stage, "TOKEN.ISSUE", "SUBJECT", "ann")["sessiontoken"] for _ in range(3)]
    time.sleep(ROTATION_SECONDS + 0.2)
    ours = ("Origin", f"http://127.0.0.1:{port}")
    for method, fields in (("GET", [ours]), ("POST", [ours]), ("GET", [ours, ("Upgrade", "websocket")])):
        new_cookie(ask(port, "/ws", method, due.pop(), fields, b"" if method == "POST" else None))


def attack(stage, port, waits_for_bodies):
    """Nobody gets in by what they send, and the site never believes a client about who it is."""
    guest = issue(stage, "GUEST.ISSUE")["sessiontoken"]
    member = issue(stage, "TOKEN.ISSUE", "SUBJECT", "ann")
    claims = [
        [], FORGED, [("X-Auth-Require", "none")], [("X-Auth-Status", "valid")], [("X-Original-URI", "/auth-any")],
        [("X-Forwarded-Uri", "/open/")], [("X-Forwarded-Method", "OPTIONS")], [("X-Rewrite-URL", "/open/")],
        [("Remote-User", "root")], [("Authorization", "Bearer x")], [("X-Session-Token", "x" * 128)], [("Cookie", f"{COOKIE}=")],
        [("Connection", "Cookie, X-Auth-Subject")],
    ]
    paths = ["/page", "/page?require=none", "//page", "/page//", "/open/../page", "/open/%2e%2e/page", "/page/../open/../page",
             "/%70age", "/page;x=/open/", "/api/x", "/auth-any", "/_auth", "/open/..;/page", "/open/..\\page", "/open/..%5cpage",
             "/open/%2e%2e;a=b/page", "/open/.;/../page"]
    for path in paths:
        for claim in claims:
            for method in ("GET", "POST", "HEAD"):
                for token in (None, guest, "x" * 86):
                    answer = ask(port, path, method, token, claim, b"" if method == "POST" else None)
                    # What reached the site; a path with dots in it is another one to many a site.
                    reached = answer.fields.get("X-Reached", "")
                    is_open = reached.startswith("/open/") and ".." not in reached and "%2e" not in reached.lower()
                    require(is_open if reached else answer.status in (302, 400, 401, 403, 404, 405),
                            f"{method} {path} {claim} is not let in", answer)
                    if answer.body is not None:
                        require(not any(map(any, (answer.body[name] for name in NAMES))), f"{method} {path} {claim}: the site believes nobody", answer)
                    require(new_cookie(answer) is None, "and no cookie is touched", answer)
    for claim in (FORGED, [("X-Auth-Subject", "root")] * 3):
        named = ask(port, token=member["sessiontoken"], fields=claim)
        require(is_shown(named) and named.body["subject"] == named.body["user"] == ["ann"], "a member is nobody else", named)
        require(len(named.body["time"]) == 1 and named.body["time"][0] < "9999999999", "nor logged in at another time", named)
        for path in ("/open/x", "/login"):
            opened = ask(port, path, token=member["sessiontoken"], fields=claim)
            require(is_shown(opened) and not any(map(any, (opened.body[name] for name in NAMES))),
                    "stripped where everybody may look, too", opened)
    # Any other method is one.
    for path in ("/page", "//page", "/page?x", "/ws", "/api/x", "/open/../page"):
        for method in (*(["OPTIONS"] if path != "/api/x" else []), "PUT", "DELETE", "PATCH", "PROPFIND", "TRACE", "CONNECT", "OPTION", "get"):
            for claim in ([], FORGED, [("X-HTTP-Method-Override", "OPTIONS")]):
                answer = ask(port, path, method, None, claim)
                require(400 <= answer.status < 502 and "X-Reached" not in answer.fields, f"{method} {path} {claim} is not let in", answer)
    preflight = ask(port, "/api/x", "OPTIONS", fields=FORGED)
    require(is_shown(preflight) and not any(preflight.body["subject"] + preflight.body["user"]), "a preflight goes through, and says nothing", preflight)
    # A body that never comes: the answer does all the same, and nobody behind it waits.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest("POST", "/page")
    connection.putheader("Content-Length", "1000")
    connection.putheader("Sec-Fetch-Mode", "cors")
    connection.endheaders()
    # Caddy, Traefik and Apache answer nobody before they have a small body; nobody else has to wait for that.
    if not waits_for_bodies:
        slow = connection.getresponse()
        require(slow.status == 401, "a body that never comes is not waited for", slow.status)
    require(is_shown(ask(port, token=member["sessiontoken"])), "the next visitor is served")
    connection.close()


def attack_sockets(stage, port):
    """A WebSocket is the member's own, of this site's pages, and nothing else becomes one."""
    guest = issue(stage, "GUEST.ISSUE")["sessiontoken"]
    member = issue(stage, "TOKEN.ISSUE", "SUBJECT", "ann")["sessiontoken"]
    for token in (None, guest, "x" * 86):
        for path in ("/ws", "//ws", "/ws/", "/ws?x", "/%77s", "/open/../ws", "/page", "/api/x"):
            for fields in ([], SOCKET, FORGED, [("X-Session-Token", "x")]):
                refused = open_socket(port, token, fields, path=path)
                require(refused.status in (400, 401, 403, 404), f"{path} {fields} opens nothing", refused)
    ours = f"http://127.0.0.1:{port}"
    foreign = (None, "null", "https://evil.example", f"https://127.0.0.1:{port}", f"{ours}.evil.example", f"{ours}0", f"{ours}/",
               f"http://evil.example#{ours}", f"{ours}, https://evil.example")
    for origin in foreign:
        refused = open_socket(port, member, [("Sec-Fetch-Site", "cross-site"), ("X-Forwarded-Host", "evil.example")], origin)
        require(refused.status == 403 and new_cookie(refused) is None, f"{origin} opens nothing", refused)
    for path in ("/ws/", "/ws/x", "//ws", "/%77s", "/WS", "/ws;x", "/ws?x", "/page/../ws", "/page", "/open/x"):
        refused = open_socket(port, member, origin="https://evil.example", path=path)
        require(refused.status != 101, f"nor {path}", refused)
    named = open_socket(port, member, FORGED)
    require(is_opened(named) and named.body["subject"] == ["ann"] and len(named.body["time"]) == len(named.body["sid"]) == 1,
            "a member is nobody else", named)
    # What is no WebSocket stays a request of its own, before which everything stands that stands before others.
    for path in ("/page", "/open/x", "/login", "/api/x", "/ws"):
        for upgrades in (["h2c"], ["websocket, h2c"], ["websocket"], ["h2c", "websocket"], ["websocket", "h2c"]):
            fields = [("Upgrade", upgrade) for upgrade in upgrades] + [
                ("Connection", "Upgrade, HTTP2-Settings"), ("HTTP2-Settings", "AAMAAABk"), ("Origin", ours)]
            allowed = ([], ["websocket"]) if path == "/ws" else ([],)
            for method in ("GET", "POST", "OPTIONS"):
                answer = ask(port, path, method, member, fields + FORGED, b"" if method == "POST" else None)
                require(is_shown(answer) or answer.status in (400, 403) or path == "/ws" and 101 < answer.status < 500, f"{method} {path} by {upgrades} is shown", answer)
                require(not answer.body or answer.body["upgrade"] in allowed, f"{path} by {upgrades}", answer)
                require(not answer.body or "root" not in answer.body["subject"], "named by nobody but the daemon", answer)
    # The site refuses one: what comes behind is a request as others, and the client's names are stripped from it.
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall((
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {ours}\r\nCookie: {COOKIE}={member}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            f"GET /open/x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Auth-Subject: root\r\nConnection: close\r\n\r\n").encode())
        text = b"".join(iter(lambda: connection.recv(65_536), b"")).decode()
        # Envoy drops what the site says to a handshake that it refuses, and closes.
        is_refused = '"ann"' in text or "content-length: 0" in text
        require("HTTP/1.1 101" not in text and is_refused and "root" not in text, "a refused one is no tunnel", text)


def outage(stage, port, name):
    """Nobody knows: 503, and the cookie stays."""
    token = issue(stage, "TOKEN.ISSUE", "SUBJECT", "ann")["sessiontoken"]
    redis = stage.processes["redis"]
    redis.send_signal(signal.SIGSTOP)
    try:
        time.sleep(1.5)
        for fields in (NAVIGATION, FETCH):
            answer = ask(port, token=token, fields=fields)
            require(answer.status == 503 and answer.fields["Retry-After"], "503 with Retry-After", answer)
            require(new_cookie(answer) is None, "the cookie is kept", answer)
        require(open_socket(port, token, SOCKET).status == 503, "nor a WebSocket")
        require(is_shown(ask(port, "/open/x")), "what is open stays open")
    finally:
        redis.send_signal(signal.SIGCONT)
    staging.until(lambda: is_shown(ask(port, token=token)), 10, "let in again")
    stage.stop("daemon")
    gone = ask(port, token=token, fields=FETCH)
    # Traefik says 500 where nobody answers it.
    require(gone.status in ((500,) if name == "traefik" else (502, 503)) and gone.body is None, "without a daemon nobody is let in", gone)
    out = ask(port, "/logout", "POST", token, [("Sec-Fetch-Site", "same-origin")], b"")
    require(out.status in (502, 503) and new_cookie(out) is None, "nor out", out)


def load(programs, seconds):
    """nginx and the daemon under load: not one error."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as unused, staging.Stage(programs) as stage:
        port = start(stage, "nginx", unused.server_address[1], rotation="400d", patience="5s")
        token = staging.ask_fields(stage.socket, "TOKEN.ISSUE", "SUBJECT", "ann")["sessiontoken"]
        done = subprocess.run([
            "wrk", "-t1", "-c16", f"-d{seconds}s", "-H", f"Cookie: {COOKIE}={token}", f"http://127.0.0.1:{port}/static/page",
        ], capture_output=True, text=True, check=True)
        require("Non-2xx" not in done.stdout and "Socket errors" not in done.stdout, "an error under load", done.stdout)
        facts = staging.ask_figures(stage.socket, "stats")
        requests = re.search(r"(\d+) requests in", done.stdout)[1]
        require(int(facts["http_auth_accepted"]) >= int(requests), "each was asked about", (requests, facts))
        require(facts["http_auth_denied"] == facts["http_unavailable"] == "0", "nobody was denied", facts)
        print(f"nginx under load for {seconds} s: {int(requests):,} requests, no error")


def start(stage, name, site, rotation, patience="500ms", tls="", settings=(), headers=", headers: {Remote-User: subject}"):
    """The Redis, the daemon and the proxy; the proxy's port. `tls` is what nginx wants behind the port for it."""
    files, command, denial = PROXIES[name]
    http_socket = f"{stage.folder}/daemon/http.sock"
    stage.start_redis()
    rules = (f"{{page: {{require: subject, on-deny: {denial}, login: /login{headers}}}, "
             "any: {require: none}, socket: {require: subject, access: look}}")
    port, auth = staging.free_port(), staging.free_port()
    over_tcp = f", {{tcp: '127.0.0.1:{auth}', serve: [auth]}}" if name == "traefik" else ""
    stage.start_daemon([
        f"http.listen=[{{unix: {http_socket}, mode: '0666', serve: [auth]}}{over_tcp}]", f"http.rules={rules}",
        f"rotation.after={rotation}", "near-cache.serve-stale=0", f"redis.timeout={patience}", *settings,
    ])
    folder = f"{stage.folder}/proxy"
    pathlib.Path(folder).mkdir()
    # Its workers are another user's.
    pathlib.Path(folder).chmod(0o777)
    words = {
        "socket": http_socket, "site": site, "port": f"{port}{tls}", "folder": folder, "examples": here, "auth": auth,
        "origin": f"http{'s' if tls else ''}://127.0.0.1:{port}",
    }
    for file in files:
        text = (here / file).read_text()
        for word, value in words.items():
            text = text.replace(f"@{word}@", str(value))
        text = text.replace("location = /login {", f"{TRAP} location = /login {{")
        pathlib.Path(folder, file).write_text(text)
    (pathlib.Path(folder) / "static").mkdir()
    (pathlib.Path(folder) / "static/page").write_text("page\n")
    stage.start(name, command(f"{folder}/{files[0]}"), lambda: staging.listens(port), {
        "XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder, "TOKENCACHED_HTTP": http_socket,
    })
    return port


def serve(stage, name, site, **more):
    """As start, until the site is reached: Traefik listens before it knows its routes."""
    port = start(stage, name, site, f"{ROTATION_SECONDS}s", **more)
    staging.until(lambda: is_shown(ask(port, "/open/x")), 10, "it serves")
    return port


def trial(programs, name, site):
    with staging.Stage(programs) as stage:
        port = serve(stage, name, site, settings=[
            "binding.ip=strict", f"http.client-ip-header={'X-Envoy-External-Address' if name == 'envoy' else 'X-Real-IP'}"])
        walk(stage, port, name)
        attack_sockets(stage, port)
        attack(stage, port, waits_for_bodies=name in ("caddy", "apache", "traefik"))
        require(name != "nginx" or ask(port, "/trap").status == 200, "a trap that the manual warns of is none")
        outage(stage, port, name)
    with staging.Stage(programs) as stage:
        # The rule may say nothing of a field that the recipe knows.
        port = serve(stage, name, site, headers="")
        member = issue(stage, "TOKEN.ISSUE", "SUBJECT", "ann")["sessiontoken"]
        for opened in (ask(port, token=member, fields=FORGED), open_socket(port, member, FORGED)):
            require(opened.body and opened.body["subject"] == ["ann"] and not any(opened.body["user"]), "a field of no rule is nobody's", opened)
    print(f"{name}: as the manual says, and nobody got in")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--proxies", default=",".join(PROXIES))
    parser.add_argument("--elsewhere", default="", help="the folder of programs that Debian does not have")
    parser.add_argument("--load", type=int, default=20, help="seconds of load on nginx (default: 20)")
    options = parser.parse_args()
    os.environ["PATH"] = f"{options.elsewhere}:{os.environ['PATH']}".strip(":")
    with SiteServer(("127.0.0.1", 0), Site) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        for name in options.proxies.split(","):
            trial(options.programs, name, site.server_address[1])
    if options.load:
        load(options.programs, options.load)


if __name__ == "__main__":
    try:
        main()
    except staging.Failed as failure:
        sys.exit(f"forward-auth: {failure}")
