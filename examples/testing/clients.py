#!/usr/bin/python3
"""Other people's Redis clients, each with its own library: how it connects, what its replies look like, what becomes of an error in
a pipeline, of a daemon that stands still, and of one that is started again.

    clients.py --programs .build/release [--libraries NAME,…] [--docs docs/clients.md]

--docs writes the table of that page. A probe (libraries/) takes lines of words between tabs, and answers a line a reply:

    call  WORD…          one command
    pipe  N              a pipeline of the N commands that follow, a line each
    $text  :number  _    a reply; ( … ) a list, { … } a map, !text an error

After a failure it does what every worker should: it closes the connection, and makes a new one at the next command.
"""
import argparse
import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import stage as staging

here = pathlib.Path(__file__).resolve().parent
probes = here / "libraries"
# The libraries' own time-out is two seconds where they have one; the rest is for a busy machine.
ANSWER_SECONDS = 30
SILENCE_SECONDS = 15
BEGIN, END = "<!-- written by examples/testing/clients.py -->", "<!-- to here -->"


@dataclasses.dataclass
class Library:
    title: str
    command: list
    # What its user must set, and what does not work, for the table.
    setting: str
    note: str
    # A requirement for pip, in an environment of its own.
    pip: str = ""
    environment: dict = dataclasses.field(default_factory=dict)
    # Built by this command first, into the folder of the programs.
    build: list = dataclasses.field(default_factory=list)


def probe(name):
    return str(probes / name)


REDIS_PY = "`Redis(unix_socket_path=…, socket_timeout=2, retry=Retry(NoBackoff(), 0))`"
NO_RETRY = "retries by itself unless told not to"


def redis_py(pip, protocol, title, setting=REDIS_PY, note=""):
    return Library(f"redis-py {title}", ["python", probe("probe.py"), "redis", protocol], setting, note, pip)


