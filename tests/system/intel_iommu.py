# SPDX-License-Identifier: GPL-2.0-or-later
"""Unmodified Debian kernels with intel_iommu=on, their disk behind the IOMMU, on tcg."""
import unittest

from duodm import Duodm
from iommu_linux import BOOT, IommuLinux
from kernels import kernel


class Linux(IommuLinux):
    flavour, modules = "full", ("virtio_pci", "virtio_blk", "virtio_net")

    def boot(self, append, *options, iommu="intel-iommu", cpus=4):
        return Duodm("-accel", "tcg", "-m", "512", "-smp", str(cpus), "-display", "none", "-device",
                     iommu, "-kernel", kernel(self.flavour), "-initrd", self.initrd, "-append",
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
        self.wait_up(vm)
        self.use_devices(vm)
        vm.serial.write("grep -c IR- /proc/interrupts; dmesg | grep -c 'DMAR.*fault'; echo DO''NE\n")
        lines = vm.serial.expect(rb"(\d+)\r\n(\d+)\r\nDONE\r")
        self.assertGreater(int(lines[1]), 4)
        self.assertEqual(int(lines[2]), 0)

    def test_lazy_and_after_reboot(self):
        with self.boot("") as vm:
            self.exercise(vm, rb"TLB invalidation policy: lazy mode")
            vm.serial.write("reboot\n")
            self.exercise(vm, rb"TLB invalidation policy: lazy mode")
            self.power_off(vm)

    def test_strict_with_caching_mode(self):
        with self.boot("iommu.strict=1", iommu="intel-iommu,caching-mode=on,aw-bits=39") as vm:
            self.exercise(vm, rb"TLB invalidation policy: strict mode")
            self.power_off(vm)

    def test_pass_through(self):
        with self.boot("iommu=pt") as vm:
            self.exercise(vm, rb"Default domain type: Passthrough")
            self.power_off(vm)


if __name__ == "__main__":
    unittest.main()
