# SPDX-License-Identifier: GPL-2.0-or-later
"""Root ports of PCI Express and what is behind them, over the test port: bus numbers, slots, and
assigned functions whose requester ID changes under VT-d."""
import struct
import unittest

from duodm import Duodm, run
from vfio import CONFIG, Mock, example_config
from vtd import Unit

NOTHING = 0xFFFFFFFF
PORT, OTHER = 2 << 3, 3 << 3
COMMAND, MASTER, NUMBERS, CONTROL = 4, 4, 0x18, 0x3E
BUS_RESET = 0x40
SLOT_CONTROL, SLOT_STATUS = 0x18, 0x1A
BUTTON, PRESENCE_CHANGED, PRESENCE, LINK_CHANGED = 0x01, 0x08, 0x40, 0x100
ON, BLINK, POWER_OFF = 0x100, 0x200, 0x400
PAGE, MIB = 4096, 1 << 20
PORTS = ("-M", "q35", "-device", "pcie-root-port,id=rp1,chassis=1,slot=1,addr=2",
         "-device", "pcie-root-port,id=rp2,chassis=1,slot=2,addr=3")


def express(qtest, devfn, bus=0):
    """The PCI Express capability; None: it has none."""
    at = qtest.pci_read(devfn, 0x34, 1, bus)
    while at and qtest.pci_read(devfn, at, 1, bus) != 0x10:
        at = qtest.pci_read(devfn, at + 1, 1, bus)
    return at or None


def number(qtest, secondary, port=PORT):
    qtest.pci_write(port, NUMBERS, secondary << 16 | secondary << 8)


