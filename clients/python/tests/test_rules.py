"""What needs no daemon: cookies, tokens, requests, commands, and clients before a daemon that fails."""
import asyncio
import contextlib
import inspect
import os
import socket
import tempfile
import threading
import time
import unittest

from tokencache import (AsyncClient, AsyncSession, Client, CommandError, Cookie, Request, Session, Unavailable, asgi, commands, sid_of,
                        wsgi)
from tokencache._wire import encode

TOKEN = "ab" * 64
OTHER = "cd" * 64
GUEST = ("eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiJiNWFiYjY1ZTQ5MDBhMDkwYTNiZWJiNTg3YzM1Mjk2MSIsImlhdCI6MTc5NTgxNzYxMn0.c2ln")
HELLO = b"%1\r\n$5\r\nproto\r\n:3\r\n"
UNAVAILABLE = b"-UNAVAILABLE Redis did not answer in time\r\n"


def accepted(sid):
    fields = ("+status", "+valid", "+accepted", ":1", "+kind", "+session", "+subject", "+ann", "+auth_time", ":1", "+sid", f"+{sid}")
    return "\r\n".join(("%6", *fields, "")).encode()


class Fake:
    """A daemon that answers each command with the next of these: bytes, None to close, or seconds to wait before the bytes."""

    def __init__(self, *replies):
        self.replies, self.connections, self.asked = list(replies), 0, []

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "s")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.folder.cleanup()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                self.connections += 1
                threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        with connection, connection.makefile("rb") as stream, contextlib.suppress(OSError, ValueError):
            while True:
                words = []
                for _ in range(int(stream.readline()[1:])):
                    words.append(stream.read(int(stream.readline()[1:]) + 2)[:-2])
                if words[0] == b"HELLO":
                    connection.sendall(HELLO)
                    continue
                self.asked.append(words)
                reply = self.replies.pop(0)
                if reply is None:
                    return
                if isinstance(reply, tuple):
                    time.sleep(reply[0])
                    reply = reply[1]
                connection.sendall(reply)


