# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's 6.12 kernel, unmodified, whose driver of virtio-iommu is a module, on tcg: its disk and its
network card behind the IOMMU."""
import os
import unittest

from duodm import Duodm
from iommu_linux import BOOT, IommuLinux
from kernels import kernel


class Linux(IommuLinux):
    flavour, modules = "backports", ("virtio_iommu", "virtio_blk", "virtio_net")

    def boot(self, append, *options, iommu="virtio-iommu-pci"):
        # Devices wait for the module of their IOMMU, on a slow machine too.
        return Duodm("-accel", "tcg", "-m", "512", "-smp", "2", "-display", "none", "-device", iommu,
                     "-kernel", kernel(self.flavour), "-initrd", self.initrd, "-append",
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
        self.wait_up(vm)
        self.work(vm, state)

    def work(self, vm, state):
        self.use_devices(vm)
        vm.serial.write("dmesg | grep -c 'fault from EP'; echo DO''NE\n")
        self.assertEqual(int(vm.serial.expect(rb"(\d+)\r\nDONE\r")[1]), 0)
        states = self.states(vm)
        self.assertEqual((states["00:05.0"], states["00:06.0"]), (state, state))

    def test_lazy_and_after_reboot(self):
        with self.boot("") as vm:
            self.exercise(vm, "translated")
            vm.serial.write("reboot\n")
            self.exercise(vm, "translated")
            self.power_off(vm)

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
            self.power_off(vm)

    def test_pass_through(self):
        with self.boot("iommu.passthrough=1") as vm:
            self.exercise(vm, "pass-through")
            self.power_off(vm)


if __name__ == "__main__":
    unittest.main()