LIBRARIES = {
    "redis-py-3": redis_py("redis==3.5.3", "2", "3.5", "`Redis(unix_socket_path=…, socket_timeout=2)`"),
    "redis-py-4": redis_py("redis==4.6.0", "2", "4.6"),
    "redis-py-5": redis_py("redis==5.3.1", "2", "5.3"),
    "redis-py-5-resp3": redis_py("redis==5.3.1", "3", "5.3, `protocol=3`"),
    "redis-py-6": redis_py("redis==6.4.0", "2", "6.4", note=NO_RETRY),
    "redis-py-7": redis_py("redis==7.4.1", "2", "7.4", note=NO_RETRY),
    "redis-py": redis_py("redis", "3", "newest", note=f"**dictionaries** by default; {NO_RETRY}"),
    "redis-py-resp2": redis_py("redis", "2", "newest, `protocol=2`", note=NO_RETRY),
    "redis-py-asyncio": Library("redis.asyncio, newest", ["python", probe("probe-async.py"), "redis.asyncio"], REDIS_PY,
                                f"as redis-py; {NO_RETRY}", "redis"),
    "redis-py-debian": Library("redis-py of Debian (`python3-redis`)", ["/usr/bin/python3", probe("probe.py"), "redis", "2"],
                               REDIS_PY, ""),
    "valkey-py": Library("valkey-py", ["python", probe("probe.py"), "valkey", "2"], "`Valkey(unix_socket_path=…)`, else as redis-py",
                         "lists, unless `protocol=3`", "valkey"),
    "walrus": Library("walrus", ["python", probe("probe.py"), "walrus", "3"], "`Database(unix_socket_path=…)`, else as redis-py",
                      "redis-py under another name; its containers need Redis's own commands, which are not here", "walrus"),
    "coredis": Library("coredis", ["python", probe("probe-async.py"), "coredis"],
                       "`Redis(unix_socket_path=…, stream_timeout=2, retry_policy=NoRetryPolicy())`",
                       "commands by `create_request(…, callback=NoopCallback())`", "coredis"),
    "valkey-glide": Library("valkey-glide, 2.6 and later", ["python", probe("probe-async.py"), "valkey-glide"],
                            "`NodeAddress(unix_socket_path=…)`, `request_timeout=2000`; `custom_command`",
                            "**dictionaries**, of bytes; before 2.6 it opens no Unix sockets", "valkey-glide>=2.6"),
    "aioredis-debian": Library("aioredis 1.3 of Debian (`python3-aioredis`)", ["/usr/bin/python3", probe("probe-async.py"), "aioredis"],
                               "`create_redis(path)`", "knows no time-out: `asyncio.wait_for`"),
    "phpredis": Library("phpredis (`php-redis`)", ["php", probe("probe.php"), "phpredis"],
                        "`connect($path, 0, 2)`, `OPT_READ_TIMEOUT`, `OPT_MAX_RETRIES` 0; `rawCommand`",
                        "`ERR` is `false` and its text in `getLastError()`, other errors throw; one `UNAVAILABLE` in a pipeline throws and "
                        "loses all its replies"),
    "predis": Library("predis (`php-nrk-predis`)", ["php", probe("probe.php"), "predis"],
                      "`scheme` `unix`, `path`, `read_write_timeout`; `executeRaw`",
                      "`new RawCommand` in a pipeline, and the option `exceptions` false: else one error loses all its replies"),
    "perl": Library("Perl: Redis.pm (`libredis-perl`)", ["perl", probe("probe.pl"), "Redis"],
                    "`sock`, `reconnect => 0`, `read_timeout`; `$redis->token_visit(…)`",
                    "makes words of names at underscores; numbers are text"),
    "perl-fast": Library("Perl: Redis::Fast (`libredis-fast-perl`)", ["perl", probe("probe.pl"), "Redis::Fast"],
                         "as Redis.pm", "as Redis.pm, over hiredis"),
    "ruby": Library("redis-rb (`ruby-redis`)", ["ruby", probe("probe.rb")], "`path`, `reconnect_attempts: 0`; `call`",
                    "a pipeline throws its first error"),
    "node-redis": Library("node-redis (`node-redis`)", ["node", probe("probe.js")],
                          "`socket: { path }`, `disableOfflineQueue`, a `reconnectStrategy` that gives up; `sendCommand`",
                          "knows no time-out for an answer: race it with a timer",
                          environment={"NODE_PATH": "/usr/share/nodejs:/usr/lib/nodejs"}),
    "hiredis": Library("hiredis (`libhiredis-dev`)", ["client-hiredis"], "`redisConnectUnixWithTimeout`, `redisSetTimeout`; "
                       "`redisCommandArgv`", "ignore `SIGPIPE`",
                       build=["gcc", "-O", "-Wall", "-Werror", "-D_GNU_SOURCE", probe("probe.c"), "-lhiredis", "-o"]),
    "lua": Library("lua-redis (`lua-redis`)", ["lua5.1", probe("probe.lua")],
                   "`redis.connect({ socket = unix() })` with luasocket's `socket.unix`; `redis.command('TOKEN.VISIT')`",
                   "`require 'socket'` as well: it is what ignores `SIGPIPE`"),
    "hedis": Library("Haskell: hedis (`libghc-hedis-dev`)", ["client-hedis"],
                     "`defaultConnectInfo { connectPort = UnixSocket path }`, `connect`; `sendRequest`, as `Reply`",
                     "knows no time-out for an answer: `System.Timeout.timeout` around `runRedis`",
                     build=["sh", "-c", f'ghc -v0 -O -Wall -Werror -threaded -outputdir "$0.objects" -o "$0" {probe("probe.hs")}']),
    "redigo": Library("Go: redigo (`golang-github-gomodule-redigo-dev`)", ["client-redigo"],
                      "`Dial(\"unix\", …)` with `DialReadTimeout`; `redis.Values(conn.Do(…))`", "",
                      build=["env", "GO111MODULE=off", "GOPATH=/usr/share/gocode", "GOFLAGS=-p=1", "go", "build", "-o"]),
}


class Relay:
    """Stands between a library and the daemon, and hears what the library sends by itself before the first command of ours."""

    def __init__(self, path, target):
        self.target, self.heard = target, None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.pass_on, args=(self.listener.accept()[0],), daemon=True).start()

    def pass_on(self, client):
        daemon = socket.socket(socket.AF_UNIX)
        try:
            daemon.connect(self.target)
        except OSError:
            client.close()
            return
        if self.heard is None:
            self.heard = bytearray()
            record = self.heard
        else:
            record = bytearray()
        threading.Thread(target=self.copy, args=(daemon, client, bytearray()), daemon=True).start()
        self.copy(client, daemon, record)

    @staticmethod
    def copy(source, target, record):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                record += data
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def first_words(self):
        """The commands before ours, as their first two words."""
        text, found = bytes(self.heard or b"").decode(errors="replace"), []
        for command in re.split(r"(?:^|(?<=\r\n))\*\d+\r\n", text):
            words = re.findall(r"\$\d+\r\n([^\r]*)\r\n", command)
            if words and words[0].upper().startswith("TOKEN"):
                break
            if words:
                second = words[1].upper() if words[0].upper() in ("CLIENT", "HELLO") and len(words) > 1 else ""
                found.append(f"{words[0].upper()} {second}".strip())
        return list(dict.fromkeys(found))

    def close(self):
        self.listener.close()


class Error(str):
    """An error that the library gave or threw."""


