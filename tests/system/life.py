# SPDX-License-Identifier: GPL-2.0-or-later
"""tests/guest/life64, a guest that works on an IDE disk and a network and draws, saved and restored
many times.

DUODM_TEST_LIVES: how many times (8).
"""
import os
import socket
import struct
import tempfile
import threading
import unittest

from duodm import Duodm, guest_program
from rfb import RFB

ROUNDS = int(os.environ.get("DUODM_TEST_LIVES", "8"))
WIDTH, HEIGHT, BAR_LINES = 640, 480, 16  # as in life64.c
DISK_SIZE = 64 * 4096


def checksum(image):
    """What life64 says of its disk: FNV-1a over 32-bit words."""
    total = 0x811c9dc5
    for (word,) in struct.iter_unpack("<I", image):
        total = (total ^ word) * 0x01000193 & 0xffffffff
    return total


def send_back(peer, path):
    """What comes from the machine, until there is an empty datagram."""
    while frame := peer.recv(2048):
        try:
            peer.sendto(frame[6:12] + frame[:6] + frame[12:], path)
        except OSError:  # it is not there now
            pass


class Life(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="duodm-life-")
        self.addCleanup(folder.cleanup)
        self.local, self.remote = (os.path.join(folder.name, name) for name in ("vm", "peer"))
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(peer.close)
        peer.bind(self.remote)
        thread = threading.Thread(target=send_back, args=(peer, self.local))
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.end_peer)
        self.image = os.path.join(folder.name, "disk")
        self.saved = os.path.join(folder.name, "saved")
        with open(self.image, "wb") as file:
            file.truncate(1 << 20)
        self.ticks = self.writes = self.echoes = 0

    def end_peer(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", self.remote)

    def start(self, *arguments):
        return Duodm("-accel", "tcg", "-m", "64", "-vga", "std", "-vnc", "unix:@/vnc", "-bios",
                     "bios-256k.bin", "-kernel", guest_program("life64"), "-drive",
                     f"file={self.image},if=ide,format=raw,index=0", "-netdev",
                     f"dgram,id=n,local.type=unix,local.path={self.local},remote.type=unix,"
                     f"remote.path={self.remote}", "-device", "rtl8139,netdev=n,romfile=", *arguments,
                     serial=True, timeout=120)

    def follow(self, vm):
        """It says that it is well, and forgot nothing."""
        said = vm.serial.expect(rb"life (\d+) ticks (\d+) writes (\d+) echoes (\d+) errors\n")
        ticks, writes, echoes, errors = map(int, said.groups())
        self.assertEqual(errors, 0, said[0])
        self.assertGreaterEqual(ticks, self.ticks)
        self.assertGreaterEqual(writes, self.writes)
        self.assertGreaterEqual(echoes, self.echoes)
        self.ticks, self.writes, self.echoes = ticks, writes, echoes

    def check_picture(self, vm):
        def row(y):
            return b"".join(struct.pack("<I", x & 255 | (y & 255) << 8 | ((x ^ y) & 255) << 16)
                            for x in range(WIDTH))

        with RFB(vm.path("vnc"), timeout=60) as client:
            client.wait_for(lambda c: c.height == HEIGHT and bytes(c.pixels[-1]) == row(HEIGHT - 1))
            self.assertEqual([bytes(client.pixels[y]) for y in range(BAR_LINES, HEIGHT)],
                             [row(y) for y in range(BAR_LINES, HEIGHT)])

    def save(self, vm):
        vm.qmp.execute("migrate", uri="file:" + self.saved)
        while (status := vm.qmp.execute("query-migrate")["status"]) in ("setup", "active", "device"):
            pass
        self.assertEqual(status, "completed", vm.qmp.execute("query-migrate"))
        self.assertEqual(vm.quit(), 0)

    def test_saved_and_restored(self):
        vm = self.start()
        try:
            vm.serial.expect(rb"life begins\n")
            vm.serial.write("g")
            vm.serial.expect(rb"life graphics drawn\n")
            for _ in range(ROUNDS):
                self.follow(vm)
                self.save(vm)
                vm.close()
                vm = self.start("-incoming", "file:" + self.saved)
                self.check_picture(vm)
            self.follow(vm)
            self.assertGreater(self.writes, 0)
            self.assertGreater(self.echoes, 0)
            vm.serial.write("v")
            said = vm.serial.expect(rb"life sum (\d+)\n")
            with open(self.image, "rb") as file:
                self.assertEqual(int(said[1]), checksum(file.read(DISK_SIZE)))
        finally:
            vm.close()


if __name__ == "__main__":
    unittest.main()
