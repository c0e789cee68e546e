# SPDX-License-Identifier: GPL-2.0-or-later
"""The chipset of board q35: config space in memory, interrupt lines, power management, its disks."""
import unittest

from duodm import Duodm, run
from seed import seeded

MCH, LPC, SMBUS = 0, 0x1F << 3, 0x1F << 3 | 3
PCIEXBAR, PMBASE, ACPI_CNTL, RCBA = 0x60, 0x40, 0x44, 0xF0
PM = 0x600
GPE_STATUS, GPE_ENABLE = PM + 0x20, PM + 0x28
NOTHING = 0xFFFFFFFF


class Q35(unittest.TestCase):
    def machine(self, *arguments):
        vm = Duodm("-M", "q35", *arguments, qtest=True)
        self.addCleanup(vm.close)
        return vm

    def enable_power(self, vm):
        """As firmware, and then an operating system, would: the block, SCI, GPE 1."""
        vm.qtest.pci_write(LPC, PMBASE, PM | 1)
        vm.qtest.pci_write(LPC, ACPI_CNTL, 0x80, 1)
        vm.qtest.outb(0xB2, 0xF1)
        vm.qtest.outw(GPE_ENABLE, 1 << 1)
        vm.qtest.intercept()

    def test_functions(self):
        vm = self.machine()
        self.assertEqual([vm.qtest.pci_read(devfn, 0) for devfn in (MCH, LPC, LPC | 2, SMBUS)],
                         [0x29C08086, 0x29188086, 0x29228086, 0x29308086])
        self.assertEqual(vm.qtest.pci_read(LPC, 0x0E, 1), 0x80)
        self.assertIn("bus pcie.0", vm.qmp.execute("human-monitor-command",
                                                   command_line="info qtree"))

    def test_config_space_in_memory(self):
        vm = self.machine()

        def place(value):
            vm.qtest.pci_write(MCH, PCIEXBAR, value & NOTHING)
            vm.qtest.pci_write(MCH, PCIEXBAR + 4, value >> 32)

        self.assertEqual(vm.qtest.readl(0xE0000000), NOTHING)  # its default place, switched off
        place(0xB0000001)
        self.assertEqual(vm.qtest.readl(0xB0000000), 0x29C08086)
        self.assertEqual(vm.qtest.readw(0xB0000000 | SMBUS << 12 | 2), 0x2930)
        self.assertEqual(vm.qtest.readb(0xB0000003 | LPC << 12), 0x29)
        self.assertEqual(vm.qtest.readl(0xB0000000 | 2 << 15), NOTHING)
        vm.qtest.writeb(0xB0000060 | LPC << 12, 0x0B)
        self.assertEqual(vm.qtest.pci_read(LPC, 0x60, 1), 0x0B)
        # It moves; by itself, too: the register is among what it shows.
        vm.qtest.writel(0xB0000060, 0xC0000001)
        self.assertEqual(vm.qtest.readl(0xB0000000), NOTHING)
        self.assertEqual(vm.qtest.readl(0xC0000000), 0x29C08086)
        place(0x4C0000001)
        self.assertEqual(vm.qtest.readl(0xC0000000), NOTHING)
        self.assertEqual(vm.qtest.readl(0x4C0000000), 0x29C08086)
        # 128 and 64 MiB: bits below the size are the address's, above it others answer.
        place(0xC8000003)
        self.assertEqual(vm.qtest.readl(0xC8000000), 0x29C08086)
        place(0xCC000005)
        self.assertEqual(vm.qtest.readl(0xCC000000), 0x29C08086)
        self.assertEqual(vm.qtest.readl(0xC8000000), NOTHING)
        place(0xC0000007)  # a reserved size
        self.assertEqual(vm.qtest.readl(0xC0000000), NOTHING)
        place(0xC0000001)
        vm.qmp.execute("system_reset")
        vm.qmp.wait_event("RESET")
        self.assertEqual(vm.qtest.readl(0xC0000000), NOTHING)
        self.assertEqual(vm.qtest.pci_read(MCH, PCIEXBAR), 0xE0000000)

    def test_config_space_stays_where_it_was_when_saved(self):
        vm = self.machine()
        vm.qtest.pci_write(MCH, PCIEXBAR, 0xB0000001)
        self.enable_power(vm)
        vm.qmp.execute("xen-save-devices-state", filename=vm.path("state"))
        vm.qmp.execute("system_reset")
        vm.qmp.wait_event("RESET")
        self.assertEqual(vm.qtest.readl(0xB0000000), NOTHING)
        vm.qmp.execute("stop")
        vm.qmp.execute("xen-load-devices-state", filename=vm.path("state"))
        self.assertEqual(vm.qtest.readl(0xB0000000), 0x29C08086)
        self.assertEqual(vm.qtest.inw(GPE_ENABLE), 1 << 1)

    def test_anything_is_written(self):
        """To all registers of the chipset, wherever that puts them; a reset makes it good."""
        vm = self.machine()
        first = [[vm.qtest.pci_read(devfn, at) for at in range(0, 256, 4)]
                 for devfn in (MCH, LPC, SMBUS)]
        with seeded(self) as rng:
            for _ in range(1500):
                size = rng.choice((1, 2, 4))
                vm.qtest.pci_write(rng.choice((MCH, LPC, SMBUS)), rng.randrange(0, 256, size),
                                   rng.getrandbits(8 * size), size)
                vm.qtest.outb(rng.choice((0x402, PM + rng.randrange(128), 0xB2)), rng.getrandbits(5))
                vm.qtest.writel(rng.choice((0xB0000000, 0xFED1C000)) + rng.randrange(0, 0x4000, 4),
                                rng.getrandbits(32))
        vm.qmp.execute("system_reset")
        vm.qmp.wait_event("RESET")
        self.assertEqual([[vm.qtest.pci_read(devfn, at) for at in range(0, 256, 4)]
                          for devfn in (MCH, LPC, SMBUS)], first)

    def raise_smbus(self, vm):
        """Its pin, INTB, is high until the status is cleared."""
        vm.qtest.pci_write(SMBUS, 0x20, 0x700)
        vm.qtest.pci_write(SMBUS, 0x40, 1, 1)
        vm.qtest.pci_write(SMBUS, 4, 1, 2)
        vm.qtest.outb(0x702, 0x41)
        self.assertEqual(vm.qtest.inb(0x700), 4)

    def test_interrupt_lines(self):
        vm = self.machine()
        vm.qtest.intercept()
        self.raise_smbus(vm)
        vm.qtest.wait_irq(17, True)
        self.assertFalse(vm.qtest.irq(11))
        # Routed to an ISA interrupt it leads there as well.
        vm.qtest.pci_write(LPC, 0x61, 0x0B, 1)
        vm.qtest.wait_irq(11, True)
        vm.qtest.pci_write(LPC, 0x61, 0x0A, 1)
        vm.qtest.wait_irq(11, False)
        vm.qtest.wait_irq(10, True)
        vm.qtest.pci_write(LPC, 0x61, 0x80, 1)
        vm.qtest.wait_irq(10, False)
        self.assertTrue(vm.qtest.irq(17))
        vm.qtest.outb(0x700, 4)
        vm.qtest.wait_irq(17, False)

    def test_lines_of_slots(self):
        """Slot 3, INTA: the last of E to H."""
        vm = self.machine("-device", "e1000,addr=3")
        vm.qtest.intercept()
        vm.qtest.pci_write(3 << 3, 0x10, 0xC0000000)
        vm.qtest.pci_write(3 << 3, 4, 2, 2)
        vm.qtest.writel(0xC00000D0, 4)  # mask set
        vm.qtest.writel(0xC00000C8, 4)  # cause set
        vm.qtest.wait_irq(23, True)
        vm.qtest.pci_write(LPC, 0x6B, 0x05, 1)
        vm.qtest.wait_irq(5, True)
        vm.qtest.readl(0xC00000C0)
        vm.qtest.wait_irq(23, False)
        vm.qtest.wait_irq(5, False)

    def test_power_management(self):
        vm = self.machine()
        self.assertEqual(vm.qtest.inw(PM), 0xFFFF)
        self.enable_power(vm)
        self.assertEqual(vm.qtest.inw(PM + 4), 1)
        before = vm.qtest.inl(PM + 8)
        vm.qtest.clock_step(1_000_000)
        self.assertEqual(vm.qtest.inl(PM + 8) - before, 3579)
        self.assertEqual(vm.qtest.inl(PM + 0x30), 0x20)  # SMM is set up: none of it is there
        vm.qtest.outw(PM + 2, 0x100)
        vm.qmp.execute("system_powerdown")
        vm.qtest.wait_irq(9, True)
        self.assertEqual(vm.qtest.inw(PM), 0x100)
        vm.qtest.outw(PM, 0x100)
        vm.qtest.wait_irq(9, False)
        vm.qtest.pci_write(LPC, PMBASE, 0x801)
        self.assertEqual((vm.qtest.inw(PM + 4), vm.qtest.inw(0x804)), (0xFFFF, 1))
        vm.qtest.outw(0x804, 0x2000 | 5 << 10)  # S3: not offered
        vm.qtest.outw(0x804, 0x2000 | 7 << 10)  # S5
        vm.qmp.wait_event("SHUTDOWN")

    def test_reset_port(self):
        vm = self.machine()
        vm.qtest.outb(0xCF9, 2)
        vm.qtest.outb(0xCF9, 6)
        vm.qmp.wait_event("RESET")

    def test_registers_in_memory(self):
        vm = self.machine()
        vm.qtest.pci_write(LPC, RCBA, 0xFED1C001)
        self.assertEqual([vm.qtest.readl(0xFED1C000 + at) for at in (0x3140, 0x3404, 0x3410)],
                         [0x32103210, 0x80, 0x20])
        vm.qtest.writel(0xFED1F410, 0)  # the strap that says there is no watchdog
        self.assertEqual(vm.qtest.readl(0xFED1F410), 0x20)

    def test_hotplug(self):
        """As pc's, by the same registers; the event is ICH9's."""
        vm = self.machine()
        self.enable_power(vm)
        vm.qmp.execute("device_add", driver="virtio-rng-pci", id="r0", addr="1")
        vm.qtest.wait_irq(9, True)
        self.assertEqual(vm.qtest.inw(GPE_STATUS), 1 << 1)
        self.assertEqual(vm.qtest.inl(0xAE00), 1 << 1)
        vm.qtest.outl(0xAE00, 1 << 1)
        vm.qtest.outw(GPE_STATUS, 1 << 1)
        vm.qtest.wait_irq(9, False)
        self.assertEqual(vm.qtest.pci_read(1 << 3, 0) & 0xFFFF, 0x1AF4)
        vm.qtest.outl(0xAE08, 1 << 31)  # the chipset does not go
        self.assertEqual(vm.qtest.pci_read(LPC, 0), 0x29188086)

    def test_default_places(self):
        vm = self.machine("-drive", "if=ide,bus=1,media=cdrom", "-drive", "media=cdrom", "-usb",
                          "-device", "ahci", "-device", "ide-cd,bus=ahci.5")
        self.assertEqual({block["device"] for block in vm.qmp.execute("query-block")} - {""},
                         {"ide0-cd0", "ide1-cd0"})
        devices = vm.qmp.execute("query-pci")[0]["devices"]
        self.assertEqual([(d["slot"], d["function"]) for d in devices
                          if d["id"]["device"] in (0x2922, 0x7020)], [(2, 0), (0x1D, 0), (0x1F, 2)])
        tree = vm.qmp.execute("human-monitor-command", command_line="info qtree")
        self.assertEqual(tree.count("  ide-cd\n"), 3)

    def test_options(self):
        for options, text in (("q35,max-ram-below-4g=3G", "1M to 2816M"),
                              ("q35,rtc=on", "machine 'q35' has no property 'rtc'")):
            result = run("-M", options, "-accel", "qtest", "-display", "none")
            self.assertEqual(result.returncode, 1)
            self.assertIn(text, result.stderr)
        result = run("-M", "q35", "-accel", "qtest", "-display", "none", "-drive",
                     "if=ide,media=cdrom,unit=1")
        self.assertIn("unit=1 is not there", result.stderr)


if __name__ == "__main__":
    unittest.main()