def parsed(words):
    """One reply from its words; those that are left stay in the list."""
    word = words.pop(0)
    if word in ("(", "{"):
        values = []
        while words[0] not in (")", "}"):
            values.append(parsed(words))
        words.pop(0)
        return dict(zip(values[::2], values[1::2])) if word == "{" else values
    kind, rest = word[:1], word[1:]
    return {"$": rest, ":": int(rest) if kind == ":" else 0, "_": None, "!": Error(rest)}[kind]


class Probe:
    def __init__(self, command, environment, log):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment})
        self.version = self.line(ANSWER_SECONDS * 2)

    def line(self, seconds):
        late = threading.Timer(seconds, self.process.kill)
        late.start()
        try:
            line = self.process.stdout.readline()
        finally:
            late.cancel()
        if not line.endswith("\n"):
            raise staging.Failed(f"the probe ended, or gave no answer within {seconds} s")
        return line[:-1]

    def call(self, *words, seconds=ANSWER_SECONDS):
        self.process.stdin.write("\t".join(("call", *words)) + "\n")
        return parsed(self.line(seconds).split("\t"))

    def pipe(self, *commands):
        self.process.stdin.write("\n".join([f"pipe\t{len(commands)}", *("\t".join(words) for words in commands)]) + "\n")
        replies = [parsed(self.line(ANSWER_SECONDS).split("\t"))]
        # A library that throws has one answer for all.
        while len(replies) < len(commands) and not (len(replies) == 1 and isinstance(replies[0], Error)):
            replies.append(parsed(self.line(ANSWER_SECONDS).split("\t")))
        return replies

    def end(self):
        staging.hang_up(self.process)


def fields(reply):
    """The fields of a reply in either shape; numbers that came as text are text."""
    if isinstance(reply, list):
        reply = dict(zip(reply[::2], reply[1::2]))
    if not isinstance(reply, dict):
        raise staging.Failed(f"no map: {reply!r}")
    return reply


def require(condition, what):
    if not condition:
        raise staging.Failed(what)


def is_about(reply, sid):
    return not isinstance(reply, Error) and fields(reply).get("sid") == sid and str(fields(reply)["accepted"]) == "1"


def try_out(name, library, stage, programs):
    """Returns a row of the table."""
    relay = Relay(f"{stage.folder}/{name}.sock", stage.socket)
    with open(f"{stage.folder}/probe-{name}.log", "w") as log:
        tried = Probe([*command_of(name, library, programs), f"{stage.folder}/{name}.sock"], library.environment, log)
    try:
        return judged(library, tried, relay, stage)
    finally:
        tried.end()
        relay.close()


def judged(library, tried, relay, stage):
    issued = tried.call("TOKEN.ISSUE", "SUBJECT", "zoë", "DATA", "name", "Grüße")
    require(not isinstance(issued, Error), f"TOKEN.ISSUE: {issued}")
    token, sid = fields(issued)["sessiontoken"], fields(issued)["sid"]
    require(len(token) == 128 and token.startswith(sid), f"TOKEN.ISSUE: {issued}")
    seen = fields(tried.call("TOKEN.VALIDATE", token))
    require((seen["status"], seen["subject"]) == ("valid", "zoë"), f"TOKEN.VALIDATE: {seen}")
    refused = fields(tried.call("TOKEN.VALIDATE", "nonsense"))
    require({key: str(value) for key, value in refused.items()} == {"status": "unknown", "accepted": "0"}, f"a refusal: {refused}")
    page = fields(tried.call("TOKEN.VISIT", token, "CSRF", "form", "DATA", "name"))
    require(page["csrf"] and fields(page["data"]) == {"name": "Grüße"}, f"TOKEN.VISIT: {page}")
    guest = fields(tried.call("TOKEN.VISIT", ""))
    require((guest["status"], guest["kind"]) == ("none", "guest"), f"TOKEN.VISIT of nobody: {guest}")

    wrong = tried.call("TOKEN.FOO")
    require(isinstance(wrong, Error) and "unknown command" in wrong.lower(), f"an unknown command: {wrong!r}")
    require(is_about(tried.call("TOKEN.VALIDATE", token), sid), "the command behind an error")
    other = fields(tried.call("TOKEN.ISSUE"))

    three = tried.pipe(("TOKEN.VALIDATE", token), ("TOKEN.VALIDATE", other["sessiontoken"]), ("TOKEN.VALIDATE", token))
    require(len(three) == 3 and all(map(is_about, three, (sid, other["sid"], sid))), f"a pipeline: {three}")
    mixed = tried.pipe(("TOKEN.VALIDATE", token), ("TOKEN.FOO",), ("TOKEN.VALIDATE", other["sessiontoken"]))
    in_place = len(mixed) == 3 and is_about(mixed[0], sid) and not is_about(mixed[1], sid) and is_about(mixed[2], other["sid"])
    require(is_about(tried.call("TOKEN.VALIDATE", token), sid), "the command behind a pipeline with an error")

    redis = stage.processes["redis"]
    redis.send_signal(signal.SIGSTOP)
    try:
        fault = tried.call("TOKEN.ISSUE")
    finally:
        redis.send_signal(signal.SIGCONT)
    require(isinstance(fault, Error) and "UNAVAILABLE" in fault, f"Redis stands still: {fault!r}")
    settled(stage, token)

    # The daemon stands still: given up in time, and the late reply is nobody's.
    daemon = stage.processes["daemon"]
    daemon.send_signal(signal.SIGSTOP)
    try:
        require(isinstance(tried.call("TOKEN.VALIDATE", token, seconds=SILENCE_SECONDS), Error), "the daemon stands still")
    finally:
        daemon.send_signal(signal.SIGCONT)
    settled(stage, token)
    require(is_about(tried.call("TOKEN.VALIDATE", other["sessiontoken"]), other["sid"]), "the command behind a time-out")

    stage.stop("daemon")
    stage.start_daemon(SETTINGS)
    settled(stage, token)
    first = tried.call("TOKEN.VALIDATE", token)
    require(isinstance(first, Error) or is_about(first, sid), f"after a restart: {first}")
    require(is_about(tried.call("TOKEN.VALIDATE", other["sessiontoken"]), other["sid"]), "the second command after a restart")
    return [
        library.title, tried.version or "–", ", ".join(f"`{words}`" for words in relay.first_words()) or "–",
        "maps" if isinstance(issued, dict) else "lists", "in its place" if in_place else "**loses the others**",
        "fails once" if isinstance(first, Error) else "goes on", library.setting, library.note]


