"""One client for the settings as they are."""
from __future__ import annotations

import functools
from typing import Any, Dict, Optional, Tuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.utils.module_loading import import_string

from ..client import DEFAULT_SOCKET, DEFAULT_TIMEOUT, Client
from ..commands import Signals
from ..session import names

# Name → what it is without a setting.
OPTIONS: Dict[str, Any] = {
    "SOCKET": DEFAULT_SOCKET,  # the daemon's
    "TIMEOUT": DEFAULT_TIMEOUT,  # seconds
    "API": (),  # beginnings of paths that answer programs
    "SKIP": (),  # beginnings of paths that have no session at all
    "BIND": "",  # "package.module.function": of a request, returns what tokens are bound to, {"ip": ..., "ua": ...}
}


def option(name: str) -> Any:
    given = getattr(settings, "TOKENCACHE", {})
    unknown = sorted(set(given) - set(OPTIONS))
    if unknown:
        raise ImproperlyConfigured(f"TOKENCACHE has {', '.join(unknown)}; allowed are {', '.join(OPTIONS)}")
    return given.get(name, OPTIONS[name])


def paths(name: str) -> Tuple[str, ...]:
    try:
        return names(option(name), name, "/")
    except TypeError as error:
        raise ImproperlyConfigured(f"TOKENCACHE: {error}") from error


@functools.lru_cache(maxsize=4)
def _client(path: str, timeout: float) -> Client:
    return Client(path, timeout)


def signals(request: HttpRequest) -> Optional[Signals]:
    name = option("BIND")
    found: Optional[Signals] = import_string(name)(request) if name else None
    return found


def client() -> Client:
    return _client(option("SOCKET"), option("TIMEOUT"))
