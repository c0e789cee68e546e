# SPDX-License-Identifier: GPL-2.0-or-later
"""Board microvm over the test port: its slots, power registers and tables; device trees."""
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

from duodm import Duodm, run

SLOT = 0xfeb00000
POWER = 0xfea00000
MAGIC = 0x74726976


class Slots(unittest.TestCase):
    def test_devices_take_slots_in_order(self):
        with Duodm("-M", "microvm", "-device", "virtio-rng-device", qtest=True) as vm:
            for slot in range(8):
                at = SLOT + slot * 0x200
                self.assertEqual(vm.qtest.readl(at), MAGIC)
                self.assertEqual(vm.qtest.readl(at + 4), 2)
                self.assertEqual(vm.qtest.readl(at + 8), 4 if slot == 0 else 0)
            self.assertEqual(vm.qtest.readl(SLOT + 8 * 0x200), 0xffffffff)

    def test_nine_are_too_many(self):
        result = run("-M", "microvm", "-accel", "qtest", *["-device", "virtio-rng-device"] * 9)
        self.assertEqual(result.returncode, 1)
        self.assertIn("virtio-rng-device", result.stderr)

    def test_no_pci(self):
        result = run("-M", "microvm", "-accel", "qtest", "-device", "pci-testdev")
        self.assertEqual(result.returncode, 1)
        self.assertIn("bus", result.stderr)


class Legacy(unittest.TestCase):
    def test_only_what_is_needed(self):
        with Duodm("-M", "microvm", qtest=True) as vm:
            for port in (0x20, 0x60, 0x64, 0x92, 0xcfc):
                self.assertEqual(vm.qtest.inb(port), 0xff, hex(port))
            self.assertEqual(vm.qtest.inb(0x61) & 0x0f, 0)
            vm.qtest.writeb(0xa0000, 0x5a)  # RAM all through
            self.assertEqual(vm.qtest.readb(0xa0000), 0x5a)

    def test_options(self):
        with Duodm("-M", "microvm,pic=on,pit=off,rtc=off,isa-serial=off", qtest=True) as vm:
            self.assertNotEqual(vm.qtest.inb(0x21), 0xff)
            self.assertEqual(vm.qtest.inb(0x61), 0xff)
            self.assertEqual(vm.qtest.inb(0x71), 0xff)
            self.assertEqual(vm.qtest.inb(0x3fd), 0xff)
        with Duodm("-M", "microvm,acpi=off", qtest=True) as vm:
            self.assertEqual(vm.qtest.readl(POWER), 0xffffffff)

    def test_bad_options(self):
        for option, part in (("pic=maybe", "maybe"), ("pci=on", "'pic'")):
            result = run("-M", "microvm," + option, "-accel", "qtest")
            self.assertEqual(result.returncode, 1)
            self.assertIn(part, result.stderr)

    def test_two_serial_ports(self):
        with Duodm("-M", "microvm", "-serial", "null", "-serial", "null", qtest=True) as vm:
            for port in (0x3f8, 0x2f8):
                vm.qtest.outb(port + 7, 0xa5)
                self.assertEqual(vm.qtest.inb(port + 7), 0xa5)
        result = run("-M", "microvm", "-accel", "qtest", *["-serial", "null"] * 3)
        self.assertEqual(result.returncode, 1)
        self.assertIn("two serial ports", result.stderr)

    def test_needs_a_kernel(self):
        result = run("-M", "microvm", "-accel", "tcg", "-display", "none")
        self.assertEqual(result.returncode, 1)
        self.assertIn("-kernel", result.stderr)


