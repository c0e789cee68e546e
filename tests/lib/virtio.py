# SPDX-License-Identifier: GPL-2.0-or-later
"""A small virtio driver in Python, over the test port: PCI (modern and legacy) and MMIO, split and
packed rings.

    with Duodm("-device", "virtio-rng-pci,addr=5", qtest=True) as vm:
        device = PCI(vm.qtest, slot=5)
        device.start()                                  # all queues, features as offered
        queue = device.queues[0]
        queue.add([], [64])                             # a buffer of 64 bytes to be written
        queue.kick()
        head, length, data = queue.wait()               # [bytes written in each `in` part]

Addresses in guest memory come from an Arena, from 16 MiB on. MSI-X vectors, if asked for, write
their number into RAM, where vectors() finds them.
"""
import struct
import time

F_INDIRECT, F_EVENT_IDX, F_VERSION_1, F_ACCESS_PLATFORM, F_PACKED, F_RING_RESET = 28, 29, 32, 33, 34, 40
ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, NEEDS_RESET, FAILED = 1, 2, 4, 8, 64, 128
NEXT, WRITE, INDIRECT = 1, 2, 4
NO_VECTOR = 0xffff
LIMIT = 20.0  # seconds that a device may take


class Arena:
    """Guest memory, given out upwards and never taken back."""

    def __init__(self, qtest, start=16 << 20):
        self.qtest = qtest
        self.next = start

    def take(self, size, align=16):
        self.next = (self.next + align - 1) // align * align
        address, self.next = self.next, self.next + max(size, 1)
        return address

    def put(self, data, align=16):
        address = self.take(len(data), align)
        if data:
            self.qtest.write(address, data)
        return address


class Buffer:
    """What was made available: the ids and the addresses of its parts."""

    def __init__(self, ident, outs, ins):
        self.ident, self.outs, self.ins = ident, outs, ins
        self.places = 1


class Queue:
    """What split and packed rings share. add, kick, wait, poll."""

    def __init__(self, device, index, size):
        self.device, self.index, self.size = device, index, size
        self.qtest, self.arena = device.qtest, device.arena
        self.pending = {}

    def place(self, out, in_sizes):
        outs = [(self.arena.put(data), len(data)) for data in out]
        ins = [(self.arena.take(size), size) for size in in_sizes]
        for address, size in ins:
            if size:
                self.qtest.memset(address, size, 0xEE)
        return outs, ins

    def add(self, out, in_sizes, indirect=False):
        """Make a buffer available: out: list of bytes; in_sizes: list of lengths. Returns its id."""
        outs, ins = self.place(out, in_sizes)
        return self.add_parts(outs, ins, indirect)

    def kick(self):
        self.device.notify(self.index)

    def poll(self):
        """(id, length, [bytes of each in part]) of the next used buffer, or None."""
        used = self.next_used()
        if used is None:
            return None
        ident, length = used
        buffer = self.pending.pop(ident)
        left, parts = length, []
        for address, size in buffer.ins:
            take = min(left, size)
            parts.append(self.qtest.read(address, take) if take else b"")
            left -= take
        self.freed(buffer)
        return ident, length, parts

    def wait(self, limit=LIMIT):
        deadline = time.monotonic() + limit * self.device.slower
        while True:
            used = self.poll()
            if used is not None:
                return used
            if self.device.status() & NEEDS_RESET:
                raise AssertionError("the device needs a reset")
            if time.monotonic() > deadline:
                raise TimeoutError(f"queue {self.index}: nothing was used")

    def request(self, out, in_sizes, indirect=False):
        """One buffer, there and back: (length, bytes of all in parts)."""
        self.add(out, in_sizes, indirect)
        self.kick()
        _, length, parts = self.wait()
        return length, b"".join(parts)


