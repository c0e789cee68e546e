# SPDX-License-Identifier: GPL-2.0-or-later
"""The 16550A, register by register (National Semiconductor PC16550D)."""

import unittest

from duodm import Duodm

COM1 = 0x3F8
RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR = range(COM1, COM1 + 8)
THR, FCR, DLL, DLM = RBR, IIR, RBR, IER
IRQ = 4

THRE_TEMT = 0x60
FIFO_ON = 0x01
LOOPBACK = 0x10


class Serial(unittest.TestCase):
    def setUp(self):
        self.vm = Duodm(qtest=True, serial=True)
        self.addCleanup(self.vm.__exit__, None, None, None)
        self.qtest = self.vm.qtest
        self.line = self.vm.serial
        self.qtest.intercept()

    def set(self, register, value):
        self.qtest.outb(register, value)

    def get(self, register):
        return self.qtest.inb(register)

    def receive(self, data, irq=True):
        """Send to the guest's port, and know that it has arrived: by its interrupt."""
        if irq:
            self.set(IER, 1)
        self.line.write(data)
        self.qtest.wait_irq(IRQ, True)

    def test_reset_values(self):
        self.assertEqual(self.get(IER), 0)
        self.assertEqual(self.get(IIR), 0x01)
        self.assertEqual(self.get(LCR), 0)
        self.assertEqual(self.get(MCR), 0)
        self.assertEqual(self.get(LSR), THRE_TEMT)
        self.assertEqual(self.get(MSR) & 0x0F, 0)

    def test_scratch_and_divisor_latch(self):
        self.set(SCR, 0x5A)
        self.assertEqual(self.get(SCR), 0x5A)
        self.set(LCR, 0x83)
        self.set(DLL, 0x34)
        self.set(DLM, 0x12)
        self.assertEqual((self.get(DLL), self.get(DLM)), (0x34, 0x12))
        self.set(LCR, 0x03)
        self.assertEqual(self.get(IER), 0)
        self.assertEqual(self.get(LSR), THRE_TEMT)

    def test_reserved_bits_read_zero(self):
        self.set(IER, 0xFF)
        self.assertEqual(self.get(IER), 0x0F)
        self.set(MCR, 0xFF)
        self.assertEqual(self.get(MCR), 0x1F)

    def test_transmits(self):
        for byte in b"hello":
            self.set(THR, byte)
        self.assertEqual(self.line.read_exactly(5), b"hello")
        self.assertEqual(self.get(LSR), THRE_TEMT)

    def test_16_bit_access_is_two_of_8_bits(self):
        self.set(LCR, 0x80)
        self.qtest.outw(DLL, 0x1234)
        self.assertEqual(self.qtest.inw(DLL), 0x1234)

    def test_receives(self):
        self.receive(b"x")
        self.assertEqual(self.get(IIR), 0x04)
        self.assertEqual(self.get(LSR), THRE_TEMT | 1)
        self.assertEqual(self.get(RBR), ord("x"))
        self.assertEqual(self.get(LSR), THRE_TEMT)
        self.assertEqual(self.get(IIR), 0x01)
        self.assertFalse(self.qtest.irq(IRQ))

    def test_nothing_is_lost_without_fifo(self):
        data = bytes(range(256))
        self.set(IER, 1)
        self.line.write(data)
        got = b""
        for _ in data:
            self.qtest.wait_irq(IRQ, True)
            got += bytes([self.get(RBR)])
        self.assertEqual(got, data)

    def test_fifo_trigger_levels(self):
        for code, level in ((0, 1), (1, 4), (2, 8), (3, 14)):
            self.set(FCR, code << 6 | 7)
            self.set(MCR, LOOPBACK)
            self.set(IER, 1)
            for count in range(1, level + 1):
                self.set(THR, count)
                self.assertEqual(self.get(IIR) & 0x0F, 0x04 if count == level else 0x01,
                                 f"level {level}, {count} characters")
            self.assertEqual(self.get(IIR) & 0xC0, 0xC0)

    def test_interrupt_falls_below_trigger_level(self):
        self.set(FCR, 1 << 6 | 7)
        self.set(MCR, LOOPBACK)
        self.set(IER, 1)
        for value in range(4):
            self.set(THR, value)
        self.assertEqual(self.get(IIR) & 0x0F, 0x04)
        self.get(RBR)
        self.assertEqual(self.get(IIR) & 0x0F, 0x01)

    def test_character_timeout(self):
        self.set(LCR, 0x83)
        self.set(DLL, 1)  # 115200 baud, 10 bits: 86.8 us a character
        self.set(DLM, 0)
        self.set(LCR, 0x03)
        self.set(FCR, 2 << 6 | 7)
        self.set(MCR, LOOPBACK)
        self.set(IER, 1)
        self.set(THR, 0x41)
        self.qtest.clock_step(340_000)
        self.assertEqual(self.get(IIR) & 0x0F, 0x01)
        self.qtest.clock_step(10_000)
        self.assertEqual(self.get(IIR) & 0x0F, 0x0C)
        self.assertTrue(self.qtest.irq(IRQ))
        self.assertEqual(self.get(RBR), 0x41)
        self.assertEqual(self.get(IIR) & 0x0F, 0x01)
        self.assertFalse(self.qtest.irq(IRQ))

    def test_thre_interrupt(self):
        self.set(IER, 2)  # enabling it while THR is empty raises it
        self.assertTrue(self.qtest.irq(IRQ))
        self.assertEqual(self.get(IIR), 0x02)  # reading IIR clears it
        self.assertFalse(self.qtest.irq(IRQ))
        self.assertEqual(self.get(IIR), 0x01)
        self.set(THR, ord("a"))
        self.assertTrue(self.qtest.irq(IRQ))
        self.qtest.edges.clear()
        self.set(THR, ord("b"))  # a write clears it; being sent raises it: a new edge
        self.assertEqual(self.qtest.edges, [("lower", IRQ), ("raise", IRQ)])

    def test_iir_read_keeps_thre_if_it_is_not_the_source(self):
        self.set(IER, 7)
        self.set(MCR, LOOPBACK)
        self.set(THR, 1)
        self.set(THR, 2)  # overrun: line status comes first
        self.assertEqual(self.get(IIR), 0x06)
        self.assertEqual(self.get(LSR) & 0x02, 0x02)
        self.assertEqual(self.get(IIR), 0x04)
        self.assertEqual(self.get(RBR), 2)
        self.assertEqual(self.get(IIR), 0x02)
        self.assertEqual(self.get(IIR), 0x01)

    def test_overrun_keeps_fifo(self):
        self.set(FCR, 7)
        self.set(MCR, LOOPBACK)
        for value in range(17):
            self.set(THR, value)
        self.assertEqual(self.get(LSR) & 0x03, 0x03)
        self.assertEqual(self.get(LSR) & 0x03, 0x01)  # reading clears it
        self.assertEqual([self.get(RBR) for _ in range(16)], list(range(16)))
        self.assertEqual(self.get(LSR) & 0x01, 0)

    def test_fifo_clear(self):
        self.set(FCR, 7)
        self.set(MCR, LOOPBACK)
        self.set(THR, 1)
        self.set(FCR, FIFO_ON | 2)
        self.assertEqual(self.get(LSR) & 1, 0)

    def test_loopback_modem_lines(self):
        self.assertEqual(self.get(MSR), 0xB0)
        self.set(MCR, LOOPBACK)
        self.get(MSR)
        for output, status, delta in ((0x01, 0x20, 0x02), (0x02, 0x10, 0x01), (0x08, 0x80, 0x08)):
            self.set(MCR, LOOPBACK | output)
            self.assertEqual(self.get(MSR), status | delta)
            self.set(MCR, LOOPBACK)
            self.assertEqual(self.get(MSR), delta)
        self.set(MCR, LOOPBACK | 0x04)  # RI: only its trailing edge is told
        self.assertEqual(self.get(MSR), 0x40)
        self.set(MCR, LOOPBACK)
        self.assertEqual(self.get(MSR), 0x04)

    def test_modem_status_interrupt(self):
        self.set(IER, 8)
        self.set(MCR, LOOPBACK)
        self.assertTrue(self.qtest.irq(IRQ))
        self.assertEqual(self.get(IIR), 0x00)
        self.get(MSR)
        self.assertFalse(self.qtest.irq(IRQ))

    def test_loopback_sends_nothing_out(self):
        self.set(MCR, LOOPBACK)
        self.set(THR, ord("n"))
        self.set(MCR, 0)
        self.set(THR, ord("y"))
        self.assertEqual(self.line.read_exactly(1), b"y")

    def test_break_in_loopback(self):
        self.set(MCR, LOOPBACK)
        self.set(IER, 4)
        self.set(LCR, 0x43)
        self.assertEqual(self.get(IIR), 0x06)
        self.assertEqual(self.get(LSR) & 0x11, 0x11)
        self.assertEqual(self.get(IIR), 0x01)
        self.assertEqual(self.get(RBR), 0)

    def test_reset(self):
        self.set(FCR, 7)
        self.set(IER, 2)
        self.set(LCR, 0x83)
        self.vm.qmp.execute("system_reset")
        self.vm.qmp.wait_event("RESET")
        self.test_reset_values()
        self.assertFalse(self.qtest.irq(IRQ))


