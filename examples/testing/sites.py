"""The sites of the examples, asked as a web server or a browser asks them, and a browser: a cookie jar and the page that is open."""
import collections
import email
import http.client
import os
import pathlib
import re
import socket
import struct
import subprocess
import urllib.parse

import stage as staging

root = pathlib.Path(__file__).resolve().parents[2]
REQUEST_SECONDS = 30

Answer = collections.namedtuple("Answer", "status headers body")


class HTTPSite:
    """A process that serves an example's site on 127.0.0.1. It is asked one request at a time."""
    # The name of its cookie.
    cookie = "tc"

    def __init__(self, command, stage, name, daemon, environment=()):
        """PORT in the command is where it is to listen; `daemon` is the path of the daemon's socket."""
        self.stage, self.name, self.port = stage, name, staging.free_port()
        stage.start(name, [word.replace("PORT", str(self.port)) for word in command], lambda: staging.listens(self.port),
                    {"TOKENCACHED_SOCKET": daemon, **dict(environment)})

    def end(self):
        self.stage.stop(self.name)

    def ask(self, method, address, cookie, mode, form):
        headers = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": mode, **({"Cookie": cookie} if cookie else {})}
        body = urllib.parse.urlencode(form) if method == "POST" else None
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_SECONDS)
        try:
            connection.request(method, address, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode())
        finally:
            connection.close()


class FastCGISite:
    """The same, for a FastCGI worker."""
    cookie = "tc"
    BEGIN, END, PARAMETERS, STDIN, STDOUT = 1, 3, 4, 5, 6

    def __init__(self, command, stage, name, daemon):
        """LISTEN in the command is the path of its socket."""
        self.stage, self.name, self.path = stage, name, f"{stage.folder}/{name}.sock"
        stage.start(name, [word.replace("LISTEN", self.path) for word in command], lambda: os.path.exists(self.path),
                    {"TOKENCACHED_SOCKET": daemon})

    def end(self):
        self.stage.stop(self.name)

    def ask(self, method, address, cookie, mode, form):
        path, _, query = address.partition("?")
        body = urllib.parse.urlencode(form).encode() if method == "POST" else b""
        variables = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": "application/x-www-form-urlencoded", "HTTP_HOST": "localhost", "HTTP_COOKIE": cookie,
            "HTTP_SEC_FETCH_SITE": "same-origin", "HTTP_SEC_FETCH_MODE": mode}
        parameters = b"".join(
            struct.pack("!II", len(name) | 1 << 31, len(value) | 1 << 31) + name.encode() + value.encode()
            for name, value in variables.items())
        with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as stream:
            connection.settimeout(REQUEST_SECONDS)
            connection.connect(self.path)
            connection.sendall(b"".join(struct.pack("!BBHHBx", 1, kind, 1, len(content), 0) + content for kind, content in (
                (self.BEGIN, struct.pack("!HB5x", 1, 0)), (self.PARAMETERS, parameters), (self.PARAMETERS, b""),
                *([(self.STDIN, body)] if body else []), (self.STDIN, b""))))
            output, kind = b"", None
            while kind != self.END:
                _, kind, _, length, padding = struct.unpack("!BBHHBx", stream.read(8))
                content = stream.read(length + padding)[:length]
                output += content if kind == self.STDOUT else b""
        head, _, body = output.partition(b"\r\n\r\n")
        headers = email.message_from_bytes(head)
        return Answer(int(headers["Status"].split()[0]), headers, body.decode())


