#!/usr/bin/python3
"""Client libraries that subscribe to sessions, and the WebSocket example, before two daemons: what ends on the one host is
told on the other.

    subscriptions.py --programs .build/release [--libraries perl,php,node,python,python-newest-2,python-newest-3,websocket]
"""
import argparse
import pathlib
import subprocess
import sys
import time

import stage as staging
from examples import newest_python

examples = pathlib.Path(__file__).resolve().parent.parent
END_SECONDS = 40


def subscriber(program, *words):
    return [*words, f"{examples}/testing/subscribers/{program}"]


def commands(newest):
    """Program, and what stands between the socket and the sessions."""
    return {
        "perl": (subscriber("subscriber.pl", "perl"), []),
        "php": (subscriber("subscriber.php", "php"), []),
        # Debian's libraries lie where another Node.js than Debian's does not look.
        "node": (["env", "NODE_PATH=/usr/share/nodejs:/usr/lib/nodejs", *subscriber("subscriber.js", "node")], []),
        "python": (subscriber("subscriber.py", "/usr/bin/python3"), ["2"]),
        "python-newest-2": (subscriber("subscriber.py", newest), ["2"]),
        "python-newest-3": (subscriber("subscriber.py", newest), ["3"]),
    }


def issue(stage, *words):
    """A session of the second daemon: its sid and its token."""
    fields = staging.ask_fields(stage.socket_of("two"), "TOKEN.ISSUE", *words)
    return fields["sid"], fields["sessiontoken"]


def told(library, command, between, stage):
    """What ends on the second host is told on the first, to each library in its own words."""
    two = stage.socket_of("two")
    (logout, logout_token), (everywhere, _) = issue(stage), issue(stage, "SUBJECT", "ann")
    (login, login_token), (short, _) = issue(stage), issue(stage, "IDLE", "5s")
    sids = [logout, everywhere, login, short]
    process = subprocess.Popen(
        ["timeout", str(END_SECONDS), *command, stage.socket_of("one"), *between, *sids], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)
    try:
        first = process.stdout.readline()
        if first != "subscribed 4\n":
            process.terminate()
            raise staging.Failed(f"{library}: {first}{process.stderr.read()}")
        staging.ask(two, "TOKEN.REVOKE", logout_token)
        staging.ask(two, "TOKEN.REVOKEALL", "ann")
        staging.ask(two, "TOKEN.LOGIN", login_token, "bob")
        out, errors = process.communicate()
    finally:
        process.terminate()
    expected = {
        f"{logout} revoked logout", f"{everywhere} revoked logout-all", f"{login} replaced login", f"{short} expired"}
    if process.returncode != 0 or sorted(out.splitlines()) != sorted(expected):
        raise staging.Failed(f"{library}: status {process.returncode}\n{out}{errors}")


def websocket(python, stage):
    """Sockets of the example's server, at the first daemon; logout at the second."""
    port = staging.free_port()
    stage.start(
        "websocket", [python, f"{examples}/python/websocket.py", stage.socket_of("one"), str(port)],
        lambda: staging.listens(port))
    two = stage.socket_of("two")
    (_, ann), (bob_sid, bob), (_, carol) = (issue(stage, "SUBJECT", name) for name in ("ann", "bob", "carol"))
    visitors = subprocess.Popen(
        ["timeout", str(END_SECONDS), python, f"{examples}/testing/subscribers/visitors.py", str(port), ann, bob, carol, "0" * 128],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        lines = [visitors.stdout.readline() for _ in range(4)]
        wanted = ["0 hello ann\n", "1 hello bob\n", "2 hello carol\n", "3 closed 4401 unknown\n"]
        if sorted(lines) != wanted:
            raise staging.Failed(f"websocket: {lines}\n{visitors.stderr.read() if visitors.poll() is not None else ''}")
        begin = time.monotonic()
        staging.ask(two, "TOKEN.REVOKE", ann)
        line = visitors.stdout.readline()
        if line != "0 closed 4401 revoked logout\n" or time.monotonic() - begin > 2:
            raise staging.Failed(f"websocket: {line}")
        staging.ask(two, "TOKEN.REVOKE", "SID", bob_sid)
        if (line := visitors.stdout.readline()) != "1 closed 4401 revoked logout\n":
            raise staging.Failed(f"websocket: {line}")
        # Nobody knows any more what becomes of a session: the browsers come again.
        stage.stop("one")
        if (line := visitors.stdout.readline()) != "2 closed 1012 come again\n":
            raise staging.Failed(f"websocket: {line}")
        if visitors.wait() != 0:
            raise staging.Failed(f"websocket: {visitors.stderr.read()}")
    finally:
        visitors.terminate()
        stage.stop("websocket")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, help="the folder of tokencached")
    parser.add_argument("--libraries", help="which, with commas; by default all")
    arguments = parser.parse_args()
    try:
        newest = newest_python(arguments.programs)
        libraries = commands(newest)
        with staging.Stage(arguments.programs) as stage:
            stage.start_redis()
            for name in ("one", "two"):
                stage.start_daemon(("redis.timeout=1s",), name)
            for library in arguments.libraries.split(",") if arguments.libraries else [*libraries, "websocket"]:
                if library == "websocket":
                    websocket(newest, stage)
                else:
                    told(library, *libraries[library], stage)
                print(f"{library}: told of every end", flush=True)
    except staging.Failed as failure:
        sys.exit(f"FAILED: {failure}")


if __name__ == "__main__":
    main()
