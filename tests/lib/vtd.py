# SPDX-License-Identifier: GPL-2.0-or-later
"""A small driver of a VT-d unit in Python, over the test port: tables in guest memory, registers,
the invalidation queue.

    unit = Unit(vm.qtest)
    domain = unit.domain(1)                      # a second-stage table of its own
    domain.map(0x80001000, 0x1000000, 4096)      # IOVA, guest physical address, bytes
    unit.attach(0x28, domain)                    # requester ID (bus << 8 | devfn)
    unit.enable()
    domain.unmap(0x80001000, 4096)
    unit.flush_pages(1, 0x80001000)              # returns when the unit says it is done
"""
import struct

BASE = 0xFED90000
VER, CAP, ECAP, GCMD, GSTS, RTADDR, CCMD = 0x00, 0x08, 0x10, 0x18, 0x1C, 0x20, 0x28
FSTS, FECTL, FEDATA, FEADDR, IQH, IQT, IQA = 0x34, 0x38, 0x3C, 0x40, 0x80, 0x88, 0x90
ICS, IECTL, IEDATA, IEADDR, IRTA, IVA, IOTLB, FRCD = 0x9C, 0xA0, 0xA4, 0xA8, 0xB8, 0x100, 0x108, 0x220
TE, SRTP, QIE, IRE, SIRTP, CFI = 1 << 31, 1 << 30, 1 << 26, 1 << 25, 1 << 24, 1 << 23
READ, WRITE, LARGE = 1, 2, 1 << 7
TRANSLATE, PASS_THROUGH = 0, 2


class Domain:
    """A second-stage table with its pages at the end of guest memory that the unit gave it."""

    def __init__(self, unit, number, levels):
        self.unit, self.number, self.levels = unit, number, levels
        self.table = unit.page()

    def entry(self, iova, level=1, make=True):
        """Address of the entry for iova in the table of a level (1: of 4 KiB pages)."""
        table = self.table
        for above in range(self.levels, level, -1):
            at = table + (iova >> (12 + 9 * (above - 1)) & 511) * 8
            entry = self.unit.qtest.readq(at)
            if not entry:
                if not make:
                    return None
                entry = self.unit.page() | READ | WRITE
                self.unit.qtest.writeq(at, entry)
            table = entry & ~0xfff
        return table + (iova >> (12 + 9 * (level - 1)) & 511) * 8

    def map(self, iova, target, size, access=READ | WRITE, level=1):
        step = 1 << (12 + 9 * (level - 1))
        for done in range(0, size, step):
            self.unit.qtest.writeq(self.entry(iova + done, level),
                                   target + done | access | (LARGE if level > 1 else 0))

    def unmap(self, iova, size):
        for done in range(0, size, 4096):
            at = self.entry(iova + done, make=False)
            if at:
                self.unit.qtest.writeq(at, 0)


