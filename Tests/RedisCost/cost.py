#!/usr/bin/python3
"""What Redis spends on each change: microseconds of its time and calls of scripts, by INFO commandstats; 64 commands
are under way at once over one connection, rounds by turns.

    cost.py --programs .build/release [--programs other/build] [--rounds 7] [--count 2000]

With two programs, say of before and after a change, they are measured by turns, and the ratio is the median of rounds.
"""
import argparse
import pathlib
import socket
import statistics
import sys

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parents[1] / "examples/testing"))
import stage as staging  # noqa: E402

# Commands that are under way at once.
BATCH = 64


class Daemon:
    """One connection to a daemon of its own, on a Redis of its own."""

    def __init__(self, stage):
        self.stage = stage
        stage.start_redis()
        # Nothing else is to write meanwhile.
        stage.start_daemon(["rotation.after=400d", "session.touch-interval=1d"])
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(stage.socket)
        self.replies = self.connection.makefile("rb")

    def ask(self, commands):
        """Their replies: so many at once that Redis is never idle, and not so many that either side's buffers fill."""
        replies = []
        for start in range(0, len(commands), BATCH):
            batch = commands[start:start + BATCH]
            self.connection.sendall(b"".join(map(staging.command, batch)))
            replies += [staging.read_reply(self.replies) for _ in batch]
        return [dict(zip(reply[::2], reply[1::2])) for reply in replies]

    def issue(self, count):
        return [fields["sessiontoken"] for fields in self.ask([("TOKEN.ISSUE", "SUBJECT", f"s{number}") for number in range(count)])]

    def scripts(self):
        """Calls of scripts, and the microseconds of them."""
        for line in staging.ask(self.stage.redis_socket, "INFO", "commandstats").splitlines():
            if line.startswith("cmdstat_evalsha:"):
                facts = dict(fact.split("=") for fact in line.split(":")[1].split(","))
                return int(facts["calls"]), int(facts["usec"])
        return 0, 0

    def cost(self, command, count):
        """Microseconds a change, and scripts a change."""
        commands = [command(token) for token in self.issue(count)]
        staging.ask(self.stage.redis_socket, "CONFIG", "RESETSTAT")
        statuses = {fields["status"] for fields in self.ask(commands)}
        calls, microseconds = self.scripts()
        if len(statuses) != 1 or calls < count:
            raise staging.Failed(f"{commands[0][0]}: not all were changes: {statuses}, {calls} scripts")
        return microseconds / count, calls / count


# The command about a session that is there.
KINDS = {
    "issue": lambda token: ("TOKEN.ISSUE",),
    "issue with a subject": lambda token: ("TOKEN.ISSUE", "SUBJECT", f"new-{token[:8]}"),
    "login of a session": lambda token: ("TOKEN.LOGIN", token, f"ann-{token[:8]}"),
    "rotate": lambda token: ("TOKEN.ROTATE", token),
    "set data": lambda token: ("TOKEN.SET", token, "DATA", "cart", "apples"),
    "revoke": lambda token: ("TOKEN.REVOKE", token),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", action="append", required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=2000)
    options = parser.parse_args()
    costs = {(kind, place): [] for kind in KINDS for place in range(len(options.programs))}
    for _ in range(options.rounds):
        for place, programs in enumerate(options.programs):
            with staging.Stage(programs) as stage:
                daemon = Daemon(stage)
                for kind in KINDS:
                    costs[kind, place].append(daemon.cost(KINDS[kind], options.count))
    for kind in KINDS:
        for place, programs in enumerate(options.programs):
            times = [time for time, _ in costs[kind, place]]
            calls = statistics.median(calls for _, calls in costs[kind, place])
            each = statistics.median(times) / calls if calls else 0
            ratio = ""
            if place:
                ratios = [time / first for (time, _), (first, _) in zip(costs[kind, place], costs[kind, 0])]
                ratio = f", {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) of the first"
            print(f"{kind:21} {statistics.median(times):5.1f} µs ({min(times):.1f}–{max(times):.1f}) in {calls:.2f} scripts, "
                  f"{each:.1f} µs each{ratio}")


if __name__ == "__main__":
    try:
        main()
    except staging.Failed as failure:
        sys.exit(f"cost: {failure}")
