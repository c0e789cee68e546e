# SPDX-License-Identifier: GPL-2.0-or-later
"""Device virtio-iommu-pci on board pc: requests, virtio devices behind it, passthrough behind it."""
import errno
import os
import random
import struct
import tempfile
import time
import unittest

import nbd
import viommu
import virtio
from duodm import SLOWER, Duodm, QMPError, run
from vfio import Mock
from viommu import READ, WRITE

virtio.Device.slower = SLOWER
IOMMU, SLOT = 3, 6
ENDPOINT = SLOT << 3
DISTANCE = 0x7f0000000000  # from guest physical addresses to IOVAs
RAM = 64 << 20
FAR = 1 << 37  # an IOVA that the mock's host can map
RNG = ("-device", f"virtio-rng-pci,iommu_platform=on,addr={SLOT}")


def machine(*arguments, options=""):
    return Duodm("-display", "none", "-m", str(RAM >> 20), "-device",
                 f"virtio-iommu-pci,addr={IOMMU}{options}", *arguments, qtest=True)


class Behind(virtio.PCI):
    distance = DISTANCE


def drivers(vm, driver=Behind, without=0):
    """The IOMMU, started without some features, and the device in SLOT."""
    iommu = viommu.Iommu(vm.qtest, slot=IOMMU)
    iommu.start(sizes={0: 8}, without=without)
    return iommu, driver(vm.qtest, slot=SLOT, arena=iommu.arena)


def translated(vm, driver=Behind):
    """All of RAM at DISTANCE for the device in SLOT, in domain 1: in 2 MiB pieces."""
    iommu, device = drivers(vm, driver)
    iommu.attach(1, ENDPOINT)
    for start in range(0, RAM, 2 << 20):
        iommu.map(1, DISTANCE + start, start, 2 << 20)
    return iommu, device


class Translation(unittest.TestCase):
    def check_requests(self, device, count=20):
        for k in range(count):
            length, data = device.queues[0].request([], [16] * (1 + k % 4), k % 3 == 0)
            self.assertEqual(length, len(data))
            self.assertNotEqual(data, bytes([0xEE]) * length)

    def check_blocked(self, device):
        device.queues[0].add([], [16])
        device.queues[0].kick()
        with self.assertRaises(AssertionError):  # needs a reset
            device.queues[0].wait()

    def test_bypass_at_boot(self):
        with machine(*RNG) as vm:
            device = virtio.PCI(vm.qtest, slot=SLOT)
            device.start()
            self.check_requests(device)

    def test_blocked_at_boot(self):
        with machine(*RNG, options=",boot-bypass=off") as vm:
            iommu, device = drivers(vm, virtio.PCI)
            iommu.add_events()
            device.start()
            self.check_blocked(device)
            reason, flags, endpoint, _ = iommu.event()
            self.assertEqual((reason, endpoint), (viommu.R_DOMAIN, ENDPOINT))
            self.assertTrue(flags & 0x100 and flags & 3)
            iommu.bypass(True)
            device.start()
            self.check_requests(device, 4)
            iommu.bypass(False)
            device.start()
            self.check_blocked(device)

    def test_requests(self):
        for ring in ("off", "on"):
            with machine("-device",
                         f"virtio-rng-pci,iommu_platform=on,packed={ring},addr={SLOT}") as vm:
                iommu, device = translated(vm)
                device.start(sizes={0: 8})
                self.check_requests(device, 40)
                self.assertIsNone(iommu.queues[1].poll())

    def test_bypass_domain(self):
        with machine(*RNG, options=",boot-bypass=off") as vm:
            iommu, device = drivers(vm, virtio.PCI)
            iommu.attach(9, ENDPOINT, viommu.BYPASS)
            device.start()
            self.check_requests(device)
            iommu.detach(9, ENDPOINT)
            device.start()
            self.check_blocked(device)

    def test_moves(self):
        """From a domain to another one, to bypass, to none: the device sees what it should."""
        other = 1 << 40
        with machine(*RNG) as vm:
            iommu, device = translated(vm)
            iommu.attach(2, 0)  # the host bridge keeps it alive
            iommu.map(2, other, 0, RAM)
            for domain, place in ((2, other), (1, DISTANCE), (None, 0), (2, other)):
                if domain is None:
                    iommu.detach(1, ENDPOINT)
                else:
                    if domain == 1:  # it ceased to be with its only endpoint
                        iommu.attach(1, ENDPOINT)
                        iommu.map(1, DISTANCE, 0, RAM)
                    iommu.attach(domain, ENDPOINT)
                device.distance = place
                device.start()
                self.check_requests(device, 4)

    def test_faults_are_told_and_the_guest_lives(self):
        with machine(*RNG) as vm:
            iommu, device = translated(vm)
            device.start()
            iommu.add_events(2)
            hole = 1 << 46
            for access in (None, READ):
                if access:
                    iommu.map(1, hole, 0, 4096, access)
                device.start()
                device.distance = 0
                device.queues[0].add_parts([], [(hole, 16)])
                device.distance = DISTANCE
                device.queues[0].kick()
                with self.assertRaises(AssertionError):
                    device.queues[0].wait()
                self.assertEqual(iommu.event(), (viommu.R_MAPPING, 0x102, ENDPOINT, hole))
            device.start()
            self.check_requests(device, 4)

    def test_more_faults_than_buffers(self):
        """What has no buffer waits for one, within bounds; buffers that are too small are useless."""
        with machine(*RNG, options=",boot-bypass=off") as vm:
            iommu, device = drivers(vm, virtio.PCI)
            for _ in range(3):
                device.start()
                self.check_blocked(device)
            self.assertIsNone(iommu.queues[1].poll())
            iommu.add_events(2, size=viommu.EVENT_SIZE - 1)
            for _ in range(2):
                self.assertEqual(iommu.queues[1].wait()[1], 0)
            iommu.add_events(2)
            for _ in range(2):
                self.assertEqual(iommu.event()[2], ENDPOINT)

    def test_messages_are_not_translated(self):
        with machine(*RNG) as vm:
            iommu, device = drivers(vm)
            self.assertEqual(iommu.status_of(viommu.map_request(1, 0xFEE00000, 0, 4096)),
                             viommu.NOENT)
            iommu.attach(1, ENDPOINT)
            self.assertEqual(iommu.status_of(viommu.map_request(1, 0xFEE00000, 0, 4096)),
                             viommu.INVAL)
            self.assertEqual(iommu.probe(ENDPOINT), [
                (1, struct.pack("<B3xQQ", 1, 0xFEE00000, 0xFEEFFFFF))])
            self.assertEqual(iommu.probe(IOMMU << 3), viommu.NOENT)  # it is not behind itself


