# SPDX-License-Identifier: GPL-2.0-or-later
"""vfio-pci over the test port, with a mock of the kernel's VFIO: config space, BARs, interrupts,
mappings, and what happens when any of the host's calls fails."""
import errno
import os
import re
import struct
import unittest

import virtio
from duodm import QMPError
from seed import seeded
from vfio import CONFIG, ERROR, INTX, MSI, MSIX, REQUEST, UNMASK, Mock, example_config

DEVFN = 5 << 3
COMMAND, MASTER, MEMORY, IO, NO_INTX = 4, 4, 2, 1, 0x400
PM, MSI_CAP, MSIX_CAP, EXPRESS, VENDOR = 0x40, 0x50, 0x70, 0x80, 0xC0
BAR0, BAR2 = 0xE0000000, 0xC000
EJECT = 0xAE08
MIB = 1 << 20


class Vfio(unittest.TestCase):
    options, more = (), {}  # of every machine, and of every device

    def mock(self, *arguments, plugged=True, memory="64", device=None, **settings):
        mock = Mock(**settings)
        mock.more = self.more
        self.addCleanup(mock.close)
        if plugged:
            arguments += ("-device", mock.option(**(device or {})))
        mock.start("-m", memory, *self.options, *arguments)
        return mock

    def fails(self, text, call, *arguments, **rest):
        with self.assertRaises(QMPError) as caught:
            call(*arguments, **rest)
        self.assertIn(text, caught.exception.description)
        return caught.exception.description

    def read(self, mock, offset, size=4):
        return mock.vm.qtest.pci_read(DEVFN, offset, size)

    def write(self, mock, offset, value, size=4):
        mock.vm.qtest.pci_write(DEVFN, offset, value, size)

    def map_bars(self, mock):
        self.write(mock, 0x10, BAR0)
        self.write(mock, 0x18, BAR2)
        self.write(mock, COMMAND, MASTER | MEMORY | IO, 2)


