"""The daemon in memory, for tests of sites and for systems without Unix sockets: `MemoryClient()` in the place of a Client,
`AsyncMemoryClient()` of an AsyncClient. One process; tokens are not replaced on access, and nothing outlives the object.

`clock` gives the time, in seconds: a test moves it. `down = True` answers everything with Unavailable.
"""
from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

from ._errors import CommandError, Unavailable
from ._wire import Word
from .commands import Command

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# Option → how many words follow it.
_OPTIONS = {
    "CHECK": 2, "FETCH-SITE": 1, "FETCH-MODE": 1, "POST": 0, "CSRF": 1, "IDLE": 1, "ABSOLUTE": 1, "COOKIE": 1, "AUTH-TIME": 1,
    "MAX": 1, "SUBJECT": 1, "EXCEPT": 1, "LIMIT": 1, "FORM": 1, "FOR": 1, "SOLUTION": 1, "LENGTH": 1, "LIFETIME": 1,
}
# Command → its arguments without a name, where it is not one.
_PLAIN = {"TOKEN.ISSUE": 0, "TOKEN.LOGIN": 2, "CSRF.VERIFY": 2, "CAPTCHA.ISSUE": 0, "CAPTCHA.VERIFY": 2}
IDLE, ABSOLUTE, GUEST_IDLE, GUEST_ABSOLUTE = 7200.0, 86400.0, 86400.0, 30 * 86400.0
# A repeated login gets the same answer for so long; a retired token is known for so long.
OVERLAP = 120.0
ALPHABET = "ACDEFGHJKLMNPQRTUVWXY34679"

Reply = Dict[str, Any]


class _Record:
    """A session, or a guest that is not stored yet."""

    def __init__(self, sid: str, now: float, idle: float, absolute: float) -> None:
        self.sid, self.created, self.modified, self.auth_time = sid, now, now, 0
        self.idle, self.end = idle, now + absolute
        self.is_guest, self.subject = True, ""
        # What COOKIE said, and whether limits were given: the cookie outlives the browser by either.
        self.cookie, self.is_limited = "", False
        self.generation, self.token, self.salt = 0, "", b""
        self.old_salts: List[bytes] = []
        self.data: Dict[str, str] = {}


