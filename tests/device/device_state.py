# SPDX-License-Identifier: GPL-2.0-or-later
"""Saved state of devices, and of whole machines, over the test port: what is saved comes back, and
what was cut, altered or made by another machine is refused, with nothing changed."""
import random
import re
import struct
import unittest
import zlib

import virtio
from duodm import Duodm, QMPError, run
from saved import differences, sections

# All kinds of device that the boards have or a user can add.
DEVICES = (
    "-device", "virtio-rng-pci,id=rng,addr=4", "-device", "virtio-balloon-pci,id=balloon,addr=5",
    "-device", "virtio-serial-pci,id=ports,addr=6", "-device", "virtserialport,id=port1,bus=ports.0",
    "-netdev", "user,id=net", "-device", "virtio-net-pci,id=nic,netdev=net,addr=7",
    "-blockdev", "null-co,node-name=disk,size=1048576",
    "-device", "virtio-blk-pci,id=blk,drive=disk,addr=8",
    "-device", "isa-serial", "-device", "isa-debug-exit", "-device", "VGA,id=vga,addr=9",
    "-netdev", "user,id=net2", "-device", "rtl8139,id=rtl,netdev=net2,addr=10",
    "-blockdev", "null-co,node-name=disk2,size=1048576", "-device", "ide-hd,id=hd,drive=disk2",
    "-device", "ide-cd,id=cd", "-device", "ahci,id=ahci,addr=11",
    "-blockdev", "null-co,node-name=disk3,size=1048576",
    "-device", "ide-hd,id=sata,drive=disk3,bus=ahci.0",
    "-device", "e1000,id=nic3,addr=a", "-device", "virtio-iommu-pci,id=iommu,addr=c",
    "-usb", "-device", "usb-tablet,id=tablet", "-device", "usb-kbd,id=keyboard",
)
PORTS = (list(range(0x20, 0x22)) + list(range(0x40, 0x44)) + [0x60, 0x61, 0x64, 0x70, 0x71, 0x80]
         + list(range(0xa0, 0xa2)) + list(range(0x170, 0x178)) + list(range(0x1f0, 0x1f8)) + [0x376, 0x3f6]
         + list(range(0x3c0, 0x3e0)) + list(range(0x1ce, 0x1d0)) + list(range(0x3f8, 0x400)) + [0x4d0, 0x4d1, 0x510, 0x511])
MEMORY = [0xfec00000, 0xfec00010] + list(range(0xfed00000, 0xfed00170, 4))


def machine(*arguments, board="pc"):
    return Duodm("-machine", board, "-display", "none", "-m", "16",
                 *(DEVICES if board in ("pc", "q35") else ()), *arguments, qtest=True)


def disturb(vm, seed, count=400):
    """Write anything to registers of the board's devices, and let time pass."""
    rng = random.Random(seed)
    for _ in range(count):
        kind = rng.randrange(10)
        if kind < 5:
            vm.qtest.command(f"outb {rng.choice(PORTS):#x} {rng.randrange(256):#x}")
        elif kind < 7:
            vm.qtest.command(f"writel {rng.choice(MEMORY):#x} {rng.getrandbits(32):#x}")
        elif kind < 9:  # configuration space, but what would move the test's own devices
            address = 0x80000000 | rng.randrange(12) << 11 | rng.choice((4, 0x3c, 0x60, 0x64, 0x80))
            vm.qtest.command(f"outl 0xcf8 {address:#x}")
            vm.qtest.command(f"outl 0xcfc {rng.getrandbits(32):#x}")
        else:
            vm.qtest.command(f"clock_step {rng.randrange(1, 50_000_000)}")


def save(vm, name):
    vm.qmp.execute("xen-save-devices-state", filename=vm.path(name))
    with open(vm.path(name), "rb") as file:
        return file.read()


def load(vm, data, name="load"):
    with open(vm.path(name), "wb") as file:
        file.write(data)
    vm.qmp.execute("stop")
    try:
        vm.qmp.execute("xen-load-devices-state", filename=vm.path(name))
    finally:
        vm.qmp.execute("cont")


