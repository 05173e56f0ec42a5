#!/usr/bin/python3
"""The image in containers: what is in it, a daemon's life, the services of compose.yml with a login by HTTP, and the sidecar of
packaging/kubernetes.yaml with the files as Kubernetes mounts them. Called by `run` in a network and mounts of its own.

    test.py --programs .build/release --tools FOLDER
"""
import argparse
import contextlib
import http.cookiejar
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

import yaml

root = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(root / "examples/testing"))
import stage as staging  # noqa: E402

IMAGE = "tokencached:0.1.0"
MAX_BYTES = 80_000_000
DAEMON = 10001  # the user and the group of the image


def require(condition, what, seen=None):
    if not condition:
        raise staging.Failed(f"{what}: {seen!r}")


def podman(*words, expect=0):
    """What it says on both outputs, where it ends with the status that is expected."""
    done = subprocess.run(["podman", *words], capture_output=True, text=True, timeout=120)
    said = done.stdout + done.stderr
    require(expect is None or done.returncode == expect, f"podman {' '.join(words)}", (done.returncode, said))
    return said


def is_healthy(name):
    return subprocess.run(["podman", "healthcheck", "run", name], capture_output=True, timeout=60).returncode == 0


def stop(stage, name):
    """SIGTERM, which podman hands on: the status is the program's."""
    process = stage.processes.pop(name)
    process.send_signal(signal.SIGTERM)
    require(process.wait(30) == 0, f"{name} ends with 0 at SIGTERM", process.returncode)


def start_redis(stage, *options):
    """On its usual port, which is this test's alone."""
    stage.start("redis", ["redis-server", "--dir", f"{stage.folder}/redis", *options], lambda: staging.listens(6379))


def folder(path, owner=0, group=0, mode=0o755):
    os.makedirs(path)
    os.chown(path, owner, group)
    os.chmod(path, mode)
    return path


@contextlib.contextmanager
def process_of(user, group):
    """Within it this process is another user's: the kernel tells the daemon so."""
    before = os.getgroups()
    os.setgroups([group])
    os.setegid(group)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


def content(programs):
    """What the image says of itself, what it has, and what it has not."""
    facts = json.loads(podman("image", "inspect", IMAGE))[0]
    settings = facts["Config"]
    require(facts["Size"] <= MAX_BYTES, "the image is small", facts["Size"])
    require(settings["User"] == f"{DAEMON}:{DAEMON}", "a user by number", settings["User"])
    require(list(settings["Volumes"]) == ["/var/lib/tokencached"], "volumes", settings["Volumes"])
    check = facts["Healthcheck"]["Test"]
    require(check == ["CMD", "tokencachectl", "ping"], "a health check", check)
    version = subprocess.run([f"{programs}/tokencached", "--version"], capture_output=True, text=True).stdout.split()[1]
    labels = {key.rpartition(".")[2]: value for key, value in settings["Labels"].items() if "opencontainers" in key}
    require(labels["version"] == version and IMAGE.endswith(version), "the version of the programs", labels)
    require(labels["licenses"] == "Apache-2.0" and re.fullmatch("[0-9a-f]{40}", labels["revision"]), "labels", labels)
    require("redis.url" in podman("run", "--rm", IMAGE, expect=69), "without redis.url it says that it is needed")
    for program in ("redis-server", "sh"):
        require("not found" in podman("run", "--rm", "--entrypoint", program, IMAGE, expect=127), f"no {program}")
    tree = pathlib.Path(podman("image", "mount", IMAGE).split()[-1])
    closed = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_dir() and path.lstat().st_mode & 0o5 != 0o5}
    require(closed == {"var/lib/tokencached"}, "every folder is open to its user, and the state to nobody else", closed)
    require((tree / "etc/ssl/certs/ca-certificates.crt").stat().st_size > 100_000, "certificates of authorities")
    return facts["Size"]


