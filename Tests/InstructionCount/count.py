#!/usr/bin/python3
"""What an answer costs that repeats where times do not: the daemon's instructions and its allocations, counted by callgrind, and the
bytes that it sends to Redis and gets from there.

    count.py --programs .build/release [--programs other/build]

With two programs, say of before and after a change, the ratio of the instructions is printed, too. The kernel's part is not counted.
"""
import argparse
import pathlib
import re
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parents[1] / "examples/testing"))
import stage as staging  # noqa: E402

# What asks the system's allocator for memory.
ALLOCATORS = {"malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"}
# Answers that are counted in each case.
COUNT = 3000
IN_FLIGHT = 16


class Counted:
    """One connection to a daemon under callgrind."""

    def __init__(self, stage):
        self.stage = stage
        self.out = f"{stage.folder}/callgrind.out"
        stage.start_redis()
        # All takes many times as long.
        stage.start_daemon(
            ["redis.timeout=10s", "rotation.after=400d", "session.touch-interval=1d"],
            under=("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={self.out}"))
        self.parts = 0
        self.pipeline = staging.Pipeline(stage.socket)
        staging.until(lambda: staging.ask_figures(stage.socket).get("near_cache_armed") == "1", 60, "the near cache is armed")

    def ask(self, commands, in_flight=1):
        """In flight 0: each over a connection of its own."""
        if in_flight:
            return self.pipeline.ask(commands, in_flight)
        return [fields for command in commands for fields in staging.Pipeline(self.stage.socket).ask([command], 1)]

    def control(self, *words):
        subprocess.run(["callgrind_control", *words, str(self.stage.processes["daemon"].pid)], check=True, capture_output=True)

    def count(self, commands, status, in_flight=1):
        """Instructions, allocations, and bytes to and from Redis for each of the commands, which are all answered so."""
        idle = self.bytes_at_redis(self.bytes_at_redis((0, 0)))
        self.control("--zero")
        before = self.bytes_at_redis((0, 0))
        statuses = {fields["status"] for fields in self.ask(commands, in_flight)}
        if statuses != {status}:
            raise staging.Failed(f"{commands[0][0]} is answered {statuses}")
        moved = [after - own for after, own in zip(self.bytes_at_redis(before), idle)]
        self.control("--dump")
        self.parts += 1
        text = pathlib.Path(f"{self.out}.{self.parts}").read_text(encoding="utf-8")
        instructions = int(re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE)[1])
        return [value / len(commands) for value in (instructions, allocations(text), *moved)]

    def bytes_at_redis(self, before):
        """Bytes that Redis got and sent since; the question for them is among the next."""
        figures = staging.ask_figures(self.stage.redis_socket, "stats")
        return [int(figures[f"total_net_{way}_bytes"]) - past for way, past in zip(("input", "output"), before)]


def allocations(profile):
    """Calls of the allocator in one dump, whose names stand in full where they come first."""
    names, callee, found = {}, None, 0
    for line in profile.splitlines():
        named = re.match(r"c?fn=\((\d+)\)(?: (.*))?", line)
        if named:
            if named[2]:
                names[named[1]] = named[2]
            if line.startswith("c"):
                callee = names.get(named[1])
        elif line.startswith("calls=") and callee in ALLOCATORS:
            found += int(line[len("calls="):].split()[0])
    return found


def cases(counted):
    """What is counted, by name."""
    tokens = [fields["sessiontoken"] for fields in counted.ask([("TOKEN.ISSUE", "SUBJECT", "ann")] + [("TOKEN.ISSUE",)] * (COUNT + 300))]
    hit, cold = tokens[0], tokens[301:]
    hits = [("TOKEN.VALIDATE", hit)] * COUNT
    counted.control("--instr=on")
    # What is done once for all is done by then.
    counted.ask([("TOKEN.VALIDATE", token) for token in tokens[:301]] + hits[:300])
    yield "VALIDATE, a hit", counted.count(hits, "valid")
    yield f"VALIDATE, a hit, {IN_FLIGHT} in flight", counted.count(hits, "valid", IN_FLIGHT)
    yield "VALIDATE, a hit, a connection each", counted.count(hits, "valid", 0)
    yield "VISIT, a hit", counted.count([("TOKEN.VISIT", hit)] * COUNT, "valid")
    yield "VALIDATE, a miss", counted.count([("TOKEN.VALIDATE", token) for token in cold], "valid")
    yield "VISIT of nobody", counted.count([("TOKEN.VISIT", "")] * COUNT, "none")
    yield "ISSUE", counted.count([("TOKEN.ISSUE",)] * COUNT, "issued")
    yield "LOGIN of nobody's", counted.count([("TOKEN.LOGIN", "", f"s{number}") for number in range(COUNT)], "issued")
    yield "ROTATE", counted.count([("TOKEN.ROTATE", token) for token in cold], "rotated")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", action="append", required=True)
    options = parser.parse_args()
    counts = {}
    for programs in options.programs:
        with staging.Stage(programs) as stage:
            for name, count in cases(Counted(stage)):
                counts.setdefault(name, []).append(count)
    print(f"{'':38}" + f"{'instructions':>14}{'allocations':>13}{'to Redis':>10}{'from it':>9}" * len(options.programs))
    for name, found in counts.items():
        ratio = f"   {found[-1][0] / found[0][0]:.2f}" if len(found) > 1 else ""
        print(f"{name:38}" + "".join(
            f"{instructions:14,.0f}{allocated:13,.1f}{sent:8,.0f} B{got:7,.0f} B" for instructions, allocated, sent, got in found) + ratio)


if __name__ == "__main__":
    try:
        main()
    except staging.Failed as failure:
        sys.exit(f"count: {failure}")
