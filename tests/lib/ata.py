# SPDX-License-Identifier: GPL-2.0-or-later
"""Small drivers in Python, over the test port, for IDE channels (PIIX3) and AHCI ports.

    with Duodm("-drive", "file=disk.img,if=ide,format=raw", qtest=True) as vm:
        disk = Ide(vm.qtest)
        disk.read(0, 4)                # by DMA, as a sector count
        disk.command(0xEC); disk.data_in(512)
    drive = Ide(vm.qtest, channel=1)   # a CD drive
    drive.packet(struct.pack(">B..."), 36)
"""
import os
import random
import shutil
import struct
import tempfile
import time
import unittest

from duodm import SLOWER

BSY, DRDY, DF, DSC, DRQ, ERR = 0x80, 0x40, 0x20, 0x10, 0x08, 0x01
ABRT, IDNF, UNC = 0x04, 0x10, 0x40
READ, READ_EXT, WRITE, WRITE_EXT = 0x20, 0x24, 0x30, 0x34
READ_DMA, READ_DMA_EXT, WRITE_DMA, WRITE_DMA_EXT = 0xC8, 0x25, 0xCA, 0x35
WRITE_DMA_FUA_EXT, READ_MULTIPLE, WRITE_MULTIPLE, SET_MULTIPLE = 0x3D, 0xC4, 0xC5, 0xC6
FLUSH, FLUSH_EXT, IDENTIFY, IDENTIFY_PACKET, PACKET = 0xE7, 0xEA, 0xEC, 0xA1, 0xA0
SET_FEATURES, DSM, DEVICE_RESET, DIAGNOSTIC, READ_LOG = 0xEF, 0x06, 0x08, 0x90, 0x2F
READ_FPDMA, WRITE_FPDMA = 0x60, 0x61
LIMIT = 20 * SLOWER
SECTOR = 512