class Power(unittest.TestCase):
    def test_off(self):
        with Duodm("-M", "microvm", qtest=True) as vm:
            vm.qtest.writeb(POWER + 4, 5 << 2)  # no SLP_EN
            self.assertEqual(vm.qmp.execute("query-status")["running"], True)
            self.assertEqual(vm.qtest.readb(POWER + 4), 5 << 2)
            vm.qtest.writeb(POWER + 4, 5 << 2 | 0x20)
            self.assertEqual(vm.wait(), 0)

    def test_reset(self):
        for write in (lambda vm: vm.qtest.writeb(POWER + 6, 0x42),
                      lambda vm: vm.qtest.outb(0xcf9, 6)):
            with Duodm("-M", "microvm", qtest=True) as vm:
                write(vm)
                vm.qmp.wait_event("RESET")

    def test_button(self):
        with Duodm("-M", "microvm", qtest=True) as vm:
            self.assertEqual(vm.qtest.readl(POWER), 0)
            vm.qmp.execute("system_powerdown")
            vm.qmp.wait_event("POWERDOWN")
            self.assertEqual(vm.qtest.readl(POWER), 1)
            self.assertEqual(vm.qtest.readl(POWER), 0)  # read once


@unittest.skipUnless(shutil.which("dtc"), "Debian's device-tree-compiler is not installed")
class Trees(unittest.TestCase):
    def dump(self, *arguments):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "machine.dtb")
            arguments = [a.replace("FILE", path) for a in arguments]
            result = run("-accel", "qtest", "-nodefaults", *arguments)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            dtc = subprocess.run(["dtc", "-I", "dtb", "-O", "dts", path], capture_output=True,
                                 text=True, check=True)
            self.assertEqual(dtc.stderr, "")  # not one warning
            return dtc.stdout

    def test_pc(self):
        text = self.dump("-M", "pc,dumpdtb=FILE", "-m", "5G", "-smp", "4", "-serial", "null",
                         "-serial", "null", "-device", "pci-testdev,addr=5")
        for part in ("memory@100000000", "serial@i2f8", 'stdout-path = "/isa/serial@i3f8"',
                     "pci-testdev@5", "interrupt-map-mask", "timer@fed00000"):
            self.assertIn(part, text)

    def test_microvm(self):
        text = self.dump("-M", "microvm,dumpdtb=FILE", "-device", "virtio-rng-device")
        self.assertIn("virtio_mmio@feb00000", text)
        self.assertNotIn("virtio_mmio@feb00200", text)
        self.assertIn("syscon-poweroff", text)
        self.assertIn("interrupts = <0x10 0x02>", text)
        text = self.dump("-M", "microvm,acpi=off,dumpdtb=FILE", "-device", "virtio-rng-device")
        self.assertIn("interrupts = <0x05 0x02>", text)
        self.assertNotIn("syscon", text)

    def test_cannot_be_written(self):
        result = run("-accel", "qtest", "-M", "pc,dumpdtb=/nonexistent/x")
        self.assertEqual(result.returncode, 1)
        self.assertIn("dumpdtb", result.stderr)

    def test_pipe(self):
        """What is no file is written to, not replaced."""
        with tempfile.TemporaryDirectory() as folder:
            for option in (("-M", "pc,dumpdtb=FILE"),
                           ("-M", "pc,dumpdmar=FILE", "-device", "intel-iommu")):
                path = os.path.join(folder, "pipe")
                os.mkfifo(path)
                pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                result = run("-accel", "qtest", "-nodefaults",
                             *[word.replace("FILE", path) for word in option])
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                self.assertIn(os.read(pipe, 4), (b"\xd0\x0d\xfe\xed", b"DMAR"))
                os.close(pipe)
                os.unlink(path)

    def test_fw_cfg_has_it(self):
        with Duodm("-M", "microvm", qtest=True) as vm:
            def read(key, length):
                vm.qtest.outw(0x510, key)
                return bytes(vm.qtest.inb(0x511) for _ in range(length))
            count = struct.unpack(">I", read(0x19, 4))[0]
            listing = read(0x19, 4 + 64 * count)[4:]
            for i in range(count):
                size, key = struct.unpack(">IH", listing[64 * i:64 * i + 6])
                if listing[64 * i + 8:].startswith(b"etc/fdt\0"):
                    blob = read(key, size)
                    self.assertEqual(struct.unpack(">II", blob[:8]), (0xd00dfeed, size))
                    return
            self.fail("no etc/fdt")
