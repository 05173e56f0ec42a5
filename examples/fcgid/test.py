#!/usr/bin/python3
"""The failure of the report, and its cure: the same feedback site on three FastCGI processes, before and after.

    test.py --programs .build/release [--workers perl,raku,swift] [--swift-programs FOLDER] [--requests 2000]

Needs Debian's apache2, libapache2-mod-fcgid, redis-server, and what the workers are written in. Touches nothing outside
one temporary folder and leaves nothing running.
"""
import argparse
import collections
import concurrent.futures
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

here = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(here), str(here.parent / "testing")]
import stage as staging  # noqa: E402
from browser import REQUEST_SECONDS, Visitor  # noqa: E402

VISITORS = 20
FRONT_ENDS = 4
REQUESTS_IN_ROUND = 5
# Every fourth round of a visitor changes a privilege: TOKEN.ROTATE.
ROUNDS_PER_RENEWAL = 4
LEAST_REQUESTS = VISITORS * REQUESTS_IN_ROUND * ROUNDS_PER_RENEWAL
# So short that tokens are replaced many times while the visitors are at work; and patience with a busy test machine,
# though less than the workers' two seconds: a change of privilege that is given up may have happened, and its visitor is
# logged out then.
SETTINGS = ("rotation.after=1s", "rotation.overlap=500ms", "redis.timeout=1800ms")
REDIS_DOWN_SECONDS = 2

BEFORE = {"perl": "perl/before.fcgi", "raku": "raku/before.raku", "swift": "swift/before"}
AFTER = {"perl": "perl/after.fcgi", "raku": "raku/after.raku", "swift": "swift/after"}


def install(stage, worker, swift_programs):
    """A copy of the site where the site's user can read it, and where Raku's modules are compiled once, not by each
    process at its first request."""
    site = f"{stage.folder}/site"
    examples = here.parent
    for place in ("examples/fcgid", "clients/perl/lib", "clients/raku/lib"):
        shutil.copytree(examples.parent / place, f"{site}/{place}", ignore=shutil.ignore_patterns(".build*", ".precomp"))
    if worker == "swift":
        os.mkdir(f"{site}/examples/fcgid/swift")
        for program in ("before", "after"):
            shutil.copy(f"{swift_programs}/feedback-{program}", f"{site}/examples/fcgid/swift/{program}")
    for folder, _, names in os.walk(site):
        for name in (".", *names):
            os.chown(f"{folder}/{name}", stage.user.pw_uid, stage.user.pw_gid)
    if worker == "raku":
        as_user = {"user": stage.user.pw_uid, "group": stage.user.pw_gid} if os.getuid() == 0 else {}
        subprocess.run(
            ["raku", "-c", f"{site}/examples/fcgid/{AFTER[worker]}"], check=True, stdout=subprocess.DEVNULL,
            env={**os.environ, "HOME": site}, **as_user)


