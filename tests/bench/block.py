#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Random reads of 4 KiB per second, and sequential reads, in a guest, from one image, duodm and QEMU
in turn.

    tests/bench/block.py [--disk virtio|ide|ahci] [--accel tcg|kvm] [--runs N] [--seconds N] [--depths 1,16]
                         [--drive OPTIONS] [--device OPTIONS] [--no-peer]

Both guests boot the same kernel with the same disk. Each prints a line per run and depth (depth 0:
sequential, KiB/s); then the medians and their ratio (duodm's by QEMU's, above 1: duodm is faster). The guest's clock is
the host's, so a figure is what a user would see. Nothing here is judged by a clock in CI.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from kernels import initramfs_with, kernel  # noqa: E402

RUN = """#!/bin/sh
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod "$module"; done
until [ -b /dev/{name} ]; do usleep 20000; done
for n in 1 2 3 4 5; do
    echo 3 > /proc/sys/vm/drop_caches
    echo "SEQUENTIAL $(dd if=/dev/{name} of=/dev/null bs=1M 2>&1 | tail -1)"
done
for depth in {depths}; do echo "DEPTH $depth"; /random-read /dev/{name} {seconds} $depth; done
poweroff -f
"""


# The options that make the disk, its name in the guest, a kernel that has its driver, modules.
DISKS = {
    "virtio": (["-device", "virtio-blk-pci,drive=d,num-queues=1"], "vda", "cloud",
               ("virtio_blk", "virtio_pci")),
    "ide": (["-device", "ide-hd,drive=d,bus=ide.0"], "sda", "full", ("ata_piix", "sd_mod")),
    "ahci": (["-device", "ahci,id=sata", "-device", "ide-hd,drive=d,bus=sata.0"], "sda", "full",
             ("ahci", "sd_mod")),
}


def guest(options, folder):
    """The initramfs that measures and powers off."""
    program = os.path.join(folder, "random-read")
    subprocess.run(["cc", "-D_GNU_SOURCE", "-O2", "-static", "-o", program,
                    os.path.join(ROOT, "tests", "bench", "random-read.c")], check=True)
    text = RUN.format(name=DISKS[options.disk][1], depths=options.depths.replace(",", " "), seconds=options.seconds)
    path = os.path.join(folder, "bench.gz")
    return initramfs_with(path, *DISKS[options.disk][2:], files=[("bench", text)],
                          copies=[(program, "random-read")])


def measure(command, limit):
    """Reads per second by depth."""
    output = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            errors="replace", timeout=limit, check=False)
    found = re.findall(r"DEPTH (\d+)\s+READS (\d+) (\d+)", output.stdout)
    if not found:
        sys.exit(f"{' '.join(command)}:\n{output.stdout[-2000:]}{output.stderr[-2000:]}")
    rates = {int(depth): int(reads) * 1e6 / int(us) for depth, reads, us in found}
    times = re.findall(r"SEQUENTIAL (\d+) bytes.* ([\d.]+) seconds", output.stdout)
    if times:
        rates[0] = statistics.median(int(size) / 1024 / float(time) for size, time in times)
    return rates


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--duodm", default=os.environ.get("DUODM", os.path.join(ROOT, "build/duodm")))
    parser.add_argument("--peer", default="qemu-system-x86_64")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--accel", default="tcg")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--depths", default="1,16")
    parser.add_argument("--drive", default="cache=none", help="more of -drive")
    parser.add_argument("--disk", default="virtio", choices=DISKS)
    parser.add_argument("--device", default="", help="more of the last -device")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, "disk.img")
        with open(image, "wb") as file:
            for _ in range(64):
                file.write(os.urandom(1 << 20))
        common = ["-m", "256", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot",
                  "-kernel", kernel(DISKS[options.disk][2]), "-initrd", guest(options, folder), "-append",
                  "console=ttyS0 quiet panic=-1 rdinit=/bench", "-drive",
                  f"file={image},if=none,id=d,format=raw,{options.drive}", *DISKS[options.disk][0]]
        common[-1] += "," + options.device if options.device else ""
        programs = {"duodm": [options.duodm, "-accel", options.accel, *common]}
        if not options.no_peer:
            programs["qemu"] = [options.peer, "-accel", options.accel, *common]
        results = {name: {} for name in programs}
        for run in range(options.runs):
            for name, command in programs.items():
                for depth, rate in measure(command, 300).items():
                    results[name].setdefault(depth, []).append(rate)
                    print(f"run {run} {name:5} depth {depth:2}: {rate:8.0f} reads/s", flush=True)
    for depth in results["duodm"]:
        medians = {name: statistics.median(rates[depth]) for name, rates in results.items()}
        text = "  ".join(f"{name} {rate:.0f}/s" for name, rate in medians.items())
        ratio = f"  ratio {medians['duodm'] / medians['qemu']:.2f}" if "qemu" in medians else ""
        print(f"depth {depth}: {text}{ratio}")


if __name__ == "__main__":
    main()
