#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""dd to a virtio-blk disk behind VT-d (iommu_platform=on), duodm and QEMU in turn.

    tests/bench/iommu.py [--accel tcg|kvm] [--runs N] [--megabytes N] [--modes lazy,strict,pt,off]

Both guests boot the same kernel with intel_iommu=on; QEMU needs its board q35 for that. "off" is
without an IOMMU. Prints seconds per run and the ratio of the medians (QEMU's by duodm's, above 1:
duodm is faster). Nothing here is judged by a clock in CI.
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
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod "$module"; done
until [ -b /dev/vda ]; do usleep 20000; done
echo none > /sys/block/vda/queue/scheduler
for size in 4k 64k 1M; do for way in if of; do
    case $way in if) other=of=/dev/null;; of) other=if=/dev/zero;; esac
    case $size in 4k) count={small};; 64k) count={middle};; 1M) count={large};; esac
    start=$(cut -d' ' -f1 /proc/uptime)
    dd $way=/dev/vda $other bs=$size count=$count ${{way%?}}flag=direct 2>/dev/null
    echo "DD $way $size $start $(cut -d' ' -f1 /proc/uptime)"
done; done
poweroff -f
"""
MODES = {"lazy": "intel_iommu=on", "strict": "intel_iommu=on iommu.strict=1",
         "pt": "intel_iommu=on iommu=pt", "off": None}


def command(options, name, mode, initrd, image):
    behind = MODES[mode] is not None
    line = [options.peer if name == "qemu" else options.duodm, "-accel", options.accel]
    if behind and name == "qemu":
        line += ["-M", "q35,kernel-irqchip=split", "-device", "intel-iommu,intremap=on"]
    elif behind:
        line += ["-device", "intel-iommu"]
    device = "virtio-blk-pci,drive=d,num-queues=1"
    return line + ["-m", "256", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot",
                   "-kernel", kernel("cloud"), "-initrd", initrd, "-append",
                   f"console=ttyS0 quiet panic=-1 rdinit=/bench {MODES[mode] or ''}", "-drive",
                   f"file={image},if=none,id=d,format=raw,cache=none", "-device",
                   device + (",disable-legacy=on,iommu_platform=on" if behind else "")]


def measure(line):
    """Seconds of each dd."""
    output = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            errors="replace", timeout=600, check=False)
    found = re.findall(r"DD (\S+) (\S+) ([0-9.]+) ([0-9.]+)", output.stdout)
    if len(found) != 6:
        sys.exit(f"{' '.join(line)}:\n{output.stdout[-2000:]}{output.stderr[-2000:]}")
    return {("read" if way == "if" else "write") + " " + size: float(end) - float(start)
            for way, size, start, end in found}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--duodm", default=os.environ.get("DUODM", os.path.join(ROOT, "build/duodm")))
    parser.add_argument("--peer", default="qemu-system-x86_64")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--accel", default="tcg")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=256, help="of the dd with 1 MiB blocks")
    parser.add_argument("--modes", default="lazy,strict")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, "disk.img")
        with open(image, "wb") as file:
            for _ in range(options.megabytes):
                file.write(os.urandom(1 << 20))
        text = RUN.format(small=options.megabytes * 32, middle=options.megabytes * 8,
                          large=options.megabytes)
        initrd = initramfs_with(os.path.join(folder, "bench.gz"), "cloud",
                                ("virtio_blk", "virtio_pci"), files=[("bench", text)])
        for mode in options.modes.split(","):
            times = {}
            for _ in range(options.runs):
                for name in ("duodm",) if options.no_peer else ("duodm", "qemu"):
                    for what, seconds in measure(command(options, name, mode, initrd,
                                                         image)).items():
                        times.setdefault(what, {}).setdefault(name, []).append(seconds)
            for what, found in times.items():
                medians = {name: statistics.median(all_of) for name, all_of in found.items()}
                text = "  ".join(f"{name} {seconds:.3f} s" for name, seconds in medians.items())
                ratio = f"  ratio {medians['qemu'] / medians['duodm']:.2f}" if "qemu" in medians else ""
                print(f"{mode:6} {what:9}: {text}{ratio}", flush=True)


if __name__ == "__main__":
    main()
