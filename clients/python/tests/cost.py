"""What the package costs: a VISIT of a session through it, beside bare clients, in one run; and the small site's pages with and
without the middleware. BIN in the environment is the daemon's folder; redis-py is measured where it is installed.

    cost.py [QUESTIONS [MOST]]     fails where the package takes more than MOST times the bare client
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


def asynchronous(path):
    """Many questions in one task: a loop that is started for each costs more than the question."""
    client, loop = AsyncClient(path), asyncio.new_event_loop()

    async def visits(token, count):
        for _ in range(count):
            session = AsyncSession(client, Request("GET", f"__Host-tc={token}", "shop.example", fetch_site="none", fetch_mode="navigate"))
            await session.visit()
            if session.user != "ann":
                raise AssertionError("not who it was")
    return lambda token, count: loop.run_until_complete(visits(token, count))


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
        tasks = asynchronous(daemon.path)
        rows = {"a bare socket and parser": bare(daemon.path), "the package, blocking": package(daemon.path),
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
                if ask is tasks:
                    ask(token, questions)
                else:
                    for _ in range(questions):
                        if ask(token) != "ann":
                            raise AssertionError(f"{name}: not who it was")
                times[name].append((time.perf_counter() - started) / questions * 1e6)
        middle = {name: statistics.median(values) for name, values in times.items()}
        base = middle["a bare socket and parser"]
        for name, value in middle.items():
            print(f"{name:28} {value:7.1f} us   {value / base:5.2f}   {1e6 / value:9,.0f} a second")
        ratio = middle["the package, blocking"] / base
        print(f"a VISIT through the package takes {ratio:.2f} times the bare client's")
        return 0 if ratio <= most else 1
    finally:
        daemon.end()


if __name__ == "__main__":
    sys.exit(main())
