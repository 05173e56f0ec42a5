"""Django's middleware and engine in requests, before the real daemon: BIN in the environment is its folder."""
import asyncio
import inspect
import io
import json
import os
import re
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_daemon import Daemon  # noqa: E402

daemon = Daemon()

from django.conf import settings  # noqa: E402

settings.configure(
    SECRET_KEY="test", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True, DEBUG=False,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages",
                    "django.contrib.admin"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:users?mode=memory&cache=shared"}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField", PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    MIDDLEWARE=["tokencache.django.middleware.SessionMiddleware", "tokencache.django.middleware.CsrfViewMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware", "django.contrib.messages.middleware.MessageMiddleware"],
    SESSION_ENGINE="tokencache.django.sessions", TOKENCACHE={"SOCKET": daemon.path, "API": ["/api/"], "SKIP": ["/static/"]},
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {"context_processors": [
        "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages", "tokencache.django.csrf.context"]}}])

import django  # noqa: E402

django.setup()

from django.contrib import admin, auth  # noqa: E402
from django.contrib.sessions.backends.base import SessionBase  # noqa: E402
from django.core.checks import run_checks  # noqa: E402
from django.core.exceptions import ImproperlyConfigured  # noqa: E402
from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.template import engines  # noqa: E402
from django.test import override_settings  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402
from django.urls import path  # noqa: E402
from test_daemon import wsgi_answer  # noqa: E402
from tokencache import Client, FormNotPassed, commands, sid_of  # noqa: E402
from tokencache.django.csrf import shows_form_again  # noqa: E402
from tokencache.django.sessions import SessionStore  # noqa: E402

FORM = '<form method="post">{% csrf_token %}</form>{{ user.username }}'


def form(request):
    return HttpResponse(engines["django"].from_string(FORM).render({}, request))


@shows_form_again
def again(request):
    return HttpResponse(f"carried out: {request.csrf_passed}")


def enter(request):
    request.tokencache.login("ann")
    return HttpResponse(request.tokencache.user)


def act(request):
    """What the test wants done."""
    value = actions[request.GET["do"]](request)
    return value if isinstance(value, HttpResponse) else JsonResponse({"value": value, "key": request.session.session_key})


async def later(request):
    value = await actions[request.GET["do"]](request)
    return JsonResponse({"value": value, "key": request.session.session_key})


act.csrf_exempt = later.csrf_exempt = True
urlpatterns = [path("", form), path("again", again), path("enter", enter), path("act", act), path("later", later), path("api/x", lambda request: HttpResponse("api")),
               path("static/x", lambda request: HttpResponse("static")), path("admin/", admin.site.urls)]
actions = {}


