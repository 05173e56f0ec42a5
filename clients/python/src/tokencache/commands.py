"""Every command that a site needs, as a value: `client.ask(commands.get(token, "cart"))`.

Durations are numbers of seconds or texts with a unit: `90`, `"500ms"`, `"15m"`, `"30d"`. A token is what the cookie held,
"" where there was none. What a reply has in it stands in the daemon's docs/protocol.md.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Tuple, Union

from ._wire import Word

Duration = Union[int, str]
# Bindings: "ip" and "ua", as far as the site gives them. An empty "ip" is none; a browser without a name is bound to that:
# where the daemon wants the signal, nobody could log in without it.
Signals = Mapping[str, Optional[str]]

# A browser's word for where a request comes from is short; longer ones are no browser's.
MOST_HEADER = 32
# Longer than any that the daemon makes: a form field is the visitor's to fill.
MOST_CSRF = 1024
MOST_CAPTCHA = 8192
MOST_ANSWER = 256
# Longer than any token; an HTTP server may let more through than the daemon reads.
MOST_TOKEN = 8192
# Bytes; the daemon refuses a longer one, and the browser's name is the visitor's to write.
MOST_SIGNAL = 4096

# Name → what it is, in whatever reply.
_KINDS: Dict[str, type] = {
    "status": str, "accepted": int, "kind": str, "sid": str, "subject": str, "auth_time": int, "created": int, "modified": int,
    "generation": int, "expires_in": int, "absolute_in": int, "sessiontoken": str, "max_age": int, "check": str, "csrf": str,
    "data": dict, "changed": int, "value": int, "count": int, "captcha": str, "solution": str, "reason": str,
}


@dataclass(frozen=True)
class Reply:
    """What a reply looks like: a map that has the names `always`, and `more` where `when` stands in it; or a list of those."""
    always: FrozenSet[str] = frozenset({"status", "accepted"})
    more: FrozenSet[str] = frozenset()
    when: Tuple[str, Any] = ("accepted", 1)
    kind: type = dict

    def fits(self, reply: Any) -> bool:
        if self.kind is list:
            return isinstance(reply, list) and all(self._fits(item) for item in reply)
        return self._fits(reply) if self.kind is dict else type(reply) is self.kind

    def _fits(self, reply: Any) -> bool:
        if not isinstance(reply, dict):
            return False
        for name, value in reply.items():
            if type(value) is not _KINDS.get(name) and name in _KINDS:
                return False
        name, value = self.when
        if not self.always <= reply.keys() or self.more and reply.get(name) == value and not self.more <= reply.keys():
            return False
        data = reply.get("data")
        return not data or all([type(name) is type(text) is str for name, text in data.items()])


_ANSWER, _HOLDER = frozenset({"status", "accepted"}), frozenset({"sid", "kind", "subject", "auth_time"})
_VISIT = Reply(_ANSWER | _HOLDER)
_VALIDATE = Reply(more=_HOLDER)
_GIVES = Reply(more=_HOLDER | {"sessiontoken"})
_ABOUT = Reply(more=frozenset({"sid"}))
_DATA = Reply(more=frozenset({"sid", "data"}))
_VALUE = Reply(more=frozenset({"sid", "value"}))
_REVOKE = Reply()
_REVOKE_ALL = Reply(more=frozenset({"count"}), when=("status", "revoked"))
_SESSIONS = Reply(frozenset({"sid", "created", "modified", "auth_time"}), kind=list)
_COUNT = Reply(kind=int)
_STATUS = Reply(frozenset({"status"}))
_CSRF = Reply(frozenset({"status"}), frozenset({"csrf"}), ("status", "issued"))
_CAPTCHA = Reply(frozenset({"status"}), frozenset({"captcha", "solution"}), ("status", "issued"))
_SOLUTION = Reply(frozenset({"status"}), frozenset({"solution"}), ("status", "issued"))


@dataclass(frozen=True)
class Command:
    """`words` go to the daemon. A reply that accepts must be about the session of `token`; None where another may come. One
    that does not look like `reply` is none; None where it may be anything."""
    words: Tuple[Word, ...]
    token: Optional[str] = None
    reply: Optional[Reply] = None


def _sent(text: object, most: int, instead: str = "") -> str:
    """What a visitor filled, as far as the daemon can be told of it: JSON has numbers, and halves of characters."""
    if not isinstance(text, str) or len(text) > most:
        return instead
    try:
        return text if text.isascii() or text.encode("utf-8", "surrogateescape") else instead
    except UnicodeEncodeError:
        return instead


def _token(token: str) -> str:
    text = _sent(token, MOST_TOKEN, "-")
    # What stands in its place for a session's public name: a cookie's text is the visitor's to write.
    return text if text.upper() != "SID" else "-"


def _bind(signals: Optional[Signals]) -> List[Word]:
    given = [(name, value or "") for name, value in (signals or {}).items() if value or name == "ua"]
    return [word for name, value in given for word in ("BIND", name, _signal(value))]


def _signal(value: str) -> str:
    return value.encode("utf-8", "surrogateescape")[:MOST_SIGNAL].decode("utf-8", "surrogateescape")


def _option(name: str, value: Optional[Word]) -> List[Word]:
    return [] if value is None else [name, value]


def _data(fields: Optional[Tuple[str, ...]]) -> List[Word]:
    return [] if fields is None else ["DATA", *fields]


def _pairs(data: Optional[Mapping[str, str]]) -> List[Word]:
    return ["DATA", *(word for pair in data.items() for word in pair)] if data else []


def _limits(idle: Optional[Duration], absolute: Optional[Duration]) -> List[Word]:
    return [*_option("IDLE", idle), *_option("ABSOLUTE", absolute)]


def _browser(site: Optional[str], mode: Optional[str]) -> List[Word]:
    return [word for name, value in (("FETCH-SITE", site), ("FETCH-MODE", mode))
            if value and _sent(value, MOST_HEADER) for word in (name, value)]


def _check(csrf: Optional[str], form: str) -> List[Word]:
    return [] if csrf is None else ["CHECK", _sent(csrf, MOST_CSRF), form]


def visit(token: str, *, check: Optional[str] = None, form: str = "", site: Optional[str] = None, mode: Optional[str] = None,
          post: bool = False, csrf: bool = False, data: Optional[Tuple[str, ...]] = None,
          bind: Optional[Signals] = None) -> Command:
    """One page view. `check` is the CSRF token that came with the form named `form`; `csrf` asks for the next one of that
    form. `site` and `mode` are Sec-Fetch-Site and Sec-Fetch-Mode; `data` names fields, an empty tuple means all."""
    return Command(("TOKEN.VISIT", _token(token), *_bind(bind), *_check(check, form), *_browser(site, mode),
                    *(["POST"] if post else []), *(["CSRF", form] if csrf else []), *_data(data)), token, _VISIT)


def validate(token: str, *, subject: bool = False, login_within: Optional[Duration] = None, check: Optional[str] = None,
             form: str = "", site: Optional[str] = None, mode: Optional[str] = None, csrf: bool = False,
             data: Optional[Tuple[str, ...]] = None, bind: Optional[Signals] = None) -> Command:
    """Is the token good? `subject`: only of somebody who is logged in; `login_within`: and who logged in that recently."""
    return Command(("TOKEN.VALIDATE", _token(token), *_bind(bind), *(["REQUIRE", "subject"] if subject else []),
                    *([] if login_within is None else ["REQUIRE", "login-within", login_within]), *_check(check, form),
                    *_browser(site, mode), *(["CSRF", form] if csrf else []), *_data(data)), token, _VALIDATE)


def issue(subject: Optional[str] = None, *, idle: Optional[Duration] = None, absolute: Optional[Duration] = None,
          cookie: Optional[str] = None, auth_time: Optional[int] = None, most: Optional[int] = None,
          bind: Optional[Signals] = None, data: Optional[Mapping[str, str]] = None) -> Command:
    """A new session, of nobody's token. `cookie` is "session" or "persistent"; `most` the sessions that the subject keeps."""
    return Command(("TOKEN.ISSUE", *_option("SUBJECT", subject), *_limits(idle, absolute), *_option("COOKIE", cookie),
                    *_option("AUTH-TIME", auth_time), *_option("MAX", most), *_bind(bind), *_pairs(data)), reply=_GIVES)