class Config(Vfio):
    def test_header(self):
        mock = self.mock()
        self.assertEqual(self.read(mock, 0), 0x00101B36)
        self.assertEqual(self.read(mock, 8), 0x01080202)
        self.assertEqual(self.read(mock, 0x2C), 0x11001AF4)
        self.assertEqual(self.read(mock, 0x3D, 1), 1)
        self.write(mock, 0, 0xFFFFFFFF)
        self.assertEqual(self.read(mock, 0), 0x00101B36)
        self.write(mock, 0x10, 0xFFFFFFFF)
        self.write(mock, 0x14, 0xFFFFFFFF)
        self.assertEqual((self.read(mock, 0x10), self.read(mock, 0x14)), (0xFFFFC004, 0xFFFFFFFF))
        self.write(mock, 0x18, 0xFFFFFFFF)
        self.assertEqual(self.read(mock, 0x18), 0xFFFFFFE1)
        # The device's own BARs are the host's business.
        self.assertEqual(mock.read(CONFIG, 0x10, 4), 4)

    def test_command(self):
        mock = self.mock()
        self.assertEqual(self.read(mock, COMMAND, 2), 0)
        # The device decodes always, so that nobody can touch a mapping that is gone; it is a bus
        # master when the guest says so.
        self.assertEqual(mock.read(CONFIG, COMMAND, 2), MEMORY | IO)
        self.write(mock, COMMAND, MASTER | NO_INTX, 2)
        self.assertEqual(mock.read(CONFIG, COMMAND, 2), MASTER | MEMORY | IO)
        self.assertEqual(self.read(mock, COMMAND, 2), MASTER | NO_INTX)

    def test_status_bits_are_the_devices(self):
        mock = self.mock()
        mock.store(CONFIG, 6, 2, 0x2818)
        self.assertEqual(self.read(mock, 6, 2), 0x2818)
        self.write(mock, 4, 0x20000006)  # in one with the command register
        self.assertEqual(mock.read(CONFIG, 7, 1), 0x20)

    def chain(self, mock):
        at, ids = self.read(mock, 0x34, 1), []
        while at:
            ids.append((at, self.read(mock, at, 1)))
            at = self.read(mock, at + 1, 1)
        return ids

    def test_capabilities(self):
        mock = self.mock()
        self.assertEqual(self.chain(mock), [(PM, 1), (MSI_CAP, 5), (MSIX_CAP, 0x11),
                                            (EXPRESS, 0x10), (VENDOR, 9)])

    def test_power_state_is_not_the_hosts(self):
        mock = self.mock()
        self.assertEqual(self.read(mock, PM + 2, 2), 0x0003)  # no PME
        self.write(mock, PM + 4, 0x8103, 2)
        self.assertEqual(self.read(mock, PM + 4, 2), 0x000B)  # D3hot, no soft reset
        self.assertEqual(mock.read(CONFIG, PM + 4, 2), 0)
        self.write(mock, PM + 4, 0, 2)
        self.assertEqual(self.read(mock, PM + 4, 2), 8)

    def test_express_is_integrated(self):
        mock = self.mock()
        self.assertEqual(self.read(mock, EXPRESS + 2, 2), 0x0092)
        self.assertEqual(self.read(mock, EXPRESS + 0xC), 0)
        self.write(mock, EXPRESS + 8, 0x2810, 2)
        self.assertEqual(mock.read(CONFIG, EXPRESS + 8, 2), 0x2810)
        self.write(mock, EXPRESS + 0x10, 0xFFFF, 2)
        self.assertEqual(mock.read(CONFIG, EXPRESS + 0x10, 2), 0)

    def test_vendors_registers_are_the_devices(self):
        mock = self.mock()
        self.write(mock, VENDOR + 4, 0x12345678)
        self.assertEqual(mock.read(CONFIG, VENDOR + 4, 4), 0x12345678)
        mock.store(CONFIG, VENDOR + 8, 4, 0xCAFE)
        self.assertEqual(self.read(mock, VENDOR + 8), 0xCAFE)
        self.write(mock, VENDOR, 0)
        self.assertEqual(self.read(mock, VENDOR, 1), 9)

    def test_chain_that_is_a_loop(self):
        config = example_config()
        config[VENDOR + 1] = 0x50
        self.assertEqual(len(self.chain(self.mock(config=config))), 5)

    def test_what_is_no_function(self):
        for change, text in [((0x0E, 1), "bridge"), ((MSIX_CAP + 4, 0x2F), "is not there"),
                             ((MSIX_CAP + 5, 0x40), "is not there"), ((VENDOR, 5), "out of place"),
                             ((VENDOR + 1, 0xF8), None)]:
            config = example_config()
            config[change[0]] = change[1]
            if change[0] == VENDOR + 1:
                config[0xF8] = 0x11
                text = "out of place"
            mock = self.mock(plugged=False, config=config)
            self.fails(text, mock.plug)
            self.assertEqual(mock.mapped(), {})
            mock.close()

    def test_hammer(self):
        """Whatever is written: all stays, nothing breaks, the device is no bus master unasked."""
        with seeded(self) as rng:
            self.hammer(rng)

    def hammer(self, rng):
        mock = self.mock()
        for _ in range(3000):
            size = rng.choice([1, 2, 4])
            offset = rng.randrange(0, 256, size)
            self.write(mock, offset, rng.getrandbits(8 * size), size)
            self.read(mock, rng.randrange(0, 256, size), size)
        self.assertEqual(self.read(mock, 0), 0x00101B36)
        self.write(mock, COMMAND, 0, 2)
        self.assertEqual(mock.read(CONFIG, COMMAND, 2), MEMORY | IO)
        mock.vm.qmp.execute("system_reset")
        mock.wait_log("^reset$")
        self.assertEqual(self.read(mock, COMMAND, 2), 0)


