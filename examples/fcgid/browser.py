"""Visitors of the feedback site: each a browser with a cookie jar of its own, or a front end that keeps its token itself."""
import collections
import concurrent.futures
import dataclasses
import html
import http.client
import json
import re
import threading
import time
import urllib.parse

REQUEST_SECONDS = 60
# Sooner than the Retry-After says: impatient visitors see more of an outage.
RETRY_SECONDS = 0.2
MOST_REFUSALS = 200
SESSION_TOKEN = re.compile(r"[0-9a-f]{128}")


class TryAgain(Exception):
    """The site answered 503: nobody knows, try again in a moment."""


@dataclasses.dataclass
class Reply:
    status: int
    body: str
    fields: dict


class Visitor:
    """One visitor. What went wrong is counted in `wrong`, by its name; the rest says what was seen."""

    def __init__(self, port, name, keeps_token):
        self.port, self.name, self.keeps_token = port, name, keeps_token
        self.token = self.frontend = self.captcha = self.sid = None
        self.greeted = ""
        self.requests = collections.Counter()
        self.wrong = collections.Counter()
        self.workers = set()
        # Every session token that the site gave.
        self.tokens = set()
        self.renewals = 0
        # The token that the last change of privilege replaced.
        self.before_renewal = None
        self.lock = threading.Lock()

    # One request.

    def call(self, method, path, fields=None):
        # As browsers say it: a page is a navigation, its picture and what its scripts ask for is not.
        mode = "cors" if method == "POST" else "navigate" if path == "/feedback" else "no-cors"
        headers = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": mode}
        with self.lock:
            if self.token and self.keeps_token:
                headers["X-Session-Token"] = self.token
            elif self.token:
                headers["Cookie"] = f"__Host-tc={self.token}"
        body = None
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["X-Frontend-Token"] = self.frontend or ""
            body = urllib.parse.urlencode(fields or {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_SECONDS)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        is_api = response.getheader("Content-Type") == "application/json"
        reply = Reply(response.status, text, json.loads(text) if is_api else {})
        with self.lock:
            self.workers.add(response.getheader("X-Worker"))
            # On a 503, too: the fault may have come after the token.
            self.pick_up(response.getheader("Set-Cookie"), reply.fields.get("sessiontoken"))
            if response.status == 503:
                self.requests["503"] += 1
                if not response.getheader("Retry-After"):
                    self.wrong["503 without Retry-After"] += 1
                raise TryAgain
            self.requests["API calls" if method == "POST" else "page views"] += 1
        return reply

    def pick_up(self, cookie, field):
        """The successor comes back the way the token went."""
        found = re.match(r"__Host-tc=([^;]+);.*Secure; HttpOnly", cookie or "")
        token = found[1] if found else field
        if not token:
            return
        if bool(found) == self.keeps_token:
            self.wrong["successor came the other way"] += 1
        self.token = token
        if SESSION_TOKEN.fullmatch(token):
            self.tokens.add(token)

    # What a visitor does.

    def open_page(self):
        if self.keeps_token:
            # A page that is open already; its first call gave it a token of its own.
            if self.token is None:
                self.frontend = self.call("POST", "/api/session").fields["frontend"]
            self.captcha = self.api("captcha").get("captcha")
            return
        page = self.call("GET", "/feedback").body
        self.frontend = re.search(r'name="frontend-token" content="([^"]*)"', page)[1]
        self.captcha = re.search(r'name="captcha" value="([^"]*)"', page)[1]
        greeted = html.unescape(re.search(r'<b id="name">([^<]*)</b>', page)[1])
        if self.sid and greeted != self.greeted:
            self.wrong["another visitor's page"] += 1

    def look(self):
        """What the picture says, or nothing: the null captcha."""
        reply = self.call("GET", "/captcha?c=" + (self.captcha or ""))
        if reply.status != 200:
            self.wrong["null captcha"] += 1
            return ""
        return "".join(re.findall(r"<text[^>]*>(.)</text>", reply.body))

    def api(self, action, fields=None):
        reply = self.call("POST", f"/api/{action}", fields)
        error = reply.fields.get("error")
        if error:
            with self.lock:
                self.wrong[error] += 1
        sid = reply.fields.get("sid")
        if sid:
            with self.lock:
                self.sid = self.sid or sid
                if sid != self.sid:
                    self.wrong["another visitor's session"] += 1
        return reply.fields

    def send(self, letters):
        fields = self.api("feedback", {
            "name": self.name, "text": "I like it.", "captcha": self.captcha or "", "answer": letters})
        if "name" in fields:
            self.greeted = self.name
            if fields["name"] != self.name:
                self.wrong["another visitor's data"] += 1

    def renew(self):
        self.before_renewal = self.token
        self.frontend = self.api("renew").get("frontend")
        self.renewals += 1

    def round(self, pool, renews):
        """Five requests, two of them at the same time, as a page's scripts send them."""
        self.open_page()
        letters = self.look()
        if renews:
            # Nothing else is under way then: the old token dies at once.
            self.renew()
        both = [pool.submit(self.api, "captcha") for _ in range(2)]
        # Also where one was told 503: the other must not come in after the next round has used up its token.
        concurrent.futures.wait(both)
        for call in both:
            call.result()
        if not renews:
            self.send(letters)

    def insist(self, pool, renews=False):
        """A round, begun again from the page where the site said 503."""
        for _ in range(MOST_REFUSALS):
            try:
                return self.round(pool, renews)
            except TryAgain:
                time.sleep(RETRY_SECONDS)
        self.wrong["503 again and again"] += 1
