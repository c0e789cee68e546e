# SPDX-License-Identifier: GPL-2.0-or-later
"""Emulated network cards over the test port: a machine with one, the wire's other end, and drivers.

    with Machine("rtl8139") as vm:
        card = Rtl8139(vm.qtest)
        card.start()
        card.send(frame(b"..."))
        vm.wire.recv(4096)
"""
import select
import socket
import struct
import time
import unittest

from duodm import Duodm
from packets import LIMIT, frame
from virtio import Arena

SLOT = 5
PORTS, MEMORY = 0xC000, 0xE0000000


class Machine:
    """A duodm with a card on a socket pair; `wire` is the other end."""

    def __init__(self, model, options="", more=(), kind=socket.SOCK_SEQPACKET):
        self.wire, theirs = socket.socketpair(socket.AF_UNIX, kind)
        self.wire.settimeout(LIMIT)
        fd = theirs.fileno()
        self.vm = Duodm("-display", "none", "-m", "64", "-netdev",
                        f"dgram,id=n,local.type=fd,local.str={fd}", "-device",
                        f"{model},netdev=n,id=card,addr={SLOT:x}{options}", *more, qtest=True,
                        pass_fds=[fd])
        theirs.close()
        self.qtest, self.qmp = self.vm.qtest, self.vm.qmp

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.vm.__exit__(kind, value, trace)
        self.wire.close()

    def recv(self):
        return self.wire.recv(1 << 17)

    def disturb(self, packet):
        """Send it if there is room, and forget what came: waits for nothing."""
        self.wire.setblocking(False)
        try:
            self.wire.send(packet)
        except BlockingIOError:
            pass
        self.wire.settimeout(LIMIT)
        self.drain()

    def drain(self):
        while not self.silent():
            self.recv()

    def check_alive(self, card):
        """A card that its driver has started again sends; what it still held may come before that."""
        packet = frame(b"alive" * 12)
        self.drain()
        card.send(packet)
        while self.recv() != packet:
            pass

    def silent(self, seconds=0):
        return not select.select([self.wire], [], [], seconds)[0]


class CardCase(unittest.TestCase):
    """model: the device class; driver: one of the classes below."""

    model = driver = None

    def machine(self, options="", **rest):
        machine = Machine(self.model, options, **rest)
        self.addCleanup(machine.__exit__, None, None, None)
        return machine, self.driver(machine.qtest)


class Card:
    """BARs placed, bus master on. memory_bar and port_bar: their numbers."""

    def __init__(self, qtest, port_bar, memory_bar, slot=SLOT, base=MEMORY):
        self.qtest, self.arena, self.devfn = qtest, Arena(qtest), slot << 3
        self.ports, self.base = PORTS + (slot << 8), base
        qtest.pci_write(self.devfn, 0x10 + 4 * port_bar, self.ports)
        qtest.pci_write(self.devfn, 0x10 + 4 * memory_bar, self.base)
        qtest.pci_write(self.devfn, 4, 7, 2)

    def interrupt(self):
        """Level of the pin, as PCI's status register shows it."""
        return bool(self.qtest.pci_read(self.devfn, 6, 2) & 8)

    def wait(self, condition, what):
        """The condition's first value that is true."""
        deadline = time.monotonic() + LIMIT
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise TimeoutError(what)
        return value

    def read(self, offset, size=4):
        return {1: self.qtest.readb, 2: self.qtest.readw, 4: self.qtest.readl}[size](self.base + offset)

    def write(self, offset, value, size=4):
        {1: self.qtest.writeb, 2: self.qtest.writew, 4: self.qtest.writel}[size](self.base + offset, value)


