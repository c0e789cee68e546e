#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""duodm and qemu-xen as device models of Xen domains in the same nested dom0, in turn: ratios.

    tests/bench/xen.py [--runs N] [--only NAME,NAME...]

Names: exits, start. Nested figures say nothing absolute: the ratio counts, and only on a
machine that does nothing else.

A domain's processors share one of the host's here, which Xen lets one of them keep for 1 ms even if
another one is woken: of two, one would wait for that and not for its device model. So the rate limit
is off for both programs. (duodm's default is to watch for a next request before it sleeps: poll-us of
its engine. QEMU has no such thing.)
"""
import argparse
import os
import re
import statistics
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests", "testbed"), os.path.join(ROOT, "tests", "lib")]
sys.dont_write_bytecode = True

from harness.bed import Bed, Lock  # noqa: E402
from harness.files import Program  # noqa: E402
from harness.report import Log  # noqa: E402
from harness.xen import LIMIT, Domain, start_toolstack  # noqa: E402

EXITS = 2000  # XEN_EXITS of tests/guest/exits64.c
SERIAL_PORT = 5556
# What exits64 calls it -> what it is, and how many vCPUs make EXITS exits each.
WHAT = {"one": ("1 vCPU, port", 1), "platform": ("1 vCPU, memory", 1),
        "same": ("2 vCPUs, 1 device", 2), "different": ("2 vCPUs, 2 devices", 2)}
QEMU = "/usr/libexec/xen-qemu-system-i386"


def measure_exits(bed, model):
    """Round trips per second to the device model: one vCPU, two to one device, two to two."""
    serial = f'serial=["tcp:127.0.0.1:{SERIAL_PORT},server=on,wait=off","null"]'
    with Domain(bed, vcpus=2, kernel="/boot/exits64", model=model, serial=serial,
                paused=True) as domain:
        line = bed.agent.spawn("nc", "127.0.0.1", SERIAL_PORT, name="serial")
        bed.run(f"xl unpause {domain.name}")
        result = {}
        name = None
        while name != "different":  # the last
            begin = line.expect(r"begin (\w+)\s", limit=LIMIT)
            name = begin[1]
            end = line.expect(f"end {name}\\s", limit=LIMIT)
            if name in WHAT:
                what, vcpus = WHAT[name]
                result[f"exits/s, {what}"] = vcpus * EXITS / ((end.time - begin.time) / 1e9)
        line.kill()
        return result


def mapped_bytes(bed, pid, model):
    """Of the model's own file and of its libraries, as far as they are mapped: debug information and
    what was not loaded do not count."""
    own = libraries = 0
    for line in bed.run(f"cat /proc/{pid}/maps")[1].splitlines():
        start, end, path = re.match(r"(\w+)-(\w+) \S+ \S+ \S+ \d+\s*(.*)", line).groups()
        size = int(end, 16) - int(start, 16)
        if path == model:
            own += size
        elif path.startswith(("/lib", "/usr/lib")):
            libraries += size
    return own, libraries


def measure_start(bed, model):
    """xl create to SeaBIOS's last line, without a disk; and what the device model has in memory then,
    of its own (not shared with files) and all."""
    began = time.monotonic()
    with Domain(bed, model=model) as domain:
        bed.console.expect(domain.says("No bootable device"), limit=LIMIT)
        took = time.monotonic() - began
        pid = domain.model_pid()
        rollup = bed.run(f"cat /proc/{pid}/smaps_rollup")[1]
        figure = {name: int(re.search(rf"^{name}:\s+(\d+) kB", rollup, re.M)[1])
                  for name in ("Rss", "Anonymous")}
        own, libraries = mapped_bytes(bed, pid, model)
        return {"xl create to SeaBIOS's end, s": took, "resident, MB": figure["Rss"] / 1024,
                "of it anonymous, MB": figure["Anonymous"] / 1024, "program, MB": own / 2**20,
                "libraries, MB": libraries / 2**20}


MEASURES = {"exits": measure_exits, "start": measure_start}
# Ratio duodm/QEMU that is aimed at; for times and sizes at most, for rates at least.
AIMS = {"exits/s": ">= 1.2", "xl create": "<= 1.0", "resident": "<= 0.35"}


def run_measure(bed, name, models, runs):
    figures = {model: {} for model in models}
    for _ in range(runs):
        for model in models:
            for what, value in MEASURES[name](bed, model).items():
                figures[model].setdefault(what, []).append(value)
    ours, theirs = models
    for what in figures[ours]:
        if what not in figures[theirs]:
            print(f"{what:32}  qemu has none", flush=True)
            continue
        a, b = (statistics.median(figures[model][what]) for model in models)
        aim = next((f" (aim {aim})" for start, aim in AIMS.items() if what.startswith(start)), "")
        print(f"{what:32}  duodm {a:10.1f}  qemu {b:10.1f}  ratio {a / b:.2f}{aim}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default=",".join(MEASURES))
    options = parser.parse_args()
    names = options.only.split(",")
    if set(names) - set(MEASURES):
        parser.error(f"there are {', '.join(MEASURES)}")
    program = Program("duodm")
    lock = Lock()
    log = Log("bench-xen")
    options.repeat = 0
    with Bed("xen", program, [program], log, options) as bed:
        start_toolstack(bed)
        bed.run("xl sched-credit2 -s -r 0")
        for name in names:
            run_measure(bed, name, [program.path, QEMU], options.runs)
    lock.file.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