class SplitQueue(Queue):
    def __init__(self, device, index, size, legacy=False):
        super().__init__(device, index, size)
        if legacy:
            total = (16 * size + 6 + 2 * size + 4095) // 4096 * 4096 + 6 + 8 * size
            self.descriptors = self.arena.take(total, 4096)
            self.available = self.descriptors + 16 * size
            self.used = (self.available + 6 + 2 * size + 4095) // 4096 * 4096
        else:
            total = 0
            self.descriptors = self.arena.take(16 * size, 16)
            self.available = self.arena.take(6 + 2 * size, 2)
            self.used = self.arena.take(6 + 8 * size, 4)
        for address, length in ((self.descriptors, 16 * size), (self.available, 6 + 2 * size),
                                (self.used, 6 + 8 * size)):
            self.qtest.memset(address, length, 0)
        self.free = list(range(size))
        self.next_available = self.next_used_index = 0
        self.follow = True  # ask for an interrupt for each used buffer, by the event index

    def write_descriptor(self, table, index, address, length, flags, following):
        self.qtest.write(table + 16 * index, struct.pack("<QIHH", self.device.iova(address), length,
                                                         flags, following))

    def write_chain(self, table, indexes, outs, ins):
        parts = [(a, n, 0) for a, n in outs] + [(a, n, WRITE) for a, n in ins]
        for k, (address, length, flags) in enumerate(parts):
            last = k == len(parts) - 1
            self.write_descriptor(table, indexes[k], address, length, flags | (0 if last else NEXT),
                                  0 if last else indexes[k + 1])

    def add_parts(self, outs, ins, indirect=False):
        count = len(outs) + len(ins)
        buffer = Buffer(self.free[0], outs, ins)
        if indirect:
            table = self.arena.take(16 * count)
            self.write_chain(table, list(range(count)), outs, ins)
            buffer.indexes = [self.free.pop(0)]
            self.write_descriptor(self.descriptors, buffer.ident, table, 16 * count, INDIRECT, 0)
        else:
            buffer.indexes = [self.free.pop(0) for _ in range(count)]
            self.write_chain(self.descriptors, buffer.indexes, outs, ins)
        self.pending[buffer.ident] = buffer
        self.offer(buffer.ident)
        return buffer.ident

    def offer(self, head):
        """Put a head into the available ring, whatever it is."""
        self.qtest.writew(self.available + 4 + 2 * (self.next_available % self.size), head)
        self.next_available = (self.next_available + 1) & 0xffff
        self.qtest.writew(self.available + 2, self.next_available)

    def freed(self, buffer):
        self.free += buffer.indexes

    def next_used(self):
        if self.qtest.readw(self.used + 2) == self.next_used_index:
            return None
        at = self.used + 4 + 8 * (self.next_used_index % self.size)
        self.next_used_index = (self.next_used_index + 1) & 0xffff
        if self.follow:
            self.qtest.writew(self.available + 4 + 2 * self.size, self.next_used_index)
        return struct.unpack("<II", self.qtest.read(at, 8))

    def used_index(self):
        return self.qtest.readw(self.used + 2)

    def notified(self):
        """Has the device still to look at what was made available? With event indexes: it asks to
        be notified of what comes next when it has."""
        return self.qtest.readw(self.used + 4 + 8 * self.size) != self.next_available

    def set_interrupts(self, on):
        """Without event indexes: the flag. With them: an index that is near, or far away."""
        self.follow = on
        self.qtest.writew(self.available, 0 if on else 1)
        event = self.next_used_index if on else (self.next_used_index - 1) & 0xffff
        self.qtest.writew(self.available + 4 + 2 * self.size, event)