class UnderWay(unittest.TestCase):
    """Requests that take memory back which a disk's request is using."""

    def setUp(self):
        self.server = nbd.Server(b"\x5a" * 512, 1 << 20)
        self.addCleanup(self.server.close)

    def start(self):
        return machine("-drive", f"if=none,id=d,file=nbd:unix:{self.server.path},open-timeout=60",
                       "-device", f"virtio-blk-pci,drive=d,iommu_platform=on,addr={SLOT}")

    def submit(self, device, data):
        header = device.arena.put(struct.pack("<IIQ", 0, 0, 0))
        status = device.arena.put(b"\xee")
        device.queues[0].add_parts([(header, 16)], [(data, 512), (status, 1)])
        device.queues[0].kick()

    def begin(self, vm, without=0):
        """A read under way, into a page with a mapping of its own."""
        iommu, device = drivers(vm, without=without)
        page = 32 << 20
        iommu.attach(1, ENDPOINT)
        iommu.map(1, DISTANCE, 0, page)
        iommu.map(1, DISTANCE + page, page, 4096)
        iommu.map(1, DISTANCE + page + 4096, page + 4096, 4096)
        device.start(sizes={0: 8})
        self.submit(device, device.arena.take(512))
        device.queues[0].wait()
        vm.qtest.memset(page, 4096, 0)
        self.server.hold()
        self.submit(device, page)
        self.server.wait_held()
        return iommu, device, page

    def test_of_other_pages_does_not_wait(self):
        with self.start() as vm:
            iommu, device, page = self.begin(vm)
            iommu.unmap(1, DISTANCE + page + 4096, 4096)
            self.assertIsNone(device.queues[0].poll())
            self.server.answer()
            device.queues[0].wait()
            self.assertEqual(vm.qtest.read(page, 512), b"\x5a" * 512)

    def check_given_back(self, vm, page):
        """It is the guest's again: whatever the disk has written, it writes no more."""
        self.assertIn(vm.qtest.read(page, 512), (b"\x5a" * 512, bytes(512)))
        vm.qtest.memset(page, 512, 0x77)
        vm.qmp.execute("query-status")
        self.assertEqual(vm.qtest.read(page, 512), b"\x77" * 512)

    def check_waits(self, request):
        with self.start() as vm:
            iommu, device, page = self.begin(vm)
            sent = time.monotonic()
            iommu.begin(request(page))
            while not device.status() & virtio.NEEDS_RESET:
                pass  # the watch has seen it
            answered = iommu.queues[0].poll()
            if time.monotonic() - sent < nbd.CANCELLED:  # else the disk has given it up
                self.assertIsNone(answered)
            self.server.answer()
            _, length, parts = answered or iommu.queues[0].wait()
            self.assertEqual((length, parts[0][0]), (4, viommu.OK))
            self.check_given_back(vm, page)

    def test_that_takes_its_page_waits(self):
        self.check_waits(lambda page: viommu.unmap_request(1, DISTANCE + page, 4096))

    def test_detach_waits(self):
        self.check_waits(lambda page: viommu.detach_request(1, ENDPOINT))

    def test_move_waits(self):
        self.check_waits(lambda page: viommu.attach_request(2, ENDPOINT))

    def test_next_request_waits_asleep(self):
        """No turn is made over and over meanwhile: each begins and ends with a word to the driver."""
        with self.start() as vm:
            iommu, device, page = self.begin(vm, without=1 << virtio.F_EVENT_IDX)
            sent = time.monotonic()
            iommu.begin(viommu.unmap_request(1, DISTANCE + page, 4096))
            while not device.status() & virtio.NEEDS_RESET:
                pass  # the watch has seen it
            iommu.begin(viommu.map_request(1, DISTANCE + page, page, 4096, READ))
            while vm.qtest.readw(iommu.queues[0].used) != 1:
                pass
            flags = {vm.qtest.readw(iommu.queues[0].used) for _ in range(500)}
            if time.monotonic() - sent < nbd.CANCELLED:
                self.assertEqual(flags, {1})
            self.server.answer()
            for _ in range(2):
                self.assertEqual(iommu.queues[0].wait()[2][0][0], viommu.OK)

    def test_end_of_bypass_waits(self):
        """A disk in no domain: the driver reads that bypass is off when the page is its own again."""
        with self.start() as vm:
            iommu, device = drivers(vm, virtio.PCI)
            page = 32 << 20
            device.start(sizes={0: 8})
            vm.qtest.memset(page, 4096, 0)
            self.server.hold()
            self.submit(device, page)
            self.server.wait_held()
            sent = time.monotonic()
            iommu.bypass(0)
            bypass = iommu.read_config(36, 1)
            if time.monotonic() - sent < nbd.CANCELLED:
                self.assertEqual(bypass, b"\1")
                iommu.bypass(1)  # no change of mind is lost meanwhile
                self.assertEqual(iommu.read_config(36, 1), b"\1")
                iommu.bypass(0)
            self.server.answer()
            while iommu.read_config(36, 1) != b"\0":
                pass
            self.check_given_back(vm, page)

    def test_reset_of_the_iommu_waits(self):
        with self.start() as vm:
            iommu, _, page = self.begin(vm)
            sent = time.monotonic()
            vm.qtest.writeb(iommu.common + 0x14, 0)
            status = vm.qtest.readb(iommu.common + 0x14)
            if time.monotonic() - sent < nbd.CANCELLED:
                self.assertNotEqual(status, 0)
            self.server.answer()
            while vm.qtest.readb(iommu.common + 0x14):
                pass
            self.check_given_back(vm, page)


