"""The servers of a test: a Redis, a daemon, an Apache, each in one temporary folder, all ended when the test ends."""
import base64
import contextlib
import ctypes
import grp
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

# Interpreters that compile first take a while on a busy machine.
START_SECONDS = 40
STOP_SECONDS = 10
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


class Failed(Exception):
    """The test failed; the text says how."""


def until(condition, seconds, what):
    """Waits for a condition that no event tells of: that a process listens, or is gone."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.02)


class Refused(Failed):
    """A server's error reply."""


class Stage:
    """Use it in a `with`: at its end every process is ended and the folder removed, also after a failure."""

    def __init__(self, programs):
        self.programs = programs
        # Apache's workers run as the site's user if we are root, and reach only what others may.
        root = os.getuid() == 0
        self.user = pwd.getpwnam("www-data") if root else pwd.getpwuid(os.getuid())
        self.folder = tempfile.mkdtemp(prefix="tokencached-test-")
        os.chmod(self.folder, 0o755)
        self.redis_socket = f"{self.folder}/redis/redis.sock"
        self.socket = self.socket_of("daemon")
        self.processes = {}
        for name in ("redis", "daemon", "state"):
            os.mkdir(f"{self.folder}/{name}")
        os.chmod(f"{self.folder}/state", 0o700)

    def __enter__(self):
        # A test that is told to stop still cleans up.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return self

    def __exit__(self, failure, *_):
        for name in reversed(list(self.processes)):
            self.stop(name)
        left = self.end_leftovers()
        if failure is not None:
            self.show_logs()
        shutil.rmtree(self.folder, ignore_errors=True)
        if left and failure is None:
            raise Failed(f"processes were left: {', '.join(left)}")

    def start(self, name, command, ready, environment=None):
        log = open(f"{self.folder}/{name}.log", "ab")
        self.processes[name] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
            env={**os.environ, **(environment or {})},
            # Should this program be killed, its children are told to end.
            preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM))
        log.close()

        def is_ready():
            if self.processes[name].poll() is not None:
                raise Failed(f"{name} ended with status {self.processes[name].returncode}")
            return ready()
        until(is_ready, START_SECONDS, f"{name} is ready")

    def stop(self, name, how=signal.SIGTERM):
        process = self.processes.pop(name)
        process.send_signal(how)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def start_redis(self):
        self.start("redis", [
            "redis-server", "--port", "0", "--unixsocket", self.redis_socket, "--dir", f"{self.folder}/redis",
            # Nothing here outlives the kernel, so nothing waits for the disk.
            "--save", "", "--appendonly", "yes", "--appendfsync", "no", "--maxmemory-policy", "noeviction",
        ], lambda: answers(self.redis_socket))

    def socket_of(self, daemon):
        return f"{self.folder}/{daemon}/tokencached.sock"

    def start_daemon(self, settings=(), name="daemon", redis=None, under=()):
        """The settings are key=value, as the daemon's --set takes them. Two of a name each share the Redis and the keys; `redis` is the
        address of another one. `under` are the words of a command that runs it."""
        os.makedirs(f"{self.folder}/{name}", exist_ok=True)
        ours = (f"socket.group={self.group()}", f"keyring.file={self.key_ring()}")
        sets = [word for setting in (*ours, *settings) for word in ("--set", setting)]
        socket = self.socket_of(name)
        self.start(name, [
            *under, f"{self.programs}/tokencached", "--socket", socket, "--redis", redis or f"unix://{self.redis_socket}",
            "--state-dir", f"{self.folder}/state", *sets,
        ], lambda: answers(socket))

    def cpu(self, name):
        """Nanoseconds that a process has been on a core since it began."""
        with open(f"/proc/{self.processes[name].pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0])

    def hits(self, sessions, seconds, daemon="daemon"):
        """The command of a load of hits, which leaves core 0 to the daemon."""
        return ["taskset", "-c", "1", f"{self.programs}/tokencache-load", "--socket", self.socket_of(daemon), "validate",
                "--sessions", str(sessions), "--no-pin", "--quiet", "--json", "-d", f"{seconds}s", "--warm-up", "200ms"]

    def key_ring(self):
        """A daemon that is started again reads the same one, as every host of a site does."""
        path = f"{self.folder}/state/keyring.json"
        if not os.path.exists(path):
            key = base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()
            now = int(time.time())
            ring = {"keys": [{"kid": os.urandom(4).hex(), "key": key, "created": now, "active_from": now}]}
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                json.dump(ring, file)
        return path

    def start_apache(self, configuration, worker):
        """Starts it on a free port and returns the port."""
        os.makedirs(f"{self.folder}/fcgid", exist_ok=True)
        os.chown(f"{self.folder}/fcgid", self.user.pw_uid, self.user.pw_gid)
        port = free_port()
        defines = {
            "STAGE": self.folder, "PORT": port, "WORKER": worker, "SITE_USER": self.user.pw_name,
            "SITE_GROUP": self.group(), "MODULES": "/usr/lib/apache2/modules",
        }
        self.start("apache", [
            shutil.which("apache2") or "/usr/sbin/apache2", "-f", configuration, "-D", "FOREGROUND",
            *(word for name, value in defines.items() for word in ("-C", f"Define {name} {value}")),
        ], lambda: listens(port))
        return port

    def group(self):
        return grp.getgrgid(self.user.pw_gid).gr_name

    def end_leftovers(self):
        """Ends what outlived its parent; this test's processes have its folder in their arguments or environment."""
        left = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                text = b"".join(open(f"/proc/{pid}/{part}", "rb").read() for part in ("cmdline", "environ"))
            except OSError:
                continue
            if self.folder.encode() in text and int(pid) != os.getpid():
                left.append(text.split(b"\0")[0].decode(errors="replace"))
                os.kill(int(pid), signal.SIGKILL)
        return left

    def show_logs(self):
        folder = pathlib.Path(self.folder)
        for path in sorted([*folder.glob("*.log"), *folder.glob("proxy/*.log")]):
            with open(path, errors="replace") as log:
                lines = log.readlines()[-15:]
            print(f"--- {path.relative_to(self.folder)}", *map(str.rstrip, lines), sep="\n", file=sys.stderr)


FAULT = b"-UNAVAILABLE Redis did not answer in time\r\n"


@contextlib.contextmanager
def scripted(path, replies):
    """A daemon that gives these replies, one behind the other, whatever it is asked. All of them must be asked for."""
    def answer(connection):
        """Until the client hangs up: one may connect for each request."""
        protocol = 2
        with connection, connection.makefile("rb") as stream:
            while stream.peek():
                words = read_reply(stream)
                # A library's own words on connect come first.
                if words[0].upper() == "HELLO":
                    protocol = int(words[1])
                    connection.sendall(encoded({"proto": protocol}, protocol))
                elif words[0].upper() == "CLIENT":
                    connection.sendall(b"+OK\r\n")
                elif replies:
                    connection.sendall(encoded(replies.pop(0), protocol))
                else:
                    return

    def serve(listener):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        os.chmod(path, 0o666)
        listener.listen()
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        try:
            yield path
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            os.unlink(path)
    if replies:
        raise Failed(f"less was asked than should be: {len(replies)} replies are left")


def holder(status, accepted, sid, token=None, check=None, subject=""):
    """The reply of VISIT or VALIDATE."""
    return {
        "status": status, "accepted": accepted, "kind": "session", "sid": sid, "subject": subject, "generation": 1,
        "created": 1, "modified": 1, "auth_time": 0, "expires_in": 1, "absolute_in": 1,
        **({"sessiontoken": token} if token else {}), **({"check": check} if check else {}), "csrf": "c", "data": {}}


def encoded(reply, protocol):
    """A map is one in RESP3, and a list of fields and values in RESP2. Bytes are a reply as it is."""
    if isinstance(reply, dict):
        kind, count = ("%", len(reply)) if protocol == 3 else ("*", 2 * len(reply))
        words = [word for pair in reply.items() for word in pair]
        return b"%s%d\r\n" % (kind.encode(), count) + b"".join(encoded(word, protocol) for word in words)
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    return reply if isinstance(reply, bytes) else b"$%d\r\n%s\r\n" % (len(reply.encode()), reply.encode())


def answers(path):
    """Whether a server that speaks RESP answers PING on this socket."""
    try:
        return ask(path, "PING") == "PONG"
    except (OSError, Refused):
        return False


def hang_up(process):
    """Ends a program that is asked over its standard input: it ends with that, or is killed."""
    process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def command(words):
    """As a client sends it."""
    return b"*%d\r\n" % len(words) + b"".join(
        b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words)


def ask(path, *words):
    """One command on a connection of its own."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(path)
        connection.sendall(command(words))
        with connection.makefile("rb") as stream:
            return read_reply(stream)


def read_reply(stream):
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise OSError("the connection ended")
    kind, rest = line[:1], line[1:-2].decode()
    if kind == b"$":
        return stream.read(int(rest) + 2)[:-2].decode() if rest != "-1" else None
    if kind == b"*":
        return [read_reply(stream) for _ in range(int(rest))]
    if kind == b"-":
        raise Refused(rest)
    return int(rest) if kind == b":" else rest


def ask_fields(path, *words):
    reply = ask(path, *words)
    return dict(zip(reply[::2], reply[1::2]))


class Pipeline:
    """One connection to a daemon, for commands that are answered by fields."""

    def __init__(self, path):
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(path)
        self.replies = self.connection.makefile("rb")

    def ask(self, commands, in_flight):
        """The fields of their replies, with at most so many commands under way at once."""
        replies = []
        for start in range(0, len(commands), in_flight):
            batch = commands[start:start + in_flight]
            self.connection.sendall(b"".join(map(command, batch)))
            replies += [read_reply(self.replies) for _ in batch]
        return [dict(zip(reply[::2], reply[1::2])) for reply in replies]


def ask_figures(path, *sections):
    """INFO's figures by name, as text."""
    return dict(line.split(":", 1) for line in ask(path, "INFO", *sections).splitlines() if ":" in line)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
