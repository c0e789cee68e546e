# SPDX-License-Identifier: GPL-2.0-or-later
"""rtl8139 over the test port: both modes, offloads against checksums computed here, filters, EEPROM, timer."""
import os
import socket
import struct
import unittest

from cards import CardCase, Rtl8139
from duodm import Duodm, run
from packets import (BROADCAST, MAC, MULTICAST, OTHER, fcs, finished, frame, ones_sum, tcp4,
                     tcp4_is_right, udp4)
from seed import seeded

ROK, RER, TOK, TER, RDU, LINK, TDU, SWINT, TIMEOUT, SERR = (
    1 << n for n in (0, 1, 2, 3, 4, 5, 7, 8, 14, 15))


def hash_of(address):
    crc = 0xffffffff
    for byte in address:
        for bit in range(8):
            crc = (crc << 1 & 0xffffffff) ^ (0x04c11db7 if (crc >> 31) ^ (byte >> bit & 1) else 0)
    return crc >> 26


class Case(CardCase):
    model, driver = "rtl8139", Rtl8139


class Registers(Case):
    def test_identity(self):
        machine, card = self.machine()
        self.assertEqual(machine.qtest.pci_read(card.devfn, 0), 0x813910ec)
        self.assertEqual(machine.qtest.pci_read(card.devfn, 8), 0x02000020)
        self.assertEqual(card.mac(), MAC)
        self.assertEqual(card.read(0x40) & 0x7cc00000, 0x74800000)
        self.assertEqual(card.read(0x58, 1) & 4, 0)  # the link is up
        self.assertEqual(machine.qtest.inb(card.ports + 5), MAC[5])

    def test_property_mac(self):
        _, card = self.machine(",mac=00:16:3e:01:02:03")
        self.assertEqual(card.mac(), bytes.fromhex("00163e010203"))

    def test_phy(self):
        machine, card = self.machine()
        self.assertEqual(card.read(0x64, 2), 0x782d)
        self.assertEqual(card.read(0x68, 2), 0x45e1)
        machine.qmp.execute("set_link", name="card", up=False)
        self.assertEqual(card.read(0x64, 2), 0x7809)
        self.assertEqual(card.read(0x58, 1) & 4, 4)
        self.assertTrue(card.read(0x3e, 2) & LINK)
        machine.qmp.execute("set_link", name="card", up=True)
        self.assertEqual(card.read(0x64, 2), 0x7829)  # latched low, once
        self.assertEqual(card.read(0x64, 2), 0x782d)
        card.write(0x62, 0x8000, 2)
        self.assertEqual(card.read(0x62, 2), 0x3100)

    def test_eeprom(self):
        _, card = self.machine()
        eeprom = card.eeprom()
        self.assertEqual(eeprom.read(0), [0x8129])
        self.assertEqual(struct.pack("<3H", *eeprom.read(7, 3)), MAC)
        eeprom.write(20, 0xbeef)
        self.assertEqual(eeprom.read(20), [0])
        eeprom.write_enable(True)
        eeprom.write(20, 0xbeef)
        self.assertEqual(eeprom.read(20), [0xbeef])
        eeprom.write(7, 0x1234)
        eeprom.write_enable(False)
        eeprom.write(20, 1)
        self.assertEqual(eeprom.read(20), [0xbeef])
        card.write(0x50, 0x40, 1)  # load the address again
        self.assertEqual(card.mac(), b"\x34\x12" + MAC[2:])

    def test_config_is_locked(self):
        _, card = self.machine()
        before = card.read(0x59, 1)
        card.write(0x59, 0x60, 1)
        self.assertEqual(card.read(0x59, 1), before)
        card.write(0x50, 0xc0, 1)
        card.write(0x59, 0x60, 1)
        self.assertEqual(card.read(0x59, 1) & 0x60, 0x60)

    def test_timer(self):
        machine, card = self.machine()
        card.write(0x3c, TIMEOUT, 2)
        card.write(0x48, 0)
        before = card.read(0x48)
        machine.qtest.clock_step(30000)
        self.assertEqual(card.read(0x48) - before, 1000)
        card.write(0x54, 2000)
        card.write(0x48, 0)
        machine.qtest.clock_step(59_000)
        self.assertFalse(card.interrupt())
        machine.qtest.clock_step(2_000)
        self.assertTrue(card.interrupt())
        card.write(0x3e, TIMEOUT, 2)
        self.assertFalse(card.interrupt())
        machine.qtest.clock_step(30 << 32)
        self.assertTrue(card.interrupt())

    def test_software_interrupt(self):
        _, card = self.machine()
        card.write(0xd9, 1, 1)
        self.assertEqual(card.read(0x3e, 2), SWINT)

    def test_power(self):
        """Back from D3: reset, but for config space."""
        machine, card = self.machine()
        at = machine.qtest.pci_read(card.devfn, 0x34, 1)
        self.assertEqual(machine.qtest.pci_read(card.devfn, at, 1), 1)
        card.start()
        machine.qtest.pci_write(card.devfn, at + 4, 3, 2)
        self.assertEqual(machine.qtest.pci_read(card.devfn, at + 4, 2), 3)
        self.assertEqual(card.read(0x37, 1) & 0xc, 0xc)
        machine.qtest.pci_write(card.devfn, at + 4, 0, 2)
        self.assertEqual(card.read(0x37, 1) & 0xc, 0)
        self.assertEqual(card.mac(), MAC)


