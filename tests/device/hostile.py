# SPDX-License-Identifier: GPL-2.0-or-later
"""Random accesses to all registers over the test port: duodm answers each, and goes on answering."""
import os
import unittest

from duodm import Duodm
from seed import seeded

COUNT = int(os.environ.get("DUODM_TEST_ACCESSES", "200000"))
BATCH = 500
PORTS = [(0x00, 0x100), (0x170, 8), (0x1f0, 8), (0x2e8, 8), (0x2f8, 8), (0x378, 8), (0x3e8, 8),
         (0x3f0, 16), (0x402, 1), (0x4d0, 2), (0x510, 12), (0x600, 64), (0xafe0, 16), (0xcf8, 8),
         (0x2000, 24), (0x0, 0x10000)]
WINDOWS = [(0xfec00000, 0x1000), (0xfed00000, 0x400), (0xfee00000, 0x1000), (0xff000000, 0x10000),
           (0xfe000000, 0x1000000), (0xe0000000, 0x1000), (0xa0000, 0x60000), (0, 1 << 33),
           (0, 1 << 64)]


class Registers(unittest.TestCase):
    def one(self, rng):
        kind = rng.random()
        value = rng.choice([0, 1, 0xff, rng.getrandbits(8), rng.getrandbits(32), rng.getrandbits(64)])
        if kind < 0.1:  # a PCI configuration cycle's address
            return f"outl 0xcf8 {0x80000000 | rng.getrandbits(13) & ~3:#x}"
        if kind < 0.55:
            base, size = rng.choice(PORTS)
            port = min(base + rng.randrange(size), 0xffff)
            letter, bits = rng.choice([("b", 8), ("w", 16), ("l", 32)])
            if rng.random() < 0.3:
                return f"in{letter} {port:#x}"
            return f"out{letter} {port:#x} {value & (1 << bits) - 1:#x}"
        base, size = rng.choice(WINDOWS)
        address = (base + rng.randrange(size)) & (1 << 64) - 8
        letter, bits = rng.choice([("b", 8), ("w", 16), ("l", 32), ("q", 64)])
        if rng.random() < 0.3:
            return f"read{letter} {address:#x}"
        return f"write{letter} {address:#x} {value & (1 << bits) - 1:#x}"

    def test_random_accesses(self):
        with seeded(self) as rng, \
             Duodm("-display", "none", "-no-shutdown", "-m", "32", "-device", "pc-testdev",
                   "-device", "pci-testdev", "-serial", "null", "-serial", "file:@/serial",
                   qtest=True, timeout=60) as vm:
            for _ in range(0, COUNT, BATCH):
                commands = [self.one(rng) for _ in range(BATCH)]
                commands.append(f"clock_step {rng.randrange(50_000_000)}")
                vm.qtest.batch(commands)
            self.assertIn("memory", vm.qmp.human("info mtree -f"))
            self.assertIn("devices", vm.qmp.execute("query-pci")[0])
            self.assertEqual(vm.quit(), 0)