class RootPorts(unittest.TestCase):
    def machine(self, *arguments):
        vm = Duodm(*PORTS, *arguments, qtest=True)
        self.addCleanup(vm.close)
        self.slot = express(vm.qtest, PORT)
        return vm

    def status(self, vm):
        return vm.qtest.pci_read(PORT, self.slot + SLOT_STATUS, 2)

    def command(self, vm, value):
        vm.qtest.pci_write(PORT, self.slot + SLOT_CONTROL, value, 2)
        vm.qtest.pci_write(PORT, self.slot + SLOT_STATUS, 0xFFFF, 2)

    def test_what_is_behind(self):
        vm = self.machine("-device", "virtio-rng-pci,bus=rp1,id=rng")
        self.assertEqual(vm.qtest.pci_read(PORT, 0), 0x000C1B36)
        self.assertEqual(vm.qtest.pci_read(0, 0, bus=7), NOTHING)
        number(vm.qtest, 7)
        self.assertEqual(vm.qtest.pci_read(0, 0, bus=7), 0x10441AF4)
        at = express(vm.qtest, 0, bus=7)
        self.assertEqual(vm.qtest.pci_read(0, at + 2, 2, bus=7), 0x0002)  # an endpoint
        self.assertEqual(vm.qtest.pci_read(PORT, self.slot + 2, 2), 0x0142)  # port with a slot
        bridge = next(device for device in vm.qmp.execute("query-pci")[0]["devices"]
                      if device["qdev_id"] == "rp1")["pci_bridge"]
        self.assertEqual((bridge["bus"]["number"], bridge["bus"]["secondary"]), (0, 7))
        self.assertEqual([(device["bus"], device["slot"], device["qdev_id"])
                          for device in bridge["devices"]], [(7, 0, "rng")])
        text = vm.qmp.execute("human-monitor-command", command_line="info pci")
        self.assertIn("07:00.0 1af4:1044", text)
        self.assertIn("buses 07 to 07", text)

    def test_it_comes_and_goes(self):
        vm = self.machine()
        self.assertEqual(self.status(vm), 0)
        number(vm.qtest, 1)
        vm.qmp.execute("device_add", driver="virtio-rng-pci", id="rng", bus="rp1")
        self.assertEqual(self.status(vm), PRESENCE | PRESENCE_CHANGED | BUTTON)
        self.assertEqual(vm.qtest.pci_read(0, 0, bus=1), NOTHING)
        self.command(vm, ON)
        self.assertEqual(vm.qtest.pci_read(0, 0, 2, bus=1), 0x1AF4)
        with self.assertRaisesRegex(Exception, "no slot is free on bus rp1"):
            vm.qmp.execute("device_add", driver="virtio-rng-pci", id="two", bus="rp1")
        with self.assertRaisesRegex(Exception, "has one slot"):
            vm.qmp.execute("device_add", driver="virtio-rng-pci", id="two", bus="rp2", addr="1")
        vm.qmp.execute("device_del", id="rng")
        self.assertEqual(self.status(vm), PRESENCE | BUTTON)
        self.command(vm, BLINK)
        self.command(vm, BLINK | POWER_OFF)
        self.assertEqual(vm.qmp.wait_event("DEVICE_DELETED")["data"]["device"], "rng")
        self.assertEqual(self.status(vm), 0)
        # The guest calls it off: the indicator that blinked shines again.
        vm.qmp.execute("device_add", driver="virtio-rng-pci", id="rng", bus="rp1")
        self.command(vm, ON)
        vm.qmp.execute("device_del", id="rng")
        self.command(vm, BLINK)
        self.command(vm, ON)
        self.assertEqual(vm.qmp.wait_event("DEVICE_UNPLUG_GUEST_ERROR")["data"]["device"], "rng")
        # A reset while it is asked for ends the asking: the device is gone.
        vm.qmp.execute("device_del", id="rng")
        vm.qmp.execute("system_reset")
        self.assertEqual(vm.qmp.wait_event("DEVICE_DELETED")["data"]["device"], "rng")
        self.assertEqual(self.status(vm), 0)
        # Torn out.
        vm.qmp.execute("device_add", driver="virtio-rng-pci", id="rng", bus="rp1")
        self.command(vm, ON)
        vm.qmp.execute("device_del", id="rng", x_force=True)
        vm.qmp.wait_event("DEVICE_DELETED")
        self.assertEqual(self.status(vm), PRESENCE_CHANGED | LINK_CHANGED)

    def test_saved_while_it_is_asked_for(self):
        device = ("-device", "virtio-rng-pci,bus=rp1,id=rng")
        vm = self.machine(*device)
        number(vm.qtest, 5)
        vm.qmp.execute("device_del", id="rng")
        vm.qmp.execute("migrate", uri="file:" + vm.path("saved"))
        while vm.qmp.execute("query-migrate")["status"] not in ("completed", "failed"):
            pass
        two = Duodm(*PORTS, *device, "-incoming", "file:" + vm.path("saved"), qtest=True)
        self.addCleanup(two.close)
        while two.qmp.execute("query-status")["status"] == "inmigrate":
            pass
        self.assertEqual(self.status(two), PRESENCE | BUTTON)
        self.assertEqual(two.qtest.pci_read(0, 0, 2, bus=5), 0x1AF4)
        self.command(two, POWER_OFF)
        self.assertEqual(two.qmp.wait_event("DEVICE_DELETED")["data"]["device"], "rng")

    def test_refused(self):
        for options, text in (
                (("-device", "pcie-root-port"), "needs a board with PCI Express"),
                (PORTS + ("-device", "pcie-root-port,bus=rp1"), "not behind another port"),
                (PORTS + ("-device", "pcie-root-port,chassis=1,slot=2"), "that of port 'rp2'"),
                (PORTS + ("-device", "virtio-rng-pci,bus=rp3"), "pcie.0.*rp1.*rp2")):
            self.assertRegex(run("-accel", "qtest", *options).stderr, text)
        vm = self.machine("-device", "pcie-root-port,id=rp3,hotplug=off")
        with self.assertRaisesRegex(Exception, "bus rp3 has no hotplug"):
            vm.qmp.execute("device_add", driver="virtio-rng-pci", id="rng", bus="rp3")
        with self.assertRaisesRegex(Exception, "can't be plugged"):
            vm.qmp.execute("device_add", driver="pcie-root-port", id="rp4")