class Bars(Vfio):
    def test_accesses(self):
        mock = self.mock()
        qtest = mock.vm.qtest
        self.map_bars(mock)
        for offset in (0, 0x1000, 0x3800):
            qtest.writel(BAR0 + offset, 0x11223344)
            self.assertEqual(mock.read(0, offset, 4), 0x11223344)
            mock.store(0, offset, 4, 0x55667788)
            self.assertEqual(qtest.readl(BAR0 + offset), 0x55667788)
        qtest.writeq(BAR0 + 8, 0x1122334455667788)
        self.assertEqual(mock.read(0, 8, 8), 0x1122334455667788)
        qtest.outw(BAR2 + 4, 0xABCD)
        self.assertEqual(mock.read(2, 4, 2), 0xABCD)
        mock.store(2, 5, 1, 0x99)
        self.assertEqual(qtest.inb(BAR2 + 5), 0x99)

    def test_moved(self):
        mock = self.mock()
        self.map_bars(mock)
        high = 0x900000000
        self.write(mock, 0x14, high >> 32)
        self.write(mock, 0x10, high & 0xFFFFFFFF)
        mock.vm.qtest.writel(high + 16, 7)
        self.assertEqual(mock.read(0, 16, 4), 7)
        self.assertEqual(mock.vm.qtest.readl(BAR0 + 16), 0xFFFFFFFF)

    def test_mapped_for_its_peers(self):
        mock = self.mock()
        before = set(mock.mapped())
        self.map_bars(mock)
        self.assertEqual(mock.mapped()[BAR0][0], 0x2000)  # up to the page of the MSI-X table
        self.write(mock, COMMAND, 0, 2)
        self.assertEqual(set(mock.mapped()), before)

    def test_sized_while_it_decodes(self):
        """QEMU: a 64-bit BAR that is sized while it decodes was to be mapped at the end of all addresses.
        The host is told of no such thing, and all is as before when the BAR is back."""
        mock = self.mock()
        self.map_bars(mock)
        before, log = mock.mapped(), len(mock.log())
        self.write(mock, 0x10, 0xFFFFFFFF)
        self.assertNotIn(0xFFFFC000, mock.mapped())
        self.write(mock, 0x14, 0xFFFFFFFF)
        self.assertEqual(self.read(mock, 0x10, 4), 0xFFFFC004)
        self.assertEqual(self.read(mock, 0x14, 4), 0xFFFFFFFF)
        self.assertTrue(mock.vm.qmp.execute("x-iommu-verify")["equal"])
        self.assertNotIn(BAR0, mock.mapped())
        self.assertEqual(mock.mapped().items() - before.items(), set())
        self.write(mock, 0x10, BAR0)
        self.write(mock, 0x14, BAR0 >> 32)
        self.assertEqual(mock.mapped(), before)
        self.assertNotIn("0xffff", mock.log()[log:])

    def test_taken_away(self):
        """Whoever touches mapped memory that is gone would get a SIGBUS; the kernel may lack errors' events."""
        for tells_errors in (1, 0):
            mock = self.mock(error=tells_errors)
            self.map_bars(mock)
            mock.take_away()
            mock.vm.qtest.writel(BAR0 + 8, 1)
            self.assertEqual(mock.vm.qtest.readl(BAR0 + 12), 0xFFFFFFFF)
            self.assertEqual(mock.vm.qtest.readl(BAR0 + 0x1FFC), 0xFFFFFFFF)
            mock.vm.qmp.wait_event("STOP")
            self.assertEqual(mock.vm.qmp.execute("query-status")["status"], "internal-error")
            self.assertEqual(mock.vm.quit(), 0)
            self.assertIn("device v was taken away", mock.vm.stderr())

    def test_without_mmap(self):
        mock = self.mock(device={"x_no_mmap": "on"})
        self.map_bars(mock)
        self.assertNotIn(BAR0, mock.mapped())
        mock.vm.qtest.writeq(BAR0 + 8, 0x1122334455667788)
        self.assertEqual(mock.read(0, 8, 8), 0x1122334455667788)

    def test_impossible_sizes(self):
        for settings in ({"bar0": 12288}, {"bar0": 8}, {"bar2": 512}, {"bar4": 1 << 32}):
            mock = self.mock(plugged=False, **settings)
            self.fails("is none that PCI allows", mock.plug)
            self.assertEqual(mock.mapped(), {})
            mock.close()


