#!/usr/bin/python3
"""Runs the examples before a real daemon: a visitor's life, forty browsers, Redis that stands still; and then where the daemon is
silent, away, fails in the middle of a request, or answers about somebody else.

    examples.py --programs .build/release [--swift-programs FOLDER]
                [--examples perl,php,python,node,raku,by-hand,by-hand-newest,swift]

by-hand runs twice: with Debian's python3-redis, and with the newest redis-py of the package index, in a virtual environment
that is made beside the programs, once.
"""
import argparse
import contextlib
import functools
import html
import pathlib
import signal
import subprocess
import sys
import time

import crowd
import sites
import stage as staging

root = sites.root
examples = root / "examples"
DEBIAN_PYTHON = "/usr/bin/python3"
# How each site is started; what else it takes is (stage, name, daemon).
SITES = {
    "perl": functools.partial(sites.HTTPSite, [
        "plackup", "-I", f"{root}/clients/perl/lib", "--env", "deployment", "--host", "127.0.0.1", "--port", "PORT",
        f"{examples}/perl/site.psgi"]),
    "php": functools.partial(sites.HTTPSite, ["php", "-S", "127.0.0.1:PORT", f"{examples}/php/site.php"]),
    "python": functools.partial(
        sites.HTTPSite, [DEBIAN_PYTHON, f"{examples}/python/small_site.py", "PORT"],
        environment={"PYTHONPATH": f"{root}/clients/python/src"}),
    # Debian's Express, also for a Node from elsewhere.
    "node": functools.partial(
        sites.HTTPSite, ["node", f"{examples}/node/site.js", "PORT"], environment={"NODE_PATH": "/usr/share/nodejs"}),
    "raku": functools.partial(sites.FastCGISite, [
        "raku", "-I", f"{root}/clients/raku/lib", f"{examples}/raku/site.raku", "--listen=LISTEN"]),
    "by-hand": functools.partial(sites.HTTPSite, [DEBIAN_PYTHON, f"{examples}/by-hand/sessions.py", "PORT"]),
}
# The mark of a page that was sent to itself.
MARK = "again=1"
# The packages' and examples' own time-out.
SILENCE_SECONDS = 2
END_SECONDS = 40
RECOVERY_SECONDS = 10
# Of each daemon, in a crowd.
WORKERS = 2


def require_503(example, browser, what, *request, **form):
    """Whatever goes wrong is 503, and the cookie stays."""
    jar = browser.jar
    begin = time.monotonic()
    answer = browser.request(*request, form={"csrf": browser.csrf, **form})
    if (answer.status, browser.jar) != (503, jar) or not answer.headers.get("Retry-After"):
        raise staging.Failed(f"{example}, {what}: {answer.status} {answer.headers}\n{answer.body}")
    return time.monotonic() - begin


def require_page(example, browser, what, who, note=""):
    browser.navigate()
    if (browser.who, html.unescape(browser.note)) != (who, note):
        raise staging.Failed(f"{example}, {what}: {browser.who} ({browser.note})")


def lives(example, site):
    told = sites.life(site.ask)
    if told != sites.LIFE:
        raise staging.Failed(f"{example}: lived so\n{told}")


def outages(example, site, stage):
    """Redis stands still, then the daemon: 503, nobody is logged out, and what was kept is there."""
    browser = sites.Browser(site.ask)
    browser.navigate()
    browser.navigate("POST", "/login", name="ann", password="apple")
    note = """milk & <b>"eggs"</b>, Zoë's"""
    browser.navigate("POST", "/note", note=note)
    require_page(example, browser, "a note", "ann", note)
    browser.navigate("POST", "/note", note="x" * 201)
    if html.unescape(browser.note) != "x" * 201:
        raise staging.Failed(f"{example}: a note that is too long was not shown again")
    require_page(example, browser, "a note that is too long", "ann", note)
    with standing(stage, "redis"):
        require_503(example, browser, "Redis stands still", "POST", "/note", note="pears")
        guest = sites.Browser(site.ask)
        guest.navigate()
        require_503(example, guest, "a login while Redis stands still", "POST", "/login", name="ann", password="apple")

    def is_kept():
        return browser.request("POST", "/note", form={"csrf": browser.csrf, "note": "pears"}).status == 303
    staging.until(is_kept, RECOVERY_SECONDS, f"{example}, Redis goes on")
    require_page(example, browser, "Redis goes on", "ann", "pears")
    with standing(stage, "daemon"):
        if require_503(example, browser, "a silent daemon", "GET", "/") < SILENCE_SECONDS:
            raise staging.Failed(f"{example} did not wait for the daemon's answer")
    # The late answer to the last question is nobody's.
    require_page(example, browser, "the daemon goes on", "ann", "pears")
    guest.navigate("POST", "/login", name="ann", password="apple")
    require_page(example, guest, "the login again", "ann")


