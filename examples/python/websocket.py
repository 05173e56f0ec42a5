#!/usr/bin/python3
"""A WebSocket server that closes a visitor's sockets when they log out, on whatever host. With the newest redis-py, and
`websockets`:

    python3 websocket.py SOCKET [PORT]    ws://localhost:8001/, for a page of a site that gives the cookie `tc`

One connection to the daemon is told of all sessions that have a socket here. Who is at the other end is asked once, when the
socket is opened: behind its subscription, so that no end can come in between unseen. After that nothing is asked: the daemon
tells when the session ends, or has a new token after a login.
"""
import asyncio
import contextlib
import http.cookies
import os
import sys

import redis.asyncio
from redis.backoff import NoBackoff
from redis.asyncio.retry import Retry
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

# Of a socket whose visitor is logged in no more, or under a new token; the page asks the site who they are.
OVER = 4401
# Nobody knows at the moment: the browser comes again, later.
COME_AGAIN = (1012, "come again")
# At the daemon's socket, longer than its redis.timeout.
TIMEOUT = 2


class Sessions:
    """What the daemon is asked, and what it tells."""

    def __init__(self, path):
        options = {"unix_socket_path": os.path.abspath(path), "retry": Retry(NoBackoff(), 0), "decode_responses": True}
        self.asking = redis.asyncio.Redis(socket_timeout=TIMEOUT, **options)
        self.telling = redis.asyncio.Redis(**options)
        # sid → its sockets here, and what is set when the daemon has confirmed the subscription
        self.sockets = {}
        self.confirmed = {}
        self.subscription = None
        # Tasks that close what was told of.
        self.ends = set()
        # One subscribes or leaves at a time: leaving must not overtake who comes.
        self.lock = asyncio.Lock()

    async def validate(self, token):
        try:
            reply = await self.asking.execute_command("TOKEN.VALIDATE", token, "REQUIRE", "subject")
        except BaseException:
            # A late reply must not answer the next question.
            await self.asking.connection_pool.disconnect()
            raise
        return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2]))

    async def listen(self):
        """Reads what the daemon tells, for ever. When the connection breaks, all sockets are closed: nobody would be told."""
        while True:
            try:
                self.subscription = self.telling.pubsub()
                await self.subscription.connect()
                while True:
                    await self.take(await self.subscription.parse_response(block=True))
            except (redis.RedisError, OSError):
                sockets = [socket for group in self.sockets.values() for socket in group]
                self.sockets.clear()
                for event in self.confirmed.values():
                    event.set()
                self.confirmed.clear()
                await asyncio.gather(*(socket.close(*COME_AGAIN) for socket in sockets))
                await self.subscription.aclose()
                await asyncio.sleep(1)

    async def take(self, reply):
        kind, channel, text = reply
        sid = channel.removeprefix("session:")
        if kind == "subscribe" and sid in self.confirmed:
            self.confirmed[sid].set()
        elif kind == "message":
            sockets = self.sockets.pop(sid, ())
            self.confirmed.pop(sid, None)
            # Reading goes on meanwhile: a browser may take its time to close.
            for end in [self.unsubscribe(sid), *(socket.close(OVER, text) for socket in sockets)]:
                task = asyncio.create_task(end)
                self.ends.add(task)
                task.add_done_callback(self.ends.discard)

    async def watch(self, sid, socket):
        """Returns when nothing that happens to the session from now on is missed."""
        self.sockets.setdefault(sid, set()).add(socket)
        async with self.lock:
            if self.subscription is None:
                raise redis.ConnectionError("the daemon was not reached yet")
            if sid not in self.confirmed:
                self.confirmed[sid] = asyncio.Event()
                await self.subscription.subscribe(f"session:{sid}")
            confirmed = self.confirmed[sid]
        await asyncio.wait_for(confirmed.wait(), TIMEOUT)

    async def leave(self, sid, socket):
        sockets = self.sockets.get(sid, set())
        sockets.discard(socket)
        if sid in self.sockets and not sockets:
            del self.sockets[sid]
            self.confirmed.pop(sid, None)
            await self.unsubscribe(sid)

    async def unsubscribe(self, sid):
        async with self.lock:
            if sid not in self.sockets:
                # Where the connection broke, nothing is left to leave.
                with contextlib.suppress(redis.RedisError, OSError):
                    await self.subscription.unsubscribe(f"session:{sid}")


def token_of(socket):
    cookies = http.cookies.SimpleCookie(socket.request.headers.get("Cookie", ""))
    for name in ("__Host-tc", "tc"):
        if name in cookies:
            return cookies[name].value
    return ""


async def visit(sessions, socket):
    """One visitor's socket, from its opening to its end."""
    token = token_of(socket)
    sid = token[:32].lower()
    if len(token) != 128 or not set(sid) <= set("0123456789abcdef"):
        # A guest, or nobody.
        return await socket.close(OVER, "not logged in")
    try:
        await sessions.watch(sid, socket)
        reply = await sessions.validate(token)
        if reply["accepted"] != 1:
            return await socket.close(OVER, reply["status"])
        if reply["sid"] != sid:
            return await socket.close(*COME_AGAIN)
        # A `sessiontoken` in the reply cannot become a cookie here: the page's next request gets the same one.
        await socket.send(f"hello {reply['subject']}")
        async for message in socket:
            await socket.send(f"{reply['subject']} says {message}")
    except (redis.RedisError, OSError, TimeoutError):
        await socket.close(*COME_AGAIN)
    except ConnectionClosed:
        pass
    finally:
        await sessions.leave(sid, socket)


async def main(path, port="8001"):
    sessions = Sessions(path)
    async with serve(lambda socket: visit(sessions, socket), "localhost", int(port)):
        await sessions.listen()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
