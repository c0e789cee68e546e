# SPDX-License-Identifier: GPL-2.0-or-later
"""e1000 over the test port: descriptors, offloads against checksums computed here, filters, interrupts."""
import os
import socket
import struct
import unittest

from cards import E1000, CardCase
from packets import (BROADCAST, MAC, MULTICAST, OTHER, fcs, finished, frame, ones_sum, tcp4,
                     tcp4_is_right, udp4)
from seed import seeded

TXDW, TXQE, LSC, RXDMT0, RXO, RXT0, MDAC = 1, 2, 4, 16, 64, 128, 512
VME = 1 << 30


def tcp6(payload):
    ip = struct.pack(">IHBB", 6 << 28, 0, 6, 64) + bytes(range(32))
    tcp = struct.pack(">HHIIBBHHH", 1, 2, 1000, 0, 0x50, 0x18, 1000, 0, 0)
    return OTHER + MAC + b"\x86\xdd" + ip + tcp + payload


def tcp6_is_right(packet):
    length = struct.unpack_from(">H", packet, 18)[0]
    pseudo = packet[22:54] + struct.pack(">II", length, 6)
    return length == len(packet) - 54 and ones_sum(pseudo + packet[54:]) == 0xffff


def with_pseudo_sum(packet):
    """As drivers leave it: the pseudo-header's sum where TCP's checksum goes, 0 in IP's."""
    pseudo = ones_sum(packet[26:34] + struct.pack(">HH", 6, len(packet) - 34))
    return packet[:50] + struct.pack(">H", pseudo) + packet[52:]


class Case(CardCase):
    model, driver = "e1000", E1000


class Registers(Case):
    def test_identity(self):
        machine, card = self.machine(",mac=00:16:3e:01:02:03")
        self.assertEqual(machine.qtest.pci_read(card.devfn, 0), 0x100e8086)
        self.assertEqual(card.mac(), bytes.fromhex("00163e010203"))
        self.assertEqual(card.read(0x5404) >> 31, 1)
        self.assertEqual(card.read(8), 0x83)

    def test_port_window(self):
        machine, card = self.machine()
        machine.qtest.outl(card.ports, 0x5400)
        self.assertEqual(machine.qtest.inl(card.ports), 0x5400)
        self.assertEqual(machine.qtest.inl(card.ports + 4), int.from_bytes(MAC[:4], "little"))
        machine.qtest.outl(card.ports, 0x5200)
        machine.qtest.outl(card.ports + 4, 0x12345678)
        self.assertEqual(card.read(0x5200), 0x12345678)

    def test_eeprom(self):
        _, card = self.machine()
        by_wire = card.eeprom().read(0, 64)
        by_register = []
        for address in range(64):
            card.write(0x14, address << 8 | 1)
            self.assertTrue(card.read(0x14) & 0x10)
            by_register.append(card.read(0x14) >> 16)
        self.assertEqual(by_wire, by_register)
        self.assertEqual(struct.pack("<3H", *by_wire[:3]), MAC)
        self.assertEqual(sum(by_wire) & 0xffff, 0xbaba)
        self.assertEqual(card.read(0x10) & 0x180, 0x180)  # present, granted

    def test_phy(self):
        machine, card = self.machine()
        card.start()
        self.assertEqual((card.phy(2), card.phy(3) & 0xfff0), (0x0141, 0x0c20))
        self.assertEqual(card.phy(1), 0x796d)
        self.assertEqual(card.phy(17), 0xac00)
        card.read(0xc0)
        machine.qmp.execute("set_link", name="card", up=False)
        self.assertEqual(card.read(8) & 2, 0)
        self.assertEqual(card.read(0xc0) & LSC, LSC)
        self.assertEqual(card.phy(1) & 0x24, 0)
        machine.qmp.execute("set_link", name="card", up=True)
        self.assertEqual(card.read(8) & 2, 2)
        self.assertEqual(card.phy(1) & 4, 0)  # latched
        self.assertEqual(card.phy(1) & 4, 4)
        card.write(0x20, 2 << 21 | 2 << 26)
        self.assertEqual(card.read(0x20) >> 28, 5)  # ready, error: nobody there
        card.write(0x20, 1 << 21 | 1 << 16 | 2 << 26 | 1 << 29)
        self.assertEqual(card.read(0xc0) & MDAC, MDAC)

    def test_reset_by_register(self):
        _, card = self.machine()
        card.start()
        card.write(0x5200, 1)
        card.write(0xd0, 0x1ffff)
        card.write(0, 1 << 26)
        for offset, value in ((0x5200, 0), (0xd0, 0), (0x100, 0), (0x2808, 0), (0x38, 0x8100)):
            self.assertEqual(card.read(offset), value, hex(offset))
        self.assertEqual(card.mac(), MAC)


