# SPDX-License-Identifier: GPL-2.0-or-later
"""Drivers that break the rules: the device needs a reset, and nothing else happens. Then random
registers and rings on every kind of device.
"""
import os
import struct
import time
import unittest

import virtio
from duodm import SLOWER, Duodm
from seed import seeded
from virtio import INDIRECT, NEEDS_RESET, NEXT, WRITE

virtio.Device.slower = SLOWER
ACCESSES = int(os.environ.get("DUODM_TEST_VIRTIO_ACCESSES", "10000"))
RAM = 64 << 20
MMIO = 0xFED00000  # the HPET


def wait_needs_reset(test, device, what):
    deadline = time.monotonic() + 10 * SLOWER
    while not device.status() & NEEDS_RESET:
        if time.monotonic() > deadline:
            test.fail(f"{what}: the device goes on")


class Rings(unittest.TestCase):
    """Each case spoils a fresh split ring; the device must need a reset, and work after it."""

    CASES = [
        ("a loop", lambda q, a: (q.write_descriptor(q.descriptors, 0, a, 8, NEXT | WRITE, 1),
                                 q.write_descriptor(q.descriptors, 1, a, 8, NEXT | WRITE, 0))),
        ("a loop of one", lambda q, a: q.write_descriptor(q.descriptors, 0, a, 8, NEXT | WRITE, 0)),
        ("next past the end",
         lambda q, a: q.write_descriptor(q.descriptors, 0, a, 8, NEXT | WRITE, 0xffff)),
        ("a buffer in nothing", lambda q, a: q.write_descriptor(q.descriptors, 0, RAM, 8, WRITE, 0)),
        ("a buffer in registers", lambda q, a: q.write_descriptor(q.descriptors, 0, MMIO, 8, WRITE, 0)),
        ("a buffer over the end of RAM",
         lambda q, a: q.write_descriptor(q.descriptors, 0, RAM - 4, 8, WRITE, 0)),
        ("a buffer that wraps",
         lambda q, a: q.write_descriptor(q.descriptors, 0, (1 << 64) - 4, 8, WRITE, 0)),
        ("to read after to write", lambda q, a: (q.write_descriptor(q.descriptors, 0, a, 8, NEXT | WRITE, 1),
                                                 q.write_descriptor(q.descriptors, 1, a, 8, 0, 0))),
        ("an empty table", lambda q, a: q.write_descriptor(q.descriptors, 0, a, 0, INDIRECT, 0)),
        ("a table of half an entry", lambda q, a: q.write_descriptor(q.descriptors, 0, a, 24, INDIRECT, 0)),
        ("a huge table", lambda q, a: q.write_descriptor(q.descriptors, 0, a, 0xfffffff0, INDIRECT, 0)),
        ("a table and a chain",
         lambda q, a: q.write_descriptor(q.descriptors, 0, a, 16, INDIRECT | NEXT, 1)),
        ("a table in registers",
         lambda q, a: q.write_descriptor(q.descriptors, 0, MMIO, 16, INDIRECT, 0)),
        ("a table that wraps",
         lambda q, a: q.write_descriptor(q.descriptors, 0, (1 << 64) - 16, 32, INDIRECT, 0)),
        ("a table in a table", lambda q, a: (q.write_descriptor(a, 0, a, 16, INDIRECT, 0),
                                             q.write_descriptor(q.descriptors, 0, a, 16, INDIRECT, 0))),
        ("a loop in a table", lambda q, a: (q.write_descriptor(a, 0, a, 8, NEXT | WRITE, 0),
                                            q.write_descriptor(q.descriptors, 0, a, 16, INDIRECT, 0))),
        ("a way out of a table", lambda q, a: (q.write_descriptor(a, 0, a, 8, NEXT | WRITE, 1),
                                               q.write_descriptor(q.descriptors, 0, a, 16, INDIRECT, 0))),
    ]

    def spoil(self, vm, device, what, function):
        device.start(sizes={0: 8}, vectors=True)
        queue = device.queues[0]
        queue.request([], [8])
        function(queue, device.arena.take(64))
        queue.kick()
        wait_needs_reset(self, device, what)
        device.wait_vector(0)  # the configuration's: 2.1.2
        device.start(sizes={0: 8})
        self.assertEqual(device.queues[0].request([], [8])[0], 8, what)

    def test_split(self):
        with Duodm("-m", "64", "-device", "virtio-rng-pci,addr=5", qtest=True) as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            for what, function in self.CASES:
                self.spoil(vm, device, what,
                           lambda q, a, function=function: (function(q, a), q.offer(0)))
            self.spoil(vm, device, "a head past the end", lambda q, a: q.offer(8))
            self.spoil(vm, device, "an index that jumps",
                       lambda q, a: vm.qtest.writew(q.available + 2, q.next_available + 9))
            self.spoil(vm, device, "an index that goes back",
                       lambda q, a: vm.qtest.writew(q.available + 2, q.next_available - 1))
            self.assertEqual(vm.quit(), 0)

    def test_packed(self):
        def put(queue, parts):
            for k, (address, length, flags) in enumerate(parts):
                at = queue.descriptors + 16 * ((queue.at + k) % queue.size)
                wrap = queue.wrap if queue.at + k < queue.size else 1 - queue.wrap
                vm.qtest.write(at, struct.pack("<QIHH", address, length, 3,
                                               flags | queue.flags(wrap)))
        with Duodm("-m", "64", "-device", "virtio-rng-pci,addr=5,packed=on", qtest=True) as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            for what, parts in (
                    ("a chain without an end", [(RAM - 4096, 8, NEXT | WRITE)] * 8),
                    ("a buffer in registers", [(MMIO, 8, WRITE)]),
                    ("a buffer in nothing", [(RAM, 8, WRITE)]),
                    ("to read after to write", [(0x1000, 8, NEXT | WRITE), (0x1000, 8, 0)]),
                    ("a table in a chain", [(0x1000, 8, NEXT), (0x1000, 16, INDIRECT)]),
                    ("a table and a chain", [(0x1000, 16, INDIRECT | NEXT), (0x1000, 8, 0)]),
                    ("a table of half an entry", [(0x1000, 24, INDIRECT)])):
                self.spoil(vm, device, what, lambda q, a, parts=parts: put(q, parts))
            self.assertEqual(vm.quit(), 0)

    def test_rings_that_cannot_be(self):
        with Duodm("-m", "64", "-device", "virtio-rng-pci,addr=5", qtest=True) as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            good = {"size": 8, "descriptors": 1 << 20, "available": 2 << 20, "used": 3 << 20}
            for change in ({"size": 0}, {"size": 3}, {"size": 128}, {"size": 0x8000},
                           {"descriptors": (1 << 20) + 8}, {"available": (2 << 20) + 1},
                           {"used": (3 << 20) + 2}, {"descriptors": (1 << 64) - 16}):
                device.negotiate()
                queue = type("Ring", (), {**good, **change, "index": 0})
                device.set_queue(queue)
                self.assertTrue(device.status() & NEEDS_RESET, change)
            for change in ({"descriptors": RAM}, {"available": MMIO}, {"used": RAM - 4},
                           {"used": 1 << 52}, {"available": 0xFFFFFFFFFF000000}):
                device.negotiate()
                queue = type("Ring", (), {**good, **change, "index": 0})
                vm.qtest.writel(good["available"], 1 << 16)  # head 0 is available
                device.set_queue(queue)
                device.set_status(15)
                wait_needs_reset(self, device, change)
            device.start()
            self.assertEqual(device.queues[0].request([], [8])[0], 8)
            self.assertEqual(vm.quit(), 0)


