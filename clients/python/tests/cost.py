"""What the package costs: a VISIT of a session through it, beside bare clients, in one run; and the small site's pages with and
without the middleware. The asyncio client stands beside a bare one on asyncio, too: the loop is no cost of the package. BIN in the
environment is the daemon's folder; redis-py is measured where it is installed.

    cost.py [QUESTIONS [MOST]]     fails where the package takes more than MOST times the bare client of its kind
"""
import asyncio
import io
import os
import socket
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_daemon import Daemon  # noqa: E402
from tokencache import AsyncClient, AsyncSession, Client, Request, Session, commands  # noqa: E402
from tokencache._wire import INCOMPLETE, Replies, encode  # noqa: E402
from tokencache.wsgi import SessionMiddleware, session_of  # noqa: E402

ROUNDS = 7
BARE, BARE_ASYNCIO = "a bare socket and parser", "the same on asyncio"
HEADERS = {"mode": "navigate", "site": "none", "csrf": True, "form": "site"}


def bare(path):
    """The least that asks and understands: a socket, the words, a parser of all types."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    connection.sendall(encode(("HELLO", 3)))
    connection.recv(65536)

    def ask(token):
        connection.sendall(encode(commands.visit(token, **HEADERS).words))
        replies = Replies()
        while True:
            replies.feed(connection.recv(65536))
            reply = replies.take()
            if reply is not INCOMPLETE:
                return reply["subject"]
    return ask


def redis_py(path):
    import redis
    client = redis.Redis(unix_socket_path=path, decode_responses=True)

    def ask(token):
        reply = client.execute_command("TOKEN.VISIT", token, "FETCH-SITE", "none", "FETCH-MODE", "navigate", "CSRF", "site")
        return (reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2])))["subject"]
    return ask


def package(path):
    client = Client(path)

    def ask(token):
        session = Session(client, Request("GET", f"__Host-tc={token}", "shop.example", fetch_site="none", fetch_mode="navigate"))
        session.visit()
        return session.user
    return ask


class Bare(asyncio.Protocol):
    """The least on asyncio: a future, the words, a parser."""

    def connection_made(self, transport):
        self.transport, self.replies, self.waiter = transport, Replies(), None

    def data_received(self, data):
        self.replies.feed(data)
        reply = self.replies.take()
        if reply is not INCOMPLETE:
            self.waiter.set_result(reply)

    def ask(self, words):
        self.waiter = asyncio.get_running_loop().create_future()
        self.transport.write(encode(words))
        return self.waiter


def in_one_task(ask):
    """Many questions in one task: a loop that is started for each costs more than the question."""
    loop = asyncio.new_event_loop()

    async def visits(token, count):
        for _ in range(count):
            if await ask(token) != "ann":
                raise AssertionError("not who it was")
    return loop, lambda token, count: loop.run_until_complete(visits(token, count))


def bare_asynchronous(path):
    async def ask(token):
        return (await connection.ask(commands.visit(token, **HEADERS).words))["subject"]

    async def connected():
        _, connection = await loop.create_unix_connection(Bare, path)
        await connection.ask(("HELLO", 3))
        return connection
    loop, tasks = in_one_task(ask)
    connection = loop.run_until_complete(connected())
    return tasks


def asynchronous(path):
    client = AsyncClient(path)

    async def ask(token):
        session = AsyncSession(client, Request("GET", f"__Host-tc={token}", "shop.example", fetch_site="none", fetch_mode="navigate"))
        await session.visit()
        return session.user
    return in_one_task(ask)[1]


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "no-store")])
    return [(session_of(environ).user if "tokencache" in environ else "ann").encode()]


def site(application):
    def ask(token):
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": "", "HTTP_COOKIE": f"__Host-tc={token}",
                   "HTTP_HOST": "shop.example", "wsgi.url_scheme": "https", "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr,
                   "HTTP_SEC_FETCH_MODE": "navigate", "HTTP_SEC_FETCH_SITE": "none"}
        return b"".join(application(environ, lambda status, headers, exc_info=None: None)).decode()
    return ask


def main():
    questions, most = int((sys.argv[1:] or ["3000"])[0]), float((sys.argv[2:] or ["inf"])[0])
    daemon = Daemon()
    try:
        token = Client(daemon.path).ask(commands.login("", "ann"))["sessiontoken"]
        bare_tasks, tasks = bare_asynchronous(daemon.path), asynchronous(daemon.path)
        rows = {BARE: bare(daemon.path), "the package, blocking": package(daemon.path), BARE_ASYNCIO: bare_tasks,
                "the package, asyncio": tasks, "a page with the middleware": site(SessionMiddleware(page, Client(daemon.path))),
                "a page without": site(page)}
        try:
            rows["redis-py"] = redis_py(daemon.path)
        except ImportError:
            pass
        times = {name: [] for name in rows}
        # In turns, so that whatever else the machine does falls on all alike.
        for _ in range(ROUNDS):
            for name, ask in rows.items():
                started = time.perf_counter()
                if ask in (bare_tasks, tasks):
                    ask(token, questions)
                else:
                    for _ in range(questions):
                        if ask(token) != "ann":
                            raise AssertionError(f"{name}: not who it was")
                times[name].append((time.perf_counter() - started) / questions * 1e6)
        middle = {name: statistics.median(values) for name, values in times.items()}
        print(f"{'':28} {'':10}   of the bare one, on asyncio")
        for name, value in middle.items():
            print(f"{name:28} {value:7.1f} us   {value / middle[BARE]:5.2f}   {value / middle[BARE_ASYNCIO]:5.2f}   {1e6 / value:9,.0f} a second")
        ratios = middle["the package, blocking"] / middle[BARE], middle["the package, asyncio"] / middle[BARE_ASYNCIO]
        print("a VISIT through the package takes {:.2f} times the bare client's, on asyncio {:.2f} times".format(*ratios))
        return 0 if max(ratios) <= most else 1
    finally:
        daemon.end()


if __name__ == "__main__":
    sys.exit(main())