class Assigned(unittest.TestCase):
    """A function of the host's behind a port, and VT-d: what the host holds follows its number."""

    def setUp(self):
        self.mock = Mock()
        self.addCleanup(self.mock.close)

    def start(self, *options):
        self.mock.start("-m", "64", *PORTS, "-device", "intel-iommu,caching-mode=on", *options)
        self.qmp, self.qtest = self.mock.vm.qmp, self.mock.vm.qtest

    def option(self):
        return f"vfio-pci,id=v,bus=rp1,sysfsdev={self.mock.sysfs}"

    def held(self):
        return sorted(self.mock.mapped())

    def check(self, *pages):
        self.assertEqual(self.held(), sorted(pages))
        self.assertTrue(self.qmp.execute("x-iommu-verify")["equal"])

    def domains(self):
        """Bus 1 sees one page, bus 2 another."""
        unit = Unit(self.qtest)
        for bus, iova in (1, 0x10000), (2, 0x20000):
            domain = unit.domain(bus)
            domain.map(iova, 8 * MIB + bus * PAGE, PAGE)
            unit.attach(bus << 8, domain)
        unit.enable()
        return unit

    def test_renumbered(self):
        self.start("-device", self.option())
        self.assertEqual(self.held(), [])  # no number, no memory
        number(self.qtest, 1)
        self.assertIn(0, self.held())
        unit = self.domains()
        self.check(0x10000)
        number(self.qtest, 2)
        self.check(0x20000)
        number(self.qtest, 3)  # in no domain
        self.check()
        number(self.qtest, 1)
        self.check(0x10000)
        # What the guest takes back under its new number is gone, I3; and no other device's.
        number(self.qtest, 2)
        unit.detach(1 << 8)
        unit.flush_context(1 << 8, 1)
        self.check(0x20000)
        unit.detach(2 << 8)
        unit.flush_context(2 << 8, 2)
        self.check()
        self.qmp.execute("system_reset")
        self.qmp.wait_event("RESET")
        self.assertIn(0, self.held())
        self.assertTrue(self.qmp.execute("x-iommu-verify")["equal"])

    def test_plugged_into_mappings(self):
        self.start()
        slot = express(self.qtest, PORT)
        number(self.qtest, 2)
        self.domains()
        for _ in range(2):
            self.mock.plug(addr="0", bus="rp1")
            self.check(0x20000)
            self.qtest.pci_write(PORT, slot + SLOT_CONTROL, ON, 2)
            at = express(self.qtest, 0, bus=2)
            self.assertEqual(self.qtest.pci_read(0, at + 2, 2, bus=2) >> 4 & 15, 0)  # an endpoint
            self.qmp.execute("device_del", id="v")
            self.qtest.pci_write(PORT, slot + SLOT_CONTROL, POWER_OFF, 2)
            self.qmp.wait_event("DEVICE_DELETED")
            self.assertEqual(self.held(), [])

    def test_extended_capabilities(self):
        """AER, serial number, ATS, a vendor's own, one that leads back: the guest sees two of them."""
        config = example_config() + bytes(4096 - 256)

        def add(at, ident, following, data=b""):
            struct.pack_into("<I", config, at, ident | 1 << 16 | following << 20)
            config[at + 4:at + 4 + len(data)] = data

        add(0x100, 0x01, 0x140, b"\xAA" * 40)
        add(0x140, 0x03, 0x150, struct.pack("<Q", 0x1122334455667788))
        add(0x150, 0x0F, 0x160)
        add(0x160, 0x0B, 0x180, struct.pack("<II", 0x01000001, 0xCAFE))  # 16 bytes
        add(0x180, 0x0B, 0x140, struct.pack("<I", 0xFFF00001))  # beyond the end
        self.mock.close()
        self.mock = Mock(config=config)
        self.addCleanup(self.mock.close)
        self.start("-device", self.option())
        number(self.qtest, 1)
        self.qtest.pci_write(0, 0x60, 0xB0000001)
        space = 0xB0000000 | 1 << 20
        self.assertEqual(self.qtest.readl(space), 0x00101B36)
        self.assertEqual([self.qtest.readl(space + at) for at in
                          (0x100, 0x104, 0x140, 0x144, 0x148, 0x150, 0x160, 0x168, 0x180, 0xFFC)],
                         [0x14000000, 0, 0x16010003, 0x55667788, 0x11223344, 0, 0x0001000B, 0xCAFE, 0, 0])
        for at in range(0x100, 0x1000, 4):
            self.qtest.writel(space + at, NOTHING)
        self.assertEqual(self.qtest.readl(space + 0x168), 0xCAFE)
        self.assertEqual(self.mock.read(CONFIG, 0x104, 4), 0xAAAAAAAA)

    def test_port_closes_the_way(self):
        """The reset of its bus: the host's function does no DMA from then on."""
        self.start("-device", self.option())
        number(self.qtest, 1)

        def is_master():
            return bool(self.mock.read(CONFIG, COMMAND, 2) & MASTER)

        self.qtest.pci_write(0, COMMAND, MASTER, 2, bus=1)
        self.assertTrue(is_master())
        self.qtest.pci_write(PORT, CONTROL, BUS_RESET, 2)
        self.assertFalse(is_master())
        self.qmp.execute("query-status")  # the main loop has come round
        self.qtest.pci_write(PORT, CONTROL, 0, 2)
        self.assertEqual(self.qtest.pci_read(0, COMMAND, 2, bus=1) & MASTER, 0)
        self.assertIn("\nreset", self.mock.log())


if __name__ == "__main__":
    unittest.main()
