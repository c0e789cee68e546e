# SPDX-License-Identifier: GPL-2.0-or-later
"""vfio-user-pci over the test port: a server in another process, good, slow, dying and hostile."""
import errno
import json
import os
import random
import struct
import subprocess
import unittest
import zlib

import vfio_user
import vfio_user_server as protocol
import vtd
from duodm import BINARY, Duodm, QMPError
from vfio_user import INTX, MSIX, REQ

MIB = 1 << 20
EJECT = 0xAE08
IOMMU = ("-device", "intel-iommu,caching-mode=on")
REQUESTER = 5 << 3
ONES = 0xFFFFFFFF
SILENCE = 3000  # ms that a silent server is waited for: more than a good one on a busy machine needs


class VfioUser(unittest.TestCase):
    def server(self, **settings):
        server = vfio_user.Server(**settings)
        self.addCleanup(server.close)
        return server

    def function(self, *arguments, server=None, **rest):
        function = vfio_user.Function(server or self.server(), *arguments, **rest)
        self.addCleanup(function.close)
        return function

    def ready(self, *arguments, **rest):
        function = self.function(*arguments, **rest)
        function.map_bars()
        return function

    def fails(self, text, call, *arguments, **rest):
        with self.assertRaises(QMPError) as caught:
            call(*arguments, **rest)
        self.assertIn(text, caught.exception.description)
        return caught.exception.description

    def refuses_to_start(self, text, *arguments):
        result = subprocess.run([BINARY, "-nodefaults", "-display", "none", "-accel", "qtest", "-m",
                                 "64", *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                                text=True)
        self.assertEqual(result.returncode, 1)
        self.assertIn(text, result.stderr)

    def lost(self, function, text):
        event = function.qmp.wait_event("DEVICE_SERVER_LOST")
        self.assertEqual(event["data"]["device"], "u")
        self.assertIn(text, event["data"]["reason"])


class Device(VfioUser):
    def test_config_space_and_bars(self):
        function = self.ready()
        qtest = function.qtest
        self.assertEqual(function.read(0), 0x00F01B36)
        self.assertEqual(qtest.readl(function.bar0 + protocol.ID), protocol.IDENTITY)
        qtest.writel(function.bar0 + protocol.SCRATCH, 0x12345678)
        self.assertEqual(qtest.readl(function.bar0 + protocol.SCRATCH), 0x12345678)
        qtest.outw(function.bar3 + 4, 0xABCD)
        self.assertEqual(qtest.inl(function.bar3 + 4), 0xABCD)

    def test_mapped_memory_needs_no_messages(self):
        function = self.ready()
        server, qtest = function.server, function.qtest
        before = server.state()["counts"]
        for region, base, offset in ((0, function.bar0, 0x1008), (2, function.bar2, 0xFFF8)):
            qtest.writeq(base + offset, 0x1122334455667788)
            self.assertEqual(server.ok("file", region=region, offset=offset, length=8),
                             struct.pack("<Q", 0x1122334455667788).hex())
            server.ok("file", region=region, offset=offset, data="0102030405060708")
            self.assertEqual(qtest.readq(base + offset), 0x0807060504030201)
        after = server.state()["counts"]
        self.assertEqual((before["REGION_READ"], before["REGION_WRITE"]),
                         (after["REGION_READ"], after["REGION_WRITE"]))

    def test_without_mmap(self):
        function = self.ready(device={"x-no-mmap": True})
        function.server.ok("file", region=2, offset=16, data="11223344")
        self.assertEqual(function.qtest.readl(function.bar2 + 16), 0x44332211)

    def test_rom(self):
        """It is read by large messages: a slow server does not keep the machine for long."""
        rom = protocol.rom_image(0xAA55, 1 << 16)
        function = self.function(server=self.server(rom=(0xAA55, 1 << 16)))
        self.assertLess(function.server.state()["counts"]["REGION_READ"], 100)
        function.write(0x30, 0xE0000001)
        function.write(4, 2, 2)
        self.assertEqual(function.qtest.read(0xE0000000, 1 << 16), rom)
        function = self.function(server=self.server(rom=(0, 4096)))
        function.write(0x30, 0xFFFFFFFF)
        self.assertEqual(function.read(0x30), 0)
        function = self.function(server=self.server(
            rom=(0xAA55, 1 << 16), capabilities={"max_data_xfer_size": 1000}))
        function.write(0x30, 0xE0000001)
        function.write(4, 2, 2)
        self.assertEqual(function.qtest.read(0xE0000000, 1 << 16), rom)

    def test_as_users_write_it(self):
        server = self.server()
        for text in (f"vfio-user-pci,id=u,socket={server.path}",
                     f"vfio-user-pci,id=u,socket.type=unix,socket.path={server.path}"):
            with Duodm("-m", "64", "-device", text, qtest=True) as vm:
                self.assertEqual(vm.qtest.pci_read(2 << 3, 0, 4) & 0xFFFF, 0x1B36)
        for text, problem in (("vfio-user-pci", "needs the property socket=PATH"),
                              ("vfio-user-pci,socket.type=vsock", "unix is expected"),
                              ("vfio-user-pci,socket=/nowhere/s", "start it first"),
                              ("vfio-user-pci,socket=" + "x" * 200, "longer than")):
            self.refuses_to_start(problem, "-device", text)

    def test_version(self):
        function = self.function()
        offer = function.server.state()["offer"]["capabilities"]
        self.assertTrue(offer["twin_socket"]["supported"])
        self.assertGreaterEqual(offer["max_msg_fds"], 1)

    def test_interrupts(self):
        function = self.ready()
        qtest, server, target = function.qtest, function.server, 8 * MIB
        self.assertEqual(server.state()["irqs"], [[INTX, 0], [vfio_user.ERR, 0], [REQ, 0]])
        for vector in (0, 3):
            entry = function.bar0 + 0x2000 + 16 * vector
            for offset, value in ((0, target + 4 * vector), (4, 0), (8, 0x100 + vector), (12, 0)):
                qtest.writel(entry + offset, value)
        function.write(0x42, 0x8000, 2)
        self.assertEqual([i for i in server.state()["irqs"] if i[0] in (INTX, MSIX)],
                         [[MSIX, 0], [MSIX, 3]])
        for vector in (0, 3, 3):
            qtest.writel(function.bar0 + protocol.RAISE, vector)
            while qtest.readl(target + 4 * vector) != 0x100 + vector:
                pass
            qtest.writel(target + 4 * vector, 0)
        function.write(0x42, 0, 2)
        self.assertEqual([i for i in server.state()["irqs"] if i[0] in (INTX, MSIX)], [[INTX, 0]])

    def test_more_vectors_than_go_with_one_message(self):
        server = self.server(capabilities={"max_msg_fds": 1})
        function = self.ready(server=server)
        for vector in range(4):
            function.qtest.writel(function.bar0 + 0x2000 + 16 * vector + 12, 0)
        function.write(0x42, 0x8000, 2)
        self.assertEqual([i for i in server.state()["irqs"] if i[0] == MSIX],
                         [[MSIX, v] for v in range(4)])

    def test_intx(self):
        function = self.ready()
        qtest, server = function.qtest, function.server
        qtest.start_pic()
        for _ in range(2):
            before = server.state()["unmasked"]
            server.ok("interrupt", kind=INTX)
            qtest.wait_irq(10, True)
            qtest.serve_pic()
            qtest.wait_irq(10, False)
            self.assertEqual(server.state()["unmasked"], before + 1)

    def test_reset(self):
        function = self.ready()
        function.qtest.writel(function.bar0 + protocol.SCRATCH, 7)
        before = function.server.state()["resets"]
        function.qmp.execute("system_reset")
        function.qmp.wait_event("RESET")
        self.assertEqual(function.server.state()["resets"], before + 1)
        function.map_bars()
        self.assertEqual(function.qtest.readl(function.bar0 + protocol.SCRATCH), 0)

    def test_its_owner_wants_it_back(self):
        function = self.ready()
        function.qmp.execute("cont")
        function.server.ok("interrupt", kind=REQ)
        while function.qtest.inl(0xAE04) != 1 << 5:
            pass

    def test_its_state_cant_be_saved(self):
        function = self.function()
        self.fails("can't be saved", function.qmp.execute, "migrate",
                   uri="file:" + function.vm.path("saved"))


class Memory(VfioUser):
    """DMA without an IOMMU: all of RAM is the server's."""

    def data(self, length):
        return bytes(random.Random(length).randbytes(length))

    def check_copy(self, function, command, length=70000, source=MIB + 3, target=5 * MIB + 1):
        data = self.data(length)
        function.qtest.write(source, data)
        function.qtest.memset(target - 1, length + 2, 0xEE)
        self.assertEqual(function.engine(command, source, target, length), 0)
        self.assertEqual(function.checksum(), zlib.crc32(data))
        self.assertEqual(function.qtest.read(target - 1, length + 2), b"\xee" + data + b"\xee")

    def ram(self, server, direct=True):
        return sum(size for start, (size, _, passed) in server.mappings().items()
                   if start < 1 << 30 and passed == direct)

    def test_all_of_ram_is_mapped(self):
        function = self.ready()
        self.assertEqual(self.ram(function.server), 64 * MIB)
        self.check_copy(function, protocol.COPY_MAPPED)
        self.check_copy(function, protocol.COPY_MESSAGES)

    def test_above_4_gib(self):
        function = self.ready(memory="5G")
        self.check_copy(function, protocol.COPY_MAPPED, source=4 << 30, target=(5 << 30) - 80000)

    def test_messages_on_a_socket_of_their_own(self):
        function = self.ready(server=self.server(twin=True))
        self.check_copy(function, protocol.COPY_MESSAGES, length=MIB)

    def test_no_direct_dma(self):
        function = self.ready(device={"no-direct-dma": True})
        self.assertEqual(self.ram(function.server), 0)
        self.assertEqual(self.ram(function.server, direct=False), 64 * MIB)
        self.assertEqual(function.engine(protocol.COPY_MAPPED, MIB, 2 * MIB, 64), errno.EFAULT)
        self.check_copy(function, protocol.COPY_MESSAGES)

    def test_plugged_into_private_ram(self):
        function = self.function(plugged=False)
        function.plug()
        function.map_bars()
        self.assertIn("guest RAM is private", function.vm.stderr())
        self.assertLess(self.ram(function.server), MIB)  # ROM, for one, is a file always
        self.check_copy(function, protocol.COPY_MESSAGES)

    def test_memory_backend(self):
        function = self.function("-object", "memory-backend-memfd,id=ram,size=64M",
                                 "-machine", "memory-backend=ram", plugged=False)
        function.plug()
        function.map_bars()
        self.assertEqual(self.ram(function.server), 64 * MIB)
        self.check_copy(function, protocol.COPY_MAPPED)
        for options, problem in (
                (("-machine", "memory-backend=ram"), "ram"),
                (("-object", "memory-backend-memfd,id=ram,size=65M",
                  "-machine", "memory-backend=ram"), "must be the same")):
            self.refuses_to_start(problem, *options)

    def test_messages_reach_what_is_mapped_only(self):
        function = self.ready()
        server = function.server
        for address, length in ((0xFEE00000, 4), (63 * MIB, 2 * MIB - MIB + 1), (1 << 63, 8),
                                ((1 << 64) - 8, 16)):
            answer = server.order("read", address=address, length=length, mapped=False)
            self.assertIn(answer["problem"], (errno.EFAULT, errno.EINVAL))
        # ROM can be read, not written.
        rom = next(start for start, (_, flags, _) in server.mappings().items() if flags == 1)
        server.ok("read", address=rom, length=16, mapped=False)
        answer = server.order("write", address=rom, data="00", mapped=False)
        self.assertEqual(answer, {"problem": errno.EFAULT})

    def test_nonsense_commands(self):
        function = self.ready()
        server = function.server
        access = struct.pack("<QQ", MIB, 16)
        for command, payload, problem in (
                (protocol.DMA_READ, b"", errno.EINVAL),
                (protocol.DMA_READ, access + b"x", errno.EINVAL),
                (protocol.DMA_READ, struct.pack("<QQ", MIB, 0), errno.EINVAL),
                (protocol.DMA_READ, struct.pack("<QQ", MIB, MIB + 1), errno.EINVAL),
                (protocol.DMA_READ, struct.pack("<QQ", MIB, 1 << 63), errno.EINVAL),
                (protocol.DMA_WRITE, access + bytes(15), errno.EINVAL),
                (protocol.DMA_WRITE, access + bytes(17), errno.EINVAL),
                (protocol.REGION_READ, bytes(16), errno.ENOTSUP),
                (99, b"", errno.ENOTSUP)):
            answer = server.order("command", command=command, payload=payload.hex())
            self.assertEqual(answer, {"problem": problem})
        self.check_copy(function, protocol.COPY_MESSAGES)

    def test_unplugged_and_plugged_again(self):
        function = self.ready("-object", "memory-backend-memfd,id=ram", "-machine",
                              "memory-backend=ram")
        function.qmp.execute("cont")
        for _ in range(3):
            function.qmp.execute("device_del", id="u")
            function.qtest.outl(EJECT, 1 << 5)
            function.qmp.wait_event("DEVICE_DELETED")
            state = function.server.state()
            while state["connected"]:
                state = function.server.state()
            # All was taken back by messages, before the connection ended.
            self.assertEqual(state["counts"]["DMA_UNMAP"], state["counts"]["DMA_MAP"])
            function.plug()
            function.map_bars()
            self.check_copy(function, protocol.COPY_MAPPED)

    def test_peer_to_peer(self):
        """One function's mapped BAR is memory to another one."""
        first = self.ready()
        second = self.server()
        first.qmp.execute("device_add", driver="vfio-user-pci", id="v", addr="6",
                          socket=second.path)
        first.qtest.writel(first.bar2 + 8, 0x11223344)
        self.assertEqual(second.mappings()[first.bar2], (65536, 3, False))
        second.ok("config", offset=4, value=6)
        self.assertEqual(second.ok("read", address=first.bar2 + 8, length=4, mapped=False),
                         "44332211")
        second.ok("write", address=first.bar2 + 12, data="a1b2c3d4", mapped=False)
        self.assertEqual(first.qtest.readl(first.bar2 + 12), 0xD4C3B2A1)

    def test_too_many_mappings(self):
        """libvfio-user#588: a server with room for 16. Its limit counts before it has to refuse."""
        server = self.server(capabilities={"max_dma_maps": 2})
        function = self.function(server=server, plugged=False)
        self.fails("no entry left", function.plug)
        self.assertEqual(server.mappings(), {})

    def test_cut_off_when_the_server_refuses(self):
        function = self.ready()
        function.server.rules(DMA_MAP="error:12")
        function.qtest.pci_write(0, 0x5A, 0x11, 1)  # PAM: c0000 to c8000 are read-only now
        event = function.qmp.wait_event("DEVICE_DMA_CUT_OFF")
        self.assertIn("Cannot allocate memory", event["data"]["reason"])
        config = bytes.fromhex(function.server.state()["config"])
        self.assertEqual(config[4] & 4, 0)
        function.server.rules()
        self.assertEqual(function.qtest.readl(function.bar0), protocol.IDENTITY)


class Iommu(VfioUser):
    """Behind VT-d: the server has what the guest's tables map, when it comes and ever after."""

    def unit(self, function):
        unit = vtd.Unit(function.qtest)
        domain = unit.domain(1)
        unit.attach(REQUESTER, domain)
        unit.enable()
        return unit, domain

    def machine(self, server=None, **device):
        function = self.function("-object", "memory-backend-memfd,id=ram", "-machine",
                                 "memory-backend=ram", *IOMMU, server=server, plugged=False)
        unit, domain = self.unit(function)
        return function, unit, domain

    def verify(self, function):
        self.assertTrue(function.qmp.execute("x-iommu-verify")["equal"])

    def test_hotplug_with_mappings(self):
        """Exactly the guest's mappings, before it sees the device."""
        function, unit, domain = self.machine()
        expected = {}
        rng = random.Random(5)
        for number in range(60):
            iova = (rng.randrange(1 << 35) << 12) + 4096
            access = rng.choice((vtd.READ, vtd.WRITE, vtd.READ | vtd.WRITE))
            domain.map(iova, MIB + number * 4096, 4096, access)
            expected[iova] = (4096, access, True)
        domain.map(1 << 30, 4 * MIB, 2 * MIB, level=2)
        expected[1 << 30] = (2 * MIB, 3, True)
        function.plug()
        self.assertEqual(function.server.mappings(), expected)
        self.verify(function)
        function.map_bars()
        # A window that is the guest's, in memory and in order.
        function.qtest.write(4 * MIB, b"through the IOMMU")
        self.assertEqual(function.engine(protocol.CHECKSUM, 1 << 30, length=17), 0)
        self.assertEqual(function.checksum(), zlib.crc32(b"through the IOMMU"))

    def test_changes(self):
        function, unit, domain = self.machine()
        function.plug()
        function.map_bars()
        self.assertEqual(function.server.mappings(), {})
        for mapped in (protocol.COPY_MAPPED, protocol.COPY_MESSAGES):
            domain.map(0x10000, MIB, 4096)
            domain.map(0x11000, 3 * MIB, 4096)
            unit.flush_pages(1, 0x10000, 1)
            self.assertEqual(function.server.mappings(),
                             {0x10000: (4096, 3, True), 0x11000: (4096, 3, True)})
            self.verify(function)
            data = random.Random(1).randbytes(4096)
            function.qtest.write(MIB, data)
            self.assertEqual(function.engine(mapped, 0x10000, 0x11000, 4096), 0)
            self.assertEqual(function.qtest.read(3 * MIB, 4096), data)
            # Over a page's end, and back.
            self.assertEqual(function.engine(mapped, 0x10800, 0x11000 - 16, 32), 0)
            self.assertEqual(function.qtest.read(3 * MIB, 16), data[0x810:0x820])
            domain.unmap(0x10000, 8192)
            unit.flush_pages(1, 0x10000, 1)
            self.assertEqual(function.server.mappings(), {})
            self.verify(function)
            self.assertEqual(function.engine(mapped, 0x10000, 0x11000, 8), errno.EFAULT)

    def test_rights(self):
        function, unit, domain = self.machine()
        domain.map(0x10000, MIB, 4096, vtd.READ)
        domain.map(0x20000, 2 * MIB, 4096, vtd.WRITE)
        function.plug(no_direct_dma=True)
        function.map_bars()
        copy = protocol.COPY_MESSAGES
        self.assertEqual(function.engine(copy, 0x10000, 0x20000, 64), 0)
        self.assertEqual(function.engine(copy, 0x20000, 0x20000, 64), errno.EFAULT)
        self.assertEqual(function.engine(copy, 0x10000, 0x10000, 64), errno.EFAULT)

    def test_domain_switch(self):
        function, unit, domain = self.machine()
        other = unit.domain(2)
        domain.map(0x10000, MIB, 4096)
        other.map(0x10000, 2 * MIB, 4096)
        other.map(0x30000, MIB, 4096)
        function.plug()
        unit.attach(REQUESTER, other)
        unit.flush_contexts()
        unit.flush_all()
        self.assertEqual(set(function.server.mappings()), {0x10000, 0x30000})
        self.verify(function)
        unit.detach(REQUESTER)
        unit.flush_contexts()
        unit.flush_all()
        self.assertEqual(function.server.mappings(), {})
        self.verify(function)

    def test_pass_through_and_back(self):
        function, unit, domain = self.machine()
        domain.map(0x10000, MIB, 4096)
        function.plug()
        unit.pass_through(REQUESTER)
        unit.flush_contexts()
        unit.flush_all()
        mappings = function.server.mappings()
        self.assertGreaterEqual(sum(m[0] for m in mappings.values()), 62 * MIB)
        unit.attach(REQUESTER, domain)
        unit.flush_contexts()
        unit.flush_all()
        self.assertEqual(function.server.mappings(), {0x10000: (4096, 3, True)})
        self.verify(function)

    def test_unplugged_under_mappings(self):
        function, unit, domain = self.machine()
        domain.map(0x10000, MIB, 65536)
        for _ in range(3):
            function.plug()
            self.assertEqual(len(function.server.mappings()), 16)
            function.unplug()
            self.verify(function)
        state = function.server.state()
        self.assertEqual(state["counts"]["DMA_UNMAP"], state["counts"]["DMA_MAP"])

    def test_each_mapping_of_the_replay_refused(self):
        """Whichever fails: an error that says which, and nothing left (I1). cloud-hypervisor's client
        did not look at the answers."""
        function, unit, domain = self.machine()
        for page in range(5):
            domain.map(0x10000 + 8192 * page, MIB, 4096)
        for number in range(1, 6):
            function.server.rules(DMA_MAP={"what": "error:12", "from": number})
            text = self.fails("refuses DMA_MAP: Cannot allocate memory", function.plug)
            self.assertIn(f"IOVA {0x10000 + 8192 * (number - 1):#x}", text)
            self.assertEqual(function.server.mappings(), {})
        function.server.rules()
        function.plug()
        self.assertEqual(len(function.server.mappings()), 5)

    def test_server_restarted(self):
        function, unit, domain = self.machine()
        domain.map(0x10000, MIB, 4096)
        function.plug()
        function.server.kill()
        self.lost(function, "closed the connection")
        # The guest goes on, and its invalidations are answered.
        domain.map(0x11000, MIB, 4096)
        unit.flush_pages(1, 0x11000, 0)
        function.unplug()
        function.server.start()
        function.plug()
        self.assertEqual(set(function.server.mappings()), {0x10000, 0x11000})
        self.verify(function)

    def test_a_server_that_asks_without_end_is_late(self):
        function, unit, domain = self.machine()
        domain.map(0x10000, MIB, 4096)
        function.plug(x_msg_timeout=SILENCE)
        function.server.rules(DMA_UNMAP="flood")
        domain.unmap(0x10000, 4096)
        unit.flush_pages(1, 0x10000, 0)  # comes back
        self.lost(function, f"DMA_UNMAP was not answered in {SILENCE} ms")

    def test_map_and_unmap_on_a_dead_server(self):
        function, unit, domain = self.machine()
        domain.map(0x10000, MIB, 4096)
        function.plug(x_msg_timeout=SILENCE)
        function.server.rules(DMA_UNMAP="silent")
        domain.unmap(0x10000, 4096)
        unit.flush_pages(1, 0x10000, 0)  # comes back
        self.lost(function, f"DMA_UNMAP was not answered in {SILENCE} ms")
        for _ in range(50):  # and at once from now on
            domain.map(0x10000, MIB, 4096)
            unit.flush_pages(1, 0x10000, 0)
            domain.unmap(0x10000, 4096)
            unit.flush_pages(1, 0x10000, 0)
        function.unplug()

    def test_without_caching_mode(self):
        function = self.function("-device", "intel-iommu", plugged=False)
        self.fails("caching-mode=on", function.plug)
        self.assertNotIn("VERSION", function.server.state()["counts"])
        # At the start the same (QEMU once ended in another error, and once in none).
        self.refuses_to_start("caching-mode=on", "-device", "intel-iommu", "-device",
                              "vfio-user-pci,socket=" + function.server.path)
        self.assertNotIn("VERSION", function.server.state()["counts"])


class Bad(VfioUser):
    """Servers that break the rules: an error, or ones and an event; and the machine goes on."""

    def refused(self, cases):
        """Rules, and what the error of device_add says; a good server is taken after all of them."""
        function = self.function(plugged=False)
        for rules, text in cases:
            with self.subTest(rules):
                function.server.rules(**rules)
                self.fails(text, function.plug, x_msg_timeout=SILENCE)
        function.server.kill()
        function.server.start()
        function.plug()

    def test_versions(self):
        self.refused([({"VERSION": rule}, text) for rule, text in (
            ("payload:01000000", "speaks 1.0"), ("payload:00000200", "speaks 0.2"),
            ("payload:", "cut short"), ("payload:0000", "cut short"),
            ("payload:000001007b7d", "do not end with a NUL"),
            ("text:{", "no JSON object"), ("text:[]", "no JSON object"),
            ('text:{"capabilities": 3}', "no JSON object"),
            ('text:{"capabilities": {"max_msg_fds": "x"}}', "no positive number"),
            ('text:{"capabilities": {"max_dma_maps": -1}}', "no positive number"),
            ('text:{"capabilities": {"pgsizes": 7}}', "no page"),
            ('text:{"capabilities": {"twin_socket": {"supported": true}}}',
             "names no descriptor"),
            ("error:22", "refuses VERSION: Invalid argument"),
            ("silent", f"VERSION was not answered in {SILENCE} ms"),
            ("close", "closed the connection"), ("die", "is gone"))])

    def test_older_and_simpler_servers(self):
        for rule in ("payload:00000000", "payload:00000100", "text:{}"):
            server = self.server(rules={"VERSION": rule})
            self.function(server=server).close()

    def test_device_information(self):
        self.refused((
            ({"GET_INFO": "payload:00"}, "wrong size"),
            ({"GET_INFO": "payload:" + "00" * 16}, "is no PCI device"),
            ({"GET_REGION_INFO": "payload:" + "00" * 16}, "cut short"),
            ({"GET_REGION_INFO": "error:5"}, "Input/output error"),
            ({"GET_REGION_INFO": "error:22"}, "answers nothing"),
            ({"GET_REGION_INFO": "payload:" + "00" * 32}, "another region"),
            ({"GET_REGION_INFO": "size:30000"}, "wrong size"),
            ({"GET_IRQ_INFO": "payload:" + "ff" * 16}, "other interrupts"),
            ({"GET_IRQ_INFO": "payload:"}, "cut short"),
            ({"REGION_READ": "error:14"}, "answers nothing"),
            ({"SET_IRQS": "error:22"}, "refuses DEVICE_SET_IRQS")))

    def test_impossible_regions(self):
        function = self.function(plugged=False)
        for settings, text in (({"regions": {0: 12288}}, "none that PCI allows"),
                               ({"regions": {2: 1 << 40}, "file_size": 65536}, "that PCI allows"),
                               ({"file_size": 4096}, "shorter than the region"),
                               ({"pass_files": False}, "no descriptor came for it"),
                               ({"regions": {7: 64}}, "answers nothing"),
                               ({"config": {0x0E: 1}}, "bridge"),
                               ({"config": {0x44: 5}}, "is not there")):
            with self.subTest(settings):
                function.server.kill()
                function.server.settings = settings
                function.server.start()
                self.fails(text, function.plug)

    def test_areas_out_of_place(self):
        """Left out, as if they had not been named."""
        for areas in ([[1 << 20, 4096]], [[0x1001, 4096]], [[0, 1 << 63]], [[0x3000, 8192]],
                      [[4096, 0]], [[4096, 4096]] * 400):
            function = self.ready(server=self.server(areas=areas))
            self.assertEqual(function.qtest.readl(function.bar0), protocol.IDENTITY)
            function.qtest.writel(function.bar0 + 4092, 1)
            function.close()

    NONSENSE = (("number:4711", "to nothing that was asked"), ("command:3", "to another command"),
                ("size:3", "impossible size"), ("size:0x7fffffff", "impossible size"),
                ("size:15", "impossible size"), ("size:16", "wrong size"),
                ("size:1000", "wrong size"), ("flags:2", "neither a command nor a reply"),
                ("payload:" + "00" * 20, "read something else"),
                ("garbage", ""), ("fds:20", ""), ("fds:8", "wrong size"),
                ("twice", "wrong size"), ("cut", "was not answered in"), ("silent", "was not answered in"),
                ("close", "closed the connection"), ("die", ""))

    def test_answers_to_a_read(self):
        function = self.function(plugged=False)
        for rule, text in self.NONSENSE:
            with self.subTest(rule):
                function.server.rules()
                function.plug(x_msg_timeout=SILENCE)
                function.map_bars()
                function.qtest.writel(function.bar2, 0x12345678)
                function.server.rules(REGION_READ=rule)
                self.assertEqual(function.qtest.readl(function.bar0), ONES)
                self.lost(function, text)
                # All of it is dead, what was mapped too, and at once.
                for _ in range(100):
                    self.assertEqual(function.qtest.readl(function.bar0 + 4), ONES)
                self.assertEqual(function.qtest.readl(function.bar2), ONES)
                self.assertEqual(function.read(0x60), ONES)
                function.qtest.writel(function.bar0 + 4, 1)
                function.qmp.execute("system_reset")
                function.qmp.wait_event("RESET")
                function.unplug()

    def test_it_may_refuse_a_read(self):
        function = self.ready()
        function.server.rules(REGION_READ="error:5")
        self.assertEqual(function.qtest.readl(function.bar0), ONES)
        function.server.rules()
        self.assertEqual(function.qtest.readl(function.bar0), protocol.IDENTITY)

    def test_slow(self):
        function = self.ready()
        function.server.rules(REGION_READ="delay:300")
        self.assertEqual(function.qtest.readl(function.bar0), protocol.IDENTITY)

    def test_commands_that_there_are_none(self):
        function = self.ready()
        function.server.rules(REGION_READ="unknown")
        self.assertEqual(function.qtest.readl(function.bar0), protocol.IDENTITY)

    def test_answer_to_nothing(self):
        function = self.ready()
        function.server.ok("send", data=struct.pack("<HHIII", 1, 9, 16, 1, 0).hex())
        self.lost(function, "to nothing that was asked")

    def test_garbage_while_nobody_asks(self):
        for seed in range(4):
            function = self.ready()
            function.server.ok("send", data=random.Random(seed).randbytes(5000).hex())
            function.qmp.wait_event("DEVICE_SERVER_LOST")
            function.close()

    def test_messages_while_it_is_unplugged(self):
        """A server that never answers: unplug comes to an end all the same."""
        function = self.ready(device={"x-msg-timeout": SILENCE})
        function.server.rules(**{command: "silent" for command in protocol.NAMES.values()})
        function.unplug()

    def test_refuses_to_unmap(self):
        function = self.ready()
        function.server.rules(DMA_UNMAP="error:22")
        function.qtest.pci_write(0, 0x5A, 0x11, 1)
        self.lost(function, "refuses to unmap")
        function.unplug()

    def test_unmaps_something_else(self):
        function = self.ready()
        function.server.rules(DMA_UNMAP="payload:" + "00" * 24)
        function.qtest.pci_write(0, 0x5A, 0x11, 1)
        self.lost(function, "unmapped other memory")

    def test_two_clients(self):
        """The second gets no answer: an error, after the time that it has."""
        function = self.ready()
        self.fails(f"was not answered in {SILENCE} ms", function.qmp.execute, "device_add",
                   driver="vfio-user-pci", socket=function.server.path, x_msg_timeout=SILENCE)
        self.assertEqual(function.qtest.readl(function.bar0), protocol.IDENTITY)

    def test_ram_cant_be_cut_short(self):
        """The file of guest RAM is sealed: what a server may write to it can't shrink."""
        function = self.ready()
        pid, sizes = function.vm.process.pid, []
        for name in os.listdir(f"/proc/{pid}/fd"):
            path = f"/proc/{pid}/fd/{name}"
            if "memfd:ram" in os.readlink(path):
                with open(path, "r+b") as file:
                    self.assertRaises(PermissionError, file.truncate, 4096)
                    sizes.append(os.fstat(file.fileno()).st_size)
        self.assertEqual(sizes, [64 * MIB])

    def test_cuts_short_what_is_mapped(self):
        """Whoever touches that would get a SIGBUS: the vCPU, or another device's DMA."""
        for region, offset, size in ((2, 0xFFF8, 0), (2, 0x8000, 0x4000), (0, 0x1000, 4096)):
            function = self.ready()
            base = function.bar0 if region == 0 else function.bar2
            function.qtest.writel(base + offset, 0x12345678)
            function.server.ok("truncate", region=region, size=size)
            self.assertIn(function.qtest.readl(base + offset), (0, ONES))
            self.lost(function, "cut short a file")
            self.assertEqual(function.qtest.readl(base + offset), ONES)
            function.qtest.writel(base + offset, 1)
            function.unplug()
            function.server.kill()
            function.server.start()
            function.plug()
            function.map_bars()
            self.assertEqual(function.qtest.readl(base + offset), 0)
            function.close()

    def test_nothing_is_left_open(self):
        function = self.function(plugged=False)
        folder = f"/proc/{function.vm.process.pid}/fd"

        def count():
            return len(os.listdir(folder))
        function.plug()
        function.unplug()
        before = count()
        for rules in ({}, {"VERSION": "fds:4"}, {"GET_REGION_INFO": "fds:3"}, {"SET_IRQS": "error:5"},
                      {"GET_INFO": "fds:8"}, {"GET_IRQ_INFO": "fds:1"}, {"SET_IRQS": "fds:2"},
                      {"DMA_MAP": "fds:3"}, {"DMA_UNMAP": "fds:8"}, {"RESET": "fds:1"},
                      {"REGION_READ": "close"}):
            function.server.rules(**rules)
            try:
                function.plug()
                function.unplug()
            except QMPError:
                pass
            self.assertEqual(count(), before, rules)


class CommandLine(VfioUser):
    def test_json_that_is_none(self):
        self.refuses_to_start("is no JSON", "-device", "{driver")
        with Duodm("-device", json.dumps({"driver": "pci-testdev", "addr": "7"}), qtest=True) as vm:
            self.assertNotEqual(vm.qtest.pci_read(7 << 3, 0, 4), ONES)


if __name__ == "__main__":
    unittest.main()
