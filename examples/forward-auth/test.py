#!/usr/bin/python3
"""Runs the recipes of docs/forward-auth.md on the real programs, and attacks each of them.

    test.py --programs .build/release [--proxies nginx,caddy,haproxy]

The site behind is an echo: it tells what of the request reached it. So what a client sent under the daemon's names, and what
a visitor without a token is shown, is seen at once.
"""
import argparse
import collections
import http.client
import http.server
import json
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent / "testing"))
import stage as staging  # noqa: E402

COOKIE = "__Host-tc"
ROTATION_SECONDS = 1.0
# What the program needs to be told, and what the rule does with who is not let in: nginx turns a redirect of the
# daemon's into an error, so it is given the address in a field.
PROXIES = {
    "nginx": ("nginx.conf", lambda path: ["nginx", "-c", path, "-p", str(pathlib.Path(path).parent)], "header"),
    "caddy": ("Caddyfile", lambda path: ["caddy", "run", "--config", path, "--adapter", "caddyfile"], "redirect"),
    "haproxy": ("haproxy.cfg", lambda path: ["haproxy", "-db", "-f", path], "redirect"),
}
Answer = collections.namedtuple("Answer", "status fields body")


class Site(http.server.BaseHTTPRequestHandler):
    """The site: says what reached it, and would have its pages cached by everybody; of /silent it says nothing."""
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen = json.dumps({"path": self.path, "method": self.command} | {
            # As CGI, FastCGI and WSGI name them: an underscore is a dash.
            name: [value for field, value in self.headers.items() if field.lower().replace("_", "-") == f"x-auth-{name}"]
            for name in ("sid", "subject", "time")}).encode()
        self.send_response(500 if self.path.endswith("/broken") else 200)
        if not self.path.endswith("/silent"):
            self.send_header("Cache-Control", "public, max-age=600")
        self.send_header("Content-Length", str(len(seen)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(seen)

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
    connection.putrequest(method, path, skip_accept_encoding=True)
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


def require(truth, what, answer=None):
    if not truth:
        raise staging.Failed(f"{what}: {answer}")


def new_cookie(answer):
    """The token that the response sets; a response that sets one may be stored by nobody."""
    lines = answer.fields.get_all("Set-Cookie") or []
    require(len(lines) <= 1, "one cookie at most", answer)
    if not lines:
        return None
    require("no-store" in (answer.fields.get("Cache-Control") or ""), "a cookie goes with no-store", answer)
    require("public" not in str(answer.fields.get_all("Cache-Control")), "nobody may store it", answer)
    name, _, rest = lines[0].partition("=")
    require(name == COOKIE and "; Secure; HttpOnly; SameSite=Lax" in rest, "the cookie's attributes", answer)
    return rest.split(";")[0]


def is_shown(answer):
    return answer.status == 200 and answer.body is not None


NAVIGATION = [("Sec-Fetch-Mode", "navigate"), ("Accept", "text/html")]
FETCH = [("Sec-Fetch-Mode", "cors"), ("Accept", "*/*")]


def walk(stage, port):
    """A visitor who logs in, is renewed, and logs out; and what everybody else is told."""
    login = staging.ask_fields(stage.socket, "TOKEN.ISSUE", "SUBJECT", "ann")
    token, sid = login["sessiontoken"], login["sid"]
    page = ask(port, token=token, fields=NAVIGATION)
    require(is_shown(page) and page.body["sid"] == [sid] and page.body["subject"] == ["ann"], "let in and named", page)
    require(page.fields.get("Cache-Control") == "public, max-age=600", "a page without a cookie is the site's to store", page)
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
    require(ask(port, fields=FETCH).status == 401, "a fetch is told 401")
    old = ask(port, fields=[("Accept", "text/html,*/*")])
    require(old.status == 302, "a page of a browser without Sec-Fetch is sent to the login page, too", old)

    # Due: a token that is renewed on the way, the same for whoever races.
    time.sleep(ROTATION_SECONDS + 0.2)
    answers = [ask(port, token=token, fields=NAVIGATION) for _ in range(3)]
    require(all(map(is_shown, answers)), "let in while it is renewed", answers)
    successors = {new_cookie(answer) for answer in answers}
    require(len(successors) == 1 and None not in successors, "one successor for all", successors)
    successor = successors.pop()
    answer = ask(port, token=successor, fields=NAVIGATION)
    require(is_shown(answer) and answer.body["sid"] == [sid], "the successor is good", answer)

    other = ask(port, "/logout", "POST", successor, [("Sec-Fetch-Site", "cross-site")], b"")
    require(other.status == 403, "another site logs nobody out", other)
    origin = ask(port, "/logout", "POST", successor, [("Origin", "https://evil.example")], b"")
    require(origin.status == 403, "nor by its origin", origin)
    out = ask(port, "/logout", "POST", successor, [("Origin", f"http://127.0.0.1:{port}")], b"")
    require(out.status == 303 and "Max-Age=0" in out.fields["Set-Cookie"], "logged out", out)
    require(ask(port, token=successor, fields=FETCH).status == 401, "and stays out")


def attack(stage, port, waits_for_bodies):
    """Nobody gets in by what they send, and the site never believes a client about who it is."""
    guest = staging.ask_fields(stage.socket, "GUEST.ISSUE")["sessiontoken"]
    member = staging.ask_fields(stage.socket, "TOKEN.ISSUE", "SUBJECT", "ann")
    forged = [("X-Auth-Subject", "root"), ("X-Auth-Sid", "0" * 32), ("x-auth-subject", "root"), ("X_Auth_Subject", "root"),
              ("X-Auth-Time", "9999999999"), ("X_Auth-Time", "9999999999")]
    claims = [
        [], forged, [("X-Auth-Require", "none")], [("X-Auth-Status", "valid")], [("X-Original-URI", "/auth-any")],
        [("X-Forwarded-Uri", "/open/")], [("X-Forwarded-Method", "OPTIONS")], [("X-Rewrite-URL", "/open/")],
        [("Authorization", "Bearer x")], [("X-Session-Token", "x" * 128)], [("Cookie", f"{COOKIE}=")],
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
                    reached = answer.body["path"] if answer.body is not None else ""
                    is_open = reached.startswith("/open/") and ".." not in reached and "%2e" not in reached.lower()
                    require(is_open or answer.status in (302, 400, 401, 403, 404, 405),
                            f"{method} {path} {claim} is not let in", answer)
                    if answer.body is not None:
                        names = answer.body["subject"] + answer.body["sid"] + answer.body["time"]
                        require(not any(names), f"{method} {path} {claim}: the site believes nobody", answer)
                    require(new_cookie(answer) is None, "and no cookie is touched", answer)
    for claim in (forged, [("X-Auth-Subject", "root")] * 3):
        named = ask(port, token=member["sessiontoken"], fields=claim)
        require(is_shown(named) and named.body["subject"] == ["ann"], "a member is nobody else", named)
        require(len(named.body["time"]) == 1 and named.body["time"][0] < "9999999999", "nor logged in at another time", named)
        for path in ("/open/x", "/login"):
            opened = ask(port, path, token=member["sessiontoken"], fields=claim)
            require(is_shown(opened) and not any(opened.body["subject"] + opened.body["sid"] + opened.body["time"]),
                    "stripped where everybody may look, too", opened)
    preflight = ask(port, "/api/x", "OPTIONS", fields=forged)
    require(is_shown(preflight) and not any(preflight.body["subject"]), "a preflight goes through, and says nothing", preflight)
    # A body that never comes: the answer does all the same, and nobody behind it waits.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest("POST", "/page")
    connection.putheader("Content-Length", "1000")
    connection.putheader("Sec-Fetch-Mode", "cors")
    connection.endheaders()
    # Caddy itself answers nobody before it has a small body; nobody else has to wait for that.
    if not waits_for_bodies:
        slow = connection.getresponse()
        require(slow.status == 401, "a body that never comes is not waited for", slow.status)
    require(is_shown(ask(port, token=member["sessiontoken"])), "the next visitor is served")
    connection.close()


def outage(stage, port):
    """Nobody knows: 503, and the cookie stays."""
    token = staging.ask_fields(stage.socket, "TOKEN.ISSUE", "SUBJECT", "ann")["sessiontoken"]
    redis = stage.processes["redis"]
    redis.send_signal(signal.SIGSTOP)
    try:
        time.sleep(1.5)
        for fields in (NAVIGATION, FETCH):
            answer = ask(port, token=token, fields=fields)
            require(answer.status == 503 and answer.fields["Retry-After"], "503 with Retry-After", answer)
            require(new_cookie(answer) is None, "the cookie is kept", answer)
        require(is_shown(ask(port, "/open/x")), "what is open stays open")
    finally:
        redis.send_signal(signal.SIGCONT)
    staging.until(lambda: is_shown(ask(port, token=token)), 10, "let in again")
    stage.stop("daemon")
    gone = ask(port, token=token, fields=FETCH)
    require(gone.status in (502, 503) and gone.body is None, "without a daemon nobody is let in", gone)
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
        facts = dict(line.split(":", 1) for line in staging.ask(stage.socket, "INFO", "stats").splitlines() if ":" in line)
        requests = re.search(r"(\d+) requests in", done.stdout)[1]
        require(int(facts["http_auth_accepted"]) >= int(requests), "each was asked about", (requests, facts))
        require(facts["http_auth_denied"] == facts["http_unavailable"] == "0", "nobody was denied", facts)
        print(f"nginx under load for {seconds} s: {int(requests):,} requests, no error")


def start(stage, name, site, rotation, patience="500ms", tls="", settings=()):
    """The Redis, the daemon and the proxy; the proxy's port. `tls` is what nginx wants behind the port for it."""
    file, command, denial = PROXIES[name]
    http_socket = f"{stage.folder}/daemon/http.sock"
    stage.start_redis()
    rules = f"{{page: {{require: subject, on-deny: {denial}, login: /login}}, any: {{require: none}}}}"
    stage.start_daemon([
        f"http.listen={{unix: {http_socket}, mode: '0666', serve: [auth]}}", f"http.rules={rules}",
        f"rotation.after={rotation}", "near-cache.serve-stale=0", f"redis.timeout={patience}", *settings,
    ])
    port = staging.free_port()
    folder = f"{stage.folder}/proxy"
    pathlib.Path(folder).mkdir()
    # Its workers are another user's.
    pathlib.Path(folder).chmod(0o777)
    text = (here / file).read_text()
    for word, value in {
        "socket": http_socket, "site": site, "port": f"{port}{tls}", "folder": folder, "examples": here,
    }.items():
        text = text.replace(f"@{word}@", str(value))
    path = f"{folder}/{file}"
    pathlib.Path(path).write_text(text)
    (pathlib.Path(folder) / "static").mkdir()
    (pathlib.Path(folder) / "static/page").write_text("page\n")
    stage.start(name, command(path), lambda: staging.listens(port), {"XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder})
    return port


def trial(programs, name, site):
    with staging.Stage(programs) as stage:
        port = start(stage, name, site, f"{ROTATION_SECONDS}s")
        walk(stage, port)
        attack(stage, port, waits_for_bodies=name == "caddy")
        outage(stage, port)
    print(f"{name}: as the manual says, and nobody got in")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--proxies", default=",".join(PROXIES))
    parser.add_argument("--load", type=int, default=20, help="seconds of load on nginx (default: 20)")
    options = parser.parse_args()
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