class Devices(unittest.TestCase):
    def check_round_trip(self, board, seeds):
        with machine(board=board) as source, machine(board=board) as target:
            for seed in seeds:
                disturb(source, seed)
                first = save(source, "first")
                self.assertLess(len(first), 256 << 10)
                disturb(target, seed + 1000)
                load(target, first)
                self.assertEqual(differences(first, save(target, "second")), [], f"seed {seed}")
            # And both go on alike.
            for vm in source, target:
                vm.qtest.command("clock_step 1000000000")
            self.assertEqual(differences(save(source, "first"), save(target, "second")), [])

    def test_round_trip_pc(self):
        self.check_round_trip("pc", range(10))

    def test_round_trip_q35(self):
        self.check_round_trip("q35", range(4))

    def test_round_trip_microvm(self):
        self.check_round_trip("microvm", range(4))

    def test_virtio_at_work(self):
        """With drivers that have set up their queues."""
        with machine() as source, machine() as target:
            for slot in range(4, 9):
                driver = virtio.PCI(source.qtest, slot=slot)
                driver.start(vectors=True)
                for queue in driver.queues:
                    queue.kick()
            data = save(source, "first")
            load(target, data)
            self.assertEqual(differences(data, save(target, "second")), [])

    def test_power_on(self):
        with machine() as source, machine() as target:
            data = save(source, "first")
            load(target, data)
            self.assertEqual(differences(data, save(target, "second")), [])


def forge(data, start, length):
    """Make the checksum of a section good again."""
    data = bytearray(data)
    struct.pack_into("<I", data, start + length - 4, zlib.crc32(data[start:start + length - 4]))
    return bytes(data)


class Refused(unittest.TestCase):
    """Nothing of what is refused reaches a device, and the error says whose state it was."""

    def setUp(self):
        self.vm = machine()
        self.addCleanup(self.vm.__exit__, None, None, None)
        disturb(self.vm, 1)
        self.good = save(self.vm, "good")
        disturb(self.vm, 2)
        self.before = save(self.vm, "before")

    def refuse(self, data, pattern=""):
        with self.assertRaisesRegex(QMPError, pattern):
            load(self.vm, data)

    def unchanged(self):
        self.assertEqual(differences(self.before, save(self.vm, "after")), [])

    def test_truncated(self):
        rng = random.Random(3)
        ends = [s[2] for s in sections(self.good)]
        for length in sorted(set(ends + [e + 5 for e in ends] + [0, 1, len(self.good) - 1]
                                 + rng.sample(range(len(self.good)), 60))):
            self.refuse(self.good[:length])
        self.refuse(self.good + b"x")
        self.unchanged()

    def test_altered(self):
        rng = random.Random(4)
        for _ in range(150):
            data = bytearray(self.good)
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            self.refuse(bytes(data))
        self.unchanged()

    def test_forged(self):
        """A good checksum over anything: refused or taken whole; the machine lives on."""
        rng = random.Random(5)
        parts = list(sections(self.good))
        for _ in range(300):
            _, _, start, length = rng.choice(parts)
            data = bytearray(self.good)
            for _ in range(rng.choice((1, 1, 1, 5))):
                data[rng.randrange(start + 8, start + length - 4)] = rng.randrange(256)
            try:
                load(self.vm, forge(data, start, length))
            except QMPError:
                continue
            disturb(self.vm, rng.random(), 10)
        load(self.vm, self.good)
        self.assertEqual(differences(self.good, save(self.vm, "after")), [])

    def test_newer_version(self):
        for description, instance, start, length in sections(self.good):
            data = bytearray(self.good)
            version = struct.unpack_from("<I", data, start + 8)[0]
            struct.pack_into("<I", data, start + 8, version + 1)
            self.refuse(forge(data, start, length),
                        f"{re.escape(description)} '{re.escape(instance)}'.* {version + 1}")
        self.unchanged()

    def test_other_machines(self):
        with machine("-device", "virtio-rng-pci,id=another") as other:
            self.refuse(save(other, "state"), "another")
        with Duodm("-m", "16", "-display", "none", qtest=True) as other:
            self.refuse(save(other, "state"), "has none of .*, which this machine has")
            with self.assertRaisesRegex(QMPError, "which this one does not have"):
                load(other, self.good)
        with Duodm("-m", "17", "-display", "none", qtest=True) as other:
            self.refuse(save(other, "state"), "bytes of memory")
        with machine(board="microvm") as other:
            self.refuse(save(other, "state"), "board 'microvm'")
        self.unchanged()

    def test_incoming_ends_the_process(self):
        path = self.vm.path("bad")
        for data, text in ((self.good[:-3], "cut off"), (b"", "too soon"), (b"x" * 100, ""),
                           (self.good[:50] + b"?" + self.good[51:], "altered")):
            with open(path, "wb") as file:
                file.write(data)
            result = run("-machine", "pc", "-accel", "qtest", "-nodefaults", "-display", "none",
                         "-m", "16", *DEVICES, "-incoming", "file:" + path)
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn(text, result.stderr)
        result = run("-accel", "qtest", "-nodefaults", "-display", "none", "-incoming",
                     "file:/no/such")
        self.assertEqual(result.returncode, 1)
        self.assertIn("/no/such", result.stderr)


if __name__ == "__main__":
    unittest.main()