class PackedQueue(Queue):
    def __init__(self, device, index, size):
        super().__init__(device, index, size)
        self.descriptors = self.arena.take(16 * size, 16)
        self.available = self.arena.take(4, 4)
        self.used = self.arena.take(4, 4)
        for address, length in ((self.descriptors, 16 * size), (self.available, 4), (self.used, 4)):
            self.qtest.memset(address, length, 0)
        self.at = self.used_at = 0
        self.wrap = self.used_wrap = 1
        self.next_ident = 0

    def flags(self, wrap):
        return wrap << 7 | (1 - wrap) << 15

    def add_parts(self, outs, ins, indirect=False):
        parts = [(a, n, 0) for a, n in outs] + [(a, n, WRITE) for a, n in ins]
        if indirect:
            table = self.arena.put(b"".join(struct.pack("<QIHH", self.device.iova(a), n, 0, f)
                                            for a, n, f in parts))
            parts = [(table, 16 * len(parts), INDIRECT)]
        while self.next_ident in self.pending:
            self.next_ident = (self.next_ident + 1) & 0xffff
        buffer = Buffer(self.next_ident, outs, ins)
        self.next_ident = (self.next_ident + 7) & 0xffff  # any number will do
        buffer.places = len(parts)
        self.pending[buffer.ident] = buffer
        first = None
        for k, (address, length, flags) in enumerate(parts):
            flags |= self.flags(self.wrap) | (NEXT if k + 1 < len(parts) else 0)
            at = self.descriptors + 16 * self.at
            self.qtest.write(at, struct.pack("<QIH", self.device.iova(address), length,
                                             buffer.ident))
            if first is None:
                first = (at + 14, flags)
            else:
                self.qtest.writew(at + 14, flags)
            self.at += 1
            if self.at == self.size:
                self.at, self.wrap = 0, 1 - self.wrap
        self.qtest.writew(*first)
        return buffer.ident

    def next_used(self):
        at = self.descriptors + 16 * self.used_at
        flags = self.qtest.readw(at + 14)
        if (flags >> 7 & 1) != self.used_wrap or (flags >> 15 & 1) != self.used_wrap:
            return None
        length, ident = struct.unpack("<IH", self.qtest.read(at + 8, 6))
        self.used_at += self.pending[ident].places
        if self.used_at >= self.size:
            self.used_at, self.used_wrap = self.used_at - self.size, 1 - self.used_wrap
        return ident, length if flags & WRITE else 0

    def freed(self, buffer):
        pass

    def set_interrupts(self, on):
        self.qtest.writew(self.available + 2, 0 if on else 1)


class Device:
    """What a driver does, over some transport."""

    slower = 1.0
    distance = 0  # from guest physical addresses to those that the device is given

    def __init__(self, qtest, arena=None):
        self.qtest = qtest
        self.arena = arena or Arena(qtest)
        self.queues = []
        self.features = 0

    def move_to(self, qtest):
        """The machine goes on in another process."""
        for thing in self, self.arena, *self.queues:
            thing.qtest = qtest

    def iova(self, address):
        return address + self.distance

    def offered(self):
        return self.feature_word(0) | self.feature_word(1) << 32

    def reset(self):
        self.set_status(0)
        self.queues = []

    def start(self, features=None, sizes=None, without=0, vectors=False):
        """From reset to DRIVER_OK. features: a mask, or all that is offered but `without`."""
        self.negotiate(features, without)
        if vectors:
            self.enable_vectors()
        self.make_queues(sizes, vectors)
        self.set_status(self.status() | DRIVER_OK)

    def negotiate(self, features=None, without=0):
        self.reset()
        self.set_status(ACKNOWLEDGE)
        self.set_status(ACKNOWLEDGE | DRIVER)
        self.features = (self.offered() if features is None else features) & ~without
        self.write_features(self.features)
        self.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK)
        if not self.status() & FEATURES_OK:
            raise AssertionError("the device refused the features")

    def queue_count(self):
        count = 0
        while self.queue_size(count):
            count += 1
        return count

    def make_queue(self, index, size):
        if self.features >> F_PACKED & 1:
            return PackedQueue(self, index, size)
        return SplitQueue(self, index, size)

    def make_queues(self, sizes=None, vectors=False):
        for index in range(self.queue_count()):
            size = min((sizes or {}).get(index, 1 << 16), self.queue_size(index))
            queue = self.make_queue(index, size)
            self.queues.append(queue)
            self.set_queue(queue, index + 1 if vectors else NO_VECTOR)


