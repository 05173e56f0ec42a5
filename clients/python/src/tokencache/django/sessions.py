"""The session engine. A field of the daemon is a key of the session, and only those that changed are written, so two requests
lose nothing of each other's. `session_key` is the sid, never the token.

With a visitor, whom the middleware brings, whatever needs a new cookie waits for the response: `login` and `cycle_key`
become one LOGIN where the user is new or gave the password again, else a ROTATE; `flush` a REVOKE. What was done by
`request.tokencache` meanwhile holds: nobody is logged in or out again by what was read before. Without a visitor, in a shell
or a task, a store works on sessions by their key.
"""
from __future__ import annotations

import re
from typing import Any, Dict, Optional, Tuple

from asgiref.sync import sync_to_async
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase, UpdateError

from .. import commands
from .._errors import NotStored
from ..session import Session
from ._client import client

# Before each key: names in capitals could be options of a command, and other parts of a site have fields of their own.
PREFIX = "dj."
EXPIRY = "_session_expiry"
MOST_AGE = 400 * 86400
LOGIN_KEYS = (SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY)
_SID = re.compile("[0-9a-f]{32}")


class SessionStore(SessionBase):
    # Django has it a property, and knows no types.
    _session_key: Any

    def __init__(self, session_key: Optional[str] = None, visitor: Optional[Session] = None) -> None:
        super().__init__(session_key)
        self.visitor = visitor
        # Field → value, as the daemon has them.
        self._known: Dict[str, str] = {}
        self._token: Optional[str] = None
        self._cycled = False
        # After how many logins and logouts of this request it was flushed, and the password was given.
        self._flushed: Optional[int] = None
        self._proven: Optional[int] = None
        # The session that the values are of, and its user as Django has it.
        self._sid = ""
        self._user: Optional[str] = None
        if visitor is not None:
            self._sid = visitor.sid
            if visitor.accepted and visitor.is_stored:
                self._session_key = visitor.sid

    # Values

    def _encoded(self) -> Dict[str, str]:
        serializer = self.serializer()
        return {PREFIX + str(key): serializer.dumps(value).decode("utf-8", "surrogateescape")
                for key, value in self._session.items()}

    def _decoded(self, fields: Dict[str, str]) -> Dict[str, Any]:
        serializer, values = self.serializer(), {}
        for name, text in fields.items():
            if name.startswith(PREFIX):
                try:
                    values[name[len(PREFIX):]] = serializer.loads(text.encode("utf-8", "surrogateescape"))
                except Exception:
                    # Written by another serializer, say: as Django does, such a value is none.
                    continue
        return values

    def load(self) -> Dict[str, Any]:
        if self.visitor is not None:
            fields = dict(self.visitor.data)
        elif _SID.fullmatch(self.session_key or ""):
            reply = client().ask(commands.get_sid(self.session_key))
            fields = dict(reply.get("data", {}))
            if reply["accepted"] != 1:
                self._session_key = None
        else:
            self._session_key = None
            fields = {}
        self._known = {name: value for name, value in fields.items() if name.startswith(PREFIX)}
        values = self._decoded(self._known)
        if self.visitor is not None and values.get(SESSION_KEY) not in (None, self.visitor.user):
            # Logged in is whoever the daemon says; data alone log nobody in.
            for key in LOGIN_KEYS:
                values.pop(key, None)
        self._user = values.get(SESSION_KEY)
        return values

    def _changes(self) -> Tuple[Dict[str, str], Dict[str, str]]:
        """What to write, and what to remove."""
        values = self._encoded()
        return ({name: value for name, value in values.items() if self._known.get(name) != value},
                {name: "" for name in self._known if name not in values})

    def _written(self) -> None:
        self._known = self._encoded()

    # Django's contract

    def exists(self, session_key: str) -> bool:
        return bool(_SID.fullmatch(session_key or "")) and client().ask(commands.inspect_sid(session_key))["accepted"] == 1

    def create(self) -> None:
        if self.visitor is not None:
            self._get_session()
            self._leave(self.visitor)
            self._follow(self.visitor)
            if self.visitor.is_ended:
                self.visitor.start({})
            elif not self.visitor.is_stored and not self.visitor.rotate():
                raise NotStored("the visitor's token is no longer good")
            self._sid = self._session_key = self.visitor.sid
        else:
            self._get_session(no_load=True)
            age = self._age()
            values = self._encoded()
            reply = client().ask(commands.issue(self._session.get(SESSION_KEY), idle=age, absolute=age, data=values))
            self._session_key, self._token = reply["sid"], reply["sessiontoken"]
            self._known = values
            if self.get_expiry_age() <= 0:
                # Over as soon as it was made.
                client().ask(commands.revoke_sid(str(self.session_key)))
        self.modified = True

    def save(self, must_create: bool = False) -> None:
        if self.visitor is not None:
            self._commit(self.visitor)
        elif must_create or self.session_key is None:
            self.create()
        else:
            self._get_session()
            changed, removed = self._changes()
            if not _SID.fullmatch(self.session_key or ""):
                raise UpdateError
            if changed or removed:
                is_there = client().ask(commands.put_sid(self.session_key, {**changed, **removed}))["accepted"] == 1
            else:
                is_there = self.exists(self.session_key)
            if not is_there:
                raise UpdateError
            if PREFIX + EXPIRY in changed and self._token:
                client().ask(commands.expire(self._token, idle=self._age(), absolute=self._age()))
            self._written()

    def delete(self, session_key: Optional[str] = None) -> None:
        key = session_key or self.session_key
        if self.visitor is not None and key == self.visitor.sid:
            self.visitor.logout()
        elif _SID.fullmatch(key or ""):
            client().ask(commands.revoke_sid(str(key)))

    def cycle_key(self) -> None:
        if self.visitor is None:
            super().cycle_key()
            return
        self._get_session()
        self._cycled = self.modified = True

    def flush(self) -> None:
        if self.visitor is None:
            super().flush()
            return
        self._get_session()
        self.clear()
        self._session_key = self._user = None
        self._flushed = self.visitor.turns

    # Django's own are made of `acreate` and `adelete`, of which the second ends what the first made: here a session keeps
    # its key.

    async def acycle_key(self) -> None:
        await sync_to_async(self.cycle_key)()

    async def aflush(self) -> None:
        await sync_to_async(self.flush)()

    @classmethod
    def clear_expired(cls) -> None:
        """Every key in Redis ends by itself."""

    # A visitor's

    def proven(self) -> None:
        """The user gave the password just now."""
        assert self.visitor is not None
        self._proven, self.modified = self.visitor.turns, True

    def _age(self) -> int:
        return max(1, min(int(self.get_expiry_age()), MOST_AGE))

    def _leave(self, visitor: Session) -> None:
        """Carries out a `flush`, or what comes to the same, if nobody logged in or out since."""
        user = self._get_session().get(SESSION_KEY)
        if self._flushed == visitor.turns or user is None and self._user is not None and self._sid == visitor.sid:
            # LOGIN of another user ends this session by itself.
            if not visitor.is_ended and (user is None or visitor.user in (None, user)):
                visitor.logout()
            self._known, self._sid, self._user = {}, visitor.sid, None
        self._flushed = None

    def _follow(self, visitor: Session) -> None:
        """Where the visitor has another session by now, or none, what this request changed goes on, and nothing else. So it is
        where the values are to become another user's."""
        user, is_over = self._session.get(SESSION_KEY), visitor.sid != self._sid
        if not is_over and (user is None or visitor.user in (None, user)):
            return
        changed, _ = self._changes()
        # Who gave the password before the visitor became somebody else is nobody now.
        is_login = self._proven == visitor.turns or not is_over and self._proven is None
        self._session_cache = {key: value for key, value in self._session.items()
                               if (is_login if key in LOGIN_KEYS else PREFIX + str(key) in changed)}
        self._known, self._sid, self._user = {}, visitor.sid, None

    def _commit(self, visitor: Session) -> None:
        self._leave(visitor)
        self._follow(visitor)
        user = self._session.get(SESSION_KEY)
        changed, removed = self._changes()
        if user is not None and (self._proven is not None or user not in (self._user, visitor.user)):
            cookie = "session" if self.get_expire_at_browser_close() else "persistent"
            # Django's middleware checked the form.
            if not visitor.login(user, idle=self._age(), absolute=self._age(), cookie=cookie, data=changed, form=False):
                raise NotStored("the user has as many sessions as they may have")
            changed = {}
        elif self._cycled and (visitor.is_stored or changed) and not visitor.is_ended:
            if not visitor.rotate():
                raise NotStored("the visitor's token is no longer good")
        if changed and visitor.is_ended:
            visitor.start(changed)
        elif changed or removed:
            visitor.set({**changed, **removed})
            if PREFIX + EXPIRY in changed:
                visitor.expire(idle=self._age(), absolute=self._age())
        self._cycled, self._proven = False, None
        self._sid, self._user = visitor.sid, self._session.get(SESSION_KEY)
        self._session_key = visitor.sid if visitor.is_stored else None
        self._written()
