# SPDX-License-Identifier: GPL-2.0-or-later
"""-rtc base= sets the time that the guest reads from the real-time clock."""
import time
import unittest

from duodm import Duodm, run


class Base(unittest.TestCase):
    def read(self, vm, index):
        vm.qtest.outb(0x70, index)
        value = vm.qtest.inb(0x71)
        return (value >> 4) * 10 + (value & 15)

    def date(self, vm):
        return tuple(self.read(vm, i) for i in (0x32, 9, 8, 7, 4, 2, 0))

    def test_date(self):
        with Duodm("-rtc", "base=2001-02-03T04:05:06", qtest=True) as vm:
            self.assertEqual(self.date(vm), (20, 1, 2, 3, 4, 5, 6))
            vm.qtest.clock_step(55_000_000_000)
            self.assertEqual(self.date(vm), (20, 1, 2, 3, 4, 6, 1))

    def test_utc_is_the_default(self):
        before = time.gmtime()
        with Duodm(qtest=True) as vm:
            shown = self.date(vm)
        after = time.gmtime()
        days = {(t.tm_year // 100, t.tm_year % 100, t.tm_mon, t.tm_mday) for t in (before, after)}
        self.assertIn(shown[:4], days)

    def test_nonsense_is_refused(self):
        result = run("-rtc", "base=yesterday")
        self.assertEqual(result.returncode, 1)
        self.assertIn("yesterday", result.stderr)