class Rom(Vfio):
    IMAGE = bytes([0x55, 0xAA, 8]) + bytes(n * 7 & 0xFF for n in range(8189))

    def size(self, mock):
        self.write(mock, 0x30, 0xFFFFF800)
        return -self.read(mock, 0x30) & 0xFFFFFFFF

    def test_the_devices_own(self):
        mock = self.mock(rom=self.IMAGE)
        self.assertEqual(self.size(mock), 8192)
        self.write(mock, 0x30, BAR0 | 1)
        self.write(mock, COMMAND, MEMORY, 2)
        self.assertEqual(mock.vm.qtest.read(BAR0, 8192), self.IMAGE)
        mock.vm.qtest.writel(BAR0, 0)
        self.assertEqual(mock.vm.qtest.read(BAR0, 8192), self.IMAGE)
        self.assertEqual(mock.read(CONFIG, 0x30, 4), 0)  # its own register is the host's business

    def test_a_file_or_none(self):
        mock = self.mock(rom=self.IMAGE, device={"rombar": 0})
        self.assertEqual(self.size(mock), 0)
        mock = self.mock(rom=self.IMAGE, device={"romfile": ""})
        self.assertEqual(self.size(mock), 0)
        path = os.path.join(mock.folder, "other")
        with open(path, "wb") as file:
            file.write(self.IMAGE + self.IMAGE)
        mock = self.mock(rom=self.IMAGE, device={"romfile": path})
        self.assertEqual(self.size(mock), 16384)

    def test_no_rom_behind_the_register(self):
        self.assertEqual(self.size(self.mock(rom=b"\xff" * 8192)), 0)


