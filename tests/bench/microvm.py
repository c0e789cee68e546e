#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How quickly and how small machines start: duodm's microvm and pc, QEMU's microvm and pc, in turn.

    tests/bench/microvm.py [--runs N] [--accel tcg|kvm] [--no-peer] [--no-boot]

Prints medians and ratios of
- processor time from exec until the guest can run its first instruction (query-status answered, and
  the vCPUs still held by -S): all that happens once and for all guests alike;
- time from exec to the QMP greeting;
- resident memory less the guest's, then;
- time from exec to the guest's /init.
Nothing here is judged by a clock in CI.
"""
import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import time

from boot import ROOT, boot

KERNEL = os.path.join(ROOT, ".cache/kernels/vmlinuz-cloud")
INITRD = os.path.join(ROOT, ".cache/initramfs.gz")


def line(program, machine, accel, memory="256"):
    command = [program, "-M", machine, "-accel", accel, "-m", memory, "-nodefaults",
               "-display", "none", "-kernel", KERNEL, "-initrd", INITRD,
               "-append", 'console=ttyS0 quiet panic=-1 duodm.run="true"', "-no-reboot"]
    if program.endswith("qemu-system-x86_64"):
        command += ["-nic", "none"]
    return command


def resident_kib(pid):
    """Private and shared resident memory, less the mapping of guest RAM (the largest)."""
    total, ram, ram_resident, size = 0, 0, 0, 0
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as file:
        for text in file:
            if text.startswith("Size:"):
                size = int(text.split()[1])
            elif text.startswith("Rss:"):
                resident = int(text.split()[1])
                total += resident
                if size > ram:
                    ram, ram_resident = size, resident
    return total - ram_resident


def start(command):
    """One start, stopped before the guest runs: ms to the greeting, ms of CPU time, KiB resident."""
    ours, theirs = socket.socketpair()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    process = subprocess.Popen([*command, "-S", "-chardev",
                                f"socket,id=q,fd={theirs.fileno()}", "-mon",
                                "chardev=q,mode=control"],
                               pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    theirs.close()
    lines = ours.makefile("rw", encoding="utf-8")
    lines.readline()
    greeting = time.monotonic() - began
    for name in ("qmp_capabilities", "query-status"):
        lines.write(json.dumps({"execute": name}) + "\n")
        lines.flush()
        lines.readline()
    memory = resident_kib(process.pid)
    process.kill()
    process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    ours.close()
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return greeting * 1000, used * 1000, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--duodm", default=os.environ.get("DUODM", os.path.join(ROOT, "build/duodm")))
    parser.add_argument("--peer", default="qemu-system-x86_64")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--no-boot", action="store_true")
    parser.add_argument("--accel", default="tcg")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()

    programs = [("duodm", options.duodm)] + ([] if options.no_peer else [("qemu", options.peer)])
    kinds = [(f"{name} {machine}", line(program, machine, options.accel))
             for machine in ("microvm", "pc") for name, program in programs]
    figures = {name: [] for name, _ in kinds}
    boots = {name: [] for name, _ in kinds}
    for _ in range(options.runs):
        for name, command in kinds:
            figures[name].append(start(command))
            if not options.no_boot:
                up, _, _, _ = boot([*command, "-serial", "stdio"], 120)
                boots[name].append(up if up is not None else float("inf"))
    medians = {}
    for name, values in figures.items():
        medians[name] = [statistics.median(column) for column in zip(*values)]
        greeting, cpu, memory = medians[name]
        print(f"{name:14} greeting {greeting:7.1f} ms   CPU {cpu:7.1f} ms   "
              f"resident less guest RAM {memory / 1024:6.1f} MiB", end="")
        print(f"   /init {statistics.median(boots[name]):6.2f} s" if boots[name] else "")
    if not options.no_peer:
        for machine in ("microvm", "pc"):
            ours, theirs = medians["duodm " + machine], medians["qemu " + machine]
            ratios = [a / b for a, b in zip(ours, theirs)]
            print(f"{machine}: duodm/qemu greeting {ratios[0]:.2f} (bar 0.20), CPU {ratios[1]:.2f}, "
                  f"memory {ratios[2]:.2f} (bar 0.35)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
