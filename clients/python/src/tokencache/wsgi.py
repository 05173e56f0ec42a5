"""Middleware for WSGI: `application = SessionMiddleware(application, Client(socket))`. Pages find `environ["tokencache"]`."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from . import _response
from ._errors import NotStored, TokenCacheError, Unavailable
from .client import Asks
from .commands import Signals
from .session import FORM, Request, Session, names

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

KEY = "tokencache"


def request_of(environ: WSGIEnvironment, api: bool) -> Request:
    header = environ.get
    return Request(environ["REQUEST_METHOD"], header("HTTP_COOKIE", ""), header("HTTP_HOST", ""),
                   environ["wsgi.url_scheme"], header("QUERY_STRING", ""), header("HTTP_SEC_FETCH_SITE", ""),
                   header("HTTP_SEC_FETCH_MODE", ""), header("HTTP_ORIGIN", ""), api)


class SessionMiddleware:
    """Asks once for each request who it is, and sets the cookie on whatever response comes of it.

    `api`: beginnings of paths that answer programs: a visitor who is not logged in gets no cookie there, and calls from
    other sites' pages are refused. `skip`: beginnings of paths that have no session at all, as "/static/". `fields` of the
    session's data come with the same question, or `all_data`. `development`: a cookie for http://localhost there. `bind`: a
    function of the environ that returns what tokens are bound to, {"ip": ..., "ua": ...}.
    """

    def __init__(self, app: WSGIApplication, client: Asks, *, api: Sequence[str] = (), skip: Sequence[str] = (),
                 fields: Sequence[str] = (), all_data: bool = False, form: str = FORM, development: bool = False,
                 bind: Optional[Callable[[WSGIEnvironment], Signals]] = None) -> None:
        self.app, self.client, self.development, self.form = app, client, development, form
        self._api, self._skip = names(api, "api", "/"), names(skip, "skip", "/")
        self._fields, self._all_data = names(fields, "fields"), all_data
        self._bind = bind

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith(self._skip):
            return self.app(environ, start_response)
        session = Session(self.client, request_of(environ, path.startswith(self._api)), development=self.development,
                          form=self.form, bind=self._bind(environ) if self._bind else None)
        environ[KEY] = session
        response = _Response(session, start_response, environ)
        if session.is_forgery:
            return response.answer(*_response.forbidden())
        try:
            session.visit(*self._fields, all_data=self._all_data)
        except Unavailable as error:
            return response.of_failure(error)
        if session.come_again is not None:
            return response.answer(*_response.come_again(session.come_again))
        return response.of(self.app)


class _Response:
    """The response of one request: its head is held back until the first bytes of the body come, so that a cookie and a
    fault of until then still go into it."""

    def __init__(self, session: Session, start_response: StartResponse, environ: WSGIEnvironment) -> None:
        self.session, self.environ = session, environ
        self._start = start_response
        self._head: Optional[Tuple[str, List[Tuple[str, str]], Any]] = None
        self._write: Optional[Callable[[bytes], object]] = None

    def of(self, app: WSGIApplication) -> Iterable[bytes]:
        try:
            body = app(self.environ, self.start)
        except (Unavailable, NotStored) as error:
            return self.of_failure(error)
        return self._chunks(body)

    def start(self, status: str, headers: List[Tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        if exc_info and self._write:
            # The head has gone: the server is told, which raises.
            self._start(status, headers, exc_info)
        self._head = (status, headers, exc_info)
        return self._send

    def _send(self, data: bytes) -> object:
        self._begin()
        assert self._write is not None
        return self._write(data)

    def _begin(self) -> None:
        if self._write is None:
            if self._head is None:
                raise AssertionError("the application did not call start_response")
            status, headers, exc_info = self._head
            finished = _response.finished(headers, self.session)
            self._write = self._start(status, finished, exc_info) if exc_info else self._start(status, finished)

    def _chunks(self, body: Iterable[bytes]) -> Iterable[bytes]:
        try:
            chunks = iter(body)
            first: Optional[bytes] = b""
            while first == b"":
                first = next(chunks, None)
        except (Unavailable, NotStored) as error:
            _close(body)
            return self.of_failure(error)
        except BaseException:
            _close(body)
            raise
        # A framework may have made an error page of it already.
        if self.session.failure and self._write is None and self._head and self._head[0].startswith("500"):
            _close(body)
            return self.of_failure(self.session.failure)
        self._begin()
        return _Body(body, first, chunks)

    def answer(self, status: str, headers: List[Tuple[str, str]], body: bytes = b"") -> Iterable[bytes]:
        self._head = (status, headers, None)
        self._begin()
        return [body]

    def of_failure(self, error: TokenCacheError) -> Iterable[bytes]:
        if self._write:
            # Too late for another status: the server cuts the response off.
            raise error
        return self.answer(*_response.of_failure(self.session, error))


class _Body:
    """The chunks, and the application's own close."""

    def __init__(self, body: Iterable[bytes], first: Optional[bytes], rest: Iterator[bytes]) -> None:
        self._body, self._first, self._rest = body, first, rest

    def __iter__(self) -> _Body:
        return self

    def __next__(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return next(self._rest)

    def close(self) -> None:
        _close(self._body)


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close:
        close()


def session_of(environ: Dict[str, Any]) -> Session:
    """The visitor of this request."""
    session: Session = environ[KEY]
    return session