class Interrupts(Vfio):
    def setUp(self):
        self.target = 8 * MIB  # messages to RAM can be seen

    def expect_message(self, mock, address, data):
        mock.wait_log("", 0)
        for _ in range(1000):
            if mock.vm.qtest.readl(address) == data:
                break
            mock.vm.qmp.execute("query-status")
        self.assertEqual(mock.vm.qtest.readl(address), data)
        mock.vm.qtest.writel(address, 0)

    def entry(self, mock, vector, masked=False):
        qtest, at = mock.vm.qtest, BAR0 + 0x2000 + 16 * vector
        qtest.writel(at, self.target + 4 * vector)
        qtest.writel(at + 4, 0)
        qtest.writel(at + 8, 0x100 + vector)
        qtest.writel(at + 12, int(masked))

    def test_msix(self):
        mock = self.mock()
        self.map_bars(mock)
        self.assertEqual(mock.vm.qtest.readl(BAR0 + 0x200C), 1)
        self.entry(mock, 0)
        self.write(mock, MSIX_CAP + 2, 0x8000, 2)
        self.assertEqual(set(mock.triggers(MSIX)), {0})
        self.assertEqual(mock.triggers(INTX), {})
        self.entry(mock, 5)
        self.assertEqual(set(mock.triggers(MSIX)), {0, 5})
        for vector in (0, 5, 5):
            mock.interrupt(MSIX, vector)
            self.expect_message(mock, self.target + 4 * vector, 0x100 + vector)
        # Masked: pending, as the bits tell, and sent when it is not masked any more.
        self.entry(mock, 5, masked=True)
        mock.interrupt(MSIX, 5)
        while mock.vm.qtest.readq(BAR0 + 0x3000) != 1 << 5:
            pass
        self.assertEqual(mock.vm.qtest.readl(self.target + 20), 0)
        self.entry(mock, 5)
        self.expect_message(mock, self.target + 20, 0x105)
        self.assertEqual(mock.vm.qtest.readq(BAR0 + 0x3000), 0)
        # The whole function masked.
        self.write(mock, MSIX_CAP + 2, 0xC000, 2)
        mock.interrupt(MSIX, 0)
        while mock.vm.qtest.readq(BAR0 + 0x3000) != 1:
            pass
        self.write(mock, MSIX_CAP + 2, 0x8000, 2)
        self.expect_message(mock, self.target, 0x100)
        self.write(mock, MSIX_CAP + 2, 0, 2)
        self.assertEqual(mock.triggers(MSIX), {})
        self.assertEqual(set(mock.triggers(INTX)), {0})

    def test_fewer_vectors_than_wanted(self):
        mock = self.mock(available=3)
        self.map_bars(mock)
        self.entry(mock, 2)
        self.entry(mock, 7)
        self.write(mock, MSIX_CAP + 2, 0x8000, 2)
        self.assertEqual(set(mock.triggers(MSIX)), {2})
        mock.interrupt(MSIX, 2)
        self.expect_message(mock, self.target + 8, 0x102)

    def test_msi(self):
        mock = self.mock()
        self.map_bars(mock)
        self.write(mock, MSI_CAP + 4, self.target)
        self.write(mock, MSI_CAP + 0xC, 0x4440, 2)
        self.write(mock, MSI_CAP + 2, 0x0021, 2)  # four vectors
        self.assertEqual(set(mock.triggers(MSI)), {0, 1, 2, 3})
        mock.interrupt(MSI, 3)
        self.expect_message(mock, self.target, 0x4443)
        self.write(mock, MSI_CAP + 0x10, 1 << 2)
        mock.interrupt(MSI, 2)
        mock.vm.qmp.execute("query-status")
        self.write(mock, MSI_CAP + 0x10, 0)
        self.expect_message(mock, self.target, 0x4442)
        self.write(mock, MSI_CAP + 2, 0, 2)
        self.assertEqual(mock.triggers(MSI), {})

    def test_reset_switches_all_off(self):
        mock = self.mock()
        self.map_bars(mock)
        self.entry(mock, 0)
        self.write(mock, MSIX_CAP + 2, 0x8000, 2)
        mock.vm.qmp.execute("system_reset")
        mock.vm.qmp.wait_event("RESET")
        self.assertEqual(mock.triggers(MSIX), {})
        self.assertEqual(set(mock.triggers(INTX)), {0})
        self.assertEqual(mock.read(CONFIG, COMMAND, 2), MEMORY | IO)
        self.map_bars(mock)
        self.assertEqual(mock.vm.qtest.readl(BAR0 + 0x200C), 1)

    def unmasked(self, mock):
        return len(re.findall(rf"^irqs 0 {UNMASK | 1} 0 1", mock.log(), re.M))

    def test_intx_until_eoi(self):
        mock = self.mock()
        qtest = mock.vm.qtest
        qtest.start_pic()
        self.map_bars(mock)
        for _ in range(3):
            before = self.unmasked(mock)
            mock.interrupt(INTX)
            qtest.wait_irq(10, True)
            self.assertEqual(self.unmasked(mock), before)
            qtest.serve_pic()
            qtest.wait_irq(10, False)
            self.assertEqual(self.unmasked(mock), before + 1)
        # Switched off by the guest: the line is low, and high again when it is on.
        self.write(mock, COMMAND, MASTER | NO_INTX, 2)
        mock.interrupt(INTX)
        mock.vm.qmp.execute("query-status")
        self.assertFalse(qtest.irq(10))
        self.write(mock, COMMAND, MASTER, 2)
        qtest.wait_irq(10, True)


