# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's 6.12 kernel, unmodified, whose driver of virtio-iommu is a module, on tcg: its disk and its
network card behind the IOMMU."""
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
        cls.folder = tempfile.mkdtemp(prefix="duodm-viommu-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.initrd = initramfs_with(os.path.join(cls.folder, "initrd.gz"), "backports",
                                    ("virtio_iommu", "virtio_blk", "virtio_net"))
        cls.image = os.path.join(cls.folder, "disk.img")
        with open(cls.image, "wb") as file:
            file.truncate(16 << 20)

    def boot(self, append, *options, iommu="virtio-iommu-pci"):
        # Devices wait for the module of their IOMMU, on a slow machine too.
        return Duodm("-accel", "tcg", "-m", "512", "-smp", "2", "-display", "none", "-device", iommu,
                     "-kernel", kernel("backports"), "-initrd", self.initrd, "-append",
                     "console=ttyS0 panic=-1 deferred_probe_timeout=600 " + append, "-drive",
                     f"if=none,id=d,format=raw,file={self.image}", "-device",
                     "virtio-blk-pci,drive=d,iommu_platform=on,addr=5", "-netdev", "user,id=n",
                     "-device", "virtio-net-pci,netdev=n,iommu_platform=on,addr=6", *options,
                     serial=True, timeout=BOOT)

    def states(self, vm):
        return {f["address"]: f["state"] for f in vm.qmp.execute("query-iommu")[0]["functions"]}

    def exercise(self, vm, state):
        """The disk right, a lease from the network, both functions in that state, no fault."""
        vm.serial.expect(rb"virtio_iommu virtio\d: input address: (\d+) bits")
        vm.serial.expect(UP)
        vm.serial.expect(PROMPT)
        self.work(vm, state)

    def work(self, vm, state):
        vm.serial.write(CHECK)
        vm.serial.expect(rb"SAME\r")
        vm.serial.write("ip link set eth0 up && udhcpc -i eth0 -n -q -s /bin/true && echo LEA''SED\n")
        vm.serial.expect(rb"LEASED\r")
        vm.serial.write("dmesg | grep -c 'fault from EP'; echo DO''NE\n")
        self.assertEqual(int(vm.serial.expect(rb"(\d+)\r\nDONE\r")[1]), 0)
        states = self.states(vm)
        self.assertEqual((states["00:05.0"], states["00:06.0"]), (state, state))

    def test_lazy_and_after_reboot(self):
        with self.boot("") as vm:
            self.exercise(vm, "translated")
            vm.serial.write("reboot\n")
            self.exercise(vm, "translated")
            vm.serial.write("poweroff\n")
            self.assertEqual(vm.wait(), 0, vm.stderr())

    def test_strict_saved_and_loaded(self):
        """Blocked at boot; each unmap at once; and the machine goes on in another process."""
        strict = ("iommu.strict=1",)
        with self.boot(*strict, iommu="virtio-iommu-pci,boot-bypass=off,aw-bits=39") as vm:
            self.exercise(vm, "translated")
            saved = os.path.join(self.folder, "saved")
            vm.qmp.execute("migrate", uri="file:" + saved)
            while vm.qmp.execute("query-migrate")["status"] != "completed":
                pass
            before = vm.qmp.execute("query-iommu")
            self.assertEqual(vm.quit(), 0, vm.stderr())
        with self.boot(*strict, "-incoming", "file:" + saved,
                       iommu="virtio-iommu-pci,boot-bypass=off,aw-bits=39") as vm:
            while vm.qmp.execute("query-status")["status"] == "inmigrate":
                pass
            self.assertEqual([f["domain"] for f in before[0]["functions"] if "domain" in f],
                             [f["domain"] for f in vm.qmp.execute("query-iommu")[0]["functions"]
                              if "domain" in f])
            vm.serial.write("\n")
            self.work(vm, "translated")
            vm.serial.write("poweroff\n")
            self.assertEqual(vm.wait(), 0, vm.stderr())

    def test_pass_through(self):
        with self.boot("iommu.passthrough=1") as vm:
            self.exercise(vm, "pass-through")
            vm.serial.write("poweroff\n")
            self.assertEqual(vm.wait(), 0, vm.stderr())


if __name__ == "__main__":
    unittest.main()