DEVICES = ["virtio-rng-pci-transitional", "virtio-rng-pci,packed=on",
           "virtio-balloon-pci-transitional,free-page-reporting=on",
           "virtio-serial-pci-transitional,max_ports=4", "virtio-serial-pci,packed=on,max_ports=2"]


class Random(unittest.TestCase):
    def one_access(self, device):
        """A random access that means something: to a register of the device, or to its rings."""
        rng = self.rng
        value = rng.choice([0, 1, 2, 4, 8, 15, 64, 0xff, 0xffff, rng.getrandbits(16),
                            rng.getrandbits(32), rng.getrandbits(64)])
        letter, bits = rng.choice([("b", 8), ("w", 16), ("l", 32), ("q", 64)])
        value &= (1 << bits) - 1
        kind = rng.random()
        if kind < 0.35:
            base = rng.choice([device.common, device.common, device.config, device.msix,
                               device.capabilities[3][1], device.capabilities[2][1]])
            address = base + rng.randrange(0x40)
        elif kind < 0.5:
            letter, bits = rng.choice([("b", 8), ("w", 16), ("l", 32)])
            port = device.ports + rng.randrange(40)
            if rng.random() < 0.3:
                return f"in{letter} {port:#x}"
            return f"out{letter} {port:#x} {value & (1 << bits) - 1:#x}"
        else:
            queue = rng.choice(device.queues)
            base, size = rng.choice([(queue.descriptors, 16 * queue.size), (queue.available, 40),
                                     (queue.used, 40)])
            address = base + rng.randrange(size)
        if rng.random() < 0.3:
            return f"read{letter} {address:#x}"
        return f"write{letter} {address:#x} {value:#x}"

    def ring_state(self, device):
        """Descriptors with plausible contents, made available, and the doorbell."""
        rng, lines = self.rng, []
        queue = rng.choice(device.queues)
        addresses = [16 << 20, RAM - 64, RAM, MMIO, queue.descriptors, queue.used, (1 << 64) - 8,
                     rng.getrandbits(26), device.common]
        for k in range(rng.randrange(1, 8)):
            flags = rng.choice([0, 1, 2, 3, 4, 5, 7, 0x80, 0x82, 0x84, 0x8001, rng.getrandbits(16)])
            words = (rng.choice(addresses), rng.choice([0, 1, 16, 48, 4096, 1 << 31, 0xffffffff]),
                     flags if rng.random() < 0.5 else rng.randrange(9), flags)
            lines.append(f"write {queue.descriptors + 16 * (k % queue.size):#x} 16 "
                         f"0x{struct.pack('<QIHH', *words).hex()}")
        index = rng.getrandbits(16) if rng.random() < 0.2 else rng.randrange(9)
        lines.append(f"write {queue.available:#x} 20 0x"
                     f"{struct.pack('<10H', 0, index, *(rng.randrange(9) for _ in range(8))).hex()}")
        lines.append(f"writew {device.capabilities[2][1] + 4 * queue.index:#x} {queue.index}")
        return lines

    def check(self, options):
        extra = []
        if "serial" in options:
            extra = ["-chardev", "null,id=n0", "-device", "virtconsole,chardev=n0", "-chardev",
                     "null,id=n1", "-device", "virtserialport,chardev=n1,name=x"]
        with seeded(self) as self.rng, \
             Duodm("-display", "none", "-no-shutdown", "-m", "64", "-device", options + ",addr=5",
                   *extra, qtest=True, timeout=60) as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            done = 0
            while done < ACCESSES:
                device.arena = virtio.Arena(vm.qtest)
                device.bus_master(True)
                device.start(sizes={n: 8 for n in range(8)}, vectors=self.rng.random() < 0.5,
                             without=self.rng.choice([0, 1 << 28, 1 << 29, 3 << 28]))
                commands = []
                for _ in range(200):
                    if self.rng.random() < 0.3:
                        commands += self.ring_state(device)
                    else:
                        commands.append(self.one_access(device))
                if self.rng.random() < 0.1:
                    commands.append("clock_step 1000000000")
                vm.qtest.batch(commands)
                done += len(commands)
            device.arena = virtio.Arena(vm.qtest)
            device.bus_master(True)
            device.start()
            self.assertFalse(device.status() & NEEDS_RESET)
            self.assertEqual(vm.quit(), 0)


for _number, _options in enumerate(DEVICES):
    setattr(Random, f"test_{_number}_{_options.split(',')[0].replace('-', '_')}",
            lambda self, options=_options: self.check(options))


if __name__ == "__main__":
    unittest.main()
