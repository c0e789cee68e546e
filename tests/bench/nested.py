#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""duodm and QEMU on a real KVM in the same nested L1, in turn: ratios of medians.

    tests/bench/nested.py [--runs N] [--only NAME,NAME...] [--program duodm|qemu]

Names: greeting, start, boot, microvm, memory, exits, pio, randread; in an L1 with VFIO: mapping,
translated, and replay, which is against bare system calls. Nested figures say nothing absolute: the
ratio counts, and only on a machine that does nothing else. --program runs one alone.
"""
import argparse
import os
import re
import statistics
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests", "testbed"), os.path.join(ROOT, "tests", "lib")]
sys.dont_write_bytecode = True

from harness.bed import Bed, Lock  # noqa: E402
from harness.files import Program  # noqa: E402
from harness.report import Log  # noqa: E402
from nested_iommu import measure_mapping, measure_translated, run_replay  # noqa: E402

MEMORY = 256  # MiB of the guest
EXITS = 20000  # tests/guest/exits64.c


def measure_greeting(bed, program):
    """Start of the process to QMP's greeting, without a guest to load."""
    with bed.guest(program=program, memory=MEMORY, kernel=None, initrd=None, qmp=False) as guest:
        match = guest.qmp_channel.expect(r'\{"QMP".*\n')
        return {"greeting, ms": (match.time - guest.process.started_at) / 1e6}


def measure_start(bed, program):
    """Processor time of all that happens once, before the guest's first instruction."""
    result = {}
    for machine in ("pc", "microvm"):
        with bed.guest("-M", machine, "-S", program=program, memory=MEMORY) as guest:
            guest.qmp.execute("query-status")
            name = os.path.basename(program.path)
            text = bed.run(f"cat /proc/$(pidof {name})/task/*/schedstat")[1]
            result[f"CPU to first instruction, {machine}, ms"] = sum(
                int(line.split()[0]) for line in text.splitlines()) / 1e6
    return result


def boot(bed, program, *arguments):
    """ms from the start of the process to /init; infinite if it hangs, as QEMU's microvm may."""
    with bed.guest("-cpu", "host", *arguments, program=program, memory=MEMORY) as guest:
        try:
            match = guest.console.expect("TESTBED-INIT")
        except TimeoutError:
            return float("inf")
        return (match.time - guest.process.started_at) / 1e6


def measure_boot(bed, program):
    return {"boot to /init, ms": boot(bed, program)}


def measure_microvm(bed, program):
    return {"microvm: boot to /init, ms": boot(bed, program, "-M", "microvm")}


def measure_memory(bed, program):
    """Resident memory of the process less what of it is the guest's."""
    with bed.guest("-cpu", "host", program=program, memory=MEMORY) as guest:
        guest.wait_up()
        name = os.path.basename(program.path)
        maps = bed.run(f"cat /proc/$(pidof {name})/smaps")[1]
        return {"resident beside guest RAM, MB": resident_beside_ram(maps, MEMORY << 10) / 1024}


def resident_beside_ram(smaps, ram_kb):
    """KiB resident in all mappings but the guest's RAM; smaps: text of /proc/PID/smaps."""
    total = 0
    for start, end, body in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) (.*?)(?=^[0-9a-f]+-|\Z)", smaps,
                                       re.M | re.S):
        size = (int(end, 16) - int(start, 16)) >> 10
        resident = int(re.search(r"^Rss:\s+(\d+) kB", body, re.M)[1])
        # Whatever is as large as the guest's memory is the guest's memory.
        if not ram_kb * 3 // 4 <= size <= ram_kb:
            total += resident
    return total


def measure_exits(bed, program):
    """Exits of a whole boot, counted by L1's KVM: hardly any noise."""
    bed.run("[ -d /sys/kernel/debug/kvm ] || mount -t debugfs debugfs /sys/kernel/debug")
    with bed.guest("-cpu", "host", program=program, memory=MEMORY) as guest:
        guest.wait_up()
        names = ("exits", "io_exits", "mmio_exits", "halt_exits", "irq_exits", "insn_emulation")
        text = bed.run("cd /sys/kernel/debug/kvm && cat " + " ".join(names))[1]
        return {f"boot: {name}": float(value) for name, value in zip(names, text.split())}


