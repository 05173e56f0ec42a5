#!/usr/bin/python3
"""Runs the examples against a real daemon, and then where the daemon is silent, away, fails in the middle of a
request, or answers about somebody else.

    examples.py --programs .build/release [--examples perl,php,python,python-newest,raku,swift] [--swift-programs FOLDER]

Python runs twice: with Debian's python3-redis, and with the newest redis-py of the package index, in a virtual environment
that is made beside the programs, once.
"""
import argparse
import pathlib
import signal
import subprocess
import sys
import time

import crowd
import stage as staging

examples = pathlib.Path(__file__).resolve().parent.parent
# Interpreter, the program that lives a visitor's life, and the site's worker for crowd.py.
PROGRAMS = {
    "perl": (["perl"], "perl/sessions.pl", "worker.pl"),
    "php": (["php"], "php/life.php", "worker.php"),
    # Debian's, which has python3-redis.
    "python": (["/usr/bin/python3"], "python/sessions.py", "worker.py"),
    # Its interpreter comes first when the environment is made.
    "python-newest": ([], "python/sessions.py", "worker.py"),
    "raku": (["raku"], "raku/sessions.raku", "worker.raku"),
}
COMMANDS = {name: [*interpreter, f"{examples}/{life}"] for name, (interpreter, life, _) in PROGRAMS.items()}
WORKERS = {
    name: [*interpreter, f"{examples}/testing/workers/{worker}"] for name, (interpreter, _, worker) in PROGRAMS.items()}
LIFE = """\
first visit: guest, cookie set
second visit: guest, cookie kept
a forged form: guest, the form again
login: ann, cookie set
second click: ann, cookie set
late request: guest, asked to come again
visit after login: ann, cookie kept
logout: guest, cookie deleted, cookie set
after logout: guest, cookie kept
"""
# The examples' own time-out is two seconds; the rest is for the interpreter to start on a busy machine.
SILENCE_SECONDS = 2
END_SECONDS = 40


def run(example, path):
    begin = time.monotonic()
    done = subprocess.run(
        [*COMMANDS[example], path], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=END_SECONDS)
    return done, time.monotonic() - begin