def login(token: str, subject: str, *, idle: Optional[Duration] = None, absolute: Optional[Duration] = None,
          cookie: Optional[str] = None, auth_time: Optional[int] = None, most: Optional[int] = None,
          csrf: Optional[str] = None, bind: Optional[Signals] = None, data: Optional[Mapping[str, str]] = None) -> Command:
    """After the password was checked. `csrf` names the form that the reply brings a CSRF token for."""
    return Command(("TOKEN.LOGIN", _token(token), subject, *_limits(idle, absolute), *_option("COOKIE", cookie),
                    *_option("AUTH-TIME", auth_time), *_option("MAX", most), *_bind(bind), *_option("CSRF", csrf),
                    *_pairs(data)), reply=_GIVES)


def rotate(token: str, *, idle: Optional[Duration] = None, absolute: Optional[Duration] = None, csrf: Optional[str] = None,
           bind: Optional[Signals] = None) -> Command:
    """A new token at once, for a change of privilege other than a login."""
    return Command(("TOKEN.ROTATE", _token(token), *_limits(idle, absolute), *_bind(bind), *_option("CSRF", csrf)), token,
                   _GIVES)


def expire(token: str, *, idle: Optional[Duration] = None, absolute: Optional[Duration] = None,
           bind: Optional[Signals] = None) -> Command:
    """New limits for a session that lives."""
    return Command(("TOKEN.EXPIRE", _token(token), *_limits(idle, absolute), *_bind(bind)), token, _ABOUT)


def revoke(token: str) -> Command:
    """Logout."""
    return Command(("TOKEN.REVOKE", _token(token)), reply=_REVOKE)


def revoke_sid(sid: str, subject: Optional[str] = None) -> Command:
    """Ends a session by its public name; with a subject only if it is that subject's."""
    return Command(("TOKEN.REVOKE", "SID", sid, *_option("SUBJECT", subject)), reply=_REVOKE)


