# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux's own virtio drivers on tcg: random numbers, consoles and ports, the balloon."""
import os
import re
import socket
import unittest

from duodm import Duodm, Stream
from kernels import CACHE, initramfs_with, kernel

MODULES = ["virtio_pci", "virtio-rng", "virtio_console", "virtio_balloon"]
UP = rb"DUODM-GUEST-UP"
PROMPT = rb"duodm-guest# "
BOOT = 240
MIB = 1 << 20


class Drivers(unittest.TestCase):
    def boot(self, suffix="", options=""):
        ramdisk = initramfs_with(os.path.join(CACHE, "initramfs-virtio.gz"), "cloud", MODULES)
        self.ends, theirs = [], []
        for _ in range(2):
            ours, other = socket.socketpair()
            self.addCleanup(ours.close)
            self.ends.append(Stream(ours, 30))
            theirs.append(other)
        # Linux's balloon driver refuses to go through the platform's address translation.
        balloon = options.replace(",iommu_platform=on", "")
        devices = [f"virtio-rng-pci{suffix}{options},iothread=t",
                   f"virtio-serial-pci{suffix}{options}",
                   "virtconsole,chardev=console", "virtserialport,chardev=port,name=org.duodm.test",
                   f"virtio-balloon-pci{suffix}{balloon},free-page-reporting=on"]
        vm = Duodm("-accel", "tcg", "-m", "512", "-display", "none", "-kernel", kernel("cloud"),
                   "-initrd", ramdisk, "-append", "console=ttyS0 quiet panic=-1",
                   "-object", "iothread,id=t", "-no-reboot",
                   "-chardev", f"socket,id=console,fd={theirs[0].fileno()}",
                   "-chardev", f"socket,id=port,fd={theirs[1].fileno()}",
                   *[word for device in devices for word in ("-device", device)],
                   serial=True, timeout=60, pass_fds=[other.fileno() for other in theirs])
        for other in theirs:
            other.close()
        return vm

    def shell(self, vm, command):
        """What a command prints."""
        vm.serial.write(f"echo BEGIN; {command}{'' if command.endswith('&') else ';'} echo END\n")
        vm.serial.expect(rb"\nBEGIN\r\n")
        return vm.serial.expect(rb"(.*?)END\r\n").group(1).decode().replace("\r", "")

    def check_random(self, vm):
        self.assertRegex(self.shell(vm, "cat /sys/class/misc/hw_random/rng_current"), "virtio_rng")
        self.assertEqual(self.shell(vm, "dd if=/dev/hwrng bs=64 count=64 2>/dev/null | wc -c"),
                         "4096\n")

    def check_console(self, vm):
        console, port = self.ends
        self.shell(vm, "stty -F /dev/hvc0 raw -echo; echo from the guest >/dev/hvc0")
        console.expect(rb"from the guest")
        console.write("to the guest\n")
        self.assertEqual(self.shell(vm, "head -n1 /dev/hvc0"), "to the guest\n")
        self.assertEqual(self.shell(vm, "cat /sys/class/virtio-ports/vport*p1/name"),
                         "org.duodm.test\n")
        self.shell(vm, "p=$(ls /dev/vport*p1); seq 1 20000 >$p &")
        self.assertEqual(port.read_exactly(6), b"1\n2\n3\n")
        port.expect(rb"19999\n20000\n")
        # Linux drops what comes while nobody has the port open: wait for seq to close it, and head
        # to open it.
        vm.serial.write("echo BEGIN; head -n1 $p; echo END\n")
        for expected in (True, False, True):
            self.assertEqual(vm.qmp.wait_event("VSERPORT_CHANGE")["data"]["open"], expected)
        port.write("line of the host\n")
        vm.serial.expect(rb"\nline of the host\r\nEND\r\n")

    def check_balloon(self, vm):
        vm.qmp.execute("balloon", value=384 * MIB)
        while vm.qmp.wait_event("BALLOON_CHANGE")["data"]["actual"] > 384 * MIB:
            pass
        total = int(re.search(r"\d+", self.shell(vm, "grep MemTotal /proc/meminfo"))[0])
        vm.qmp.execute("balloon", value=512 * MIB)
        while vm.qmp.wait_event("BALLOON_CHANGE")["data"]["actual"] < 512 * MIB:
            pass
        after = int(re.search(r"\d+", self.shell(vm, "grep MemTotal /proc/meminfo"))[0])
        self.assertEqual(after - total, 128 << 10)

    def check(self, **kind):
        with self.boot(**kind) as vm:
            vm.serial.expect(UP, timeout=BOOT)
            vm.serial.expect(PROMPT)
            self.check_random(vm)
            self.check_console(vm)
            self.check_balloon(vm)
            vm.qmp.execute("stop")
            vm.qmp.execute("cont")
            self.check_random(vm)
            interrupts = self.shell(vm, "grep virtio /proc/interrupts")
            vm.serial.write("poweroff\n")
            self.assertEqual(vm.wait(), 0, vm.stderr())
        return interrupts

    def test_modern(self):
        self.assertRegex(self.check(), r"PCI-MSI.*virtio")

    def test_packed_behind_the_platform(self):
        self.check(options=",packed=on,iommu_platform=on")

    def test_transitional_with_interrupt_lines(self):
        self.assertNotRegex(self.check(suffix="-transitional", options=",vectors=0"), "MSI")


if __name__ == "__main__":
    unittest.main()
