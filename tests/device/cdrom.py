# SPDX-License-Identifier: GPL-2.0-or-later
"""CD drives over the test port: packet commands by PIO and DMA, sense data, unit attentions, the tray,
drives without a medium."""
import os
import random
import shutil
import struct
import tempfile
import unittest

import ata
from ata import DriveError, Ide
from duodm import Duodm

BLOCKS = 700
NOT_READY, ILLEGAL, ATTENTION = 2, 5, 6


def read_10(block, count):
    return struct.pack(">BBIBHB", 0x28, 0, block, 0, count, 0)


class CdDrive(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="duodm-cd-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.image = os.path.join(self.folder, "cd.iso")
        self.content = random.Random(3).randbytes(BLOCKS * 2048)
        with open(self.image, "wb") as file:
            file.write(self.content)

    def start(self, *more):
        return Duodm("-drive", f"file={self.image},if=none,id=cd,readonly=on,format=raw", "-device",
                     "ide-cd,id=tray,drive=cd,bus=ide.1,unit=0", *more, qtest=True)

    def drive(self, vm, ready=True):
        drive = Ide(vm.qtest, channel=1)
        if ready:
            drive.ready()
        return drive

    def test_identify_and_inquiry(self):
        with self.start() as vm:
            drive = self.drive(vm, ready=False)
            drive.command(ata.IDENTIFY_PACKET)
            data = drive.data_in(512)
            drive.end()
            self.assertEqual(struct.unpack("<H", data[:2])[0], 0x85C0)
            self.assertEqual(sum(data) & 0xFF, 0)
            data = drive.packet([0x12, 0, 0, 0, 36], 36)
            self.assertEqual((data[0], data[1], data[4]), (5, 0x80, 31))
            self.assertEqual(data[8:16], b"DUODM   ")
            self.assertEqual(drive.packet([0x12, 0, 0, 0, 5], 5), data[:5])
            self.assertEqual(drive.packet([0x12, 0, 0, 0, 0]), b"")
            self.assertEqual(drive.refused([0x12, 1, 0x83, 0, 36]), (ILLEGAL, 0x2400))

    def test_attention_after_reset(self):
        with self.start() as vm:
            drive = self.drive(vm, ready=False)
            drive.packet([0x12, 0, 0, 0, 36], 36)
            self.assertEqual(drive.refused([0]), (ATTENTION, 0x2900))
            drive.packet([0])
            self.assertEqual(drive.sense(), (0, 0))
            vm.qmp.execute("system_reset")
            drive = self.drive(vm, ready=False)
            self.assertEqual(drive.sense(), (ATTENTION, 0x2900), "REQUEST SENSE takes it too")
            drive.packet([0])

    def test_reads(self):
        with self.start() as vm:
            drive = self.drive(vm)
            for block, count in ((0, 1), (16, 3), (690, 10), (0, 20)):
                wanted = self.content[block * 2048:(block + count) * 2048]
                size = count * 2048
                self.assertEqual(drive.packet(read_10(block, count), size), wanted)
                self.assertEqual(drive.packet(read_10(block, count), size, dma=True), wanted)
                for limit in (2048, 510, 5000, 8192, 65535):
                    self.assertEqual(drive.packet(read_10(block, count), size, limit=limit), wanted)
            self.assertEqual(drive.packet(struct.pack(">BBII", 0xA8, 0, 7, 2), 4096),
                             self.content[7 * 2048:9 * 2048])
            read_cd = struct.pack(">BBIBBBB", 0xBE, 0, 9, 0, 0, 1, 0x10)
            self.assertEqual(drive.packet(read_cd, 2048), self.content[9 * 2048:10 * 2048])
            self.assertEqual(drive.packet(read_10(5, 0)), b"")
            # All at once: more than one part.
            whole = drive.packet(read_10(0, BLOCKS), BLOCKS * 2048, dma=True)
            self.assertEqual(whole, self.content)

    def test_reads_past_the_end(self):
        with self.start() as vm:
            drive = self.drive(vm)
            for block, count in ((BLOCKS, 1), (BLOCKS - 1, 2), (0xFFFFFFFF, 1), (0, 65535)):
                for dma in (False, True):
                    self.assertEqual(drive.refused(read_10(block, count), dma=dma), (ILLEGAL, 0x2100))
            self.assertEqual(drive.refused(struct.pack(">BBII", 0xA8, 0, 1, 0xFFFFFFFF)),
                             (ILLEGAL, 0x2100))
            self.assertEqual(drive.refused(struct.pack(">BBI", 0x2B, 0, BLOCKS)), (ILLEGAL, 0x2100))
            drive.packet(struct.pack(">BBI", 0x2B, 0, BLOCKS - 1))

    def test_what_is_on_it(self):
        with self.start() as vm:
            drive = self.drive(vm)
            self.assertEqual(drive.packet([0x25], 8), struct.pack(">II", BLOCKS - 1, 2048))
            toc = drive.packet([0x43, 0, 0, 0, 0, 0, 1, 0, 255], 255)
            self.assertEqual(toc, struct.pack(">HBB BBBBI BBBBI", 18, 1, 1, 0, 0x14, 1, 0, 0, 0,
                                              0x14, 0xAA, 0, BLOCKS))
            toc = drive.packet([0x43, 2, 0, 0, 0, 0, 0xAA, 0, 255], 255)
            frames = BLOCKS + 150
            self.assertEqual(toc[8:12], bytes([0, frames // 4500, frames // 75 % 60, frames % 75]))
            self.assertEqual(drive.packet([0x43, 0, 1, 0, 0, 0, 0, 0, 12], 12)[:4], b"\0\x0a\1\1")
            self.assertEqual(len(drive.packet([0x43, 0, 2, 0, 0, 0, 0, 0, 255], 255)), 48)
            self.assertEqual(drive.refused([0x43, 0, 0, 0, 0, 0, 2, 0, 255]), (ILLEGAL, 0x2400))
            self.assertEqual(drive.refused([0x43, 0, 5, 0, 0, 0, 0, 0, 255]), (ILLEGAL, 0x2400))
            info = drive.packet([0x51, 0, 0, 0, 0, 0, 0, 0, 34], 34)
            self.assertEqual((info[0] << 8 | info[1], info[2]), (32, 0x0E))
            track = drive.packet([0x52, 1, 0, 0, 0, 1, 0, 0, 36], 36)
            self.assertEqual(struct.unpack(">I", track[24:28])[0], BLOCKS)

    def test_configuration_and_modes(self):
        with self.start() as vm:
            drive = self.drive(vm)
            data = drive.packet([0x46, 0, 0, 0, 0, 0, 0, 1, 0], 256)
            self.assertEqual(struct.unpack(">I", data[:4])[0], len(data) - 4)
            self.assertEqual(data[6:8], b"\0\x08", "it is a CD")
            at, codes = 8, []
            while at < len(data):
                codes.append(data[at] << 8 | data[at + 1])
                at += 4 + data[at + 3]
            self.assertEqual(at, len(data))
            self.assertEqual(codes, sorted(codes))
            one = drive.packet([0x46, 2, 0, 3, 0, 0, 0, 1, 0], 256)
            self.assertEqual((len(one), one[8:10]), (16, b"\0\3"))
            data = drive.packet([0x5A, 0, 0x2A, 0, 0, 0, 0, 0, 255], 255)
            self.assertEqual((data[0] << 8 | data[1], data[8], data[9]), (len(data) - 2, 0x2A, 20))
            self.assertEqual(len(drive.packet([0x1A, 0, 0x3F, 0, 255], 255)), 4 + 8 + 22)
            self.assertEqual(drive.refused([0x5A, 0, 0x0E, 0, 0, 0, 0, 0, 255]), (ILLEGAL, 0x2400))
            self.assertEqual(drive.refused([0x5A, 0, 0xEA, 0, 0, 0, 0, 0, 255]), (ILLEGAL, 0x3900))
            drive.packet([0x55, 0x10, 0, 0, 0, 0, 0, 0, 16], out=bytes(16))
            self.assertEqual(drive.refused([0x55, 0x10, 0, 0, 0, 0, 0, 0xFF, 0xFF]),
                             (ILLEGAL, 0x2400))
            self.assertEqual(drive.refused([0xEE]), (ILLEGAL, 0x2000))

    def events(self, drive):
        return drive.packet([0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8], 8)[4:6]

    def test_tray(self):
        with self.start() as vm:
            drive = self.drive(vm)
            self.assertEqual(self.events(drive), b"\0\2")
            drive.packet([0x1E, 0, 0, 0, 1])
            self.assertEqual(drive.refused([0x1B, 0, 0, 0, 2]), (ILLEGAL, 0x5302))
            drive.packet([0x1E, 0, 0, 0, 0])
            drive.packet([0x1B, 0, 0, 0, 2])
            event = vm.qmp.wait_event("DEVICE_TRAY_MOVED")["data"]
            self.assertEqual(event, {"device": "cd", "id": "tray", "tray-open": True})
            self.assertEqual(drive.refused([0]), (NOT_READY, 0x3A02))
            self.assertEqual(drive.refused(read_10(0, 1)), (NOT_READY, 0x3A02))
            self.assertEqual(self.events(drive), b"\3\3", "removed; open, and a medium in it")
            self.assertEqual(self.events(drive), b"\0\3")
            self.assertEqual(drive.packet([0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 8], 8)[1], 0x10)
            drive.packet([0x1B, 0, 0, 0, 3])
            self.assertFalse(vm.qmp.wait_event("DEVICE_TRAY_MOVED")["data"]["tray-open"])
            self.assertEqual(self.events(drive), b"\2\2")
            self.assertEqual(drive.refused([0]), (ATTENTION, 0x2800))
            self.assertEqual(drive.packet(read_10(1, 1), 2048), self.content[2048:4096])

    def test_no_medium(self):
        """libxl's form."""
        for arguments in (("-drive", "if=none,readonly=on,id=ide-5632", "-device",
                           "ide-cd,id=ide-5632,drive=ide-5632,bus=ide.1,unit=0"),
                          ("-device", "ide-cd,bus=ide.1"),
                          ("-drive", "if=ide,index=2,media=cdrom")):
            with self.subTest(arguments=arguments), Duodm(*arguments, qtest=True) as vm:
                drive = self.drive(vm, ready=False)
                self.assertEqual(drive.refused([0]), (ATTENTION, 0x2900))
                self.assertEqual(drive.refused([0]), (NOT_READY, 0x3A01))
                self.assertEqual(drive.refused([0x25]), (NOT_READY, 0x3A01))
                self.assertEqual(self.events(drive), b"\0\0")
                drive.packet([0x1B, 0, 0, 0, 2])
                self.assertEqual(drive.refused([0]), (NOT_READY, 0x3A02))

    def test_short_regions(self):
        with self.start() as vm:
            drive = self.drive(vm)
            drive.regions([(drive.DATA, 1024)])
            drive.command(ata.PACKET, 0, 0, features=1)
            drive.data_out(read_10(0, 4).ljust(12, b"\0"))
            drive.start_dma(True)
            with self.assertRaises(DriveError):
                drive.end()
            drive.stop_dma()
            self.assertEqual(drive.packet(read_10(0, 1), 2048, dma=True), self.content[:2048])


if __name__ == "__main__":
    unittest.main()
