#!/usr/bin/python3
"""What Redis spends on each change: microseconds in scripts and calls of them, by INFO commandstats, and all of its CPU, which
has reading and answering the commands in it; 64 commands are under way at once over one connection, rounds by turns.

    cost.py --programs .build/release [--programs other/build] [--rounds 7] [--count 2000]

A change of a session alone is held to 12 µs (P4). With two programs, say of before and after a change, they are measured
by turns, and the ratio is the median of rounds.
"""
import argparse
import pathlib
import statistics
import sys
import time

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parents[1] / "examples/testing"))
import stage as staging  # noqa: E402

# Commands that are under way at once.
BATCH = 64
# Seconds after which an access is recorded again: all but a touch is done by then.
TOUCH_INTERVAL = 5
# Microseconds that a change of a session may take, alone.
BAR = 12


class Daemon:
    """One connection to a daemon of its own, on a Redis of its own."""

    def __init__(self, stage):
        self.stage = stage
        stage.start_redis()
        # Nothing else is to write meanwhile.
        stage.start_daemon(["rotation.after=400d", f"session.touch-interval={TOUCH_INTERVAL}s"])
        self.pipeline = staging.Pipeline(stage.socket)

    def ask(self, commands):
        """Their replies: so many at once that Redis is never idle, and not so many that either side's buffers fill."""
        return self.pipeline.ask(commands, BATCH)

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
        """Microseconds in scripts a change, scripts a change, and microseconds of CPU a change."""
        commands = [command(token) for token in self.issue(count)]
        if commands[0][0] == "TOKEN.VALIDATE":
            time.sleep(TOUCH_INTERVAL + 0.1)
        staging.ask(self.stage.redis_socket, "CONFIG", "RESETSTAT")
        before = self.stage.cpu("redis")
        statuses = {fields["status"] for fields in self.ask(commands)}
        # A touch is sent after the answer.
        staging.until(lambda: self.scripts()[0] >= count, 10, f"{commands[0][0]}: not all were changes")
        cpu = (self.stage.cpu("redis") - before) / 1000
        calls, microseconds = self.scripts()
        if len(statuses) != 1:
            raise staging.Failed(f"{commands[0][0]}: not all were changes: {statuses}")
        return microseconds / count, calls / count, cpu / count


# The command about a session that is there.
KINDS = {
    "issue": lambda token: ("TOKEN.ISSUE",),
    "issue with a subject": lambda token: ("TOKEN.ISSUE", "SUBJECT", f"new-{token[:8]}"),
    "login of a session": lambda token: ("TOKEN.LOGIN", token, f"ann-{token[:8]}"),
    "rotate": lambda token: ("TOKEN.ROTATE", token),
    "set data": lambda token: ("TOKEN.SET", token, "DATA", "cart", "apples"),
    "touch": lambda token: ("TOKEN.VALIDATE", token),
    "revoke": lambda token: ("TOKEN.REVOKE", token),
}


# Changes of a session alone.
ALONE = ("issue", "rotate", "set data", "touch", "revoke")


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
            times = [time for time, _, _ in costs[kind, place]]
            calls = statistics.median(calls for _, calls, _ in costs[kind, place])
            cpu = statistics.median(cpu for _, _, cpu in costs[kind, place])
            each = statistics.median(times) / calls if calls else 0
            held = f", wanted ≤ {BAR}: {'reached' if each <= BAR else 'not reached'}" if kind in ALONE else ""
            ratio = ""
            if place:
                ratios = [[own[part] / first[part] for own, first in zip(costs[kind, place], costs[kind, 0])] for part in (0, 2)]
                ratio = ", of the first " + ", CPU ".join(
                    f"{statistics.median(part):.2f} ({min(part):.2f}–{max(part):.2f})" for part in ratios)
            print(f"{kind:21} {statistics.median(times):5.1f} µs ({min(times):.1f}–{max(times):.1f}) in {calls:.2f} scripts, "
                  f"{each:.1f} µs each{held}; CPU {cpu:.1f} µs{ratio}")


if __name__ == "__main__":
    try:
        main()
    except staging.Failed as failure:
        sys.exit(f"cost: {failure}")
