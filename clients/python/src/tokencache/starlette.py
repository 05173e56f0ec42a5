"""Starlette and FastAPI: `app.add_middleware(SessionMiddleware, client=AsyncClient(socket))`, then `session_of(request)`.

In FastAPI `session: AsyncSession = Depends(session_of)` does the same, and `Depends(user_of)` refuses guests with 401.
"""
from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from . import asgi
from .asgi import SessionMiddleware
from .session import AsyncSession

__all__ = ["SessionMiddleware", "session_of", "user_of"]


# FastAPI looks at the annotations themselves.
def session_of(request: HTTPConnection) -> AsyncSession:
    """The visitor of this request."""
    return asgi.session_of(request.scope)


def user_of(request: HTTPConnection) -> str:
    """Who is logged in; guests get 401."""
    user = session_of(request).user
    if user is None:
        raise HTTPException(401)
    return user