class ClientTests(unittest.TestCase):
    """Each rule for the blocking client and for the asynchronous one."""

    def ask(self, fake, *asks, timeout=2.0):
        """What each ask of one client came to, blocking; then the same of an asynchronous one, before the same replies."""
        replies = list(fake.replies)

        def blocking():
            client = Client(fake.path, timeout)
            results = []
            for command in asks:
                try:
                    results.append(client.ask(command))
                except Exception as error:
                    results.append(type(error))
            client.close()
            return results

        async def tasks():
            async with AsyncClient(fake.path, timeout) as client:
                results = []
                for command in asks:
                    try:
                        results.append(await client.ask(command))
                    except Exception as error:
                        results.append(type(error))
                return results
        first = blocking()
        connections, fake.connections, fake.replies = fake.connections, 0, replies
        self.assertEqual(asyncio.run(tasks()), first)
        self.assertEqual(fake.connections, connections)
        return first, connections

    def test_one_connection_for_questions_one_after_the_other(self):
        with Fake(b":1\r\n", b":2\r\n", b"-ERR no\r\n", UNAVAILABLE, b":3\r\n") as fake:
            results, connections = self.ask(fake, *[commands.count("ann")] * 5)
        self.assertEqual(results, [1, 2, CommandError, Unavailable, 3])
        self.assertEqual(connections, 1)

    def test_after_a_timeout_the_late_reply_answers_nobody(self):
        with Fake((1.5, b":1\r\n"), b":2\r\n") as fake:
            results, connections = self.ask(fake, commands.count("ann"), commands.count("bob"), timeout=0.7)
        self.assertEqual((results, connections), ([Unavailable, 2], 2))

    def test_each_question_has_the_whole_time(self):
        with Fake(*[(0.3, b":1\r\n")] * 3, (1.5, b":1\r\n"), b":2\r\n") as fake:
            results, connections = self.ask(fake, *[commands.count("ann")] * 5, timeout=0.7)
        self.assertEqual((results, connections), ([1, 1, 1, Unavailable, 2], 2))

    def test_whatever_is_broken_is_unavailable_and_asked_once(self):
        for broken in (None, b"HTTP/1.1 400 Bad Request\r\n", b":1\r\n:2\r\n", b"$5\r\nabc"):
            with self.subTest(broken), Fake(*([(0, broken)] if broken else [None]), b":2\r\n") as fake:
                results, connections = self.ask(fake, commands.count("ann"), commands.count("bob"), timeout=0.7)
                self.assertEqual((results, connections), ([Unavailable, 2], 2))
                self.assertEqual(len(fake.asked), 4, "two clients, two questions each")

    def test_a_reply_about_another_session_is_believed_by_nobody(self):
        with Fake(accepted(OTHER[:32]), accepted(TOKEN[:32])) as fake:
            results, connections = self.ask(fake, commands.visit(TOKEN), commands.visit(TOKEN))
        self.assertEqual(results[0], Unavailable)
        self.assertEqual((results[1]["sid"], connections), (TOKEN[:32], 2))

    def test_what_is_no_reply_to_the_command_is_believed_by_nobody(self):
        whole = accepted(TOKEN[:32])
        for broken in (b"+OK\r\n", b"*0\r\n", b"%0\r\n", b"_\r\n", whole.replace(b"accepted", b"accented"), whole.replace(b":1", b"+1"),
                       whole.replace(b"+ann", b"_"), whole.replace(b"%6", b"%7") + b"+data\r\n*0\r\n",
                       whole.replace(b"%6", b"%7") + b"+data\r\n%1\r\n+a\r\n:1\r\n"):
            with self.subTest(broken), Fake(broken, whole) as fake:
                results, connections = self.ask(fake, commands.visit(TOKEN), commands.visit(TOKEN))
                self.assertEqual((results[0], results[1]["subject"], connections), (Unavailable, "ann", 2))

    def test_of_every_command_it_is_known_what_its_reply_looks_like(self):
        asked = {
            "visit": ("t",), "validate": ("t",), "issue": (), "login": ("t", "ann"), "rotate": ("t",), "expire": ("t",), "revoke": ("t",),
            "revoke_sid": ("s",), "revoke_all": ("ann",), "sessions": ("ann",), "count": ("ann",), "get": ("t",), "get_sid": ("s",),
            "inspect_sid": ("s",), "put": ("t", {"a": "1"}), "put_sid": ("s", {"a": "1"}), "take": ("t", "a"), "increment": ("t", "a"),
            "csrf_issue": ("t",), "csrf_verify": ("t", "c"), "captcha_issue": (), "captcha_open": ("c",), "captcha_verify": ("c", "a")}
        self.assertEqual(set(asked), {name for name, value in vars(commands).items() if inspect.isfunction(value)
                                      and value.__module__ == commands.__name__ and not name.startswith("_")})
        for name, arguments in asked.items():
            reply = getattr(commands, name)(*arguments).reply
            for broken in ("OK", None, {}, {"status": 1, "accepted": 1}, {"status": "revoked", "accepted": "0"}, [{}], ["OK"],
                           {"status": "issued", "accepted": 1, "sid": None}):
                self.assertFalse(reply.fits(broken), (name, broken))

    def test_a_connection_that_the_daemon_closed_is_not_used(self):
        with Fake(b":1\r\n", b":2\r\n") as fake:
            client = Client(fake.path)
            self.assertEqual(client.ask(commands.count("ann")), 1)
            process, kept = client._idle[0]
            fake_end = kept.dup()
            fake_end.shutdown(socket.SHUT_RDWR)
            fake_end.close()
            self.assertEqual(client.ask(commands.count("ann")), 2)
            self.assertEqual((fake.connections, len(fake.asked)), (2, 2))
            client.close()

    def test_a_fork_takes_no_connection_along(self):
        with Fake(b":1\r\n", b":2\r\n") as fake:
            client = Client(fake.path)
            client.ask(commands.count("ann"))
            client._idle = type(client._idle)([(os.getpid() + 1, client._idle[0][1])])
            self.assertEqual(client.ask(commands.count("ann")), 2)
            self.assertEqual(fake.connections, 2)
            client.close()

    def test_nobody_there(self):
        for path in ("/nowhere/s", __file__):
            with self.assertRaises(Unavailable):
                Client(path).ask(commands.count("ann"))
            with self.assertRaises(Unavailable):
                asyncio.run(AsyncClient(path).ask(commands.count("ann")))

    def test_a_cancelled_question_closes_its_connection(self):
        async def cancel(client):
            task = asyncio.ensure_future(client.ask(commands.count("ann")))
            await asyncio.sleep(0.1)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            return await client.ask(commands.count("bob"))
        with Fake((0.3, b":1\r\n"), b":2\r\n") as fake:
            async def run():
                async with AsyncClient(fake.path) as client:
                    return await cancel(client)
            self.assertEqual(asyncio.run(run()), 2)

    def test_a_timeout_that_is_none(self):
        for timeout in (0, -1, 4000):
            for make in (Client, AsyncClient):
                with self.assertRaisesRegex(ValueError, "more than 0 and at most 3600"):
                    make("/s", timeout)


