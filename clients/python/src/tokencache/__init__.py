"""Sessions, guests, forms and captchas by the token cache daemon."""
from . import commands
from ._errors import CommandError, FormNotPassed, NotStored, ResponseStarted, TokenCacheError, Unavailable
from ._tokens import sid_of
from .client import DEFAULT_SOCKET, AsyncClient, Client
from .cookie import Cookie
from .session import AsyncSession, Captcha, Device, Request, Session

__all__ = [
    "AsyncClient", "AsyncSession", "Captcha", "Client", "CommandError", "Cookie", "DEFAULT_SOCKET", "Device",
    "FormNotPassed", "NotStored", "Request", "ResponseStarted", "Session", "TokenCacheError", "Unavailable", "commands", "sid_of",
]
__version__ = "0.1.0"
