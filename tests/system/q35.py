# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux on the board q35, on tcg: config space in memory, interrupt lines with and without an IOAPIC,
hotplug, a saved machine, VT-d."""
import hashlib
import os
import random
import unittest

from duodm import Duodm
from kernels import CACHE, initramfs_with, kernel

MODULES = ["virtio_pci", "virtio_blk", "virtio_net", "virtio-rng"]
BOOT = 240  # seconds: the limit of a hang, not an aim
MIB = 1 << 20


class Q35(unittest.TestCase):
    def start(self, append, *arguments):
        ramdisk = initramfs_with(os.path.join(CACHE, "initramfs-hotplug.gz"), "cloud", MODULES)
        return Duodm("-M", "q35", "-accel", "tcg", "-m", "256", "-smp", "2", "-display", "none",
                     "-kernel", kernel("cloud"), "-initrd", ramdisk, "-append",
                     "console=ttyS0 quiet panic=-1 " + append, *arguments, serial=True, timeout=60)

    def boot(self, append="", *arguments):
        vm = self.start(append, *arguments)
        self.addCleanup(vm.close)
        self.wait_up(vm)
        return vm

    def wait_up(self, vm):
        vm.serial.expect(rb"DUODM-GUEST-UP", timeout=BOOT)
        vm.serial.expect(rb"duodm-guest# ")

    def shell(self, vm, command):
        """What a command prints."""
        vm.serial.write(f"echo BEGIN; {command}; echo END\n")
        vm.serial.expect(rb"\nBEGIN\r\n")
        return vm.serial.expect(rb"(.*?)END\r\n").group(1).decode().replace("\r", "")

    def disk(self, **properties):
        """Arguments for a disk, and the sum of what is on it."""
        data = random.randbytes(MIB)
        image = os.path.join(CACHE, f"q35-{self.id()}.img")
        with open(image, "wb") as file:
            file.write(data)
        self.addCleanup(os.unlink, image)
        options = "".join(f",{key}={value}" for key, value in properties.items())
        return (hashlib.md5(data).hexdigest(),
                ("-drive", f"if=none,id=d,format=raw,file={image}", "-device",
                 "virtio-blk-pci,drive=d" + options))

    def test_config_space_and_reboot(self):
        vm = self.boot()
        for _ in range(2):
            log = self.shell(vm, "dmesg")
            self.assertIn("MMCONFIG at [mem 0xb0000000-0xbfffffff] reserved", log)
            self.assertIn("OS now controls [PCIeHotplug PME PCIeCapability]", log)
            self.assertNotRegex(log, "ACPI.*[Ee]rror|BUG:|WARNING:")
            self.assertEqual(self.shell(vm, "cat /sys/bus/pci/devices/0000:00:*/device").split(),
                             ["0x29c0", "0x2918", "0x2922", "0x2930"])
            vm.serial.write("reboot\n")
            self.wait_up(vm)
        vm.serial.write("poweroff\n")
        self.assertEqual(vm.wait(), 0)

    def check_line(self, append, pattern):
        """A disk without MSI, in slot 5: the second of E to H."""
        total, arguments = self.disk(addr="5")
        vm = self.boot("pci=nomsi " + append, *arguments)
        self.assertIn(total, self.shell(vm, "md5sum /dev/vda"))
        self.assertRegex(self.shell(vm, "grep virtio /proc/interrupts"), pattern)

    def test_interrupts_by_the_ioapic(self):
        self.check_line("", r"IO-APIC +21-fasteoi +virtio")

    def test_interrupts_by_the_8259s(self):
        self.check_line("noapic maxcpus=1", r"XT-PIC +10 +virtio|10: .*XT-PIC.*virtio")

    def test_hotplug_behind_the_iommu(self):
        total, arguments = self.disk(iommu_platform="on")
        vm = self.boot("intel_iommu=on", "-device", "intel-iommu", *arguments)
        self.assertIn(total, self.shell(vm, "md5sum /dev/vda"))
        data = random.randbytes(MIB)
        with open(vm.path("more"), "wb") as file:
            file.write(data)
        vm.qmp.execute("blockdev-add", driver="file", filename=vm.path("more"), node_name="more")
        vm.qmp.execute("human-monitor-command", command_line="device_add virtio-blk-pci,id=more,"
                                                             "drive=more,iommu_platform=on")
        self.shell(vm, "until [ -b /dev/vdb ]; do usleep 20000; done")
        self.assertIn(hashlib.md5(data).hexdigest(), self.shell(vm, "md5sum /dev/vdb"))
        vm.qmp.execute("device_del", id="more")
        while vm.qmp.wait_event("DEVICE_DELETED")["data"].get("device") != "more":
            pass
        self.assertEqual(self.shell(vm, "ls /sys/block | grep vd; dmesg | grep 'DMAR.*fault'"),
                         "vda\n")

    def test_saved_and_gone_on_with(self):
        total, arguments = self.disk()
        with self.start("", *arguments) as vm:
            self.wait_up(vm)
            self.shell(vm, "echo kept >/tmp-file")
            vm.qmp.execute("migrate-set-capabilities",
                           capabilities=[{"capability": "events", "state": True}])
            vm.qmp.execute("migrate", uri="file:" + vm.path("saved"))
            while vm.qmp.wait_event("MIGRATION")["data"]["status"] != "completed":
                pass
            with self.start("", *arguments, "-incoming", "file:" + vm.path("saved")) as other:
                while not other.qmp.execute("query-status")["running"]:
                    pass
                other.serial.write("\n")
                other.serial.expect(rb"duodm-guest# ")
                self.assertIn("kept", self.shell(other, "cat /tmp-file"))
                self.assertIn(total, self.shell(other, "md5sum /dev/vda"))
                other.serial.write("poweroff\n")
                self.assertEqual(other.wait(), 0)


if __name__ == "__main__":
    unittest.main()
