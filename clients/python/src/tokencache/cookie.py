"""The session cookie, written whole from a reply."""
from __future__ import annotations

from typing import Any, Mapping, Optional

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")


class Cookie:
    """`__Host-tc`, for HTTPS, for this host alone. `development` is for http://localhost, where not every browser takes a
    cookie that is for HTTPS: `tc` there, and still `__Host-tc` for every other host."""

    def __init__(self, host: str = "", scheme: str = "https", development: bool = False) -> None:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        is_local = development and scheme == "http" and name.lower() in LOCAL_HOSTS
        self.name = "tc" if is_local else "__Host-tc"
        self._attributes = "; Path=/" + ("" if is_local else "; Secure") + "; HttpOnly; SameSite=Lax"

    def token(self, header: str) -> str:
        """The token in a request's Cookie header, "" where there is none."""
        pairs = (pair.strip().partition("=") for pair in header.split(";"))
        return next((value for name, _, value in pairs if name == self.name), "")

    def of(self, fields: Mapping[str, Any]) -> Optional[str]:
        """Set-Cookie for a reply; None where the cookie stays as it is, which is whenever no sessiontoken is in it."""
        if "sessiontoken" not in fields:
            return None
        age = f"; Max-Age={fields['max_age']}" if "max_age" in fields else ""
        return f"{self.name}={fields['sessiontoken']}{age}{self._attributes}"

    def removal(self) -> str:
        """Set-Cookie that deletes it, after a logout."""
        return f"{self.name}=; Max-Age=0{self._attributes}"
