"""Before the real daemon, whose folder is BIN in the environment; and the daemon in memory, held to the same conversation."""
import asyncio
import contextlib
import inspect
import io
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from tokencache import (AsyncClient, AsyncSession, Client, CommandError, FormNotPassed, NotStored, Request, ResponseStarted, Session,
                        Unavailable, asgi, commands, wsgi)
from tokencache.testing import AsyncMemoryClient, MemoryClient

START_SECONDS = 20


class Daemon:
    """On its embedded Redis, in a temporary folder."""

    def __init__(self, *settings):
        self.folder = tempfile.mkdtemp(prefix="tokencache-test-")
        self.path = f"{self.folder}/tokencached.sock"
        # A busy machine may let Redis wait.
        self.settings = [word for setting in ("redis.timeout=1s", *settings) for word in ("--set", setting)]
        self.start()

    def start(self):
        self.log = open(f"{self.folder}/log", "ab")
        self.process = subprocess.Popen(
            [f"{os.environ['BIN']}/tokencached", "--socket", self.path, "--state-dir", f"{self.folder}/state", *self.settings],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + START_SECONDS
        client = Client(self.path)
        while True:
            try:
                client.ask(commands.count("nobody"))
                break
            except Unavailable:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.05)
        client.close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.log.close()

    def end(self):
        self.stop()
        shutil.rmtree(self.folder)


class WithDaemon(unittest.TestCase):
    settings = ()

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(*cls.settings)
        cls.addClassCleanup(cls.daemon.end)
        cls.client = Client(cls.daemon.path)
        cls.addClassCleanup(cls.client.close)


def shape(reply):
    """What of a reply both daemons must agree on."""
    if isinstance(reply, dict):
        kept = {name: value for name, value in reply.items() if name in (
            "status", "accepted", "kind", "subject", "generation", "check", "data", "value", "changed", "count", "reason", "ended",
            "data_fields")}
        if "max_age" in reply:
            # Rounded down, a moment later.
            kept["max_age"] = round(reply["max_age"], -1)
        return kept, sorted(reply)
    return [shape(item) for item in reply] if isinstance(reply, list) else reply


