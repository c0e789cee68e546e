# SPDX-License-Identifier: GPL-2.0-or-later
"""What guests on tcg show: looked at over VNC, read by comparing with fonts."""

import os
import unittest

from duodm import Duodm, guest_program
from kernels import CACHE, initramfs_with, kernel
from rfb import RFB
from screen import bios_font, read_cell, read_text
from seed import seed


def shows(text, font):
    return lambda client: (client.width, client.height) == (720, 400) and \
        any(text in line for line in read_text(client.rgb(), font))


class Firmware(unittest.TestCase):
    def start(self, *options):
        vm = Duodm("-accel", "tcg", "-vga", "std", "-vnc", "unix:@/vnc", *options, timeout=60)
        vm.__enter__()
        self.addCleanup(vm.__exit__, None, None, None)
        return vm, RFB(vm.path("vnc"), timeout=120)

    def test_seabios(self):
        """From its banner to its end without a disk."""
        vm, client = self.start()
        with client:
            client.wait_for(shows("SeaBIOS (version", bios_font()))
            client.wait_for(shows("No bootable device", bios_font()))
        self.assertEqual(vm.quit(), 0)

    def test_boot_menu(self):
        """Asked for by a key of the client."""
        vm, client = self.start("-boot", "menu=on")
        with client:
            client.wait_for(shows("Press ESC for boot menu", bios_font()))
            client.press(0xFF1B)
            client.wait_for(shows("Select boot device:", bios_font()))
        self.assertEqual(vm.quit(), 0)


class Hostile(unittest.TestCase):
    def test_random_writes_while_somebody_looks(self):
        with Duodm("-accel", "tcg", "-m", "64", "-vga", "std", "-vnc", "unix:@/vnc", "-smp", "2",
                   "-no-shutdown", "-kernel", guest_program("hostile64"), "-append", f"seed={seed()}",
                   timeout=120) as vm, \
                RFB(vm.path("vnc"), timeout=60) as client:
            for seen in range(100):
                client.update(False)
                client.pointer(seen, seen, seen & 7)
                client.press(seen + 0x40)
                vm.qmp.count_resets(1)
            self.assertEqual(vm.quit(), 0)


class Linux(unittest.TestCase):
    """Debian's kernel with its drivers of the adapter (bochs-drm), of keyboard and mouse."""

    def shell(self, vm, command):
        """What a command prints."""
        vm.serial.write(f"echo BEGIN; {command}; echo END\n")
        vm.serial.expect(rb"\nBEGIN\r\n")
        return vm.serial.expect(rb"(.*?)END\r\n").group(1).decode().replace("\r", "")

    def check_picture(self, client):
        """Cells of the first row are what was written: like letters look alike, others don't."""
        def row(picture):
            rows = picture.rgb()
            return [read_cell(rows, 8 * i, 0, b"\0\0\0") for i in range(16)]

        def is_there(picture):
            if (picture.width, picture.height) != (1024, 768):
                return False
            cells = row(picture)
            return [cells.index(cell) for cell in cells] == [0] * 8 + [8] * 4 + [12] * 2 + [14, 15]
        client.wait_for(is_there)
        font = {glyph: letter for glyph, letter in bios_font().items() if letter in "ABCDE"}
        self.assertEqual(font.get(row(client)[0], "A"), "A")

    def check_keyboard(self, vm, client):
        vm.serial.write("exec 3</dev/tty0; echo OPE''N; head -n1 <&3 >/line; echo IS-$(cat /line)\n")
        vm.serial.expect(rb"OPEN\r\n")  # keys for a terminal that nobody has open are lost
        client.type("Hello, tty: 1+2=3!\n")
        vm.serial.expect(rb"IS-Hello, tty: 1\+2=3!\r\n", timeout=60)

    def check_mouse(self, vm, client):
        vm.serial.write("exec 3</dev/input/mice; echo OPE''N; dd bs=3 count=1 <&3 2>/dev/null | "
                        "od -An -tx1; echo READ\n")
        vm.serial.expect(rb"OPEN\r\n")
        client.pointer(100, 100)
        client.press(0xFFE1)  # the first place has been noted when the second one comes
        client.pointer(110, 80)
        vm.serial.expect(rb" [01]8 [0-9a-f]{2} [0-9a-f]{2}\r\nREAD", timeout=60)

    def test_messages_without_a_driver(self):
        """The kernel is told of a linear mode that was set for it."""
        with Duodm("-accel", "tcg", "-m", "512", "-vga", "std", "-vnc", "unix:@/vnc",
                   "-kernel", kernel("full"), "-append", "console=tty0 root=/dev/nothing",
                   timeout=60) as vm, \
                RFB(vm.path("vnc"), timeout=240) as client:
            font = bios_font()
            client.wait_for(lambda c: c.width == 1024 and any(
                "end Kernel panic - not syncing" in line for line in read_text(c.rgb(), font, 8)))
            self.assertEqual(vm.quit(), 0)

    def test_console_keyboard_mouse(self):
        ramdisk = initramfs_with(os.path.join(CACHE, "initramfs-display.gz"), "full",
                                 ["bochs", "psmouse"])
        with Duodm("-accel", "tcg", "-m", "512", "-vga", "std", "-vnc", "unix:@/vnc",
                   "-kernel", kernel("full"), "-initrd", ramdisk,
                   "-append", "console=tty0 console=ttyS0 quiet panic=-1", serial=True,
                   timeout=60) as vm, \
                RFB(vm.path("vnc"), timeout=60) as client:
            vm.serial.expect(rb"duodm-guest# ", timeout=240)
            self.assertEqual(self.shell(vm, "cat /proc/fb"), "0 bochs-drmdrmfb\n")
            self.shell(vm, "clear >/dev/tty0; echo AAAAAAAABBBBCCDE >/dev/tty0")
            self.check_picture(client)
            self.check_keyboard(vm, client)
            self.check_mouse(vm, client)