class CMode(Case):
    def test_both_ways(self):
        for size in range(4):
            machine, card = self.machine()
            card.start(size=size)
            for length in (60, 61, 62, 63, 1514):
                for _ in range(3):
                    packet = frame(os.urandom(length - 14))
                    self.assertEqual(card.send(packet) & 0xa000, 0xa000)
                    self.assertEqual(machine.recv(), packet)
                    machine.wire.send(packet)
                    self.assertEqual(card.receive(), (0x4001, packet + fcs(packet)))
            self.assertEqual(card.read(0x3e, 2), ROK | TOK)
            self.assertTrue(card.interrupt())
            card.write(0x3e, 0xffff, 2)
            self.assertFalse(card.interrupt())

    def wraps(self, rcr, wrap):
        machine, card = self.machine()
        card.start(rcr=0x0e | rcr)
        for i in range(40):
            packet = frame(bytes([i]) * (600 + 29 * i))
            machine.wire.send(packet)
            self.assertEqual(card.receive(wrap)[1], packet + fcs(packet), i)

    def test_ring_wraps(self):
        self.wraps(0, False)

    def test_packet_past_the_end(self):
        self.wraps(0x80, True)

    def test_waits_for_room(self):
        """Nothing is lost, and nothing is written over what was not read."""
        machine, card = self.machine()
        card.start()
        packets = [frame(bytes([i]) * 1000) for i in range(30)]
        for packet in packets:
            machine.wire.send(packet)
        for packet in packets:
            self.assertEqual(card.receive()[1], packet + fcs(packet))
        self.assertFalse(card.has_packet())
        self.assertEqual(card.read(0x4c), 0)

    def test_short_packets_are_padded(self):
        machine, card = self.machine()
        card.start()
        machine.wire.send(frame(b"short"))
        packet = frame(b"short").ljust(60, b"\0")
        self.assertEqual(card.receive()[1], packet + fcs(packet))

    def test_filter(self):
        machine, card = self.machine()
        card.start(rcr=0)
        number = hash_of(MULTICAST)
        card.write(0x08 + number // 32 * 4, 1 << number % 32)
        kinds = {MAC: 0x4001, BROADCAST: 0x2001, MULTICAST: 0x8001, OTHER: 1,
                 bytes.fromhex("01005e0a0b0d"): 0x8001}
        for rcr, taken in ((2, [MAC]), (8, [BROADCAST]), (4, [MULTICAST]),
                           (0xe, [MAC, BROADCAST, MULTICAST]), (1, list(kinds))):
            card.write(0x44, rcr)
            for address in kinds:
                machine.wire.send(frame(b"x" * 46, to=address))
            card.write(0x44, rcr)
            for address in taken:
                status, packet = card.receive()
                self.assertEqual((packet[:6], status), (address, kinds[address]), rcr)
            card.write(0x44, 0xf)
            machine.wire.send(frame(b"end" * 20))  # what came before it was looked at
            self.assertEqual(card.receive()[1][14:17], b"end", rcr)

    def test_receiver_off(self):
        machine, card = self.machine()
        card.start()
        card.write(0x37, 4, 1)
        machine.wire.send(frame(b"lost" * 20))
        card.send(frame(b"x" * 46))
        machine.recv()
        machine.qmp.execute("query-status")
        card.write(0x37, 0xc, 1)
        card.position = 0
        machine.wire.send(frame(b"kept" * 20))
        self.assertEqual(card.receive()[1][14:18], b"kept")

    def test_loopback(self):
        machine, card = self.machine()
        card.start(tcr=0x60000)
        packet = frame(b"round" * 20)
        card.send(packet)
        self.assertEqual(card.receive()[1], packet + fcs(packet))
        self.assertTrue(machine.silent())

    def test_four_in_turn(self):
        machine, card = self.machine()
        card.start()
        for k in range(4):
            machine.qtest.write(card.buffers[k], frame(bytes([k]) * 50))
            card.write(0x20 + 4 * k, card.buffers[k])
        for k in (2, 3, 1, 0):
            card.write(0x10 + 4 * k, 64)
        for k in range(4):
            self.assertEqual(machine.recv()[14], k)
        card.wait(lambda: card.read(0x60, 2) == 0xf00f, "TSAD")

    def test_bad_addresses(self):
        """Memory that is not there, and the card's own registers."""
        machine, card = self.machine()
        card.start()
        for address in (0xf0000000, card.base, 0xfffffff0):
            card.write(0x20 + 4 * card.next_send, address)
            card.write(0x10 + 4 * card.next_send, 100)
            card.wait(lambda: card.read(0x10 + 4 * card.next_send) & 0x2000, "TSD")
            self.assertTrue(card.read(0x10 + 4 * card.next_send) & 0x40000000)
            card.next_send = (card.next_send + 1) % 4
            self.assertEqual(card.read(0x3e, 2), TER | SERR)
            card.write(0x3e, 0xffff, 2)
        card.write(0x30, card.base)
        machine.wire.send(frame(b"x" * 100))
        card.wait(lambda: card.read(0x3e, 2) & SERR, "SERR")
        self.assertEqual(card.mac(), MAC)


class CPlus(Case):
    def test_both_ways(self):
        machine, card = self.machine()
        card.start_cplus()
        for i in range(30):
            packet = frame(os.urandom(46 + 47 * i))
            card.send_cplus(packet, parts=1 + i % 3, high=i % 2)
            self.assertEqual(machine.recv(), packet)
            machine.wire.send(packet)
            word, _, got = card.receive_cplus()
            self.assertEqual(got, packet + fcs(packet))
            self.assertEqual(word & 0x37000000, 0x32000000)
        self.assertEqual(card.read(0x3e, 2) & (ROK | TOK | TDU), ROK | TOK | TDU)

    def test_packet_over_many_buffers(self):
        machine, card = self.machine()
        card.start_cplus(buffer=256)
        packet = frame(os.urandom(1400))
        machine.wire.send(packet)
        self.assertEqual(card.receive_cplus()[2], packet + fcs(packet))

    def test_half_a_packet_waits(self):
        machine, card = self.machine()
        card.start_cplus()
        packet = frame(os.urandom(900))
        first, second = card.queue_cplus(packet, parts=2)
        word = machine.qtest.readl(card.send_ring + 16 * second)
        machine.qtest.writel(card.send_ring + 16 * second, word & 0x7fffffff)
        card.poll_cplus()
        card.send_cplus(frame(b"high" * 20), high=True)
        self.assertEqual(machine.recv()[14:18], b"high")
        self.assertFalse(card.sent_cplus(first))
        machine.qtest.writel(card.send_ring + 16 * second, word)
        card.poll_cplus()
        self.assertEqual(machine.recv(), packet)

    def test_checksums(self):
        machine, card = self.machine()
        card.start_cplus()
        for size in (0, 1, 1000, 1001):
            card.send_cplus(tcp4(os.urandom(size)), flags=5 << 16)
            self.assertTrue(tcp4_is_right(machine.recv()))
            packet = udp4(os.urandom(size), checksum=False)
            card.send_cplus(packet, flags=2 << 16)
            got = machine.recv()
            pseudo = got[26:34] + struct.pack(">HH", 17, len(got) - 34)
            self.assertEqual(ones_sum(pseudo + got[34:]), 0xffff)
        packet = tcp4(b"left as it is" * 4)
        card.send_cplus(packet)
        self.assertEqual(machine.recv(), packet)

    def test_large_send(self):
        machine, card = self.machine()
        card.start_cplus()
        data = os.urandom(10000)
        card.send_cplus(tcp4(data, flags=0x19), flags=1 << 27 | 1460 << 16, parts=4)
        got = b""
        while len(got) < len(data):
            packet = machine.recv()
            self.assertTrue(tcp4_is_right(packet))
            self.assertLessEqual(len(packet), 1514)
            self.assertEqual(struct.unpack_from(">I", packet, 38)[0], 1000 + len(got))
            got += packet[54:]
            self.assertEqual(packet[47] & 1, len(got) == len(data))
        self.assertEqual(got, data)

    def test_tags(self):
        machine, card = self.machine()
        card.start_cplus(cpcr=0x40)
        packet = frame(b"tagged" * 20)
        tagged = packet[:12] + bytes.fromhex("81006123") + packet[12:]
        card.send_cplus(packet, tag=0x6123)
        self.assertEqual(machine.recv(), tagged)
        machine.wire.send(tagged)
        _, second, got = card.receive_cplus()
        self.assertEqual(got[:-4], packet)
        self.assertEqual(second, 0x10000 | 0x2361)
        card.send_cplus(tcp4(b"y" * 3000), flags=1 << 27 | 1000 << 16, tag=7)
        for _ in range(3):
            got = machine.recv()
            self.assertEqual(got[12:16], bytes.fromhex("81000007"))
            self.assertTrue(tcp4_is_right(got[:12] + got[16:]))

    def test_received_checksums(self):
        machine, card = self.machine()
        card.start_cplus(cpcr=0x20, rcr=0xf)
        good = finished(tcp4(b"data" * 20))
        cases = [(good, 1 << 16), (good[:-1] + b"!", 1 << 16 | 1 << 13), (udp4(b"data" * 20), 2 << 16),
                 (udp4(b"data" * 20)[:-1] + b"!", 2 << 16 | 1 << 14),
                 (udp4(b"data" * 20, checksum=False), 2 << 16),
                 (good[:20] + b"\x20\0" + good[22:], 3 << 16 | 1 << 15), (frame(b"z" * 60), 0),
                 (good[:16] + b"\xff\xff" + good[18:], 3 << 16 | 1 << 15)]
        for packet, status in cases:
            machine.wire.send(packet)
            self.assertEqual(card.receive_cplus()[0] & 0x3e000, status)

    def test_waits_for_descriptors(self):
        """The driver gives buffers back without telling; packets wait, but not for ever."""
        machine, card = self.machine()
        card.start_cplus(receives=4)
        packets = [frame(bytes([i]) * 100) for i in range(12)]
        for packet in packets:
            machine.wire.send(packet)
        for packet in packets:
            machine.qtest.clock_step(1_000_000)
            self.assertEqual(card.receive_cplus()[2][:-4], packet)
        self.assertTrue(card.read(0x3e, 2) & RDU)
        for packet in packets:
            machine.wire.send(packet)
        for _ in range(30):
            machine.qtest.clock_step(1_000_000)
        card.wait(lambda: card.read(0x4c) & 0xffffff, "missed packets")

    def test_statistics(self):
        machine, card = self.machine()
        card.start_cplus(rcr=0xf)
        card.write(0x0c, 0xffffffff)
        for to in (MAC, MAC, BROADCAST, MULTICAST):
            card.send_cplus(frame(b"s" * 50))
            machine.wire.send(frame(b"r" * 50, to=to))
            card.receive_cplus()
        address = card.arena.take(64, 64)
        card.write(0x14, 0)
        card.write(0x10, address | 8)
        self.assertEqual(card.read(0x10), address)
        fields = struct.unpack("<QQQIHHIIQQIHH", machine.qtest.read(address, 64))
        self.assertEqual(fields, (4, 4, 0, 0, 0, 0, 0, 0, 2, 1, 1, 0, 0))

    def test_rings_that_cannot_be(self):
        """No end of the ring, no end of the packet, memory that takes nothing."""
        machine, card = self.machine()
        card.start_cplus(sends=64)
        for k in range(64):
            machine.qtest.write(card.send_ring + 16 * k, struct.pack(
                "<IIQ", 0x80000000 | 2000, 0, 0x100000))
        card.poll_cplus()
        card.wait(lambda: card.sent_cplus(63), "the descriptors")
        self.assertTrue(card.read(0x3e, 2) & TER)
        card.write(0x3e, 0xffff, 2)
        for ring in (card.base, 0xf0000000, 0xffffffffffffff00, 0xe0000):
            card.write(0x20, ring & 0xffffffff)
            card.write(0x24, ring >> 32)
            card.poll_cplus()
            card.write(0xe4, ring & 0xffffffff)
            card.write(0xe8, ring >> 32)
            machine.wire.send(frame(b"x" * 60))
            self.assertEqual(card.mac(), MAC)
        self.assertEqual(machine.vm.quit(), 0)


class Lines(Case):
    def test_pause_and_unplug(self):
        machine, card = self.machine()
        card.start()
        machine.qmp.execute("stop")
        machine.wire.send(frame(b"while paused" * 5))
        self.assertFalse(card.has_packet())
        machine.qmp.execute("cont")
        self.assertEqual(card.receive()[1][14:26], b"while paused")

    def test_full_wire(self):
        """The other end takes nothing for a while: nothing is lost."""
        machine, card = self.machine(kind=socket.SOCK_DGRAM)
        card.start_cplus(sends=64)
        got = 0

        def next_is_right():
            nonlocal got
            self.assertEqual(struct.unpack_from("<I", machine.recv(), 14)[0], got)
            got += 1

        stuck = 0
        for number in range(600):
            last = card.next_send[0]
            if number >= 64 and not card.sent_cplus(last):
                stuck += 1
                while not card.sent_cplus(last):
                    next_is_right()
            card.queue_cplus(frame(struct.pack("<I", number) + b"x" * 1000))
            card.poll_cplus()
        while got < 600:
            next_is_right()
        self.assertTrue(stuck)
        self.assertTrue(machine.silent())

    def test_reset(self):
        machine, card = self.machine()
        card.start()
        card.eeprom().write_enable(True)
        card.write(0, 0x01020304)
        machine.qmp.execute("system_reset")
        machine.qmp.wait_event("RESET")
        card = Rtl8139(machine.qtest)
        self.assertEqual(card.mac(), MAC)
        self.assertEqual(card.read(0x37, 1), 1)

    def test_command_lines(self):
        for line in (("-device", "rtl8139,help"), ("-nic", "model=help")):
            result = run(*line)
            self.assertEqual(result.returncode, 0)
            self.assertIn("netdev" if "device" in line[0] else "rtl8139", result.stdout)
        base = ("-accel", "qtest", "-nodefaults", "-display", "none")
        for line, text in ((("-device", "rtl8139,mac=01:00:00:00:00:01"), "multicast"),
                           (("-device", "rtl8139,romfile=/nowhere/rom"), "/nowhere/rom"),
                           (("-device", "rtl8139,bootindex=1", "-device", "e1000,bootindex=1"), "bootindex=1")):
            result = run(*base, *line)
            self.assertEqual(result.returncode, 1)
            self.assertIn(text, result.stderr)
        for line in (("-nic", "user,model=rtl8139,mac=00:16:3e:00:00:01,romfile=,bootindex=2"), ("-nic", "none"),
                     ("-net", "none"), ("-device", "e1000,id=nic0,netdev=net0,mac=00:16:3e:00:00:02", "-netdev",
                                        "user,id=net0")):
            with Duodm("-display", "none", *line, qtest=True) as vm:
                self.assertEqual(vm.quit(), 0)


class Hammer(Case):
    def test_random(self):
        """Random registers and descriptors; the process lives, and the card works after a reset."""
        with seeded(self) as chance:
            self.hammer(chance)

    def hammer(self, chance):
        machine, card = self.machine()
        places = [0, 0x100000, 0x200000, card.base, card.base + 0x30, 0x3fffff0, 0xfee00000, 0xf0000000]
        for step in range(6000):
            what = chance.randrange(10)
            if what < 5:
                size = chance.choice((1, 2, 4))
                offset = chance.randrange(256) & -size
                card.write(offset, chance.choice((chance.getrandbits(8 * size), chance.choice(places)))
                           & (1 << 8 * size) - 1, size)
            elif what < 6:
                card.read(chance.randrange(64) * 4)
            elif what < 8:
                at = chance.choice((0x100000, 0x200000)) + 16 * chance.randrange(64)
                machine.qtest.write(at, struct.pack("<IIQ", chance.getrandbits(32) | 1 << 31,
                                                    chance.getrandbits(32), chance.choice(places)))
            elif what < 9:
                card.write(0x37, 0xc, 1)
                card.write(0xe0, chance.randrange(4) | 0x60, 2)
                card.write(0x20, chance.choice(places))
                card.write(0xe4, chance.choice(places))
                card.write(0xd9, 0xc0, 1)
            else:
                machine.disturb(frame(chance.randbytes(chance.randrange(1600)),
                                      to=chance.choice((MAC, BROADCAST, MULTICAST))))
        card.write(0x37, 0x10, 1)
        machine.qtest.pci_write(card.devfn, 4, 7, 2)
        card.write(0, int.from_bytes(MAC[:4], "little"))
        card.write(4, int.from_bytes(MAC[4:], "little"), 2)
        card.start()
        machine.check_alive(card)
        self.assertEqual(machine.vm.quit(), 0)


if __name__ == "__main__":
    unittest.main()
