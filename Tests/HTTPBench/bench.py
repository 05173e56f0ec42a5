#!/usr/bin/python3
"""How fast HTTP is: /healthz and /auth of a session in memory, beside a bare epoll loop that answers with the same bytes and
libevent's evhttp; then nginx with auth_request to each. Rounds are interleaved; the ratio is the median of rounds.

    bench.py --programs .build/release [--rounds 5] [--seconds 2]

Servers have one core, wrk the other. Requests a second on a machine with others on it say little; ratios say more.
"""
import argparse
import pathlib
import re
import statistics
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parents[1] / "examples/testing"))
import stage as staging  # noqa: E402

CONNECTIONS = 32
NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
    scgi_temp_path {folder}/s;
    keepalive_requests 1000000000;
    upstream asked {{ server 127.0.0.1:{asked}; keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ auth_request /_auth; root {folder}/root; }}
        location = /_auth {{
            internal; proxy_pass http://asked/auth; proxy_pass_request_body off; proxy_set_header Content-Length "";
            proxy_set_header Connection ""; proxy_http_version 1.1;
        }}
    }}
}}
"""


def wrk_command(port, path, token, seconds):
    return ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", f"Cookie: __Host-tc={token}",
            f"http://127.0.0.1:{port}{path}"]


def has_errors(output):
    """Whether wrk tells of a refusal, or of a connection that broke."""
    return "Non-2xx" in output or "Socket errors" in output


def wrk(port, path, token, seconds):
    done = subprocess.run(wrk_command(port, path, token, seconds), capture_output=True, text=True, check=True)
    if has_errors(done.stdout):
        raise staging.Failed(f"wrk: {done.stdout}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1])


def pinned(*words):
    return ["taskset", "-c", "0", *words]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    with staging.Stage(options.programs) as stage:
        folder = stage.folder
        for name, more in (("bare", ()), ("evhttp", ("-levent",))):
            subprocess.run(["cc", "-O2", "-o", f"{folder}/{name}", f"{here}/{name}.c", *more], check=True)
        ports = {name: staging.free_port() for name in ("daemon", "bare", "bare-health", "evhttp", "nginx", "nginx-bare", "nginx-evhttp")}
        stage.start_redis()
        stage.start_daemon(["http.hosts=asked", f"http.listen={{tcp: '127.0.0.1:{ports['daemon']}', serve: [auth, health]}}"])
        subprocess.run(["taskset", "-pc", "0", str(stage.processes["daemon"].pid)], check=True, capture_output=True)
        token = staging.ask_fields(stage.socket, "TOKEN.ISSUE", "SUBJECT", "ann")["sessiontoken"]
        for name, path in (("bare", "/auth"), ("bare-health", "/healthz")):
            whole = subprocess.run([
                "curl", "-sS", "-i", "-H", f"Cookie: __Host-tc={token}", f"http://127.0.0.1:{ports['daemon']}{path}",
            ], capture_output=True, check=True).stdout
            pathlib.Path(f"{folder}/{name}.answer").write_bytes(whole)
            stage.start(name, pinned(f"{folder}/bare", str(ports[name]), f"{folder}/{name}.answer"),
                        lambda port=ports[name]: staging.listens(port))
        stage.start("evhttp", pinned(f"{folder}/evhttp", str(ports["evhttp"])), lambda: staging.listens(ports["evhttp"]))
        root = pathlib.Path(folder, "root")
        root.mkdir()
        (root / "index.html").write_text("page\n")
        for name, asked in (("nginx", "daemon"), ("nginx-bare", "bare"), ("nginx-evhttp", "evhttp")):
            path = pathlib.Path(folder, name)
            path.mkdir()
            path.chmod(0o777)
            (path / "root").symlink_to(root)
            (path / "nginx.conf").write_text(NGINX.format(folder=path, port=ports[name], asked=ports[asked]))
            stage.start(name, pinned("nginx", "-c", f"{path}/nginx.conf", "-p", str(path)),
                        lambda port=ports[name]: staging.listens(port))
        pairs = [
            ("/healthz to the bare loop", ("daemon", "/healthz"), ("bare-health", "/healthz"), 0.75),
            ("/auth, a hit, to the bare loop", ("daemon", "/auth"), ("bare", "/auth"), 0.75),
            # The kernel's share is the same for all: not even the bare loop is three times as fast.
            ("/auth, a hit, to evhttp", ("daemon", "/auth"), ("evhttp", "/auth"), 1),
            ("the bare loop to evhttp", ("bare", "/auth"), ("evhttp", "/auth"), 1),
            ("nginx with /auth to nginx with the bare loop", ("nginx", "/"), ("nginx-bare", "/"), 0.9),
            ("nginx with /auth to nginx with evhttp", ("nginx", "/"), ("nginx-evhttp", "/"), 1),
        ]
        print(f"{options.rounds} rounds of {options.seconds} s, {CONNECTIONS} connections: requests a second, median (range)")
        missed = False
        for title, ours, theirs, bar in pairs:
            rates = {ours: [], theirs: []}
            for _ in range(options.rounds):
                for one in (ours, theirs):
                    rates[one].append(wrk(ports[one[0]], one[1], token, options.seconds))
            ratios = sorted(a / b for a, b in zip(rates[ours], rates[theirs]))
            ratio = statistics.median(ratios)
            missed |= ratio < bar
            show = lambda one: f"{statistics.median(rates[one]):,.0f} ({min(rates[one]):,.0f}–{max(rates[one]):,.0f})"
            print(f"{title}: {show(ours)} / {show(theirs)} = {ratio:.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f}), bar {bar}"
                  f"{'' if ratio >= bar else ': MISSED'}", flush=True)
        sys.exit(1 if missed else 0)


if __name__ == "__main__":
    try:
        main()
    except staging.Failed as failure:
        sys.exit(f"bench-http: {failure}")