class Configuration(unittest.TestCase):
    def test_refusals(self):
        one = ("-device", "virtio-iommu-pci")
        for arguments, words in (
                (("-M", "microvm", *one), "no bus"),
                ((*one, *one), "has an IOMMU already"),
                ((*one, "-device", "intel-iommu"), "has an IOMMU already"),
                (("-device", "virtio-iommu-pci,aw-bits=53"), "aw-bits")):
            result = run("-accel", "qtest", "-display", "none", *arguments)
            self.assertEqual(result.returncode, 1, arguments)
            self.assertIn(words, result.stderr)

    def test_is_not_hotplugged(self):
        with Duodm("-display", "none", qtest=True) as vm:
            with self.assertRaises(QMPError):
                vm.qmp.execute("device_add", driver="virtio-iommu-pci")

    def test_comes_before_devices_whatever_the_order(self):
        with Duodm("-display", "none", "-m", "64", *RNG, "-device",
                   f"virtio-iommu,addr={IOMMU}", qtest=True) as vm:
            _, device = translated(vm)
            device.start()
            device.queues[0].request([], [16])

    def test_config(self):
        for options, bits, bypass in (("", 48, 1), (",aw-bits=39,boot-bypass=off", 39, 0)):
            with machine(options=options) as vm:
                iommu = viommu.Iommu(vm.qtest, slot=IOMMU)
                iommu.negotiate()
                self.assertEqual(iommu.offered() & 0xff, 0x77)
                self.assertEqual(struct.unpack("<QQQIIIB3x", iommu.read_config(0, 40)),
                                 ((1 << 64) - 4096, 0, (1 << bits) - 1, 0, 0xffff, 512, bypass))
                iommu.write_config(0, bytes([0xff] * 36) + bytes([2, 0xff, 0xff, 0xff]))
                self.assertEqual(iommu.read_config(36, 4), bytes(4))
                self.assertEqual(iommu.read_config(0, 8), struct.pack("<Q", (1 << 64) - 4096))
                iommu.bypass(1)
                iommu.reset()  # of the device: it stays
                self.assertEqual(iommu.read_config(36, 1), b"\1")
                iommu.negotiate(without=1 << viommu.F_BYPASS_CONFIG)
                iommu.bypass(0)
                self.assertEqual(iommu.read_config(36, 1), b"\1")
                vm.qmp.execute("system_reset")
                vm.qmp.wait_event("RESET")
                iommu = viommu.Iommu(vm.qtest, slot=IOMMU)
                self.assertEqual(iommu.read_config(36, 1), bytes([bypass]))

    def test_monitors(self):
        with machine(*RNG) as vm:
            self.assertIn("06.0: untranslated", vm.qmp.human("info iommu"))
            iommu, _ = translated(vm)
            info = vm.qmp.execute("query-iommu")[0]
            self.assertEqual((info["type"], info["bypass"]), ("virtio-iommu", True))
            functions = {f["address"]: f for f in info["functions"]}
            self.assertEqual(functions["00:06.0"],  # below and above the interrupts' addresses
                             {"address": "00:06.0", "state": "translated", "followers": 2,
                              "host-mappings": 0, "domain": 1, "mappings": 32})
            self.assertNotIn("00:03.0", functions)
            self.assertIn("06.0: translated, domain 1 of 32 mappings", vm.qmp.human("info iommu"))
            self.assertEqual(vm.qmp.execute("x-iommu-verify"), {"equal": True, "report": ""})
            iommu.attach(4, ENDPOINT, viommu.BYPASS)
            self.assertIn("06.0: pass-through, domain 4", vm.qmp.human("info iommu"))
            iommu.bypass(False)
            self.assertIn("00.0: blocked", vm.qmp.human("info iommu"))

    def test_device_tree(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "tree")
            result = run("-accel", "qtest", "-M", f"pc,dumpdtb={path}", "-display", "none",
                         "-device", f"virtio-iommu-pci,addr={IOMMU}")
            self.assertEqual(result.returncode, 0, result.stderr)
            with open(path, "rb") as file:
                tree = file.read()
        self.assertIn(b"virtio,pci-iommu\0pci1af4,1057\0", tree)
        self.assertIn(b"iommu-map\0", tree)
        # All functions but its own: 0 to 17h, and 19h and on.
        at = tree.index(struct.pack(">II", 0x19, tree_phandle(tree))) - 16
        self.assertEqual(struct.unpack_from(">8I", tree, at),
                         (0, tree_phandle(tree), 0, 0x18, 0x19, tree_phandle(tree), 0x19, 0xffe7))

    def test_reset_forgets_after_the_devices(self):
        """QEMU series "Fix vIOMMU reset order": an IOMMU that forgets first makes devices fault."""
        with machine(*RNG, options=",boot-bypass=off") as vm:
            iommu, device = translated(vm)
            iommu.add_events()
            device.start()
            for _ in range(8):
                device.queues[0].add([], [64])
            device.queues[0].kick()
            vm.qmp.execute("system_reset")
            vm.qmp.wait_event("RESET")
            self.assertIsNone(iommu.queues[1].poll())
            functions = {f["address"]: f
                         for f in vm.qmp.execute("query-iommu")[0]["functions"]}
            self.assertEqual(functions["00:06.0"]["state"], "blocked")