def conversation(ask):
    """What a site asks in its life, and what it was answered: yields shapes. Tokens are kept by name."""
    def said(command):
        try:
            reply = ask(command)
        except CommandError:
            return "ERR", {}
        return shape(reply), reply
    page = dict(csrf=True, form="site", mode="navigate", site="none")
    what, guest = said(commands.visit("", **page))
    yield "first visit", what
    token, csrf = guest["sessiontoken"], guest["csrf"]
    for name, command in {
            "second visit": commands.visit(token, **page), "an image": commands.visit("", mode="no-cors"),
            "an unknown token": commands.visit("x", **page), "validate a guest": commands.validate(token),
            "validate a guest as user": commands.validate(token, subject=True), "get of a guest": commands.get(token),
            "nothing": commands.validate(""), "good form": commands.csrf_verify(token, csrf, "site"),
            "other form": commands.csrf_verify(token, csrf, "other"), "forged form": commands.csrf_verify(token, "forged", "site"),
            "cross-site form": commands.csrf_verify(token, csrf, "site", site="cross-site"),
            "form of nobody": commands.csrf_verify("", csrf, "site"), "checked": commands.visit(token, check=csrf, **page, post=True),
            "from a payment": commands.visit("", site="cross-site", mode="navigate", post=True), "take nothing": commands.take(token, "x"),
            "count nothing": commands.increment(token, "n", 0), "an if that fails": commands.put(token, {"a": "1"}, only_if={"a": "2"}),
            "revoke a guest": commands.revoke(token), "empty values": commands.put(token, {"a": ""})}.items():
        yield name, said(command)[0]
    what, cart = said(commands.put(token, {"cart": "pen"}))
    yield "cart", what
    stored = cart["sessiontoken"]
    for name, command in {
            "csrf after": commands.csrf_verify(stored, csrf, "site"), "data": commands.visit(stored, data=("cart", "none"), **page),
            "again": commands.put(stored, {"cart": "pen"}), "more": commands.put(stored, {"a": "1", "b": "2"}, only_if={"a": ""}),
            "conflict": commands.put(stored, {"a": "3"}, only_if={"a": "2"}), "incr": commands.increment(stored, "n", 5),
            "incr of a text": commands.increment(stored, "cart"), "take": commands.take(stored, "a", "b"),
            "take again": commands.take(stored, "a"), "all": commands.get(stored), "anonymous": commands.validate(stored, subject=True)}.items():
        yield name, said(command)[0]
    captcha = said(commands.captcha_issue("contact", holder=stored))[1]
    for name, command in {
            "open": commands.captcha_open(captcha["captcha"]), "open none": commands.captcha_open("x"),
            "of another form": commands.captcha_verify(captcha["captcha"], "x", "other", holder=stored),
            "of another": commands.captcha_verify(captcha["captcha"], captcha["solution"], "contact", holder=guest["csrf"]),
            "right": commands.captcha_verify(captcha["captcha"], captcha["solution"].lower() + " ", "contact", holder=stored),
            "spent": commands.captcha_verify(captcha["captcha"], captcha["solution"], "contact", holder=stored)}.items():
        what = said(command)[0]
        yield name, what[0] if name == "open" else what
    yield "wrong captcha", said(commands.captcha_verify(
        said(commands.captcha_issue(solution="seven"))[1]["captcha"], "eight"))[0]
    what, login = said(commands.login(stored, "ann", csrf="site", data={"place": "Graz"}))
    yield "login", what
    ann = login["sessiontoken"]
    yield "login again", said(commands.login(stored, "ann", csrf="site", data={"place": "Graz"}))[0]
    for name, command in {
            "the old token": commands.visit(stored, **page), "the double click": commands.visit(stored, check=csrf, post=True, **page),
            "the old form": commands.csrf_verify(ann, csrf, "site"), "the next form": commands.csrf_verify(ann, login["csrf"], "site"),
            "set by the old token": commands.put(stored, {"a": "1"}), "who": commands.validate(ann, subject=True, login_within="10m"),
            "inspect": commands.inspect_sid(login["sid"]), "by sid": commands.put_sid(login["sid"], {"b": "2"}, "ann"),
            "by sid of bob": commands.put_sid(login["sid"], {"b": "3"}, "bob"), "data by sid": commands.get_sid(login["sid"], "b"),
            "inspect nobody": commands.inspect_sid("0" * 32), "revoke by the old token": commands.revoke(stored),
            "expire": commands.expire(ann, idle="1h"), "count": commands.count("ann")}.items():
        yield name, said(command)[0]
    what, phone = said(commands.login("", "ann", idle="30d", absolute="90d"))
    yield "remembered", what
    yield "without a password", said(commands.issue("ann", auth_time=0, cookie="session", idle=600, absolute=900))[0]
    for name, command in {
            "list": commands.sessions("ann", "place"), "bob ends ann's": commands.revoke_sid(phone["sid"], "bob"),
            "ann ends hers": commands.revoke_sid(phone["sid"], "ann"), "the phone": commands.visit(phone["sessiontoken"], **page),
            "the phone's api": commands.validate(phone["sessiontoken"], subject=True)}.items():
        yield name, said(command)[0]
    what, rotated = said(commands.rotate(ann, csrf="site"))
    yield "rotate", what
    ann = rotated["sessiontoken"]
    what, bob = said(commands.login(ann, "bob", most=1))
    yield "bob at ann's", what
    for name, command in {
            "ann's token": commands.visit(ann, **page), "everybody but one": commands.revoke_all("bob", keep=bob["sessiontoken"]),
            "but one of another": commands.revoke_all("ann", keep=bob["sessiontoken"]), "all": commands.revoke_all("ann"),
            "logout": commands.revoke(bob["sessiontoken"]), "logout again": commands.revoke(bob["sessiontoken"]),
            "after it": commands.visit(bob["sessiontoken"], **page), "set after it": commands.put(bob["sessiontoken"], {"a": "1"})}.items():
        yield name, said(command)[0]


