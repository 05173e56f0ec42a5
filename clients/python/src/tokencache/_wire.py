"""RESP3 without I/O: words become bytes, bytes become replies."""
from __future__ import annotations

from typing import Any, Iterable, List, Tuple, Union

Word = Union[str, bytes, int]

# What a reply of the daemon can have at most; more is not believed.
MOST_LINE = 64 * 1024
MOST_BULK = 16 * 1024 * 1024
MOST_ITEMS = 1024 * 1024
MOST_DEPTH = 8


class WireError(Exception):
    """The bytes are no RESP; nothing that follows them can be read."""


class ErrorReply(str):
    """An error that the daemon answered: its code, a blank, its text."""


class Incomplete:
    """More bytes are needed."""


INCOMPLETE = Incomplete()


def encode(words: Iterable[Word]) -> bytes:
    """One command."""
    parts: List[bytes] = []
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogateescape")
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"*%d\r\n%b" % (len(parts), b"".join(parts))


class Replies:
    """Feed bytes in pieces of any size, take replies: text, integers, None, lists, dictionaries, ErrorReply."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._at = 0
        # The aggregates that are not complete: their items so far, how many they will have, whether they are maps.
        self._open: List[Tuple[List[Any], int, bool]] = []

    def feed(self, data: bytes) -> None:
        self._bytes += data

    @property
    def is_empty(self) -> bool:
        """Whether no byte is left over."""
        return self._at == len(self._bytes) and not self._open

    def take(self) -> Any:
        """The next reply, or INCOMPLETE. Raises WireError."""
        while True:
            value = self._item()
            if value is INCOMPLETE:
                return INCOMPLETE
            while self._open:
                items, count, is_map = self._open[-1]
                items.append(value)
                if len(items) < count:
                    break
                self._open.pop()
                value = _mapping(items) if is_map else items
            else:
                del self._bytes[:self._at]
                self._at = 0
                return value

    def _item(self) -> Any:
        """The next scalar or empty aggregate; opens what has items."""
        while True:
            end = self._bytes.find(b"\r\n", self._at)
            if end < 0:
                if len(self._bytes) - self._at > MOST_LINE:
                    raise WireError("a line is too long")
                return INCOMPLETE
            kind, line = self._bytes[self._at], self._bytes[self._at + 1:end]
            if kind == 0x24:  # $
                size = _number(line, -1, MOST_BULK)
                if size < 0:
                    self._at = end + 2
                    return None
                after = end + 2 + size
                if len(self._bytes) < after + 2:
                    return INCOMPLETE
                if self._bytes[after:after + 2] != b"\r\n":
                    raise WireError("a text does not end where it should")
                self._at = after + 2
                return self._bytes[end + 2:after].decode("utf-8", "surrogateescape")
            self._at = end + 2
            if kind == 0x3A:  # :
                return _number(line, -(2 ** 63), 2 ** 63 - 1)
            if kind == 0x2B:  # +
                return line.decode("utf-8", "surrogateescape")
            if kind == 0x2D:  # -
                return ErrorReply(line.decode("utf-8", "replace"))
            if kind == 0x5F:  # _
                return None
            if kind not in (0x2A, 0x25, 0x3E, 0x7E):  # * % > ~
                raise WireError("a reply begins with a byte that none begins with")
            count = _number(line, -1, MOST_ITEMS)
            if count < 0:
                return None
            if count == 0:
                return {} if kind == 0x25 else []
            if len(self._open) == MOST_DEPTH:
                raise WireError("a reply is nested too deeply")
            self._open.append(([], count * 2 if kind == 0x25 else count, kind == 0x25))


def _number(digits: bytearray, least: int, most: int) -> int:
    text = bytes(digits)
    number = text[1:] if text[:1] == b"-" else text
    if not number.isdigit() or len(number) > 19 or not least <= int(text) <= most:
        raise WireError("a number in a reply is none, or out of range")
    return int(text)


def _mapping(items: List[Any]) -> Any:
    try:
        return dict(zip(items[::2], items[1::2]))
    except TypeError as error:
        raise WireError("a name in a map is no text") from error

