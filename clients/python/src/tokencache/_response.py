"""What the middleware does to a response, in whatever framework."""
from __future__ import annotations

from typing import List, Optional, Tuple

from .session import _Visitor

Headers = List[Tuple[str, str]]
RETRY_AFTER = "1"
TRY_AGAIN = b"The service is not available just now. Please try again."


def finished(headers: Headers, visitor: _Visitor) -> Headers:
    """The headers of a response with the cookie, if there is one to set. A response that sets it is stored by nobody; one
    that says nothing of caches is not either, for it may be about this visitor."""
    visitor.response_started = True
    cookie: Optional[str] = visitor.set_cookie
    has_rule = any(name.lower() == "cache-control" for name, _ in headers)
    if cookie is None:
        return headers if has_rule else [*headers, ("Cache-Control", "no-store")]
    kept = [pair for pair in headers if pair[0].lower() not in ("cache-control", "expires")]
    return [*kept, ("Cache-Control", "no-store"), ("Set-Cookie", cookie)]


def unavailable() -> Headers:
    return [("Retry-After", RETRY_AFTER), ("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"),
            ("Content-Length", str(len(TRY_AGAIN)))]
