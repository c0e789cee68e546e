# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux on tcg: disks and cards are plugged in and let go through ACPI, by its own drivers."""
import hashlib
import os
import random
import unittest

from duodm import Duodm
from kernels import CACHE, initramfs_with, kernel

MODULES = ["virtio_pci", "virtio_blk", "virtio_net", "virtio-rng"]
BOOT = 240
ROUNDS = int(os.environ.get("DUODM_TEST_HOTPLUGS", "3"))
MIB = 1 << 20


class Linux(unittest.TestCase):
    """A guest with a shell; of which nothing is tested here."""

    MACHINE = ()

    def boot(self, *arguments, append=""):
        ramdisk = initramfs_with(os.path.join(CACHE, "initramfs-hotplug.gz"), "cloud", MODULES)
        vm = Duodm(*self.MACHINE, "-accel", "tcg", "-m", "256", "-smp", "2", "-display", "none",
                   "-kernel", kernel("cloud"), "-initrd", ramdisk,
                   "-append", f"console=ttyS0 quiet panic=-1 {append}", *arguments, serial=True,
                   timeout=60)
        self.wait_up(vm)
        return vm

    def wait_up(self, vm):
        vm.serial.expect(rb"DUODM-GUEST-UP", timeout=BOOT)
        vm.serial.expect(rb"duodm-guest# ")

    def shell(self, vm, command):
        """What a command prints."""
        vm.serial.write(f"echo BEGIN; {command}{'' if command.endswith('&') else ';'} echo END\n")
        vm.serial.expect(rb"\nBEGIN\r\n")
        return vm.serial.expect(rb"(.*?)END\r\n").group(1).decode().replace("\r", "")

    def wait_for(self, vm, condition):
        self.shell(vm, f"until {condition}; do usleep 20000; done")

    def plug_disk(self, vm, name, **properties):
        data = random.randbytes(MIB)
        with open(vm.path(name), "wb") as file:
            file.write(data)
        vm.qmp.execute("blockdev-add", driver="file", filename=vm.path(name), node_name=name)
        more = "".join(f",{key}={value}" for key, value in properties.items())
        answer = vm.qmp.human(f"device_add virtio-blk-pci,id={name},drive={name},serial={name}{more}")
        self.assertEqual(answer, "")
        self.wait_for(vm, f"grep -qx {name} /sys/block/vd*/serial 2>/dev/null")
        return data

    def unplug(self, vm, name):
        vm.qmp.execute("device_del", id=name)
        while vm.qmp.wait_event("DEVICE_DELETED")["data"].get("device") != name:
            pass


class Hotplug(Linux):
    def test_disks_come_and_go(self):
        with self.boot() as vm:
            for number in range(ROUNDS):
                data = self.plug_disk(vm, f"disk{number}", addr=f"{2 + number % 30:x}")
                self.assertIn(hashlib.md5(data).hexdigest(), self.shell(vm, "md5sum /dev/vda"))
                # Under I/O: the device waits for none of the guest's requests when it goes.
                self.shell(vm, "while dd if=/dev/vda of=/dev/null bs=4k iflag=direct 2>/dev/null; "
                               "do :; done &")
                self.unplug(vm, f"disk{number}")
                vm.qmp.execute("blockdev-del", node_name=f"disk{number}")
                self.wait_for(vm, "[ ! -e /sys/block/vda ]")
            self.assertEqual(self.shell(vm, "dmesg | grep -E 'ACPI.*[Ee]rror|BUG:|WARNING:'"), "")

    def test_reboot_between(self):
        with self.boot() as vm:
            self.plug_disk(vm, "a")
            vm.qmp.execute("netdev_add", type="user", id="n")
            vm.qmp.execute("device_add", driver="virtio-net-pci", id="card", netdev="n")
            self.wait_for(vm, "[ -e /sys/class/net/eth0 ]")
            vm.qmp.execute("system_reset")
            self.wait_up(vm)
            # As if they had always been there; and they can go.
            self.assertEqual(self.shell(vm, "echo $(cat /sys/block/vda/serial) $(ls /sys/class/net)"),
                             "a eth0 lo\n")
            self.unplug(vm, "card")
            self.unplug(vm, "a")
            self.assertEqual(self.shell(vm, "ls /sys/class/net; ls /sys/block | grep vd"), "lo\n")
            # The guest's own wish: its slot's power goes off.
            vm.qmp.execute("device_add", driver="virtio-rng-pci", id="rng", addr="1f")
            self.wait_for(vm, "[ -e /sys/bus/pci/devices/0000:00:1f.0 ]")
            self.shell(vm, "echo 0 >/sys/bus/pci/slots/31/power")
            self.assertEqual(vm.qmp.wait_event("DEVICE_DELETED")["data"]["device"], "rng")
            vm.qmp.execute("device_add", driver="virtio-rng-pci", id="rng", addr="1f")
            self.wait_for(vm, "[ -e /sys/bus/pci/devices/0000:00:1f.0 ]")
            # Torn out: the guest finds that it is gone.
            vm.qmp.execute("device_del", id="rng", x_force=True)
            self.wait_for(vm, "[ ! -e /sys/bus/pci/devices/0000:00:1f.0 ]")


if __name__ == "__main__":
    unittest.main()