class Microwire:
    """A driver of the EEPROM. drive(select, clock, input) sets the wires; output() reads DO."""

    def __init__(self, drive, output):
        self.drive, self.output = drive, output

    def command(self, bits, count):
        self.drive(0, 0, 0)
        self.drive(1, 0, 0)
        self.shift(bits, count)

    def shift(self, bits, count):
        for k in reversed(range(count)):
            self.drive(1, 0, bits >> k & 1)
            self.drive(1, 1, bits >> k & 1)
        self.drive(1, 0, 0)

    def word(self):
        value = 0
        for _ in range(16):
            self.drive(1, 1, 0)
            value = value << 1 | self.output()
            self.drive(1, 0, 0)
        return value

    def read(self, address, count=1):
        self.command(0b110 << 6 | address, 9)
        assert self.output() == 0  # the dummy bit
        words = [self.word() for _ in range(count)]
        self.drive(0, 0, 0)
        return words

    def write_enable(self, on):
        self.command(0b100 << 6 | (0x30 if on else 0), 9)
        self.drive(0, 0, 0)

    def write(self, address, value):
        self.command(0b101 << 6 | address, 9)
        self.shift(value, 16)
        self.drive(0, 0, 0)
        self.drive(1, 0, 0)
        assert self.output() == 1  # ready
        self.drive(0, 0, 0)


