# SPDX-License-Identifier: GPL-2.0-or-later
"""device_add and device_del: the guest's side through the registers that the DSDT uses."""
import unittest

from duodm import Duodm, QMPError

INSERTED, REMOVAL, EJECT, REFUSED, GONE = range(0xAE00, 0xAE14, 4)
PRESENT = REFUSED  # when it is read
GPE_STATUS, GPE_ENABLE = 0xAFE0, 0xAFE2
NOTHING = 0xFFFFFFFF


def devfn(slot, function=0):
    return slot << 3 | function


class Hotplug(unittest.TestCase):
    def machine(self, *arguments):
        vm = Duodm(*arguments, qtest=True)
        self.addCleanup(vm.close)
        return vm

    def add(self, vm, driver="virtio-rng-pci", **properties):
        vm.qmp.execute("device_add", driver=driver, **properties)

    def fails(self, vm, text, command, **arguments):
        with self.assertRaises(QMPError) as caught:
            vm.qmp.execute(command, **arguments)
        self.assertIn(text, caught.exception.description)
        return caught.exception.kind

    def ids(self, vm):
        return [d["qdev_id"] for d in vm.qmp.execute("query-pci")[0]["devices"] if d["qdev_id"]]

    def enable_events(self, vm):
        """SCI on, as an operating system that uses ACPI has it; GPE 1 too."""
        vm.qtest.pci_write(devfn(1, 3), 0x40, 0x600)
        vm.qtest.pci_write(devfn(1, 3), 0x80, 1, 1)
        vm.qtest.outb(0xB2, 0xF1)
        vm.qtest.outw(GPE_ENABLE, 1 << 1)
        vm.qtest.intercept()

    def test_announced(self):
        vm = self.machine()
        self.enable_events(vm)
        self.assertEqual(vm.qtest.pci_read(devfn(5), 0), NOTHING)
        self.add(vm, id="r0", addr="5")
        vm.qtest.wait_irq(9, True)
        self.assertEqual(vm.qtest.inw(GPE_STATUS), 1 << 1)
        self.assertEqual(vm.qtest.inl(INSERTED), 1 << 5)
        self.assertEqual(vm.qtest.inl(REMOVAL), 0)
        # Xen's DSDT reads the register for each slot: reading changes nothing.
        self.assertEqual(vm.qtest.inl(INSERTED), 1 << 5)
        vm.qtest.outl(INSERTED, 1 << 5)
        vm.qtest.outw(GPE_STATUS, 1 << 1)
        vm.qtest.wait_irq(9, False)
        self.assertEqual(vm.qtest.inl(INSERTED), 0)
        self.assertEqual(vm.qtest.pci_read(devfn(5), 0) & 0xFFFF, 0x1AF4)

    def test_ejected_by_the_guest_when_asked(self):
        vm = self.machine("-device", "virtio-rng-pci,id=r0,addr=5")
        self.enable_events(vm)
        vm.qmp.execute("cont")
        vm.qmp.execute("device_del", id="r0")
        vm.qtest.wait_irq(9, True)
        self.assertEqual(vm.qtest.inl(REMOVAL), 1 << 5)
        self.assertEqual(self.ids(vm), ["r0"])
        vm.qtest.outl(REMOVAL, 1 << 5)
        self.assertEqual(vm.qtest.inl(REMOVAL), 0)
        vm.qtest.outl(EJECT, 1 << 5)
        self.assertEqual(vm.qtest.pci_read(devfn(5), 0), NOTHING)  # from this moment on
        event = vm.qmp.wait_event("DEVICE_DELETED")
        self.assertEqual(event["data"], {"device": "r0", "path": "/machine/peripheral/r0"})
        self.assertEqual(self.ids(vm), [])
        self.add(vm, id="r0", addr="5")
        self.assertEqual(self.ids(vm), ["r0"])

    def test_present(self):
        """Xen's DSDT has _STA from it: Linux removes what is in a slot that is not present."""
        vm = self.machine("-device", "virtio-rng-pci,id=r0,addr=1f")
        chipset = vm.qtest.inl(PRESENT) & ~(1 << 31)
        self.assertEqual(chipset & 3, 3)
        self.assertEqual(vm.qtest.inl(PRESENT), chipset | 1 << 31)
        self.add(vm, id="r1", addr="5")
        self.assertEqual(vm.qtest.inl(PRESENT), chipset | 1 << 31 | 1 << 5)
        vm.qtest.outl(EJECT, 1 << 5)
        self.assertEqual(vm.qtest.inl(PRESENT), chipset | 1 << 31)

    def test_asked_again_and_refused(self):
        vm = self.machine("-device", "virtio-rng-pci,id=r0,addr=5")
        for _ in range(2):
            vm.qmp.execute("device_del", id="r0")
            self.assertEqual(vm.qtest.inl(REMOVAL), 1 << 5)
            vm.qtest.outl(REFUSED, 1 << 5 | 1 << 6)
            event = vm.qmp.wait_event("DEVICE_UNPLUG_GUEST_ERROR")
            self.assertEqual(event["data"]["device"], "r0")
            self.assertEqual(vm.qtest.inl(REMOVAL), 0)
        self.assertEqual(self.ids(vm), ["r0"])
        # A guest that refuses what nobody asked for makes no event.
        vm.qtest.outl(REFUSED, 1 << 5)
        vm.qmp.execute("query-status")
        self.assertEqual([e for e in vm.qmp.events if "UNPLUG" in e["event"]], [])

    def test_all_functions_of_a_slot(self):
        vm = self.machine()
        self.add(vm, id="a", addr="7", multifunction="on")
        self.add(vm, id="b", addr="7.1")
        vm.qmp.execute("device_del", id="b")
        vm.qtest.outl(EJECT, 1 << 7)
        gone = [vm.qmp.wait_event("DEVICE_DELETED")["data"]["device"] for _ in range(2)]
        self.assertEqual(gone, ["b", "a"])
        self.assertEqual(self.ids(vm), [])

    def test_the_chipset_stays(self):
        vm = self.machine()
        vm.qtest.outl(EJECT, NOTHING)
        self.assertEqual(vm.qtest.pci_read(devfn(1), 0), 0x70008086)
        self.assertEqual(vm.qtest.pci_read(devfn(0), 0), 0x12378086)

    def test_torn_out(self):
        vm = self.machine("-device", "virtio-rng-pci,id=r0,addr=5")
        vm.qmp.execute("device_del", id="r0", x_force=True)
        vm.qmp.wait_event("DEVICE_DELETED")
        self.assertEqual(vm.qtest.inl(GONE), 1 << 5)
        vm.qtest.outl(GONE, 1 << 5)
        self.assertEqual(vm.qtest.inl(GONE), 0)

    def test_torn_out_after_the_guest_was_asked(self):
        """What was asked of the guest is not asked of what comes into that slot later."""
        vm = self.machine("-device", "virtio-rng-pci,id=r0,addr=5")
        vm.qmp.execute("device_del", id="r0")
        vm.qmp.execute("device_del", id="r0", x_force=True)
        vm.qmp.wait_event("DEVICE_DELETED")
        self.add(vm, id="r1", addr="5")
        self.assertEqual(vm.qtest.inl(REMOVAL), 0)
        vm.qmp.execute("system_reset")
        vm.qmp.execute("query-status")
        self.assertEqual(self.ids(vm), ["r1"])
        self.assertNotEqual(vm.qtest.pci_read(devfn(5), 0), NOTHING)

    def test_before_the_start_there_is_nobody_to_ask(self):
        vm = self.machine("-S", "-device", "virtio-rng-pci,id=r0,addr=5")
        vm.qmp.execute("device_del", id="r0")
        vm.qmp.wait_event("DEVICE_DELETED")

    def test_a_reset_carries_out_what_the_guest_did_not_do(self):
        vm = self.machine("-device", "virtio-rng-pci,id=r0,addr=5")
        vm.qmp.execute("device_del", id="r0")
        vm.qmp.execute("system_reset")
        vm.qmp.wait_event("DEVICE_DELETED")
        self.assertEqual(vm.qtest.inl(REMOVAL), 0)
        self.assertEqual(vm.qtest.pci_read(devfn(5), 0), NOTHING)

    def test_disk(self):
        vm = self.machine()
        with open(vm.path("disk"), "wb") as f:
            f.truncate(1 << 20)
        for _ in range(3):
            vm.qmp.execute("blockdev-add", driver="file", filename=vm.path("disk"), node_name="d")
            self.add(vm, "virtio-blk-pci", id="disk", drive="d", bus="pci.0")
            self.fails(vm, "disk", "blockdev-del", node_name="d")
            slot = next(d["slot"] for d in vm.qmp.execute("query-pci")[0]["devices"]
                        if d["qdev_id"] == "disk")
            vm.qmp.execute("device_del", id="disk")
            vm.qtest.outl(EJECT, 1 << slot)
            vm.qmp.wait_event("DEVICE_DELETED")
            vm.qmp.execute("blockdev-del", node_name="d")

    def test_network_card(self):
        vm = self.machine()
        for _ in range(3):
            vm.qmp.execute("netdev_add", type="user", id="n")
            self.add(vm, "virtio-net-pci", id="card", netdev="n", addr="4")
            vm.qmp.execute("device_del", id="card")
            vm.qtest.outl(EJECT, 1 << 4)
            vm.qmp.wait_event("DEVICE_DELETED")
            vm.qmp.execute("netdev_del", id="n")

    def test_errors(self):
        vm = self.machine("-device", "virtio-rng-pci,id=r0,addr=5")
        self.fails(vm, "did you mean 'virtio-rng-pci'", "device_add", driver="virtio-rgn-pci")
        self.fails(vm, "part of the machine", "device_add", driver="PIIX3")
        self.fails(vm, "has no property 'adr': did you mean 'addr'", "device_add",
                   driver="virtio-rng-pci", adr="3")
        self.fails(vm, "property 'addr'", "device_add", driver="virtio-rng-pci", addr="40")
        self.fails(vm, "PCI address 05.0 is taken", "device_add", driver="virtio-rng-pci", addr="5")
        self.fails(vm, "device 'r0' already", "device_add", driver="virtio-rng-pci", id="r0")
        self.fails(vm, "there is no bus 'pci.7'", "device_add", driver="virtio-rng-pci", bus="pci.7")
        self.fails(vm, "bus 'isa.0' has no hotplug", "device_add", driver="isa-debugcon")
        self.fails(vm, "needs the argument 'driver'", "device_add", id="x")
        self.assertEqual(self.fails(vm, "there is no device 'r1'", "device_del", id="r1"),
                         "DeviceNotFound")
        self.assertEqual(self.ids(vm), ["r0"])
        for slot in list(range(2, 5)) + list(range(6, 32)):
            self.add(vm, id=f"s{slot}")
        self.fails(vm, "no slot is free", "device_add", driver="virtio-rng-pci")
        self.assertIn("there is no device", vm.qmp.human("device_del nothing"))
        self.assertEqual(vm.qmp.human("device_del r0"), "")

    def test_human(self):
        vm = self.machine()
        self.assertEqual(vm.qmp.human("device_add virtio-rng-pci,id=r0,addr=5"), "")
        self.assertEqual(vm.qmp.human("device_del r0"), "")
        vm.qtest.outl(EJECT, 1 << 5)
        vm.qmp.wait_event("DEVICE_DELETED")


if __name__ == "__main__":
    unittest.main()