class PCI(Device):
    """The modern interface. slot: of bus 0. Places BARs by itself, at `base`."""

    LEGACY = False

    def __init__(self, qtest, slot, arena=None, base=None):
        super().__init__(qtest, arena)
        self.devfn = slot << 3
        base = base or 0xE0000000 + (slot << 20)
        qtest.pci_write(self.devfn, 4, 0, 2)
        qtest.pci_write(self.devfn, 0x10, 0xC000 + (slot << 8))
        qtest.pci_write(self.devfn, 0x14, base)
        qtest.pci_write(self.devfn, 0x20, base + 0x10000)
        qtest.pci_write(self.devfn, 0x24, 0)
        qtest.pci_write(self.devfn, 4, 7, 2)
        self.ports, self.msix, self.modern = 0xC000 + (slot << 8), base, base + 0x10000
        self.find_capabilities()
        self.vector_words = None

    def find_capabilities(self):
        self.capabilities = {}
        self.msix_capability = 0
        at = self.qtest.pci_read(self.devfn, 0x34, 1)
        while at:
            ident = self.qtest.pci_read(self.devfn, at, 1)
            if ident == 9:
                kind = self.qtest.pci_read(self.devfn, at + 3, 1)
                offset = self.qtest.pci_read(self.devfn, at + 8, 4)
                self.capabilities[kind] = (at, self.modern + offset)
            elif ident == 0x11:
                self.msix_capability = at
            at = self.qtest.pci_read(self.devfn, at + 1, 1)
        if 1 in self.capabilities:
            self.common = self.capabilities[1][1]
            self.config = self.capabilities[4][1]
            self.multiplier = self.qtest.pci_read(self.devfn, self.capabilities[2][0] + 16, 4)

    def bus_master(self, on):
        self.qtest.pci_write(self.devfn, 4, 7 if on else 3, 2)

    def status(self):
        return self.qtest.readb(self.common + 0x14)

    def set_status(self, value):
        self.qtest.writeb(self.common + 0x14, value)

    def feature_word(self, index):
        self.qtest.writel(self.common, index)
        return self.qtest.readl(self.common + 4)

    def write_features(self, features):
        for index in (0, 1):
            self.qtest.writel(self.common + 8, index)
            self.qtest.writel(self.common + 12, features >> 32 * index & 0xffffffff)

    def queue_count(self):
        return self.qtest.readw(self.common + 0x12)

    def queue_size(self, index):
        self.qtest.writew(self.common + 0x16, index)
        return self.qtest.readw(self.common + 0x18)

    def set_queue(self, queue, vector=NO_VECTOR):
        self.qtest.writew(self.common + 0x16, queue.index)
        self.qtest.writew(self.common + 0x18, queue.size)
        self.qtest.writew(self.common + 0x1a, vector)
        for offset, address in ((0x20, queue.descriptors), (0x28, queue.available), (0x30, queue.used)):
            address = self.iova(address)
            self.qtest.writel(self.common + offset, address & 0xffffffff)
            self.qtest.writel(self.common + offset + 4, address >> 32)
        self.qtest.writew(self.common + 0x1c, 1)

    def reset_queue(self, index):
        self.qtest.writew(self.common + 0x16, index)
        self.qtest.writew(self.common + 0x3a, 1)

    def notify(self, index):
        self.qtest.writew(self.capabilities[2][1] + index * self.multiplier, index)

    def isr(self):
        return self.qtest.readb(self.capabilities[3][1])

    def generation(self):
        return self.qtest.readb(self.common + 0x15)

    def read_config(self, offset, size):
        return self.qtest.read(self.config + offset, size)

    def write_config(self, offset, data):
        for k, byte in enumerate(data):
            self.qtest.writeb(self.config + offset + k, byte)

    # MSI-X: vector v writes v + 1 to the v-th word of a piece of RAM.

    def enable_vectors(self, count=None):
        control = self.qtest.pci_read(self.devfn, self.msix_capability + 2, 2)
        count = count or (control & 0x7ff) + 1
        self.vector_words = self.arena.take(4 * count, 4)
        self.qtest.memset(self.vector_words, 4 * count, 0)
        for vector in range(count):
            entry = self.msix + 16 * vector
            self.qtest.writeq(entry, self.vector_words + 4 * vector)
            self.qtest.writel(entry + 8, vector + 1)
            self.qtest.writel(entry + 12, 0)
        self.qtest.pci_write(self.devfn, self.msix_capability + 2, 0x8000, 2)
        self.qtest.writew(self.common + 0x10, 0)
        self.vector_count = count

    def mask_vector(self, vector, masked):
        self.qtest.writel(self.msix + 16 * vector + 12, int(masked))

    def pending(self, vector):
        return self.qtest.readb(self.msix + 2048 + vector // 8) >> vector % 8 & 1

    def wait_pending(self, vector, limit=LIMIT):
        deadline = time.monotonic() + limit * self.slower
        while not self.pending(vector):
            if time.monotonic() > deadline:
                raise TimeoutError(f"vector {vector} is not pending")

    def vector_came(self, vector):
        """Did it fire since the last look?"""
        at = self.vector_words + 4 * vector
        came = self.qtest.readl(at) == vector + 1
        if came:  # or else one that comes now would be wiped out
            self.qtest.writel(at, 0)
        return came

    def wait_vector(self, vector, limit=LIMIT):
        deadline = time.monotonic() + limit * self.slower
        while not self.vector_came(vector):
            if time.monotonic() > deadline:
                raise TimeoutError(f"vector {vector} did not fire")


class LegacyPCI(PCI):
    """The legacy interface of a transitional device; rings of the device's own size."""

    def offered(self):
        return self.qtest.inl(self.ports)

    def negotiate(self, features=None, without=0):
        self.reset()
        self.set_status(ACKNOWLEDGE)
        self.set_status(ACKNOWLEDGE | DRIVER)
        self.features = (self.offered() if features is None else features) & ~without
        self.qtest.outl(self.ports + 4, self.features)

    def make_queue(self, index, size):
        return SplitQueue(self, index, self.queue_size(index), legacy=True)

    def status(self):
        return self.qtest.inb(self.ports + 18)

    def set_status(self, value):
        self.qtest.outb(self.ports + 18, value)

    def queue_size(self, index):
        self.qtest.outw(self.ports + 14, index)
        return self.qtest.inw(self.ports + 12)

    def set_queue(self, queue, vector=NO_VECTOR):
        self.qtest.outw(self.ports + 14, queue.index)
        self.qtest.outl(self.ports + 8, queue.descriptors // 4096)

    def notify(self, index):
        self.qtest.outw(self.ports + 16, index)

    def isr(self):
        return self.qtest.inb(self.ports + 19)

    def read_config(self, offset, size):
        return bytes(self.qtest.inb(self.ports + 20 + offset + k) for k in range(size))


class MMIO(Device):
    """A virtio-mmio window, version 2."""

    def __init__(self, qtest, address, arena=None):
        super().__init__(qtest, arena)
        self.address = address

    def read(self, offset):
        return self.qtest.readl(self.address + offset)

    def write(self, offset, value):
        self.qtest.writel(self.address + offset, value)

    def status(self):
        return self.read(0x70)

    def set_status(self, value):
        self.write(0x70, value)

    def feature_word(self, index):
        self.write(0x14, index)
        return self.read(0x10)

    def write_features(self, features):
        for index in (0, 1):
            self.write(0x24, index)
            self.write(0x20, features >> 32 * index & 0xffffffff)

    def queue_size(self, index):
        self.write(0x30, index)
        return self.read(0x34)

    def set_queue(self, queue, vector=NO_VECTOR):
        self.write(0x30, queue.index)
        self.write(0x38, queue.size)
        for offset, address in ((0x80, queue.descriptors), (0x90, queue.available), (0xa0, queue.used)):
            self.write(offset, address & 0xffffffff)
            self.write(offset + 4, address >> 32)
        self.write(0x44, 1)

    def notify(self, index):
        self.write(0x50, index)

    def isr(self):
        value = self.read(0x60)
        self.write(0x64, value)
        return value

    def generation(self):
        return self.read(0xfc)

    def read_config(self, offset, size):
        return self.qtest.read(self.address + 0x100 + offset, size)