class Rtl8139(Card):
    """C mode by start(), C+ mode by start_cplus()."""

    RING = 8192

    def __init__(self, qtest, **rest):
        super().__init__(qtest, 0, 1, **rest)
        self.write(0x37, 0x10, 1)

    def mac(self):
        return bytes(self.read(i, 1) for i in range(6))

    # C mode.

    def start(self, rcr=0x0e, size=0, tcr=0):
        """size: 0 to 3 for rings of 8 to 64 KiB."""
        self.size = self.RING << size
        self.ring = self.arena.take(self.size + 2048, 16)
        self.buffers = [self.arena.take(8192, 4) for _ in range(4)]
        self.next_send = self.position = 0
        self.write(0x30, self.ring)
        self.write(0x37, 0x0c, 1)
        self.write(0x40, tcr)
        self.write(0x44, rcr | size << 11)
        self.write(0x3c, 0xffff, 2)

    def send(self, packet):
        """Returns when the descriptor is the driver's again: its status."""
        k = self.next_send
        self.next_send = (k + 1) % 4
        self.qtest.write(self.buffers[k], packet)
        self.write(0x20 + 4 * k, self.buffers[k])
        self.write(0x10 + 4 * k, len(packet))
        return self.wait(lambda: (status := self.read(0x10 + 4 * k)) & 0x2000 and status, "TSD")

    def has_packet(self):
        return not self.read(0x37, 1) & 1

    def receive(self, wrap=False):
        """(status, packet with FCS)"""
        self.wait(self.has_packet, "a packet")
        status, length = struct.unpack("<HH", self.ring_read(0, 4, wrap))
        packet = self.ring_read(4, length, wrap)
        self.position = (self.position + 4 + length + 3) % self.size & ~3
        self.write(0x38, (self.position - 16) & 0xffff, 2)
        return status, packet

    def ring_read(self, offset, length, wrap):
        start = self.position + offset
        if wrap:
            return self.qtest.read(self.ring + start, length)
        start %= self.size
        first = min(length, self.size - start)
        data = self.qtest.read(self.ring + start, first)
        return data + (self.qtest.read(self.ring, length - first) if first < length else b"")

    # C+ mode.

    def start_cplus(self, rcr=0x0e, cpcr=0, sends=8, receives=8, buffer=2048, tcr=0):
        self.send_ring = self.arena.take(16 * sends, 256)
        self.high_ring = self.arena.take(16 * sends, 256)
        self.receive_ring = self.arena.take(16 * receives, 256)
        self.sends, self.receives, self.buffer = sends, receives, buffer
        self.next_send, self.next_receive = {0: 0, 1: 0}, 0
        for ring in (self.send_ring, self.high_ring):
            self.qtest.memset(ring, 16 * sends, 0)
        self.buffers = [self.arena.take(buffer) for _ in range(receives)]
        for k in range(receives):
            self.offer(k)
        self.write(0xe0, 3 | cpcr, 2)
        self.write(0x37, 0x0c, 1)
        self.write(0x20, self.send_ring)
        self.write(0x24, 0)
        self.write(0x28, self.high_ring)
        self.write(0x2c, 0)
        self.write(0xe4, self.receive_ring)
        self.write(0xe8, 0)
        self.write(0x40, tcr)
        self.write(0x44, rcr)
        self.write(0x3c, 0xffff, 2)

    def offer(self, k, own=True):
        options = (1 << 31 if own else 0) | (1 << 30 if k == self.receives - 1 else 0) | self.buffer
        self.qtest.write(self.receive_ring + 16 * k, struct.pack("<IIQ", options, 0, self.buffers[k]))

    def queue_cplus(self, packet, flags=0, tag=None, parts=1, high=False, own=True):
        """Put a packet into descriptors; their numbers."""
        ring, numbers = self.high_ring if high else self.send_ring, []
        step = max(1, -(-len(packet) // parts))
        pieces = [packet[i:i + step] for i in range(0, len(packet), step)]
        for i, piece in enumerate(pieces):
            k = self.next_send[high]
            self.next_send[high] = (k + 1) % self.sends
            options = flags | len(piece) | (1 << 31 if own else 0)
            options |= 1 << 30 if k == self.sends - 1 else 0
            options |= (1 << 29 if i == 0 else 0) | (1 << 28 if i == len(pieces) - 1 else 0)
            second = 0 if tag is None else 1 << 17 | int.from_bytes(struct.pack(">H", tag), "little")
            self.qtest.write(ring + 16 * k, struct.pack("<IIQ", options, second,
                                                        self.arena.put(piece)))
            numbers.append(k)
        return numbers

    def poll_cplus(self, high=False):
        self.write(0xd9, 0x80 if high else 0x40, 1)

    def sent_cplus(self, k, high=False):
        return not self.qtest.readl((self.high_ring if high else self.send_ring) + 16 * k) >> 31

    def send_cplus(self, packet, **rest):
        numbers = self.queue_cplus(packet, **rest)
        high = rest.get("high", False)
        self.poll_cplus(high)
        self.wait(lambda: self.sent_cplus(numbers[-1], high), "OWN")

    def receive_cplus(self):
        """(first word, second word, packet with FCS)"""
        packet, first = b"", None
        while True:
            k = self.next_receive
            word = self.wait(lambda k=k: not (w := self.qtest.readl(self.receive_ring + 16 * k)) >> 31
                             and w, "a descriptor")
            tag = self.qtest.readl(self.receive_ring + 16 * k + 4)
            if first is None:
                first = word
                assert word & 1 << 29
            last = bool(word & 1 << 28)
            length = (word & 0x1fff) - (len(packet) if last else 0)
            packet += self.qtest.read(self.buffers[k], length)
            self.next_receive = (k + 1) % self.receives
            self.offer(k)
            if last:
                return word | first, tag, packet

    def eeprom(self):
        return Microwire(lambda cs, sk, di: self.write(0x50, 0x80 | cs << 3 | sk << 2 | di << 1, 1),
                         lambda: self.read(0x50, 1) & 1)


class E1000(Card):
    """Rings by start(); send*() and receive()."""

    def __init__(self, qtest, **rest):
        super().__init__(qtest, 1, 0, **rest)
        self.write(0x0000, 1 << 26)

    def mac(self):
        return struct.pack("<II", self.read(0x5400), self.read(0x5404))[:6]

    def start(self, rctl=0x04008002, count=16, buffer=2048, tctl=0x2, ctrl=0x40):
        """rctl: enabled, broadcasts, FCS stripped, 2 KiB."""
        self.count, self.buffer = count, buffer
        self.receive_ring, self.send_ring = self.arena.take(16 * count, 128), self.arena.take(16 * count, 128)
        self.tail = self.next_receive = 0
        self.buffers = [self.arena.take(buffer) for _ in range(count)]
        for k in range(count):
            self.qtest.write(self.receive_ring + 16 * k, struct.pack("<QQ", self.buffers[k], 0))
        self.write(0x0000, ctrl)
        self.write(0x2800, self.receive_ring)
        self.write(0x2804, 0)
        self.write(0x2808, 16 * count)
        self.write(0x2810, 0)
        self.write(0x3800, self.send_ring)
        self.write(0x3804, 0)
        self.write(0x3808, 16 * count)
        self.write(0x3810, 0)
        self.write(0x3818, 0)
        self.write(0x400, tctl)
        self.write(0x100, rctl)
        self.write(0x2818, count - 1)

    # Descriptors to be sent.

    def put(self, low, high):
        """A descriptor; its address. Not told to the card yet: kick()."""
        address = self.send_ring + 16 * self.tail
        self.qtest.write(address, struct.pack("<QQ", low, high))
        self.tail = (self.tail + 1) % self.count
        return address

    def kick(self):
        self.write(0x3818, self.tail)

    def done(self, address):
        return self.wait(lambda: self.qtest.readb(address + 12) & 1, "DD")

    def legacy(self, data, command=0x9, cso=0, css=0, special=0):
        """One piece: command EOP 1, IC 4, RS 8, VLE 40h, IDE 80h."""
        return self.put(self.arena.put(data, 1), len(data) | cso << 16 | command << 24 | css << 40 |
                        special << 48)

    def context(self, ip=(0, 0, 0), tu=(0, 0, 0), length=0, header=0, mss=0, command=0):
        """command: TCP 1, IPv4 2, TSE 4, RS 8."""
        return self.put(ip[0] | ip[1] << 8 | ip[2] << 16 | tu[0] << 32 | tu[1] << 40 | tu[2] << 48,
                        length | (command | 0x20) << 24 | header << 40 | mss << 48)

    def data(self, data, command=0x9, options=0, special=0):
        """command: EOP 1, TSE 4, RS 8, VLE 40h, IDE 80h; options: IXSM 1, TXSM 2."""
        return self.put(self.arena.put(data, 1), len(data) | 1 << 20 | (command | 0x20) << 24 |
                        options << 40 | special << 48)

    def send(self, packet, parts=1, **rest):
        step = max(1, -(-len(packet) // parts))
        pieces = [packet[i:i + step] for i in range(0, len(packet), step)]
        for piece in pieces[:-1]:
            self.legacy(piece, command=0)
        address = self.legacy(pieces[-1], **rest)
        self.kick()
        self.done(address)

    # Received.

    def receive(self):
        """(status, errors, checksum, special, packet)"""
        packet = b""
        while True:
            address = self.receive_ring + 16 * self.next_receive
            self.wait(lambda address=address: self.qtest.readb(address + 12) & 1, "a descriptor")
            buffer, length, checksum, status, errors, special = struct.unpack(
                "<QHHBBH", self.qtest.read(address, 16))
            packet += self.qtest.read(buffer, length)
            self.qtest.write(address + 8, bytes(8))
            self.write(0x2818, self.next_receive)
            self.next_receive = (self.next_receive + 1) % self.count
            if status & 2:
                return status, errors, checksum, special, packet

    def eeprom(self):
        return Microwire(lambda cs, sk, di: self.write(0x10, 0x40 | cs << 1 | sk | di << 2),
                         lambda: self.read(0x10) >> 3 & 1)

    def phy(self, number, value=None):
        """MDIO."""
        self.write(0x20, 1 << 21 | number << 16 | (2 << 26 if value is None else 1 << 26 | value))
        result = self.read(0x20)
        assert result & 1 << 28 and not result & 1 << 30
        return result & 0xffff
