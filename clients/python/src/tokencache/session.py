"""The visitor of one request. `Session` asks by itself; `AsyncSession` has the same calls to be awaited.

Two rules keep themselves: every question takes the newest token that is known, and the response, whatever it will be, has
the cookie of the last reply with a token.
"""
from __future__ import annotations

import html
import re
import string
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, NoReturn, Optional, Sequence, Tuple
from urllib.parse import quote

from . import commands
from ._errors import FormNotPassed, NotStored, ResponseStarted, TokenCacheError, Unavailable
from ._tokens import sid_of
from .client import Asks, AsksLater
from .commands import Command, Duration, Signals
from .cookie import Cookie

# One form name serves a whole site: its CSRF tokens are good for every form of it.
FORM = "site"
# In the query of a page that was sent to itself: once is enough.
MARK = "again=1"
# "Remember me": a month without a visit, three in all.
REMEMBER_IDLE, REMEMBER_ABSOLUTE = "30d", "90d"
FLASH = "flash"


def names(given: Sequence[str], what: str, beginning: str = "") -> Tuple[str, ...]:
    """Those of an option. One text in their place would be a name for each of its letters, as "/" for "/api/": of every path."""
    found = None if isinstance(given, (str, bytes)) else tuple(given)
    if found is None or not all(isinstance(name, str) and name.startswith(beginning) for name in found):
        texts = f"texts that begin with {beginning}" if beginning else "texts"
        raise TypeError(f"{what} is a list of {texts}, not {given!r}")
    return found


@dataclass(frozen=True)
class Request:
    """What of a request matters here. Headers are "" where there are none. `api`: it answers programs, not people; only
    those who are logged in have a session there."""
    method: str
    cookie: str = ""
    host: str = ""
    scheme: str = "https"
    query: str = ""
    fetch_site: str = ""
    fetch_mode: str = ""
    origin: str = ""
    api: bool = False

    @property
    def changes(self) -> bool:
        """Whether it may change something."""
        return self.method not in ("GET", "HEAD", "OPTIONS", "TRACE")

    @property
    def site(self) -> Optional[str]:
        """Sec-Fetch-Site; of older browsers, what Origin says of it."""
        if self.fetch_site or not self.origin:
            return self.fetch_site or None
        host = self.origin.partition("://")[2].lower()
        return "same-origin" if host and host == self.host.lower() else "cross-site"

    @property
    def is_navigation(self) -> bool:
        return self.method == "GET" and self.fetch_mode in ("", "navigate") and not self.api


@dataclass(frozen=True)
class Captcha:
    """`token` goes into a hidden field; the picture shows `solution`, which goes nowhere else."""
    token: str
    solution: str


@dataclass(frozen=True)
class Device:
    """One of the sessions of a user; `data` are the fields that were asked for."""
    sid: str
    current: bool
    created: int
    modified: int
    auth_time: int
    data: Mapping[str, str]