class Sending(Case):
    def test_legacy(self):
        machine, card = self.machine()
        card.start(count=8)
        for i in range(20):
            packet = frame(os.urandom(46 + 73 * i))
            card.send(packet, parts=1 + i % 4)
            self.assertEqual(machine.recv(), packet)
        self.assertEqual(card.read(0x3810), card.tail)
        self.assertEqual(card.read(0xc0) & (TXDW | TXQE), TXDW | TXQE)
        self.assertEqual(card.read(0xc0), 0)

    def test_legacy_checksum(self):
        machine, card = self.machine()
        card.start()
        for size in (0, 1, 777):
            packet = tcp4(os.urandom(size))
            ip = packet[:24] + struct.pack(">H", ones_sum(packet[14:34]) ^ 0xffff) + packet[26:]
            card.send(with_pseudo_sum(ip), command=0xd, cso=50, css=34)
            self.assertTrue(tcp4_is_right(machine.recv()))

    def test_padding(self):
        machine, card = self.machine()
        card.start(tctl=0xa)
        card.send(frame(b"short"))
        self.assertEqual(machine.recv(), frame(b"short").ljust(60, b"\0"))

    def test_checksums(self):
        machine, card = self.machine()
        card.start()
        card.context(ip=(14, 24, 33), tu=(34, 50, 0), command=3)
        for size in (0, 1, 777, 1460):
            packet = with_pseudo_sum(tcp4(os.urandom(size)))
            half = len(packet) // 2
            card.data(packet[:half], command=0, options=3)
            address = card.data(packet[half:], command=9)
            card.kick()
            card.done(address)
            self.assertTrue(tcp4_is_right(machine.recv()))
        packet = with_pseudo_sum(tcp4(b"only IP's"))
        card.done((card.data(packet, options=1), card.kick())[0])
        got = machine.recv()
        self.assertEqual(ones_sum(got[14:34]), 0xffff)
        self.assertEqual(got[50:52], packet[50:52])

    def test_checksum_of_a_part(self):
        """TUCSE ends before the packet does: nobody but the card can do that."""
        machine, card = self.machine()
        card.start()
        card.context(tu=(14, 20, 33), command=1)
        packet = frame(bytes(range(6)) + b"\0\0" + bytes(range(8, 60)))
        card.done((card.data(packet, options=2), card.kick())[0])
        expected = ones_sum(packet[14:34]) ^ 0xffff
        self.assertEqual(machine.recv(), packet[:20] + struct.pack(">H", expected) + packet[22:])

    def segments(self, machine, count, right, headers):
        got = b""
        while len(got) < count:
            packet = machine.recv()
            self.assertTrue(right(packet))
            got += packet[headers:]
        return got

    def test_segmentation(self):
        machine, card = self.machine()
        card.start()
        for size, mss in ((10000, 1460), (1460, 1460), (1461, 1460), (60000, 1000)):
            data = os.urandom(size)
            packet = tcp4(data)[:54]
            packet = packet[:16] + b"\0\0" + packet[18:]  # drivers leave IP's length out
            card.context(ip=(14, 24, 33), tu=(34, 50, 0), length=size, header=54, mss=mss, command=7)
            card.data(packet, command=4, options=3)
            for at in range(0, size, 16000):
                address = card.data(data[at:at + 16000], options=3,
                                    command=0xd if at + 16000 >= size else 4)
            card.kick()
            card.done(address)
            self.assertEqual(self.segments(machine, size, tcp4_is_right, 54), data)
        self.assertEqual(card.read(0x40f8), 4)

    def test_segmentation_of_ipv6(self):
        machine, card = self.machine()
        card.start()
        data = os.urandom(5000)
        card.context(ip=(14, 0, 53), tu=(54, 70, 0), length=5000, header=74, mss=1440, command=5)
        card.done((card.data(tcp6(data), command=0xd, options=2), card.kick())[0])
        self.assertEqual(self.segments(machine, 5000, tcp6_is_right, 74), data)

    def test_tags(self):
        machine, card = self.machine()
        card.start(ctrl=0x40 | VME)
        packet = frame(b"tagged" * 20)
        card.send(packet, command=0x49, special=0x6123)
        self.assertEqual(machine.recv(), packet[:12] + bytes.fromhex("81006123") + packet[12:])
        card.context(ip=(14, 24, 33), tu=(34, 50, 0), length=3000, header=54, mss=1000, command=7)
        card.done((card.data(tcp4(b"y" * 3000), command=0x4d, options=3, special=7), card.kick())[0])
        for _ in range(3):
            got = machine.recv()
            self.assertEqual(got[12:16], bytes.fromhex("81000007"))
            self.assertTrue(tcp4_is_right(got[:12] + got[16:]))

    def test_context_between_pieces(self):
        machine, card = self.machine()
        card.start()
        packet = frame(os.urandom(200))
        card.legacy(packet[:100], command=0)
        card.context(ip=(14, 24, 33), command=3)
        card.done((card.legacy(packet[100:]), card.kick())[0])
        self.assertEqual(machine.recv(), packet)

    def test_head_stays_at_the_packet(self):
        machine, card = self.machine()
        card.start()
        packet = frame(os.urandom(200))
        address = card.legacy(packet[:100], command=8)
        card.kick()
        card.done(address)
        self.assertEqual(card.read(0x3810), 0)
        card.done((card.legacy(packet[100:]), card.kick())[0])
        self.assertEqual(machine.recv(), packet)
        card.wait(lambda: card.read(0x3810) == 2, "TDH")

    def test_full_wire(self):
        machine, card = self.machine(kind=socket.SOCK_DGRAM)
        card.start(count=32)
        addresses, got, stuck = {}, 0, 0
        for number in range(600):
            if number >= 31 and not machine.qtest.readb(addresses[number - 31] + 12) & 1:
                stuck += 1
                while not machine.qtest.readb(addresses[number - 31] + 12) & 1:
                    self.assertEqual(struct.unpack_from("<I", machine.recv(), 14)[0], got)
                    got += 1
            addresses[number] = card.legacy(frame(struct.pack("<I", number) + b"x" * 1000))
            card.kick()
        while got < 600:
            self.assertEqual(struct.unpack_from("<I", machine.recv(), 14)[0], got)
            got += 1
        self.assertTrue(stuck)
        self.assertTrue(machine.silent())

    def test_bad_rings(self):
        machine, card = self.machine()
        for base, length, head, tail in ((card.base, 128, 0, 7), (0xf0000000, 1 << 19, 0, 0x7fff),
                                         (0xfffffff0, 128, 0, 7), (0, 128, 9, 3), (0, 128, 3, 200),
                                         (0, 0, 0, 5), (0xe0000, 128, 0, 7)):
            card.write(0x3800, base)
            card.write(0x3808, length)
            card.write(0x3810, head)
            card.write(0x3818, tail)
            card.write(0x400, 2)
            card.write(0x2800, base)
            card.write(0x2808, length)
            card.write(0x2810, head)
            card.write(0x2818, tail)
            card.write(0x100, 0x04008002)
            machine.wire.send(frame(b"x" * 60))
            self.assertEqual(card.mac(), MAC)
        card.write(0, 1 << 26)
        card.start()
        card.put(card.base, 100 | 0x0b << 24)  # its own registers
        card.put(0xf0000000, 0xffff | 0x0b << 24)
        card.put(0, 0xfffff | 1 << 20 | 0x2b << 24)
        card.send(frame(b"good" * 20))
        self.assertEqual(machine.recv(), frame(b"good" * 20))
        self.assertEqual(machine.vm.quit(), 0)