def tree_phandle(tree):
    """Of the only node that something points to as its IOMMU."""
    at = tree.index(struct.pack(">II", 0, 0x18)) - 4
    return struct.unpack_from(">I", tree, at)[0]


class Hostile(unittest.TestCase):
    def test_malformed_requests(self):
        with machine(*RNG) as vm:
            iommu, device = translated(vm)
            queue = iommu.queues[0]
            good = viommu.attach_request(3, ENDPOINT)
            for out, ins, used, status in (
                    ([], [4], 0, None),                      # nothing to read
                    ([b"\1"], [4], 0, None),
                    ([b"\0" * 20], [4], 0, None),            # no such type
                    ([b"\6" + b"\0" * 19], [4], 0, None),
                    ([b"\xff" * 200], [4], 0, None),
                    ([good], [], 0, None),                   # no tail
                    ([good], [3], 0, None),
                    ([good[:19]], [4], 4, viommu.INVAL),     # too short
                    ([good + b"\0"], [4], 4, viommu.INVAL),  # too long
                    ([good + b"\0" * 4000], [4], 4, viommu.INVAL),
                    ([good[:4], good[4:9], good[9:]], [1, 1, 1, 1], 4, viommu.OK),  # in pieces
                    ([good], [4000], 4, viommu.OK),
                    ([struct.pack("<B3xI64x", viommu.PROBE, ENDPOINT)], [511, 4], 515,
                     viommu.INVAL)):
                length, data = queue.request(out, ins)
                self.assertEqual(length, used, (out, ins))
                self.assertEqual(data[used - 4] if used else None, status, (out, ins))
            iommu.attach(1, ENDPOINT)

    def test_chain_with_a_part_to_read_behind_one_to_write(self):
        with machine(*RNG) as vm:
            iommu, _ = drivers(vm)
            queue = iommu.queues[0]
            request = iommu.arena.put(viommu.attach_request(1, ENDPOINT))
            tail = iommu.arena.take(4)
            for index, address, length, flags in ((0, tail, 4, virtio.WRITE | virtio.NEXT),
                                                  (1, request, 20, 0)):
                queue.write_descriptor(queue.descriptors, index, address, length, flags, 1)
            queue.offer(0)
            queue.kick()
            while not iommu.status() & virtio.NEEDS_RESET:
                pass
            iommu.start(sizes={0: 8})
            iommu.attach(1, ENDPOINT)

    def test_random_requests(self):
        rng = random.Random(20261126)
        numbers = (0, 1, 2, 3, 0x1000, 0x1fff, ENDPOINT, 0xfee00000, (1 << 48) - 1, (1 << 64) - 1)
        with machine(*RNG) as vm:
            iommu, device = drivers(vm, virtio.PCI)
            for k in range(400):
                kind = rng.randrange(8)
                size = rng.choice((20, 20, 28, 36, 72, rng.randrange(100)))
                words = b"".join(struct.pack("<Q", rng.choice(numbers)) for _ in range(12))
                iommu.queues[0].add([(bytes([kind, 0, 0, 0]) + words)[:size]],
                                    [rng.choice((4, 4, 516, rng.randrange(8)))])
                iommu.queues[0].kick()
                iommu.queues[0].wait()
                if k % 50 == 0:
                    vm.qmp.human("info iommu")
            vm.qmp.execute("system_reset")
            vm.qmp.wait_event("RESET")
            iommu, device = translated(vm)
            device.start()
            device.queues[0].request([], [16])
            self.assertEqual(vm.quit(), 0)