def life():
    """A daemon in a container, with nothing that it can change but the two folders; workers outside."""
    with staging.Stage(None) as stage:
        start_redis(stage)
        sockets, state = (folder(f"{stage.folder}/{name}", DAEMON, DAEMON) for name in ("sockets", "keys"))
        path = f"{sockets}/tokencached.sock"
        volumes = ["--volume", f"{sockets}:/run/tokencached", "--volume", f"{state}:/var/lib/tokencached"]
        hardened = ["--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"]
        stage.start("daemon", [
            "podman", "run", "--rm", "--name=daemon", *hardened, *volumes, IMAGE, "--redis", "redis://127.0.0.1:6379",
        ], lambda: staging.answers(path))
        token = staging.ask_fields(path, "TOKEN.ISSUE", "SUBJECT", "ann")["sessiontoken"]
        seen = staging.ask_fields(path, "TOKEN.VALIDATE", token)
        require(seen["status"] == "valid" and seen["subject"] == "ann", "a session", seen)
        user = pathlib.Path(path).stat().st_uid
        require(user == DAEMON, "the daemon's user", user)
        require(is_healthy("daemon"), "it is healthy")
        require("maxmemory" in podman("exec", "daemon", "tokencachectl", "doctor", expect=None), "tokencachectl is at hand")
        podman("kill", "--signal=STOP", "daemon")
        require(not is_healthy("daemon"), "one that hangs is not healthy")
        podman("kill", "--signal=CONT", "daemon")
        staging.until(lambda: is_healthy("daemon"), 10, "it is healthy again")
        stop(stage, "daemon")
        require(not os.path.exists(path), "the socket is gone with it")
        podman("run", "--rm", *volumes, "--entrypoint=tokencachectl", IMAGE, "ping", expect=3)


