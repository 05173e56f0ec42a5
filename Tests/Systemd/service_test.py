"""The service on a real systemd: run by test.service in the container that `run` boots. Exit status 0 if all of it holds.

Waits for what happens, never for time to pass; each wait has a limit.
"""

import base64
import grp
import json
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import traceback

from client import MAIN, Client, Refused, fields, guests, once, tokens
from load import Load

UNIT = "tokencached.service"
CONFIGURATION = "/etc/tokencached/tokencached.yaml"
# Made by the daemon at its first start, as no other was given.
RING = "/var/lib/tokencached/keyring.json"
RESTARTS = 20
WORKERS = 8
# Among thousands of commands a busy disk keeps one waiting for longer than the default.
PATIENCE = "redis:\n  timeout: 5s\n"
ACCESS = """
access:
  default: none
  users: {monitor: %s, banned: none}
  groups: {tokencached-clients: worker}
"""


def run(*words, status=0, user=None, given=None):
    """Runs a program to its end; its output. Any other exit status than `status` (None: whichever) is a failure."""
    if user:
        words = ("runuser", "-u", user, "--", *words)
    done = subprocess.run(words, input=given, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert status is None or done.returncode == status, f"{' '.join(words)}: {done.returncode}\n{done.stdout}"
    return done.stdout


def show(name, unit=UNIT):
    return run("systemctl", "show", "--value", "--property", name, unit).strip()


def main_pid(unit=UNIT):
    return int(show("MainPID", unit))


def eventually(what, condition, limit=30):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {limit} s: {what}")


def journal(unit=UNIT, *options):
    run("journalctl", "--sync")
    return run("journalctl", "--no-pager", "--output=cat", "--unit", unit, *options)


def configure(text, path=CONFIGURATION):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def ring_with(kid, ring=None):
    """The text of a key ring, or of this one with one more key, which signs from now on."""
    key = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    keys = json.loads(ring)["keys"] if ring else []
    now = int(time.time())
    return json.dumps({"keys": keys + [{"kid": kid, "key": key, "created": now, "active_from": now}]})


def replace_ring(text):
    """As a careful tool does: whole, or not at all."""
    with open(f"{RING}.new", "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(text)
    shutil.chown(f"{RING}.new", "tokencached", "tokencached")
    os.rename(f"{RING}.new", RING)


def signing_key():
    """The key that the daemon seals a new guest with, and that guest's token."""
    token = fields("GUEST.ISSUE")["sessiontoken"]
    header = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"], token


def facts_of_process(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
        return [int(number) for number in file.read().split()]


# --- The parts, in this order; each leaves the service running.


def installation():
    """make install's tree is in place; systemd finds nothing wrong with the units"""
    # As a package is unpacked: /lib is a link here.
    packed = subprocess.Popen(["tar", "-C", "/stage", "-c", "."], stdout=subprocess.PIPE)
    subprocess.run(["tar", "-C", "/", "--keep-directory-symlink", "-x"], stdin=packed.stdout, check=True)
    assert packed.wait() == 0
    run("systemd-sysusers")
    run("systemd-tmpfiles", "--create")
    for user in ("worker", "monitor", "banned", "stranger", "shopworker"):
        run("useradd", "--system", "--no-create-home", user)
    for user in ("worker", "monitor", "banned"):
        run("usermod", "--append", "--groups", "tokencached-clients", user)
    run("systemctl", "daemon-reload")
    names = ["tokencached.service", "tokencached.socket", "tokencached-http.socket", "tokencached@.service", "tokencached@.socket",
             "tokencached-http@.socket"]
    complaints = run("systemd-analyze", "verify", "--man=no", *(f"/lib/systemd/system/{name}" for name in names))
    assert complaints == "", complaints
    assert run("tokencached", "--check-config").startswith("configuration ok")


def activation():
    """the first connection starts the service"""
    configure(PATIENCE + ACCESS % "validator")
    run("systemctl", "enable", "--now", "tokencached.socket")
    assert show("ActiveState") == "inactive"
    socket = os.stat(MAIN)
    assert stat.S_IMODE(socket.st_mode) == 0o660, oct(socket.st_mode)
    assert grp.getgrgid(socket.st_gid).gr_name == "tokencached-clients"
    started = time.monotonic()
    assert once("PING") == "PONG"
    print(f"    answered {time.monotonic() - started:.2f} s after the connection that started it")
    assert show("ActiveState") == "active" and show("StatusText").startswith(f"serves {MAIN}"), show("StatusText")
    assert show("NotifyAccess") == "main" and show("WatchdogUSec") == "10s"


def roles():
    """roles go by the user and groups of who connects"""
    ctl = "tokencachectl"
    token = run(ctl, "issue", "--subject", "ann", "--json", user="worker").split('"sessiontoken":"')[1][:128]
    tokens.add(token)
    run(ctl, "validate", user="worker", given=token)
    run(ctl, "reload", user="worker", status=4)
    run(ctl, "validate", user="monitor", given=token)
    run(ctl, "issue", user="monitor", status=4)
    run(ctl, "ping", user="banned", status=4)
    assert "permission denied" in run(ctl, "ping", user="stranger", status=3).lower()
    run(ctl, "doctor", "--as", "worker")
    advice = run(ctl, "doctor", "--as", "stranger", status=1)
    assert "adduser stranger tokencached-clients" in advice, advice
    run(ctl, "reload", user="root")
    log = journal(UNIT)
    assert "a peer was denied" in log and f"uid={pwd.getpwnam('banned').pw_uid}" in log, log
    assert re.search(r"session issued .*sid=" + token[:32] + " subject=ann", log), log
    assert "<6>" not in log, "priorities are the journal's, not text"
    warnings = journal(UNIT, "--priority=warning")
    assert "a peer was denied" in warnings and "session issued" not in warnings, warnings


def sandbox():
    """the sandbox is in force, for the daemon and its redis-server"""
    for name, expected in {
        "User": "tokencached", "NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "ProtectSystem": "strict",
        "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes", "PrivateUsers": "no",
        "ProtectProc": "invisible", "ProcSubset": "pid", "ProtectKernelTunables": "yes",
        "ProtectKernelModules": "yes", "ProtectKernelLogs": "yes", "ProtectControlGroups": "yes",
        "ProtectClock": "yes", "ProtectHostname": "yes", "PrivateIPC": "yes", "PrivateMounts": "yes",
        "RestrictNamespaces": "yes", "RestrictRealtime": "yes", "RestrictSUIDSGID": "yes",
        "MemoryDenyWriteExecute": "yes", "LockPersonality": "yes", "SystemCallArchitectures": "native",
        "SystemCallErrorNumber": "1", "LimitCORE": "0", "UMask": "0077", "KeyringMode": "private", "RemoveIPC": "yes",
        "DevicePolicy": "closed", "Result": "success",
    }.items():
        assert show(name) == expected, f"{name} is {show(name)}, not {expected}"
    assert set(show("RestrictAddressFamilies").split()) == {"AF_UNIX", "AF_INET", "AF_INET6"}
    calls = show("SystemCallFilter").split()
    assert "read" in calls and not {"mount", "ptrace", "setrlimit", "reboot", "setuid"} & set(calls)

    daemon = main_pid()
    redis = children(daemon)
    assert len(redis) == 1, redis
    listening = os.readlink(f"/proc/{daemon}/fd/3")
    assert listening.startswith("socket:")
    for pid in (daemon, *redis):
        facts = facts_of_process(pid)
        user = str(pwd.getpwnam("tokencached").pw_uid)
        assert facts["Uid"].split() == [user] * 4 and facts["NoNewPrivs"] == "1" and facts["Seccomp"] == "2", facts
        assert {facts[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {"0" * 16}, facts
        with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as file:
            roots = [line.split()[5] for line in file if line.split()[4] == "/"]
        assert roots and roots[-1].split(",")[0] == "ro", roots
    with open(f"/proc/{redis[0]}/environ", "rb") as file:
        environment = file.read()
    for name in (b"NOTIFY_SOCKET", b"LISTEN_", b"WATCHDOG_", b"CREDENTIALS_DIRECTORY"):
        assert name not in environment, environment
    opened = [os.readlink(f"/proc/{redis[0]}/fd/{number}") for number in os.listdir(f"/proc/{redis[0]}/fd")]
    assert listening not in opened, "redis-server has the daemon's socket"
    assert stat.S_IMODE(os.stat("/var/lib/tokencached").st_mode) == 0o700


def reload():
    """a reload takes a changed file without closing a connection; a wrong one changes nothing and says why"""
    daemon = main_pid()
    client = Client()
    kept = client.fields("TOKEN.ISSUE", "SUBJECT", "ann")["sessiontoken"]
    configure(PATIENCE + ACCESS % "worker")
    run("systemctl", "reload", UNIT)
    assert run("tokencachectl", "issue", "--json", user="monitor").count("sessiontoken") == 1

    configure("session:\n  idle: soon\n" + ACCESS % "none")
    run("systemctl", "reload", UNIT, status=1)
    complaint = run("tokencachectl", "reload", status=78)
    assert "session.idle" in complaint and "nothing was changed" in complaint, complaint
    assert "session.idle" in journal(UNIT, "--priority=err")
    assert show("ActiveState") == "active"
    run("tokencachectl", "ping", user="monitor")

    configure("redis:\n  timeout: 300ms\n" + ACCESS % "worker")
    assert run("tokencachectl", "reload").endswith("with a restart only: redis.timeout\n")
    before = journal(UNIT).count("redis.timeout")
    run("systemctl", "kill", "--kill-whom=main", "--signal=HUP", UNIT)
    eventually("SIGHUP reloads, too", lambda: journal(UNIT).count("redis.timeout") > before)

    configure(PATIENCE + ACCESS % "validator")
    run("systemctl", "reload", UNIT)
    assert client.fields("TOKEN.VALIDATE", kept)["status"] == "valid", "the connection is still there"
    assert main_pid() == daemon and show("NRestarts") == "0"


def new_ring():
    """a reload takes a new key ring: its new key signs, and what the old one signed is accepted; a broken one is refused"""
    daemon = main_pid()
    old, guest = signing_key()
    with open(RING, encoding="utf-8") as file:
        ring = file.read()
    replace_ring(ring_with("second", ring))
    assert signing_key()[0] == old, "nothing changes by itself"
    run("systemctl", "reload", UNIT)
    assert signing_key()[0] == "second"
    assert fields("TOKEN.VALIDATE", guest)["status"] == "valid"
    replace_ring("{}")
    run("systemctl", "reload", UNIT, status=1)
    assert signing_key()[0] == "second" and main_pid() == daemon
    replace_ring(ring_with("third", ring))
    run("systemctl", "reload", UNIT)
    assert signing_key()[0] == "third"
    assert fields("TOKEN.VALIDATE", guest)["status"] == "valid"


def restarts():
    """restarts under load: no connection is refused, nothing that was acknowledged is lost"""
    took = []
    with Load(WORKERS) as load:
        for _ in range(RESTARTS):
            before = load.total("acknowledged")
            eventually("the load goes on", lambda: load.total("acknowledged") > before + 20 * WORKERS)
            started = time.monotonic()
            run("systemctl", "restart", UNIT)
            took.append(time.monotonic() - started)
        before = load.total("acknowledged")
        eventually("the load goes on", lambda: load.total("acknowledged") > before + 20 * WORKERS)
    lost = load.lost()
    print(
        f"    {RESTARTS} restarts, {max(took):.2f} s at most; {load.total('acknowledged')} acknowledged, "
        f"{load.total('interrupted')} interrupted, {load.total('refused')} refused, {load.total('errors')} errors, "
        f"{len(lost)} lost")
    assert load.total("interrupted") >= RESTARTS, "the load was not there when the daemon went"
    for what in (load.texts("refused"), load.texts("errors"), lost):
        assert not what, "\n".join(what[:10])
    assert grp.getgrgid(os.stat(MAIN).st_gid).gr_name == "tokencached-clients"


def killed():
    """kill -9: it is started again, and what was acknowledged is there"""
    kept = fields("TOKEN.ISSUE", "SUBJECT", "ann")["sessiontoken"]
    daemon, count = main_pid(), int(show("NRestarts"))
    redis = children(daemon)
    os.kill(daemon, signal.SIGKILL)
    eventually("a new start", lambda: int(show("NRestarts")) > count)
    assert fields("TOKEN.VALIDATE", kept)["status"] == "valid"
    assert main_pid() not in (0, daemon)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in redis), "its redis-server was left behind"


def frozen():
    """SIGSTOP: the watchdog ends it, and who connected meanwhile is answered by the next one"""
    daemon = main_pid()
    os.kill(daemon, signal.SIGSTOP)
    started = time.monotonic()
    client = Client(limit=60)
    assert client.call("PING") == "PONG"
    print(f"    answered {time.monotonic() - started:.1f} s after SIGSTOP")
    assert main_pid() != daemon
    assert "Watchdog timeout" in journal(UNIT)


def wrong_start():
    """a configuration that is wrong at the start is said in the journal, and mended by mending the file"""
    configure("session:\n  idle: soon\n")
    run("systemctl", "restart", UNIT, status=1)
    assert "session.idle" in journal(UNIT, "--priority=err")
    configure(PATIENCE + ACCESS % "validator")
    assert once("PING") == "PONG"


def instances():
    """an instance has its own socket, group, prefix and sessions; another one uses a Redis over TCP"""
    run("systemctl", "start", "redis-server.service")
    run("groupadd", "--system", "tokencached-shop")
    run("groupadd", "--system", "tokencached-far")
    run("usermod", "--append", "--groups", "tokencached-shop", "shopworker")
    configure(PATIENCE + "log:\n  level: debug\n", "/etc/tokencached/shop.yaml")
    configure(PATIENCE + "  url: redis://127.0.0.1:6379\n", "/etc/tokencached/far.yaml")
    for name in ("shop", "far"):
        path = f"/run/tokencached/{name}.sock"
        run("systemctl", "start", f"tokencached@{name}.socket")
        token = fields("TOKEN.ISSUE", "SUBJECT", "ann", path=path)["sessiontoken"]
        assert once("CONFIG", "GET", "redis.prefix", path=path)[1] == f"tc:{name}:"
        assert once("CONFIG", "GET", "socket.path", path=path)[1] == path
        assert fields("TOKEN.VALIDATE", token, path=path)["status"] == "valid"
        assert fields("TOKEN.VALIDATE", token)["status"] == "unknown", "the other site's"
        run("systemctl", "reload", f"tokencached@{name}.service")
        run("systemctl", "restart", f"tokencached@{name}.service")
        assert fields("TOKEN.VALIDATE", token, path=path)["status"] == "valid"
        assert grp.getgrgid(os.stat(path).st_gid).gr_name == f"tokencached-{name}"
    shop = ("--socket", "/run/tokencached/shop.sock")
    run("tokencachectl", *shop, "ping", user="shopworker")
    run("tokencachectl", *shop, "ping", user="worker", status=3)
    run("tokencachectl", "ping", user="shopworker", status=3)
    run("systemctl", "stop", "tokencached@shop.socket", "tokencached@shop.service")
    run("systemctl", "start", "tokencached-http@shop.socket", "tokencached@shop.socket")
    connection = socket.socket(socket.AF_UNIX)
    connection.connect("/run/tokencached/shop.http.sock")
    assert http_status(connection, b"/healthz") == 200
    connection.close()
    assert grp.getgrgid(os.stat("/run/tokencached/shop.http.sock").st_gid).gr_name == "tokencached-shop"
    assert os.path.isdir("/var/lib/tokencached-shop/redis") and not os.path.exists("/var/lib/tokencached-far/redis")


def credential():
    """the key ring in /etc/credstore reaches the daemon as a credential, for it alone; without the file it starts, too"""
    folder = f"/run/credentials/{UNIT}"
    assert not os.path.exists(f"{folder}/keyring")
    with open("/etc/credstore/tokencached.keyring", "w", encoding="utf-8") as file:
        file.write(ring_with("given"))
    run("systemctl", "restart", UNIT)
    assert signing_key()[0] == "given"
    ring = os.stat(f"{folder}/keyring")
    assert stat.S_IMODE(ring.st_mode) == 0o400 and ring.st_uid == pwd.getpwnam("tokencached").pw_uid
    os.unlink("/etc/credstore/tokencached.keyring")
    run("systemctl", "restart", UNIT)
    assert signing_key()[0] == "third"


def http_status(connection, path):
    """The status of an answer, which is read whole: the next one comes behind it."""
    connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    stream = connection.makefile("rb")
    status = int(stream.readline().split()[1])
    length = 0
    while (line := stream.readline()) != b"\r\n":
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    stream.read(length)
    return status


def over_http():
    """HTTP has a socket unit of its own, at a path and at a port of this host"""
    os.makedirs("/etc/systemd/system/tokencached-http.socket.d", exist_ok=True)
    with open("/etc/systemd/system/tokencached-http.socket.d/port.conf", "w") as file:
        file.write("[Socket]\nListenStream=127.0.0.1:9180\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", "tokencached-http.socket")
    # A socket cannot be started while its service runs, and the other socket would start that again.
    run("systemctl", "stop", "tokencached.socket", UNIT)
    run("systemctl", "start", "tokencached-http.socket", "tokencached.socket")
    connections = [socket.socket(socket.AF_UNIX), socket.create_connection(("127.0.0.1", 9180))]
    connections[0].connect("/run/tokencached/http.sock")
    for connection, auth in zip(connections, (401, 404)):
        for path, status in ((b"/healthz", 200), (b"/metrics", 200), (b"/auth", auth)):
            assert http_status(connection, path) == status, path
        connection.close()
    once("PING")
    run("systemctl", "disable", "--now", "tokencached-http.socket")
    run("systemctl", "restart", UNIT)
    once("PING")


def stop():
    """stopped: a clean end, nothing is left running, and the next connection starts it again"""
    cgroup = f"/sys/fs/cgroup{show('ControlGroup')}"
    run("systemctl", "stop", UNIT)
    assert show("Result") == "success" and show("ExecMainStatus") == "0"
    assert not os.path.exists(cgroup), "processes were left behind"
    assert stat.S_ISSOCK(os.stat(MAIN).st_mode), "the socket is systemd's"
    assert once("PING") == "PONG"
    run("systemctl", "stop", "tokencached.socket", UNIT)
    try:
        Client()
    except Refused:
        return
    raise AssertionError("the socket is still there")


def holds_token(text):
    """Whether any piece of a token's verifier that is long enough to be no chance occurs in the bytes."""
    # Any run of 16 bytes of a verifier holds one of its aligned blocks of eight.
    blocks = [bytes.fromhex(token[at : at + 16]) for token in tokens for at in range(32, 128, 16)]
    hexadecimal = {block.hex().encode() for block in blocks}
    # Ten base64 characters lie wholly within a block, at each of the three positions it can take.
    encoded = {
        base64.urlsafe_b64encode(b"\0" * shift + block)[(0, 2, 3)[shift] :][:10] for block in blocks for shift in range(3)
    }
    for found in re.finditer(rb"[0-9a-fA-F]{16,}", text):
        word = found.group().lower()
        if any(word[at : at + 16] in hexadecimal for at in range(len(word) - 15)):
            return True
    for found in re.finditer(rb"[0-9A-Za-z_/+-]{10,}", text):
        word = found.group().replace(b"+", b"-").replace(b"/", b"_")
        if any(word[at : at + 10] in encoded for at in range(len(word) - 9)):
            return True
    return False


def secrets():
    """the journal holds no token"""
    run("journalctl", "--sync")
    text = subprocess.run(["journalctl", "--boot", "--output=export"], stdout=subprocess.PIPE, check=True).stdout
    token = next(iter(tokens))
    for form in (token.encode(), token[32:].upper().encode(), base64.urlsafe_b64encode(bytes.fromhex(token))):
        assert holds_token(b"found: " + form), "the search itself is broken"
    assert len(tokens) > 100 and any(token[:32].encode() in text for token in tokens), "not the journal of this test"
    assert not holds_token(text), "a token is in the journal"
    assert guests and not any(guest.split(".")[2].encode() in text for guest in guests), "a guest's token is"
    print(f"    {len(tokens)} tokens looked for in {len(text)} bytes")


PARTS = [
    installation, activation, roles, sandbox, reload, new_ring, restarts, killed, frozen, wrong_start, instances, credential,
    over_http, stop, secrets,
]


def test():
    begin = time.monotonic()
    for part in PARTS:
        started = time.monotonic()
        try:
            part()
        except BaseException:
            print(f"FAILED {part.__doc__}")
            traceback.print_exc()
            print("--- the journal's last lines:")
            print(run("journalctl", "--no-pager", "--lines=60", "--output=short-precise", status=None))
            return 1
        print(f"ok  {time.monotonic() - started:5.1f} s  {part.__doc__}")
    print(f"the service on systemd {run('systemctl', '--version').split()[1]}: {time.monotonic() - begin:.0f} s")
    return 0


sys.exit(test())