class LineSite:
    """The same, for a program that takes a line a request and gives a line a response, words between tabs."""
    cookie = "__Host-tc"

    def __init__(self, command, stage, name, daemon):
        self.process = subprocess.Popen([*command, daemon], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def end(self):
        staging.hang_up(self.process)

    def ask(self, method, address, cookie, mode, form):
        path, _, query = address.partition("?")
        fields = (form.get(name, "") for name in ("csrf", "name", "password", "note"))
        self.process.stdin.write("\t".join((method, path, query, cookie, mode, *fields)) + "\n")
        answer = self.process.stdout.readline()
        if not answer.endswith("\n"):
            raise staging.Failed("a worker ended")
        status, *values, body = answer[:-1].split("\t")
        names = ("Set-Cookie", "Location", "Cache-Control", "Retry-After")
        headers = email.message_from_string("".join(f"{name}: {value}\n" for name, value in zip(names, values) if value))
        return Answer(int(status), headers, body)


class Browser:
    """What it holds: a cookie; and what the page says that is open: who is greeted, the note, the token of its forms. Every answer
    is looked at: one cookie at most, and what is this visitor's alone is stored by nobody."""

    def __init__(self, ask):
        self.ask = ask
        self.jar = self.csrf = self.who = self.note = ""

    def request(self, method, address, mode="navigate", cookie=None, form=()):
        """With the jar's cookie, or with an older one."""
        answer = self.ask(method, address, self.jar if cookie is None else cookie, mode, dict(form))
        self.keep(answer)
        return answer

    def keep(self, answer):
        cookies = answer.headers.get_all("Set-Cookie", [])
        if len(cookies) > 1:
            raise staging.Failed(f"two cookies: {cookies}")
        if (cookies or answer.status == 200) and "no-store" not in answer.headers.get("Cache-Control", ""):
            raise staging.Failed(f"a cache may keep it: {answer}")
        for cookie in cookies:
            pair = cookie.partition(";")[0]
            self.jar = "" if pair.endswith("=") else pair

    def navigate(self, method="GET", address="/", cookie=None, **form):
        """Follows redirects to a page, and returns the answers on the way. A form is sent with the token of the open page,
        if it brings none itself."""
        form = {"csrf": self.csrf, **form} if method == "POST" else {}
        answers = [self.request(method, address, cookie=cookie, form=form)]
        while "Location" in answers[-1].headers:
            if "Set-Cookie" in answers[-1].headers:
                cookie = None
            address = urllib.parse.urljoin(address, answers[-1].headers["Location"])
            answers.append(self.request("GET", address, cookie=cookie))
        page = answers[-1].body
        if answers[-1].status != 200:
            raise staging.Failed(f"{method} {address}: {answers[-1].status}\n{page}")
        self.csrf = re.search('name="csrf" value="([^"]*)"', page)[1]
        self.who = re.search("<b>(.*)</b>", page)[1]
        self.note = (re.search('name="note" value="([^"]*)"', page) or ("", ""))[1]
        return answers


LIFE = """\
first visit: guest, cookie set
second visit: guest, cookie kept
a forged form: guest, the form again
login: ann, cookie set
second click: ann, cookie set
late request: guest, asked to come again
visit after login: ann, cookie kept
a note: ann (milk), cookie kept
logout: guest, cookie deleted, cookie set
after logout: guest, cookie kept
"""


def life(ask):
    """A visitor's life on a site, told line by line as LIFE is."""
    browser = Browser(ask)
    lines = []

    def go(what, *request, **form):
        marks = []
        for answer in browser.navigate(*request, **form):
            if "Set-Cookie" in answer.headers:
                is_deleted = answer.headers["Set-Cookie"].partition(";")[0].endswith("=")
                marks.append("cookie deleted" if is_deleted else "cookie set")
            if "again=1" in answer.headers.get("Location", ""):
                marks.append("asked to come again")
            if "send it again" in answer.body:
                marks.append("the form again")
        seen = f"{browser.who} ({browser.note})" if browser.note else browser.who
        lines.append(f"{what}: {seen}, {', '.join(marks) or 'cookie kept'}\n")

    ann = {"name": "ann", "password": "apple"}
    go("first visit")
    go("second visit")
    before, sent = browser.jar, browser.csrf
    go("a forged form", "POST", "/login", csrf="forged", **ann)
    go("login", "POST", "/login", **ann)
    # The second click was sent with the cookie of before; so was the request of another tab.
    go("second click", "POST", "/login", before, csrf=sent, **ann)
    go("late request", "GET", "/", before)
    go("visit after login")
    go("a note", "POST", "/note", note="milk")
    go("logout", "POST", "/logout")
    go("after logout")
    return "".join(lines)