class _Memory:
    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock, self.down = clock, False
        self._key, self._lock = secrets.token_bytes(32), threading.Lock()
        # Token → its record; sid → why it ended; token → the record that a login or rotation took from it, and when.
        self._tokens: Dict[str, _Record] = {}
        self._ended: Dict[str, str] = {}
        self._retired: Dict[str, Tuple[_Record, float, str, bytes]] = {}
        self._captchas: Dict[str, Dict[str, Any]] = {}

    def answer(self, command: Command) -> Any:
        if self.down:
            raise Unavailable("UNAVAILABLE this daemon in memory was told to be down")
        name, *words = command.words
        handler = getattr(self, "_" + str(name).lower().replace(".", "_"), None)
        if handler is None:
            raise CommandError(f"ERR {name!r} is not known in memory")
        with self._lock:
            return handler(*_parsed(words, _PLAIN.get(str(name), 1)))

    # Records

    def _time(self) -> int:
        return int(self.clock())

    def _alive(self, record: _Record) -> bool:
        now = self.clock()
        return record.sid not in self._ended and now < record.end and now < record.modified + record.idle

    def _find(self, token: str) -> Tuple[Optional[_Record], str, Optional[str]]:
        """The record of an accepted token, the status, and the reason where there is one."""
        record = self._tokens.get(token)
        if record is not None and self._alive(record):
            return record, "valid", None
        retired = self._retired.get(token)
        if record is None and retired is not None:
            if retired[0].sid in self._ended:
                return None, "revoked", self._ended[retired[0].sid]
            return None, "replayed", None
        if record is not None and record.sid in self._ended:
            return None, "revoked", self._ended[record.sid]
        return None, "none" if token == "" else "expired" if record is not None and record.is_guest else "unknown", None

    def _guest(self) -> _Record:
        record = _Record(secrets.token_hex(16), self.clock(), GUEST_IDLE, GUEST_ABSOLUTE)
        claims = {"jti": record.sid, "iat": self._time()}
        parts = [json.dumps({"alg": "HS256"}), json.dumps(claims, separators=(",", ":"))]
        body = ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)
        record.token = body + "." + self._mac(body.encode())
        self._tokens[record.token] = record
        return record

    def _page_only(self, token: str) -> _Record:
        sid = self._mac(b"page guest" + token.encode("utf-8", "surrogateescape"))[:32] if token else secrets.token_hex(16)
        return _Record(hashlib.sha256(sid.encode()).hexdigest()[:32], self.clock(), GUEST_IDLE, GUEST_ABSOLUTE)

    def _renew(self, record: _Record, forced: bool) -> None:
        """A new token; a guest becomes a session by it. Forced: the old one is dead, and forms from before are outdated."""
        old = record.token
        record.token, record.is_guest = record.sid + secrets.token_hex(48), False
        record.generation += 1
        if forced and old:
            self._tokens.pop(old, None)
            self._retired[old] = (record, self.clock(), record.subject, record.salt)
            record.old_salts.append(record.salt)
            record.salt = secrets.token_bytes(16)
        self._tokens[record.token] = record

    def _fields(self, record: _Record, status: str, with_token: bool = False) -> Reply:
        now = self.clock()
        reply: Reply = {
            "status": status, "accepted": 1, "kind": "guest" if record.is_guest else "session", "sid": record.sid,
            "subject": record.subject, "generation": record.generation, "created": int(record.created),
            "modified": int(record.modified), "auth_time": record.auth_time,
            "expires_in": int(min(record.modified + record.idle, record.end) - now), "absolute_in": int(record.end - now)}
        if with_token:
            reply["sessiontoken"] = record.token
            if record.cookie == "persistent" or not record.cookie and record.is_limited:
                reply["max_age"] = reply["absolute_in"]
        return reply

    def _limit(self, record: _Record, options: Dict[str, Any]) -> None:
        now, idle, absolute = self.clock(), options.get("IDLE"), options.get("ABSOLUTE")
        if absolute is not None:
            record.end = now + _seconds(absolute)
        if idle is not None:
            record.idle = _seconds(idle)
        record.is_limited |= idle is not None or absolute is not None
        record.modified = now

    def _refusal(self, status: str, reason: Optional[str]) -> Reply:
        return {"status": status, "accepted": 0, **({"reason": reason} if reason else {})}

    # Forms

    def _mac(self, text: bytes) -> str:
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()

    def _csrf(self, record: _Record, form: str, salt: Optional[bytes] = None, nonce: str = "") -> str:
        nonce = nonce or secrets.token_hex(8)
        text = f"{record.sid}/{form}/{nonce}".encode("utf-8", "surrogateescape") + (record.salt if salt is None else salt)
        return nonce + self._mac(text)

    def _judged(self, record: _Record, csrf: str, form: str, site: str, token: str) -> str:
        def is_of(of: _Record, salt: Optional[bytes] = None) -> bool:
            return hmac.compare_digest(csrf, self._csrf(of, form, salt, csrf[:16]))
        if site == "cross-site" or len(csrf) != 80 or not csrf.isascii():
            return "failed"
        retired = self._retired.get(token)
        if is_of(record) or retired and self.clock() < retired[1] + OVERLAP and is_of(retired[0], retired[3]):
            return "passed"
        return "outdated" if any(is_of(record, salt) for salt in record.old_salts) else "failed"

    def _extras(self, reply: Reply, record: _Record, options: Dict[str, Any], token: str) -> Reply:
        if "CHECK" in options:
            csrf, form = options["CHECK"]
            reply["check"] = "failed" if not token else self._judged(record, csrf, form, options.get("FETCH-SITE", ""), token)
        if "CSRF" in options:
            reply["csrf"] = self._csrf(record, options["CSRF"])
        if "DATA" in options:
            names = options["DATA"]
            reply["data"] = {name: record.data[name] for name in names or record.data if name in record.data}
        return reply

    # Commands

    def _token_visit(self, words: List[str], options: Dict[str, Any]) -> Reply:
        token = words[0]
        record, status, reason = self._find(token)
        if record is not None:
            record.modified = self.clock()
            return self._extras(self._fields(record, status), record, options, token)
        could_go_over = (
            options.get("FETCH-MODE", "navigate") != "navigate" or status == "replayed" or reason == "login"
            or not token and options.get("FETCH-SITE") == "cross-site" and ("CHECK" in options or "POST" in options))
        record = self._page_only(token) if could_go_over else self._guest()
        reply = {**self._fields(record, status, with_token=not could_go_over), **self._refusal(status, reason)}
        return self._extras(reply, record, options, token)

    def _token_validate(self, words: List[str], options: Dict[str, Any]) -> Reply:
        record, status, reason = self._find(words[0])
        if record is None:
            return self._refusal("unknown" if status == "none" else status, reason)
        required = options.get("REQUIRE", {})
        lacks = "anonymous" if "subject" in required and not record.subject else ""
        if not lacks and "login-within" in required:
            recent = record.subject and record.auth_time >= self.clock() - _seconds(required["login-within"])
            lacks = "" if recent else "reauthenticate"
        if lacks:
            return {"status": lacks, "accepted": 0, "sid": record.sid, "subject": record.subject, "auth_time": record.auth_time}
        record.modified = self.clock()
        return self._extras(self._fields(record, status), record, options, words[0])

    def _new(self, options: Dict[str, Any]) -> _Record:
        record = _Record(secrets.token_hex(16), self.clock(), IDLE, ABSOLUTE)
        record.data = {name: value for name, value in _pairs(options).items() if value}
        return record

    def _token_issue(self, _: List[str], options: Dict[str, Any]) -> Reply:
        record = self._new(options)
        record.subject = options.get("SUBJECT", "")
        record.auth_time = int(options.get("AUTH-TIME", self._time())) if record.subject else 0
        record.cookie = options.get("COOKIE", "")
        self._limit(record, options)
        self._renew(record, forced=False)
        return self._fields(record, "issued", with_token=True)

    def _token_login(self, words: List[str], options: Dict[str, Any]) -> Reply:
        token, subject = words
        record, _, _ = self._find(token)
        retired = self._retired.get(token)
        if record is None and retired and self._alive(retired[0]) and retired[0].subject == subject \
                and self.clock() < retired[1] + OVERLAP:
            record = retired[0]
        else:
            if record is not None and record.subject not in ("", subject):
                self._ended[record.sid] = "login"
                self._retired[token] = (record, self.clock(), "", record.salt)
                del self._tokens[token]
                record = None
            if record is None:
                record = self._new({})
            record.subject, record.created = subject, self.clock()
            self._renew(record, forced=True)
            record.idle, record.end = IDLE, self.clock() + ABSOLUTE
            record.auth_time, record.is_limited = int(options.get("AUTH-TIME", self._time())), False
        record.cookie = options.get("COOKIE", "")
        self._limit(record, options)
        self._write(record, _pairs(options))
        most = int(options.get("MAX", 0))
        reply = self._extras(self._fields(record, "issued", with_token=True), record, {"CSRF": options["CSRF"]} if "CSRF" in options
                             else {}, token)
        if most:
            others = [other for other in self._of(subject) if other is not record][most - 1:]
            for other in others:
                self._ended[other.sid] = "limit"
            reply["ended"] = len(others)
        return reply

    def _token_rotate(self, words: List[str], options: Dict[str, Any]) -> Reply:
        record, status, reason = self._find(words[0])
        if record is None:
            return self._refusal("unknown" if status == "none" else status, reason)
        self._limit(record, options)
        self._renew(record, forced=True)
        return self._extras(self._fields(record, "rotated", with_token=True), record,
                            {"CSRF": options["CSRF"]} if "CSRF" in options else {}, words[0])

    def _token_expire(self, words: List[str], options: Dict[str, Any]) -> Reply:
        record, status, reason = self._find(words[0])
        if record is None:
            return self._refusal("unknown" if status == "none" else status, reason)
        was_guest = record.is_guest
        if was_guest:
            self._renew(record, forced=False)
        self._limit(record, options)
        return self._fields(record, "valid", with_token=was_guest)

    def _of(self, subject: str) -> List[_Record]:
        records = {record.sid: record for record in self._tokens.values() if record.subject == subject and self._alive(record)}
        return sorted(records.values(), key=lambda record: -record.created)

    def _token_revoke(self, words: List[str], options: Dict[str, Any]) -> Reply:
        if "SID" in options:
            found = [record for record in self._tokens.values() if record.sid == options["SID"] and not record.is_guest
                     and self._alive(record) and options.get("SUBJECT") in (None, record.subject)]
            record, status, reason = found[0] if found else None, "unknown", self._ended.get(options["SID"])
            if record is None and reason and "SUBJECT" not in options:
                status = "revoked"
        else:
            record, status, reason = self._find(words[0])
            if record is not None and record.is_guest:
                record, status = None, "unknown"
        if record is None:
            return self._refusal("unknown" if status == "none" else status, reason if status == "revoked" else None)
        self._ended[record.sid] = "logout"
        return self._refusal("revoked", "logout")

    def _token_revokeall(self, words: List[str], options: Dict[str, Any]) -> Reply:
        kept = None
        if "EXCEPT" in options:
            kept, status, reason = self._find(options["EXCEPT"])
            if kept is None or kept.subject != words[0]:
                return self._refusal("mismatch" if kept else status, reason)
        ended = [record for record in self._of(words[0]) if record is not kept]
        for record in ended:
            self._ended[record.sid] = "logout-all"
        return {"status": "revoked", "accepted": 0, "count": len(ended)}

    def _token_list(self, words: List[str], options: Dict[str, Any]) -> List[Reply]:
        keys = ("sid", "created", "modified", "auth_time", "expires_in", "absolute_in", "generation")
        return [self._extras({key: self._fields(record, "")[key] for key in keys}, record,
                             {"DATA": options["DATA"]} if "DATA" in options else {}, "")
                for record in self._of(words[0])[:int(options.get("LIMIT", 100))]]

    def _token_count(self, words: List[str], _: Dict[str, Any]) -> int:
        return len(self._of(words[0]))

    def _token_inspect(self, words: List[str], options: Dict[str, Any]) -> Reply:
        record, status, reason = self._target(words, options)
        if record is None:
            return self._refusal(status, reason)
        return {**self._fields(record, "valid"), "successor": "none", "data_fields": len(record.data)}

    def _target(self, words: List[str], options: Dict[str, Any]) -> Tuple[Optional[_Record], str, Optional[str]]:
        """The session that a command of data is about: of a token, or by its sid."""
        if "SID" not in options:
            record, status, reason = self._find(words[0])
            return record, "unknown" if status == "none" else status, reason
        found = [record for record in self._tokens.values() if record.sid == options["SID"] and not record.is_guest
                 and self._alive(record) and options.get("SUBJECT") in (None, record.subject)]
        reason = self._ended.get(options["SID"])
        return (found[0], "valid", None) if found else (None, "revoked" if reason else "unknown", reason)

    def _token_get(self, words: List[str], options: Dict[str, Any]) -> Reply:
        record, status, reason = self._target(words, options)
        if record is None:
            return self._refusal(status, reason)
        return self._extras({"status": "valid", "accepted": 1, "sid": record.sid}, record, {"DATA": options.get("DATA", [])}, "")

    def _token_getdel(self, words: List[str], options: Dict[str, Any]) -> Reply:
        reply = self._token_get(words, options)
        record, _, _ = self._target(words, options)
        if record is not None:
            self._write(record, {name: "" for name in options["DATA"]})
        return reply

    def _write(self, record: _Record, values: Dict[str, str]) -> int:
        changed = {name: value for name, value in values.items() if record.data.get(name, "") != value}
        data = {**record.data, **changed}
        size = sum(len(_bytes(name)) + len(_bytes(value)) for name, value in data.items() if value)
        if size > 65536:
            raise CommandError(f"ERR the session's data would have {size} bytes, at most 65536 are allowed")
        record.data = {name: value for name, value in data.items() if value}
        return len(changed)

    def _token_set(self, words: List[str], options: Dict[str, Any]) -> Reply:
        record, status, reason = self._target(words, options)
        if record is None:
            return self._refusal(status, reason)
        reply: Reply = {"status": "valid", "accepted": 1, "sid": record.sid, "changed": 0}
        conditions = options.get("IF", {})
        if any(record.data.get(name, "") != value for name, value in conditions.items()):
            data = {name: record.data[name] for name in conditions if name in record.data}
            return {**reply, "status": "conflict", "data": data}
        reply["changed"] = self._write(record, _pairs(options))
        if reply["changed"] and record.is_guest:
            self._renew(record, forced=False)
            self._limit(record, options)
            reply["sessiontoken"] = record.token
        return reply

    def _token_incr(self, words: List[str], options: Dict[str, Any]) -> Reply:
        record, status, reason = self._target(words, options)
        if record is None:
            return self._refusal(status, reason)
        name, by = (*options["DATA"], "1")[:2]
        text = record.data.get(name, "0")
        if text != str(_integer(text)):
            raise CommandError("ERR the field is no integer")
        value = int(text) + int(by)
        if not -2 ** 63 <= value < 2 ** 63:
            raise CommandError("ERR the sum is past 64 bits")
        reply: Reply = {"status": "valid", "accepted": 1, "sid": record.sid, "value": value}
        if int(by):
            self._write(record, {name: str(value)})
            if record.is_guest:
                self._renew(record, forced=False)
                reply["sessiontoken"] = record.token
        return reply

    def _holder(self, token: str) -> Tuple[Optional[_Record], str, Optional[str]]:
        record, status, reason = self._find(token)
        if record is None and token and (status == "replayed" or reason == "login"):
            return self._page_only(token), "valid", None
        return record, "unknown" if status == "none" else status, reason

    def _csrf_issue(self, words: List[str], options: Dict[str, Any]) -> Reply:
        record, status, reason = self._holder(words[0])
        if record is None:
            return self._refusal(status, reason)
        return {"status": "issued", "accepted": 1, "sid": record.sid, "csrf": self._csrf(record, options.get("FORM", "")),
                "expires_in": 43200}

    def _csrf_verify(self, words: List[str], options: Dict[str, Any]) -> Reply:
        record, status, reason = self._holder(words[0])
        if record is None:
            return self._refusal(status, reason)
        return {"status": self._judged(record, words[1], options.get("FORM", ""), options.get("FETCH-SITE", ""), words[0])}

    def _captcha_issue(self, _: List[str], options: Dict[str, Any]) -> Reply:
        sid = ""
        if "FOR" in options:
            record, status, reason = self._holder(options["FOR"])
            if record is None:
                return self._refusal(status, reason)
            sid = record.sid
        lifetime = _seconds(options.get("LIFETIME", "10m"))
        length = int(options.get("LENGTH", 5))
        solution = options.get("SOLUTION") or "".join(secrets.choice(ALPHABET) for _ in range(length))
        captcha = "eyJ" + secrets.token_urlsafe(96)
        self._captchas[captcha] = {"solution": solution, "form": options.get("FORM", ""), "sid": sid, "spent": False,
                                   "end": self.clock() + lifetime}
        return {"status": "issued", "captcha": captcha, "solution": solution, "expires_in": int(lifetime)}

    def _captcha_open(self, words: List[str], _: Dict[str, Any]) -> Reply:
        captcha = self._captchas.get(words[0])
        if captcha is None or self.clock() >= captcha["end"]:
            return {"status": "unknown" if captcha is None else "expired"}
        return {"status": "issued", "solution": captcha["solution"]}

    def _captcha_verify(self, words: List[str], options: Dict[str, Any]) -> Reply:
        captcha = self._captchas.get(words[0])
        if captcha is None or self.clock() >= captcha["end"]:
            return {"status": "unknown" if captcha is None else "expired"}
        record = self._holder(options["FOR"])[0] if "FOR" in options else None
        if captcha["form"] != options.get("FORM", "") or captcha["sid"] and (record is None or record.sid != captcha["sid"]):
            return {"status": "mismatch"}
        if captcha["spent"]:
            return {"status": "spent"}
        captcha["spent"] = True
        return {"status": "passed" if words[1].strip().lower() == captcha["solution"].strip().lower() else "failed"}