class Unit:
    """memory: where its tables are put, upwards."""

    def __init__(self, qtest, memory=48 << 20, base=BASE):
        self.qtest, self.base, self.next = qtest, base, memory
        self.root, self.queue, self.status_word = self.page(), self.page(), self.page()
        self.contexts = {}
        self.tail = self.waits = self.command = 0

    def page(self, count=1):
        address, self.next = self.next, self.next + 4096 * count
        self.qtest.memset(address, 4096 * count, 0)
        return address

    def read(self, offset, size=4):
        load = self.qtest.readq if size == 8 else self.qtest.readl
        return load(self.base + offset)

    def write(self, offset, value, size=4):
        store = self.qtest.writeq if size == 8 else self.qtest.writel
        store(self.base + offset, value)

    def domain(self, number, levels=4):
        return Domain(self, number, levels)

    def context(self, requester):
        """Address of the context entry."""
        bus = requester >> 8
        if bus not in self.contexts:
            self.contexts[bus] = self.page()
            self.qtest.writeq(self.root + 16 * bus, self.contexts[bus] | 1)
        return self.contexts[bus] + 16 * (requester & 0xff)

    def set_context(self, requester, low, high):
        at = self.context(requester)
        self.qtest.writeq(at + 8, high)
        self.qtest.writeq(at, low)

    def attach(self, requester, domain):
        self.set_context(requester, domain.table | 1, domain.number << 8 | domain.levels - 2)

    def pass_through(self, requester, number=0xfff):
        self.set_context(requester, PASS_THROUGH << 2 | 1, number << 8 | 2)

    def detach(self, requester):
        self.set_context(requester, 0, 0)

    # Global commands: one bit at a time.

    def switch(self, bit, on=True):
        self.command = self.command | bit if on else self.command & ~bit
        self.write(GCMD, self.command)
        if bool(self.read(GSTS) & bit) != on:
            raise AssertionError(f"GSTS does not follow {bit:#x}")

    def one_shot(self, bit):
        self.write(GCMD, self.command | bit)
        if not self.read(GSTS) & bit:
            raise AssertionError(f"GSTS does not show {bit:#x}")

    def enable_queue(self):
        self.write(IQT, 0, 8)
        self.tail = 0
        self.write(IQA, self.queue, 8)
        self.switch(QIE)

    def enable(self):
        """Queue, root table, translation."""
        self.enable_queue()
        self.write(RTADDR, self.root, 8)
        self.one_shot(SRTP)
        self.flush_contexts()
        self.flush_all()
        self.switch(TE)

    # The queue: 256 descriptors of 16 bytes.

    def submit(self, *descriptors):
        for low, high in descriptors:
            self.qtest.write(self.queue + self.tail, struct.pack("<QQ", low, high))
            self.tail = (self.tail + 16) % 4096
        self.write(IQT, self.tail, 8)

    def invalidate(self, *descriptors):
        """Submit, and wait for the unit to say that it is done."""
        self.waits += 1
        self.submit(*descriptors, (self.waits << 32 | 1 << 5 | 5, self.status_word))
        self.wait_status(self.waits)

    def wait_status(self, value):
        """Until a wait descriptor has written it."""
        while self.qtest.readl(self.status_word) != value:
            if self.read(FSTS) & 0x70:
                raise AssertionError(f"the queue stopped: FSTS {self.read(FSTS):#x}")

    def flush_contexts(self):
        self.invalidate((1 << 4 | 1, 0))

    def flush_context(self, requester, number):
        self.invalidate((requester << 32 | number << 16 | 3 << 4 | 1, 0))

    def flush_all(self):
        self.invalidate((1 << 4 | 2, 0))

    def flush_domain(self, number):
        self.invalidate((number << 16 | 2 << 4 | 2, 0))

    def flush_pages(self, number, iova, order=0):
        self.invalidate((number << 16 | 3 << 4 | 2, iova & ~0xfff | order))

    def flush_interrupts(self):
        self.invalidate((4, 0))

    # Faults.

    def faults(self):
        """What was recorded, as (requester, address, reason, is_read); the records are cleared."""
        found = []
        status = self.read(FSTS)
        index = status >> 8 & 0xff
        for _ in range(self.read(CAP, 8) >> 40 & 0xff, -1, -1):
            at = FRCD + 16 * index
            low, high = self.read(at, 8), self.read(at + 8, 8)
            if high >> 63:
                found.append((high & 0xffff, low, high >> 32 & 0xff, bool(high >> 62 & 1)))
                self.write(at + 12, 1 << 31)
            index = (index + 1) % ((self.read(CAP, 8) >> 40 & 0xff) + 1)
        self.write(FSTS, 1)
        return found

    # Interrupt remapping.

    def enable_remapping(self, entries=256, extended=True):
        self.interrupts = self.page(max(entries * 16 // 4096, 1))
        size = entries.bit_length() - 2
        self.write(IRTA, self.interrupts | (1 << 11 if extended else 0) | size, 8)
        self.one_shot(SIRTP)
        self.flush_interrupts()
        self.switch(IRE)

    def set_interrupt(self, index, low, high=0):
        self.qtest.writeq(self.interrupts + 16 * index + 8, high)
        self.qtest.writeq(self.interrupts + 16 * index, low)


def message(index, subhandle=False):
    """Address of a remappable message for an entry of the table."""
    return 0xFEE00000 | (index & 0x7fff) << 5 | 1 << 4 | int(subhandle) << 3 | index >> 15 << 2
