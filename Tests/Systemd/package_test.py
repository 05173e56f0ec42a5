"""The Debian package on a real systemd: run by test.service in the container that `run` boots. Exit status 0 if all of it holds.

Installed, first connection, upgraded with its sessions, removed, purged.
"""

import glob
import os
import stat
import subprocess
import sys
import time

from client import Client, Ended, once

SOCKET = "/run/tokencached/tokencached.sock"
SHOP = "/run/tokencached/shop.sock"
UNITS = ("tokencached.service", "tokencached@shop.service")
MOST_PACKED, MOST_DAEMON = 12_000_000, 20_000_000


def run(*words, status=0):
    done = subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    assert done.returncode == status, f"{' '.join(words)}: {done.returncode}\n{done.stdout}"
    return done.stdout


def active(unit):
    return subprocess.run(["systemctl", "is-active", unit], stdout=subprocess.PIPE, text=True).stdout.strip()


def process_of(unit):
    return run("systemctl", "show", "--value", "--property=MainPID", unit).strip()


def fields(*words, path=SOCKET):
    reply = once(*words, path=path)
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2]))


def token_of(reply):
    token = reply.get("sessiontoken", reply.get(b"sessiontoken"))
    return token.decode() if isinstance(token, bytes) else token


def is_valid(token, path=SOCKET):
    status = fields("TOKEN.VALIDATE", token, path=path)
    status = status.get("status", status.get(b"status"))
    return status in ("valid", b"valid")


def main():
    package, = glob.glob("/stage/tokencached_*.deb")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    run("dpkg", "-i", package)
    assert active("tokencached.socket") == "active" and active("tokencached.service") == "inactive"
    assert run("systemctl", "is-enabled", "tokencached.socket").strip() == "enabled"
    state = os.stat(SOCKET)
    assert stat.S_ISSOCK(state.st_mode) and stat.S_IMODE(state.st_mode) == 0o660, oct(state.st_mode)
    packed, daemon = os.path.getsize(package), os.path.getsize("/usr/sbin/tokencached")
    assert packed <= MOST_PACKED and daemon <= MOST_DAEMON, (packed, daemon)
    print(f"the package has {packed / 1e6:.1f} MB, the daemon {daemon / 1e6:.1f}")
    print("installed: the socket listens, the service waits for the first connection")

    token = token_of(fields("TOKEN.ISSUE", "SUBJECT", "ann"))
    assert is_valid(token) and active("tokencached.service") == "active"
    assert run("tokencachectl", "--version").startswith("0.")
    # What a Debian mirror would try.
    run("sh", "/stage/first-session")
    print("first connection: the daemon was started, and a session is made and found")

    # An instance for a site, with a Redis of its own, as the manual says.
    run("addgroup", "--system", "tokencached-shop")
    run("touch", "/etc/tokencached/shop.yaml")
    run("systemctl", "enable", "--now", "tokencached@shop.socket")
    run("systemctl", "enable", "tokencached-http@shop.socket", "tokencached-http.socket")
    other = token_of(fields("TOKEN.ISSUE", "SUBJECT", "ann", path=SHOP))
    before = [process_of(unit) for unit in UNITS]
    run("sed", "-i", "s/^  #idle: 2h/  idle: 3h/", "/etc/tokencached/tokencached.yaml")
    # A connection that is made while the package is unpacked waits for the new daemon.
    upgrade = subprocess.Popen(["dpkg", "-i", package], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    asked = 0
    while upgrade.poll() is None:
        client = Client(SOCKET)
        try:
            client.call("PING")
        except Ended:
            # The old daemon let go of it before it had asked: as with every restart, one asks again.
            continue
        finally:
            client.close()
        asked += 1
        time.sleep(0.05)
    assert upgrade.returncode == 0, upgrade.stdout.read()
    assert asked, "nobody was served meanwhile"
    after = [process_of(unit) for unit in UNITS]
    assert all(new not in ("0", old) for new, old in zip(after, before)), f"a daemon goes on with the old program: {before}, {after}"
    assert is_valid(token) and is_valid(other, SHOP), "a session was lost by the upgrade"
    with open("/etc/tokencached/tokencached.yaml", encoding="utf-8") as file:
        assert "idle: 3h" in file.read(), "the operator's configuration was overwritten"
    print(f"upgraded: another daemon, the same sessions and configuration; {asked} connections meanwhile, none refused")

    run("dpkg", "--remove", "tokencached")
    assert not os.path.exists(SOCKET) and not os.path.exists(SHOP)
    assert not any(active(unit) == "active" for unit in UNITS)
    assert os.path.isdir("/var/lib/tokencached") and os.path.exists("/etc/tokencached/tokencached.yaml")
    run("dpkg", "-i", package)
    assert is_valid(token), "a session was lost by the removal"
    print("removed and installed again: sessions are still there")

    os.mkdir("/var/lib/tokencached-of-the-operator")
    run("dpkg", "--purge", "tokencached")
    os.rmdir("/var/lib/tokencached-of-the-operator")
    for path in ("/var/lib/tokencached", "/var/lib/tokencached-shop", "/etc/tokencached/tokencached.yaml", "/usr/sbin/tokencached", SOCKET):
        assert not os.path.exists(path), f"{path} is still there"
    links = glob.glob("/etc/systemd/system/*/tokencached*")
    assert not links, links
    print("purged: nothing is left")


try:
    main()
except BaseException:
    import traceback
    traceback.print_exc()
    print(subprocess.run(["journalctl", "--no-pager", "--lines=40"], stdout=subprocess.PIPE, text=True).stdout)
    sys.exit(1)