def _integer(text: str) -> Optional[int]:
    try:
        return int(text)
    except ValueError:
        return None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _seconds(duration: Union[str, int]) -> float:
    text = str(duration)
    number = text.rstrip("mshd")
    try:
        return float(number) * _UNITS[text[len(number):] or "s"]
    except (KeyError, ValueError):
        raise CommandError("ERR a duration is a number with ms, s, m, h or d; a bare number means seconds") from None


def _pairs(options: Dict[str, Any]) -> Dict[str, str]:
    words = options.get("DATA", [])
    return dict(zip(words[::2], words[1::2]))


def _parsed(words: List[Word], count: int) -> Tuple[List[str], Dict[str, Any]]:
    """The arguments without a name, and the options behind them."""
    texts = [word.decode("utf-8", "surrogateescape") if isinstance(word, bytes) else str(word) for word in words]
    options: Dict[str, Any] = {}
    if texts[:1] == ["SID"]:
        options["SID"], count = texts[1], 2
    plain, texts = texts[:count], texts[count:]
    while texts:
        word = texts.pop(0)
        if word == "DATA":
            options["DATA"] = texts
            break
        if word == "IF":
            name = texts.pop(0)
            options.setdefault("IF", {})[name] = texts.pop(0)
        elif word == "BIND":
            del texts[:2]
        elif word == "REQUIRE":
            kind = texts.pop(0)
            options.setdefault("REQUIRE", {})[kind] = texts.pop(0) if kind == "login-within" else True
        elif word in _OPTIONS:
            taken = [texts.pop(0) for _ in range(_OPTIONS[word])]
            options[word] = tuple(taken) if len(taken) != 1 else taken[0]
        else:
            raise CommandError("ERR an argument is no option")
    return plain, options


class MemoryClient(_Memory):
    """In the place of a Client."""

    def ask(self, command: Command) -> Any:
        return self.answer(command)

    def close(self) -> None:
        """There is nothing to close."""


class AsyncMemoryClient(_Memory):
    """In the place of an AsyncClient."""

    async def ask(self, command: Command) -> Any:
        return self.answer(command)

    async def close(self) -> None:
        """There is nothing to close."""
