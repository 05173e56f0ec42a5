"""The daemon, asked over its Unix socket: `Client` for threads and processes, `AsyncClient` for tasks."""
from __future__ import annotations

import asyncio
import os
import select
import socket
from collections import deque
from typing import Any, Awaitable, Deque, Optional, Protocol, Tuple, cast

from ._errors import CommandError, Unavailable
from ._tokens import sid_of
from ._wire import INCOMPLETE, ErrorReply, Replies, WireError, encode
from .commands import Command

DEFAULT_SOCKET = "/run/tokencached/tokencached.sock"
# Longer than the daemon's redis.timeout (250 ms) by what a busy host may stand still.
DEFAULT_TIMEOUT = 2.0
# Connections that are kept while nobody uses them.
MOST_IDLE = 64
CHUNK = 64 * 1024
_HELLO = encode(("HELLO", 3))
# The daemon's own words for "nobody knows"; whatever else it refuses is a mistake of the program.
_NOBODY_KNOWS = ("UNAVAILABLE", "OVERLOADED", "NOKEYS")


def _judge(reply: Any) -> Any:
    """The reply, or the error that it is."""
    if isinstance(reply, ErrorReply):
        if reply.split(" ", 1)[0] in _NOBODY_KNOWS:
            raise Unavailable(str(reply))
        raise CommandError(str(reply))
    return reply


def _in_step(command: Command, reply: Any) -> None:
    """What looks like no reply to this command is none. An accepted token's reply names its session; another one answers
    somebody else's question."""
    if command.reply is not None and not isinstance(reply, ErrorReply) and not command.reply.fits(reply):
        raise WireError(f"the reply is none to {command.words[0]!s}")
    if command.token and isinstance(reply, dict) and reply.get("accepted") == 1:
        sid = reply.get("sid")
        if command.token[:32] != sid and sid_of(command.token) != sid:
            raise WireError("the reply is about another session")


def _after_hello(replies: Replies) -> bool:
    """Takes the reply to HELLO; False while it is incomplete."""
    hello = replies.take()
    if hello is INCOMPLETE:
        return False
    if isinstance(hello, ErrorReply):
        raise Unavailable(f"the daemon refuses the connection: {hello}")
    return True


class Asks(Protocol):
    """What a session needs: a Client, or one in memory (`tokencache.testing`)."""

    def ask(self, command: Command) -> Any: ...


class AsksLater(Protocol):
    """The same, awaited."""

    def ask(self, command: Command) -> Awaitable[Any]: ...


