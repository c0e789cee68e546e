# SPDX-License-Identifier: GPL-2.0-or-later
"""AHCI over the test port: command lists, queued commands, PIO, packets, errors, resets."""
import os
import random
import struct
import unittest

import ata
from ata import ABRT, IDNF, AhciPort, DriveError, Images
from duodm import Duodm
from seed import seeded

SIZE = 8 << 20


class Ahci(Images):
    def setUp(self):
        super().setUp()
        self.image = self.make("disk.img", SIZE)
        self.cd = self.make("cd.iso", 1 << 20)

    def start(self, drive="", *more):
        """libxl's forms, but for the address."""
        return Duodm("-m", "256", "-device", "ahci,id=ahci0,addr=4", "-drive",
                     f"file={self.image},if=none,id=ahcidisk-0,format=raw,cache=writeback{drive}",
                     "-device", "ide-hd,bus=ahci0.0,unit=0,drive=ahcidisk-0", "-drive",
                     f"file={self.cd},if=none,id=cd,readonly=on,format=raw", "-device",
                     "ide-cd,bus=ahci0.2,drive=cd", *more, qtest=True)

    def test_registers(self):
        with self.start() as vm:
            port = AhciPort(vm.qtest, start=False)
            read = vm.qtest.readl
            self.assertEqual(vm.qtest.pci_read(port.devfn, 0), 0x29228086)
            self.assertEqual(vm.qtest.pci_read(port.devfn, 8) >> 8, 0x010601)
            self.assertEqual(read(port.BAR) & 0x1F1F, 5 | 31 << 8)
            self.assertEqual(read(port.BAR + 0x0C), 0x3F)
            self.assertEqual(read(port.BAR + 0x10), 0x00010300)
            self.assertEqual(port.get(0x28), 0x133)
            self.assertEqual(port.get(0x24), 0x101)
            self.assertEqual(AhciPort(vm.qtest, 2, start=False).get(0x24), 0xEB140101)
            empty = AhciPort(vm.qtest, 1, start=False)
            self.assertEqual((empty.get(0x28), empty.get(0x24), empty.get(0x20)),
                             (0, 0xFFFFFFFF, 0x7F))
            empty.set(0, 0x12345678)
            self.assertEqual(empty.get(0), 0x12345400)
            self.assertEqual(read(port.BAR + 0xFFC), 0)

    def test_dma_and_pio(self):
        with self.start() as vm:
            port, content = AhciPort(vm.qtest), self.content()
            self.assertEqual(port.read(10, 8), content[5120:9216])
            self.assertEqual(port.moved(), 4096)
            self.assertEqual(port.run(ata.READ, lba=3, count=4, size=2048), content[1536:3584])
            self.assertEqual(port.moved(), 2048)
            fis = vm.qtest.read(port.FIS + 0x20, 20)
            self.assertEqual((fis[0], fis[1] & 0x60, fis[15], fis[16]), (0x5F, 0x60, 0x50, 0))
            data = os.urandom(4096)
            port.write(100, data)
            self.assertEqual(vm.qtest.read(port.FIS + 0x40, 3), b"\x34\x40\x50")
            port.write(50, data[:1024], code=ata.WRITE)
            port.run(ata.FLUSH_EXT)
            after = self.content()
            self.assertEqual(after[51200:55296], data)
            self.assertEqual(after[25600:26624], data[:1024])
            identify = port.run(ata.IDENTIFY, size=512)
            words = struct.unpack("<256H", identify)
            self.assertEqual((words[75], words[76] & 0x100, words[93]), (31, 0x100, 0))

    def test_odd_regions(self):
        with self.start() as vm:
            port, rng = AhciPort(vm.qtest), random.Random(5)
            pieces, at, left = [], 0x1000000, SIZE
            while left:
                length = min(left, rng.randrange(1, 60000) * 2)
                pieces.append((at, length))
                at += length + 2 * rng.randrange(10)
                left -= length
            port.TABLES = 0x800000
            data = port.run(ata.READ_DMA_EXT, lba=0, count=SIZE // 512, pieces=pieces)
            self.assertEqual(data, self.content())
            self.assertEqual(port.moved(), SIZE)

    def test_queued(self):
        with self.start() as vm:
            port, content = AhciPort(vm.qtest), self.content()
            vm.qtest.intercept()
            for tag in range(32):
                port.queue(tag, 100 * tag, 1 + tag)
            port.issue(0xFFFFFFFF, queued=True)
            port.wait(0xFFFFFFFF, queued=True)
            for tag in range(32):
                start = 51200 * tag
                self.assertEqual(port.result(tag), content[start:start + 512 * (1 + tag)], tag)
            self.assertEqual(vm.qtest.read(port.FIS + 0x58, 2), b"\xA1\x40")
            self.assertEqual(port.get(0x10) & 0x8, 8)
            data = {tag: os.urandom(512 * (tag + 1)) for tag in range(0, 32, 3)}
            for tag, part in data.items():
                port.queue(tag, 5000 + 40 * tag, len(part) // 512, data=part, device=0xC0)
            mask = sum(1 << tag for tag in data)
            port.issue(mask, queued=True)
            port.wait(mask, queued=True)
            after = self.content()
            for tag, part in data.items():
                start = (5000 + 40 * tag) * 512
                self.assertEqual(after[start:start + len(part)], part)

    def test_queued_commands_that_end_together_are_told_together(self):
        with Duodm("-device", "ahci,id=a,addr=4", "-blockdev",
                   "null-co,node-name=n,size=1048576,read-zeroes=on", "-device",
                   "ide-hd,bus=a.0,drive=n", qtest=True) as vm:
            port = AhciPort(vm.qtest)
            for tag in range(32):
                port.queue(tag, 8 * tag, 8)
            told = 0
            for _ in range(100):  # which ones do end together is up to the host's threads
                port.issue(0xFFFFFFFF, queued=True)
                port.wait(0xFFFFFFFF, queued=True)
                head, told = struct.unpack("<II", vm.qtest.read(port.FIS + 0x58, 8))
                self.assertEqual(head, 0x4040A1)
                if told.bit_count() > 1:
                    break
            self.assertGreater(told.bit_count(), 1)

    def test_queued_errors_and_their_log(self):
        with self.start() as vm:
            port = AhciPort(vm.qtest)
            port.queue(3, SIZE // 512 - 1, 2)
            port.issue(8, queued=True)
            with self.assertRaises(DriveError) as caught:
                port.wait(8, queued=True)
            self.assertEqual(caught.exception.error, IDNF)
            self.assertEqual(port.get(0x34), 8, "the guest sees which one")
            port.recover()
            self.assertEqual((port.get(0x34), port.get(0x38)), (0, 0))
            log = port.run(ata.READ_LOG, lba=0x10, count=1, size=512)
            self.assertEqual((log[0], log[3]), (3, IDNF))
            self.assertEqual(sum(log) & 0xFF, 0)
            self.assertEqual(log[4] | log[5] << 8, (SIZE // 512 - 1) & 0xFFFF)
            self.assertEqual(port.run(ata.READ_LOG, lba=0x10, count=1, size=512)[0], 0x80)
            # A tag that is not the slot's.
            port.prepare(5, ata.READ_FPDMA, lba=0, count=6 << 3, features=1, size=512, device=0x40)
            port.issue(32, queued=True)
            with self.assertRaises(DriveError):
                port.wait(32, queued=True)
            port.recover()
            self.assertEqual(port.read(0, 1), self.content()[:512])

    def test_errors_stop_the_list(self):
        with self.start() as vm:
            port = AhciPort(vm.qtest)
            port.prepare(0, 0xB0)
            port.prepare(1, ata.READ_DMA_EXT, lba=0, count=1, size=512)
            port.issue(3)
            with self.assertRaises(DriveError) as caught:
                port.wait(3)
            self.assertEqual(caught.exception.error, ABRT)
            self.assertEqual(port.get(0x38), 3, "nothing is begun after it")
            port.recover()
            self.assertEqual(port.read(0, 1), self.content()[:512])

    def test_bad_memory(self):
        with self.start() as vm:
            port = AhciPort(vm.qtest)
            for pieces in ([(0xF8000000, 4096)], [(port.DATA, 512)], [],
                           [(0xFFFFFFFFFFFFF000, 1 << 20)], [(port.BAR, 4096)]):
                with self.subTest(pieces=pieces):
                    port.prepare(0, ata.READ_DMA_EXT, lba=0, count=8, pieces=pieces)
                    port.issue(1)
                    with self.assertRaises(DriveError):
                        port.wait(1)
                    port.recover()
                    port.queue(1, 0, 8)
                    port.prepare(1, ata.READ_FPDMA, lba=0, count=1 << 3, features=8, pieces=pieces,
                                 device=0x40)
                    port.issue(2, queued=True)
                    with self.assertRaises(DriveError):
                        port.wait(2, queued=True)
                    port.recover()
            port.prepare(0, ata.IDENTIFY, pieces=[])
            port.issue(1)
            port.until(lambda: port.get(0x10) & 0x01000000, "no overflow was told")
            port.recover()
            port.set(0, 0xF8000000)  # a list that is not there
            port.issue(1)
            with self.assertRaises(DriveError):
                port.wait(1)
            port.recover()
            port.set(0, port.LIST)
            vm.qtest.write(port.LIST, struct.pack("<IIQ", 5, 0, 0xFFFFFFFFFFFFFF80))
            port.issue(1)
            with self.assertRaises(DriveError):
                port.wait(1)
            port.recover()
            self.assertEqual(port.read(0, 1), self.content()[:512])

    def test_packets(self):
        with self.start() as vm:
            port, content = AhciPort(vm.qtest, 2), self.content(self.cd)
            with self.assertRaises(DriveError) as caught:
                port.packet([0])
            self.assertEqual(caught.exception.error >> 4, 6)
            port.recover()
            port.packet([0])
            for dma in (False, True):
                self.assertEqual(port.packet(struct.pack(">BBIBH", 0x28, 0, 5, 0, 9), 18432, dma=dma),
                                 content[10240:28672])
            self.assertEqual(port.packet(struct.pack(">BBIBH", 0x28, 0, 5, 0, 9), 18432, dma=False,
                                         limit=2), content[10240:28672])
            self.assertEqual(port.packet([0x25], 8, dma=False), struct.pack(">II", 511, 2048))
            self.assertEqual(port.run(ata.IDENTIFY_PACKET, size=512)[:2], b"\xC0\x85")

    def test_interrupts(self):
        with self.start() as vm:
            vm.qtest.pci_write(1 << 3, 0x60, 0x0A0A0A0A)
            vm.qtest.intercept()
            port = AhciPort(vm.qtest)
            port.set(0x10, 0xFFFFFFFF)
            vm.qtest.writel(port.BAR + 8, 0x3F)
            self.assertFalse(vm.qtest.irq(10))
            port.read(0, 1)
            vm.qtest.wait_irq(10, True)
            self.assertEqual(vm.qtest.readl(port.BAR + 8), 1)
            vm.qtest.writel(port.BAR + 8, 1)
            self.assertTrue(vm.qtest.irq(10), "the port still tells")
            port.set(0x10, 0xFFFFFFFF)
            vm.qtest.writel(port.BAR + 8, 1)
            self.assertFalse(vm.qtest.irq(10))
            # MSI: a message into memory.
            cap = vm.qtest.pci_read(port.devfn, 0x34, 1)
            self.assertEqual(vm.qtest.pci_read(port.devfn, cap, 1), 5)
            vm.qtest.pci_write(port.devfn, cap + 4, 0x500000)
            vm.qtest.pci_write(port.devfn, cap + 12, 0x4321, 2)
            vm.qtest.pci_write(port.devfn, cap + 2, 1, 2)
            port.read(0, 1)
            port.until(lambda: vm.qtest.readl(0x500000) == 0x4321, "no message came")
            self.assertFalse(vm.qtest.irq(10))

    def test_resets(self):
        with self.start() as vm:
            port, content = AhciPort(vm.qtest), self.content()
            for kind in ("port", "soft", "hba", "machine"):
                with self.subTest(kind=kind):
                    for tag in range(8):
                        port.queue(tag, 1000 * tag, 200)
                    port.issue(0xFF, queued=True)
                    port.stop()
                    self.assertEqual((port.get(0x38), port.get(0x34)), (0, 0))
                    if kind == "port":
                        port.set(0x2C, 1)
                        self.assertEqual((port.get(0x28), port.get(0x20)), (0, 0x7F))
                        port.set(0x2C, 0)
                        self.assertTrue(port.get(0x30) & 0x04000000)
                    elif kind == "soft":
                        port.set(0x18, 0x17)
                        port.prepare(0, 0, control=4)
                        header = vm.qtest.readl(port.LIST)
                        vm.qtest.writel(port.LIST, header | 0x500)
                        port.issue(1)
                        port.wait(1)
                        port.prepare(0, 0, control=0)
                        port.issue(1)
                        port.wait(1)
                    elif kind == "hba":
                        vm.qtest.writel(port.BAR + 4, 0x80000001)
                        port.until(lambda: not vm.qtest.readl(port.BAR + 4) & 1, "HR stays")
                        port.start()
                    else:
                        vm.qmp.execute("system_reset")
                        vm.qmp.wait_event("RESET")
                        port = AhciPort(vm.qtest)
                    port.recover()
                    port.until(lambda: port.get(0x20) & 0xFF == 0x50, "no drive")
                    self.assertEqual(port.get(0x24), 0x101)
                    self.assertEqual(port.read(7, 9), content[7 * 512:16 * 512])

    def test_random_registers(self):
        with seeded(self) as rng, self.start() as vm:
            ports = [AhciPort(vm.qtest), AhciPort(vm.qtest, 2)]
            commands = [0x20, 0x25, 0x30, 0x35, 0x60, 0x61, 0x60, 0x61, 0xA0, 0xEC, 0xA1, 0xE7, 6, 0x2F,
                        8, 0x90, 0xC4, 0xC5, 0xEF]
            for _ in range(700):
                port, action = rng.choice(ports), rng.randrange(12)
                if action < 6:
                    slot = rng.randrange(32)
                    code = rng.choice(commands)
                    count = rng.choice((slot << 3, 1, 0, rng.randrange(1 << 16)))
                    pieces = [(rng.choice((port.DATA, port.LIST, port.TABLES, 0xF8000000, port.BAR,
                                           rng.randrange(1 << 64))), rng.randrange(1, 1 << 20))
                              for _ in range(rng.randrange(4))]
                    cdb = bytes([rng.choice((0, 3, 0x28, 0x43, 0x12, 0x5A, 0x55, 0x1B))]
                                + [rng.choice((0, 1, 255)) for _ in range(11)])
                    port.prepare(slot, code, lba=rng.choice((0, 5, rng.randrange(1 << 48))),
                                 count=count, features=rng.randrange(1 << 16), pieces=pieces,
                                 packet=cdb, control=rng.choice((None,) * 9 + (0, 4)))
                    if rng.randrange(2):
                        port.set(0x34, 1 << slot)
                    port.set(0x38, 1 << slot)
                elif action == 6:
                    port.set(0x18, rng.choice((0x16, 0x17, 0x1F, 0x0F, 0)))
                elif action == 7:
                    port.set(rng.randrange(0x20) * 4, rng.randrange(1 << 32))
                elif action == 8:
                    port.set(0x2C, rng.choice((0, 1, 4)))
                elif action == 9:
                    vm.qtest.writel(port.BAR + rng.randrange(16) * 4, rng.randrange(1 << 32))
                else:
                    port.set(0x30, 0xFFFFFFFF)
                    port.set(0x10, 0xFFFFFFFF)
                    port.set(0x00, port.LIST)
                    port.set(0x18, 0x16)
                    port.set(0x18, 0x17)
            vm.qmp.execute("system_reset")
            vm.qmp.wait_event("RESET")
            port = AhciPort(vm.qtest)
            self.assertEqual(port.read(0, 4), self.content()[:2048])
            self.assertEqual(os.path.getsize(self.image), SIZE)

    def test_without_an_id(self):
        with Duodm("-device", "ich9-ahci,addr=4", "-drive",
                   f"file={self.image},if=none,id=d,format=raw", "-device",
                   "ide-hd,bus=ahci.0,drive=d", qtest=True) as vm:
            self.assertEqual(AhciPort(vm.qtest).read(2, 2), self.content()[1024:2048])


if __name__ == "__main__":
    unittest.main()
