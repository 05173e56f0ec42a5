"""The small site of the conformance suite, as WSGI: a page, a login, a cart, devices, a contact form, an API."""
import html
import json
import re
import urllib.parse

from tokencache import CommandError, NotStored
from tokencache.wsgi import SessionMiddleware, session_of

MOST_BODY = 16 * 1024 * 1024
MOST_ITEM = 200
# One field an item, so that two requests that add to a cart lose nothing.
CART = "cart."
CONTACT = "contact"


def application(client, reveal_captchas):
    return SessionMiddleware(Site(reveal_captchas), client, api=("/api/",), development=True)


def bare(environ, start_response):
    """The first page without the package, for ../../conformance/speed."""
    data = b"<!doctype html><title>Small site</title><p>user: ann</p>"
    start_response("200 OK", [*HTML, ("Content-Length", str(len(data)))])
    return [data]


class Site:
    def __init__(self, reveal_captchas):
        self.reveal_captchas = reveal_captchas
        self.routes = {
            ("GET", "/"): self.home, ("GET", "/login"): self.login_form, ("POST", "/login"): self.login,
            ("POST", "/logout"): self.logout, ("POST", "/logout-everywhere"): self.logout_everywhere,
            ("GET", "/cart"): self.cart, ("POST", "/cart"): self.add_to_cart,
            ("GET", "/api/me"): self.me, ("POST", "/api/count"): self.count,
            ("GET", "/devices"): self.devices, ("POST", "/devices/end"): self.end_device,
            ("GET", "/contact"): self.contact_form, ("POST", "/contact"): self.contact,
            ("POST", "/payment/return"): self.payment_return,
        }

    def __call__(self, environ, start_response):
        session = session_of(environ)
        route = self.routes.get((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        status, headers, body = route(session, form_of(environ)) if route else ("404 Not Found", TEXT, "no such page")
        data = body.encode("utf-8", "surrogateescape")
        start_response(status, [*headers, ("Content-Length", str(len(data)))])
        return [data]

    def home(self, session, form):
        return page(session, f'<form method="post" action="/logout">{session.csrf_field}<button>Log out</button></form>')

    def login_form(self, session, form):
        name = html.escape(form.get("user", ""))
        return page(session, f'<form method="post" action="/login">{session.csrf_field}<input name="user" value="{name}">'
                             '<label><input type="checkbox" name="remember"> remember me</label><button>Log in</button></form>')

    def login(self, session, form):
        name = form.get("user", "")
        if session.check(form.get("csrf", "")) != "passed" or not 0 < len(name.encode()) <= 256:
            # The second click of two, whose first logged in: done. Everybody else gets the form again.
            return redirect("/") if session.user else self.login_form(session, form)
        session.login(name, remember="remember" in form)
        return redirect("/")

    def logout(self, session, form):
        if session.check(form.get("csrf", "")) != "passed":
            return self.home(session, form)
        session.logout()
        return redirect("/")

    def logout_everywhere(self, session, form):
        if session.check(form.get("csrf", "")) != "passed":
            return self.home(session, form)
        if session.user:
            session.logout_everywhere()
        return redirect("/")

    def cart(self, session, form):
        return json_of(sorted(name[len(CART):] for name in session.get() if name.startswith(CART)))

    def add_to_cart(self, session, form):
        item = form.get("item", "")
        if session.check(form.get("csrf", "")) != "passed" or not 0 < len(item.encode()) <= MOST_ITEM:
            return self.cart_form(session, item)
        try:
            session.set({CART + item: "1"})
        except NotStored:
            return self.cart_form(session, item)
        except CommandError:
            return "413 Content Too Large", TEXT, "the cart is full"
        return self.cart(session, form)

    def cart_form(self, session, item):
        return page(session, f'<form method="post" action="/cart">{session.csrf_field}'
                             f'<input name="item" value="{html.escape(item)}"><button>Add</button></form>')

    def me(self, session, form):
        if session.user is None:
            return json_of({"user": None}, "401 Unauthorized")
        return json_of({"user": session.user, "sid": session.sid})

    def count(self, session, form):
        if session.user is None:
            return json_of({"user": None}, "401 Unauthorized")
        return json_of({"count": session.increment("count")})

    def devices(self, session, form):
        if session.user is None:
            return json_of([], "401 Unauthorized")
        return json_of([{"sid": device.sid, "current": device.current} for device in session.devices()])

    def end_device(self, session, form):
        if session.check(form.get("csrf", "")) != "passed" or session.user is None:
            return self.home(session, form)
        session.end_device(form.get("sid", ""))
        return redirect("/")

    def contact_form(self, session, form):
        captcha = session.captcha(CONTACT)
        # For tests alone: else the solution is drawn, and nowhere else.
        solution = f' data-solution="{html.escape(captcha.solution)}"' if self.reveal_captchas else ""
        return page(session, f'<form method="post" action="/contact">{session.csrf_field}'
                             f'<input type="hidden" name="captcha" value="{html.escape(captcha.token)}"{solution}>'
                             f'<input name="answer"><textarea name="text">{html.escape(form.get("text", ""))}</textarea>'
                             '<button>Send</button></form>')

    def contact(self, session, form):
        # In this order: somebody else's request must not spend the captcha.
        passed = session.check(form.get("csrf", "")) == "passed" and session.captcha_passed(
            form.get("captcha", ""), form.get("answer", ""), CONTACT)
        return redirect("/") if passed else self.contact_form(session, form)

    def payment_return(self, session, form):
        # From another site, where the browser holds back the cookie: it comes along again on a page of ours.
        return redirect("/")


HTML = [("Content-Type", "text/html; charset=utf-8")]
TEXT = [("Content-Type", "text/plain; charset=utf-8")]


def page(session, form):
    name = f"user: {html.escape(session.user)}" if session.user else "guest"
    return "200 OK", HTML, f"<!doctype html><title>Small site</title><p>{name}</p>{form}"


def redirect(address):
    return "303 See Other", [("Location", address)], ""


def json_of(value, status="200 OK"):
    return status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")], json.dumps(value)


def form_of(environ):
    if environ["REQUEST_METHOD"] != "POST":
        return {}
    # What came may be no number.
    length = environ.get("CONTENT_LENGTH", "")
    length = min(int(length), MOST_BODY) if re.fullmatch("[0-9]{1,18}", length) else 0
    body = environ["wsgi.input"].read(length).decode("utf-8", "replace")
    return dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
