"""What the middleware does to a response, in whatever framework."""
from __future__ import annotations

import logging
from typing import List, Optional, Tuple

from ._errors import TokenCacheError, Unavailable
from .session import _Visitor

log = logging.getLogger("tokencache")

Headers = List[Tuple[str, str]]
RETRY_AFTER = "1"
ONCE_MORE = b"You logged in or out meanwhile. Please go back and send it again."
TRY_AGAIN = b"The service is not available just now. Please try again."


def finished(headers: Headers, visitor: _Visitor) -> Headers:
    """The headers of a response with the cookie, if there is one to set. A response that sets it, or has a form of this
    visitor, is stored by nobody, whatever the site says; one that says nothing of caches is not either, for it may be about
    this visitor."""
    visitor.response_started = True
    cookie: Optional[str] = visitor.set_cookie
    has_rule = any(name.lower() == "cache-control" for name, _ in headers)
    if cookie is None and has_rule and not visitor.is_personal:
        return headers
    if cookie is not None or visitor.is_personal:
        headers = [pair for pair in headers if pair[0].lower() not in ("cache-control", "expires")]
    headers = [*headers, ("Cache-Control", "no-store")]
    if cookie is None:
        return headers
    # A second one of that name would take its place, or not: browsers keep the last, wherever a server puts it.
    name = name_of(cookie)
    return [*(pair for pair in headers if pair[0].lower() != "set-cookie" or name_of(pair[1]) != name), ("Set-Cookie", cookie)]


def name_of(cookie: str) -> str:
    """Of a Set-Cookie."""
    return cookie.partition("=")[0].strip()


Answer = Tuple[str, Headers, bytes]


def come_again(address: str) -> Answer:
    return "303 See Other", [("Location", address), ("Content-Length", "0")], b""


def forbidden() -> Answer:
    return "403 Forbidden", [("Content-Length", "0")], b""


def not_stored(visitor: _Visitor) -> Answer:
    """Another request logged in or out meanwhile: a page is asked for again, with the cookie of by then."""
    if visitor.once_more is not None and visitor.set_cookie is None:
        return come_again(visitor.once_more)
    return "409 Conflict", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(ONCE_MORE)))], ONCE_MORE


def unavailable() -> Answer:
    return "503 Service Unavailable", [
        ("Retry-After", RETRY_AFTER), ("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"),
        ("Content-Length", str(len(TRY_AGAIN)))], TRY_AGAIN


def of_failure(visitor: _Visitor, error: TokenCacheError) -> Answer:
    """The response to what a site did not catch. Also where VISIT gave a token and a later question failed: that cookie goes
    out, it is the newest."""
    if isinstance(error, Unavailable):
        log.error("503 Service Unavailable: %s", error)
        return unavailable()
    return not_stored(visitor)
