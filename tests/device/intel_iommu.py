# SPDX-License-Identifier: GPL-2.0-or-later
"""Device intel-iommu on board pc: virtio devices that do DMA through its tables."""
import os
import select
import struct
import tempfile
import time
import unittest

import ata
import nbd
from seed import seeded
import virtio
import vtd
from duodm import SLOWER, Duodm, run

virtio.Device.slower = SLOWER
SLOT = 5
REQUESTER = SLOT << 3
DISTANCE = 0x7f0000000000  # from guest physical addresses to IOVAs
RAM = 64 << 20


def machine(*arguments, iommu="intel-iommu,caching-mode=on"):
    return Duodm("-display", "none", "-m", str(RAM >> 20), "-device", iommu, *arguments, qtest=True)


class Behind(virtio.PCI):
    distance = DISTANCE


def translated(vm, driver=Behind, level=2):
    """A unit that shows all of RAM at DISTANCE to the device in SLOT, and that device."""
    unit = vtd.Unit(vm.qtest)
    domain = unit.domain(1)
    domain.map(DISTANCE, 0, RAM, level=level)
    unit.attach(REQUESTER, domain)
    unit.enable()
    return unit, domain, driver(vm.qtest, slot=SLOT)


RNG = ("-device", f"virtio-rng-pci,iommu_platform=on,addr={SLOT}")


class Translation(unittest.TestCase):
    def check_requests(self, device, count=40):
        queue = device.queues[0]
        for k in range(count):
            length, data = queue.request([], [16] * (1 + k % 4), k % 3 == 0)
            self.assertEqual(length, len(data))
            self.assertNotEqual(data, bytes([0xEE]) * length)

    def test_off_is_untranslated(self):
        with machine(*RNG) as vm:
            device = virtio.PCI(vm.qtest, slot=SLOT)
            device.start()
            self.check_requests(device)

    def test_requests(self):
        for ring in ("off", "on"):
            with machine("-device", f"virtio-rng-pci,iommu_platform=on,packed={ring},addr={SLOT}") as vm:
                unit, _, device = translated(vm)
                device.start(sizes={0: 8})
                self.check_requests(device)
                self.assertEqual(unit.faults(), [])

    def test_pass_through(self):
        with machine(*RNG) as vm:
            unit = vtd.Unit(vm.qtest)
            unit.pass_through(REQUESTER)
            unit.enable()
            device = virtio.PCI(vm.qtest, slot=SLOT)
            device.start()
            self.check_requests(device)
            self.assertEqual(unit.faults(), [])

    def test_switch_of_domain_and_pass_through(self):
        with machine(*RNG) as vm:
            unit, domain, device = translated(vm)
            other = unit.domain(2)
            other.map(2 * DISTANCE & 0xffffffffffff, 0, RAM, level=2)
            for place in (DISTANCE, 2 * DISTANCE & 0xffffffffffff, 0, DISTANCE):
                device.distance = place
                if place == DISTANCE:
                    unit.attach(REQUESTER, domain)
                elif place:
                    unit.attach(REQUESTER, other)
                else:
                    unit.pass_through(REQUESTER)
                unit.flush_contexts()
                unit.flush_all()
                device.start()
                self.check_requests(device, 4)
            self.assertEqual(unit.faults(), [])

    def test_faults_are_logged_and_the_guest_lives(self):
        with machine(*RNG) as vm:
            unit, domain, device = translated(vm, level=1)
            device.start()
            queue = device.queues[0]
            hole = device.arena.take(4096, 4096)
            domain.unmap(device.iova(hole), 4096)
            unit.flush_pages(1, device.iova(hole))
            queue.add_parts([], [(hole, 16)])
            queue.kick()
            with self.assertRaises(AssertionError):  # needs a reset
                queue.wait()
            self.assertEqual(unit.faults(), [(REQUESTER, device.iova(hole), 5, False)])
            # Read-only: a write faults, too.
            domain.map(device.iova(hole), hole, 4096, access=vtd.READ)
            unit.flush_pages(1, device.iova(hole))
            device.start()
            device.queues[0].add_parts([], [(hole, 16)])
            device.queues[0].kick()
            with self.assertRaises(AssertionError):
                device.queues[0].wait()
            self.assertEqual(unit.faults(), [(REQUESTER, device.iova(hole), 5, False)])
            domain.map(device.iova(hole), hole, 4096)
            unit.flush_pages(1, device.iova(hole))
            device.start()
            self.check_requests(device, 4)

    def test_no_context_blocks_all(self):
        with machine(*RNG) as vm:
            unit = vtd.Unit(vm.qtest)
            unit.attach(0x10, unit.domain(3))
            unit.enable()
            device = virtio.PCI(vm.qtest, slot=SLOT)
            device.start()
            device.queues[0].add([], [16])
            device.queues[0].kick()
            with self.assertRaises(AssertionError):
                device.queues[0].wait()
            self.assertEqual({fault[2] for fault in unit.faults()}, {2})

    def test_vectors_are_remapped(self):
        with machine(*RNG) as vm:
            unit, _, device = translated(vm)
            unit.enable_remapping()
            vm.qtest.intercept()
            device.negotiate()
            device.enable_vectors()
            vm.qtest.writeq(device.msix + 16, vtd.message(7))
            device.make_queues(vectors=True)
            device.set_status(device.status() | virtio.DRIVER_OK)
            device.queues[0].request([], [16])
            self.assertEqual(unit.faults(), [(REQUESTER, 7 << 48, 0x22, False)])  # not present
            unit.set_interrupt(7, 0x0000000000410001, 1 << 18 | 0x1234)  # another's
            unit.flush_interrupts()
            device.queues[0].request([], [16])
            self.assertEqual(unit.faults(), [(REQUESTER, 7 << 48, 0x26, False)])
            unit.set_interrupt(7, 0x0000000000410001, 1 << 18 | REQUESTER)
            unit.flush_interrupts()
            device.queues[0].request([], [16])
            self.assertEqual(unit.faults(), [])