def visit(port, requests, front_ends):
    """All visitors at once, some of them front ends that keep their token themselves. Returns them and the seconds."""
    visitors = [Visitor(port, f"Zoë & <{number:02}>", number < front_ends) for number in range(VISITORS)]
    rounds = -(-requests // (VISITORS * REQUESTS_IN_ROUND))
    begin = time.monotonic()

    def live(visitor):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for number in range(1, rounds + 1):
                visitor.insist(pool, renews=number % ROUNDS_PER_RENEWAL == 0 and visitor.sid is not None)

    with concurrent.futures.ThreadPoolExecutor(VISITORS) as threads:
        list(threads.map(live, visitors))
    return visitors, time.monotonic() - begin


def outage(stage, visitors):
    """The visitors go on while Redis is away for two seconds and the daemon is killed."""
    over = threading.Event()

    def live(visitor):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            while not over.is_set():
                visitor.insist(pool)
            visitor.insist(pool)

    with concurrent.futures.ThreadPoolExecutor(VISITORS) as threads:
        lives = [threads.submit(live, visitor) for visitor in visitors]
        try:
            stage.stop("redis")
            time.sleep(REDIS_DOWN_SECONDS)
            stage.start_redis()
            stage.stop("daemon", signal.SIGKILL)
            stage.start_daemon(SETTINGS)
        finally:
            over.set()
        for life in lives:
            life.result()


def total(visitors, attribute):
    return sum((getattr(visitor, attribute) for visitor in visitors), collections.Counter())


def summary(visitors, seconds):
    requests, wrong = total(visitors, "requests"), total(visitors, "wrong")
    renewals = sum(visitor.renewals for visitor in visitors)
    return {
        "page views": requests["page views"],
        "API calls": requests["API calls"],
        "FastCGI processes": len(set.union(*(visitor.workers for visitor in visitors)) - {None}),
        "invalid frontend token": wrong["invalid frontend token"],
        "null captcha": wrong["null captcha"],
        "wrong letters, for want of a picture": wrong["wrong letters"],
        # The first token of a session replaces none.
        "tokens replaced for their age": sum(max(len(visitor.tokens) - 1, 0) for visitor in visitors) - renewals,
        "tokens replaced by a change of privilege": renewals,
        "503": requests["503"],
        "seconds": round(seconds, 1),
    }


def check_sessions(stage, visitors):
    """Each visitor holds the newest token of its own session, and has been given every one there was."""
    for visitor in visitors:
        fields = staging.ask_fields(stage.socket, "TOKEN.INSPECT", visitor.token)
        if not fields["accepted"] or fields["sid"] != visitor.sid:
            raise staging.Failed(f"{visitor.name} was logged out: {fields['status']}")
        if fields["generation"] != len(visitor.tokens):
            raise staging.Failed(
                f"{visitor.name} has {len(visitor.tokens)} tokens of {fields['generation']}: one was not handed on")
        data = staging.ask_fields(stage.socket, "TOKEN.GET", visitor.token)["data"]
        if data != ["name", visitor.name]:
            raise staging.Failed(f"{visitor.name}'s session holds {data}")
    if len({visitor.sid for visitor in visitors}) != len(visitors):
        raise staging.Failed("two visitors share a session")


def require(condition, what):
    if not condition:
        raise staging.Failed(what)


def before(stage, worker, requests):
    port = stage.start_apache(f"{stage.folder}/site/examples/fcgid/apache.conf", BEFORE[worker])
    visitors, seconds = visit(port, requests, front_ends=0)
    stage.stop("apache")
    seen = summary(visitors, seconds)
    require(seen["FastCGI processes"] == 3, f"{seen['FastCGI processes']} processes answered, not 3")
    require(seen["invalid frontend token"] > 0 and seen["null captcha"] > 0, "the failure did not show itself")
    return seen


def after(stage, worker, requests):
    faults(stage, worker)
    stage.start_redis()
    stage.start_daemon(SETTINGS)
    port = stage.start_apache(f"{stage.folder}/site/examples/fcgid/apache.conf", AFTER[worker])
    visitors, seconds = visit(port, requests, front_ends=FRONT_ENDS)
    seen = summary(visitors, seconds)
    wrong = total(visitors, "wrong")
    require(not wrong, f"refused: {dict(wrong)}")
    require(seen["FastCGI processes"] == 3, f"{seen['FastCGI processes']} processes answered, not 3")
    require(seen["tokens replaced for their age"] > 0, "no token was replaced for its age")
    check_sessions(stage, visitors)
    old_tab(port, visitors)

    answered = total(visitors, "requests")
    outage(stage, visitors)
    wrong = total(visitors, "wrong")
    require(not wrong, f"refused in the outage: {dict(wrong)}")
    check_sessions(stage, visitors)
    requests = total(visitors, "requests") - answered
    return seen | {"in the outage: answered": requests.total() - requests["503"], "in the outage: 503": requests["503"]}


def faults(stage, worker):
    """Before a daemon whose replies are written here: a fault behind a reply with a token, and a page that is sent to itself."""
    old, new = "b" * 128, "b" * 32 + "c" * 96
    page_only = staging.holder("replayed", 0, "a" * 32)
    given, rotated = (staging.holder(*words, "b" * 32, new, "passed") for words in (("none", 0), ("rotated", 1)))
    cookie, field = ({"Cookie": f"__Host-tc={old}"}, {"X-Session-Token": old})
    cases = [
        # The query stays, and the mark is a parameter of its own.
        ("GET", "/feedback?q=against", cookie, [page_only], (303, "?q=against&again=1", "", None)),
        ("GET", "/feedback?again=10", cookie, [page_only], (303, "?again=10&again=1", "", None)),
        # The 503 hands on the token of the reply before, the way the old one came.
        ("GET", "/feedback", {}, [given, staging.FAULT], (503, None, new, None)),
        ("POST", "/api/captcha", cookie, [rotated, staging.FAULT], (503, None, new, None)),
        ("POST", "/api/captcha", field, [rotated, staging.FAULT], (503, None, "", new)),
        ("POST", "/api/captcha", cookie, [staging.FAULT], (503, None, "", None)),
    ]
    with staging.scripted(stage.socket, [reply for case in cases for reply in case[3]]):
        port = stage.start_apache(f"{stage.folder}/site/examples/fcgid/apache.conf", AFTER[worker])
        for method, address, headers, _, expected in cases:
            mode = "navigate" if method == "GET" else "cors"
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS)
            connection.request(method, address, headers={"Sec-Fetch-Mode": mode, **headers})
            response = connection.getresponse()
            body = response.read().decode()
            connection.close()
            location = response.getheader("Location")
            found = (
                response.status, location, (response.getheader("Set-Cookie") or "").partition(";")[0].removeprefix("__Host-tc="),
                json.loads(body).get("sessiontoken") if body.startswith("{") else None)
            require(found == expected, f"{method} {address}, {headers}: {found}\n{body}")
        stage.stop("apache")


