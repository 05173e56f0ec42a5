"""CSRF tokens of the daemon in Django's templates and views."""
from __future__ import annotations

from typing import Any, Callable, Dict, TypeVar

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

View = TypeVar("View", bound=Callable[..., Any])


def get_token(request: HttpRequest) -> str:
    """A token for the forms of this page; in the place of django.middleware.csrf.get_token."""
    # The page is about this visitor from here on.
    request.session.accessed = True
    return str(request.tokencache.csrf)


def context(request: HttpRequest) -> Dict[str, Any]:
    """The context processor behind `{% csrf_token %}`."""
    return {"csrf_token": SimpleLazyObject(lambda: get_token(request))} if hasattr(request, "tokencache") else {}


def shows_form_again(view: View) -> View:
    """For views that show a form again, filled as it came, where `request.csrf_passed` is false: nothing may be carried out
    then. Without it such a form is answered with CSRF_FAILURE_VIEW, 403."""
    setattr(view, "shows_form_again", True)
    return view
