"""Middleware for ASGI: `app = SessionMiddleware(app, AsyncClient(socket))`. Pages find `scope["tokencache"]`."""
from __future__ import annotations

from typing import Any, Awaitable, Callable, Dict, List, MutableMapping, Optional, Sequence, Tuple

from . import _response
from ._errors import NotStored, TokenCacheError, Unavailable
from .client import AsksLater
from .commands import Signals
from .session import FORM, AsyncSession, Request, names

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

KEY = "tokencache"
# What the head of a response has to stand before; two of them are extensions for files.
BEGINNINGS = ("http.response.body", "http.response.pathsend", "http.response.zerocopysend", "websocket.accept")


def request_of(scope: Scope, api: bool) -> Request:
    headers: Dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        # HTTP/2 may split cookies over several fields.
        separator = b"; " if name == b"cookie" else b", "
        headers[name] = headers[name] + separator + value if name in headers else value

    def header(name: bytes) -> str:
        return headers.get(name, b"").decode("latin-1")
    scheme = scope.get("scheme", "http").replace("ws", "http")
    return Request(scope.get("method", "GET"), header(b"cookie"), header(b"host"), scheme,
                   scope.get("query_string", b"").decode("latin-1"), header(b"sec-fetch-site"), header(b"sec-fetch-mode"),
                   header(b"origin"), api)


class SessionMiddleware:
    """Asks once for each request who it is, and sets the cookie on whatever response comes of it.

    `api`: beginnings of paths that answer programs: a visitor who is not logged in gets no cookie there, and calls from
    other sites' pages are refused. `skip`: beginnings of paths that have no session at all, as "/static/". `fields` of the
    session's data come with the same question. `development`: a cookie for http://localhost there. A WebSocket is asked
    about as a call of a program, once, when it opens. `bind`: a function of the scope that returns what tokens are bound to,
    {"ip": ..., "ua": ...}.
    """

    def __init__(self, app: App, client: AsksLater, *, api: Sequence[str] = (), skip: Sequence[str] = (),
                 fields: Sequence[str] = (), form: str = FORM, development: bool = False,
                 bind: Optional[Callable[[Scope], Signals]] = None) -> None:
        self.app, self.client, self.development, self.form = app, client, development, form
        self._api, self._skip = names(api, "api", "/"), names(skip, "skip", "/")
        self._fields = names(fields, "fields")
        self._bind = bind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_socket = scope["type"] == "websocket"
        if not is_socket and scope["type"] != "http" or scope["path"].startswith(self._skip):
            await self.app(scope, receive, send)
            return
        request = request_of(scope, is_socket or scope["path"].startswith(self._api))
        session = AsyncSession(self.client, request, development=self.development, form=self.form,
                               bind=self._bind(scope) if self._bind else None)
        scope[KEY] = session
        response = _Response(session, send, is_socket)
        # A page of another site can open a WebSocket with the visitor's cookie.
        if session.is_forgery or is_socket and request.site not in (None, "same-origin", "none"):
            await response.answer(*_response.forbidden())
            return
        try:
            await session.visit(*self._fields)
            if session.come_again is not None:
                await response.answer(*_response.come_again(session.come_again))
                return
            await self.app(scope, receive, response.send)
        except (Unavailable, NotStored) as error:
            await response.of_failure(error)


class _Response:
    """The response of one request: its head is held back until the first bytes of the body come, so that a cookie and a
    fault of until then still go into it."""

    def __init__(self, session: AsyncSession, send: Send, is_socket: bool) -> None:
        self.session, self.is_socket = session, is_socket
        self._send = send
        self._head: Optional[Message] = None
        self.has_begun = self._is_replaced = False

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if self._is_replaced:
            return
        if kind == "http.response.start":
            self._head = message
            return
        if kind in BEGINNINGS and not self.has_begun:
            head = message if self.is_socket else self._head
            if head is None:
                raise RuntimeError("the body of a response came before its head")
            # A framework may have made an error page of it already.
            if self.session.failure and head.get("status") == 500:
                self._is_replaced = True
                await self.of_failure(self.session.failure)
                return
            self.has_begun = True
            head["headers"] = _encoded(_response.finished(_decoded(head.get("headers", ())), self.session))
            if not self.is_socket:
                await self._send(head)
        await self._send(message)

    async def answer(self, status: str, headers: List[Tuple[str, str]], body: bytes) -> None:
        self.has_begun = True
        if self.is_socket:
            # Before it is accepted, this is 403.
            await self._send({"type": "websocket.close", "code": 1013 if status.startswith("503") else 1008})
            return
        await self._send({"type": "http.response.start", "status": int(status[:3]),
                          "headers": _encoded(_response.finished(headers, self.session))})
        await self._send({"type": "http.response.body", "body": body})

    async def of_failure(self, error: TokenCacheError) -> None:
        if self._is_replaced and self.has_begun:
            return
        if self.has_begun:
            # Too late for another status: the server cuts the response off.
            raise error
        await self.answer(*_response.of_failure(self.session, error))


def _decoded(headers: Any) -> List[Tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def _encoded(headers: List[Tuple[str, str]]) -> List[Tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def session_of(scope: Scope) -> AsyncSession:
    """The visitor of this request."""
    session: AsyncSession = scope[KEY]
    return session
