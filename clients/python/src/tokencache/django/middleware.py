"""SessionMiddleware and CsrfViewMiddleware, in the places of Django's own."""
from __future__ import annotations

from typing import Any, Optional

from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.middleware import csrf as django_csrf
from django.utils.cache import patch_vary_headers

from .. import _response
from .._errors import NotStored, Unavailable
from ..session import Session
from ..wsgi import request_of
from ._client import client, paths, signals
from .sessions import SessionStore


def _proven(sender: Any, request: Optional[HttpRequest] = None, **_: Any) -> None:
    store = getattr(request, "session", None)
    if isinstance(store, SessionStore) and store.visitor is not None:
        store.proven()


user_logged_in.connect(_proven, dispatch_uid="tokencache")


class SessionMiddleware(DjangoSessionMiddleware):
    """Asks once for each request who it is (`request.tokencache`, a tokencache.Session; `request.session` beside it), and
    sets the cookie on whatever response comes of it. `DEBUG` allows a cookie for http://localhost."""

    def process_request(self, request: HttpRequest) -> Optional[HttpResponse]:
        if request.path.startswith(paths("SKIP")):
            request.session = self.SessionStore()
            return None
        api = request.path.startswith(paths("API"))
        facts = request_of({**request.META, "wsgi.url_scheme": request.scheme, "REQUEST_METHOD": request.method}, api)
        visitor = Session(client(), facts, development=settings.DEBUG, bind=signals(request))
        request.tokencache = visitor
        if visitor.is_forgery:
            return _of(_response.forbidden())
        try:
            visitor.visit(all_data=True)
        except Unavailable as error:
            return _of(_response.of_failure(visitor, error))
        request.session = self.SessionStore(visitor=visitor)
        return _of(_response.come_again(visitor.come_again)) if visitor.come_again is not None else None

    def process_exception(self, request: HttpRequest, error: Exception) -> Optional[HttpResponse]:
        if isinstance(error, (Unavailable, NotStored)) and hasattr(request, "tokencache"):
            return _of(_response.of_failure(request.tokencache, error))
        return None

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        visitor, store = getattr(request, "tokencache", None), getattr(request, "session", None)
        if visitor is None:
            return response
        if visitor.failure and response.status_code == 500:
            response = _of(_response.of_failure(visitor, visitor.failure))
        if store is not None and response.status_code < 500 and (store.modified or settings.SESSION_SAVE_EVERY_REQUEST):
            try:
                store.save()
            except (Unavailable, NotStored) as error:
                response = _of(_response.of_failure(visitor, error))
        cookie = visitor.set_cookie
        if store is not None and store.accessed or cookie or visitor.is_personal:
            patch_vary_headers(response, ("Cookie",))
            if cookie or visitor.is_personal or not response.has_header("Cache-Control"):
                response["Cache-Control"] = "no-store"
                if response.has_header("Expires"):
                    del response["Expires"]
            if cookie:
                # Else attributes of a cookie that the site wrote stay on.
                response.cookies.pop(_response.name_of(cookie), None)
                response.cookies.load(cookie)
        visitor.response_started = True
        return response


def _of(answer: _response.Answer) -> HttpResponse:
    status, headers, body = answer
    response = HttpResponse(body, status=int(status[:3]))
    for name, value in headers:
        response[name] = value
    return response


class CsrfViewMiddleware(django_csrf.CsrfViewMiddleware):
    """Django's checks of Origin and Referer, and the daemon's of the token: bound to the visitor, good in every tab until
    the next login, and no cookie of its own. A view with @shows_form_again is called with whatever came, and looks at
    `request.csrf_passed`."""

    def process_request(self, request: HttpRequest) -> None:
        pass

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        # What Django's own decorator, csrf_protect, set on the way.
        response.cookies.pop(settings.CSRF_COOKIE_NAME, None)
        return response

    def process_view(self, request: HttpRequest, callback: Any, args: Any, kwargs: Any) -> Optional[HttpResponse]:
        request.csrf_passed = True
        if not hasattr(request, "tokencache"):
            return None if request.method in ("GET", "HEAD", "OPTIONS", "TRACE") else self._reject(
                request, "a path of TOKENCACHE SKIP has no session, and takes no forms")
        if request.tokencache.request.api and not getattr(callback, "csrf_exempt", False):
            # The session middleware let no other site's page in.
            accepted: None = self._accept(request)
            return accepted
        try:
            refusal: Optional[HttpResponse] = super().process_view(request, callback, args, kwargs)
        except Unavailable as error:
            return _of(_response.of_failure(request.tokencache, error))
        if refusal is not None and getattr(callback, "shows_form_again", False):
            request.csrf_passed, refusal = False, None
        return refusal

    def _check_token(self, request: HttpRequest) -> None:
        try:
            token = request.POST.get("csrfmiddlewaretoken", "") if request.method == "POST" else ""
        except UnreadablePostError:
            # Whoever sent it has gone.
            token = ""
        token = token or request.META.get(settings.CSRF_HEADER_NAME, "")
        status = request.tokencache.check(token)
        if status != "passed":
            raise django_csrf.RejectRequest(f"CSRF token {status}.")
