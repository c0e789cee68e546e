# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux on tcg, board q35: devices behind root ports of PCI Express come and go by its own pciehp."""
import hashlib
import random
import unittest

from system.hotplug import BOOT, MIB, Linux

PORTS = ["-device", "pcie-root-port,id=rp1,chassis=1,slot=1",
         "-device", "pcie-root-port,id=rp2,chassis=1,slot=2"]


class RootPort(Linux):
    MACHINE = ("-M", "q35")

    def power(self, vm, bus, value):
        """The guest switches the power of the slot with that bus: again, if it is busy with it."""
        self.shell(vm, f"cd $(dirname $(grep -lx {bus} /sys/bus/pci/slots/*/address)); "
                       f"until echo {value} >power; do usleep 20000; done 2>/dev/null")

    def unplug_under_load(self, vm):
        self.shell(vm, "while dd if=/dev/vda of=/dev/null bs=4k iflag=direct 2>/dev/null; do :; done &")
        self.unplug(vm, "disk")
        vm.qmp.execute("blockdev-del", node_name="disk")
        self.wait_for(vm, "[ ! -e /sys/block/vda ]")

    def test_behind_the_iommu(self):
        """The requester is by the number that the guest gave the bus."""
        with self.boot("-device", "intel-iommu", *PORTS, append="intel_iommu=on") as vm:
            data = self.plug_disk(vm, "disk", bus="rp2", iommu_platform="on")
            self.assertIn(hashlib.md5(data).hexdigest(), self.shell(vm, "md5sum /dev/vda"))
            self.assertIn({"address": "02:00.0", "state": "translated"},
                          [{key: function[key] for key in ("address", "state")}
                           for unit in vm.qmp.execute("query-iommu") for function in unit["functions"]])
            self.unplug_under_load(vm)
            self.assertEqual(self.shell(vm, "dmesg | grep -E 'BUG:|WARNING:|DMAR:.*[Ff]ault'"), "")

    def test_devices_come_and_go(self):
        with self.boot(*PORTS, "-device", "virtio-rng-pci,bus=rp2,id=rng") as vm:
            rng = "0000:02:00.0"
            self.assertEqual(self.shell(vm, f"cat /sys/bus/pci/devices/{rng}/vendor"), "0x1af4\n")
            # All of its configuration space.
            self.assertEqual(self.shell(vm, f"wc -c </sys/bus/pci/devices/{rng}/config"), "4096\n")
            data = self.plug_disk(vm, "disk", bus="rp1")
            self.assertIn(hashlib.md5(data).hexdigest(), self.shell(vm, "md5sum /dev/vda"))
            self.unplug_under_load(vm)
            # Torn out: the guest finds that it is gone; and another may come. (Its virtio drivers would
            # wait for ever for what a device that is gone does not answer.)
            self.shell(vm, f"echo {rng} >/sys/bus/pci/drivers/virtio-pci/unbind")
            vm.qmp.execute("device_del", id="rng", x_force=True)
            self.wait_for(vm, f"[ ! -e /sys/bus/pci/devices/{rng} ]")
            vm.qmp.execute("device_add", driver="virtio-rng-pci", id="rng", bus="rp2")
            self.wait_for(vm, f"[ -e /sys/bus/pci/devices/{rng}/driver ]")
            # The guest's own wish: power goes off, and on again.
            self.power(vm, "0000:02:00", 0)
            self.wait_for(vm, f"[ ! -e /sys/bus/pci/devices/{rng} ]")
            self.power(vm, "0000:02:00", 1)
            self.wait_for(vm, f"[ -e /sys/bus/pci/devices/{rng}/driver ]")
            self.assertEqual(self.shell(vm, "dmesg | grep -E 'BUG:|WARNING:|pci.*[Ff]ailed'"), "")


if __name__ == "__main__":
    unittest.main()
