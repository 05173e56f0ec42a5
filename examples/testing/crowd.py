"""Forty browsers side by side over one example: two tabs of each poll while its person logs in, keeps notes, logs out and
in again, and tokens rotate all the time. Nobody may be logged out, no note may be lost or be another's."""
import collections
import queue
import random
import threading
import time

import sites
import stage as staging

BROWSERS = 40
TABS = 2
SECONDS = 6
# A slow machine takes longer until so many cookies were set: each browser has one as a guest, one of its login, ten of them two
# more of a second one; the rest are rotations.
LEAST_COOKIES = 4 * BROWSERS
MOST_SECONDS = 60
# Rotation every 0.7 s, so that it is due again and again while requests overtake each other.
SETTINGS = ("rotation.after=700ms", "rotation.overlap=2s")
MOST_TRIES = 4


class Workers:
    """The processes of a site; each serves one request at a time, whoever is free the next."""

    def __init__(self, processes):
        self.free = queue.Queue()
        for process in processes:
            self.free.put(process)

    def ask(self, *request):
        process = self.free.get(timeout=sites.REQUEST_SECONDS)
        try:
            return process.ask(*request)
        finally:
            self.free.put(process)


class Browser(sites.Browser):
    def __init__(self, workers, seed):
        super().__init__(workers.ask)
        self.seed, self.random, self.lock = seed, random.Random(seed), threading.Lock()
        self.seen = collections.Counter()

    def pause(self, least, most):
        with self.lock:
            seconds = self.random.uniform(least, most)
        time.sleep(seconds)

    def request(self, method, address, mode="navigate", cookie=None, form=()):
        """On its way for 0.2 s, there and back: its cookie goes into the jar, whatever is there by then."""
        cookie = self.jar if cookie is None else cookie
        self.pause(0.02, 0.18)
        answer = self.ask(method, address, cookie, mode, dict(form))
        # A request in the background whose session ended while it was served.
        if answer.status not in (200, 303) and (answer.status, mode) != (409, "cors"):
            raise staging.Failed(f"{method} {address}: status {answer.status}\n{answer.body}")
        self.pause(0.02, 0.18)
        self.seen["cookies"] += "Set-Cookie" in answer.headers
        self.keep(answer)
        return answer

    def submit(self, path, is_done, **form):
        """Sends the form of the page, and again where it is shown again."""
        for _ in range(MOST_TRIES):
            self.navigate("POST", path, **form)
            if is_done():
                return
            self.seen["forms again"] += 1
        raise staging.Failed(f"{path} does not come to pass")

    def log_in(self):
        self.pause(0.1, 0.8)
        self.submit("/login", lambda: self.who == "ann", name="ann", password="apple")

    def keep_note(self):
        note = f"{self.seed}, {self.seen['notes']}"
        self.submit("/note", lambda: (self.who, self.note) == ("ann", note), note=note)
        self.seen["notes"] += 1

    def person(self, is_over, logs_out):
        self.navigate()
        self.log_in()
        self.keep_note()
        middle = time.monotonic() + SECONDS / 2
        while not is_over.is_set():
            self.pause(0.05, 0.3)
            note = self.note
            self.navigate()
            if self.who != "ann":
                raise staging.Failed("a browser was logged out")
            if self.note != note:
                raise staging.Failed(f"the note was {note}, now it is {self.note}")
            if logs_out and time.monotonic() > middle:
                logs_out = False
                self.submit("/logout", lambda: self.who == "guest")
                self.log_in()
                self.keep_note()

    def tab(self, is_over):
        while not is_over.is_set():
            if self.jar:
                self.request("GET", "/", "cors")
            self.pause(0, 0.1)


def visit(processes, socket):
    """Returns what was seen: cookies set, forms shown again, notes. `socket` is a daemon's."""
    workers = Workers(processes)
    failures = []

    def live(action, *arguments):
        try:
            action(*arguments)
        except Exception as failure:
            failures.append(failure)

    browsers = [Browser(workers, seed) for seed in range(BROWSERS)]
    is_over = threading.Event()
    lives = [(browser.person, is_over, index % 4 == 0) for index, browser in enumerate(browsers)]
    lives += [(browser.tab, is_over) for browser in browsers for _ in range(TABS)]
    threads = [threading.Thread(target=live, args=arguments, daemon=True) for arguments in lives]
    for thread in threads:
        thread.start()
    try:
        is_over.wait(SECONDS)
        staging.until(lambda: failures or seen_by(browsers)["cookies"] >= LEAST_COOKIES, MOST_SECONDS, "tokens are rotated")
    finally:
        is_over.set()
        for thread in threads:
            thread.join(sites.REQUEST_SECONDS)
    if failures:
        raise staging.Failed(f"{len(failures)} of {BROWSERS} browsers: {failures[0]}")
    for browser in browsers:
        token = browser.jar.partition("=")[2]
        if staging.ask_fields(socket, "TOKEN.VALIDATE", token).get("subject") != "ann":
            raise staging.Failed("a jar holds no login at the end")
    return seen_by(browsers)


def seen_by(browsers):
    return sum((browser.seen for browser in browsers), collections.Counter())