def measure_pio(bed, program):
    """Exits to user space per second: one vCPU, two to the same device, two to two devices."""
    with bed.guest("-cpu", "host", "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
                   program=program, smp=2, memory=64, kernel="/boot/exits64", initrd=None) as guest:
        result = {}
        for name, what, processors in (("one", "1 vCPU", 1), ("memory", "1 vCPU, MMIO", 1),
                                       ("same", "2 vCPUs, 1 device", 2),
                                       ("different", "2 vCPUs, 2 devices", 2)):
            begin = guest.console.expect(f"begin {name}\\s")
            end = guest.console.expect(f"end {name}\\s")
            result[f"exits/s, {what}"] = processors * EXITS / ((end.time - begin.time) / 1e9)
        return result


def measure_randread(bed, program):
    """4 KiB random reads per second from virtio-blk: one at a time, and eight."""
    bed.run("[ -e /tmp/bench.img ] || dd if=/dev/urandom of=/tmp/bench.img bs=1M count=64")
    with bed.guest("-cpu", "host", "-drive", "file=/tmp/bench.img,format=raw,if=none,id=disk",
                   "-device", "virtio-blk-pci,drive=disk",
                   program=program, memory=MEMORY, smp=2) as guest:
        guest.wait_up()
        result = {}
        for threads in (1, 8):
            text = guest.run("load", "randread", "/dev/vda", str(threads), "2000")[1]
            result[f"4 KiB reads/s, {threads} at a time"] = float(
                re.search(r"per second (\d+)", text)[1])
        return result


MEASURES = {"greeting": measure_greeting, "start": measure_start, "boot": measure_boot,
            "microvm": measure_microvm, "memory": measure_memory,
            "exits": measure_exits, "pio": measure_pio, "randread": measure_randread,
            "mapping": measure_mapping, "translated": measure_translated, "replay": None}
NEEDS = {"randread": "virtio-blk-pci"}
# The kind of L1 (harness/machines.py), if it is not "kvm-smp".
MACHINES = {"mapping": "vfio", "translated": "vfio", "replay": "vfio-large"}
# Ratio duodm/QEMU that is aimed at; for times and sizes at most, for rates at least.
BARS = {"greeting": "<= 0.2", "start": "<= 1.0", "boot": "<= 1.0", "microvm": "<= 1.0",
        "memory": "<= 0.35", "exits": "<= 1.0", "pio": ">= 1.2", "randread": ">= 1.0",
        "mapping": ">= 1.2", "translated": ">= 1.2"}


def run_measure(bed, name, programs, runs):
    figures = {p.name: {} for p in programs}
    for _ in range(runs):
        for program in programs:
            for what, value in MEASURES[name](bed, program).items():
                figures[program.name].setdefault(what, []).append(value)
    for what in figures[programs[0].name]:
        medians = {p.name: statistics.median(figures[p.name][what]) for p in programs}
        line = f"{what:34}" + "".join(f"  {n} {m:10.1f}" for n, m in medians.items())
        if len(programs) == 2:
            ours, theirs = medians.values()
            aim = "<= 1.0" if what.endswith("each") else BARS[name]
            line += f"  ratio {ours / theirs:.2f} (aim {aim})"
        print(line, flush=True)


def run_measures(bed, names, programs, runs):
    for name in names:
        if not all(p.has_device(NEEDS[name]) for p in programs if name in NEEDS):
            print(f"{name}: not measured, {NEEDS[name]} is missing")
        elif name == "replay":
            run_replay(bed)
        else:
            run_measure(bed, name, programs, runs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default=",".join(MEASURES))
    parser.add_argument("--program", choices=["duodm", "qemu"])
    options = parser.parse_args()
    names = options.only.split(",")
    if set(names) - set(MEASURES):
        parser.error(f"there are {', '.join(MEASURES)}")
    programs = [Program(n) for n in ([options.program] if options.program else ["duodm", "qemu"])]
    for program in programs:
        if not program.has_engine("kvm"):
            print(f"{program.name} has no engine kvm", file=sys.stderr)
            return 1
    lock = Lock()
    log = Log("bench")
    options.repeat = 0
    for kind in ("kvm-smp", "vfio", "vfio-large"):
        of_kind = [name for name in names if MACHINES.get(name, "kvm-smp") == kind]
        if of_kind:
            with Bed(kind, programs[0], programs, log, options) as bed:
                run_measures(bed, of_kind, programs, options.runs)
    lock.file.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