class CookieTests(unittest.TestCase):
    def test_names(self):
        for host, scheme, development, name in (
                ("shop.example", "https", False, "__Host-tc"), ("localhost:8000", "http", True, "tc"), ("127.0.0.1", "http", True, "tc"),
                ("[::1]:80", "http", True, "tc"), ("localhost", "http", False, "__Host-tc"), ("shop.example", "http", True, "__Host-tc"),
                ("localhost.evil.example", "http", True, "__Host-tc"), ("localhost", "https", True, "__Host-tc")):
            cookie = Cookie(host, scheme, development)
            self.assertEqual(cookie.name, name, host)
            self.assertEqual("; Secure" in cookie.of({"sessiontoken": "t"}), name != "tc")

    def test_written_whole_from_a_reply(self):
        cookie = Cookie()
        self.assertIsNone(cookie.of({"status": "valid"}))
        self.assertEqual(cookie.of({"sessiontoken": "t"}), "__Host-tc=t; Path=/; Secure; HttpOnly; SameSite=Lax")
        self.assertEqual(cookie.of({"sessiontoken": "t", "max_age": 60}), "__Host-tc=t; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Lax")
        self.assertIn("Max-Age=0", cookie.removal())
        self.assertEqual(cookie.token("a=1; __Host-tc=x=y; tc=z"), "x=y")
        self.assertEqual(cookie.token("tc=z"), "")


class TokenTests(unittest.TestCase):
    def test_sid(self):
        self.assertEqual(sid_of(TOKEN.upper()), TOKEN[:32])
        self.assertEqual(sid_of("0x" + TOKEN), TOKEN[:32])
        self.assertEqual(sid_of(GUEST), "b5abb65e4900a090a3bebb587c352961")
        for text in ("", "x", "a.b.c", "ab" * 63, "a.%%%.c", "." * 200):
            self.assertIsNone(sid_of(text), text)


