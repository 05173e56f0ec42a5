"""What can go wrong between a site and the daemon."""
from __future__ import annotations


class TokenCacheError(Exception):
    """Any of the errors below."""


class Unavailable(TokenCacheError):
    """Nobody knows the answer: the daemon or its Redis is out of reach, overloaded, or gave no answer in time. The visitor's
    cookie stays as it is, the response is 503. The middleware does both."""


class CommandError(TokenCacheError):
    """The daemon refused the call itself (`ERR`, `NOPERM`): the text says what is wrong and what is allowed. Trying again
    does not help."""


class FormNotPassed(TokenCacheError):
    """Something was asked that wants a genuine form, as a login does: look at what `check` says first."""


class ResponseStarted(TokenCacheError):
    """Something was asked that may need a new cookie, and the head of the response has gone out already."""


class NotStored(TokenCacheError):
    """The visitor's token is no longer good: another request logged out or in meanwhile. Nothing was written. A page is
    shown again, as after a form that did not pass."""
