# SPDX-License-Identifier: GPL-2.0-or-later
"""Unmodified Debian kernels with intel_iommu=on, their disk behind the IOMMU, on tcg."""
import os
import shutil
import tempfile
import unittest

from duodm import Duodm
from kernels import initramfs_with, kernel

BOOT = 240  # seconds: the limit of a hang, not an aim
UP = rb"DUODM-GUEST-UP (\S+) ([0-9.]+)"
PROMPT = rb"duodm-guest# "
# What was written, and thrown out of the guest's cache, is read again.
CHECK = ("dd if=/dev/urandom of=/tmp/a bs=64k count=64 2>/dev/null; "
         "dd if=/tmp/a of=/dev/vda bs=64k 2>/dev/null; sync; echo 3 > /proc/sys/vm/drop_caches; "
         "dd if=/dev/vda bs=64k count=64 2>/dev/null | cmp - /tmp/a && echo SA''ME\n")


class Linux(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="duodm-vtd-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.initrd = initramfs_with(os.path.join(cls.folder, "initrd.gz"), "full",
                                    ("virtio_pci", "virtio_blk", "virtio_net"))
        cls.image = os.path.join(cls.folder, "disk.img")
        with open(cls.image, "wb") as file:
            file.truncate(16 << 20)

    def boot(self, append, *options, iommu="intel-iommu", cpus=4):
        return Duodm("-accel", "tcg", "-m", "512", "-smp", str(cpus), "-display", "none", "-device",
                     iommu, "-kernel", kernel("full"), "-initrd", self.initrd, "-append",
                     "console=ttyS0 panic=-1 intel_iommu=on " + append, "-drive",
                     f"if=none,id=d,format=raw,file={self.image}", "-device",
                     "virtio-blk-pci,drive=d,iommu_platform=on", "-netdev", "user,id=n", "-device",
                     "virtio-net-pci,netdev=n,iommu_platform=on", *options, serial=True,
                     timeout=BOOT)

    def exercise(self, vm, policy):
        """Boot messages as they should be, the disk right, no DMA fault."""
        vm.serial.expect(rb"DMAR: IOMMU enabled")
        vm.serial.expect(rb"Enabled IRQ remapping in x2apic mode")
        vm.serial.expect(policy)
        vm.serial.expect(UP)
        vm.serial.expect(PROMPT)
        vm.serial.write(CHECK)
        vm.serial.expect(rb"SAME\r")
        vm.serial.write("ip link set eth0 up && udhcpc -i eth0 -n -q -s /bin/true && echo LEA''SED\n")
        vm.serial.expect(rb"LEASED\r")
        vm.serial.write("grep -c IR- /proc/interrupts; dmesg | grep -c 'DMAR.*fault'; echo DO''NE\n")
        lines = vm.serial.expect(rb"(\d+)\r\n(\d+)\r\nDONE\r")
        self.assertGreater(int(lines[1]), 4)
        self.assertEqual(int(lines[2]), 0)

    def test_lazy_and_after_reboot(self):
        with self.boot("") as vm:
            self.exercise(vm, rb"TLB invalidation policy: lazy mode")
            vm.serial.write("reboot\n")
            self.exercise(vm, rb"TLB invalidation policy: lazy mode")
            vm.serial.write("poweroff\n")
            self.assertEqual(vm.wait(), 0, vm.stderr())

    def test_strict_with_caching_mode(self):
        with self.boot("iommu.strict=1", iommu="intel-iommu,caching-mode=on,aw-bits=39") as vm:
            self.exercise(vm, rb"TLB invalidation policy: strict mode")
            vm.serial.write("poweroff\n")
            self.assertEqual(vm.wait(), 0, vm.stderr())

    def test_pass_through(self):
        with self.boot("iommu=pt") as vm:
            self.exercise(vm, rb"Default domain type: Passthrough")
            vm.serial.write("poweroff\n")
            self.assertEqual(vm.wait(), 0, vm.stderr())


if __name__ == "__main__":
    unittest.main()