class _Visitor:
    """What is known, without I/O: each call of a session is a command of this and a note of its reply."""

    def __init__(self, request: Request, *, development: bool = False, form: str = FORM,
                 bind: Optional[Signals] = None) -> None:
        self.request, self.form, self.bind = request, form, bind
        self._cookie = Cookie(request.host, request.scheme, development)
        self._received = self._token = self._cookie.token(request.cookie)
        self._csrf = ""
        # What `check` said of the form that came.
        self._form_status = ""
        self._subject = ""
        self._accepted = self._was_accepted = False
        self._is_guest = True
        # A login made the token that is known: the one that came is dead.
        self._is_fresh = False
        # How often this request logged in or out.
        self.turns = 0
        self.sid: str = ""
        self.auth_time = 0
        # Set-Cookie for the response; None: the cookie stays as it is.
        self.set_cookie: Optional[str] = None
        # The head of the response has gone: no cookie can go with it any more.
        self.response_started = False
        # The response has a form or a captcha of this visitor: nobody else may be given it.
        self.is_personal = False
        # What a framework may have made an error page of: nobody knew, or nothing was stored.
        self.failure: Optional[TokenCacheError] = None
        self.data: Dict[str, str] = {}

    @property
    def user(self) -> Optional[str]:
        """Who is logged in; None for guests: the one thing to ask before showing or doing what is somebody's."""
        return self._subject if self._accepted and self._subject else None

    @property
    def is_stored(self) -> bool:
        """Whether something is stored of this visitor; of guests nothing is."""
        return not self._is_guest

    @property
    def is_ended(self) -> bool:
        """Whether this request logged out, and nobody in again."""
        return self._is_guest and self._is_fresh

    @property
    def accepted(self) -> bool:
        """Whether the cookie that came was good. A guest's is, too."""
        return self._was_accepted

    @property
    def csrf(self) -> str:
        """A CSRF token for the forms of this page."""
        if not self._csrf:
            raise TokenCacheError("there is no CSRF token after a logout and on a page for programs: redirect, the page that "
                                  "comes has one")
        self.is_personal = True
        return self._csrf

    @property
    def csrf_field(self) -> str:
        """The hidden field that each form has."""
        return f'<input type="hidden" name="csrf" value="{html.escape(self.csrf)}">'

    @property
    def once_more(self) -> Optional[str]:
        """The address, relative to this one, that sends a page to itself; None where it is none, or was sent already."""
        if not self.request.is_navigation or MARK in self.request.query.split("&"):
            return None
        # As it came, but for what no header may have.
        query = quote(self.request.query, string.punctuation, "latin-1", "replace")
        return f"?{query}&{MARK}" if query else f"?{MARK}"

    @property
    def come_again(self) -> Optional[str]:
        """As once_more, where it is right after VISIT: the browser has a newer cookie than the one it sent, or is about to."""
        return None if self._accepted or self.set_cookie or not self._received else self.once_more

    @property
    def is_forgery(self) -> bool:
        """A call of a page for programs, whose cookie some other site's page made the browser send."""
        return self.request.api and self.request.changes and self.request.site not in (None, "same-origin", "none")

    @property
    def _site(self) -> Optional[str]:
        """What the daemon is told of the request's origin. Origin counts where no cookie came, as with a form that another site
        sent: a new cookie would go over the one that the browser held back. With a cookie it could do harm: some proxies change
        Host, and the CSRF token speaks for the form."""
        return self.request.fetch_site or (None if self._received else self.request.site)

    def _visit(self, fields: Tuple[str, ...], all_data: bool) -> Command:
        request = self.request
        data = () if all_data else fields or None
        if request.api:
            return commands.validate(self._token, subject=True, site=self._site, mode=request.fetch_mode, data=data,
                                     bind=self.bind)
        return commands.visit(self._token, site=self._site, mode=request.fetch_mode, post=request.changes,
                              csrf=True, form=self.form, data=data, bind=self.bind)

    def _visited(self, reply: Dict[str, Any]) -> None:
        self._was_accepted = reply["accepted"] == 1
        self._note(reply)
        self._accepted = self._was_accepted
        self._subject = reply.get("subject", "")
        self._csrf = reply.get("csrf", "")
        self.sid = reply.get("sid", "")
        self.auth_time = reply.get("auth_time", 0)
        self._is_guest = reply.get("kind") != "session"
        self.data = reply.get("data", {})

    def _note(self, reply: Dict[str, Any]) -> Dict[str, Any]:
        """The cookie rule and the token rule, for every reply."""
        if "sessiontoken" in reply:
            self._token = reply["sessiontoken"]
            self.set_cookie = self._cookie.of(reply)
        return reply

    def _makes_cookie(self) -> None:
        if self.response_started:
            raise ResponseStarted("ask before the response begins: this may need a new cookie, and headers are sent")

    def _login(self, user: str, remember: bool, idle: Optional[Duration], absolute: Optional[Duration],
               cookie: Optional[str], data: Optional[Mapping[str, str]], form: bool) -> Command:
        self._makes_cookie()
        if not user or len(user.encode("utf-8", "surrogateescape")) > 256:
            raise ValueError("a user's name has 1 to 256 bytes")
        if form and self._form_status != "passed":
            raise FormNotPassed(f"login without a genuine form ({self._form_status or 'none was checked'}): look at check first")
        if remember:
            idle, absolute = idle or REMEMBER_IDLE, absolute or REMEMBER_ABSOLUTE
        return commands.login(self._token, user, idle=idle, absolute=absolute, cookie=cookie, csrf=self.form,
                              bind=self.bind, data=data)

    def _logged_in(self, reply: Dict[str, Any]) -> bool:
        is_new = self._renewed(reply)
        self.turns += is_new
        return is_new

    def _renewed(self, reply: Dict[str, Any]) -> bool:
        self._note(reply)
        if reply["accepted"] != 1:
            return False
        self._accepted, self._is_guest, self._is_fresh = True, False, True
        if reply["sid"] != self.sid:
            # Another session, whose data are not known.
            self.data = {}
        self._subject, self.sid, self.auth_time = reply["subject"], reply["sid"], reply["auth_time"]
        self._csrf = reply.get("csrf", "")
        return True

    def _logged_out(self) -> None:
        self._accepted, self._subject, self._csrf, self.sid = False, "", "", ""
        self._token, self._is_guest, self._is_fresh = "", True, True
        self.data, self.turns = {}, self.turns + 1
        self.set_cookie = self._cookie.removal()

    def _revoked(self, reply: Dict[str, Any]) -> bool:
        # `replayed`: of a token from before a login; the browser has a newer one, which stays.
        if reply["status"] != "revoked":
            return False
        self._logged_out()
        return True

    def _must_be_user(self) -> str:
        if self.user is None:
            raise PermissionError("nobody is logged in")
        return self.user

    def _check(self, csrf: str) -> Command:
        return commands.csrf_verify(self._token, csrf, self.form, site=self._site, bind=self.bind)

    def _checked(self, reply: Dict[str, Any]) -> str:
        self._form_status = str(reply["status"])
        return self._form_status

    def _everywhere(self, keep_this: bool) -> Command:
        user = self._must_be_user()
        self._makes_cookie()
        return commands.revoke_all(user, keep=self._token if keep_this else None, bind=self.bind)

    def _ended(self, reply: Dict[str, Any], keep_this: bool) -> int:
        if "count" not in reply:
            self._failed(NotStored(reply["status"]))
        if not keep_this:
            self._logged_out()
        return int(reply["count"])

    def _devices(self, replies: List[Dict[str, Any]]) -> List[Device]:
        return [Device(reply["sid"], reply["sid"] == self.sid, reply["created"], reply["modified"], reply["auth_time"],
                       reply.get("data", {})) for reply in replies]

    def _end_device(self, sid: str) -> Command:
        if sid == self.sid:
            self._makes_cookie()
        return commands.revoke_sid(_sid(sid), self._must_be_user())

    def _device_ended(self, reply: Dict[str, Any], sid: str) -> bool:
        is_ended = bool(reply["status"] == "revoked")
        if is_ended and sid == self.sid:
            self._logged_out()
        return is_ended

    def _login_within(self, duration: Duration) -> Command:
        # The cookie that came, not its successor: that would be confirmed before the browser has it.
        token = self._received if sid_of(self._received) == self.sid and not self._is_fresh else self._token
        return commands.validate(token, subject=True, login_within=duration, site=self._site,
                                 mode=self.request.fetch_mode, bind=self.bind)

    def _captcha(self, reply: Dict[str, Any]) -> Captcha:
        if reply["status"] != "issued":
            self._failed(NotStored(reply["status"]))
        self.is_personal = True
        return Captcha(reply["captcha"], reply["solution"])

    def _may_spend(self, csrf: bool) -> bool:
        """Whether the captcha of the form that came may be looked at: somebody else's request must not spend it."""
        if csrf and not self._form_status:
            raise FormNotPassed("a captcha without a form that was checked: ask check first")
        return not csrf or self._form_status == "passed"

    def _stores(self) -> None:
        if self._is_guest:
            self._makes_cookie()

    def _stored(self, reply: Dict[str, Any]) -> Dict[str, Any]:
        """A guest that was told something is a session from here on."""
        if reply["accepted"] != 1:
            self._failed(NotStored(reply["status"]))
        self._note(reply)
        if "sessiontoken" in reply:
            self._is_guest = False
        return reply

    def _failed(self, error: TokenCacheError) -> NoReturn:
        self.failure = error
        raise error