class UnderWay(unittest.TestCase):
    """Invalidations while requests are under way, of a disk that waits for its server."""

    def setUp(self):
        self.server = nbd.Server(b"\x5a" * 512, 1 << 20)
        self.addCleanup(self.server.close)

    def start(self, *arguments):
        return machine("-drive", f"if=none,id=d,file=nbd:unix:{self.server.path},open-timeout=60",
                       "-device", f"virtio-blk-pci,drive=d,iommu_platform=on,addr={SLOT}", *arguments)

    def submit(self, device, data):
        """A read of one sector to the address data; returns that of its status byte."""
        header = device.arena.put(struct.pack("<IIQ", 0, 0, 0))
        status = device.arena.put(b"\xee")
        device.queues[0].add_parts([(header, 16)], [(data, 512), (status, 1)])
        device.queues[0].kick()
        return status

    def begin(self, vm):
        """A read under way, for which the server does not answer: (unit, domain, device, page)."""
        unit, domain, device = translated(vm, level=1)
        device.start(sizes={0: 8})
        self.submit(device, device.arena.take(512))
        device.queues[0].wait()
        self.spare, page = (device.arena.take(4096, 4096) for _ in range(2))
        vm.qtest.memset(page, 4096, 0)
        self.server.hold()
        self.submit(device, page)
        self.server.wait_held()
        return unit, domain, device, page

    def test_of_other_pages_does_not_wait(self):
        with self.start() as vm:
            unit, domain, device, page = self.begin(vm)
            domain.unmap(device.iova(self.spare), 4096)
            unit.flush_pages(1, device.iova(self.spare))
            unit.flush_domain(1)
            unit.flush_all()
            unit.flush_contexts()
            self.assertIsNone(device.queues[0].poll())
            self.server.answer()
            device.queues[0].wait()
            self.assertEqual(vm.qtest.read(page, 512), b"\x5a" * 512)
            self.assertEqual(unit.faults(), [])

    def check_waits(self, vm, unit, device, page, sent):
        """The write to the queue's tail was sent. The wait's status is written when the disk has
        answered, or has given the request up; the write is answered then, too, or at once if another
        thread goes on (on a machine that is busy the vCPU's turn may be over before it began)."""
        at_once = select.select([vm.qtest.sock], [], [], 0.3)[0]
        if at_once:
            self.assertEqual(vm.qtest.reply(), "OK")
            status = vm.qtest.readl(unit.status_word)
            if time.monotonic() - sent < nbd.CANCELLED:
                self.assertNotEqual(status, 77)
        self.server.answer()
        if not at_once:
            self.assertEqual(vm.qtest.reply(), "OK")
        unit.wait_status(77)
        self.assertIn(vm.qtest.read(page, 512), (b"\x5a" * 512, bytes(512)))
        self.assertTrue(device.status() & virtio.NEEDS_RESET)
        vm.qtest.memset(page, 512, 0)  # it is the guest's again
        device.start(sizes={0: 8})

    def tail(self, vm, unit, *descriptors):
        """Queue descriptors and a wait, and write the tail without looking at the answer. When."""
        for low, high in (*descriptors, (77 << 32 | 1 << 5 | 5, unit.status_word)):
            vm.qtest.write(unit.queue + unit.tail, struct.pack("<QQ", low, high))
            unit.tail += 16
        sent = time.monotonic()
        vm.qtest.raw(f"writeq {unit.base + vtd.IQT:#x} {unit.tail:#x}\n")
        return sent

    def test_that_takes_its_page_waits(self):
        with self.start() as vm:
            unit, domain, device, page = self.begin(vm)
            domain.unmap(device.iova(page), 4096)
            sent = self.tail(vm, unit, (1 << 16 | 3 << 4 | 2, device.iova(page)))
            self.check_waits(vm, unit, device, page, sent)
            self.submit(device, device.arena.take(512))
            device.queues[0].wait()

    def test_that_leads_elsewhere_waits(self):
        with self.start() as vm:
            unit, domain, device, page = self.begin(vm)
            domain.map(device.iova(page), page + 4096, 4096)
            sent = self.tail(vm, unit, (1 << 16 | 2 << 4 | 2, 0))
            self.check_waits(vm, unit, device, page, sent)

    def test_switch_of_context_waits(self):
        with self.start() as vm:
            unit, _, device, page = self.begin(vm)
            unit.pass_through(REQUESTER)
            sent = self.tail(vm, unit, (1 << 4 | 1, 0), (1 << 4 | 2, 0))
            device.distance = 0
            self.check_waits(vm, unit, device, page, sent)
            self.submit(device, device.arena.take(512))
            device.queues[0].wait()

    def test_held_buffer_does_not_wait_for_ever(self):
        """The balloon keeps its buffer of statistics until somebody asks: it is given back."""
        with machine("-device", f"virtio-balloon-pci,iommu_platform=on,addr={SLOT}") as vm:
            unit, domain, device = translated(vm, level=1)
            device.start()
            page = device.arena.take(4096, 4096)
            device.queues[2].add_parts([(page, 10)], [])
            device.queues[2].kick()
            while device.queues[2].notified():
                pass
            domain.unmap(device.iova(page), 4096)
            unit.flush_pages(1, device.iova(page))
            self.assertTrue(device.status() & virtio.NEEDS_RESET)


