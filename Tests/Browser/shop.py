"""The site behind nginx. Its login page asks the daemon over the socket, by examples/by-hand/sessions.py; all its other pages
know of their visitor what nginx says in X-Auth-*. Beside it the page of a payment service, which is another site."""
import collections
import html
import json
import pathlib
import random
import socketserver
import sys
import threading
import time
import urllib.parse
import wsgiref.simple_server

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "examples/by-hand"))
import sessions  # noqa: E402

PASSWORDS = {"ann": "apple", "bob": "banana"}
REMEMBERED = ("IDLE", "30d", "ABSOLUTE", "90d")
# What the site says of storing its pages, no-store of the others. Of /silent it says nothing.
CACHE_CONTROL = {"/silent": None, "/kept": "private, max-age=600", "/api/who": "public, max-age=600"}
Request = collections.namedtuple("Request", "method path query fetch_site fetch_mode token sid subject")

SCRIPT = """
// So many requests at once. Gives what came of each: status, how long it took, and whom the site took us for.
const ask = async n => {
    const begun = performance.now();
    const answer = await fetch(`/api/who?n=${n}`, {
        cache: 'no-store', method: n % 4 ? 'GET' : 'POST', body: n % 4 ? undefined : 'n=1'});
    return {status: answer.status, seconds: (performance.now() - begun) / 1000, ...(answer.ok ? await answer.json() : {})};
};
const burst = count => Promise.all([...Array(count).keys()].map(n => ask(n).catch(error => ({status: `${error}`}))));
// For a tab in the background: bursts until it is told to stop, each some milliseconds after the one before.
const poll = (count, pause) => {
    window.polls = true;
    window.polled = (async () => {
        const seen = [];
        for (; window.polls; await new Promise(done => setTimeout(done, pause))) seen.push(...await burst(count));
        return seen;
    })();
};
"""


