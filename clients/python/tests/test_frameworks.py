"""Flask, Starlette and FastAPI on the daemon in memory."""
import asyncio
import logging
import os
import sys
import unittest

import flask
import uvloop
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_daemon import WithDaemon  # noqa: E402
from tokencache import AsyncClient, AsyncSession, NotStored, Unavailable, commands  # noqa: E402
from tokencache.flask import TokenCache, visitor  # noqa: E402
from tokencache.starlette import SessionMiddleware, session_of, user_of  # noqa: E402
from tokencache.testing import AsyncMemoryClient, MemoryClient  # noqa: E402

logging.getLogger("tokencache").addHandler(logging.NullHandler())


class FlaskTests(unittest.TestCase):
    def setUp(self):
        self.daemon = MemoryClient()
        self.app = flask.Flask(__name__)
        self.app.logger.disabled = True
        TokenCache(self.app, self.daemon, api=("/api/",))
        self.app.add_url_rule("/<name>", view_func=lambda name: self.actions[name]() or "done")
        self.actions = {}
        self.browser = self.app.test_client()

    def do(self, action, browser=None):
        """A page that does this."""
        self.actions["x"] = action
        return (browser or self.browser).get("/x", base_url="https://shop.example")

    def test_only_what_changed_is_written(self):
        self.do(lambda: flask.session.update(a=[1], b={"c": 2}))
        written = []
        ask = self.daemon.ask
        self.daemon.ask = lambda command: written.append(command.words) or ask(command)
        self.do(lambda: flask.session["a"].append(2))
        self.assertEqual([words[-2:] for words in written if words[0] == "TOKEN.SET"], [("flask.a", "[1,2]")], "also inside of a value")
        written.clear()
        self.do(lambda: flask.session.pop("b") and None)
        self.assertEqual([words[-2:] for words in written if words[0] == "TOKEN.SET"], [("flask.b", "")])
        written.clear()
        self.assertEqual(self.do(lambda: str(dict(flask.session))).text, "{'a': [1, 2]}")
        self.assertEqual([words[0] for words in written], ["TOKEN.VISIT"], "one question a page")

    def test_a_guest_that_says_nothing_is_stored_nowhere(self):
        self.do(lambda: None)
        self.assertEqual(self.do(lambda: str(visitor.is_stored)).text, "False")

    def test_login_logout_and_a_message(self):
        def leave():
            visitor.logout()
            flask.session.clear()
            flask.flash("bye")
        self.do(lambda: flask.session.update(cart=3))
        self.do(lambda: visitor.login("ann", form=False) and None)
        self.assertEqual(self.do(lambda: f"{visitor.user} {flask.session['cart']}").text, "ann 3")
        self.assertEqual(self.do(leave).status_code, 200)
        self.assertEqual(self.do(lambda: f"{visitor.user} {flask.session.get('cart')} {flask.get_flashed_messages()}").text, "None None ['bye']")

    def test_faults_inside_of_flask(self):
        def raising(error):
            def action():
                visitor._failed(error)
            return action
        answer = self.do(raising(Unavailable("gone")))
        self.assertEqual((answer.status_code, answer.headers["Retry-After"]), (503, "1"))
        self.do(lambda: visitor.login("ann", form=False) and None)
        answer = self.do(raising(NotStored("replayed")))
        self.assertEqual((answer.status_code, answer.headers["Location"]), (303, "?again=1"))

        def late():
            self.daemon.down = True
            flask.session["a"] = 1
        self.assertEqual(self.do(late).status_code, 503, "while the session is written")

    def test_a_value_of_somebody_else(self):
        self.do(lambda: visitor.set({"flask.a": "{", "flask.b": "1"}))
        self.assertEqual(self.do(lambda: str(dict(flask.session))).text, "{'b': 1}")

    def test_templates(self):
        text = self.do(lambda: flask.render_template_string("{{ csrf_field() }}")).text
        self.assertRegex(text, '^<input type="hidden" name="csrf" value="[^"]+">$')

    def test_bound(self):
        app = flask.Flask(__name__)
        TokenCache(app, self.daemon, bind=lambda environ: {"ip": environ["REMOTE_ADDR"]})
        asked = []
        ask = self.daemon.ask
        self.daemon.ask = lambda command: asked.append(command.words) or ask(command)
        app.test_client().get("/", base_url="https://shop.example")
        self.assertIn("BIND ip 127.0.0.1", " ".join(map(str, asked[0])))


class StarletteTests(unittest.TestCase):
    def ask(self, page, token=""):
        return self.ask_app(Starlette(routes=[Route("/", page)]), token)

    def ask_app(self, app, token):
        app.add_middleware(SessionMiddleware, client=self.daemon)
        sent = []

        async def run():
            async def send(message):
                sent.append(message)

            async def receive():
                return {"type": "http.request", "body": b"", "more_body": False}
            await app({"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "root_path": "", "scheme": "https",
                       "http_version": "1.1", "server": ("shop.example", 443), "headers": [
                           (b"host", b"shop.example"), (b"cookie", f"__Host-tc={token}".encode()), (b"sec-fetch-mode", b"navigate")]},
                      receive, send)
        asyncio.run(run())
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]).decode()

    def setUp(self):
        self.daemon = AsyncMemoryClient()

    def test_who_is_it(self):
        token = self.daemon.answer(commands.login("", "ann"))["sessiontoken"]

        async def page(request):
            return PlainTextResponse(user_of(request))
        self.assertEqual(self.ask(page, token), (200, "ann"))
        self.assertEqual(self.ask(page)[0], 401)

    def test_fastapi(self):
        def app():
            api = FastAPI()

            @api.get("/")
            async def page(session: AsyncSession = Depends(session_of), user: str = Depends(user_of)):
                return [user, session.user]
            return api
        token = self.daemon.answer(commands.login("", "ann"))["sessiontoken"]
        self.assertEqual(self.ask_app(app(), token), (200, '["ann","ann"]'))
        self.assertEqual(self.ask_app(app(), "")[0], 401)

    def test_faults_inside_of_starlette(self):
        async def page(request):
            self.daemon.down = True
            await session_of(request).get("a")
        self.assertEqual(self.ask(page)[0], 503)


class UvloopTests(WithDaemon):
    """uvicorn takes uvloop's event loop where it is installed, as by `uvicorn[standard]`."""

    def test_the_client_in_its_loop(self):
        async def life():
            async with AsyncClient(self.daemon.path) as client:
                token = (await client.ask(commands.login("", "ann")))["sessiontoken"]
                return [(await client.ask(commands.validate(token)))["subject"] for _ in range(2)]
        loop = uvloop.new_event_loop()
        self.addCleanup(loop.close)
        self.assertEqual(loop.run_until_complete(life()), ["ann", "ann"])


if __name__ == "__main__":
    unittest.main()