class DisksUnderWay(unittest.TestCase):
    """The same for IDE and AHCI: the transfer ends as it began, and is waited for."""

    LOW = 8 << 20  # what is mapped, each page by itself: addresses are the same on both sides

    def setUp(self):
        self.server = nbd.Server(b"\x5a" * 512, 1 << 20)
        self.addCleanup(self.server.close)

    def start(self, *devices):
        return machine("-drive", f"if=none,id=d,file=nbd:unix:{self.server.path},open-timeout=60",
                       *(word for device in devices for word in ("-device", device)))

    def translated(self, vm, requester):
        unit = vtd.Unit(vm.qtest)
        domain = unit.domain(1)
        domain.map(0, 0, self.LOW)
        unit.attach(requester, domain)
        unit.enable()
        return unit, domain

    def check_waits(self, vm, unit, domain, page, begin, end):
        """begin() starts a read of two sectors: the first to page, the second to the next."""
        self.server.hold()
        begin()
        self.server.wait_held()
        domain.unmap(page + 0x10000, 4096)
        unit.flush_pages(1, page + 0x10000)  # another page: no wait
        domain.unmap(page, 4096)
        unit.submit((1 << 16 | 3 << 4 | 2, page), (77 << 32 | 1 << 5 | 5, unit.status_word))
        for _ in range(50):
            self.assertNotEqual(vm.qtest.readl(unit.status_word), 77)
        self.server.answer()
        unit.wait_status(77)
        self.assertEqual(vm.qtest.read(page, 512), b"\x5a" * 512)
        end()
        self.assertEqual(vm.qtest.read(page + 4096, 512), b"\x5a" * 512)
        self.assertEqual(unit.faults(), [])

    def check_register_waits(self, vm, unit, domain, page, begin, end):
        """Commands by register: their bit stays as long."""
        self.server.hold()
        begin()
        self.server.wait_held()
        domain.unmap(page, 4096)
        unit.write(vtd.IVA, page, 8)
        unit.write(vtd.IOTLB, 1 << 63 | 3 << 60 | 1 << 32, 8)
        for _ in range(50):
            self.assertTrue(unit.read(vtd.IOTLB, 8) >> 63)
        unit.write(vtd.GCMD, unit.command & ~vtd.TE)  # and translation is on as long
        for _ in range(50):
            self.assertTrue(unit.read(vtd.GSTS) & vtd.TE)
        self.server.answer()
        while unit.read(vtd.IOTLB, 8) >> 63:
            pass
        self.assertEqual(vm.qtest.read(page, 512), b"\x5a" * 512)
        self.assertEqual(unit.read(vtd.IOTLB, 8) >> 57 & 3, 3)
        self.assertFalse(unit.read(vtd.GSTS) & vtd.TE)
        end()

    def ide(self, vm):
        disk = ata.Ide(vm.qtest)
        pages = [(disk.DATA, 512), (disk.DATA + 4096, 512)]

        def begin():
            disk.regions(pages)
            disk.command(ata.READ_DMA, 0, 2)
            disk.start_dma(True)
        return begin, disk.end, disk.DATA

    def ahci(self, vm):
        port = ata.AhciPort(vm.qtest)

        def begin(queued=False):
            code = ata.READ_FPDMA if queued else ata.READ_DMA_EXT
            count = {"features": 2, "count": 0} if queued else {"count": 2}
            port.prepare(0, code, **count, device=0x40,
                         pieces=[(port.DATA, 512), (port.DATA + 4096, 512)])
            port.issue(1, queued)
        return begin, port.wait, port.DATA

    def test_ide(self):
        for check in (self.check_waits, self.check_register_waits):
            with self.start("ide-hd,drive=d,bus=ide.0") as vm:
                unit, domain = self.translated(vm, 9)
                begin, end, page = self.ide(vm)
                check(vm, unit, domain, page, begin, end)

    def test_ahci(self):
        for check in (self.check_waits, self.check_register_waits):
            with self.start("ahci,id=sata,addr=4", "ide-hd,drive=d,bus=sata.0") as vm:
                unit, domain = self.translated(vm, 4 << 3)
                begin, end, page = self.ahci(vm)
                check(vm, unit, domain, page, begin, end)

    def test_ahci_queued(self):
        with self.start("ahci,id=sata,addr=4", "ide-hd,drive=d,bus=sata.0") as vm:
            unit, domain = self.translated(vm, 4 << 3)
            begin, end, page = self.ahci(vm)
            self.check_waits(vm, unit, domain, page, lambda: begin(True), lambda: end(1, True))