class Session(_Visitor):
    """The visitor of one request; the middleware makes it and asks `visit`. `bind`: the signals, "ip" and "ua", that its
    tokens are bound to."""

    def __init__(self, client: Asks, request: Request, *, development: bool = False, form: str = FORM,
                 bind: Optional[Signals] = None) -> None:
        super().__init__(request, development=development, form=form, bind=bind)
        self.client = client

    def _ask(self, command: Command) -> Any:
        try:
            return self.client.ask(command)
        except Unavailable as error:
            self._failed(error)

    def visit(self, *fields: str, all_data: bool = False) -> None:
        """Once for each request: who is it. Fills `user`, `csrf`, and `data` with these fields, or with all."""
        reply = self._ask(self._visit(fields, all_data))
        self._visited(reply)

    def check(self, csrf: str) -> str:
        """What the CSRF token of a form that came is worth: "passed", "failed", "expired", "outdated". On the last three
        carry nothing out, and show the form again, filled as it was, with the new csrf."""
        reply = self._ask(self._check(csrf))
        return self._checked(reply)

    def login(self, user: str, *, remember: bool = False, idle: Optional[Duration] = None,
              absolute: Optional[Duration] = None, cookie: Optional[str] = None,
              data: Optional[Mapping[str, str]] = None, form: bool = True) -> bool:
        """After the password was checked. `remember`: the cookie outlives the browser; `cookie`, "session" or "persistent",
        says so whatever the limits are. `data` are fields to set with it. `form`: a genuine one came, as `check` said, else this
        raises FormNotPassed; False where another proof was checked, as a central login's state. False: the user has as many
        sessions as they may have, nobody was logged in."""
        reply = self._ask(self._login(user, remember, idle, absolute, cookie, data, form))
        return self._logged_in(reply)

    def start(self, data: Mapping[str, str]) -> None:
        """A session of nobody with these fields, in the place of whatever the cookie held: after a logout, for a message."""
        self._makes_cookie()
        reply = self._ask(commands.issue(bind=self.bind, data=data))
        self._logged_in(reply)

    def rotate(self) -> bool:
        """A new token at once, after a change of privilege other than a login; a guest becomes a session by it."""
        self._makes_cookie()
        reply = self._ask(commands.rotate(self._token, csrf=self.form, bind=self.bind))
        return self._renewed(reply)

    def expire(self, *, idle: Optional[Duration] = None, absolute: Optional[Duration] = None) -> bool:
        """New limits, of the session itself; its cookie is lengthened by the next login only."""
        self._stores()
        reply = self._ask(commands.expire(self._token, idle=idle, absolute=absolute, bind=self.bind))
        return bool(self._note(reply)["accepted"] == 1)

    def logout(self) -> bool:
        """Ends this session and deletes the cookie. False: there was nothing to end, the cookie stays."""
        self._makes_cookie()
        reply = self._ask(commands.revoke(self._token))
        return self._revoked(reply)

    def logout_everywhere(self, *, keep_this: bool = False) -> int:
        """Ends all sessions of the user, and says how many."""
        reply = self._ask(self._everywhere(keep_this))
        return self._ended(reply, keep_this)

    def devices(self, *fields: str) -> List[Device]:
        """The living sessions of the user, newest first, with these fields of their data."""
        replies = self._ask(commands.sessions(self._must_be_user(), *fields))
        return self._devices(replies)

    def end_device(self, sid: str) -> bool:
        """Ends one of the user's own sessions; False where it is not one of them."""
        reply = self._ask(self._end_device(sid))
        return self._device_ended(reply, sid)

    def get(self, *fields: str) -> Dict[str, str]:
        """Fields of the visitor's data, all of them if none is named. A guest has none."""
        reply = self._ask(commands.get(self._token, *fields, bind=self.bind))
        return dict(reply.get("data", {}))

    def set(self, data: Mapping[str, str], *, only_if: Optional[Mapping[str, str]] = None) -> bool:
        """Sets fields; an empty value removes one. A guest becomes a session by it. `only_if`: only where these fields have
        these values ("" means absent); False where not. Raises NotStored."""
        self._stores()
        reply = self._ask(commands.put(self._token, data, only_if=only_if, bind=self.bind))
        return bool(self._stored(reply)["status"] != "conflict")

    def increment(self, field: str, by: int = 1) -> int:
        """Adds to a field, atomically over all workers, at most once. Raises NotStored."""
        self._stores()
        reply = self._ask(commands.increment(self._token, field, by, bind=self.bind))
        return int(self._stored(reply)["value"])

    def take(self, *fields: str) -> Dict[str, str]:
        """Fields that are gone then: of several takers one gets them."""
        reply = self._ask(commands.take(self._token, *fields, bind=self.bind))
        return dict(reply.get("data", {}))

    def flash(self, text: str) -> None:
        """A message for the next page that is shown. Raises NotStored."""
        self.set({FLASH: text})

    def flashed(self) -> Optional[str]:
        """That message, once."""
        taken = self.take(FLASH)
        return taken.get(FLASH)

    def logged_in_within(self, duration: Duration) -> bool:
        """Whether the password was given that recently; where not, ask for it again and call login with the same user."""
        reply = self._ask(self._login_within(duration))
        return bool(self._note(reply)["accepted"] == 1)

    def captcha(self, form: str) -> Captcha:
        """A captcha for this visitor and form. Raises NotStored."""
        reply = self._ask(commands.captcha_issue(form, holder=self._token or None, bind=self.bind))
        return self._captcha(reply)

    def captcha_passed(self, captcha: str, answer: str, form: str, *, csrf: bool = True) -> bool:
        """Whether the answer is right. Spends the captcha, right or wrong, but not of a form that `check` found not genuine:
        False. `csrf`: the form has such a token; without a check this raises FormNotPassed."""
        if not self._may_spend(csrf):
            return False
        reply = self._ask(commands.captcha_verify(captcha, answer, form, holder=self._token or None, bind=self.bind))
        return bool(reply["status"] == "passed")