SETTINGS = ("redis.timeout=500ms", "near-cache.serve-stale=0")
HEADINGS = ("library", "tried", "on connect it sends", "replies", "an error in a pipeline", "first call after a restart",
            "how to connect, settings", "note")


def settled(stage, token):
    """The daemon has its Redis again."""
    def knows():
        try:
            return staging.ask_fields(stage.socket, "TOKEN.INSPECT", token).get("accepted") == 1
        except (OSError, staging.Refused):
            return False
    staging.until(knows, ANSWER_SECONDS, "the daemon is whole again")


def command_of(name, library, programs):
    """Installs or builds what is missing."""
    if library.build:
        program = f"{programs}/{library.command[0]}"
        words = [*library.build, program, *([probe("probe.go")] if name == "redigo" else [])]
        done = subprocess.run(words, capture_output=True, text=True)
        require(done.returncode == 0, f"building {name}\n{done.stderr}")
        return [program]
    if not library.pip:
        return library.command
    folder = pathlib.Path(programs, "client-libraries")
    folder.mkdir(exist_ok=True)
    # What is called the same is installed once.
    key = re.sub(r"\W+", "-", library.pip)
    (folder / f"{key}.txt").write_text(library.pip + "\n")
    script = here.parent.parent / "Tests/IndependentLibraryTests/environment.sh"
    done = subprocess.run(["sh", script, folder / key, folder / f"{key}.txt"], capture_output=True, text=True)
    require(done.returncode == 0, f"installing {library.pip}\n{done.stderr}")
    return [done.stdout.strip(), *library.command[1:]]


def table(rows):
    yield "| " + " | ".join(HEADINGS) + " |"
    yield "|" + "---|" * len(HEADINGS)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, help="the folder of tokencached; libraries are installed beside it")
    parser.add_argument("--libraries", default=",".join(LIBRARIES), help="which, with commas; by default all")
    parser.add_argument("--docs", help="the page whose table is written")
    arguments = parser.parse_args()
    names = arguments.libraries.split(",")
    if unknown := set(names) - set(LIBRARIES):
        parser.error(f"{', '.join(sorted(unknown))}: none of {', '.join(LIBRARIES)}")
    rows, failures = [], []
    with staging.Stage(arguments.programs) as stage:
        stage.start_redis()
        stage.start_daemon(SETTINGS)
        for name in names:
            begin = time.monotonic()
            try:
                rows.append(try_out(name, LIBRARIES[name], stage, arguments.programs))
                print(f"{name}: as it should be, {time.monotonic() - begin:.0f} s", flush=True)
            except staging.Failed as failure:
                failures.append(name)
                log = pathlib.Path(stage.folder, f"probe-{name}.log")
                print(f"FAILED: {name}: {failure}\n{log.read_text()[-2000:] if log.exists() else ''}", file=sys.stderr, flush=True)
    print(*table(rows), sep="\n")
    if failures:
        sys.exit(f"FAILED: {', '.join(failures)}")
    if arguments.docs:
        page = pathlib.Path(arguments.docs)
        before, _, rest = page.read_text().partition(BEGIN)
        page.write_text(before + BEGIN + "\n" + "\n".join(table(rows)) + "\n" + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
