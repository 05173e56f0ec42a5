#!/usr/bin/python3
"""What HTTP costs those who do not use it: memory of 9,800 idle connections (a limit of 20,000 open files has room for no more beside as
many workers), and the CPU of a hit at the workers' socket
while HTTP is under load.

    beside.py --programs .build/release [--rounds 5] [--seconds 2] [--connections 9800]

Of the CPU both kinds of requests take together, as much is expected as each takes by itself; the ratio of the two is the
figure. It does not depend on how the core was shared.
"""
import argparse
import pathlib
import resource
import socket
import statistics
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parents[1] / "examples/testing"))
import bench  # noqa: E402
import stage as staging  # noqa: E402

IDLE_BAR_BYTES = 64 * 2**20 // 10_000
COST_BAR = 1.1


class Daemon:
    def __init__(self, stage, http):
        self.stage, self.http, self.pid = stage, http, stage.processes["daemon"].pid
        self.token = staging.ask_fields(stage.socket, "TOKEN.ISSUE", "SUBJECT", "ann")["sessiontoken"]

    def resident(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))) * 1024

    def counts(self):
        """Commands and HTTP requests since it began."""
        info = staging.ask_figures(self.stage.socket)
        return int(info["total_commands_processed"]), int(info["http_requests"])

    def load(self, seconds, *kinds):
        """Puts load on it: "resp" of hits, "http" of /auth, or both at once.

        Returns CPU in nanoseconds, commands and HTTP requests meanwhile."""
        commands = {
            "resp": self.stage.hits(100, seconds),
            "http": bench.wrk_command(self.http, "/auth", self.token, seconds),
        }
        before, cpu = self.counts(), self.stage.cpu("daemon")
        running = [subprocess.Popen(commands[kind], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for kind in kinds]
        for process in running:
            output = process.communicate(timeout=seconds + 60)[0]
            if process.returncode or bench.has_errors(output):
                raise staging.Failed(f"the load failed: {output}")
        cpu, after = self.stage.cpu("daemon") - cpu, self.counts()
        return cpu, after[0] - before[0], after[1] - before[1]


def idle(daemon, path, count):
    """The resident memory that so many idle connections take, each of which has asked once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + 100:
        raise staging.Failed(f"the limit of open files is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, hard))
    before, connections = daemon.resident(), []
    request = f"GET /auth HTTP/1.1\r\nHost: x\r\nCookie: __Host-tc={daemon.token}\r\n\r\n".encode()
    try:
        for _ in range(count):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(20)
            connection.connect(path)
            connection.sendall(request)
            if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
                raise staging.Failed("a connection was not answered")
            connections.append(connection)
        return daemon.resident() - before
    finally:
        for connection in connections:
            connection.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=9_800)
    options = parser.parse_args()
    with staging.Stage(options.programs) as stage:
        port, path = staging.free_port(), f"{stage.folder}/daemon/http.sock"
        stage.start_redis()
        stage.start_daemon([
            f"limits.max-clients={options.connections + 10}",
            f"http.listen=[{{unix: {path}, serve: [auth]}}, {{tcp: '127.0.0.1:{port}', serve: [auth]}}]",
        ])
        daemon = Daemon(stage, port)
        taken = idle(daemon, path, options.connections)
        missed = taken > IDLE_BAR_BYTES * options.connections
        print(f"{options.connections:,} idle connections over HTTP: {taken / 2**20:.1f} MiB more, {taken // options.connections:,} "
              f"bytes each, bar {IDLE_BAR_BYTES:,}{': MISSED' if missed else ''}", flush=True)
        subprocess.run(["taskset", "-apc", "0", str(daemon.pid)], check=True, capture_output=True)
        ratios, hits, requests = [], [], []
        for _ in range(options.rounds):
            cpu, commands, _ = daemon.load(options.seconds, "resp")
            hit = cpu / commands
            cpu, _, asked = daemon.load(options.seconds, "http")
            request = cpu / asked
            cpu, commands, asked = daemon.load(options.seconds, "resp", "http")
            if not commands or not asked:
                raise staging.Failed("one kind of load found no place beside the other")
            ratios.append(cpu / (commands * hit + asked * request))
            hits.append(hit / 1000)
            requests.append(request / 1000)
        ratio = statistics.median(ratios)
        missed |= ratio > COST_BAR
        print(f"a hit {statistics.median(hits):.2f} µs of CPU, /auth {statistics.median(requests):.2f} µs; both at once take "
              f"{ratio:.2f} ({min(ratios):.2f}–{max(ratios):.2f}) of what they take apart, bar {COST_BAR}"
              f"{': MISSED' if ratio > COST_BAR else ''}")
        sys.exit(1 if missed else 0)


if __name__ == "__main__":
    try:
        main()
    except staging.Failed as failure:
        sys.exit(f"beside: {failure}")