def revoke_all(subject: str, *, keep: Optional[str] = None, bind: Optional[Signals] = None) -> Command:
    """Ends all sessions of a subject, but that of the token `keep`, which `bind` speaks of."""
    kept: List[Word] = [] if keep is None else ["EXCEPT", _token(keep), *_bind(bind)]
    # Of a kept token that ended the status is `revoked`, too, and nothing is counted.
    return Command(("TOKEN.REVOKEALL", subject, *kept), reply=_REVOKE_ALL if keep is None else _REVOKE)


def sessions(subject: str, *fields: str, limit: Optional[int] = None) -> Command:
    """The living sessions of a subject, newest first, with these fields of their data."""
    return Command(("TOKEN.LIST", subject, *_option("LIMIT", limit), *_data(fields or None)), reply=_SESSIONS)


def count(subject: str) -> Command:
    """How many living sessions a subject has."""
    return Command(("TOKEN.COUNT", subject), reply=_COUNT)


def get(token: str, *fields: str, bind: Optional[Signals] = None) -> Command:
    """Fields of the session's data, all of them if none is named."""
    return Command(("TOKEN.GET", _token(token), *_bind(bind), *_data(fields or None)), token, _DATA)


def get_sid(sid: str, *fields: str) -> Command:
    """As get, for a worker that validated the token minutes ago."""
    return Command(("TOKEN.GET", "SID", sid, *_data(fields or None)), reply=_DATA)


def inspect_sid(sid: str) -> Command:
    """What stands of a session; touches nothing."""
    return Command(("TOKEN.INSPECT", "SID", sid), reply=_ABOUT)


def put(token: str, data: Mapping[str, str], *, only_if: Optional[Mapping[str, str]] = None,
        idle: Optional[Duration] = None, absolute: Optional[Duration] = None, bind: Optional[Signals] = None) -> Command:
    """Sets fields; an empty value removes one. `only_if`: only where these fields have these values ("" means absent)."""
    conditions = [word for pair in (only_if or {}).items() for word in ("IF", *pair)]
    return Command(("TOKEN.SET", _token(token), *_bind(bind), *_limits(idle, absolute), *conditions, *_pairs(data)), token,
                   _ABOUT)


def put_sid(sid: str, data: Mapping[str, str], subject: Optional[str] = None) -> Command:
    """As put, for a worker that validated the token minutes ago."""
    return Command(("TOKEN.SET", "SID", sid, *_option("SUBJECT", subject), *_pairs(data)), reply=_ABOUT)


def take(token: str, *fields: str, bind: Optional[Signals] = None) -> Command:
    """Fields of the data, which are gone then: of several takers one gets them."""
    return Command(("TOKEN.GETDEL", _token(token), *_bind(bind), "DATA", *fields), token, _DATA)


def increment(token: str, field: str, by: int = 1, *, bind: Optional[Signals] = None) -> Command:
    """Adds to a field, atomically over all workers."""
    return Command(("TOKEN.INCR", _token(token), *_bind(bind), "DATA", field, by), token, _VALUE)


def csrf_issue(token: str, form: str = "", *, bind: Optional[Signals] = None) -> Command:
    """A CSRF token for a form of this visitor."""
    return Command(("CSRF.ISSUE", _token(token), *_bind(bind), "FORM", form), reply=_CSRF)


def csrf_verify(token: str, csrf: str, form: str = "", *, site: Optional[str] = None,
                bind: Optional[Signals] = None) -> Command:
    """Whether the CSRF token that came is this visitor's, of this form."""
    return Command(("CSRF.VERIFY", _token(token), _sent(csrf, MOST_CSRF), *_bind(bind), "FORM", form,
                    *_browser(site, None)), reply=_STATUS)


def captcha_issue(form: str = "", *, holder: Optional[str] = None, solution: Optional[str] = None,
                  length: Optional[int] = None, lifetime: Optional[Duration] = None,
                  bind: Optional[Signals] = None) -> Command:
    """A captcha for a form, of the holder of this token alone."""
    return Command(("CAPTCHA.ISSUE", *_option("SOLUTION", solution), *_option("LENGTH", length), "FORM", form,
                    *_option("FOR", None if holder is None else _token(holder)), *_option("LIFETIME", lifetime), *_bind(bind)),
                   reply=_CAPTCHA)


def captcha_open(captcha: str) -> Command:
    """Its solution, for the request that draws the picture."""
    return Command(("CAPTCHA.OPEN", _sent(captcha, MOST_CAPTCHA)), reply=_SOLUTION)


def captcha_verify(captcha: str, answer: str, form: str = "", *, holder: Optional[str] = None,
                   bind: Optional[Signals] = None) -> Command:
    """Whether the answer is right. Spends the captcha, right or wrong."""
    return Command(("CAPTCHA.VERIFY", _sent(captcha, MOST_CAPTCHA), _sent(answer, MOST_ANSWER), "FORM", form,
                    *_option("FOR", None if holder is None else _token(holder)), *_bind(bind)), reply=_STATUS)
