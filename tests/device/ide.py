# SPDX-License-Identifier: GPL-2.0-or-later
"""IDE over the test port: ATA commands by PIO and DMA, addresses, errors and their policies, resets,
regions that are wrong, and what a guest may do that no driver does."""
import os
import random
import resource
import struct
import unittest

import ata
import nbd
from ata import ABRT, BSY, DRDY, DRQ, DSC, ERR, IDNF, UNC, DriveError, Ide, Images
from duodm import Duodm, run
from seed import seeded

SIZE = 4 << 20


class Base(Images):
    def setUp(self):
        super().setUp()
        self.image = self.make("disk.img", SIZE)

    def start(self, drive="", *more):
        return Duodm("-drive", f"file={self.image},if=ide,format=raw{drive}", *more, qtest=True)

    def fails(self, error, function, *arguments, **named):
        with self.assertRaises(DriveError) as caught:
            function(*arguments, **named)
        self.assertEqual(caught.exception.error, error)


def text(data, word, characters):
    part = data[2 * word:2 * word + characters]
    return b"".join(part[i + 1:i + 2] + part[i:i + 1] for i in range(0, characters, 2)).decode()


class Commands(Base):
    def test_identify(self):
        with self.start("", "-global", "ide-hd.serial=number-1", "-global", "ide-hd.model=A disk",
                        "-global", "ide-hd.ver=2.5", "-global", "ide-hd.wwn=0x5000c50015ea71ac") as vm:
            disk = Ide(vm.qtest)
            disk.command(ata.IDENTIFY)
            data = disk.data_in(512)
            disk.end()
            self.assertEqual(text(data, 10, 20), "number-1".ljust(20))
            self.assertEqual(text(data, 23, 8), "2.5".ljust(8))
            self.assertEqual(text(data, 27, 40), "A disk".ljust(40))
            words = struct.unpack("<256H", data)
            self.assertEqual(words[60] | words[61] << 16, SIZE // 512)
            self.assertEqual(words[100] | words[101] << 16, SIZE // 512)
            self.assertEqual((words[1], words[3], words[6]), (SIZE // 512 // 1008, 16, 63))
            self.assertEqual(words[108:112], (0x5000, 0xC500, 0x15EA, 0x71AC))
            self.assertEqual(sum(data) & 0xFF, 0, "checksum")
            self.assertEqual(words[63], 0x0407, "multiword DMA 2 is set")

    def test_pio(self):
        with self.start() as vm:
            disk, before = Ide(vm.qtest), self.content()
            self.assertEqual(disk.pio_read(5, 3), before[2560:4096])
            self.assertEqual(disk.pio_read(5, 3, ata.READ_EXT, ext=True), before[2560:4096])
            data = os.urandom(2048)
            disk.pio_write(9, data)
            disk.command(ata.SET_MULTIPLE, count=4)
            disk.end()
            self.assertEqual(disk.pio_read(8, 6, ata.READ_MULTIPLE, block=4),
                             before[4096:4608] + data + before[6656:7168])
            more = os.urandom(3072)
            disk.pio_write(100, more, ata.WRITE_MULTIPLE, block=4)
            disk.command(ata.FLUSH)
            disk.end()
            after = self.content()
            self.assertEqual(after[4608:6656], data)
            self.assertEqual(after[51200:54272], more)
            self.assertEqual(after[54272:], before[54272:])

    def test_pio_reads_ahead(self):
        """As much as the drive's buffer holds at a time, in whole blocks: not each sector by itself."""
        with nbd.Server(b"0123456789abcdef" * 32, SIZE) as server, Duodm(
                "-drive", f"file=nbd:unix:{server.path},if=ide,format=raw", qtest=True) as vm:
            disk = Ide(vm.qtest)
            for code, block, count, lengths in ((ata.READ, 1, 40, [16, 16, 8]),
                                                (ata.READ_MULTIPLE, 8, 20, [16, 4])):
                with self.subTest(code=code, block=block):
                    disk.command(ata.SET_MULTIPLE, count=block)
                    disk.end()
                    server.reads.clear()
                    self.assertEqual(disk.pio_read(100, count, code, block), server.pattern * count)
                    self.assertEqual([length // 512 for _, length in server.reads], lengths)

    def test_dma(self):
        for drive in ("", ",cache=none", ",aio=threads"):
            with self.subTest(drive=drive), self.start(drive) as vm:
                disk, before = Ide(vm.qtest), self.content()
                self.assertEqual(disk.read(0, 256), before[:256 * 512])
                data = os.urandom(300 * 512)
                disk.write(1000, data, ata.WRITE_DMA_EXT, ext=True)
                self.assertEqual(disk.read(999, 302, ata.READ_DMA_EXT, ext=True),
                                 before[999 * 512:1000 * 512] + data +
                                 before[1300 * 512:1301 * 512])
                disk.write(3, data[:512], ata.WRITE_DMA_FUA_EXT, ext=True)
                self.assertEqual(self.content()[1536:2048], data[:512])

    def test_whole_disk_at_once(self):
        """More than one part: 4 MiB in regions of odd sizes."""
        with self.start() as vm:
            disk = Ide(vm.qtest)
            pieces, at, rng = [], 0x400000, random.Random(7)
            left = SIZE
            while left:
                length = min(left, rng.randrange(1, 32768) * 2)
                pieces.append((at, length))
                at += length + 2 * rng.randrange(0, 50)
                left -= length
            self.assertEqual(disk.read(0, SIZE // 512, ata.READ_DMA_EXT, ext=True, pieces=pieces),
                             self.content())

    def test_many_small_regions(self):
        with self.start() as vm:
            disk = Ide(vm.qtest)
            pieces = [(0x400000 + 16 * i, 2) for i in range(1024)]
            self.assertEqual(disk.read(17, 4, pieces=pieces), self.content()[17 * 512:21 * 512])

    def test_chs(self):
        with self.start() as vm:
            disk, content = Ide(vm.qtest), self.content()
            disk.chs(ata.READ, 2, 3, 4, 1)
            lba = (2 * 16 + 3) * 63 + 3
            self.assertEqual(disk.data_in(512), content[lba * 512:(lba + 1) * 512])
            disk.end()
            disk.command(0x91, count=17, lba=3 << 24)  # 4 heads, 17 sectors
            disk.end()
            disk.chs(ata.READ, 5, 1, 6, 1)
            lba = (5 * 4 + 1) * 17 + 5
            self.assertEqual(disk.data_in(512), content[lba * 512:(lba + 1) * 512])
            disk.end()
            for cylinder, head, sector in ((5, 4, 1), (5, 1, 18), (5, 1, 0), (65535, 0, 1)):
                disk.chs(ata.READ, cylinder, head, sector, 1)
                self.fails(IDNF, disk.end)

    def test_ends_of_the_disk(self):
        last = SIZE // 512
        with self.start() as vm:
            disk = Ide(vm.qtest)
            self.assertEqual(disk.read(last - 1, 1), self.content()[-512:])
            for lba, count, ext in ((last, 1, False), (last - 1, 2, False), (last - 255, 0, False),
                                    (0xFFFFFFF, 1, False), (last, 1, True),
                                    (0xFFFFFFFFFFFF, 1, True), (1, 0, True)):
                disk.command(ata.READ_EXT if ext else ata.READ, lba, count, ext=ext)
                self.fails(IDNF, disk.end)
                self.assertEqual(disk.status(), DRDY | DSC | ERR)
            disk.command(0xF8)
            disk.end()
            _, low, mid, high, device = disk.registers()
            self.assertEqual(low | mid << 8 | high << 16 | (device & 15) << 24, last - 1)
            disk.command(0x40, last - 4, 4)
            disk.end()
            disk.command(0x40, last - 3, 4)
            self.fails(IDNF, disk.end)

    def test_what_is_refused(self):
        with self.start() as vm:
            disk = Ide(vm.qtest)
            for code in (0x00, 0xB0, 0xF1, 0xF6, 0x08, 0xA0, 0xA1, 0x60, 0x92, 0xFF):
                disk.command(code)
                self.fails(ABRT, disk.end)
            disk.command(ata.SET_MULTIPLE, count=3)
            self.fails(ABRT, disk.end)
            disk.command(ata.SET_MULTIPLE, count=32)
            self.fails(ABRT, disk.end)
            disk.command(ata.SET_MULTIPLE, count=0)
            disk.end()
            disk.command(ata.READ_MULTIPLE, count=1)
            self.fails(ABRT, disk.end)
            for feature, count in ((0x03, 0x23), (0x03, 0x46), (0x03, 0x10), (0x77, 0), (0x10, 6)):
                disk.command(ata.SET_FEATURES, features=feature, count=count)
                self.fails(ABRT, disk.end)

    def test_read_only(self):
        with self.start(",readonly=on") as vm:
            disk = Ide(vm.qtest)
            disk.command(ata.WRITE, 0, 1)
            self.fails(ABRT, disk.end)
            self.assertEqual(disk.read(0, 1), self.content()[:512])

    def test_power_and_features(self):
        with self.start() as vm:
            disk = Ide(vm.qtest)

            def mode():
                disk.command(0xE5)
                disk.end()
                return disk.registers()[0]
            self.assertEqual(mode(), 0xFF)
            for code, expected in ((0xE0, 0), (0xE1, 0xFF), (0xE2, 0), (0xE3, 0xFF), (0xE6, 0)):
                disk.command(code)
                disk.end()
                self.assertEqual(mode(), expected, hex(code))
            disk.read(0, 1)
            self.assertEqual(mode(), 0xFF)
            disk.command(ata.SET_FEATURES, features=3, count=0x44)
            disk.end()
            disk.command(ata.IDENTIFY)
            words = struct.unpack("<256H", disk.data_in(512))
            self.assertEqual((words[63], words[88]), (0x0007, 0x103F))

    def test_write_cache_off_writes_through(self):
        with self.start() as vm:
            disk = Ide(vm.qtest)

            def flushes():
                return vm.qmp.execute("query-blockstats")[0]["stats"]["flush_operations"]
            disk.command(ata.SET_FEATURES, features=0x82)
            disk.end()
            self.assertEqual(flushes(), 1, "the cache is written back first")
            disk.command(ata.IDENTIFY)
            self.assertFalse(disk.data_in(512)[170] & 0x20)
            disk.write(0, os.urandom(512))
            disk.command(ata.SET_FEATURES, features=0x02)
            disk.end()
            disk.command(ata.IDENTIFY)
            self.assertTrue(disk.data_in(512)[170] & 0x20)

    def test_trim(self):
        with self.start(",discard=unmap") as vm:
            disk = Ide(vm.qtest)
            ranges = [(64 << 48 | 128), (0 << 48), (1 << 48 | 1000), (8 << 48 | 2048)]
            vm.qtest.write(disk.DATA, struct.pack("<4Q", *ranges).ljust(1024, b"\0"))
            disk.regions([(disk.DATA, 1024)])
            disk.command(ata.DSM, count=2, features=1, ext=True)
            disk.start_dma(False)
            disk.end()
            disk.stop_dma()
            after, stats = self.content(), vm.qmp.execute("query-blockstats")[0]["stats"]
            self.assertEqual(after[128 * 512:192 * 512], bytes(64 * 512))
            self.assertEqual(stats["unmap_operations"], 3)
            vm.qtest.write(disk.DATA, struct.pack("<Q", 2 << 48 | (SIZE // 512 - 1)))
            disk.command(ata.DSM, count=1, features=1, ext=True)
            disk.start_dma(False)
            self.fails(IDNF, disk.end)
            disk.stop_dma()
            disk.command(ata.DSM, count=17, features=1, ext=True)
            self.fails(ABRT, disk.end)
        for drive in ("", ",discard=unmap,readonly=on"):
            with self.start(drive) as vm:
                disk = Ide(vm.qtest)
                disk.command(ata.DSM, count=1, features=1, ext=True)
                self.fails(ABRT, disk.end)

    def test_log_directory(self):
        with self.start() as vm:
            disk = Ide(vm.qtest)
            disk.command(ata.READ_LOG, 0, 1, ext=True)
            self.assertEqual(disk.data_in(512), b"\1".ljust(512, b"\0"))
            disk.command(ata.READ_LOG, 0x10, 1, ext=True)
            self.fails(ABRT, disk.end)


class Channel(Base):
    def test_interrupts(self):
        with self.start() as vm:
            vm.qtest.intercept()
            disk = Ide(vm.qtest)
            disk.command(ata.IDENTIFY)
            vm.qtest.wait_irq(14, True)
            self.assertEqual(disk.status(), DRDY | DSC | DRQ)
            self.assertTrue(vm.qtest.irq(14), "the alternate status does not acknowledge")
            vm.qtest.inb(disk.base + 7)
            self.assertFalse(vm.qtest.irq(14))
            disk.data_in(512)
            self.assertFalse(vm.qtest.irq(14), "no interrupt after the last block in")
            vm.qtest.outb(disk.control, 2)
            disk.command(ata.FLUSH)
            disk.wait()
            self.assertFalse(vm.qtest.irq(14), "nIEN")
            vm.qtest.outb(disk.control, 0)
            self.assertTrue(vm.qtest.irq(14), "it was pending")
            disk.command(ata.FLUSH)
            self.assertFalse(vm.qtest.irq(14), "a command takes it back")
            vm.qtest.wait_irq(14, True)

    def test_drives_and_nobody(self):
        second = self.make("second.img", 1 << 20)
        with self.start(",index=0", "-drive", f"file={second},format=raw,index=3") as vm:
            vm.qtest.intercept()
            first, slave = Ide(vm.qtest), Ide(vm.qtest, 1, 1)
            self.assertEqual(first.read(0, 8), self.content()[:4096])
            self.assertEqual(slave.read(0, 8), self.content(second)[:4096])
            nobody = Ide(vm.qtest, 0, 1)
            self.assertEqual(nobody.status(), 0)
            nobody.command(ata.IDENTIFY)
            self.assertEqual(nobody.registers(), (0, 0, 0, 0, 0))
            first.select()
            self.assertEqual(first.status(), DRDY | DSC)
            # A pending interrupt is that of the drive that is selected.
            slave.command(ata.FLUSH)
            vm.qtest.wait_irq(15, True)
            Ide(vm.qtest, 1, 0)
            self.assertFalse(vm.qtest.irq(15))
            slave.select()
            self.assertTrue(vm.qtest.irq(15))

    def test_ports_follow_the_decode_bits(self):
        with self.start() as vm:
            qtest = vm.qtest
            self.assertEqual(qtest.inb(0x1F7), 0xFF)
            Ide(qtest)
            self.assertEqual(qtest.inb(0x1F7), DRDY | DSC)
            qtest.pci_write(9, 0x40, 0, size=2)
            self.assertEqual(qtest.inb(0x1F7), 0xFF)
            qtest.pci_write(9, 0x40, 0x8000, size=2)
            self.assertEqual(qtest.inb(0x1F7), DRDY | DSC)
            qtest.pci_write(9, 4, 0, size=2)
            self.assertEqual(qtest.inb(0x3F6), 0xFF)

    def test_software_reset_and_signatures(self):
        with self.start(",index=0", "-drive", "media=cdrom,index=1") as vm:
            disk, cd = Ide(vm.qtest), Ide(vm.qtest, 0, 1)
            disk.command(0x91, count=17, lba=3 << 24)
            disk.end()
            vm.qtest.outb(disk.control, 4)
            self.assertEqual(disk.status(), BSY)
            vm.qtest.outb(disk.control, 0)
            self.assertEqual(disk.wait(), DRDY | DSC)
            self.assertEqual((disk.error(), *disk.registers()), (1, 1, 1, 0, 0, 0xA0))
            cd.select()
            self.assertEqual(cd.status(), 0)
            self.assertEqual(cd.registers()[:4], (1, 1, 0x14, 0xEB))
            cd.command(ata.IDENTIFY)
            self.fails(ABRT, cd.end)
            self.assertEqual(cd.registers()[2:4], (0x14, 0xEB))
            cd.command(ata.DIAGNOSTIC)
            self.assertEqual((disk.error(), disk.registers()[0]), (1, 1))
            self.assertEqual(vm.qtest.inb(disk.base + 6) & 0x10, 0, "drive 0 is selected")
            cd.select()
            cd.command(ata.DEVICE_RESET)
            self.assertEqual(cd.registers()[2:4], (0x14, 0xEB))

    def test_high_bytes(self):
        with self.start() as vm:
            disk = Ide(vm.qtest)
            for port, (first, second) in enumerate(((0x12, 0x34), (0x56, 0x78), (0x9A, 0xBC),
                                                    (0xDE, 0xF0))):
                vm.qtest.outb(disk.base + 2 + port, first)
                vm.qtest.outb(disk.base + 2 + port, second)
            self.assertEqual(disk.registers()[:4], (0x34, 0x78, 0xBC, 0xF0))
            vm.qtest.outb(disk.control, 0x80)
            self.assertEqual(disk.registers()[:4], (0x12, 0x56, 0x9A, 0xDE))

    def test_machine_reset_with_a_transfer_under_way(self):
        with self.start() as vm:
            disk = Ide(vm.qtest)
            for code in (ata.READ, ata.WRITE, ata.READ_DMA):
                disk.command(code, 0, 8)
                vm.qmp.execute("system_reset")
                vm.qmp.wait_event("RESET")
                disk = Ide(vm.qtest)
                self.assertEqual(disk.wait(), DRDY | DSC)
                self.assertEqual(disk.read(0, 1), self.content()[:512])

    def test_boot_order(self):
        cd = self.make("cd.iso", 1 << 20)
        drives = ["-drive", f"file={cd},if=none,id=c,format=raw,readonly=on",
                  "-drive", f"file={self.image},if=none,id=d,format=raw"]
        virtio = self.make("v.img", 1 << 20)
        with Duodm(*drives, "-drive", f"file={virtio},if=none,id=v,format=raw", "-device",
                   "ide-cd,drive=c,bus=ide.1,unit=1,bootindex=2", "-device",
                   "ahci,id=sata", "-device", "ide-hd,drive=d,bus=sata.3,bootindex=1", "-device",
                   "virtio-net-pci,bootindex=7", "-device", "virtio-blk-pci,drive=v,bootindex=0",
                   "-global", "virtio-net-pci.addr=9", qtest=True) as vm:
            self.assertEqual(fw_cfg_file(vm.qtest, b"bootorder"),
                             b"/pci@i0cf8/pci1af4,1042@3/disk@0,0\n"
                             b"/pci@i0cf8/pci8086,2922@2/drive@3/disk@0\n"
                             b"/pci@i0cf8/pci8086,7010@1,1/drive@1/disk@1\n"
                             b"/pci@i0cf8/pci1af4,1041@9/ethernet-phy@0\0")
        result = run("-accel", "qtest", *drives, "-device", "ide-cd,drive=c,bootindex=2", "-device",
                     "ide-hd,drive=d,bootindex=2")
        self.assertIn("bootindex=2", result.stderr)

    def test_boot_once(self):
        with Duodm("-boot", "order=cda,once=dc", qtest=True) as vm:
            def order():
                vm.qtest.outb(0x70, 0x3D)
                return vm.qtest.inb(0x71)
            self.assertEqual(order(), 0x23)
            for _ in range(2):
                vm.qmp.execute("system_reset")
                vm.qmp.wait_event("RESET")
                self.assertEqual(order(), 0x32)

    def test_bad_command_lines(self):
        disk = ["-drive", f"file={self.image},if=none,id=d,format=raw"]
        long = "x" * 41
        for arguments, told in (
                (["-device", "ide-hd"], "'drive' is missing"),
                ([*disk, "-device", "ide-hd,drive=e"], "'e'"),
                ([*disk, "-device", "ide-hd,drive=d,unit=2"], "unit=2"),
                ([*disk, "-device", "ide-hd,drive=d,bus=ide.2"], "ide.0, ide.1"),
                ([*disk, "-device", "ide-hd,drive=d,serial=" + long], "20 characters"),
                ([*disk, "-device", "ide-hd,drive=d,model=" + long], "40 characters"),
                ([*disk, "-device", "ide-hd,drive=d,werror=maybe"], "enospc"),
                ([*disk, "-device", "ide-hd,drive=d,bootindex=-2"], "boot order"),
                ([*disk, "-device", "ide-cd", "-device", "ide-cd,bus=ide.0,unit=0"], "unit=0"),
                (["-device", "ide-cd"] * 5, "no place"),
                (["-hda", self.image, "-hda", self.image], "index=0"),
                (["-hda", self.image, "-drive", f"file={self.image},if=ide,bus=0,unit=0"],
                 "bus=0,unit=0"),
                (["-cdrom", "/nonexistent/x"], "/nonexistent/x"),
                (["-M", "microvm", *disk, "-device", "ide-hd,drive=d"], "no bus of its kind"),
                (["-hda", self.image] + ["-drive", "media=cdrom"] * 4, "4 IDE")):
            with self.subTest(arguments=arguments):
                result = run("-accel", "qtest", "-nodefaults", "-display", "none", *arguments)
                self.assertEqual(result.returncode, 1)
                self.assertIn(told, result.stderr)


def fw_cfg_file(qtest, name):
    def select(key):
        qtest.outw(0x510, key)

    def take(size):
        return bytes(qtest.inb(0x511) for _ in range(size))
    select(0x19)
    for _ in range(struct.unpack(">I", take(4))[0]):
        size, key, _, found = struct.unpack(">IHH56s", take(64))
        if found.rstrip(b"\0") == name:
            select(key)
            return take(size)
    return None


class Dma(Base):
    def test_status_bits(self):
        with self.start() as vm:
            disk = Ide(vm.qtest)
            disk.regions([(disk.DATA, 1024)])
            disk.start_dma(True)
            self.assertEqual(vm.qtest.inb(disk.dma + 2), 0x61, "active, before there is a command")
            disk.command(ata.READ_DMA, 0, 2)
            disk.wait()
            self.assertEqual(vm.qtest.inb(disk.dma + 2), 0x64, "over, with the last region")
            vm.qtest.outb(disk.dma + 2, 0x64)
            self.assertEqual(vm.qtest.inb(disk.dma + 2), 0x60)
            disk.stop_dma()
            # Longer regions than the command: still active, with the interrupt.
            disk.regions([(disk.DATA, 4096)])
            disk.command(ata.READ_DMA, 0, 2)
            disk.start_dma(True)
            disk.wait()
            self.assertEqual(vm.qtest.inb(disk.dma + 2), 0x65)
            self.assertEqual(disk.stop_dma(), 0x65)
            self.assertEqual(vm.qtest.inb(disk.dma + 2), 0x64)

    def test_registers(self):
        with self.start() as vm:
            disk, qtest = Ide(vm.qtest), vm.qtest
            qtest.outl(disk.dma + 4, 0x12345677)
            self.assertEqual(qtest.inl(disk.dma + 4), 0x12345674)
            self.assertEqual(qtest.inw(disk.dma + 6), 0x1234)
            qtest.outb(disk.dma + 5, 0xAB)
            self.assertEqual(qtest.inl(disk.dma + 4), 0x1234AB74)
            qtest.outb(disk.dma, 0xFF)
            self.assertEqual(qtest.inb(disk.dma), 0x09)
            qtest.outb(disk.dma, 0x01)
            self.assertEqual(qtest.inb(disk.dma), 0x09, "no change of direction while it runs")
            qtest.outb(disk.dma, 0x00)

    def test_bad_regions(self):
        with self.start() as vm:
            disk = Ide(vm.qtest)
            for pieces in ([(0xF0000000, 4096)],             # no memory
                           [(disk.DATA, 1024), (0xF0000000, 4096)],
                           [(0xFEC00000, 4096)],             # a device
                           [(disk.DATA, 512)],               # too short
                           [(0xFFFFF000, 0)]):               # past 4 GiB
                with self.subTest(pieces=pieces):
                    disk.regions(pieces)
                    disk.command(ata.READ_DMA, 0, 8)
                    disk.start_dma(True)
                    self.fails(ABRT, disk.end)
                    self.assertEqual(disk.stop_dma() & 3, 2)
            vm.qtest.outl(disk.dma + 4, 0xF0000000)  # a table that is not there
            disk.command(ata.READ_DMA, 0, 8)
            disk.start_dma(True)
            self.fails(ABRT, disk.end)
            disk.stop_dma()
            self.assertEqual(disk.read(0, 8), self.content()[:4096])

    def test_wrong_direction(self):
        with self.start() as vm:
            disk, before = Ide(vm.qtest), self.content()
            disk.regions([(disk.DATA, 1024)])
            disk.command(ata.WRITE_DMA, 0, 2)
            disk.start_dma(True)
            self.fails(ABRT, disk.end)
            disk.stop_dma()
            self.assertEqual(self.content(), before)

    def test_no_bus_mastering(self):
        with self.start() as vm:
            disk = Ide(vm.qtest)
            vm.qtest.pci_write(9, 4, 1, size=2)
            disk.regions([(disk.DATA, 512)])
            disk.command(ata.READ_DMA, 0, 1)
            disk.start_dma(True)
            self.fails(ABRT, disk.end)

    def test_table_stays_in_its_64k(self):
        """A table without an end mark, up to the border."""
        with self.start() as vm:
            disk = Ide(vm.qtest)
            table = 0x1FFF0
            vm.qtest.write(table, struct.pack("<IIIIII", disk.DATA, 512, disk.DATA + 512, 512,
                                              disk.DATA + 1024, 512))
            vm.qtest.outl(disk.dma + 4, table)
            disk.command(ata.READ_DMA, 0, 3)
            disk.start_dma(True)
            self.fails(ABRT, disk.end)
            disk.stop_dma()
            self.assertEqual(vm.qtest.read(disk.DATA, 1024), self.content()[:1024])


class Failures(Base):
    """The process may write its files only up to a size."""

    def start_failing(self, policies):
        vm = self.start(policies + ",aio=threads")
        self.addCleanup(vm.close)
        return vm, Ide(vm.qtest)

    def limit(self, vm, size):
        resource.prlimit(vm.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def test_report(self):
        vm, disk = self.start_failing(",werror=report")
        self.limit(vm, 1 << 20)
        self.fails(ABRT, disk.write, 4096, bytes(512))
        self.assertEqual(vm.qmp.wait_event("BLOCK_IO_ERROR")["data"]["action"], "report")
        self.fails(ABRT, disk.pio_write, 4096, bytes(512))
        self.limit(vm, 1 << 30)
        disk.write(4096, b"\x55" * 512)
        self.assertEqual(self.content()[2 << 20:][:512], b"\x55" * 512)

    def test_pio_up_to_the_bad_sector(self):
        with nbd.Server(b"s" * 512, SIZE) as server, Duodm(
                "-drive", f"file=nbd:unix:{server.path},if=ide,format=raw,rerror=report",
                qtest=True) as vm:
            disk = Ide(vm.qtest)
            server.bad = range(23 * 512, 24 * 512)
            disk.command(ata.READ, 3, 40)
            for _ in range(20):
                self.assertEqual(disk.data_in(512), server.pattern)
            self.fails(UNC, disk.end)
            self.assertEqual(disk.registers()[1:4], (23, 0, 0))
            self.assertEqual(vm.qmp.wait_event("BLOCK_IO_ERROR")["data"]["operation"], "read")
            server.bad = range(0)
            self.assertEqual(disk.pio_read(3, 40), server.pattern * 40)

    def test_ignore(self):
        vm, disk = self.start_failing(",werror=ignore")
        self.limit(vm, 1 << 20)
        disk.write(4096, bytes(512))
        self.assertEqual(vm.qmp.wait_event("BLOCK_IO_ERROR")["data"]["action"], "ignore")

    def test_stop_and_try_again(self):
        for by_dma in (True, False):
            with self.subTest(by_dma=by_dma):
                vm, disk = self.start_failing(",werror=stop")
                self.limit(vm, 1 << 20)
                data = os.urandom(1024)
                if by_dma:
                    vm.qtest.write(disk.DATA, data)
                    disk.regions([(disk.DATA, 1024)])
                    disk.command(ata.WRITE_DMA, 4096, 2)
                    disk.start_dma(False)
                else:
                    disk.command(ata.WRITE, 4096, 2)
                    disk.data_out(data[:512])
                vm.qmp.wait_event("STOP")
                self.assertEqual(vm.qmp.execute("query-status")["status"], "io-error")
                self.assertEqual(disk.status(), BSY)
                vm.qmp.execute("cont")
                vm.qmp.wait_event("STOP")
                self.limit(vm, 1 << 30)
                vm.qmp.execute("cont")
                if not by_dma:
                    disk.data_out(data[512:])
                disk.end()
                self.assertEqual(self.content()[4096 * 512:][:1024], data)
                self.assertEqual(vm.quit(), 0)

    def test_reset_forgets_what_was_to_be_tried_again(self):
        vm, disk = self.start_failing(",werror=stop")
        self.limit(vm, 1 << 20)
        before = self.content()
        disk.command(ata.WRITE, 4096, 1)
        disk.data_out(b"\x77" * 512)
        vm.qmp.wait_event("STOP")
        vm.qmp.execute("system_reset")
        vm.qmp.wait_event("RESET")
        self.limit(vm, 1 << 30)
        vm.qmp.execute("cont")
        disk = Ide(vm.qtest)
        self.assertEqual(disk.wait(), DRDY | DSC)
        self.assertEqual(self.content(), before)


class Hostile(Base):
    def test_random_registers(self):
        """Whatever is written where: the process lives, and the disk's end is no end of memory."""
        cd = self.make("cd.iso", 1 << 20)
        with seeded(self) as rng, self.start(
                ",index=0", "-drive", f"file={cd},format=raw,media=cdrom,index=1") as vm:
            qtest = vm.qtest
            Ide(qtest)
            commands = [0x20, 0x24, 0x25, 0x29, 0x2F, 0x30, 0x34, 0x35, 0x39, 0x06, 0xA0, 0xA0, 0xA0,
                        0xC4, 0xC5, 0xC8, 0xCA, 0xCE, 0xE7, 0xEC, 0xA1, 0xEF, 0x08, 0x90, 0x91]
            for _ in range(1500):
                action = rng.randrange(12)
                if action < 3:
                    qtest.outb(0x1F0 + rng.randrange(8), rng.choice((0, 1, 2, 0x40, 0xA0, 0xB0, 0xFF,
                                                                   rng.randrange(256))))
                elif action < 5:
                    qtest.outb(0x1F7, rng.choice(commands))
                elif action < 8:
                    cdb = rng.choice((0x28, 0xA8, 0xBE, 0x43, 0x46, 0x4A, 0x5A, 0x55, 0x12, 3, 0x1B))
                    qtest.outw(0x1F0, rng.choice((cdb, rng.randrange(1 << 16), 0, 0x100)))
                    qtest.inl(0x1F0)
                elif action == 8:
                    qtest.outb(0x3F6, rng.choice((0, 0, 2, 4, 0x80)))
                elif action == 9:
                    qtest.outb(0xC000 + rng.choice((0, 0, 2)), rng.randrange(256))
                elif action == 10:
                    qtest.outl(0xC004, rng.choice((0x100000, 0x10FFF8, rng.randrange(1 << 32))))
                else:
                    qtest.write(0x100000 + 8 * rng.randrange(4), struct.pack(
                        "<II", rng.choice((0x200000, 0x100000, rng.randrange(1 << 32))),
                        rng.choice((0, 2, 512, 0x80000000, rng.randrange(1 << 32)))))
            self.assertEqual(vm.qmp.execute("query-status")["status"], "running")
            vm.qtest.outb(0x3F6, 4)
            vm.qtest.outb(0x3F6, 0)
            qtest.outb(0xC000, 0)
            disk = Ide(qtest)
            self.assertEqual(disk.wait(), DRDY | DSC)
            self.assertEqual(disk.read(0, 8), self.content()[:4096])
            self.assertEqual(os.path.getsize(self.image), SIZE)


if __name__ == "__main__":
    unittest.main()