class Saved(unittest.TestCase):
    def test_mappings_survive(self):
        with machine(*RNG, options=",boot-bypass=off") as source:
            iommu, device = translated(source)
            device.start(sizes={0: 8})
            device.queues[0].request([], [16])
            iommu.map(1, 1 << 45, 0x200000, 0x5000, READ)
            uri = "file:" + source.path("saved")
            source.qmp.execute("migrate", uri=uri)
            while source.qmp.execute("query-migrate")["status"] != "completed":
                pass
            with machine(*RNG, "-incoming", "defer", options=",boot-bypass=off") as target:
                target.qmp.execute("migrate-incoming", uri=uri)
                while target.qmp.execute("query-status")["status"] == "inmigrate":
                    pass
                for driver in iommu, device:
                    driver.move_to(target.qtest)
                before = source.qmp.execute("query-iommu")
                self.assertEqual(target.qmp.execute("query-iommu"), before)
                length, data = device.queues[0].request([], [64])
                self.assertNotEqual(data, bytes([0xEE]) * length)
                self.assertEqual(iommu.status_of(viommu.unmap_request(1, 1 << 45, 0x1000)),
                                 viommu.RANGE)
                iommu.unmap(1, 1 << 45, 0x5000)
                self.assertEqual(target.qmp.execute("query-iommu")[0]["functions"][-1]["mappings"],
                                 32)