class Browser:
    handler, later = WSGIHandler(), ASGIHandler()

    def __init__(self):
        self.cookie = ""
        self.set_cookie = ""

    def ask(self, address="/", method="GET", client="127.0.0.1", **fields):
        path, _, query = address.partition("?")
        body = "&".join(f"{name}={value}" for name, value in fields.items()).encode()
        status, headers, data = wsgi_answer(
            self.handler, path, method, self.cookie, QUERY_STRING=query, SERVER_NAME="shop.example", SERVER_PORT="443",
            HTTP_ORIGIN="https://shop.example", CONTENT_TYPE="application/x-www-form-urlencoded", CONTENT_LENGTH=str(len(body)),
            REMOTE_ADDR=client, SCRIPT_NAME="", SERVER_PROTOCOL="HTTP/1.1", **{"wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr})
        cookies = [value for name, value in headers if name == "set-cookie"]
        assert len(cookies) <= 1, cookies
        self.set_cookie = cookies[0] if cookies else ""
        if cookies:
            assert dict(headers)["cache-control"] == "no-store", headers
            assert "Secure" in cookies[0] and "HttpOnly" in cookies[0] and "SameSite=Lax" in cookies[0], cookies
            self.cookie = cookies[0].partition(";")[0]
        return int(status[:3]), dict(headers), data.decode()

    def do(self, action, **facts):
        actions[threading.get_ident().__str__()] = action
        status, _, text = self.ask(f"/act?do={threading.get_ident()}", "POST", **facts)
        assert status == 200, (status, text)
        return json.loads(text)

    def do_later(self, action):
        """As `do`, of an asynchronous view behind ASGI: a browser with the same cookie."""
        actions["later"] = action
        sent = []

        async def run():
            messages = [{"type": "http.request", "body": b"", "more_body": False}]

            async def receive():
                return messages.pop() if messages else await asyncio.sleep(60)

            async def send(message):
                sent.append(message)
            await self.later({
                "type": "http", "method": "POST", "path": "/later", "raw_path": b"/later", "query_string": b"do=later", "scheme": "https",
                "http_version": "1.1", "server": ("shop.example", 443), "client": ("127.0.0.1", 1), "headers": [
                    (b"host", b"shop.example"), (b"cookie", self.cookie.encode()), (b"sec-fetch-mode", b"navigate"),
                    (b"origin", b"https://shop.example")]}, receive, send)
        asyncio.run(run())
        head = {name.lower(): value.decode() for name, value in sent[0]["headers"]}
        self.set_cookie = head.get(b"set-cookie", "")
        self.cookie = self.set_cookie.partition(";")[0] or self.cookie
        text = b"".join(message["body"] for message in sent[1:]).decode()
        assert sent[0]["status"] == 200, (sent[0], text)
        return json.loads(text)

    @property
    def token(self):
        return self.cookie.partition("=")[2]


def signals(request):
    return {"ip": request.META["REMOTE_ADDR"]}


def user_named(name):
    return auth.get_user_model().objects.get_or_create(username=name)[0]


BACKEND = "django.contrib.auth.backends.ModelBackend"


def logs_in(name):
    return lambda request: auth.login(request, user_named(name), BACKEND)


class DjangoTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        setup_test_environment()
        call_command("migrate", verbosity=0)
        cls.client = Client(daemon.path)
        cls.addClassCleanup(cls.client.close)

    def holder(self, browser):
        return self.client.ask(commands.validate(browser.token, mode="cors"))

    def test_a_guest_costs_nothing(self):
        browser = Browser()
        self.assertEqual(browser.do(lambda request: request.session.get("a"))["key"], None)
        self.assertEqual(self.holder(browser)["kind"], "guest")
        key = browser.do(lambda request: request.session.__setitem__("a", {"b": [1]}))
        self.assertEqual(browser.do(lambda request: request.session["a"])["value"], {"b": [1]})
        self.assertEqual(self.holder(browser)["kind"], "session")
        self.assertIsNone(key["key"], "the cookie is made by the response")
        self.assertEqual(browser.do(lambda request: None)["key"], sid_of(browser.token))

    def test_a_key_for_a_cart_of_a_guest(self):
        browser = Browser()
        key = browser.do(lambda request: request.session.session_key or request.session.create())["key"]
        self.assertEqual(key, sid_of(browser.token))

    def test_login_is_one_login_and_keeps_the_cart(self):
        browser = Browser()
        browser.do(lambda request: request.session.__setitem__("cart", 3))
        old, sid = browser.token, sid_of(browser.token)
        browser.do(logs_in("ann"))
        holder = self.holder(browser)
        self.assertEqual((holder["subject"], holder["sid"]), (str(user_named("ann").pk), sid))
        self.assertEqual(self.client.ask(commands.validate(old))["status"], "replayed")
        self.assertEqual(browser.do(lambda request: [request.user.username, request.session["cart"]])["value"], ["ann", 3])
        # The password again: a new token, and auth_time; a changed password: a new token, and no login.
        for action, is_login in ((logs_in("ann"), True), (lambda request: auth.update_session_auth_hash(request, request.user), False)):
            before, token = self.holder(browser), browser.token
            import time
            time.sleep(1.1)
            browser.do(action)
            self.assertNotEqual(browser.token, token)
            self.assertEqual(self.holder(browser)["auth_time"] > before["auth_time"], is_login)
        self.assertEqual(browser.do(lambda request: request.user.username)["value"], "ann")

    def test_another_user_at_the_same_browser(self):
        browser = Browser()
        browser.do(logs_in("ann"))
        browser.do(lambda request: request.session.__setitem__("secret", "ann's"))
        old = browser.token
        browser.do(logs_in("bob"))
        self.assertEqual(browser.do(lambda request: [request.user.username, request.session.get("secret")])["value"], ["bob", None])
        self.assertEqual(self.client.ask(commands.validate(old))["status"], "revoked")

    def test_logout(self):
        browser = Browser()
        browser.do(logs_in("ann"))
        old = browser.token
        browser.do(auth.logout)
        self.assertIn("Max-Age=0", browser.set_cookie)
        self.assertEqual(self.client.ask(commands.validate(old))["reason"], "logout")
        self.assertEqual(browser.do(lambda request: request.user.username)["value"], "")

        def with_message(request):
            auth.logout(request)
            request.session["said"] = "bye"
        browser.do(logs_in("ann"))
        browser.do(with_message)
        self.assertEqual(browser.do(lambda request: [request.user.username, request.session["said"]])["value"], ["", "bye"])

    def test_a_logout_by_the_visitor_holds(self):
        def ends(how, then):
            def action(request):
                self.assertEqual(request.user.username, "ann")
                how(request.tokencache)
                then(request)
            return action
        ways = (lambda visitor: visitor.logout(), lambda visitor: visitor.logout_everywhere(), lambda visitor: visitor.end_device(visitor.sid),
                lambda visitor: visitor.logout() and visitor.start({"flash": "bye"}))
        after = (lambda request: request.session.__setitem__("said", "bye"),
                 lambda request: request.session.cycle_key() or request.session.update({"said": "bye"}),
                 lambda request: request.session.set_expiry(60), auth.logout, lambda request: request.session.save(),
                 lambda request: request.session.update({"said": "bye", auth.SESSION_KEY: str(request.user.pk)}))
        for how in ways:
            for then in after:
                browser = Browser()
                browser.do(logs_in("ann"))
                browser.do(lambda request: request.session.__setitem__("cart", "ann's"))
                old = browser.token
                with override_settings(SESSION_SAVE_EVERY_REQUEST=True):
                    browser.do(ends(how, then))
                self.assertNotEqual(browser.token, old)
                self.assertEqual(self.client.ask(commands.validate(old))["status"], "revoked")
                self.assertEqual(self.holder(browser)["subject"] if browser.token else "", "")
                said = "bye" if then in (*after[:2], after[-1]) else None
                self.assertEqual(browser.do(lambda request: [request.user.username, request.session.get("cart"), request.session.get("said")]
                                            )["value"], ["", None, said])
        # The password after it logs in, as the same user or another; before it not.
        for name in ("ann", "bob"):
            for how in ways:
                browser = Browser()
                browser.do(logs_in("ann"))
                browser.do(ends(how, logs_in(name)))
                self.assertEqual(browser.do(lambda request: request.user.username)["value"], name)
        browser.do(logs_in("ann"))
        browser.do(lambda request: logs_in("ann")(request) or request.tokencache.logout_everywhere())
        self.assertEqual(browser.do(lambda request: request.user.username)["value"], "")

    def test_a_login_by_the_visitor_lasts(self):
        def who(request):
            return [request.tokencache.user, request.user.username, request.session.get("said"), request.session.get("cart")]

        def login(name, before=lambda request: None):
            return lambda request: [before(request), request.tokencache.login(name, form=False)][1]
        says = (lambda request: request.session.__setitem__("said", "hi"))
        browser = Browser()
        browser.do(lambda request: request.session.__setitem__("cart", 1))
        browser.do(login("ann", says))
        sid = sid_of(browser.token)
        self.assertEqual(browser.do(who)["value"], ["ann", "", "hi", 1])
        browser.do(lambda request: request.session.__setitem__("said", "more"))
        with override_settings(SESSION_SAVE_EVERY_REQUEST=True):
            browser.do(lambda request: request.session.cycle_key())
        self.assertEqual(browser.do(who)["value"], ["ann", "", "more", 1])
        self.assertEqual(sid_of(browser.token), sid)
        browser.do(login("ann", lambda request: request.session.flush()))
        self.assertEqual(browser.do(who)["value"], ["ann", "", None, None])
        guest = Browser()
        guest.do(lambda request: request.session.__setitem__("cart", 1))
        guest.do(login("ann", lambda request: request.session.flush()))
        self.assertEqual(guest.do(who)["value"], ["ann", "", None, None])
        # Over somebody whom Django logged in: nobody is both.
        browser.do(logs_in("bob"))
        browser.do(login("ann", lambda request: request.user.username and says(request)))
        self.assertEqual(browser.do(who)["value"], ["ann", "", "hi", None])
        browser.do(auth.logout)
        self.assertEqual(browser.do(who)["value"], [None, "", None, None])

    def test_a_login_wants_the_form_that_the_middleware_checks(self):
        browser = Browser()
        token = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', browser.ask()[2])[1]
        self.assertEqual(browser.ask("/enter", "POST", csrfmiddlewaretoken=token)[2], "ann")

        def enters(request):
            with self.assertRaises(FormNotPassed):
                request.tokencache.login("bob")
        browser.do(enters)

    def test_asynchronous(self):
        async def stores(request):
            await request.session.aset("cart", 3)

        async def enters(request):
            user = await asyncio.to_thread(user_named, "ann")
            await auth.alogin(request, user, BACKEND)

        async def who(request):
            user = await request.auser()
            return [user.username, await request.session.aget("cart")]
        browser = Browser()
        browser.do_later(stores)
        sid = sid_of(browser.token)
        browser.do_later(enters)
        self.assertEqual((browser.do_later(who)["value"], sid_of(browser.token)), (["ann", 3], sid), "the cart of the guest is kept")

        async def cycles(request):
            await request.session.acycle_key()

        async def changes_password(request):
            # Django's own looks at it, too.
            request.user = await request.auser()
            await auth.aupdate_session_auth_hash(request, request.user)
        for change in (cycles, changes_password):
            token = browser.token
            browser.do_later(change)
            self.assertEqual((browser.do_later(who)["value"], sid_of(browser.token)), (["ann", 3], sid))
            self.assertNotEqual(browser.token, token)
        # Of an older secret: the session is cycled by whoever asks who it is.
        with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["test"]):
            token = browser.token
            self.assertEqual(browser.do_later(who)["value"], ["ann", 3])
            self.assertNotEqual(browser.token, token)
            self.assertEqual((browser.do_later(who)["value"], sid_of(browser.token)), (["ann", 3], sid))

        async def leaves(request):
            await auth.alogout(request)

        async def flushes(request):
            await request.session.aflush()
        for leave in (leaves, flushes):
            browser.do_later(enters)
            old = browser.token
            browser.do_later(leave)
            self.assertIn("max-age=0", browser.set_cookie.lower())
            self.assertEqual(self.client.ask(commands.validate(old))["reason"], "logout")
            self.assertEqual(browser.do_later(who)["value"], ["", None])

    def test_every_asynchronous_call_that_asks_the_daemon_is_one_of_ours(self):
        def is_ours(name):
            source = inspect.getsource(getattr(SessionBase, name))
            return name in vars(SessionStore) or re.search(rf"sync_to_async\((self|cls)\.{name[1:]}\)", source)
        names = [name for name in vars(SessionBase) if inspect.iscoroutinefunction(getattr(SessionBase, name)) and name[1:] in vars(SessionStore)]
        self.assertIn("acycle_key", names)
        self.assertEqual([name for name in names if not is_ours(name)], [])

    def test_create_and_delete(self):
        browser = Browser()
        browser.do(logs_in("ann"))
        self.assertEqual(browser.do(lambda request: [request.session.create(), request.user.username][1])["value"], "ann")
        self.assertEqual(browser.do(lambda request: request.user.username)["value"], "ann")

        def after(ends):
            def action(request):
                ends(request)
                request.session.create()
                request.session["said"] = "bye"
                return request.session.session_key
            return action
        for ends in (auth.logout, lambda request: request.tokencache.logout(), lambda request: request.user and request.session.delete()):
            browser.do(logs_in("ann"))
            sid = sid_of(browser.token)
            key = browser.do(after(ends))["value"]
            self.assertEqual(browser.do(lambda request: [request.user.username, request.session["said"]])["value"], ["", "bye"])
            self.assertEqual((sid_of(browser.token), key == sid), (key, False))
        browser.do(lambda request: request.session.delete())
        self.assertIn("max-age=0", browser.set_cookie.lower())
        self.assertEqual(browser.do(lambda request: request.session.get("said"))["value"], None)

    def test_two_requests_lose_nothing_of_each_other_s(self):
        browser, meet = Browser(), threading.Barrier(2)
        browser.do(logs_in("ann"))
        other = Browser()
        other.cookie = browser.cookie

        def writes(key):
            def action(request):
                request.session.get("x")
                meet.wait(5)
                request.session[key] = 1
            return action
        threads = [threading.Thread(target=b.do, args=(writes(key),)) for b, key in ((browser, "one"), (other, "two"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(browser.do(lambda request: [request.session.get("one"), request.session.get("two")])["value"], [1, 1])

        def removes(request):
            del request.session["one"]
        browser.do(removes)
        self.assertEqual(browser.do(lambda request: sorted(key for key in request.session.keys() if key[0] != "_"))["value"], ["two"])

    def test_data_alone_log_nobody_in(self):
        browser = Browser()
        ann = user_named("ann")

        def forge(request):
            request.tokencache.set({"dj._auth_user_id": f'"{ann.pk}"', "dj._auth_user_backend": '"django.contrib.auth.backends.ModelBackend"',
                                    "dj._auth_user_hash": f'"{ann.get_session_auth_hash()}"'})
        browser.do(forge)
        self.assertEqual(browser.do(lambda request: request.user.username)["value"], "")

    def test_limits(self):
        def remembered(seconds):
            def action(request):
                logs_in("ann")(request)
                request.session.set_expiry(seconds)
            return action
        browser = Browser()
        browser.do(remembered(3600))
        self.assertRegex(browser.set_cookie, "(?i)max-age=(3600|3599)")
        self.assertLessEqual(self.holder(browser)["absolute_in"], 3600)
        browser.do(remembered(0))
        self.assertNotIn("max-age", browser.set_cookie.lower())
        browser.do(logs_in("ann"))
        browser.do(lambda request: request.session.set_expiry(600))
        self.assertLessEqual(self.holder(browser)["expires_in"], 600)

    def test_csrf(self):
        browser = Browser()
        _, headers, text = browser.ask()
        field = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', text)
        self.assertTrue(field, text)
        self.assertEqual(browser.ask("/", "POST", csrfmiddlewaretoken=field[1])[0], 200)
        self.assertEqual(browser.ask("/", "POST", csrfmiddlewaretoken="forged")[0], 403)
        self.assertEqual(browser.ask("/", "POST")[0], 403)
        other = Browser()
        other.ask()
        self.assertEqual(other.ask("/", "POST", csrfmiddlewaretoken=field[1])[0], 403)
        self.assertEqual(browser.ask("/again", "POST", csrfmiddlewaretoken="forged")[2], "carried out: False")
        self.assertEqual(browser.ask("/again", "POST", csrfmiddlewaretoken=field[1])[2], "carried out: True")
        browser.do(logs_in("ann"))
        self.assertEqual(browser.ask("/again", "POST", csrfmiddlewaretoken=field[1])[2], "carried out: False", "from before the login")
        self.assertEqual(browser.ask("/api/x", "POST")[0], 200)
        self.assertEqual(browser.ask("/static/x", "POST")[0], 403)

    def test_the_admin_logs_in(self):
        user = user_named("root")
        user.is_staff = user.is_superuser = True
        user.set_password("apple")
        user.save()
        self.assertEqual([check for check in run_checks() if check.is_serious()], [])
        browser = Browser()
        _, _, text = browser.ask("/admin/login/")
        token = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', text)[1]
        self.assertEqual(browser.ask("/admin/login/?next=/admin/", "POST", csrfmiddlewaretoken=token, username="root", password="apple")[0], 302)
        status, _, text = browser.ask("/admin/")
        self.assertEqual((status, "root" in text), (200, True))

    def test_a_page_with_a_form_is_stored_by_nobody(self):
        def public(request, text=""):
            return HttpResponse(text, headers={"Cache-Control": "public, max-age=60", "Expires": "tomorrow"})

        def cached(action):
            actions["public"] = action
            headers = browser.ask("/act?do=public")[1]
            return headers["cache-control"], "expires" in headers
        browser = Browser()
        browser.ask()
        self.assertEqual(cached(public), ("public, max-age=60", True))
        for use in (lambda request: request.tokencache.csrf_field, lambda request: request.tokencache.captcha("contact").token,
                    lambda request: engines["django"].from_string(FORM).render({}, request)):
            self.assertEqual(cached(lambda request: public(request, use(request))), ("no-store", False))
            self.assertEqual(browser.set_cookie, "")

    def test_a_cookie_of_the_same_name_that_the_site_wrote(self):
        def writes(request):
            logs_in("ann")(request)
            response = JsonResponse({})
            response.set_cookie("__Host-tc", "x", max_age=60, domain="shop.example")
            return response
        browser = Browser()
        browser.do(lambda request: None)
        with override_settings(SESSION_EXPIRE_AT_BROWSER_CLOSE=True):
            browser.do(writes)
        self.assertRegex(browser.set_cookie, "^ *__Host-tc=[0-9a-f]{128};")
        self.assertNotRegex(browser.set_cookie, "(?i)domain|max-age")

    def test_bound(self):
        strict = Daemon("binding.ip=strict")
        self.addCleanup(strict.end)
        with override_settings(TOKENCACHE={"SOCKET": strict.path, "BIND": f"{__name__}.signals"}):
            browser = Browser()
            who = lambda request: request.user.username  # noqa: E731
            browser.do(logs_in("ann"), client="192.0.2.7")
            self.assertEqual(browser.do(who, client="192.0.2.7")["value"], "ann")
            self.assertEqual(browser.do(who, client="198.51.100.7")["value"], "")

    def test_a_form_whose_sender_has_gone(self):
        class Gone(io.BytesIO):
            def read(self, *_):
                raise OSError("connection reset")
        status, _, _ = wsgi_answer(
            Browser.handler, "/", "POST", "", SERVER_NAME="shop.example", SERVER_PORT="443", SCRIPT_NAME="", SERVER_PROTOCOL="HTTP/1.1",
            CONTENT_TYPE="application/x-www-form-urlencoded", CONTENT_LENGTH="9", HTTP_ORIGIN="https://shop.example",
            **{"wsgi.input": Gone(), "wsgi.errors": sys.stderr})
        self.assertEqual(status, "403 Forbidden")

    def test_settings_that_are_none(self):
        for paths in ({"API": "/api/"}, {"SKIP": "/static/"}, {"API": ["api/"]}, {"SKIP": [""]}):
            with override_settings(TOKENCACHE={"SOCKET": daemon.path, **paths}), self.assertLogs("django.request") as logs:
                self.assertEqual(Browser().ask("/act", "POST")[0], 500)
            self.assertRegex(logs.output[0], f"ImproperlyConfigured: TOKENCACHE: {[*paths][0]} is a list of texts that begin with /")
        with override_settings(TOKENCACHE={"SOKET": "/s"}), self.assertRaisesRegex(ImproperlyConfigured, "SOKET; allowed are SOCKET"):
            SessionStore().exists("0" * 32)

    def test_nobody_knows(self):
        with override_settings(TOKENCACHE={"SOCKET": "/nowhere/s"}):
            browser = Browser()
            browser.cookie = "__Host-tc=" + "ab" * 64
            status, headers, _ = browser.ask()
        self.assertEqual((status, headers["retry-after"], browser.set_cookie), (503, "1", ""))


if __name__ == "__main__":
    try:
        result = unittest.main(exit=False).result
    finally:
        daemon.end()
    sys.exit(not result.wasSuccessful())
