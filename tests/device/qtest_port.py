# SPDX-License-Identifier: GPL-2.0-or-later
"""The test port itself."""

import os
import unittest

from duodm import Duodm
from qtest import QTestError


class Port(unittest.TestCase):
    def setUp(self):
        self.vm = Duodm("-qtest-log", "@/log", "-serial", "null", qtest=True)
        self.addCleanup(self.vm.__exit__, None, None, None)
        self.qtest = self.vm.qtest

    def test_memory(self):
        for store, load, value in (
                (self.qtest.writeb, self.qtest.readb, 0x12),
                (self.qtest.writew, self.qtest.readw, 0x1234),
                (self.qtest.writel, self.qtest.readl, 0x12345678),
                (self.qtest.writeq, self.qtest.readq, 0x123456789ABCDEF0)):
            store(0x1001, value)
            self.assertEqual(load(0x1001), value)

    def test_blocks(self):
        data = os.urandom(100000)
        self.qtest.write(0xFFF, data)
        self.assertEqual(self.qtest.read(0xFFF, len(data)), data)
        self.qtest.memset(0x1000, 0x2000, 0xA5)
        self.assertEqual(self.qtest.read(0x1000, 0x2001), b"\xa5" * 0x2000 + data[0x2001:0x2002])
        self.qtest.command("b64write 0x5000 3 AQID")
        self.assertEqual(self.qtest.command("b64read 0x5000 3"), "AQID")

    def test_ports(self):
        self.qtest.outb(0x3FF, 0x77)
        self.assertEqual(self.qtest.inb(0x3FF), 0x77)
        self.assertEqual(self.qtest.inl(0x9000), 0xFFFFFFFF)

    def test_endianness(self):
        self.assertEqual(self.qtest.command("endianness"), "little")

    def test_clock(self):
        self.assertEqual(self.qtest.clock_set(1000), 1000)
        self.assertEqual(self.qtest.clock_step(500), 1500)
        now = self.qtest.clock_step()
        self.assertGreaterEqual(now, 1500)
        with self.assertRaises(QTestError):
            self.qtest.clock_set(1)
        with self.assertRaises(QTestError):
            self.qtest.clock_step(1 << 63)

    def test_interrupts(self):
        self.qtest.intercept("/machine/chipset/ioapic")
        self.qtest.outb(0x3F9, 2)
        self.assertEqual(self.qtest.edges, [("raise", 4)])
        self.qtest.intercept("i8259")  # again: heard once all the same
        self.qtest.inb(0x3FA)
        self.assertEqual(self.qtest.edges, [("raise", 4), ("lower", 4)])

    def test_hostile_lines(self):
        for line in ("nonsense", "inb", "inb 1 2", "inb x", "inb -1", "inb 0x10000", "outb 1 256",
                     "outw 1 0x10000", "outl 1 0x100000000", "writeb 0 999", "readq zz",
                     "read 0 0", "read 0 -1", "read 0 0xffffffffffffffff", "read 0 99999999999",
                     "read 0xffffffffffffffff 2", "write 0 4 0x1122", "write 0 2 0xzzzz",
                     "write 0 2 1122", "b64write 0 4 AQID", "b64write 0 4 %%%%", "memset 0 0 0",
                     "memset 0 1 256", "irq_intercept_in", "irq_intercept_in nowhere",
                     "irq_intercept_out pic", "clock_step x", "clock_set", "clock_set -1",
                     "inb 99999999999999999999999999", "\x01\x02", "inb\x00 1", "é"):
            with self.subTest(line=line):
                self.qtest.raw(line.encode() + b"\n")
                self.assertTrue(self.qtest.reply().startswith("FAIL "), line)
                self.assertEqual(self.qtest.command("endianness"), "little")

    def test_split_joined_and_empty_lines(self):
        for byte in b"endianness\n":
            self.qtest.raw(bytes([byte]))
        self.assertEqual(self.qtest.reply(), "OK little")
        self.qtest.raw(b"\n\r\n  \nendianness\r\nendianness\n")
        self.assertEqual(self.qtest.reply(), "OK little")
        self.assertEqual(self.qtest.reply(), "OK little")

    def test_unmapped_memory(self):
        self.assertEqual(self.qtest.readl(0xF0000000), 0xFFFFFFFF)
        self.qtest.writel(0xF0000000, 0)
        self.assertEqual(self.qtest.read(0xF0000000, 8), b"\xff" * 8)
        self.qtest.readq(0xFFFFFFFFFFFFFFFC)
        self.qtest.memset(0xF0000000, 1 << 31, 0)

    def test_log(self):
        self.qtest.command("endianness")
        with open(self.vm.path("log"), encoding="utf-8") as file:
            text = file.read()
        self.assertRegex(text, r"\[R \+[0-9.]+\] endianness\n\[S \+[0-9.]+\] OK little\n")


class TooLong(unittest.TestCase):
    def test_line_without_end(self):
        with Duodm(qtest=True) as vm:
            for _ in range(41 * 16):
                vm.qtest.raw(b"a" * 65536)
            vm.qtest.raw(b"\nendianness\n")
            self.assertEqual(vm.qtest.reply(), "FAIL the line is too long")
            self.assertEqual(vm.qtest.reply(), "OK little")


if __name__ == "__main__":
    unittest.main()