class Passthrough(unittest.TestCase):
    ENDPOINT = 5 << 3  # where the mock is

    def start(self, *arguments, options="", **settings):
        mock = Mock(**settings)
        self.addCleanup(mock.close)
        mock.start("-display", "none", "-m", "64", "-device",
                   f"virtio-iommu-pci,addr={IOMMU}{options}", *arguments)
        iommu = viommu.Iommu(mock.vm.qtest, slot=IOMMU)
        iommu.start(sizes={0: 8})
        return mock, iommu

    def verify(self, mock):
        answer = mock.vm.qmp.execute("x-iommu-verify")
        self.assertTrue(answer["equal"], answer["report"])

    def ram(self, mock):
        return sum(length for start, (length, _) in mock.mapped().items() if start < 1 << 30)

    def placeholder(self, mock, iommu, domain):
        """Keeps a domain alive whose only other endpoint comes and goes: the host bridge."""
        iommu.attach(domain, 0)

    def test_hotplug_in_bypass(self):
        mock, iommu = self.start()
        mock.plug()
        self.assertEqual(self.ram(mock), RAM)
        self.verify(mock)
        iommu.attach(1, self.ENDPOINT)
        self.assertEqual(mock.mapped(), {})
        iommu.map(1, FAR, 0x100000, 0x3000)
        self.assertEqual({k: v[0] for k, v in mock.mapped().items()}, {FAR: 0x3000})
        self.verify(mock)
        iommu.detach(1, self.ENDPOINT)
        self.assertEqual(self.ram(mock), RAM)
        self.verify(mock)
        iommu.bypass(False)
        self.assertEqual(mock.mapped(), {})
        self.verify(mock)

    def test_bypass_follows_memory(self):
        """A ROM is shadowed below a device that sees memory as it is: only that changes (I4)."""
        mock, _ = self.start()
        mock.plug()
        mock.write("log", "")
        for value in (0x11, 0x33, 0x00, 0x33):
            mock.vm.qtest.pci_write(0, 0x5A, value, 1)  # PAM: c0000 to c8000
            self.verify(mock)
        touched = mock.log()
        self.assertNotIn("map 0x100000 ", touched)

    def test_hotplug_behind_mappings(self):
        mock, iommu = self.start(options=",boot-bypass=off")
        self.placeholder(mock, iommu, 1)
        for k in range(100):
            iommu.map(1, (FAR) + (k << 24), k << 12, 0x1000, (READ, READ | WRITE)[k % 2])
        mock.plug()
        self.assertEqual(mock.mapped(), {})  # in no domain yet
        iommu.attach(1, self.ENDPOINT)
        self.assertEqual(len(mock.mapped()), 100)
        self.verify(mock)
        iommu.unmap(1, FAR, 50 << 24)
        self.assertEqual(len(mock.mapped()), 50)
        self.verify(mock)
        mock.vm.qmp.execute("device_del", id="v", x_force=True)
        mock.vm.qmp.wait_event("DEVICE_DELETED")
        self.assertEqual(mock.mapped(), {})
        mock.plug()
        iommu.attach(1, self.ENDPOINT)
        self.assertEqual(len(mock.mapped()), 50)
        mock.vm.qmp.execute("system_reset")
        mock.vm.qmp.wait_event("RESET")
        self.assertEqual(mock.mapped(), {})
        self.verify(mock)

    def test_the_status_tells_of_the_host(self):
        """cloud-hypervisor: failed ATTACH and UNMAP read as OK. Here each is refused as a whole."""
        mock, iommu = self.start(options=",boot-bypass=off")
        mock.plug()
        iommu.attach(1, self.ENDPOINT)
        mapping = viommu.map_request(1, FAR, 0x100000, 0x1000)
        unmapping = viommu.unmap_request(1, FAR, 0x1000)
        for problem, status in ((errno.EINVAL, viommu.DEVERR), (errno.ENOMEM, viommu.DEVERR)):
            mock.fail(1, problem)
            self.assertIn(iommu.status_of(mapping), (status, viommu.NOMEM))
            self.assertEqual(mock.mapped(), {})
            self.verify(mock)
        iommu.must(mapping)
        mock.fail(1, errno.EIO)
        self.assertEqual(iommu.status_of(unmapping), viommu.DEVERR)
        self.assertEqual(len(mock.mapped()), 1)
        self.verify(mock)
        self.placeholder(mock, iommu, 2)
        for k in range(3):
            iommu.map(2, (k + 1) << 30, 0x100000, 0x1000)
        for number in range(1, 5):  # an unmap and three maps
            mock.fail(number, errno.EIO)
            self.assertEqual(iommu.status_of(viommu.attach_request(2, self.ENDPOINT)),
                             viommu.DEVERR)
            self.assertEqual(list(mock.mapped()), [FAR])
            self.verify(mock)
        mock.fail(0, 0)
        iommu.attach(2, self.ENDPOINT)
        self.assertEqual(len(mock.mapped()), 3)
        mock.fail(1, errno.EIO)  # the one unmap of all three; each by itself can be made
        iommu.must(viommu.detach_request(2, self.ENDPOINT))
        self.assertEqual(mock.mapped(), {})
        mock.fail(0, 0)
        iommu.must(viommu.unmap_request(2, 2 << 30, 2 << 30))
        iommu.attach(2, self.ENDPOINT)
        mock.fail(1, errno.EIO)
        self.assertEqual(iommu.status_of(viommu.detach_request(2, self.ENDPOINT)), viommu.DEVERR)
        self.assertEqual(len(mock.mapped()), 1)
        self.verify(mock)

    def test_no_entries_left(self):
        mock, iommu = self.start(options=",boot-bypass=off", entries=3)
        mock.plug()
        iommu.attach(1, self.ENDPOINT)
        for k in range(3):
            iommu.map(1, k << 30, 0x100000, 0x1000)
        self.assertEqual(iommu.status_of(viommu.map_request(1, 5 << 30, 0, 0x1000)), viommu.NOMEM)
        iommu.unmap(1, 0, 0x1000)
        iommu.map(1, 5 << 30, 0, 0x1000)
        self.verify(mock)

    def test_the_guest_knows_what_the_host_cant_map(self):
        """cloud-hypervisor#7030: IOVAs above the host's 39 bits, of which the guest was not told."""
        mock, iommu = self.start()

        def reserved():
            return [(value[0], *struct.unpack_from("<QQ", value, 4))
                    for _, value in iommu.probe(self.ENDPOINT)]
        self.assertEqual(iommu.probe(self.ENDPOINT), viommu.NOENT)
        mock.plug()
        self.assertEqual(reserved(), [(1, 0xFEE00000, 0xFEEFFFFF),
                                      (0, 1 << 39, (1 << 48) - 1)])
        iommu.attach(1, self.ENDPOINT)
        iommu.map(1, (1 << 39) - 0x1000, 0, 0x1000)
        self.assertEqual(iommu.status_of(viommu.map_request(1, 1 << 39, 0, 0x1000)), viommu.DEVERR)
        self.verify(mock)

    def test_device_reset_of_the_iommu(self):
        for bypass in (True, False):
            mock, iommu = self.start(options="" if bypass else ",boot-bypass=off")
            mock.plug()
            iommu.attach(1, self.ENDPOINT)
            iommu.map(1, FAR, 0x100000, 0x3000)
            iommu.reset()
            self.assertEqual(self.ram(mock), RAM if bypass else 0)
            self.assertNotIn(FAR, mock.mapped())
            self.verify(mock)
            mock.close()


if __name__ == "__main__":
    unittest.main()
