"""A RESP2 client that tells apart what the test has to count: no connection, a connection that ended, an error reply."""

import socket

MAIN = "/run/tokencached/tokencached.sock"


class Refused(Exception):
    """There was no connection."""


class Ended(Exception):
    """The connection ended before the reply: nobody knows whether the command was carried out."""


class ErrorReply(Exception):
    """The daemon's answer is an error."""


# Every session token (hex) and every guest token (JWS) that any client here was given, for the search in the journal.
tokens = set()
guests = set()


class Client:
    def __init__(self, path=MAIN, limit=20):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(limit)
        try:
            self.socket.connect(path)
        except OSError as error:
            raise Refused(str(error)) from error
        self.bytes = b""

    def close(self):
        self.socket.close()

    def call(self, *words):
        """The reply; a map of the protocol as the flat list that RESP2 makes of it."""
        words = [str(word).encode() for word in words]
        request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        try:
            self.socket.sendall(request)
            return self.reply()
        except (ConnectionError, BrokenPipeError) as error:
            raise Ended(str(error)) from error

    def fields(self, *words):
        """A reply that is a map."""
        flat = self.call(*words)
        fields = dict(zip(flat[::2], flat[1::2]))
        token = fields.get("sessiontoken")
        if token:
            (guests if fields["kind"] == "guest" else tokens).add(token)
        return fields

    def line(self):
        while b"\r\n" not in self.bytes:
            self.fill()
        line, self.bytes = self.bytes.split(b"\r\n", 1)
        return line.decode()

    def fill(self):
        more = self.socket.recv(65536)
        if not more:
            raise Ended("end of file")
        self.bytes += more

    def reply(self):
        line = self.line()
        kind, text = line[0], line[1:]
        if kind == "-":
            raise ErrorReply(text)
        if kind == "+":
            return text
        if kind == ":":
            return int(text)
        if kind == "*":
            return [self.reply() for _ in range(int(text))]
        assert kind == "$", line
        if text == "-1":
            return None
        while len(self.bytes) < int(text) + 2:
            self.fill()
        value, self.bytes = self.bytes[: int(text)], self.bytes[int(text) + 2 :]
        return value.decode()


def once(*words, path=MAIN):
    client = Client(path)
    try:
        return client.call(*words)
    finally:
        client.close()


def fields(*words, path=MAIN):
    client = Client(path)
    try:
        return client.fields(*words)
    finally:
        client.close()
