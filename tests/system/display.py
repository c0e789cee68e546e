# SPDX-License-Identifier: GPL-2.0-or-later
"""What guests on tcg show: looked at over VNC, read by comparing with fonts."""

import unittest

from duodm import SLOWER, Duodm
from rfb import RFB
from screen import bios_font, read_text


def shows(text, font):
    return lambda client: (client.width, client.height) == (720, 400) and \
        any(text in line for line in read_text(client.rgb(), font))


class Firmware(unittest.TestCase):
    def start(self, *options):
        vm = Duodm("-accel", "tcg", "-vga", "std", "-vnc", "unix:@/vnc", *options, timeout=60)
        vm.__enter__()
        self.addCleanup(vm.__exit__, None, None, None)
        return vm, RFB(vm.path("vnc"), timeout=120 * SLOWER)

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