class Configuration(unittest.TestCase):
    def test_refusals(self):
        for arguments, words in (
                (("-M", "microvm", "-device", "intel-iommu"), "board microvm has no PCI bus"),
                (("-device", "intel-iommu,aw-bits=40"), "39 or 48"),
                (("-device", "intel-iommu", "-device", "intel-iommu"), "has an IOMMU already")):
            result = run("-accel", "qtest", "-display", "none", *arguments)
            self.assertEqual(result.returncode, 1)
            self.assertIn(words, result.stderr)

    def test_comes_before_devices_whatever_the_order(self):
        with Duodm("-display", "none", "-m", "64", *RNG, "-device", "intel-iommu", qtest=True) as vm:
            unit, _, device = translated(vm)
            device.start()
            device.queues[0].request([], [16])
            self.assertEqual(unit.faults(), [])

    def test_capabilities(self):
        for options, cap, ecap in (("", 0, 0x58), (",caching-mode=on,aw-bits=39", 1 << 7, 0x58),
                                   (",intremap=off", 0, 0x40), (",eim=off,pt=off", 0, 0x08)):
            with machine(iommu="intel-iommu" + options) as vm:
                unit = vtd.Unit(vm.qtest)
                self.assertEqual(unit.read(vtd.CAP, 8) & 1 << 7, cap)
                self.assertEqual(unit.read(vtd.ECAP, 8) & 0x58, ecap)
                self.assertEqual(unit.read(vtd.CAP, 8) >> 16 & 0x3f, 38 if "39" in options else 47)

    def test_table_for_xen(self):
        """dumpdmar: what acpi_firmware= of a domain takes. Interrupts of a domain are Xen's."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "dmar")

            def dump(board, *properties):
                result = run("-M", f"{board},dumpdmar={path}", "-display", "none", "-device",
                             ",".join(("intel-iommu", *properties)))
                self.assertEqual(result.returncode, 0, result.stderr)
                with open(path, "rb") as f:
                    table = f.read()
                self.assertEqual(table[:4], b"DMAR")
                self.assertEqual(struct.unpack_from("<I", table, 4)[0], len(table))
                self.assertEqual(sum(table) & 0xff, 0)
                width, flags = table[36:38]
                kind, length, pci, _, base = struct.unpack_from("<HHBxHQ", table, 48)
                self.assertEqual((kind, length, pci, base), (0, len(table) - 48, 1, vtd.BASE))
                return width + 1, flags, len(table)

            self.assertEqual(dump("xenfv"), (48, 0, 64))
            self.assertEqual(dump("xenfv", "intremap=off", "aw-bits=39"), (39, 0, 64))
            self.assertEqual(dump("pc"), (48, 1, 72))
            for arguments, words in ((("xenfv", "-device", "intel-iommu,intremap=on"), "are Xen's"),
                                     (("xenfv",), "give -device intel-iommu"),
                                     (("pc", "-device", "intel-iommu,intremap=maybe"), "'maybe'")):
                result = run("-M", f"{arguments[0]},dumpdmar={path}", "-display", "none", *arguments[1:])
                self.assertEqual(result.returncode, 1)
                self.assertIn(words, result.stderr)

    def test_monitors(self):
        with machine(*RNG) as vm:
            self.assertIn("05.0: untranslated", vm.qmp.human("info iommu"))
            unit, domain, _ = translated(vm)
            info = vm.qmp.execute("query-iommu")[0]
            self.assertTrue(info["translation"] and info["queued-invalidation"])
            self.assertFalse(info["interrupt-remapping"])
            functions = {f["address"]: f for f in info["functions"]}
            self.assertEqual(functions["00:05.0"],  # below and above the interrupts' addresses
                             {"address": "00:05.0", "state": "translated", "followers": 2,
                              "host-mappings": 0, "domain": 1, "levels": 4,
                              "table": domain.table})
            self.assertEqual(functions["00:00.0"]["state"], "blocked")
            self.assertIn("05.0: translated, domain 1, 4 levels", vm.qmp.human("info iommu"))
            self.assertEqual(vm.qmp.execute("x-iommu-verify"),
                             {"equal": True, "report": ""})
            unit.pass_through(REQUESTER)
            unit.flush_contexts()
            self.assertIn("05.0: pass-through", vm.qmp.human("info iommu"))
        with Duodm("-display", "none", qtest=True) as vm:
            self.assertEqual(vm.qmp.execute("query-iommu"), [])
            self.assertIn("no IOMMU", vm.qmp.human("info iommu"))

    def test_reset_forgets_after_the_devices(self):
        """QEMU series "Fix vIOMMU reset order": an IOMMU that forgets first makes devices fault."""
        with machine(*RNG) as vm:
            unit, _, device = translated(vm)
            device.start()
            for _ in range(8):
                device.queues[0].add([], [64])
            device.queues[0].kick()
            vm.qmp.execute("system_reset")
            self.assertEqual(unit.read(vtd.GSTS), 0)
            self.assertEqual(unit.read(vtd.FSTS), 0)
            self.assertEqual(unit.read(vtd.RTADDR, 8), 0)


class Hostile(unittest.TestCase):
    """Guests that do with the unit what they like: they hurt themselves only."""

    REGISTERS = (vtd.VER, vtd.CAP, vtd.GCMD, vtd.GSTS, vtd.RTADDR, vtd.CCMD, vtd.CCMD + 4, vtd.FSTS,
                 vtd.FECTL, vtd.FEDATA, vtd.FEADDR, vtd.IQH, vtd.IQT, vtd.IQA, vtd.ICS, vtd.IECTL,
                 vtd.IEDATA, vtd.IEADDR, vtd.IRTA, vtd.IVA, vtd.IOTLB, vtd.IOTLB + 4, vtd.FRCD,
                 vtd.FRCD + 12, 0x23c, 0x240, 0xffc)

    def random_value(self, rng, unit):
        kind = rng.randrange(6)
        if kind == 0:
            return rng.getrandbits(64)
        if kind == 1:
            return 1 << rng.randrange(64)
        if kind == 2:
            return rng.choice((unit.root, unit.queue, unit.next, 0)) | rng.getrandbits(12)
        if kind == 3:  # where there are registers
            return rng.choice((vtd.BASE, 0xFEE00000, 0xFEC00000, 0xE0500000)) | rng.getrandbits(12)
        return rng.getrandbits(32) << rng.choice((0, 32))

    def test_random_accesses(self):
        with seeded(self) as rng, machine(*RNG) as vm:
            unit, domain, device = translated(vm)
            device.start(sizes={0: 8})
            for _ in range(1500):
                action = rng.randrange(10)
                offset = rng.choice(self.REGISTERS)
                value = self.random_value(rng, unit)
                if action < 5:
                    unit.write(offset, value & 0xffffffff)
                elif action < 6:
                    unit.write(offset & ~7, value, 8)
                elif action < 7:
                    unit.read(offset)
                elif action < 8:
                    vm.qtest.write(unit.queue + rng.randrange(256) * 16,
                                   struct.pack("<QQ", self.random_value(rng, unit) & ~0xf |
                                               rng.randrange(7), self.random_value(rng, unit)))
                elif action < 9:
                    vm.qtest.writeq(rng.choice((unit.root, domain.table, unit.context(0x28))) +
                                    rng.randrange(512) * 8, self.random_value(rng, unit))
                else:
                    device.notify(0)
            vm.qmp.human("info iommu")
            vm.qmp.execute("system_reset")
            vm.qtest.memset(unit.root, 4096, 0)
            unit, _, device = translated(vm)
            device.start()
            device.queues[0].request([], [16])
            self.assertEqual(unit.faults(), [])
            self.assertEqual(vm.quit(), 0)

    def test_tables_that_are_no_memory(self):
        """Nothing is read from devices: they could be entered by threads that must not wait."""
        with machine(*RNG) as vm:
            device = Behind(vm.qtest, slot=SLOT)
            for place, reason in ((vtd.BASE, 8), (0xFEE00000, 8), (device.modern, 8)):
                vm.qmp.execute("system_reset")
                device = Behind(vm.qtest, slot=SLOT)
                unit = vtd.Unit(vm.qtest)
                unit.root = place
                unit.enable()
                device.start()
                device.notify(0)
                while not device.status() & virtio.NEEDS_RESET:
                    pass
                self.assertEqual({fault[2] for fault in unit.faults()}, {reason})

    def test_tables_that_are_linked_into_themselves(self):
        with machine(*RNG) as vm:
            unit, domain, device = translated(vm)
            for index in range(512):
                vm.qtest.writeq(domain.table + 8 * index, domain.table | 3)
            unit.flush_all()
            device.start()
            device.notify(0)
            while not device.status() & virtio.NEEDS_RESET:  # page table entries are no ring
                pass
            vm.qmp.execute("system_reset")

    def test_long_queue(self):
        """A vCPU spends 2 ms on it; the rest is done beside."""
        entries = 1 << 15
        with machine(*RNG) as vm:
            unit = vtd.Unit(vm.qtest)
            unit.queue = unit.page(entries * 16 // 4096)
            vm.qtest.write(unit.queue, struct.pack("<QQ", 1 << 4 | 2, 0) * (entries - 2) +
                           struct.pack("<QQ", 5 << 32 | 1 << 5 | 5, unit.status_word))
            unit.write(vtd.IQA, unit.queue | 7, 8)
            unit.switch(vtd.QIE)
            unit.write(vtd.IQT, (entries - 1) * 16, 8)
            while unit.read(vtd.IQH, 8) != (entries - 1) * 16:
                self.assertEqual(unit.read(vtd.FSTS), 0)
            self.assertEqual(vm.qtest.readl(unit.status_word), 5)

    def test_bad_descriptors_stop_the_queue(self):
        for descriptor in ((0, 0), (3, 0), (6, 0), (0xf, 0), (1 << 63 | 7, 0), (1, 0), (2, 0)):
            with machine(*RNG) as vm:
                unit = vtd.Unit(vm.qtest)
                unit.enable_queue()
                unit.submit(descriptor, (1 << 4 | 2, 0))
                self.assertEqual(unit.read(vtd.FSTS) & 0x10, 0x10)
                self.assertEqual(unit.read(vtd.IQH, 8), 0)
                vm.qtest.write(unit.queue, struct.pack("<QQ", 1 << 4 | 2, 0))
                unit.write(vtd.FSTS, 0x10)  # corrected: it goes on
                self.assertEqual(unit.read(vtd.IQH, 8), 32)


if __name__ == "__main__":
    unittest.main()