@contextlib.contextmanager
def standing(stage, name):
    process = stage.processes[name]
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def somebody_else(example, site, path):
    """What a client would see that was left with the reply to another's question; before it, no daemon at all."""
    browser = sites.Browser(site.ask)
    require_503(example, browser, "no daemon", "GET", "/")
    replies = [staging.holder("none", 0, "a" * 32, "a" * 128), staging.holder("valid", 1, "b" * 32)]
    with staging.scripted(path, replies):
        browser.navigate()
        require_503(example, browser, "an answer about somebody else", "GET", "/")


def requests(example, site, path):
    """Requests whose replies are written here, and what must come back: status, Set-Cookie, Location."""
    old, new = "b" * 128, "b" * 32 + "c" * 96
    fault = staging.FAULT
    page_only = staging.holder("replayed", 0, "a" * 32)
    given, rotated = (staging.holder(*words, "b" * 32, new, "passed") for words in (("none", 0), ("rotated", 1)))
    ann = staging.holder("valid", 1, "b" * 32, None, "passed", "ann")
    cases = [
        # Sent to itself: the query stays, and the mark is a parameter of its own.
        ("GET", "/search?q=x", old, [page_only], 303, "", f"?q=x&{MARK}"),
        ("GET", "/search", old, [page_only], 303, "", f"?{MARK}"),
        ("GET", "/search?q=against", old, [page_only], 303, "", f"?q=against&{MARK}"),
        ("GET", f"/search?{MARK}0&x{MARK}", old, [page_only], 303, "", f"?{MARK}0&x{MARK}&{MARK}"),
        ("GET", f"/search?q=x&{MARK}", old, [page_only], 200, "", ""),
        ("GET", f"/search?{MARK}&q=x", old, [page_only], 200, "", ""),
        # A later command failed: the 503 carries the cookie of the reply that had one.
        ("POST", "/login", "", [given, fault], 503, new, ""),
        ("POST", "/login", old, [rotated, fault], 503, new, ""),
        ("POST", "/logout", old, [rotated, fault], 503, new, ""),
        # Nothing was given: the cookie stays.
        ("POST", "/login", old, [staging.holder("valid", 1, "b" * 32, None, "passed"), fault], 503, "", ""),
        ("POST", "/note", old, [ann, fault], 503, "", ""),
        ("GET", "/", old, [fault], 503, "", ""),
    ]
    form = {"csrf": "c", "name": "ann", "password": "apple", "note": "milk"}
    with staging.scripted(path, [reply for case in cases for reply in case[3]]):
        for method, address, token, _, *expected in cases:
            answer = site.ask(method, address, f"{site.cookie}={token}" if token else "", "navigate", form)
            came = answer.headers.get("Set-Cookie", "").partition(";")[0].removeprefix(f"{site.cookie}=")
            found = [answer.status, came, answer.headers.get("Location", "")]
            if found != expected or answer.status == 200 and MARK in answer.body:
                raise staging.Failed(f"{example}, {method} {address}: {found}, not {expected}\n{answer.body}")


def swift_tells(stage, programs):
    """The program lives that life by itself, too."""
    done = subprocess.run([f"{programs}/sessions", stage.socket], capture_output=True, text=True, timeout=END_SECONDS)
    if (done.returncode, done.stdout) != (0, sites.LIFE):
        raise staging.Failed(f"swift: status {done.returncode}\n{done.stdout}{done.stderr}")
    done = subprocess.run(
        [f"{programs}/sessions", f"{stage.folder}/nobody.sock"], capture_output=True, text=True, timeout=END_SECONDS)
    if done.returncode != 1 or not done.stderr.startswith("503 Service Unavailable"):
        raise staging.Failed(f"swift, no daemon: status {done.returncode}\n{done.stderr}")


