# SPDX-License-Identifier: GPL-2.0-or-later
"""Board microvm on tcg: Debian's cloud kernel with virtio over MMIO, with ACPI and without."""
import os
import tempfile
import unittest

from duodm import Duodm
from kernels import initramfs_with, kernel

PROMPT = rb"duodm-guest# "


class MicroVM(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.initramfs = os.path.join(cls.folder.name, "initramfs.gz")
        initramfs_with(cls.initramfs, "cloud", ["virtio_mmio", "virtio-rng"])

    def boot(self, machine, *options):
        return Duodm("-M", machine, "-accel", "tcg", "-m", "256", "-display", "none",
                     "-kernel", kernel("cloud"), "-initrd", self.initramfs,
                     "-append", "console=ttyS0 quiet panic=-1", "-device", "virtio-rng-device",
                     *options, serial=True, timeout=240)

    def check_rng(self, vm):
        vm.serial.expect(PROMPT)
        vm.serial.write("cat /sys/class/misc/hw_random/rng_current;"
                        " echo bytes=$(head -c 64 /dev/hwrng | wc -c)=\n")
        vm.serial.expect(rb"virtio_rng")
        vm.serial.expect(rb"bytes=64=")
        vm.serial.expect(PROMPT)

    def test_acpi(self):
        with self.boot("microvm", "-smp", "2") as vm:
            self.check_rng(vm)
            vm.serial.write("echo cpus=$(nproc) pci=$(ls /sys/bus/pci/devices | wc -l)=;"
                            " grep virtio0 /proc/interrupts\n")
            vm.serial.expect(rb"cpus=2 pci=0=")
            vm.serial.expect(rb"IO-APIC +16-fasteoi +virtio0")
            vm.serial.write("reboot\n")
            vm.qmp.wait_event("RESET")
            vm.serial.expect(rb"DUODM-GUEST-UP")
            self.check_rng(vm)
            vm.serial.write("poweroff\n")
            self.assertEqual(vm.wait(), 0, vm.stderr())

    def test_without_acpi(self):
        """The kernel's command line says where the device is; a reset goes through real mode."""
        with self.boot("microvm,acpi=off", "-no-reboot") as vm:
            vm.serial.expect(PROMPT)
            vm.serial.write("cat /proc/cmdline\n")
            vm.serial.expect(rb"virtio_mmio.device=512@0xfeb00000:5")
            vm.serial.expect(PROMPT)
            vm.serial.write("reboot -f\n")
            self.assertEqual(vm.wait(), 0, vm.stderr())