def old_tab(port, visitors):
    """A page that is asked for with a token from before a change of privilege: the browser is sent to it once more, then shown a
    guest's page; its cookie stays, which is that of the newer token."""
    visitor = next(visitor for visitor in visitors if visitor.before_renewal)
    for address, status in (("/feedback", 303), ("/feedback?again=1", 200)):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS)
        connection.request("GET", address, headers={
            "Cookie": f"__Host-tc={visitor.before_renewal}", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"})
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        require(response.status == status, f"{address} with an old token: {response.status}")
        require(response.getheader("Set-Cookie") is None, f"{address} with an old token: a cookie goes over the newer one")
        require(visitor.name not in body, "an old token was shown the name of the session")


def table(columns):
    """Markdown, one column for each run."""
    rows = list(dict.fromkeys(row for seen in columns.values() for row in seen))
    yield "| | " + " | ".join(columns) + " |"
    yield "|---|" + "---:|" * len(columns)
    for row in rows:
        yield f"| {row} | " + " | ".join(str(seen.get(row, "–")) for seen in columns.values()) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, help="the folder of tokencached")
    parser.add_argument("--workers", help="the languages, with commas; by default all")
    parser.add_argument("--requests", type=int, default=2000, help=f"of each run, at least {LEAST_REQUESTS}")
    parser.add_argument("--swift-programs", help="the folder of feedback-before and feedback-after")
    arguments = parser.parse_args()
    if arguments.requests < LEAST_REQUESTS:
        parser.error("so few requests see no change of privilege")
    workers = ["perl", "raku", *(["swift"] if arguments.swift_programs else [])]
    if arguments.workers:
        workers = arguments.workers.split(",")
    columns = {}
    try:
        for worker in workers:
            with staging.Stage(arguments.programs) as stage:
                install(stage, worker, arguments.swift_programs)
                for what in (before, after):
                    columns[f"{worker}, {what.__name__}"] = what(stage, worker, arguments.requests)
                    print(f"{worker}, {what.__name__}: as expected", flush=True)
    except staging.Failed as failure:
        sys.exit(f"FAILED, {worker}: {failure}")
    print(*table(columns), sep="\n")


if __name__ == "__main__":
    main()