# Run by a Python: the README's lines, at a daemon, then at none.
SNIPPET_CHECK = """
import sys
lines = open(sys.argv[1]).read()
for path, expected in (sys.argv[2], b"none"), (sys.argv[2] + ".none", None):
    names = {}
    exec(lines.replace("/run/tokencached/tokencached.sock", path), names)
    fields = names["visit"]("")
    assert (fields["status"] if fields else None) == expected, fields
    if expected:
        # The library reads every field of Redis's line.
        assert names["daemon"].client_info()["resp"] in ("2", "3") and names["daemon"].client_list(_type="normal")
"""


def readme_snippet(interpreter, stage):
    text = (root / "README.md").read_text()
    lines = f"{stage.folder}/snippet.py"
    pathlib.Path(lines).write_text(text.split("```python\n")[1].split("```")[0])
    done = subprocess.run(
        [interpreter, "-c", SNIPPET_CHECK, lines, stage.socket], capture_output=True, text=True, timeout=END_SECONDS)
    if done.returncode != 0:
        raise staging.Failed(f"README, {interpreter}\n{done.stdout}{done.stderr}")


def newest_python(programs):
    """The interpreter of an environment with the libraries of libraries.txt."""
    script = root / "Tests/IndependentLibraryTests/environment.sh"
    done = subprocess.run(
        ["sh", script, f"{programs}/example-libraries", examples / "testing/libraries.txt"], capture_output=True, text=True)
    if done.returncode != 0:
        raise staging.Failed(f"the newest redis-py\n{done.stderr}")
    return done.stdout.strip()


def run(example, site_of, stage, hosts):
    site = site_of(stage, f"{example}-site", stage.socket)
    lives(example, site)
    outages(example, site, stage)
    site.end()
    path = f"{stage.folder}/scripted.sock"
    site = site_of(stage, f"{example}-scripted", path)
    somebody_else(example, site, path)
    requests(example, site, path)
    site.end()
    crowded = [site_of(stage, f"{example}-{host}-{number}", stage.socket_of(host)) for host in hosts for number in range(WORKERS)]
    seen = crowd.visit(crowded, stage.socket_of(hosts[0]))
    for site in crowded:
        site.end()
    print(f"{example}: as it should be; {crowd.BROWSERS} browsers: nobody logged out, no note lost, {seen['cookies']} cookies set, "
          f"{seen['forms again']} forms shown again", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, help="the folder of tokencached")
    parser.add_argument("--examples", help="which, with commas; by default all")
    parser.add_argument("--swift-programs", help="the folder of the Swift example")
    arguments = parser.parse_args()
    if arguments.swift_programs:
        SITES["swift"] = functools.partial(sites.LineSite, [f"{arguments.swift_programs}/sessions", "--lines"])
    try:
        with staging.Stage(arguments.programs) as stage:
            stage.start_redis()
            # Patience with a busy machine; the examples wait for twice as long.
            stage.start_daemon(("redis.timeout=1s",))
            hosts = ("one", "two")
            for name in hosts:
                stage.start_daemon(("redis.timeout=1s", *crowd.SETTINGS), name)
            for example in arguments.examples.split(",") if arguments.examples else (*SITES, "by-hand-newest"):
                if example == "by-hand-newest":
                    newest = newest_python(arguments.programs)
                    SITES[example] = functools.partial(sites.HTTPSite, [newest, f"{examples}/by-hand/sessions.py", "PORT"])
                    readme_snippet(newest, stage)
                elif example == "by-hand":
                    readme_snippet(DEBIAN_PYTHON, stage)
                elif example == "swift":
                    swift_tells(stage, arguments.swift_programs)
                run(example, SITES[example], stage, hosts)
    except staging.Failed as failure:
        sys.exit(f"FAILED: {failure}")


if __name__ == "__main__":
    main()
