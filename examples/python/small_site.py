#!/usr/bin/env python3
"""A site with a login on clients/python, as WSGI; from a checkout:

    PYTHONPATH=clients/python/src python3 examples/python/small_site.py [PORT]

then http://localhost:8000: ann, password apple. Or `gunicorn small_site:application` in this folder.
"""
import html
import os
import re
import sys
import urllib.parse
import wsgiref.simple_server

from tokencache import Client
from tokencache.wsgi import SessionMiddleware, session_of

MOST_BODY = 16384
MOST_NOTE = 200


def password_is_right(form):
    return (form.get("name"), form.get("password")) == ("ann", "apple")


def carried_out(what, session, form):
    """Carries out what was asked for; false where the form has to be shown again."""
    # The second click of two has logged in already, whatever became of its form.
    if what == "POST /login" and session.user:
        return True
    if not what.startswith("POST ") or session.check(form.get("csrf", "")) != "passed":
        return False
    if what == "POST /login" and password_is_right(form):
        return session.login(form["name"])
    if what == "POST /note" and session.user and len(form.get("note", "")) <= MOST_NOTE:
        return session.set({"note": form.get("note", "")})
    return what == "POST /logout" and (session.logout() or True)


def page(session, form):
    """The forms are filled as they came."""
    csrf, value = session.csrf_field, {name: html.escape(text) for name, text in {**session.data, **form}.items()}
    if session.user:
        forms = (f'<form method="post" action="/note">{csrf}<input name="note" value="{value.get("note", "")}">'
                 f'<button>Keep</button></form><form method="post" action="/logout">{csrf}<button>Log out</button></form>')
    else:
        forms = (f'<form method="post" action="/login">{csrf}<input name="name" value="{value.get("name", "")}">'
                 '<input name="password" type="password"><button>Log in</button></form>')
    notice = "Please send it again." if form else ""
    return f"<!doctype html><title>Sessions</title><p>{notice} Hello, <b>{html.escape(session.user or 'guest')}</b>.</p>{forms}"


def site(environ, start_response):
    session, form = session_of(environ), form_of(environ)
    if carried_out(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}", session, form):
        start_response("303 See Other", [("Location", "/")])
        return [b""]
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [page(session, form).encode()]


def form_of(environ):
    if environ["REQUEST_METHOD"] != "POST":
        return {}
    # What came may be no number.
    length = environ.get("CONTENT_LENGTH", "")
    body = environ["wsgi.input"].read(min(int(length), MOST_BODY) if re.fullmatch("[0-9]{1,18}", length) else 0)
    return dict(urllib.parse.parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


# `note` comes with the question who it is. development: a cookie for http://localhost. Leave it out where the site has HTTPS.
application = SessionMiddleware(
    site, Client(os.environ.get("TOKENCACHED_SOCKET", "/run/tokencached/tokencached.sock")), fields=["note"], development=True)

if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    with wsgiref.simple_server.make_server("localhost", port, application) as server:
        server.serve_forever()