def require_503(example, path, what):
    done, seconds = run(example, path)
    if done.returncode != 1 or not done.stderr.startswith("503 Service Unavailable"):
        raise staging.Failed(f"{example}, {what}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return seconds


def lives(example, stage):
    done, _ = run(example, stage.socket)
    if (done.returncode, done.stdout) != (0, LIFE):
        raise staging.Failed(f"{example}: status {done.returncode}\n{done.stdout}{done.stderr}")


def silence(example, stage):
    daemon = stage.processes["daemon"]
    daemon.send_signal(signal.SIGSTOP)
    try:
        if require_503(example, stage.socket, "a silent daemon") < SILENCE_SECONDS:
            raise staging.Failed(f"{example} did not wait for the daemon's answer")
    finally:
        daemon.send_signal(signal.SIGCONT)


def nobody(example, stage):
    require_503(example, f"{stage.folder}/nobody.sock", "no daemon")


def somebody_else(example, stage):
    """What a client would see that was left with the reply to another's question."""
    replies = [staging.holder("none", 0, "a" * 32, "a" * 128), staging.holder("valid", 1, "b" * 32)]
    with staging.scripted(f"{stage.folder}/scripted.sock", replies) as path:
        require_503(example, path, "an answer about somebody else")


def requests(example, stage):
    """One worker, requests whose replies are written here, and what must come back: status, Set-Cookie, Location."""
    old, new = "b" * 128, "b" * 32 + "c" * 96
    fault = staging.FAULT
    page_only = staging.holder("replayed", 0, "a" * 32)
    given, rotated = (staging.holder(*words, "b" * 32, new, "passed") for words in (("none", 0), ("rotated", 1)))
    cases = [
        # Sent to itself: the query stays, and the mark is a parameter of its own.
        ("GET", "/search", "q=x", old, [page_only], "303", "", "?q=x&again=1"),
        ("GET", "/search", "", old, [page_only], "303", "", "?again=1"),
        ("GET", "/search", "q=against", old, [page_only], "303", "", "?q=against&again=1"),
        ("GET", "/search", "again=10&xagain=1", old, [page_only], "303", "", "?again=10&xagain=1&again=1"),
        ("GET", "/search", "q=x&again=1", old, [page_only], "200", "", ""),
        ("GET", "/search", "again=1&q=x", old, [page_only], "200", "", ""),
        # A later command failed: the 503 carries the cookie of the reply that had one.
        ("POST", "/login", "", "", [given, fault], "503", new, ""),
        ("POST", "/login", "", old, [rotated, fault], "503", new, ""),
        ("POST", "/logout", "", old, [rotated, fault], "503", new, ""),
        # Nothing was given: the cookie stays.
        ("POST", "/login", "", old, [staging.holder("valid", 1, "b" * 32, None, "passed"), fault], "503", "", ""),
        ("GET", "/", "", old, [fault], "503", "", ""),
    ]
    replies = [reply for case in cases for reply in case[4]]
    with staging.scripted(f"{stage.folder}/scripted.sock", replies) as path:
        workers = crowd.Workers(WORKERS[example], [path], 1)
        try:
            for method, page, query, token, _, *expected in cases:
                cookie = f"__Host-tc={token}" if token else ""
                status, set_cookie, location, body = workers.ask(
                    method, page, query, cookie, "navigate", "c", "ann", "apple")
                came = set_cookie.partition(";")[0].removeprefix("__Host-tc=")
                if [status, came, location] != expected or status == "200" and "again=1" in body:
                    raise staging.Failed(
                        f"{example}, {method} {page}?{query}: {status} {came} {location}, not {expected}\n{body}")
        finally:
            workers.end()


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


def readme_snippet(example, stage):
    text = (examples.parent / "README.md").read_text()
    lines = f"{stage.folder}/snippet.py"
    pathlib.Path(lines).write_text(text.split("```python\n")[1].split("```")[0])
    done = subprocess.run(
        [COMMANDS[example][0], "-c", SNIPPET_CHECK, lines, stage.socket], capture_output=True, text=True,
        timeout=END_SECONDS)
    if done.returncode != 0:
        raise staging.Failed(f"README, {example}\n{done.stdout}{done.stderr}")


def newest_python(programs):
    """The interpreter of an environment with the libraries of libraries.txt."""
    script = examples.parent / "Tests/IndependentLibraryTests/environment.sh"
    done = subprocess.run(
        ["sh", script, f"{programs}/example-libraries", examples / "testing/libraries.txt"], capture_output=True, text=True)
    if done.returncode != 0:
        raise staging.Failed(f"the newest redis-py\n{done.stderr}")
    return done.stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, help="the folder of tokencached")
    parser.add_argument("--examples", help="which, with commas; by default all")
    parser.add_argument("--swift-programs", help="the folder of the Swift example")
    arguments = parser.parse_args()
    if arguments.swift_programs:
        COMMANDS["swift"] = [f"{arguments.swift_programs}/sessions"]
        WORKERS["swift"] = [f"{arguments.swift_programs}/sessions", "--lines"]
    try:
        with staging.Stage(arguments.programs) as stage:
            stage.start_redis()
            # Patience with a busy machine; the examples wait for twice as long.
            stage.start_daemon(("redis.timeout=1s",))
            hosts = ("one", "two")
            for name in hosts:
                stage.start_daemon(("redis.timeout=1s", *crowd.SETTINGS), name)
            for example in arguments.examples.split(",") if arguments.examples else COMMANDS:
                if example == "python-newest":
                    newest = newest_python(arguments.programs)
                    for commands in (COMMANDS, WORKERS):
                        commands[example].insert(0, newest)
                if example.startswith("python"):
                    readme_snippet(example, stage)
                for scenario in (lives, silence, nobody, somebody_else, requests):
                    scenario(example, stage)
                seen = crowd.visit(WORKERS[example], [stage.socket_of(name) for name in hosts])
                print(f"{example}: as it should be; {crowd.BROWSERS} browsers: nobody logged out, {seen['cookies']} cookies "
                      f"set, {seen['forms again']} forms shown again", flush=True)
    except staging.Failed as failure:
        sys.exit(f"FAILED: {failure}")


if __name__ == "__main__":
    main()
