#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Time from exec to the guest's /init, duodm and qemu-system-x86_64 -accel tcg in turn.

    tests/bench/boot.py [--runs N] [--kernel FILE] [--initrd FILE] [--smp N] [--no-peer]
    tests/bench/boot.py --soak N        N boots of duodm to power-off in a row; any other end fails

Prints each run, the medians and their ratio. Nothing here is judged by a clock in CI.
"""
import argparse
import os
import select
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UP = b"DUODM-GUEST-UP"


def boot(command, limit):
    """Run to the end. Returns (seconds to /init, seconds to the end, exit status, output)."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    output, up = b"", None
    try:
        while True:
            left = began + limit - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                break
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                break
            output += data
            if up is None and UP in output:
                up = time.monotonic() - began
        status = process.wait(max(1, began + limit - time.monotonic()))
    except subprocess.TimeoutExpired:
        status = None
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    return up, time.monotonic() - began, status, output


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--duodm", default=os.environ.get("DUODM", os.path.join(ROOT, "build/duodm")))
    parser.add_argument("--peer", default="qemu-system-x86_64")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--kernel", default=os.path.join(ROOT, ".cache/kernels/vmlinuz-cloud"))
    parser.add_argument("--initrd", default=os.path.join(ROOT, ".cache/initramfs.gz"))
    parser.add_argument("--smp", default="1")
    parser.add_argument("--memory", default="256")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--soak", type=int, default=0)
    parser.add_argument("--limit", type=float, default=180, help="seconds for one boot")
    parser.add_argument("extra", nargs="*", help="more options for both programs, after --")
    options = parser.parse_args()

    common = ["-m", options.memory, "-smp", options.smp, "-nographic", "-no-reboot",
              "-kernel", options.kernel, "-initrd", options.initrd,
              "-append", 'console=ttyS0 quiet panic=-1 duodm.run="true"', *options.extra]
    duodm = [options.duodm, "-accel", "tcg", *common]
    peer = [options.peer, "-accel", "tcg", "-vga", "none", "-net", "none", *common]

    if options.soak:
        for n in range(options.soak):
            up, total, status, output = boot(duodm, options.limit)
            if up is None or status != 0:
                print(output.decode(errors="replace")[-4000:])
                print(f"boot {n + 1} of {options.soak}: /init {up}, exit status {status}")
                return 1
            print(f"boot {n + 1} of {options.soak}: /init {up:.2f} s, end {total:.2f} s", flush=True)
        print(f"{options.soak} boots, none hung or failed")
        return 0

    times = {"duodm": [], "qemu": []}
    for n in range(options.runs):
        for name, command in (("duodm", duodm), ("qemu", peer)):
            if name == "qemu" and options.no_peer:
                continue
            up, _, status, output = boot(command, options.limit)
            if up is None:
                print(output.decode(errors="replace")[-4000:])
                print(f"{name} did not reach /init (exit status {status})")
                return 1
            times[name].append(up)
            print(f"run {n + 1}: {name} {up:.2f} s", flush=True)
    ours = statistics.median(times["duodm"])
    print(f"duodm: median {ours:.2f} s from exec to /init")
    if times["qemu"]:
        theirs = statistics.median(times["qemu"])
        print(f"qemu:  median {theirs:.2f} s\nratio duodm/qemu {ours / theirs:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
