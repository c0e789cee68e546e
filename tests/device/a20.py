# SPDX-License-Identifier: GPL-2.0-or-later
"""The A20 gate: its two ways in, what reads back, what a reset does, what the monitor shows."""
import unittest

from duodm import Duodm


class Gate(unittest.TestCase):
    def output_port(self, qtest):
        qtest.outb(0x64, 0xd0)
        return qtest.inb(0x60)

    def test_open_after_reset(self):
        with Duodm(qtest=True) as vm:
            self.assertEqual(vm.qtest.inb(0x92), 2)
            self.assertEqual(self.output_port(vm.qtest) & 2, 2)
            vm.qtest.outb(0x92, 0)
            self.assertEqual(vm.qtest.inb(0x92), 0)
            vm.qmp.execute("system_reset")
            vm.qmp.wait_event("RESET")
            self.assertEqual(vm.qtest.inb(0x92), 2)

    def test_keyboard_controller_moves_the_same_gate(self):
        with Duodm(qtest=True) as vm:
            vm.qtest.outb(0x64, 0xdd)
            self.assertEqual(vm.qtest.inb(0x92), 0)
            vm.qtest.outb(0x64, 0xd1)
            vm.qtest.outb(0x60, 0xdf)
            self.assertEqual(vm.qtest.inb(0x92), 2)

    def test_monitor_shows_it(self):
        with Duodm("-accel", "tcg", "-S", "-display", "none") as vm:
            self.assertIn("A20=1", vm.qmp.human("info registers"))
