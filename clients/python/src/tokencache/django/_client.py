"""One client for the settings as they are."""
from __future__ import annotations

import functools
from typing import Any, Dict

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from ..client import DEFAULT_SOCKET, DEFAULT_TIMEOUT, Client

# Name → what it is without a setting.
OPTIONS: Dict[str, Any] = {
    "SOCKET": DEFAULT_SOCKET,  # the daemon's
    "TIMEOUT": DEFAULT_TIMEOUT,  # seconds
    "API": (),  # beginnings of paths that answer programs
    "SKIP": (),  # beginnings of paths that have no session at all
}


def option(name: str) -> Any:
    given = getattr(settings, "TOKENCACHE", {})
    unknown = sorted(set(given) - set(OPTIONS))
    if unknown:
        raise ImproperlyConfigured(f"TOKENCACHE has {', '.join(unknown)}; allowed are {', '.join(OPTIONS)}")
    return given.get(name, OPTIONS[name])


@functools.lru_cache(maxsize=4)
def _client(path: str, timeout: float) -> Client:
    return Client(path, timeout)


def client() -> Client:
    return _client(option("SOCKET"), option("TIMEOUT"))
