# SPDX-License-Identifier: GPL-2.0-or-later
"""Unmodified Debian kernels on tcg, their disk and their network card behind an IOMMU."""
import os
import shutil
import tempfile
import unittest

from kernels import initramfs_with

BOOT = 240  # seconds: the limit of a hang, not an aim
UP = rb"DUODM-GUEST-UP (\S+) ([0-9.]+)"
PROMPT = rb"duodm-guest# "
# What was written, and thrown out of the guest's cache, is read again.
CHECK = ("dd if=/dev/urandom of=/tmp/a bs=64k count=64 2>/dev/null; "
         "dd if=/tmp/a of=/dev/vda bs=64k 2>/dev/null; sync; echo 3 > /proc/sys/vm/drop_caches; "
         "dd if=/dev/vda bs=64k count=64 2>/dev/null | cmp - /tmp/a && echo SA''ME\n")


class IommuLinux(unittest.TestCase):
    """flavour: the kernel's; modules: what its initial RAM disk has. The image is 16 MiB of nothing."""

    flavour, modules = None, ()

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="duodm-iommu-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.initrd = initramfs_with(os.path.join(cls.folder, "initrd.gz"), cls.flavour, cls.modules)
        cls.image = os.path.join(cls.folder, "disk.img")
        with open(cls.image, "wb") as file:
            file.truncate(16 << 20)

    def wait_up(self, vm):
        vm.serial.expect(UP)
        vm.serial.expect(PROMPT)

    def use_devices(self, vm):
        """The disk has what was written, the network gives a lease."""
        vm.serial.write(CHECK)
        vm.serial.expect(rb"SAME\r")
        vm.serial.write("ip link set eth0 up && udhcpc -i eth0 -n -q -s /bin/true && echo LEA''SED\n")
        vm.serial.expect(rb"LEASED\r")

    def power_off(self, vm):
        vm.serial.write("poweroff\n")
        self.assertEqual(vm.wait(), 0, vm.stderr())
