"""Forty browsers side by side over one example: two tabs of each poll while its person logs in, looks around, logs out and
in again, and tokens rotate all the time. Nobody may be logged out.

The site's workers are processes that take a line a request and give a line a response, words between tabs:

    method  path  query  cookie  Sec-Fetch-Mode  csrf  name  password
    status  Set-Cookie  Location  body
"""
import collections
import queue
import random
import re
import subprocess
import threading
import time
import urllib.parse

import stage as staging

BROWSERS = 40
TABS = 2
SECONDS = 6
# Of each daemon.
WORKERS = 2
# Rotation every 0.7 s, so that it is due again and again while requests overtake each other.
SETTINGS = ("rotation.after=700ms", "rotation.overlap=2s")
MOST_TRIES = 4
REQUEST_SECONDS = 30


class Workers:
    """The processes of a site; each serves one request at a time, whoever is free the next."""

    def __init__(self, command, sockets, each=WORKERS):
        self.free = queue.Queue()
        self.processes = [
            subprocess.Popen([*command, socket], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
            for socket in sockets for _ in range(each)]
        for process in self.processes:
            self.free.put(process)

    def ask(self, *words):
        process = self.free.get(timeout=REQUEST_SECONDS)
        try:
            process.stdin.write("\t".join(words) + "\n")
            answer = process.stdout.readline()
        finally:
            self.free.put(process)
        if not answer.endswith("\n"):
            raise staging.Failed("a worker ended")
        return answer[:-1].split("\t")

    def end(self):
        for process in self.processes:
            process.stdin.close()
            try:
                process.wait(staging.STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


class Browser:
    def __init__(self, workers, seed):
        self.workers, self.random, self.lock = workers, random.Random(seed), threading.Lock()
        self.cookie = self.csrf = self.greeted = ""
        self.seen = collections.Counter()

    def pause(self, least, most):
        with self.lock:
            seconds = self.random.uniform(least, most)
        time.sleep(seconds)

    def request(self, method, address, mode, name="", password=""):
        """On its way for 0.2 s, there and back: its cookie goes into the jar, whatever is there by then."""
        path, _, query = address.partition("?")
        cookie = self.cookie
        self.pause(0.02, 0.18)
        status, set_cookie, location, body = self.workers.ask(
            method, path, query, cookie, mode, self.csrf if method == "POST" else "", name, password)
        if status not in ("200", "303"):
            raise staging.Failed(f"{method} {address}: status {status}\n{body}")
        self.pause(0.02, 0.18)
        if set_cookie:
            pair = set_cookie.partition(";")[0]
            self.cookie = "" if pair.endswith("=") else pair
            self.seen["cookies"] += 1
        return location, body

    def navigate(self, method="GET", address="/", name="", password=""):
        """Follows redirects, and keeps the form of the page that comes."""
        location, body = self.request(method, address, "navigate", name, password)
        while location:
            address = urllib.parse.urljoin(address, location)
            location, body = self.request("GET", address, "navigate")
        self.csrf = re.search('name="csrf" value="([^"]*)"', body)[1]
        self.greeted = re.search("<b>(.*)</b>", body)[1]

    def submit(self, path, expected, name="", password=""):
        """Sends the form of the page, and again where it is shown again."""
        for _ in range(MOST_TRIES):
            self.navigate("POST", path, name, password)
            if self.greeted == expected:
                return
            self.seen["forms again"] += 1
        raise staging.Failed(f"{path} does not come to pass")

    def log_in(self):
        self.pause(0.1, 0.8)
        self.submit("/login", "ann", "ann", "apple")

    def person(self, end, logs_out):
        self.navigate()
        self.log_in()
        middle = time.monotonic() + (end - time.monotonic()) / 2
        while time.monotonic() < end:
            self.pause(0.05, 0.3)
            self.navigate()
            if self.greeted != "ann":
                raise staging.Failed("a browser was logged out")
            if logs_out and time.monotonic() > middle:
                logs_out = False
                self.submit("/logout", "guest")
                self.log_in()

    def tab(self, end):
        while not self.cookie:
            time.sleep(0.02)
            if time.monotonic() > end:
                return
        while time.monotonic() < end:
            self.request("GET", "/", "cors")
            self.pause(0, 0.1)


def visit(command, sockets):
    """Returns what was seen: cookies set, forms shown again."""
    workers = Workers(command, sockets)
    failures = []

    def live(action, *arguments):
        try:
            action(*arguments)
        except Exception as failure:
            failures.append(failure)

    try:
        # Each answers once before the clock runs: interpreters take a while to start.
        for process in workers.processes:
            workers.ask("GET", "/", "", "", "navigate", "", "", "")
        browsers = [Browser(workers, seed) for seed in range(BROWSERS)]
        end = time.monotonic() + SECONDS
        lives = [(browser.person, end, index % 4 == 0) for index, browser in enumerate(browsers)]
        lives += [(browser.tab, end) for browser in browsers for _ in range(TABS)]
        threads = [threading.Thread(target=live, args=arguments, daemon=True) for arguments in lives]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS + REQUEST_SECONDS)
    finally:
        workers.end()
    if failures:
        raise staging.Failed(f"{len(failures)} of {BROWSERS} browsers: {failures[0]}")
    for browser in browsers:
        token = browser.cookie.partition("=")[2]
        if staging.ask_fields(sockets[0], "TOKEN.VALIDATE", token).get("subject") != "ann":
            raise staging.Failed("a jar holds no login at the end")
    seen = sum((browser.seen for browser in browsers), collections.Counter())
    # Each has one as a guest and one of its login; on a slow machine the rest are few.
    if seen["cookies"] < 3 * BROWSERS:
        raise staging.Failed(f"hardly anything was rotated: {seen}")
    return seen
