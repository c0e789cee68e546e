# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux with intel_iommu=on, on tcg: an NVMe disk that another process plays is plugged in behind the
IOMMU, used by the kernel's own driver, and let go; its server dies."""
import hashlib
import os
import random
import shutil
import tempfile
import unittest

import vfio_user
from duodm import Duodm
from kernels import initramfs_with, kernel

BOOT = 240  # seconds: the limit of a hang, not an aim
BLOCKS = 4096
DISK = "/sys/block/nvme*n1"


class Linux(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="duodm-vfio-user-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.initrd = initramfs_with(os.path.join(cls.folder, "initrd.gz"), "full",
                                    ("nvme", "virtio_pci", "virtio_blk"))
        cls.image = os.path.join(cls.folder, "disk.img")
        with open(cls.image, "wb") as file:
            file.truncate(4 << 20)

    def boot(self):
        """A disk of duodm's own behind the IOMMU, so that there is something to unmap."""
        vm = Duodm("-accel", "tcg", "-m", "512", "-smp", "2", "-display", "none", "-device",
                   "intel-iommu,caching-mode=on", "-kernel", kernel("full"), "-initrd", self.initrd,
                   "-append", "console=ttyS0 quiet panic=-1 intel_iommu=on iommu.strict=1", "-drive",
                   f"if=none,id=d,format=raw,file={self.image}", "-device",
                   "virtio-blk-pci,drive=d,iommu_platform=on", serial=True, timeout=BOOT)
        vm.serial.expect(rb"DUODM-GUEST-UP")
        vm.serial.expect(rb"duodm-guest# ")
        return vm

    def shell(self, vm, command):
        vm.serial.write(f"echo BEGIN; {command}; echo END\n")
        vm.serial.expect(rb"\nBEGIN\r\n")
        return vm.serial.expect(rb"(.*?)END\r\n").group(1).decode().replace("\r", "")

    def wait_for(self, vm, condition):
        self.shell(vm, f"until {condition}; do usleep 20000; done")

    def plug(self, vm, server):
        vm.qmp.execute("device_add", driver="vfio-user-pci", id="u", addr="9",
                       socket={"type": "unix", "path": server.path}, x_msg_timeout=120000)
        self.wait_for(vm, f"ls {DISK} >/dev/null 2>&1")

    def check_disk(self, vm, server, seed):
        """Written by the driver and read by it, and what the server has is what both say."""
        data = random.Random(seed).randbytes(BLOCKS * 512)
        server.ok("disk", offset=0, data=data[:1 << 20].hex())
        first = self.shell(vm, "dd if=/dev/nvme0n1 bs=64k count=16 iflag=direct 2>/dev/null | md5sum")
        self.assertIn(hashlib.md5(data[:1 << 20]).hexdigest(), first)
        self.shell(vm, "dd if=/dev/urandom of=/tmp/a bs=64k count=8 2>/dev/null; "
                       "dd if=/tmp/a of=/dev/nvme0n1 bs=64k seek=16 oflag=direct 2>/dev/null")
        second = self.shell(vm, "md5sum /tmp/a")
        held = bytes.fromhex(server.ok("disk", offset=1 << 20, length=8 << 16))
        self.assertIn(hashlib.md5(held).hexdigest(), second)

    def check_line(self, vm):
        """One that has INTx alone."""
        server = vfio_user.Server("vfio_user_nvme.py", blocks=BLOCKS, line=True)
        self.addCleanup(server.close)
        self.plug(vm, server)
        self.check_disk(vm, server, 7)
        self.assertIn("IO-APIC", self.shell(vm, "grep nvme /proc/interrupts"))
        self.unplug(vm, server)

    def unplug(self, vm, server):
        vm.qmp.execute("device_del", id="u")
        vm.qmp.wait_event("DEVICE_DELETED")
        self.wait_for(vm, f"! ls {DISK} >/dev/null 2>&1")
        self.assertEqual(server.mappings(), {})

    def test_disk_comes_and_goes_and_dies(self):
        server = vfio_user.Server("vfio_user_nvme.py", blocks=BLOCKS)
        self.addCleanup(server.close)
        with self.boot() as vm:
            for seed in range(2):
                self.plug(vm, server)
                self.assertEqual(self.shell(vm, "cat /sys/bus/pci/devices/0000:00:09.0/class"),
                                 "0x010802\n")
                self.check_disk(vm, server, seed)
                # What the guest holds mapped is small: its queues. The server has that, no more.
                self.assertTrue(vm.qmp.execute("x-iommu-verify")["equal"])
                self.assertGreater(len(server.mappings()), 0)
                self.assertLess(sum(m[0] for m in server.mappings().values()), 64 << 20)
                self.unplug(vm, server)
            timeout = "/sys/module/nvme_core/parameters/io_timeout"
            self.shell(vm, f"echo 5 >{timeout}")  # s, instead of 30
            self.plug(vm, server)
            server.kill()
            self.assertEqual(vm.qmp.wait_event("DEVICE_SERVER_LOST")["data"]["device"], "u")
            # The driver finds that its disk is gone, and the guest goes on.
            self.shell(vm, "dd if=/dev/nvme0n1 of=/dev/null bs=4k count=1 2>/dev/null")
            self.wait_for(vm, f"! ls {DISK} >/dev/null 2>&1")
            vm.qmp.execute("device_del", id="u")
            vm.qmp.wait_event("DEVICE_DELETED")
            self.shell(vm, f"echo 30 >{timeout}")
            server.start()
            self.plug(vm, server)
            self.check_disk(vm, server, 5)
            self.unplug(vm, server)
            self.check_line(vm)
            self.assertEqual(self.shell(vm, "dmesg | grep -E 'DMAR.*fault|BUG:|WARNING:'"), "")


if __name__ == "__main__":
    unittest.main()