class BackPressure(unittest.TestCase):
    def test_peer_that_does_not_read(self):
        """THRE stays clear while the other side takes nothing, and nothing is lost."""
        with Duodm(qtest=True, serial=True) as vm:
            sent = 0
            while vm.qtest.inb(LSR) & 0x20 and sent < 1 << 20:
                for _ in range(64):
                    vm.qtest.outb(THR, sent & 0xFF)
                    sent += 1
                    if not vm.qtest.inb(LSR) & 0x20:
                        break
            self.assertFalse(vm.qtest.inb(LSR) & 0x20, "a bounded queue fills up")
            data = vm.serial.read_exactly(sent)
            self.assertEqual(data, bytes(i & 0xFF for i in range(sent)))
            self.assertTrue(vm.qtest.inb(LSR) & 0x20)


class Ports(unittest.TestCase):
    def test_four_ports(self):
        arguments = []
        for index in range(4):
            arguments += ["-chardev", f"file,id=f{index},path=@/out{index}",
                          "-serial", f"chardev:f{index}"]
        with Duodm(*arguments, qtest=True) as vm:
            for base, letter in ((0x3F8, b"1"), (0x2F8, b"2"), (0x3E8, b"3"), (0x2E8, b"4")):
                vm.qtest.outb(base, letter[0])
            for index in range(4):
                with open(vm.path(f"out{index}"), "rb") as file:
                    self.assertEqual(file.read(), b"%d" % (index + 1))

    def test_device_option(self):
        with Duodm("-chardev", "file,id=f,path=@/out", "-device",
                   "isa-serial,chardev=f,iobase=0x1000,irq=10", qtest=True) as vm:
            vm.qtest.intercept()
            vm.qtest.outb(0x1000, ord("x"))
            vm.qtest.outb(0x1001, 2)
            self.assertTrue(vm.qtest.irq(10))
            with open(vm.path("out"), "rb") as file:
                self.assertEqual(file.read(), b"x")

    def test_debugcon(self):
        with Duodm("-chardev", "file,id=f,path=@/out", "-device", "isa-debugcon,chardev=f",
                   qtest=True) as vm:
            self.assertEqual(vm.qtest.inb(0xE9), 0xE9)
            for byte in b"log":
                vm.qtest.outb(0xE9, byte)
            with open(vm.path("out"), "rb") as file:
                self.assertEqual(file.read(), b"log")


if __name__ == "__main__":
    unittest.main()