class Mappings(Vfio):
    def ram(self, mock):
        """Bytes of RAM below 1 GiB that are mapped."""
        return sum(length for start, (length, _) in mock.mapped().items() if start < 1 << 30)

    def test_all_of_ram(self):
        mock = self.mock()
        self.assertEqual(self.ram(mock), 64 * MIB)
        mock.vm.qmp.execute("cont")
        mock.vm.qmp.execute("device_del", id="v")
        mock.vm.qtest.outl(EJECT, 1 << 5)
        mock.vm.qmp.wait_event("DEVICE_DELETED")
        self.assertEqual(mock.mapped(), {})
        # First in again: all of it anew (cloud-hypervisor#7328).
        mock.plug()
        self.assertEqual(self.ram(mock), 64 * MIB)

    def test_page_that_the_balloon_gives_back_meanwhile(self):
        """If it is pinned, and then discarded, the guest has another one than the device."""
        last = 40 * MIB
        mock = self.mock("-device", "virtio-balloon-pci,addr=7", plugged=False, peek=last)
        qtest = mock.vm.qtest
        balloon = virtio.PCI(qtest, slot=7)
        balloon.start()
        qtest.memset(32 * MIB, 9 * MIB, 0x5A)
        pages = [*range(8192, 8692, 2)] * 4000 + [last >> 12]  # no two side by side: that takes its time
        queue = balloon.queues[0]
        queue.add([struct.pack(f"<{len(pages)}I", *pages)], [])
        queue.kick()
        while qtest.readb(8192 << 12):
            pass  # it has not begun
        mock.plug()
        queue.wait()
        self.assertEqual(re.findall("^peek (.*)$", mock.log(), re.M), [str(qtest.readb(last))])
        qtest.writeb(last, 7)
        queue.request([struct.pack("<I", last >> 12)], [])  # nothing is given back any more
        self.assertEqual(qtest.readb(last), 7)

    def test_the_host_wants_it_back(self):
        mock = self.mock()
        mock.vm.qmp.execute("cont")
        mock.interrupt(REQUEST)
        while mock.vm.qtest.inl(0xAE04) != 1 << 5:
            pass
        mock.vm.qtest.outl(EJECT, 1 << 5)
        mock.vm.qmp.wait_event("DEVICE_DELETED")
        self.assertTrue(self.balanced(mock.log()))

    def test_no_entries_left(self):
        mock = self.mock(plugged=False, entries=1)
        text = self.fails("no entry left", mock.plug)
        self.assertIn("0x", text)
        self.assertEqual(mock.mapped(), {})

    def test_uncorrectable_error(self):
        mock = self.mock()
        mock.interrupt(ERROR)
        mock.vm.qmp.wait_event("STOP")
        self.assertEqual(mock.vm.qmp.execute("query-status")["status"], "internal-error")
        mock.vm.quit()
        self.assertIn("device v had an uncorrectable error", mock.vm.stderr())

    def test_group_that_is_not_viable(self):
        mock = self.mock(plugged=False, viable=0)
        self.fails("not all devices of the IOMMU group are bound to vfio-pci", mock.plug)

    def test_host_side_errors(self):
        mock = self.mock(plugged=False)
        link = os.path.join(mock.sysfs, "driver")
        os.unlink(link)
        self.fails("belongs to no driver: give it to vfio-pci", mock.plug)
        os.symlink("/nowhere/drivers/nvme", link)
        self.fails("belongs to the host's driver nvme: give it to vfio-pci", mock.plug)
        os.unlink(os.path.join(mock.sysfs, "iommu_group"))
        self.fails("is behind no IOMMU", mock.plug)
        self.fails("needs one of the properties", mock.vm.qmp.execute, "device_add",
                   driver="vfio-pci")
        self.fails("there is no /nowhere", mock.vm.qmp.execute, "device_add", driver="vfio-pci",
                   sysfsdev="/nowhere")

    def balanced(self, log):
        return len(re.findall("^open (?!iommu)", log, re.M)) == len(re.findall("^close", log, re.M))

    def plug_with_failure(self, mock, number, problem):
        """True if the request with that number was made, and so failed."""
        mock.write("log", "")
        mock.fail(number, problem)
        try:
            mock.plug()
        except QMPError:
            plugged = False
        else:
            plugged = True
        injected = "injected" in mock.log()
        mock.fail(0, 0)
        if plugged:  # then it was something that a device can do without
            mock.vm.qmp.execute("device_del", id="v", x_force=True)
            mock.vm.qmp.wait_event("DEVICE_DELETED")
        self.assertEqual(mock.mapped(), {}, f"request {number}: {mock.log()}")
        self.assertTrue(self.balanced(mock.log()), f"request {number}: {mock.log()}")
        return injected

    def test_each_request_fails_once(self):
        """Each of the host's calls at hotplug: an error or none, but never anything left (I1)."""
        mock = self.mock(plugged=False)
        for problem in (errno.ENOMEM, errno.ENOSPC, errno.EINVAL, errno.EEXIST, errno.EBUSY,
                        errno.EFAULT):
            number = 1
            while self.plug_with_failure(mock, number, problem):
                number += 1
            self.assertGreater(number, 20)
        mock.plug()
        self.assertEqual(self.ram(mock), 64 * MIB)

    def test_each_access_fails_once(self):
        """The same, where what fails may be an access to the device, too, the mapping of a BAR, or
        an event descriptor; and nothing is left open."""
        mock = self.mock(plugged=False, accesses=1)
        folder, number = f"/proc/{mock.vm.process.pid}/fd", 1
        mock.plug()
        mock.vm.qmp.execute("device_del", id="v", x_force=True)
        mock.vm.qmp.wait_event("DEVICE_DELETED")
        before = len(os.listdir(folder))
        while self.plug_with_failure(mock, number, errno.EIO):
            self.assertEqual(len(os.listdir(folder)), before, f"request {number}: {mock.log()}")
            number += 1
        self.assertGreater(number, 100)
        mock.plug()
        self.assertEqual(self.ram(mock), 64 * MIB)

    def test_its_state_cant_be_saved(self):
        mock = self.mock()
        self.fails("can't be saved", mock.vm.qmp.execute, "migrate",
                   uri="file:" + mock.path("saved"))

    def test_cut_off_when_the_host_cant_follow(self):
        """RAM changes below the device (a shadowed ROM) and the host refuses: no DMA, and an event."""
        mock = self.mock()
        self.map_bars(mock)
        mock.fail(2, errno.ENOMEM)
        mock.vm.qtest.pci_write(0, 0x5A, 0x11, 1)  # PAM: c0000 to c8000 are read-only now
        event = mock.vm.qmp.wait_event("DEVICE_DMA_CUT_OFF")
        self.assertEqual(event["data"]["device"], "v")
        self.assertIn("Cannot allocate memory", event["data"]["reason"])
        mock.fail(0, 0)
        self.assertEqual(mock.read(CONFIG, COMMAND, 2) & MASTER, 0)
        self.write(mock, COMMAND, MASTER, 2)
        self.assertEqual(mock.read(CONFIG, COMMAND, 2) & MASTER, 0)
        mock.vm.qmp.execute("system_reset")
        mock.vm.qmp.wait_event("RESET")
        self.write(mock, COMMAND, MASTER, 2)
        self.assertEqual(mock.read(CONFIG, COMMAND, 2) & MASTER, MASTER)


class ByIommufd(Mappings):
    """The same through /dev/iommu and the device's own file."""
    options, more = ("-object", "iommufd,id=i"), {"iommufd": "i"}

    def test_no_entries_left(self):
        mock = self.mock(plugged=False, entries=1)
        self.fails("No space left", mock.plug)
        self.assertEqual(mock.mapped(), {})

    def test_group_that_is_not_viable(self):
        mock = self.mock(plugged=False)
        self.fails("no object 'j'", mock.plug, iommufd="j")
        os.rmdir(os.path.join(mock.sysfs, "vfio-dev", "vfio0"))
        self.fails("CONFIG_VFIO_DEVICE_CDEV", mock.plug)

    def test_reset_of_the_bus_needs_no_group(self):
        mock = self.mock(reset=0)
        mock.vm.qmp.execute("system_reset")
        mock.wait_log("^hot-reset 0$")


if __name__ == "__main__":
    unittest.main()