class MemoryTests(WithDaemon):
    maxDiff = None

    def test_it_answers_as_the_daemon_does(self):
        steps = 0
        for (name, real), (_, memory) in zip(conversation(self.client.ask), conversation(MemoryClient().ask)):
            with self.subTest(name):
                self.assertEqual(memory, real, name)
            steps += 1
        self.assertGreater(steps, 70)

    def test_time_and_faults(self):
        now = [1000.0]
        client = MemoryClient(lambda: now[0])
        token = client.ask(commands.login("", "ann"))["sessiontoken"]
        now[0] += 7199
        self.assertEqual(client.ask(commands.validate(token))["subject"], "ann")
        now[0] += 7200
        self.assertEqual(client.ask(commands.validate(token))["status"], "unknown")
        client.down = True
        with self.assertRaises(Unavailable):
            client.ask(commands.validate(token))

    def test_asynchronous(self):
        async def life():
            client = AsyncMemoryClient()
            session = AsyncSession(client, Request("GET", fetch_mode="navigate"))
            await session.visit()
            await session.login("ann", form=False)
            return session.user
        self.assertEqual(asyncio.run(life()), "ann")


class SessionTests(WithDaemon):
    settings = ("rotation.after=1s", "rotation.overlap=500ms")

    def session(self, token="", method="GET", **facts):
        session = Session(self.client, Request(method, cookie=f"__Host-tc={token}", fetch_mode="navigate", **facts))
        session.visit()
        return session

    def token(self, session):
        return session.set_cookie.partition(";")[0].partition("=")[2]

    def test_a_life(self):
        guest = self.session()
        self.assertIsNone(guest.user)
        self.assertFalse(guest.accepted)
        self.assertEqual(guest.check(guest.csrf), "passed")
        captcha = guest.captcha("contact")
        self.assertTrue(guest.captcha_passed(captcha.token, captcha.solution, "contact"))
        self.assertFalse(guest.captcha_passed(captcha.token, captcha.solution, "contact"))
        guest.set({"cart.pen": "3"})
        self.assertTrue(guest.is_stored)
        member = self.session(self.token(guest))
        self.assertTrue(member.accepted)
        self.assertTrue(member.login("iris", remember=True, data={"place": "Graz"}, form=False))
        self.assertRegex(member.set_cookie, "Max-Age=(7776000|7775999);")
        self.assertEqual(member.user, "iris")
        member.flash("welcome")
        token = self.token(member)
        page = self.session(token)
        self.assertEqual((page.flashed(), page.flashed()), ("welcome", None))
        self.assertEqual(page.get("cart.pen", "place"), {"cart.pen": "3", "place": "Graz"})
        self.assertTrue(page.logged_in_within("10m"))
        self.assertFalse(page.set({"place": "Wien"}, only_if={"place": "Linz"}))
        self.assertEqual(page.increment("n", 3), 3)
        self.assertIsNone(page.set_cookie)
        phone = self.session()
        phone.login("iris", form=False)
        devices = page.devices("place")
        self.assertEqual({device.sid: device.current for device in devices}, {page.sid: True, phone.sid: False})
        stranger = self.session()
        stranger.login("bob", form=False)
        self.assertFalse(stranger.end_device(phone.sid))
        for text in ("", "x", phone.sid.upper(), "0" * 32, "SUBJECT"):
            self.assertFalse(page.end_device(text))
        self.assertTrue(page.end_device(phone.sid))
        self.assertTrue(page.logout())
        self.assertIn("Max-Age=0", page.set_cookie)
        self.assertIsNone(page.user)
        page.start({"flash": "bye"})
        self.assertEqual(self.session(self.token(page)).flashed(), "bye")
        with self.assertRaises(PermissionError):
            page.devices()

    def test_the_login_of_a_page_that_rotated_asks_about_the_cookie_that_came(self):
        first = self.session()
        first.login("ann", form=False)
        token = self.token(first)
        time.sleep(1.1)
        page = self.session(token)
        self.assertIsNotNone(page.set_cookie, "it was due")
        self.assertTrue(page.logged_in_within("10m"))
        # The answer is lost: the old token leads to the same successor, however late.
        time.sleep(0.7)
        again = self.session(token)
        self.assertEqual((again.user, self.token(again)), ("ann", self.token(page)))

    def test_a_login_and_a_captcha_want_a_genuine_form(self):
        for check in (lambda session: None, lambda session: session.check("forged")):
            guest = self.session()
            check(guest)
            with self.assertRaisesRegex(FormNotPassed, "login without a genuine form"):
                guest.login("ann")
            self.assertIsNone(guest.user)
            captcha = guest.captcha("contact")
            if guest._form_status:
                self.assertFalse(guest.captcha_passed(captcha.token, captcha.solution, "contact"))
            else:
                with self.assertRaisesRegex(FormNotPassed, "ask check first"):
                    guest.captcha_passed(captcha.token, captcha.solution, "contact")
            self.assertTrue(guest.captcha_passed(captcha.token, captcha.solution, "contact", csrf=False), "it was not spent")
            self.assertTrue(guest.login("ann", form=False))

    def test_whatever_visitors_send_is_no_fault_of_the_site(self):
        for text in ("", "\0", "é", "\r\n", "-", "SID", "sid", "BIND", "DATA", "a" * 9000, "\udc80", "\ud800", "http://[", 5, None):
            header = text if isinstance(text, str) else ""
            for api in (False, True):
                session = self.session(header, "POST", host=header, query=header, fetch_site=header, origin=header, api=api)
                self.assertIsNone(session.user)
                self.assertNotEqual(session.check(text), "passed")
                self.assertFalse(session.captcha_passed(text, text, "contact", csrf=False))
                self.assertEqual(session.get("a"), {})
                self.assertEqual(session.take("a"), {})
                self.assertFalse(session.logged_in_within("1h"))
                self.assertFalse(session.logout())
                with contextlib.suppress(NotStored):
                    session.increment("n")
                self.assertTrue(session.login("ann", form=False))
                self.assertFalse(session.end_device(text))

    def test_keeping_a_session_that_ended_meanwhile(self):
        first = self.session()
        first.login("ann", form=False)
        one, other = (self.session(self.token(first)) for _ in range(2))
        self.assertTrue(one.logout())
        with self.assertRaises(NotStored):
            other.logout_everywhere(keep_this=True)

    def test_a_token_from_before_a_login(self):
        first = self.session()
        first.login("ann", form=False)
        old, first = self.token(first), self.session(self.token(first))
        first.login("ann", form=False)
        late = self.session(old)
        self.assertIsNone(late.user)
        self.assertEqual(late.come_again, "?again=1")
        self.assertIsNone(late.set_cookie)
        with self.assertRaises(NotStored):
            late.set({"a": "1"})
        self.assertFalse(late.logout())
        self.assertIsNone(late.set_cookie)
        self.assertEqual(self.session(old, query="a=b").come_again, "?a=b&again=1")
        self.assertIsNone(self.session(old, query="a=b&again=1").come_again)

    def test_after_the_response_began(self):
        guest = self.session()
        guest.response_started = True
        for call in (lambda: guest.login("ann", form=False), lambda: guest.set({"a": "1"}), guest.logout, guest.rotate):
            with self.assertRaises(ResponseStarted):
                call()

    def test_names_that_are_none(self):
        for name in ("", "x" * 257, "ä" * 129):
            with self.assertRaisesRegex(ValueError, "1 to 256 bytes"):
                self.session().login(name, form=False)
        # Words of the protocol are names as any other.
        for name in ("DATA", "SUBJECT", "\r\n", "ä" * 128):
            session = self.session()
            session.login(name, form=False)
            self.assertEqual(self.session(self.token(session)).user, name)

    def test_many_threads_share_a_client(self):
        sessions = [self.session() for _ in range(8)]
        for number, session in enumerate(sessions):
            session.login(f"user{number}", form=False)
        tokens, wrong = [self.token(session) for session in sessions], []

        def look(number):
            for _ in range(200):
                reply = self.client.ask(commands.validate(tokens[number], subject=True, mode="cors"))
                if reply.get("subject") != f"user{number}":
                    wrong.append(reply)
        threads = [threading.Thread(target=look, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_many_tasks_share_a_client(self):
        async def look(client, number):
            session = AsyncSession(client, Request("GET", fetch_mode="navigate"))
            await session.visit()
            await session.login(f"user{number}", form=False)
            token = self.token(session)
            for _ in range(50):
                reply = await client.ask(commands.validate(token, subject=True, mode="cors"))
                self.assertEqual(reply["subject"], f"user{number}")

        async def run():
            async with AsyncClient(self.daemon.path) as client:
                await asyncio.gather(*[look(client, number) for number in range(20)])
        asyncio.run(run())

    def test_a_daemon_that_is_started_again(self):
        session = self.session()
        session.login("ann", form=False)
        token = self.token(session)
        self.daemon.stop()
        with self.assertRaises(Unavailable):
            self.client.ask(commands.validate(token))
        self.daemon.start()
        self.assertEqual(self.client.ask(commands.validate(token))["subject"], "ann")


class BoundTests(WithDaemon):
    settings = ("binding.ip=strict", "binding.ua=strict")
    home, elsewhere = {"ip": "192.0.2.7", "ua": "ä" * 5000}, {"ip": "198.51.100.7", "ua": "ä" * 5000}

    async def life(self, make):
        """Whatever has a token, of either kind of session."""
        async def done(value):
            return await value if inspect.isawaitable(value) else value

        async def visit(token="", method="GET", bind=self.home, **facts):
            session = make(Request(method, cookie=f"__Host-tc={token}", fetch_mode="navigate", **facts), bind=bind)
            await done(session.visit())
            return session

        def token_of(session):
            return session.set_cookie.partition(";")[0].partition("=")[2]
        guest = await visit()
        self.assertEqual(await done(guest.increment("n")), 1)
        session = await visit(token_of(guest))
        self.assertTrue(session.accepted)
        self.assertEqual(await done(session.check(session.csrf)), "passed")
        captcha = await done(session.captcha("contact"))
        self.assertTrue(await done(session.captcha_passed(captcha.token, captcha.solution, "contact")))
        self.assertTrue(await done(session.login("iris")))
        self.assertTrue(await done(session.set({"a": "1"})))
        self.assertEqual(await done(session.get("a")), {"a": "1"})
        self.assertEqual(await done(session.take("a")), {"a": "1"})
        self.assertEqual(await done(session.increment("n")), 2)
        self.assertTrue(await done(session.expire(idle="1h")))
        self.assertTrue(await done(session.rotate()))
        self.assertTrue(await done(session.logged_in_within("1h")))
        self.assertEqual(await done(session.logout_everywhere(keep_this=True)), 0)
        token = token_of(session)
        for api in (False, True):
            self.assertEqual((await visit(token, api=api)).user, "iris")
            self.assertIsNone((await visit(token, api=api, bind=self.elsewhere)).user)
            self.assertIsNone((await visit(token, api=api, bind={})).user)
        with self.assertRaises(CommandError):
            await done((await visit(bind={})).login("iris", form=False))
        self.assertTrue(await done((await visit(bind={"ip": "192.0.2.7", "ua": ""})).login("jane", form=False)))
        self.assertTrue(await done(session.logout()))
        await done(session.start({"flash": "bye"}))
        self.assertEqual(await done((await visit(token_of(session))).flashed()), "bye")

    def test_tokens_are_bound_to_the_signals_that_are_given(self):
        asyncio.run(self.life(lambda request, bind: Session(self.client, request, bind=bind)))

        async def later():
            async with AsyncClient(self.daemon.path) as client:
                await self.life(lambda request, bind: AsyncSession(client, request, bind=bind))
        asyncio.run(later())

    def test_wsgi(self):
        def page(environ, start_response):
            session = wsgi.session_of(environ)
            if environ["REQUEST_METHOD"] == "POST":
                session.login("ann", form=False)
            start_response("200 OK", [])
            return [str(session.user).encode()]
        site = wsgi.SessionMiddleware(page, self.client, bind=lambda environ: {
            "ip": environ["REMOTE_ADDR"], "ua": environ.get("HTTP_USER_AGENT")})
        here = {"REMOTE_ADDR": "192.0.2.7", "HTTP_USER_AGENT": "browser"}
        _, fields, body = wsgi_answer(site, method="POST", **here)
        self.assertEqual(body, b"ann")
        cookie = dict(fields)["set-cookie"].partition(";")[0]
        self.assertEqual(wsgi_answer(site, cookie=cookie, **here)[2], b"ann")
        self.assertEqual(wsgi_answer(site, cookie=cookie, **{**here, "REMOTE_ADDR": "198.51.100.7"})[2], b"None")

    def test_asgi(self):
        async def page(scope, receive, send):
            session = asgi.session_of(scope)
            if scope["method"] == "POST":
                await session.login("ann", form=False)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": str(session.user).encode()})

        def signals(scope):
            return {"ip": scope["client"][0], "ua": dict(scope["headers"])[b"user-agent"].decode("latin-1")}

        async def run():
            async with AsyncClient(self.daemon.path) as client:
                async def ask(method, address, cookie=b""):
                    sent = []

                    async def send(message):
                        sent.append(message)
                    await asgi.SessionMiddleware(page, client, bind=signals)({
                        "type": "http", "method": method, "path": "/", "scheme": "https", "client": (address, 1), "headers": [
                            (b"host", b"shop.example"), (b"user-agent", b"browser"), (b"cookie", cookie)]}, None, send)
                    return dict(sent[0]["headers"]).get(b"set-cookie", b"").partition(b";")[0], sent[1]["body"]
                cookie, body = await ask("POST", "192.0.2.7")
                self.assertEqual(body, b"ann")
                self.assertEqual((await ask("GET", "192.0.2.7", cookie))[1], b"ann")
                self.assertEqual((await ask("GET", "198.51.100.7", cookie))[1], b"None")
        asyncio.run(run())


def wsgi_answer(application, path="/", method="GET", cookie="", **headers):
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "HTTP_COOKIE": cookie, "HTTP_HOST": "shop.example",
               "wsgi.url_scheme": "https", "wsgi.input": io.BytesIO(), "HTTP_SEC_FETCH_MODE": "navigate", **headers}
    heads = []
    body = application(environ, lambda status, fields, exc_info=None: heads.append((status, fields)))
    data = b"".join(body)
    if hasattr(body, "close"):
        body.close()
    assert len(heads) == 1
    status, fields = heads[0]
    return status, [(name.lower(), value) for name, value in fields], data


logging.getLogger("tokencache").addHandler(logging.NullHandler())


class MiddlewareTests(unittest.TestCase):
    """On the daemon in memory; WSGI and ASGI are told of the same pages."""

    def run_both(self, page, path="/", down=False, fields=(), method="GET", cookie="", **headers):
        """The same request to a WSGI and an ASGI application; both must answer the same, but for tokens."""
        def start(environ, start_response):
            page(wsgi.session_of(environ))
            start_response("200 OK", list(fields))
            return [b"page"]
        client = MemoryClient()
        client.down = down
        options = {"api": ("/api/",), "skip": ("/static/",)}
        first = wsgi_answer(wsgi.SessionMiddleware(start, client, **options), path, method, cookie, **headers)

        async def app(scope, receive, send):
            session = asgi.session_of(scope)
            blocking = Session(client, session.request)
            blocking.__dict__.update({**session.__dict__, "client": client})
            try:
                page(blocking)
            finally:
                session.__dict__.update({**blocking.__dict__, "client": session.client})
            await send({"type": "http.response.start", "status": 200,
                        "headers": [(name.encode(), value.encode()) for name, value in fields]})
            await send({"type": "http.response.body", "body": b"page"})
        sent = []

        async def run():
            memory = AsyncMemoryClient()
            memory.__dict__ = client.__dict__

            async def send(message):
                sent.append(message)
            scope = {"type": "http", "method": method, "path": path, "query_string": b"", "scheme": "https", "headers": [
                (b"host", b"shop.example"), (b"cookie", cookie.encode()), (b"sec-fetch-mode", headers.get("HTTP_SEC_FETCH_MODE", "navigate").encode()),
                *([(b"sec-fetch-site", headers["HTTP_SEC_FETCH_SITE"].encode())] if "HTTP_SEC_FETCH_SITE" in headers else [])]}
            await asgi.SessionMiddleware(app, memory, **options)(scope, None, send)
        asyncio.run(run())
        head, *bodies = sent
        second = (head["status"], [(name.decode(), value.decode()) for name, value in head["headers"]], b"".join(b["body"] for b in bodies))
        plain = [(name, re.sub("=[^;]+", "=t", value, count=1) if name == "set-cookie" else value) for name, value in first[1]]
        self.assertEqual((int(first[0][:3]), plain, first[2]), (second[0], [
            (name, re.sub("=[^;]+", "=t", value, count=1) if name == "set-cookie" else value) for name, value in second[1]], second[2]))
        return first

    def test_a_page_gives_the_cookie_and_is_stored_by_nobody(self):
        _, fields, body = self.run_both(lambda session: None, fields=[("Cache-Control", "public, max-age=60"), ("Expires", "tomorrow")])
        self.assertEqual(body, b"page")
        self.assertEqual([value for name, value in fields if name == "cache-control"], ["no-store"])
        self.assertNotIn("expires", dict(fields))
        self.assertRegex(dict(fields)["set-cookie"], r"^__Host-tc=[^;]+; Path=/; Secure; HttpOnly; SameSite=Lax$")

    def test_a_page_without_a_cookie_to_set(self):
        answer = self.run_both(lambda session: None, HTTP_SEC_FETCH_MODE="cors")
        self.assertNotIn("set-cookie", dict(answer[1]))
        self.assertEqual(dict(answer[1])["cache-control"], "no-store")
        answer = self.run_both(lambda session: None, HTTP_SEC_FETCH_MODE="cors", fields=[("Cache-Control", "max-age=60")])
        self.assertEqual(dict(answer[1])["cache-control"], "max-age=60", "what the page says of caches holds")

    def test_a_page_with_a_form_is_stored_by_nobody(self):
        public = [("Cache-Control", "public, max-age=60"), ("Expires", "tomorrow")]
        for use in (lambda session: session.csrf, lambda session: session.csrf_field, lambda session: session.captcha("contact")):
            _, fields, _ = self.run_both(use, HTTP_SEC_FETCH_MODE="cors", fields=public)
            self.assertEqual(fields, [("cache-control", "no-store")], "without a cookie to set, too")

    def test_a_cookie_of_the_same_name_that_the_site_wrote(self):
        own = [("Set-Cookie", "__Host-tc=x; Path=/"), ("set-cookie", "a=__Host-tc=1"), ("Set-Cookie", "__host-tc=y"), ("Set-Cookie", "tc=z")]
        _, fields, _ = self.run_both(lambda session: session.login("ann", form=False), fields=own)
        cookies = [value for name, value in fields if name == "set-cookie"]
        self.assertEqual(cookies[:-1], ["a=__Host-tc=1", "__host-tc=y", "tc=z"])
        self.assertRegex(cookies[-1], "^__Host-tc=[0-9a-f]{128};")

    def test_nobody_knows(self):
        status, fields, _ = self.run_both(lambda session: self.fail("it was asked"), down=True)
        self.assertEqual(status, "503 Service Unavailable")
        self.assertEqual(dict(fields)["retry-after"], "1")
        self.assertNotIn("set-cookie", dict(fields))

    def test_nobody_knows_after_a_login(self):
        def page(session):
            session.login("ann", form=False)
            session.client.down = True
            try:
                session.get("a")
            finally:
                session.client.down = False
        status, fields, _ = self.run_both(page)
        self.assertEqual(status, "503 Service Unavailable")
        self.assertRegex(dict(fields)["set-cookie"], "^__Host-tc=[0-9a-f]{128};", "the token that was given goes out")

    def test_an_error_page_of_a_framework_for_what_nobody_knows(self):
        def app(environ, start_response):
            session = wsgi.session_of(environ)
            try:
                session._failed(Unavailable("gone"))
            except Unavailable:
                start_response("500 Internal Server Error", [])
                return [b"oops"]
        self.assertEqual(wsgi_answer(wsgi.SessionMiddleware(app, MemoryClient()))[0], "503 Service Unavailable")

    def test_nothing_stored(self):
        def page(session):
            raise NotStored("replayed")
        token = "__Host-tc=" + "ab" * 64
        self.assertEqual(self.run_both(page, method="POST", HTTP_SEC_FETCH_SITE="same-origin", cookie=token)[0], "409 Conflict")

    def test_programs(self):
        answer = self.run_both(lambda session: self.assertIsNone(session.user), "/api/me")
        self.assertEqual((answer[0], "set-cookie" in dict(answer[1])), ("200 OK", False))
        for site, status in (("cross-site", "403 Forbidden"), ("same-site", "403 Forbidden"), ("same-origin", "200 OK")):
            self.assertEqual(self.run_both(lambda session: None, "/api/x", method="POST", HTTP_SEC_FETCH_SITE=site)[0], status)

    def test_what_is_skipped(self):
        def app(environ, start_response):
            self.assertNotIn(wsgi.KEY, environ)
            start_response("200 OK", [])
            return [b""]
        answer = wsgi_answer(wsgi.SessionMiddleware(app, MemoryClient(), skip=("/static/",)), "/static/x")
        self.assertEqual(answer[1], [])

    def test_generators_write_and_close(self):
        closed = []

        def app(environ, start_response):
            start_response("200 OK", [])
            try:
                yield b""
                wsgi.session_of(environ).login("ann", form=False)
                yield b"late"
                with self.assertRaises(ResponseStarted):
                    wsgi.session_of(environ).login("bob", form=False)
            finally:
                closed.append(True)
        _, fields, body = wsgi_answer(wsgi.SessionMiddleware(app, MemoryClient()))
        self.assertRegex(dict(fields)["set-cookie"], "^__Host-tc=[0-9a-f]{128};", "of a login after start_response, before the first bytes")
        self.assertEqual((body, closed), (b"late", [True]))

        def failing(environ, start_response):
            start_response("200 OK", [])
            yield b"some"
            raise Unavailable("gone")
        with self.assertRaises(Unavailable):
            wsgi_answer(wsgi.SessionMiddleware(failing, MemoryClient()))

    def test_websockets(self):
        async def app(scope, receive, send):
            if asgi.session_of(scope).user != "ann":
                await send({"type": "websocket.close", "code": 4401})
                return
            await send({"type": "websocket.accept"})

        async def run(client, token, site):
            sent = []

            async def send(message):
                sent.append(message)
            scope = {"type": "websocket", "path": "/", "scheme": "wss", "headers": [
                (b"host", b"shop.example"), (b"cookie", f"__Host-tc={token}".encode()), (b"sec-fetch-mode", b"websocket"),
                (b"origin", site.encode())]}
            await asgi.SessionMiddleware(app, client)(scope, None, send)
            return sent[0]["type"], sent[0].get("code")
        client = AsyncMemoryClient()
        token = client.answer(commands.login("", "ann"))["sessiontoken"]
        ours = "https://shop.example"
        self.assertEqual(asyncio.run(run(client, token, ours)), ("websocket.accept", None))
        self.assertEqual(asyncio.run(run(client, "", ours)), ("websocket.close", 4401))
        self.assertEqual(asyncio.run(run(client, token, "https://evil.example")), ("websocket.close", 1008))
        client.down = True
        self.assertEqual(asyncio.run(run(client, token, ours)), ("websocket.close", 1013))
        for scheme, plain in (("ws", "http"), ("wss", "https"), ("http", "http"), ("https", "https")):
            self.assertEqual(asgi.request_of({"headers": [], "scheme": scheme}, True).scheme, plain, "the same cookie")


if __name__ == "__main__":
    if "BIN" not in os.environ:
        sys.exit("BIN is the folder of tokencached")
    unittest.main()
