#!/usr/bin/python3
"""Whose time a request takes: of a server's CPU what is the kernel's and what its own, and the system calls that it makes, for the daemon and
its peers in each way of asking, while `tokencache-load --compare` measures them.

    shares.py --programs .build/release [--rounds 3]

The processor's clock is sampled 2,500 times a second (perf), and system calls are counted at their tracepoints. As root.
"""
import argparse
import collections
import json
import os
import pathlib
import pty
import re
import statistics
import subprocess
import sys
import tempfile
import time

CALLS = ("recvfrom", "sendto", "read", "write", "epoll_wait", "epoll_ctl", "accept4", "getsockopt", "close")
# Calls that send: one for each answer, unless several are in flight.
SENDS = ("sendto", "write")
# Of a step its beginning is left out: connecting and warming up.
SETTLED = 0.3
# Server, as the comparison calls it → its name in the result, and the pattern of its command line.
SERVERS = {
    "bare epoll loop, the limit": ("limit", "limit[.]sock"),
    "tokencached VALIDATE": ("tokencached", "^[^ ]*tokencached "),
    "redis-server GET": ("redis-get", "^redis-server|/redis-server"),
}
FORMS = {"1 in flight": "one-in-flight", "16 in flight": "sixteen-in-flight", "a connection per request": "connection-per-request"}


class Step:
    """One measurement of one server."""

    def __init__(self, form, server):
        self.form, self.server = form, server
        self.begin = time.clock_gettime(time.CLOCK_MONOTONIC)
        self.end = None
        found = subprocess.run(["pgrep", "-f", SERVERS[server][1]], capture_output=True, text=True, check=False).stdout.split()
        self.processes = {int(word) for word in found}
        events = [word for call in CALLS for word in ("-e", f"syscalls:sys_enter_{call}")]
        self.counter = subprocess.Popen(
            ["perf", "stat", "-x", ",", *events, "-p", ",".join(found), "sleep", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True)

    def finish(self):
        self.end = time.clock_gettime(time.CLOCK_MONOTONIC)

    def calls(self):
        """System calls of each name for each that sends."""
        rows = [line.split(",") for line in self.counter.communicate()[1].splitlines() if "sys_enter_" in line]
        counts = {row[2].removeprefix("syscalls:sys_enter_"): int(row[0]) for row in rows if row[0].isdigit()}
        sent = max(1, sum(counts.get(call, 0) for call in SENDS))
        return {call: count / sent for call, count in counts.items() if count / sent >= 0.005}


def compare(programs, rounds, folder):
    """Runs the comparison: microseconds of CPU for a request, by form and server, and its steps."""
    ours, theirs = pty.openpty()
    words = [f"{programs}/tokencache-load", "--compare", "--json", "--rounds", str(rounds)]
    steps, open_step, text = [], None, ""
    with open(f"{folder}/result", "wb") as result, subprocess.Popen(words, stdout=result, stderr=theirs) as load:
        os.close(theirs)
        while True:
            try:
                text = (text + os.read(ours, 4096).decode(errors="replace"))[-400:]
            except OSError:
                break
            told = re.findall(r"\[\d+/\d+\] ([^\r\x1b]+)", text)
            if not told or told[-1] == open_step:
                continue
            open_step = told[-1]
            if steps and steps[-1].end is None:
                steps[-1].finish()
            begun = re.fullmatch(r"round \d+, (.+?): (.+)", open_step)
            if begun and begun[1] in FORMS and begun[2] in SERVERS:
                steps.append(Step(*begun.groups()))
    if load.returncode:
        sys.exit(f"shares: the comparison ended with {load.returncode}")
    found = json.loads(pathlib.Path(f"{folder}/result").read_text(encoding="utf-8"))["comparison"]
    return {(table["form"], row["contender"]): row["serverMicroseconds"]["median"] for table in found["tables"] for row in table["rows"]}, steps


def samples(data):
    """(time, process, whether it was in the kernel) for each sample."""
    script = subprocess.run(
        ["perf", "script", "-i", data, "-F", "pid,time,ip"], check=True, capture_output=True, text=True).stdout
    for line in script.splitlines():
        words = line.split()
        if len(words) == 3:
            yield float(words[1].rstrip(":")), int(words[0]), int(words[2], 16) >= 1 << 63


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = f"{folder}/samples"
        sampler = subprocess.Popen(["perf", "record", "-q", "-a", "-k", "mono", "-e", "cpu-clock", "-F", "2500", "-o", data])
        cost, steps = compare(options.programs, options.rounds, folder)
        sampler.terminate()
        sampler.wait()
        counts = collections.defaultdict(lambda: [0, 0])
        for when, process, is_kernel in samples(data):
            for step in steps:
                if step.end and step.begin + SETTLED <= when < step.end and process in step.processes:
                    counts[step.form, step.server][is_kernel] += 1
    print(f"{'':28}{'':28}{'its own':>17}{'kernel':>17}   calls for an answer")
    for (form, server), (own, kernel) in counts.items():
        calls = collections.defaultdict(list)
        for step in steps:
            if (step.form, step.server) == (form, server):
                for call, count in step.calls().items():
                    calls[call].append(count)
        told = ", ".join(f"{call} {statistics.median(found):.2f}" for call, found in calls.items())
        whole, share = cost[FORMS[form], SERVERS[server][0]], own / (own + kernel)
        print(f"{form:28}{server:28}{whole * share:7.2f} µs {share:6.0%}{whole * (1 - share):7.2f} µs {1 - share:6.0%}   {told}")


if __name__ == "__main__":
    main()