class Site:
    def __init__(self, socket):
        self.socket = socket
        self.cookie = sessions.Cookie()
        self.requests = []
        # Logins take a while, and by turns the one or the other is done first.
        self.login_pause = 0.0

    def __call__(self, environ, start_response):
        # A worker per request, as php-fpm would have it; each with a connection of its own.
        worker = sessions.Sessions(self.socket, timeout=10)
        path = environ["PATH_INFO"]
        visitor = sessions.Visitor(worker, self.cookie, environ.get("HTTP_COOKIE", ""))
        site, mode, sid, subject = (
            environ.get(f"HTTP_{name}", "") for name in ("SEC_FETCH_SITE", "SEC_FETCH_MODE", "X_AUTH_SID", "X_AUTH_SUBJECT"))
        request = Request(
            environ["REQUEST_METHOD"], path, environ["QUERY_STRING"], site, mode, visitor.token, sid, subject)
        self.requests.append(request)
        try:
            status, headers, body = self.answer(path, environ, visitor, request)
        except sessions.Unavailable:
            status, headers, body = "503 Service Unavailable", [("Retry-After", "1")], "try again"
        finally:
            worker.redis.close()
        headers = dict(headers)
        headers.setdefault("Content-Type", "text/html; charset=utf-8")
        cache_control = "no-store" if visitor.set_cookie else CACHE_CONTROL.get(path, "no-store")
        if cache_control:
            headers["Cache-Control"] = cache_control
        if visitor.set_cookie:
            headers["Set-Cookie"] = visitor.set_cookie
        start_response(status, list(headers.items()))
        return [body.encode()]

    def answer(self, path, environ, visitor, request):
        form = sessions.form_of(environ) if request.method == "POST" else {}
        if path == "/login":
            return self.login(environ, visitor, request, form)
        if path == "/open/payment/return":
            # The payment is trusted by its own signature, not by the visitor; it leads to a page where the cookie comes along.
            visit(visitor, request, form)
            return sessions.redirect("/thanks")
        if path == "/everywhere" and request.method == "POST":
            if visit(visitor, request, form)["check"] == "passed":
                visitor.sessions.ask("TOKEN.REVOKEALL", request.subject)
            return sessions.redirect("/page")
        if path.startswith("/api/"):
            body = json.dumps({"subject": request.subject, "sid": request.sid})
            return "200 OK", [("Content-Type", "application/json")], body
        return self.page(path, visitor, request)

    def login(self, environ, visitor, request, form):
        way_back = dict(urllib.parse.parse_qsl(request.query)).get("return_to", "/page")
        if not way_back.startswith("/") or way_back[1:2] in ("/", "\\"):
            way_back = "/page"
        if request.method == "POST":
            time.sleep(random.uniform(self.login_pause / 3, self.login_pause))
        seen = visit(visitor, request, form)
        page_only = seen["accepted"] == 0 and "sessiontoken" not in seen
        again = sessions.once_more(request.query)
        if page_only and request.method == "GET" and again:
            return sessions.redirect(again)
        if seen["accepted"] == 1 and seen["subject"]:
            return sessions.redirect(way_back)
        name = form.get("name", "")
        if request.method == "POST" and seen["check"] == "passed" and PASSWORDS.get(name) == form.get("password"):
            visitor.ask("TOKEN.LOGIN", name, *(REMEMBERED if "remember" in form else ()))
            time.sleep(random.uniform(self.login_pause / 3, self.login_pause))
            return sessions.redirect(way_back)
        return "200 OK", [], document("Log in", (
            f'<form method="post" action="/login?{html.escape(urllib.parse.urlencode({"return_to": way_back}))}">'
            f'<input type="hidden" name="csrf" value="{seen["csrf"]}"><input name="name" value="{html.escape(name)}">'
            '<input name="password" type="password"><input name="remember" type="checkbox"><button>Log in</button></form>'))

    def page(self, path, visitor, request):
        # The form that ends all logins is the site's own, and has a CSRF token; that which ends this one is the daemon's.
        everywhere = ""
        if path == "/devices":
            everywhere = ('<form id="everywhere" method="post" action="/everywhere">'
                          f'<input type="hidden" name="csrf" value="{visit(visitor, request, {})["csrf"]}">'
                          '<button>Log out everywhere</button></form>')
        return "200 OK", [], document("A page", (
            f'<b id="who">{html.escape(request.subject)}</b> <i id="sid">{request.sid}</i>'
            f'<p id="query">{html.escape(request.query)}</p><img src="/static/dot.svg" alt="">'
            f'<form id="logout" method="post" action="/logout"><button>Log out</button></form>{everywhere}'))


def visit(visitor, request, form):
    """One question a page, with all that the browser says of its request."""
    is_post = request.method == "POST"
    return visitor.visit(
        *(["CHECK", form.get("csrf", ""), sessions.FORM] if is_post else []), "FETCH-SITE", request.fetch_site,
        "FETCH-MODE", request.fetch_mode, *(["POST"] if is_post else []), "CSRF", sessions.FORM)


def document(title, body):
    return f"<!doctype html><title>{title}</title><link rel=icon href=data:,><script>{SCRIPT}</script>{body}"


def payment_service(environ, start_response):
    """A page whose form goes to the address in its query, with whatever else the query has."""
    fields = urllib.parse.parse_qsl(environ["QUERY_STRING"])
    inputs = "".join(f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
                     for name, value in fields if name != "to")
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")])
    return [document("Pay", f'<form method="post" action="{html.escape(dict(fields)["to"])}">{inputs}'
                     '<button>Back to the shop</button></form>').encode()]


class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        """A proxy or browser that lets go of a connection is nothing to tell."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass


def serve(application, tls=None):
    """Serves it on a free port, until the process ends."""
    server = wsgiref.simple_server.make_server("127.0.0.1", 0, application, Server, Handler)
    if tls:
        # Shaken hands with in each connection's own thread.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port