class Images(unittest.TestCase):
    """A folder with images of random contents, the same for the same name."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="duodm-ata-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def make(self, name, size):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(random.Random(name).randbytes(size))
        return path

    def content(self, path=None):
        with open(path or self.image, "rb") as file:
            return file.read()


class DriveError(Exception):
    def __init__(self, status, error):
        super().__init__(f"status {status:#x}, error {error:#x}")
        self.status, self.error = status, error


def deadline():
    end = time.monotonic() + LIMIT

    def check(what):
        if time.monotonic() > end:
            raise TimeoutError(what)
    return check


class Ide:
    """One drive of a channel. Polls the alternate status, so interrupts stay for who looks at them."""

    TABLE, DATA = 0x100000, 0x200000  # guest memory for regions and data

    def __init__(self, qtest, channel=0, unit=0, setup=True):
        self.qtest, self.unit = qtest, unit
        self.base = (0x1F0, 0x170)[channel]
        self.control = (0x3F6, 0x376)[channel]
        self.dma = 0xC000 + 8 * channel
        self.irq = 14 + channel
        if setup:
            qtest.pci_write(9, 0x20, 0xC000)
            qtest.pci_write(9, 4, 5, size=2)
            qtest.pci_write(9, 0x40, 0x80008000)
        self.select()

    def select(self, head=0):
        self.qtest.outb(self.base + 6, 0xE0 | self.unit << 4 | head)

    def status(self):
        return self.qtest.inb(self.control)

    def error(self):
        return self.qtest.inb(self.base + 1)

    def wait(self):
        """The status, once the drive is not busy."""
        check = deadline()
        while (status := self.status()) & BSY:
            check("the drive is busy")
        return status

    def end(self):
        """The end of a command: reads the status register, so the interrupt goes."""
        self.wait()
        status = self.qtest.inb(self.base + 7)
        if status & ERR:
            raise DriveError(status, self.error())
        return status

    def registers(self):
        """count, lba low, mid, high, device"""
        return tuple(self.qtest.inb(self.base + i) for i in range(2, 7))

    def command(self, code, lba=0, count=0, features=0, ext=False, lba_mode=True):
        out, base = self.qtest.outb, self.base
        if ext:
            out(base + 1, features >> 8 & 0xFF)
            out(base + 2, count >> 8 & 0xFF)
            for i in range(3):
                out(base + 3 + i, lba >> (24 + 8 * i) & 0xFF)
        out(base + 1, features & 0xFF)
        out(base + 2, count & 0xFF)
        for i in range(3):
            out(base + 3 + i, lba >> (8 * i) & 0xFF)
        head = 0 if ext else lba >> 24 & 0xF
        out(base + 6, (0xE0 if lba_mode else 0xA0) | self.unit << 4 | head)
        out(base + 7, code)

    def chs(self, code, cylinder, head, sector, count):
        self.command(code, (head << 24) | cylinder << 8 | sector, count, lba_mode=False)

    def data_in(self, size):
        assert self.wait() & DRQ, hex(self.status())
        return b"".join(struct.pack("<I", self.qtest.inl(self.base)) for _ in range(size // 4)) + (
            struct.pack("<H", self.qtest.inw(self.base)) if size % 4 else b"")

    def data_out(self, data):
        assert self.wait() & DRQ, hex(self.status())
        for i in range(0, len(data), 4):
            self.qtest.outl(self.base, struct.unpack("<I", data[i:i + 4])[0])

    def pio_read(self, lba, count, code=READ, block=1, ext=False):
        self.command(code, lba, count, ext=ext)
        data = b""
        while len(data) < count * SECTOR:
            self.check_error()
            data += self.data_in(min(block * SECTOR, count * SECTOR - len(data)))
        self.end()
        return data

    def pio_write(self, lba, data, code=WRITE, block=1, ext=False):
        self.command(code, lba, len(data) // SECTOR, ext=ext)
        for i in range(0, len(data), block * SECTOR):
            self.check_error()
            self.data_out(data[i:i + block * SECTOR])
        self.end()

    def check_error(self):
        if self.wait() & ERR:
            self.end()

    # DMA

    def regions(self, pieces):
        """A table of (address, length); the last gets the end mark."""
        table = b"".join(struct.pack("<II", address, (length & 0xFFFF) |
                                     (1 << 31 if i == len(pieces) - 1 else 0))
                         for i, (address, length) in enumerate(pieces))
        self.qtest.write(self.TABLE, table)
        self.qtest.outl(self.dma + 4, self.TABLE)

    def split(self, size):
        return [(self.DATA + i, min(0x10000, size - i)) for i in range(0, size, 0x10000)]

    def start_dma(self, to_memory):
        self.qtest.outb(self.dma + 2, 0x66)
        self.qtest.outb(self.dma, 8 if to_memory else 0)
        self.qtest.outb(self.dma, 9 if to_memory else 1)

    def stop_dma(self):
        status = self.qtest.inb(self.dma + 2)
        self.qtest.outb(self.dma, 0)
        return status

    def read(self, lba, count, code=READ_DMA, ext=False, pieces=None):
        size = count * SECTOR
        self.regions(pieces or self.split(size))
        self.command(code, lba, count, ext=ext)
        self.start_dma(True)
        self.end()
        self.stop_dma()
        if pieces:
            return b"".join(self.qtest.read(address, length) for address, length in pieces)
        return self.qtest.read(self.DATA, size)

    def write(self, lba, data, code=WRITE_DMA, ext=False, pieces=None):
        at = 0
        for address, length in pieces or self.split(len(data)):
            self.qtest.write(address, data[at:at + length])
            at += length
        self.regions(pieces or self.split(len(data)))
        self.command(code, lba, len(data) // SECTOR, ext=ext)
        self.start_dma(False)
        self.end()
        self.stop_dma()

    # Packets

    def packet(self, cdb, size=0, dma=False, limit=0xFFFE, out=b""):
        """The data that come back, if any. Fails with DriveError."""
        if dma:
            self.regions(self.split(max(size, 2)))
        self.command(PACKET, (limit & 0xFF) << 8 | (limit >> 8) << 16, 0, features=int(dma))
        self.wait()
        assert self.qtest.inb(self.base + 2) & 3 == 1, "it wants no packet"
        self.data_out(bytes(cdb).ljust(12, b"\0"))
        if dma:
            self.start_dma(True)
            self.end()
            self.stop_dma()
            return self.qtest.read(self.DATA, size)
        data = b""
        while self.wait() & DRQ:
            assert not self.status() & ERR
            reason = self.qtest.inb(self.base + 2) & 3
            length = self.qtest.inb(self.base + 4) | self.qtest.inb(self.base + 5) << 8
            assert 0 < length <= limit
            if reason == 2:
                data += self.data_in((length + 1) // 2 * 2)[:length]
            else:
                assert reason == 0
                self.data_out(out[:length])
                out = out[length:]
        assert self.qtest.inb(self.base + 2) & 3 == 3
        self.end()
        return data

    def sense(self):
        """(key, code and qualifier) of REQUEST SENSE."""
        data = self.packet([3, 0, 0, 0, 18], 18)
        return data[2] & 15, data[12] << 8 | data[13]

    def refused(self, cdb, size=0, **more):
        """The sense of a packet that fails."""
        try:
            self.packet(cdb, size, **more)
        except DriveError as problem:
            assert problem.error >> 4, hex(problem.error)
            return self.sense()
        raise AssertionError("it did not fail")

    def ready(self):
        """Take what unit attentions wait."""
        for _ in range(4):
            try:
                return self.packet([0])
            except DriveError:
                pass
        return None


class AhciPort:
    """A port of an AHCI HBA at a PCI slot; 32 command slots with a table each."""

    BAR = 0xE0000000
    LIST, FIS, TABLES, DATA = 0x300000, 0x301000, 0x310000, 0x400000

    def __init__(self, qtest, number=0, slot=4, start=True):
        self.qtest, self.number = qtest, number
        self.base = self.BAR + 0x100 + 0x80 * number
        self.devfn = slot << 3
        qtest.pci_write(self.devfn, 0x24, self.BAR)
        qtest.pci_write(self.devfn, 4, 6, size=2)
        self.sizes = {}
        self.LIST, self.FIS = self.LIST + 0x2000 * number, self.FIS + 0x2000 * number
        self.TABLES, self.DATA = self.TABLES + (number << 16), self.DATA + (number << 22)
        if start:
            self.start()

    def get(self, offset):
        return self.qtest.readl(self.base + offset)

    def set(self, offset, value):
        self.qtest.writel(self.base + offset, value)

    def start(self):
        self.qtest.writel(self.BAR + 4, 0x80000002)
        self.set(0x00, self.LIST)
        self.set(0x04, 0)
        self.set(0x08, self.FIS)
        self.set(0x0C, 0)
        self.set(0x18, 0x16)
        self.set(0x30, 0xFFFFFFFF)
        self.set(0x10, 0xFFFFFFFF)
        self.set(0x14, 0x7DC0007F)
        self.until(lambda: not self.get(0x20) & (BSY | DRQ), "the drive is busy")
        self.set(0x18, 0x17)

    def stop(self):
        self.set(0x18, 0x16)
        self.until(lambda: not self.get(0x18) & 0x8000, "CR stays")

    def until(self, condition, what):
        check = deadline()
        while not condition():
            check(what)

    def prepare(self, slot, code, lba=0, count=0, features=0, size=0, write=False, packet=None,
                pieces=None, device=0xE0, control=None):
        table = self.TABLES + slot * 0x800
        data = self.DATA + slot * 0x20000
        if pieces is None:
            pieces = [(data + i, min(0x10000, size - i)) for i in range(0, size, 0x10000)]
        fis = struct.pack("<BBBB", 0x27, 0x80 if control is None else 0, code, features & 0xFF)
        fis += struct.pack("<I", lba & 0xFFFFFF | device << 24)
        fis += struct.pack("<I", lba >> 24 & 0xFFFFFF | (features >> 8 & 0xFF) << 24)
        fis += struct.pack("<HBBI", count & 0xFFFF, 0, control or 0, 0)
        prdt = b"".join(struct.pack("<QII", a, 0, n - 1) for a, n in pieces)
        self.qtest.write(table, fis.ljust(64, b"\0") + bytes(packet or b"").ljust(64, b"\0") + prdt)
        flags = 5 | (0x20 if packet else 0) | (0x40 if write else 0)
        self.qtest.write(self.LIST + slot * 32,
                         struct.pack("<IIQ", flags | len(pieces) << 16, 0, table).ljust(32, b"\0"))
        self.sizes[slot] = pieces
        return slot

    def issue(self, mask, queued=False):
        if queued:
            self.set(0x34, mask)
        self.set(0x38, mask)

    def wait(self, mask=1, queued=False):
        """Until these slots are done; DriveError if the drive has failed."""
        def is_done():
            if self.get(0x10) & 0x40000000 or self.get(0x10) & 0x20000000:
                tfd = self.get(0x20)
                raise DriveError(tfd & 0xFF, tfd >> 8 & 0xFF)
            return not (self.get(0x38) | (self.get(0x34) if queued else 0)) & mask
        self.until(is_done, "commands do not end")

    def moved(self, slot=0):
        return self.qtest.readl(self.LIST + slot * 32 + 4)

    def result(self, slot=0):
        return b"".join(self.qtest.read(a, n) for a, n in self.sizes[slot])

    def run(self, code, **more):
        """A command in slot 0; the data, if it has some."""
        slot = self.prepare(0, code, **more)
        self.issue(1)
        self.wait(1)
        return self.result(slot)

    def read(self, lba, count, **more):
        return self.run(READ_DMA_EXT, lba=lba, count=count, size=count * SECTOR, **more)

    def put(self, slot, data):
        self.qtest.write(self.DATA + slot * 0x20000, data)

    def write(self, lba, data, code=WRITE_DMA_EXT, **more):
        self.put(0, data)
        return self.run(code, lba=lba, count=len(data) // SECTOR, size=len(data), write=True, **more)

    def queue(self, tag, lba, count, data=None, device=0x40):
        if data:
            self.put(tag, data)
        return self.prepare(tag, WRITE_FPDMA if data else READ_FPDMA, lba=lba, count=tag << 3,
                            features=count, size=count * SECTOR, write=bool(data), device=device)

    def packet(self, cdb, size=0, dma=True, limit=0xFFFE):
        return self.run(PACKET, lba=limit << 8, features=int(dma), size=size,
                        packet=bytes(cdb).ljust(12, b"\0"))

    def recover(self):
        self.stop()
        self.set(0x30, 0xFFFFFFFF)
        self.set(0x10, 0xFFFFFFFF)
        self.set(0x18, 0x17)
