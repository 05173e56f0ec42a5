#!/usr/bin/python3
"""What a hit costs before a cluster of three masters, beside a hit before one Redis: CPU of the daemon, rounds by turns.

    hits.py --programs .build/release [--rounds 7] [--seconds 2]
"""
import argparse
import contextlib
import pathlib
import statistics
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parents[1] / "examples/testing"))
import stage as staging  # noqa: E402

MASTERS = 3
SESSIONS = 300
BAR = 1.03


def start_cluster(stage):
    """Masters without replicas: nothing fails here. Returns the address to give to a daemon."""
    ports = [staging.free_port() for _ in range(MASTERS)]
    for port in ports:
        folder = pathlib.Path(stage.folder, f"master-{port}")
        folder.mkdir()
        stage.start(f"master-{port}", [
            "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", "--appendonly", "no",
            "--cluster-enabled", "yes", "--cluster-port", str(staging.free_port()), "--maxmemory-policy", "noeviction",
        ], lambda port=port: staging.listens(port))
    addresses = [f"127.0.0.1:{port}" for port in ports]
    subprocess.run(["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"], check=True, capture_output=True)
    return f"cluster://{','.join(addresses)}"


def hit(stage, name, seconds):
    """Nanoseconds on a core for each command of a load of hits."""
    def figures():
        info = staging.ask_figures(stage.socket_of(name))
        return int(info["total_commands_processed"]), int(info["keyspace_hits"])

    (commands, hits), used = figures(), stage.cpu(name)
    done = subprocess.run(stage.hits(SESSIONS, seconds, name), capture_output=True, text=True)
    if done.returncode:
        raise staging.Failed(f"the load failed: {done.stdout}{done.stderr}")
    used, (commands_then, hits_then) = stage.cpu(name) - used, figures()
    asked = commands_then - commands
    # Sessions that are made for the load, and looked for once, are no hits.
    if hits_then - hits < asked - 10 * SESSIONS:
        raise staging.Failed(f"{hits_then - hits} hits of {asked} commands")
    return used / asked


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    costs = {"one": [], "three": []}
    with staging.Stage(options.programs) as stage:
        stage.start_redis()
        stage.start_daemon(name="one")
        address = start_cluster(stage)
        # The nodes agree on the slots a little later than the command says.
        staging.until(lambda: b"cluster_state:ok" in subprocess.run([
            "redis-cli", "-p", address.rsplit(":", 1)[1], "CLUSTER", "INFO"], capture_output=True, check=True).stdout, 20, "a cluster")
        stage.start_daemon(name="three", redis=address)
        for name in costs:
            subprocess.run(["taskset", "-apc", "0", str(stage.processes[name].pid)], check=True, capture_output=True)
        for _ in range(options.rounds):
            for name, values in costs.items():
                values.append(hit(stage, name, options.seconds))
    ratios = sorted(three / one for one, three in zip(costs["one"], costs["three"]))
    ratio = statistics.median(ratios)
    one, three = (statistics.median(costs[name]) / 1000 for name in ("one", "three"))
    print(f"a hit before one Redis {one:.2f} µs of CPU, before a cluster of {MASTERS} masters {three:.2f} µs: {ratio:.2f} "
          f"({ratios[0]:.2f}–{ratios[-1]:.2f}), bar {BAR}{'' if ratio <= BAR else ': MISSED'}")
    sys.exit(0 if ratio <= BAR else 1)


if __name__ == "__main__":
    try:
        main()
    except staging.Failed as failure:
        sys.exit(f"bench-topologies: {failure}")
