#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""TCP throughput of a guest on user networking, duodm and qemu-system-x86_64 -accel tcg in turn.

    tests/bench/net.py [--runs N] [--megabytes N] [--duodm FILE] [--no-peer] [--model NAME]

One guest of each is started and kept; the runs alternate between them. A run receives and then
sends that many megabytes over the gateway, to a server in this process. Prints each run, the medians
in MB/s, their ratios, and the processor time per megabyte: of all threads, and of those besides the
vCPU's, which is the device model's own work. Nothing is judged.
"""
import argparse
import os
import re
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
from kernels import initramfs_with, kernel  # pylint: disable=wrong-import-position

SET_UP = ("ip address add 10.0.2.15/24 dev eth0; ip link set eth0 up; ip route add default via 10.0.2.2;"
          "ping -c 1 10.0.2.2 >/dev/null")

# The card, the kernel that has its driver, and the driver.
MODELS = {"virtio-net-pci": ("cloud", ["virtio_pci", "virtio_net"]), "e1000": ("full", ["e1000"]),
          "rtl8139": ("full", ["8139cp"])}


class Guest:
    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.output = b""
        self.times = {"receive": [], "send": []}
        self.expect(rb"duodm-guest# ", 300)
        self.run(SET_UP)

    def expect(self, pattern, limit=300):
        deadline = time.monotonic() + limit
        while not (match := re.search(pattern, self.output, re.DOTALL)):
            if not select.select([self.process.stdout], [], [], deadline - time.monotonic())[0]:
                sys.exit(f"{self.name}: nothing more came: {self.output[-500:]!r}")
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                sys.exit(f"{self.name}: it ended: {self.output[-500:]!r}")
            self.output += data
        self.output = self.output[match.end():]

    def run(self, line):
        self.process.stdin.write(line.encode() + b"; echo @$?@\n")
        self.process.stdin.flush()
        self.expect(rb"@\d+@")

    def cpu(self):
        """Processor seconds (of all threads, of those that run no CPU of the guest)."""
        every = others = 0.0
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            try:
                with open(f"/proc/{self.process.pid}/task/{thread}/schedstat", encoding="ascii") as f:
                    seconds = int(f.read().split()[0]) / 1e9
                with open(f"/proc/{self.process.pid}/task/{thread}/comm", encoding="ascii") as f:
                    name = f.read().lower()
            except OSError:
                continue  # it has ended
            every += seconds
            others += 0 if "cpu" in name else seconds
        return every, others

    def transfer(self, kind, size):
        """Notes seconds from the connection until both ends are done, and the processor's."""
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        began = []

        def serve():
            block = bytes(1 << 20)
            with listener, listener.accept()[0] as peer:
                began.append(time.monotonic())
                if kind == "receive":
                    for _ in range(size >> 20):
                        peer.sendall(block)
                    peer.shutdown(socket.SHUT_WR)
                while peer.recv(1 << 20):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        before = self.cpu()
        if kind == "receive":
            self.run(f"nc 10.0.2.2 {port} </dev/null >/dev/null")
        else:
            self.run(f"dd if=/dev/zero bs=1M count={size >> 20} 2>/dev/null | nc 10.0.2.2 {port}")
        thread.join()
        seconds = time.monotonic() - began[0]
        after = self.cpu()
        self.times[kind].append((seconds, after[0] - before[0], after[1] - before[1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--duodm", default=os.environ.get("DUODM", os.path.join(ROOT, "build/duodm")))
    parser.add_argument("--peer", default="qemu-system-x86_64")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--model", default="virtio-net-pci", choices=MODELS)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=32)
    options = parser.parse_args()
    size = options.megabytes << 20
    with tempfile.TemporaryDirectory() as folder:
        kind, drivers = MODELS[options.model]
        initramfs = initramfs_with(os.path.join(folder, "initramfs.gz"), kind, drivers)
        machine = ["-accel", "tcg", "-m", "256", "-nodefaults", "-display", "none", "-serial", "stdio",
                   "-kernel", kernel(kind), "-initrd", initramfs, "-append", "console=ttyS0 quiet",
                   "-netdev", "user,id=n", "-device", f"{options.model},netdev=n"]
        guests = [Guest("duodm", [options.duodm, *machine])]
        if not options.no_peer:
            guests.append(Guest("qemu", [options.peer, *machine, "-name", "peer,debug-threads=on"]))
        try:
            for number in range(options.runs):
                for kind in ("receive", "send"):
                    for guest in guests:
                        guest.transfer(kind, size)
                        seconds, cpu, own = guest.times[kind][-1]
                        print(f"run {number} {guest.name:5} {kind:7} {options.megabytes / seconds:7.1f} MB/s"
                              f" {1000 * cpu / options.megabytes:7.1f} ms of CPU per MB, device model"
                              f" {1000 * own / options.megabytes:6.2f} ms", flush=True)
        finally:
            for guest in guests:
                guest.process.kill()
                guest.process.wait()
    for kind in ("receive", "send"):
        seconds, cpu, own = ([statistics.median(run[i] for run in guest.times[kind])
                              for guest in guests] for i in range(3))
        speeds = [options.megabytes / s for s in seconds]
        line = ", ".join(f"{g.name} {s:.1f} MB/s" for g, s in zip(guests, speeds))
        if len(guests) == 2:
            line += (f"; ratio {speeds[0] / speeds[1]:.2f}; CPU {cpu[0] / cpu[1]:.2f} of QEMU's, "
                     f"device model {own[0] / own[1]:.2f} of QEMU's")
        print(f"{kind}: {line}")


if __name__ == "__main__":
    main()
