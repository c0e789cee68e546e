#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The translator's bench: duodm and qemu-system-x86_64 -accel tcg, the same guest, in turn.

    tests/bench/translator.py [--runs N] [--only NAME,...] [--scale X] [--smp] [--no-peer] [-- OPTIONS]

Both guests (the cloud kernel, and tests/bench/programs as its only process) are started, and wait
for commands on the serial line; an idle one costs nothing. Each program then runs on one, on the
other, and on this machine, N times over. Judged is this machine's time between the lines that the
guest prints before and after; the guest's own clock is shown beside it. Checksums must be equal.
Prints medians, ratios and their geometric mean, and each process's memory beyond the guest's.
Nothing here is judged by a clock in CI. DUODM=FILE or --duodm names another build of duodm.
"""
import argparse
import math
import os
import re
import select
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
import kernels  # noqa: E402

# Units of work that take QEMU 7.2 a few seconds.
WORK = {
    "branches": 6000, "sort": 350, "dispatch": 350, "crc": 1000, "sha256": 2000, "matrix": 120,
    "nbody": 600, "longdouble": 700, "memcpy": 300, "memset": 1200, "chase": 500, "strings": 500,
    "compress": 1300, "fork": 500, "syscalls": 3000, "faults": 1500, "pingpong": 400, "ports": 30000,
}
PAIR = ("branches", "crc", "matrix")
LIMIT = 300  # seconds without a line: a hang


class BenchError(Exception):
    pass


def build(folder):
    """The guest's only program, static, and an initramfs of it alone."""
    program = os.path.join(folder, "init")
    sources = sorted(os.path.join(HERE, "programs", name)
                     for name in os.listdir(os.path.join(HERE, "programs")) if name.endswith(".c"))
    subprocess.run(["gcc", "-std=gnu11", "-O2", "-static", "-o", program, *sources, "-lm"],
                   check=True)
    initrd = os.path.join(folder, "initramfs")
    with open(initrd, "wb") as file:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=folder,
                       input=b"init\n", stdout=file, check=True)
    return program, initrd