class Receiving(Case):
    def test_sizes(self):
        for rctl, buffer in ((0, 2048), (1 << 16, 1024), (2 << 16, 512), (3 << 16, 256),
                             (1 << 25 | 3 << 16, 4096), (1 << 25 | 1 << 16, 16384)):
            machine, card = self.machine()
            card.start(rctl=0x04008022 | rctl, buffer=buffer)
            for size in (60, 255, 256, 257, 1514, 2048):
                packet = frame(os.urandom(size - 14))
                machine.wire.send(packet)
                self.assertEqual(card.receive()[4], packet, (buffer, size))

    def test_fcs(self):
        machine, card = self.machine()
        card.start(rctl=0x8002)
        packet = frame(os.urandom(100))
        machine.wire.send(packet)
        self.assertEqual(card.receive()[4], packet + fcs(packet))

    def test_long_packets(self):
        machine, card = self.machine()
        card.start()
        machine.wire.send(frame(bytes(1501)))
        machine.wire.send(frame(b"next" * 20))
        self.assertEqual(card.receive()[4][14:18], b"next")
        self.assertEqual(card.read(0x40ac), 1)
        card.write(0x100, 0x04008022)
        machine.wire.send(frame(bytes(9000)))
        self.assertEqual(len(card.receive()[4]), 9014)

    def test_waits_for_room(self):
        machine, card = self.machine()
        card.start(count=8)
        packets = [frame(bytes([i]) * 500) for i in range(40)]
        for packet in packets:
            machine.wire.send(packet)
        for packet in packets:
            self.assertEqual(card.receive()[4], packet)
        self.assertEqual(card.read(0x4010), 0)

    def test_filter(self):
        machine, card = self.machine()
        card.start()
        second = bytes.fromhex("020304050607")
        card.write(0x5408, int.from_bytes(second[:4], "little"))
        card.write(0x540c, int.from_bytes(second[4:], "little") | 1 << 31)
        exact, hashed = 0x03, 0x83
        for mo, shift in enumerate((4, 3, 2, 0)):
            number = (MULTICAST[5] << 8 | MULTICAST[4]) >> shift & 0xfff
            card.write(0x5200 + number // 32 * 4, 1 << number % 32)
            base = 0x04000002 | mo << 12
            for rctl, taken in ((0, {MAC: exact, second: exact, MULTICAST: hashed}),
                                (1 << 15, {MAC: exact, second: exact, BROADCAST: exact, MULTICAST: hashed}),
                                (1 << 3, {MAC: exact, second: exact, OTHER: hashed, MULTICAST: hashed}),
                                (1 << 4, {MAC: exact, second: exact, BROADCAST: hashed, MULTICAST: hashed,
                                          bytes.fromhex("03ffffffffff"): hashed})):
                card.write(0x100, base | rctl)
                for address in (MAC, second, BROADCAST, OTHER, MULTICAST, bytes.fromhex("03ffffffffff")):
                    machine.wire.send(frame(b"x" * 46, to=address))
                for address, status in taken.items():
                    got = card.receive()
                    self.assertEqual((got[4][:6], got[0] & 0x83), (address, status), (mo, rctl))
                machine.wire.send(frame(b"end" * 20))
                self.assertEqual(card.receive()[4][14:17], b"end")
            card.write(0x5200 + number // 32 * 4, 0)

    def test_vlans(self):
        machine, card = self.machine()
        card.start(rctl=0x04048002, ctrl=0x40 | VME)
        card.write(0x5600 + 291 // 32 * 4, 1 << 291 % 32)
        packet = frame(b"v" * 100)

        def tagged(tci):
            return packet[:12] + b"\x81\0" + struct.pack(">H", tci) + packet[12:]

        machine.wire.send(tagged(292))
        machine.wire.send(tagged(0x6000 | 291))
        machine.wire.send(packet)
        status, _, _, special, got = card.receive()
        self.assertEqual((status & 8, special, got), (8, 0x6123, packet))
        status, _, _, _, got = card.receive()
        self.assertEqual((status & 8, got), (0, packet))

    def test_checksums(self):
        machine, card = self.machine()
        card.start(rctl=0x0400800a)
        good = finished(tcp4(b"data" * 20))
        cases = [(good, 0x60, 0), (good[:-1] + b"!", 0x60, 0x20), (udp4(b"data" * 20), 0x60, 0),
                 (udp4(b"data" * 20)[:-1] + b"!", 0x60, 0x20), (udp4(b"data" * 20, checksum=False), 0x40, 0),
                 (good[:22] + b"\x41" + good[23:], 0x60, 0x40), (frame(b"z" * 60), 0, 0),
                 (tcp6(b"data" * 20), 0, 0)]
        for packet, status, errors in cases:
            card.write(0x5000, 14)
            machine.wire.send(packet)
            got = card.receive()
            self.assertEqual((got[0] & 0x64, got[1]), (4, 0))
            self.assertEqual(got[2], ones_sum(packet[14:]) ^ 0xffff)
            card.write(0x5000, 0x300)
            machine.wire.send(packet)
            got = card.receive()
            self.assertEqual((got[0] & 0x64, got[1] & 0x60), (status, errors), packet)

    def test_loopback(self):
        machine, card = self.machine()
        card.start(rctl=0x04008042)
        packet = frame(b"round" * 20)
        card.send(packet)
        self.assertEqual(card.receive()[4], packet)
        card.context(ip=(14, 24, 33), tu=(34, 50, 0), command=3)
        card.write(0x100, 0x0400804a)
        card.done((card.data(with_pseudo_sum(tcp4(b"inside")), options=3), card.kick())[0])
        self.assertTrue(tcp4_is_right(card.receive()[4]))
        self.assertTrue(machine.silent())

    def test_statistics(self):
        machine, card = self.machine()
        card.start(rctl=0x0400801a)
        for size in (60, 61, 123, 124, 600, 1514):
            card.send(frame(bytes(size - 14)))
            machine.wire.send(frame(bytes(size - 14), to=MULTICAST))
            card.receive()
        total = 60 + 61 + 123 + 124 + 600 + 1514 + 6 * 4
        self.assertEqual([card.read(0x405c + 4 * i) for i in range(6)], [1, 2, 1, 0, 1, 1])
        self.assertEqual([card.read(0x40d8 + 4 * i) for i in range(6)], [1, 2, 1, 0, 1, 1])
        for offset, value in ((0x4074, 6), (0x407c, 6), (0x4078, 0), (0x4080, 6), (0x4088, total),
                              (0x4090, total), (0x40d0, 6), (0x40d4, 6), (0x40c0, total)):
            self.assertEqual(card.read(offset), value, hex(offset))
            self.assertEqual(card.read(offset), 0)


class Interrupts(Case):
    def test_mask(self):
        machine, card = self.machine()
        card.start()
        card.write(0xc8, RXO)
        self.assertFalse(card.interrupt())
        card.write(0xd0, RXO | RXT0)
        self.assertTrue(card.interrupt())
        card.write(0xd8, RXO)
        self.assertFalse(card.interrupt())
        self.assertEqual(card.read(0xd0), RXT0)
        self.assertEqual(card.read(0xc0), RXO | LSC)  # SLU was set
        machine.wire.send(frame(b"x" * 60))
        card.wait(card.interrupt, "the interrupt")
        card.write(0xc0, RXT0)
        self.assertFalse(card.interrupt())

    def test_few_descriptors(self):
        machine, card = self.machine()
        card.start(count=8, rctl=0x04008002 | 1 << 8)  # a quarter: two
        for i in range(5):
            machine.wire.send(frame(b"x" * 60))
            card.wait(lambda i=i: card.read(0x2810) == i + 1, "RDH")
            self.assertEqual(bool(card.read(0xc0) & RXDMT0), i == 4, i)

    def test_throttle(self):
        machine, card = self.machine()
        card.start()
        card.write(0xd0, RXO)
        card.write(0xc4, 1000)  # 256 us
        card.write(0xc8, RXO)
        self.assertTrue(card.interrupt())
        card.read(0xc0)
        card.write(0xc8, RXO)
        self.assertFalse(card.interrupt())
        machine.qtest.clock_step(255_000)
        self.assertFalse(card.interrupt())
        machine.qtest.clock_step(2_000)
        self.assertTrue(card.interrupt())

    def test_receive_delay(self):
        machine, card = self.machine()
        card.start()
        card.write(0xd0, RXT0)
        card.write(0x2820, 100)  # 102 us after each
        card.write(0x282c, 150)  # 154 us after the first
        for i in range(2):
            machine.wire.send(frame(b"x" * 60))
            card.wait(lambda i=i: card.read(0x2810) == i + 1, "RDH")
            self.assertFalse(card.interrupt())
            if i == 0:
                machine.qtest.clock_step(90_000)
        self.assertFalse(card.interrupt())
        machine.qtest.clock_step(60_000)
        self.assertFalse(card.interrupt())
        machine.qtest.clock_step(5_000)
        self.assertTrue(card.interrupt())
        card.read(0xc0)
        machine.wire.send(frame(b"x" * 60))
        card.wait(lambda: card.read(0x2810) == 3, "RDH")
        card.write(0x2820, 1 << 31 | 100)  # flush
        self.assertTrue(card.interrupt())

    def test_send_delay(self):
        machine, card = self.machine()
        card.start()
        card.write(0xd0, TXDW)
        card.write(0x3820, 100)
        card.send(frame(b"x" * 60), command=0x89)
        self.assertFalse(card.interrupt())
        machine.qtest.clock_step(103_000)
        self.assertTrue(card.interrupt())
        card.read(0xc0)
        card.send(frame(b"x" * 60), command=0x89)
        self.assertEqual(card.read(0xc0) & TXDW, TXDW)  # reading tells of it at once
        machine.qtest.clock_step(200_000)
        self.assertFalse(card.interrupt())


class Lines(Case):
    def test_pause(self):
        machine, card = self.machine()
        card.start()
        machine.qmp.execute("stop")
        machine.wire.send(frame(b"while paused" * 5))
        card.legacy(frame(b"sent" * 20))
        card.kick()
        machine.qmp.execute("query-status")
        self.assertTrue(machine.silent(0.05))
        self.assertEqual(card.read(0x2810), 0)
        machine.qmp.execute("cont")
        self.assertEqual(card.receive()[4][14:26], b"while paused")
        self.assertEqual(machine.recv(), frame(b"sent" * 20))

    def test_rom(self):
        folder = os.environ.get("DUODM_TEST_IPXE", "/usr/lib/ipxe/qemu")
        if not os.path.exists(os.path.join(folder, "pxe-e1000.rom")):
            self.skipTest("ipxe-qemu is not installed")
        for options, size in (("", 1), (",romfile=", 0), (",romfile=pxe-rtl8139.rom", 1)):
            machine, card = self.machine(options)
            machine.qtest.pci_write(card.devfn, 0x30, 0xfffff800)
            self.assertEqual(bool(machine.qtest.pci_read(card.devfn, 0x30)), bool(size), options)
            if size:
                machine.qtest.pci_write(card.devfn, 0x30, 0xe8000001)
                self.assertEqual(machine.qtest.readw(0xe8000000), 0xaa55)


class Saved(Case):
    def test_packet_under_way(self):
        """Half a packet was read when the machine is saved: the other half comes where it goes on."""
        one, card = self.machine(",mac=52:54:00:12:34:56")
        card.start(ctrl=0x40 | VME)
        packet = frame(os.urandom(200))
        card.context(ip=(14, 24, 33), tu=(34, 50, 0), command=3)
        card.legacy(packet[:100], command=8)
        card.kick()
        card.done(card.send_ring + 16)
        card.write(0xd0, RXO)
        card.write(0xc8, RXO)
        one.qmp.execute("stop")
        one.qmp.execute("xen-save-devices-state", filename=one.vm.path("state"))
        ram = one.qtest.read(card.send_ring, 0x10000)
        other, second = self.machine()
        other.qtest.write(card.send_ring, ram)
        other.qmp.execute("stop")
        other.qmp.execute("xen-load-devices-state", filename=one.vm.path("state"))
        other.qmp.execute("cont")
        second.__dict__.update({k: v for k, v in card.__dict__.items() if k != "qtest"})
        second.arena.qtest = other.qtest
        self.assertTrue(second.interrupt())
        self.assertEqual(second.read(0x3810), 1)
        second.done((second.legacy(packet[100:]), second.kick())[0])
        self.assertEqual(other.recv(), packet)
        second.done((second.data(with_pseudo_sum(tcp4(b"checked")), options=3), second.kick())[0])
        self.assertTrue(tcp4_is_right(other.recv()))


class Hammer(Case):
    def test_random(self):
        """Random registers and descriptors; the process lives, and the card works after a reset."""
        with seeded(self) as chance:
            self.hammer(chance)

    def hammer(self, chance):
        machine, card = self.machine()
        places = [0, 0x100000, 0x200000, card.base, card.base + 0x3800, 0x3fffff0, 0xfee00000, 0xf0000000]
        offsets = [0, 8, 0x10, 0x14, 0x20, 0x38, 0xc0, 0xc4, 0xc8, 0xd0, 0xd8, 0x100, 0x400, 0x5000] + [
            base + 4 * i for base in (0x2800, 0x3800) for i in range(12)]
        for step in range(6000):
            what = chance.randrange(10)
            if what < 4:
                card.write(chance.choice(offsets), chance.choice((
                    chance.getrandbits(32), chance.choice(places), 1 << chance.randrange(32))) & ~(1 << 26))
            elif what < 5:
                card.read(chance.choice(offsets))
            elif what < 7:
                at = chance.choice((0x100000, 0x200000)) + 16 * chance.randrange(256)
                machine.qtest.write(at, struct.pack(
                    "<QQ", chance.choice((chance.getrandbits(64), chance.choice(places))),
                    chance.getrandbits(64) & ~0xf0ff000 | chance.choice((0, 1 << 20)) | 1 << 24))
            elif what < 9:
                for base in (0x2800, 0x3800):
                    card.write(base, chance.choice(places))
                    card.write(base + 4, chance.choice((0, 0, 0, 0xffffffff)))
                    card.write(base + 8, 128 << chance.randrange(6))
                    card.write(base + 0x10, chance.randrange(8))
                card.write(0x100, chance.getrandbits(27) & ~0xc0 | 0x8002)
                card.write(0x400, 0xa)
                card.write(0x2818, chance.randrange(256))
                card.write(0x3818, chance.randrange(256))
            else:
                machine.disturb(frame(chance.randbytes(chance.randrange(3000)),
                                      to=chance.choice((MAC, BROADCAST, MULTICAST))))
        machine.qtest.pci_write(card.devfn, 4, 7, 2)
        card.write(0, 1 << 26)
        card.phy(0, 0x1140)
        card.start()
        machine.check_alive(card)
        self.assertEqual(machine.vm.quit(), 0)


if __name__ == "__main__":
    unittest.main()
