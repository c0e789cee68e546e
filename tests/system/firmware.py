# SPDX-License-Identifier: GPL-2.0-or-later
"""SeaBIOS from Debian's package runs on tcg, its output on the debug console."""
import time
import unittest

from duodm import SLOWER, Duodm
from kernels import kernel

FIRMWARE = "/usr/share/seabios/bios-256k.bin"


class SeaBios(unittest.TestCase):
    def start(self, *options):
        return Duodm("-accel", "tcg", "-display", "none", "-bios", FIRMWARE,
                     "-chardev", "file,id=fw,path=@/fw.log",
                     "-device", "isa-debugcon,iobase=0x402,chardev=fw", *options, timeout=60)

    def wait_for(self, vm, text):
        """The firmware's log is a file: look again at each event of the machine's serial port."""
        deadline = time.monotonic() + 120 * SLOWER
        while time.monotonic() < deadline:
            with open(vm.path("fw.log"), "rb") as file:
                log = file.read()
            if text in log:
                return log
            vm.qmp.execute("query-status")
        self.fail(f"the firmware did not print {text!r}; it printed {log[-2000:]!r}")

    def test_to_the_end_without_a_disk(self):
        with self.start() as vm:
            log = self.wait_for(vm, b"No bootable device")
            self.assertIn(b"SeaBIOS (version", log)
            self.assertIn(b"e820 map has", log)
            self.assertIn(b"ACPI", log)
            self.assertEqual(vm.quit(), 0)

    def test_boot_menu(self):
        """Asked for on the serial port, which the firmware uses where there is no display."""
        with Duodm("-accel", "tcg", "-display", "none", "-bios", FIRMWARE, "-boot", "menu=on",
                   serial=True, timeout=60) as vm:
            vm.serial.expect(rb"Press ESC for boot menu")
            vm.serial.write(b"\x1b\x1b")
            vm.serial.expect(rb"Select boot device:")
            self.assertEqual(vm.quit(), 0)

    def test_sees_all_processors_and_memory(self):
        with self.start("-smp", "3", "-m", "5G") as vm:
            log = self.wait_for(vm, b"No bootable device")
            self.assertIn(b"Found 3 cpu(s) max supported 3 cpu(s)", log)
            self.assertIn(b"0000000100000000 - 0000000160000000 = 1 RAM", log)
            self.assertEqual(vm.quit(), 0)

    def test_starts_a_kernel(self):
        """With -kernel: by an option ROM, which takes the boot interrupt."""
        with Duodm("-accel", "tcg", "-display", "none", "-bios", FIRMWARE, "-m", "256",
                   "-kernel", kernel("cloud"), "-append", "console=ttyS0 panic=-1", "-no-reboot",
                   serial=True, timeout=120) as vm:
            vm.serial.expect(rb"SeaBIOS")
            vm.serial.expect(rb"Linux version")
            vm.serial.expect(rb"VFS: Unable to mount root fs")
            self.assertEqual(vm.wait(), 0)