class Console:
    """Lines of a process's output, each with the time at which it came."""

    def __init__(self, command):
        self.began = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.text = b""

    def expect(self, pattern):
        deadline = time.monotonic() + LIMIT
        while True:
            match = re.search(pattern, self.text)
            if match:
                self.text = self.text[match.end():]
                return match, time.monotonic()
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise BenchError("nothing more came")
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise BenchError("ended")
            self.text += data

    def write(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Guest:
    def __init__(self, name, command, smp=1):
        self.name = name
        self.console = Console([*command, "-smp", str(smp)])
        self.boot = self.expect(rb"<ready>")[1] - self.console.began

    def expect(self, pattern):
        try:
            return self.console.expect(pattern)
        except BenchError as problem:
            tail = self.console.text.decode(errors="replace")[-2000:]
            raise BenchError(f"{self.name}: {problem}; its last output:\n{tail}") from None

    def run(self, program, work, verb="run"):
        """(checksum, seconds here, seconds by the guest's clock)"""
        self.console.write(f"{verb} {program} {work}")
        _, began = self.expect(rb"<begin %s>" % program.encode())
        match, ended = self.expect(rb"<end %s ([0-9a-f]+) ([0-9.]+)>" % program.encode())
        return match.group(1).decode(), ended - began, float(match.group(2))

    def memory_kilobytes(self):
        """Resident in all, and resident in the mapping that is the guest's memory."""
        best = total = 0
        with open(f"/proc/{self.console.process.pid}/smaps", encoding="ascii") as file:
            size = 0
            for line in file:
                match = re.match(r"(Size|Rss): +(\d+) kB", line)
                if match and match.group(1) == "Size":
                    size = int(match.group(2))
                elif match:
                    total += int(match.group(2))
                    if size >= 100 << 10:
                        best = max(best, int(match.group(2)))
        return total, best

    def close(self):
        self.console.close()


def native(program, name, work):
    output = subprocess.run([program, "run", name, str(work)], check=True, capture_output=True,
                            text=True).stdout
    match = re.search(r"<end \S+ ([0-9a-f]+) ([0-9.]+)>", output)
    return match.group(1), float(match.group(2))


def geometric_mean(values):
    return math.exp(sum(math.log(v) for v in values) / len(values))


def commands(options, initrd):
    common = ["-m", options.memory, "-nographic", "-no-reboot",
              "-kernel", options.kernel or kernels.kernel("cloud"), "-initrd", initrd,
              "-append", "console=ttyS0 quiet panic=-1", *options.extra]
    found = {"duodm": [options.duodm, "-accel", options.accel, *common]}
    if not options.no_peer:
        found["qemu"] = [options.peer, "-accel", "tcg", "-vga", "none", "-net", "none", *common]
    return found


def check_equal(name, sums):
    """A zero of the native run says that this system does not offer the thing (ports)."""
    if len({s for s in sums.values() if s.strip("0")}) > 1:
        raise BenchError(f"{name}: checksums differ: {sums}")


def run_programs(options, names, program, initrd):
    """{engine: {program: [(seconds here, seconds by the guest)]}}"""
    times = {engine: {name: [] for name in names} for engine in ("duodm", "qemu", "native")}
    guests = {engine: Guest(engine, command) for engine, command in commands(options, initrd).items()}
    try:
        for run in range(options.runs):
            for name in names:
                work = max(1, round(WORK[name] * options.scale))
                sums = {}
                for engine, guest in guests.items():
                    sums[engine], *seconds = guest.run(name, work)
                    times[engine][name].append(seconds)
                sums["native"], seconds = native(program, name, work)
                if sums["native"].strip("0"):
                    times["native"][name].append((seconds, seconds))
                check_equal(name, sums)
                print(f"run {run + 1}: {name:10}", *(f"{engine} {seen[name][-1][0]:.2f} s"
                      for engine, seen in times.items() if seen[name]), flush=True)
        for engine, guest in guests.items():
            total, ram = guest.memory_kilobytes()
            print(f"{engine}: {(total - ram) / 1024:.1f} MiB resident beyond the guest's memory")
    finally:
        for guest in guests.values():
            guest.close()
    return times


def print_table(names, times):
    def median(engine, name, clock=0):
        seen = times[engine][name]
        return statistics.median(s[clock] for s in seen) if seen else None

    def cell(value, form="8.2f"):
        return format(value, form) if value is not None else " " * 7 + "-"

    print(f"\n{'':10} {'duodm s':>8} {'guest s':>8} {'qemu s':>8} {'native s':>8}"
          f" {'qemu/duodm':>11} {'duodm/native':>13}")
    ratios = {}
    for name in names:
        ours, theirs, bare = (median(engine, name) for engine in ("duodm", "qemu", "native"))
        if theirs:
            ratios[name] = theirs / ours
        print(f"{name:10} {cell(ours)} {cell(median('duodm', name, 1))} {cell(theirs)} {cell(bare)}"
              f" {cell(ratios.get(name), '11.2f')} {cell(ours / bare if bare else None, '13.2f')}")
    if ratios:
        worst = min(ratios, key=ratios.get)
        print(f"speed against qemu: geometric mean {geometric_mean(ratios.values()):.2f},"
              f" least {ratios[worst]:.2f} ({worst})")


def run_boots(options, initrd):
    """From exec to the first line of the first process."""
    times = {}
    for run in range(options.runs):
        for engine, command in commands(options, initrd).items():
            guest = Guest(engine, command)
            guest.close()
            times.setdefault(engine, []).append(guest.boot)
            print(f"run {run + 1}: boot {engine} {guest.boot:.2f} s", flush=True)
    medians = {engine: statistics.median(seen) for engine, seen in times.items()}
    print("boot to /init:", ", ".join(f"{engine} {value:.2f} s" for engine, value in medians.items()))
    if "qemu" in medians:
        print(f"boot: duodm/qemu {medians['duodm'] / medians['qemu']:.2f}")


def run_pairs(options, initrd):
    """Two jobs on two vCPUs against one on one: 2.00 is perfect."""
    for engine, command in commands(options, initrd).items():
        factors = []
        one, two = Guest(engine, command), Guest(engine, command, smp=2)
        try:
            for name in options.only or PAIR:
                work = max(1, round(WORK[name] * options.scale))
                alone, both = [], []
                for _ in range(options.runs):
                    alone.append(one.run(name, work)[1])
                    both.append(two.run(name, work, "pair")[1])
                factors.append(2 * statistics.median(alone) / statistics.median(both))
                print(f"{engine}: two of {name} on two vCPUs: {factors[-1]:.2f} times the throughput"
                      " of one", flush=True)
        finally:
            one.close()
            two.close()
        print(f"{engine}: geometric mean {geometric_mean(factors):.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--duodm", default=os.environ.get("DUODM", os.path.join(ROOT, "build/duodm")))
    parser.add_argument("--accel", default="tcg", help="duodm's, with options: tcg,interpreter=on")
    parser.add_argument("--peer", default="qemu-system-x86_64")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--kernel", help="default: Debian's cloud kernel, fetched once")
    parser.add_argument("--memory", default="512", help="MiB (512)")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="factor for the work of each program")
    parser.add_argument("--only", type=lambda text: text.split(","), help=f"of: boot {' '.join(WORK)}")
    parser.add_argument("--smp", action="store_true", help="the figure of two vCPUs instead")
    parser.add_argument("extra", nargs="*", help="more options for both programs, after --")
    options = parser.parse_args()
    names = [name for name in options.only or WORK if name != "boot"]
    unknown = [name for name in names if name not in WORK]
    if unknown:
        parser.error(f"no such program: {unknown[0]}; there are: boot {' '.join(WORK)}")

    with tempfile.TemporaryDirectory(prefix="duodm-bench-") as folder:
        try:
            program, initrd = build(folder)
            if options.smp:
                run_pairs(options, initrd)
                return 0
            if names:
                print_table(names, run_programs(options, names, program, initrd))
            if not options.only or "boot" in options.only:
                run_boots(options, initrd)
        except BenchError as problem:
            print(problem, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