class AsyncSession(_Visitor):
    """As Session; every call of it is awaited."""

    def __init__(self, client: AsksLater, request: Request, *, development: bool = False, form: str = FORM,
                 bind: Optional[Signals] = None) -> None:
        super().__init__(request, development=development, form=form, bind=bind)
        self.client = client

    async def _ask(self, command: Command) -> Any:
        try:
            return await self.client.ask(command)
        except Unavailable as error:
            self._failed(error)

    async def visit(self, *fields: str, all_data: bool = False) -> None:
        """Once for each request: who is it. Fills `user`, `csrf`, and `data` with these fields, or with all."""
        reply = await self._ask(self._visit(fields, all_data))
        self._visited(reply)

    async def check(self, csrf: str) -> str:
        reply = await self._ask(self._check(csrf))
        return self._checked(reply)

    async def login(self, user: str, *, remember: bool = False, idle: Optional[Duration] = None,
              absolute: Optional[Duration] = None, cookie: Optional[str] = None,
              data: Optional[Mapping[str, str]] = None, form: bool = True) -> bool:
        reply = await self._ask(self._login(user, remember, idle, absolute, cookie, data, form))
        return self._logged_in(reply)

    async def start(self, data: Mapping[str, str]) -> None:
        self._makes_cookie()
        reply = await self._ask(commands.issue(bind=self.bind, data=data))
        self._logged_in(reply)

    async def rotate(self) -> bool:
        self._makes_cookie()
        reply = await self._ask(commands.rotate(self._token, csrf=self.form, bind=self.bind))
        return self._renewed(reply)

    async def expire(self, *, idle: Optional[Duration] = None, absolute: Optional[Duration] = None) -> bool:
        self._stores()
        reply = await self._ask(commands.expire(self._token, idle=idle, absolute=absolute, bind=self.bind))
        return bool(self._note(reply)["accepted"] == 1)

    async def logout(self) -> bool:
        self._makes_cookie()
        reply = await self._ask(commands.revoke(self._token))
        return self._revoked(reply)

    async def logout_everywhere(self, *, keep_this: bool = False) -> int:
        reply = await self._ask(self._everywhere(keep_this))
        return self._ended(reply, keep_this)

    async def devices(self, *fields: str) -> List[Device]:
        replies = await self._ask(commands.sessions(self._must_be_user(), *fields))
        return self._devices(replies)

    async def end_device(self, sid: str) -> bool:
        reply = await self._ask(self._end_device(sid))
        return self._device_ended(reply, sid)

    async def get(self, *fields: str) -> Dict[str, str]:
        reply = await self._ask(commands.get(self._token, *fields, bind=self.bind))
        return dict(reply.get("data", {}))

    async def set(self, data: Mapping[str, str], *, only_if: Optional[Mapping[str, str]] = None) -> bool:
        self._stores()
        reply = await self._ask(commands.put(self._token, data, only_if=only_if, bind=self.bind))
        return bool(self._stored(reply)["status"] != "conflict")

    async def increment(self, field: str, by: int = 1) -> int:
        self._stores()
        reply = await self._ask(commands.increment(self._token, field, by, bind=self.bind))
        return int(self._stored(reply)["value"])

    async def take(self, *fields: str) -> Dict[str, str]:
        reply = await self._ask(commands.take(self._token, *fields, bind=self.bind))
        return dict(reply.get("data", {}))

    async def flash(self, text: str) -> None:
        await self.set({FLASH: text})

    async def flashed(self) -> Optional[str]:
        taken = await self.take(FLASH)
        return taken.get(FLASH)

    async def logged_in_within(self, duration: Duration) -> bool:
        reply = await self._ask(self._login_within(duration))
        return bool(self._note(reply)["accepted"] == 1)

    async def captcha(self, form: str) -> Captcha:
        reply = await self._ask(commands.captcha_issue(form, holder=self._token or None, bind=self.bind))
        return self._captcha(reply)

    async def captcha_passed(self, captcha: str, answer: str, form: str, *, csrf: bool = True) -> bool:
        if not self._may_spend(csrf):
            return False
        reply = await self._ask(commands.captcha_verify(captcha, answer, form, holder=self._token or None, bind=self.bind))
        return bool(reply["status"] == "passed")


def _sid(text: str) -> str:
    """A sid out of a form, or one that nobody has."""
    return text if isinstance(text, str) and re.fullmatch("[0-9a-f]{32}", text) else "0" * 32