class Browser:
    def __init__(self, address):
        self.address = address
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def go(self, path, **form):
        """The status, and the page."""
        data = urllib.parse.urlencode(form).encode() if form else None
        request = urllib.request.Request(self.address + path, data, {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"})
        try:
            with self.opener.open(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def who(self):
        status, page = self.go("/")
        require(status == 200, "a page", (status, page))
        self.csrf = re.search('name="csrf" value="([^"]*)"', page)[1]
        return re.search("<b>(.*)</b>", page)[1]


OPTIONS = {"volumes": "volume", "group_add": "group-add", "cap_drop": "cap-drop", "security_opt": "security-opt"}
# The network is this test's, the base of a build is handed in, and order is kept here.
ELSEWHERE = {"image", "build", "network_mode", "depends_on", "healthcheck", "restart"}


def words_of(service, image):
    """A service of compose.yml as arguments for podman. A key that is not known here is an error, not left out."""
    words = []
    for key, value in service.items():
        if key == "environment":
            words += [f"--env={name}={setting}" for name, setting in value.items()]
        elif key in OPTIONS:
            words += [f"--{OPTIONS[key]}={in_clone(entry)}" for entry in value]
        elif key == "read_only":
            words += [f"--read-only={str(value).lower()}"]
        elif key == "entrypoint":
            words += [f"--entrypoint={json.dumps(value)}"]
        else:
            require(key in ELSEWHERE, "a key of compose.yml", key)
    return [*words, image]


def in_clone(entry):
    """A volume with the path of this clone. What is mounted from it must be there: an engine would make a folder instead."""
    if not entry.startswith("./"):
        return entry
    require((root / entry.split(":")[0]).exists(), "what compose.yml mounts is there", entry)
    return f"{root}/{entry[2:]}"


def compose():
    """Its services as they are there: PHP and the daemon in containers, Redis and nginx from this host with the same command and file.
    Volumes are named ones, which take owner and mode from the image."""
    subprocess.run(["docker-compose", "--file", root / "compose.yml", "config", "--quiet"], check=True)
    services = yaml.safe_load((root / "compose.yml").read_text())["services"]
    require(services["tokencached"]["image"] == services["keyring"]["image"] == IMAGE, "the image", services)
    with staging.Stage(None) as stage:
        start_redis(stage, *services["redis"]["command"].split()[1:])
        made, again = (
            re.search("fingerprint  (.*)", podman("run", "--rm", *words_of(services["keyring"], IMAGE)))[1] for _ in range(2))
        require(made == again, "a key ring is made once", (made, again))

        def start_daemon():
            stage.start("tokencached", ["podman", "run", "--rm", "--name=tokencached", *words_of(services["tokencached"], IMAGE)],
                        lambda: is_healthy("tokencached"))
        start_daemon()
        stage.start("php", ["podman", "run", "--rm", "--name=php", *words_of(services["php"], "tokencached-php")],
                    lambda: staging.listens(9000))
        file, inside = in_clone(services["nginx"]["volumes"][0]).split(":")[:2]
        require(inside == "/etc/nginx/nginx.conf", "the file of nginx", inside)
        subprocess.run(["nginx", "-q", "-t", "-c", file], check=True)
        host, port, _ = services["nginx"]["ports"][0].split(":")
        stage.start("nginx", ["nginx", "-c", file, "-g", "daemon off;"], lambda: staging.listens(int(port)))

        browser = Browser(f"http://{host}:{port}")
        require(browser.who() == "guest", "a first visit")
        cookie = next(iter(browser.jar))
        require(cookie.name == "tc" and not cookie.secure, "a cookie for http://localhost", cookie)
        status, page = browser.go("/login", csrf="forged", name="ann", password="apple")
        require("<b>guest</b>" in page, "a forged form", page)
        browser.go("/login", csrf=browser.csrf, name="ann", password="apple")
        require(browser.who() == "ann", "a login")
        stop(stage, "tokencached")
        status, page = browser.go("/")
        require(status == 503, "nobody knows", (status, page))
        start_daemon()
        require(browser.who() == "ann", "still logged in")
        stage.stop("redis")
        require(browser.who() == "ann", "known while Redis is away")
        start_redis(stage, *services["redis"]["command"].split()[1:])
        staging.until(lambda: "upstream_state:ready" in podman("exec", "tokencached", "tokencachectl", "info"), 10, "Redis is back")
        require(browser.who() == "ann", "known to the Redis that came back")
        browser.go("/logout", csrf=browser.csrf)
        require(browser.who() == "guest", "a logout")


def mounted(path, files, group, mode):
    """Files as Kubernetes mounts those of a Secret or ConfigMap: links over ..data to a folder that is replaced as a whole."""
    if not os.path.exists(path):
        folder(path, 0, group)
    version = folder(f"{path}/..{len(os.listdir(path))}", 0, group)
    for name, text in files.items():
        pathlib.Path(version, name).write_text(text)
        os.chown(f"{version}/{name}", 0, group)
        os.chmod(f"{version}/{name}", mode)
        if not os.path.lexists(f"{path}/{name}"):
            os.symlink(f"..data/{name}", f"{path}/{name}")
    os.symlink(os.path.basename(version), f"{path}/..new")
    os.rename(f"{path}/..new", f"{path}/..data")


def kubernetes(programs, tools):
    """The manifest by its schema, and its sidecar: a pod's volumes, users and groups, its probe, a worker beside it."""
    manifest = root / "packaging/kubernetes.yaml"
    for version in ("1.29", "1.37"):
        subprocess.run([f"{tools}/kubernetes-validate", "--quiet", "--strict", "-k", version, manifest], check=True)
    settings, deployment = yaml.safe_load_all(manifest.read_text())
    pod = deployment["spec"]["template"]["spec"]
    sidecar, site = pod["initContainers"][0], pod["containers"][0]
    group, rights = pod["securityContext"]["fsGroup"], sidecar["securityContext"]
    require(sidecar["image"] == IMAGE and site["volumeMounts"][0]["subPath"] == "tokencached", "the image and its socket", sidecar)
    with staging.Stage(programs) as stage:
        start_redis(stage, "--requirepass", "secret")
        # As the kubelet makes an emptyDir and a Secret in a pod with an fsGroup.
        folder(f"{stage.folder}/run", 0, group, 0o2777)
        mounted(f"{stage.folder}/config", settings["data"], 0, 0o644)

        def give_ring():
            ring = f"{stage.folder}/ring.json"
            pathlib.Path(ring).unlink(missing_ok=True)
            subprocess.run([f"{programs}/tokencachectl", "keyring", "init", ring], check=True, capture_output=True)
            secret = {"keyring.json": pathlib.Path(ring).read_text(), "redis-password": "secret\n"}
            mode = next(volume["secret"] for volume in pod["volumes"] if "secret" in volume)["defaultMode"]
            mounted(f"{stage.folder}/secrets", secret, group, mode)
        give_ring()
        mounts = [f"--volume={stage.folder}/{mount['name']}:{mount['mountPath']}{':ro' if mount.get('readOnly') else ''}"
                  for mount in sidecar["volumeMounts"]]
        path = f"{stage.folder}/run/tokencached/tokencached.sock"
        probe = sidecar["livenessProbe"]["httpGet"]
        require(probe == sidecar["startupProbe"]["httpGet"] and probe["port"] == sidecar["ports"][0]["name"], "probes", probe)
        address = f"http://127.0.0.1:{sidecar['ports'][0]['containerPort']}"
        stage.start("sidecar", [
            "podman", "run", "--rm", "--name=sidecar", f"--user={rights['runAsUser']}:{rights['runAsGroup']}", f"--group-add={group}",
            f"--read-only={str(rights['readOnlyRootFilesystem']).lower()}", "--cap-drop=all", "--security-opt=no-new-privileges",
            *mounts, IMAGE, *sidecar["args"],
        ], lambda: staging.listens(sidecar["ports"][0]["containerPort"]))

        def get(page):
            with urllib.request.urlopen(address + page, timeout=5) as answer:
                return answer.status
        require(get(probe["path"]) == 200 and get("/metrics") == 200, "the probe and metrics")
        staging.until(lambda: staging.ask_fields(path, "TOKEN.ISSUE", "SUBJECT", "ann")["status"] == "issued", 5, "Redis is there")
        with process_of(site["securityContext"]["runAsUser"], group):
            guest = staging.ask_fields(path, "GUEST.ISSUE")
        require(guest["status"] == "issued", "a worker in the pod's group, and a key ring that a link leads to", guest)
        with process_of(site["securityContext"]["runAsUser"], site["securityContext"]["runAsGroup"]):
            require(not staging.answers(path), "the socket is for the pod's group alone")

        def fingerprint():
            return re.search("keyring_fingerprint:(.*)", staging.ask(path, "INFO", "tokens"))[1]
        before = fingerprint()
        give_ring()
        podman("exec", "sidecar", "tokencachectl", "reload")
        require(before != fingerprint(), "a new Secret, and a reload", before)
        stop(stage, "sidecar")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--tools", required=True, help="where kubernetes-validate is")
    options = parser.parse_args()
    # What a run that was killed has left in this test's storage.
    podman("rm", "--all", "--force")
    podman("volume", "prune", "--force")
    size = content(options.programs)
    print(f"the image: {size / 1e6:.1f} MB, {MAX_BYTES / 1e6:.0f} are allowed")
    life()
    print("a daemon's life in it: healthy, hanging, ended with 0")
    compose()
    print("compose.yml: a login by nginx and PHP, kept over a restart of the daemon")
    kubernetes(options.programs, options.tools)
    print("the sidecar: as its manifest says, with secrets behind links")


if __name__ == "__main__":
    try:
        main()
    except staging.Failed as failure:
        sys.exit(f"image: {failure}")
