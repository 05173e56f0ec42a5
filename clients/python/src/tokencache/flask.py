"""Flask: `TokenCache(app, Client(socket))`. Then `visitor` is the tokencache.Session of the request, `flask.session` its data,
a field a key of which only changed ones are written, and templates have `csrf_field()`."""
from __future__ import annotations

from typing import Any, Dict, Optional, cast

from flask import Flask, Request, Response
from flask import request as flask_request
from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SessionInterface, SessionMixin
from markupsafe import Markup
from werkzeug.local import LocalProxy

from . import wsgi
from .client import Asks, Client
from .session import Session

# Before each key, so that other parts of a site have fields of their own.
PREFIX = "flask."
_serializer = TaggedJSONSerializer()


def _visitor() -> Session:
    return wsgi.session_of(flask_request.environ)


visitor: Session = cast(Session, LocalProxy(_visitor))


class TokenCache:
    """The extension. `options` are those of tokencache.wsgi.SessionMiddleware: api, skip, bind, development and so on."""

    def __init__(self, app: Optional[Flask] = None, client: Optional[Asks] = None, **options: Any) -> None:
        self.client, self.options = client, options
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        client = self.client or Client(**({"path": app.config["TOKENCACHE_SOCKET"]} if "TOKENCACHE_SOCKET" in app.config else {}))
        middleware = wsgi.SessionMiddleware(app.wsgi_app, client, all_data=True, **self.options)
        app.wsgi_app = middleware  # type: ignore[method-assign]
        app.session_interface = _Sessions()
        app.extensions["tokencache"] = self
        app.jinja_env.globals["csrf_field"] = lambda: Markup(visitor.csrf_field)


class _Data(Dict[str, Any], SessionMixin):
    """What was read is kept as text, so that a change inside of a value is seen, too."""

    def __init__(self, known: Dict[str, str]) -> None:
        super().__init__()
        self.known = known
        for name, text in known.items():
            try:
                self[name[len(PREFIX):]] = _serializer.loads(text)
            except ValueError:
                # Not written by us: such a value is none.
                continue

    def changes(self) -> Dict[str, str]:
        values = {PREFIX + name: _serializer.dumps(value) for name, value in self.items()}
        changed = {name: text for name, text in values.items() if self.known.get(name) != text}
        return {**changed, **{name: "" for name in self.known if name not in values}}


class _Sessions(SessionInterface):
    def open_session(self, app: Flask, request: Request) -> Optional[_Data]:
        session: Optional[Session] = request.environ.get(wsgi.KEY)
        if session is None:
            return None
        return _Data({name: text for name, text in session.data.items() if name.startswith(PREFIX)})

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        assert isinstance(session, _Data)
        changes = session.changes()
        if not changes:
            return
        now = _visitor()
        if now.is_ended:
            # After a logout only what is new goes on: a message, say.
            changes = {name: text for name, text in changes.items() if text}
            if changes:
                now.start(changes)
        else:
            now.set(changes)
