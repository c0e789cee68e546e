# SPDX-License-Identifier: GPL-2.0-or-later
"""-nographic and mon:stdio: serial port and monitor on one terminal, and the terminal's modes."""

import os
import pty
import signal
import subprocess
import termios
import time
import unittest

from duodm import BINARY, SLOWER, Duodm, Stream

COM1 = 0x3F8


class Terminal(unittest.TestCase):
    def start(self, *arguments, defaults=True):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.vm = Duodm(*arguments, qtest=True, defaults=defaults, stdin=self.slave,
                        stdout=self.slave)
        self.addCleanup(self.finish)
        self.tty = Stream(self.master)

    def finish(self):
        self.vm.close()
        os.close(self.master)
        os.close(self.slave)

    def assertRestored(self):
        self.assertEqual(termios.tcgetattr(self.slave), self.before)

    def put(self, data):
        for byte in data:
            self.vm.qtest.outb(COM1, byte)


class Mux(Terminal):
    def setUp(self):
        self.start("-nographic")

    def test_serial_first(self):
        self.put(b"hello\r\n")
        self.tty.expect("hello\r+\n")
        self.vm.qtest.intercept()
        self.vm.qtest.outb(COM1 + 1, 1)
        self.tty.write(b"k")
        self.vm.qtest.wait_irq(4, True)
        self.assertEqual(self.vm.qtest.inb(COM1), ord("k"))

    def test_switch_to_the_monitor_and_back(self):
        self.tty.write(b"\x01c")
        self.tty.expect(r"\(duodm\) ")
        self.tty.write(b"info status\r")
        self.tty.expect(r"VM status: running\r+\n\(duodm\) ")
        self.tty.write(b"\x01c")
        self.vm.qtest.intercept()
        self.vm.qtest.outb(COM1 + 1, 1)
        self.tty.write(b"z")
        self.vm.qtest.wait_irq(4, True)
        self.assertEqual(self.vm.qtest.inb(COM1), ord("z"))

    def test_line_editing(self):
        self.tty.write(b"\x01c")
        self.tty.expect(r"\(duodm\) ")
        self.tty.write(b"junk\x15info statuss\x7f\r")
        self.tty.expect(r"VM status: running")
        self.tty.write(b"\x1b[A\r")
        self.tty.expect(r"info status\r+\nVM status: running")
        self.tty.write(b"\x1b[5~nonsense\r\n")
        self.tty.expect(r"Error: there is no 'nonsense'")

    def test_quit(self):
        self.tty.write(b"\x01x")
        self.assertEqual(self.vm.wait(), 0)
        self.tty.expect("terminated")
        self.assertRestored()

    def test_quit_though_the_guest_takes_no_input(self):
        self.tty.write(b"a" * 4000)
        self.tty.write(b"b" * 3000)
        self.tty.write(b"\x01x")
        self.assertEqual(self.vm.wait(), 0)

    def test_escape_twice_sends_it(self):
        self.vm.qtest.intercept()
        self.vm.qtest.outb(COM1 + 1, 1)
        self.tty.write(b"\x01\x01")
        self.vm.qtest.wait_irq(4, True)
        self.assertEqual(self.vm.qtest.inb(COM1), 1)

    def test_break(self):
        self.vm.qtest.intercept()
        self.vm.qtest.outb(COM1 + 1, 4)
        self.tty.write(b"\x01b")
        self.vm.qtest.wait_irq(4, True)
        self.assertEqual(self.vm.qtest.inb(COM1 + 5) & 0x11, 0x11)

    def test_help(self):
        self.tty.write(b"\x01h")
        self.tty.expect("Ctrl-A x")

    def test_interrupt_key_goes_to_the_guest(self):
        self.vm.qtest.intercept()
        self.vm.qtest.outb(COM1 + 1, 1)
        self.tty.write(b"\x03")
        self.vm.qtest.wait_irq(4, True)
        self.assertEqual(self.vm.qtest.inb(COM1), 3)


class Defaults(Terminal):
    def test_serial_and_monitor_without_any_option(self):
        """The QMP monitor of the test counts as one: so it is asked for here by hand."""
        master, slave = pty.openpty()
        process = subprocess.Popen([BINARY, "-accel", "qtest"], stdin=slave, stdout=slave,
                                   stderr=subprocess.PIPE, start_new_session=True)
        tty = Stream(master)
        tty.write(b"\x01cinfo chardev\r")
        tty.expect("serial0: filename=stdio")
        tty.write(b"quit\r")
        self.assertEqual(process.wait(10 * SLOWER), 0)
        process.stderr.close()
        os.close(master)
        os.close(slave)


class Modes(unittest.TestCase):
    """With the terminal as the controlling one, as a shell has it."""

    def start(self, *arguments):
        """A leader of its own session in between plays the shell."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        before = termios.tcgetattr(slave)

        def control():
            os.setsid()
            import fcntl
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        # A sanitizer would take the fatal signals for itself.
        plain = {name: os.environ.get(name, "") + ":handle_segv=0:handle_abort=0"
                 for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS")}
        process = subprocess.Popen([BINARY, "-accel", "qtest", *arguments], stdin=slave,
                                   stdout=slave, stderr=subprocess.PIPE, preexec_fn=control,
                                   env={**os.environ, **plain})
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        return process, Stream(master), slave, before

    def wait_raw(self, slave, raw=True):
        deadline = time.monotonic() + 10 * SLOWER
        while bool(termios.tcgetattr(slave)[3] & termios.ICANON) == raw:
            self.assertLess(time.monotonic(), deadline)

    def test_raw_and_back_on_each_way_out(self):
        for number, status in ((signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 0),
                               (signal.SIGABRT, -signal.SIGABRT), (signal.SIGSEGV, None)):
            with self.subTest(signal=number):
                process, tty, slave, before = self.start("-nographic")
                tty.write(b"\x01c")
                tty.expect(r"\(duodm\) ")
                self.wait_raw(slave)
                process.send_signal(number)
                got = process.wait(10 * SLOWER)
                if status is not None:
                    self.assertEqual(got, status)
                else:
                    self.assertNotEqual(got, 0)
                after = termios.tcgetattr(slave)
                self.assertEqual(after, before)

    def test_failed_start_leaves_the_terminal(self):
        process, _, slave, before = self.start("-nographic", "-device", "isa-serial,irq=77")
        self.assertEqual(process.wait(10 * SLOWER), 1)
        self.assertEqual(termios.tcgetattr(slave), before)

    def test_ctrl_c_with_plain_stdio(self):
        process, tty, slave, before = self.start("-nodefaults", "-monitor", "stdio")
        tty.expect(r"\(duodm\) ")
        tty.write(b"\x03")
        self.assertEqual(process.wait(10 * SLOWER), 0)
        self.assertEqual(termios.tcgetattr(slave), before)

    def test_stop_and_continue(self):
        process, tty, slave, before = self.start("-nographic")
        tty.write(b"\x01c")
        tty.expect(r"\(duodm\) ")
        termios.tcsetattr(slave, termios.TCSANOW, before)  # as a shell does after a stop
        process.send_signal(signal.SIGCONT)
        self.wait_raw(slave)
        tty.write(b"quit\r")
        self.assertEqual(process.wait(10 * SLOWER), 0)
        self.assertEqual(termios.tcgetattr(slave), before)


if __name__ == "__main__":
    unittest.main()