class RequestTests(unittest.TestCase):
    def test_older_browsers_say_by_origin_where_a_request_comes_from(self):
        self.assertEqual(Request("POST", host="shop.example", origin="https://pay.example").site, "cross-site")
        self.assertEqual(Request("POST", host="shop.example:8000", origin="http://shop.example:8000").site, "same-origin")
        self.assertEqual(Request("POST", host="shop.example", origin="null").site, "cross-site")
        self.assertEqual(Request("POST", fetch_site="same-site", origin="https://pay.example").site, "same-site")
        self.assertIsNone(Request("GET").site)

    def test_an_origin_that_is_none(self):
        for origin in ("http://[", "http://]", "http://[::1", "://", "null", "shop.example", "https://shop.example/", "https://a@shop.example", "é"):
            for host in ("shop.example", ""):
                self.assertEqual(Request("POST", host=host, origin=origin).site, "cross-site", origin)

    def test_the_address_that_a_page_is_sent_to_fits_into_a_header(self):
        session = Session(None, Request("GET", query="a=%20&b=é&c=\x01 \r\n~!$&'()*+,;=:@/?#[]"))
        self.assertEqual(session.once_more, "?a=%20&b=%E9&c=%01%20%0D%0A~!$&'()*+,;=:@/?#[]&again=1")

    def test_origin_is_told_to_the_daemon_where_no_cookie_came_only(self):
        class Asked(Exception):
            pass

        class Recorder:
            def ask(self, command):
                raise Asked(command)

        def asked(cookie):
            request = Request("POST", cookie=cookie, host="10.0.0.7", origin="https://shop.example")
            with self.assertRaises(Asked) as caught:
                Session(Recorder(), request).visit()
            return str(caught.exception.args[0])
        self.assertIn("cross-site", asked(""))
        self.assertNotIn("cross-site", asked(f"__Host-tc={TOKEN}"))

    def test_what_visitors_send_does_not_become_the_daemon_s_protocol_error(self):
        long = "x" * 200_000
        for command in (commands.visit(long, check=long, site=long, mode=long), commands.captcha_verify(long, long),
                        commands.csrf_verify(TOKEN, long)):
            self.assertLess(sum(len(str(word)) for word in command.words), 10_000)
        # What JSON may have, and a cookie.
        for text in ("\ud800", 5, None, ["a"]):
            for command in (commands.visit(text, check=text, site=text, mode=text), commands.csrf_verify(text, text, site=text),
                            commands.captcha_verify(text, text), commands.captcha_open(text), commands.get(text)):
                self.assertIsInstance(encode(command.words), bytes)
        for word in ("SID", "sid"):
            self.assertEqual(commands.get(word).words[1], "-", "it stands in front of a public name")

    def test_words(self):
        self.assertEqual(commands.visit("t", check="c", form="site", site="none", mode="navigate", post=True, csrf=True, data=("a",)).words,
                         ("TOKEN.VISIT", "t", "CHECK", "c", "site", "FETCH-SITE", "none", "FETCH-MODE", "navigate", "POST", "CSRF",
                          "site", "DATA", "a"))
        self.assertEqual(commands.put("t", {"a": "1"}, only_if={"b": ""}, idle=5).words,
                         ("TOKEN.SET", "t", "IDLE", 5, "IF", "b", "", "DATA", "a", "1"))
        self.assertEqual(commands.login("t", "ann", idle="30d", absolute="90d", most=2, csrf="site").words,
                         ("TOKEN.LOGIN", "t", "ann", "IDLE", "30d", "ABSOLUTE", "90d", "MAX", 2, "CSRF", "site"))

    def test_signals(self):
        def words(**signals):
            return commands.get("t", bind=signals).words[2:]
        self.assertEqual(words(ip="", ua=None), ("BIND", "ua", ""), "a browser without a name")
        self.assertEqual(words(ip=None), ())
        self.assertEqual(len(encode(words(ua="xä" * 5000)[2:])), len(encode([b"x" * 4096])), "bytes, not characters")
        self.assertEqual(commands.revoke_all("ann", keep="t", bind={"ip": "::1"}).words,
                         ("TOKEN.REVOKEALL", "ann", "EXCEPT", "t", "BIND", "ip", "::1"))
        self.assertEqual(commands.revoke_all("ann", bind={"ip": "::1"}).words, ("TOKEN.REVOKEALL", "ann"), "of the token that stays")


class OptionTests(unittest.TestCase):
    def test_one_text_is_no_list_of_names(self):
        for make in (wsgi.SessionMiddleware, asgi.SessionMiddleware):
            for options in ({"api": "/api/"}, {"skip": b"/static/"}, {"fields": "note"}, {"api": ["api/"]}, {"skip": [""]}, {"fields": [1]}):
                with self.assertRaisesRegex(TypeError, f"{[*options][0]} is a list of texts"):
                    make(None, None, **options)
            make(None, None, api=["/api/"], skip=("/static/",), fields=("note",))


class SameTests(unittest.TestCase):
    def test_both_sessions_have_the_same_calls(self):
        def calls(kind):
            return {name: str(inspect.signature(value)).replace("AsksLater", "Asks")
                    for name, value in vars(kind).items() if callable(value)}
        self.assertEqual(calls(Session), calls(AsyncSession))


if __name__ == "__main__":
    unittest.main()
