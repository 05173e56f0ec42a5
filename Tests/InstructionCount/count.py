#!/usr/bin/python3
"""Instructions that the daemon needs for an answer, counted by callgrind: they repeat where times do not.

    count.py --programs .build/release [--programs other/build]

With two programs, say of before and after a change, the ratio is printed, too. The kernel's part is not counted.
"""
import argparse
import pathlib
import re
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parents[1] / "examples/testing"))
import stage as staging  # noqa: E402

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
        return self.pipeline.ask(commands, in_flight)

    def control(self, *words):
        subprocess.run(["callgrind_control", *words, str(self.stage.processes["daemon"].pid)], check=True, capture_output=True)

    def count(self, commands, status, in_flight=1):
        """Instructions for each of the commands, which are all answered so."""
        self.control("--zero")
        statuses = {fields["status"] for fields in self.ask(commands, in_flight)}
        if statuses != {status}:
            raise staging.Failed(f"{commands[0][0]} is answered {statuses}")
        self.control("--dump")
        self.parts += 1
        text = pathlib.Path(f"{self.out}.{self.parts}").read_text(encoding="utf-8")
        return int(re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE)[1]) / len(commands)


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
    for name, found in counts.items():
        ratio = f"   {found[-1] / found[0]:.2f}" if len(found) > 1 else ""
        print(f"{name:30}" + "".join(f"{count:10,.0f}" for count in found) + ratio)


if __name__ == "__main__":
    try:
        main()
    except staging.Failed as failure:
        sys.exit(f"count: {failure}")