class Client:
    """Any number of threads may ask at a time; each question has a connection of its own meanwhile. Connections are kept
    open, and not over a fork. `path` is the daemon's socket, `timeout` seconds for one question with its connection."""

    def __init__(self, path: str = DEFAULT_SOCKET, timeout: float = DEFAULT_TIMEOUT) -> None:
        if not 0 < timeout <= 3600:
            raise ValueError("timeout is a number of seconds, more than 0 and at most 3600")
        # A relative path would depend on the folder that a worker was started in.
        self.path, self.timeout = os.path.abspath(path), timeout
        self._idle: Deque[Tuple[int, socket.socket]] = deque()

    def ask(self, command: Command) -> Any:
        """The reply: a dictionary, for some commands an integer or a list. Raises Unavailable, CommandError."""
        words = encode(command.words)
        kept = self._kept()
        connection = kept or socket.socket(socket.AF_UNIX)
        try:
            if kept is None:
                connection.settimeout(self.timeout)
                connection.connect(self.path)
                words = _HELLO + words
            connection.sendall(words)
            reply = self._read(connection, is_new=kept is None)
            _in_step(command, reply)
        except BaseException as error:
            # After any failure, be it a worker's own time limit: a late reply must not answer the next question.
            connection.close()
            if isinstance(error, (OSError, WireError)):
                raise Unavailable(f"{self.path}: {error or type(error).__name__}") from error
            raise
        self._keep(connection)
        return _judge(reply)

    @staticmethod
    def _read(connection: socket.socket, is_new: bool) -> Any:
        replies = Replies()
        while True:
            data = connection.recv(CHUNK)
            if not data:
                raise OSError("the daemon closed the connection")
            replies.feed(data)
            if is_new:
                is_new = not _after_hello(replies)
            if not is_new:
                reply = replies.take()
                if reply is not INCOMPLETE:
                    if not replies.is_empty:
                        raise WireError("more came than was asked for")
                    return reply

    def _kept(self) -> Optional[socket.socket]:
        """A connection that is open and has nothing to say; what the daemon closed meanwhile is dropped."""
        while True:
            try:
                process, connection = self._idle.pop()
            except IndexError:
                return None
            if process == os.getpid() and self._is_quiet(connection):
                return connection
            connection.close()

    @staticmethod
    def _is_quiet(connection: socket.socket) -> bool:
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return not poll.poll(0)

    def _keep(self, connection: socket.socket) -> None:
        if len(self._idle) < MOST_IDLE:
            self._idle.append((os.getpid(), connection))
        else:
            connection.close()

    def close(self) -> None:
        """Closes the connections that nobody uses just now. The client can be used again."""
        while self._idle:
            self._idle.pop()[1].close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient:
    """As Client, for any number of tasks of one event loop."""

    def __init__(self, path: str = DEFAULT_SOCKET, timeout: float = DEFAULT_TIMEOUT) -> None:
        if not 0 < timeout <= 3600:
            raise ValueError("timeout is a number of seconds, more than 0 and at most 3600")
        self.path, self.timeout = os.path.abspath(path), timeout
        self._idle: Deque[_Connection] = deque()
        self._loop: Optional[asyncio.AbstractEventLoop] = None

    async def ask(self, command: Command) -> Any:
        """The reply: a dictionary, for some commands an integer or a list. Raises Unavailable, CommandError."""
        words, loop = encode(command.words), asyncio.get_running_loop()
        connection = self._kept(loop)
        try:
            if connection is None:
                connection, words = await self._connected(loop), _HELLO + words
            reply = await connection.ask(words, self.timeout, loop)
            _in_step(command, reply)
        except BaseException as error:
            # Cancelled, too: a late reply must not answer the next question.
            if connection is not None:
                connection.close()
            if isinstance(error, (OSError, WireError, asyncio.TimeoutError)):
                raise Unavailable(f"{self.path}: {error or type(error).__name__}") from error
            raise
        if len(self._idle) < MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        return _judge(reply)

    async def _connected(self, loop: asyncio.AbstractEventLoop) -> _Connection:
        return (await asyncio.wait_for(loop.create_unix_connection(_Connection, self.path), self.timeout))[1]

    def _kept(self, loop: asyncio.AbstractEventLoop) -> Optional[_Connection]:
        if loop is not self._loop:
            # Connections of a loop that is gone, or of the process that this one was forked from.
            self._idle.clear()
            self._loop = loop
        while self._idle:
            connection = self._idle.pop()
            if connection.is_quiet:
                return connection
            connection.close()
        return None

    async def close(self) -> None:
        """Closes the connections that nobody uses just now. The client can be used again."""
        while self._idle:
            self._idle.pop().close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _Connection(asyncio.Protocol):
    """One question at a time."""

    def __init__(self) -> None:
        self._replies = Replies()
        self._is_new = True
        self._waiter: Optional[asyncio.Future[Any]] = None
        self._transport: Optional[asyncio.Transport] = None
        # When the question is late. One timer serves those that follow each other: a new one for each would cost more.
        self._deadline = 0.0
        self._timer: Optional[asyncio.TimerHandle] = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # One by its methods: uvloop's, which uvicorn takes where it finds it, is no subclass.
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, words: bytes, timeout: float, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
        if self._transport is None or self._transport.is_closing():
            raise OSError("the daemon closed the connection")
        self._waiter, self._deadline = loop.create_future(), loop.time() + timeout
        if self._timer is None:
            self._timer = loop.call_at(self._deadline, self._is_late, loop)
        self._transport.write(words)
        return self._waiter

    def _is_late(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if loop.time() < self._deadline:
            # It was the time of a former question.
            self._timer = loop.call_at(self._deadline, self._is_late, loop)
        else:
            self._fail(OSError("no answer in time"))

    def data_received(self, data: bytes) -> None:
        try:
            self._replies.feed(data)
            if self._is_new:
                self._is_new = not _after_hello(self._replies)
            reply = INCOMPLETE if self._is_new or self._waiter is None else self._replies.take()
            if reply is INCOMPLETE:
                return
            if not self._replies.is_empty:
                raise WireError("more came than was asked for")
        except (WireError, Unavailable) as error:
            self._fail(error)
        else:
            if self._waiter and not self._waiter.done():
                self._waiter.set_result(reply)
            # What else comes answers nobody.
            self._waiter = None

    def connection_lost(self, error: Optional[Exception]) -> None:
        self._fail(error or OSError("the daemon closed the connection"))
        if self._timer:
            self._timer.cancel()

    def _fail(self, error: Exception) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_exception(error)
        self._waiter = None

    @property
    def is_quiet(self) -> bool:
        return self._transport is not None and not self._transport.is_closing() and self._replies.is_empty

    def close(self) -> None:
        if self._transport:
            self._transport.close()
