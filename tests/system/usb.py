# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's full kernel with uhci_hcd and usbhid, on tcg: what tablet and keyboard tell arrives as input events."""
import os
import re
import struct
import tempfile
import unittest

from duodm import Duodm
from kernels import initramfs_with, kernel

PROMPT = rb"duodm-guest# "
BOOT = 240
KEY, ABSOLUTE = 1, 3


class Guest(unittest.TestCase):
    def shell(self, vm, line):
        vm.serial.write(line + "\necho @$?@\n")
        match = vm.serial.expect(rb"^(.*?)@(\d+)@\r\n")
        vm.serial.expect(PROMPT)
        return match[1].decode()

    def events(self, vm, node, count, act):
        """(type, code, value) of the first `count` events of /dev/input/NODE, but for timestamps and syncs."""
        vm.serial.write(f"(dd if=/dev/input/{node} bs=24 count={count} 2>/dev/null | od -An -v -t x1 >/tmp/e;"
                        f" echo all come) &\n")
        vm.serial.expect(PROMPT)
        self.shell(vm, f"until ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q input/{node}; do :; done")
        act()
        vm.serial.expect(rb"all come")
        text = self.shell(vm, "cat /tmp/e")
        data = bytes.fromhex("".join(re.findall(r"(?m)^((?: [0-9a-f]{2})+)\s*$", text)).replace(" ", ""))
        return [event for event in (struct.unpack_from("<HHi", data, at + 16) for at in range(0, len(data), 24))
                if event[0] in (KEY, ABSOLUTE)]

    def test_tablet_and_keyboard(self):
        with tempfile.TemporaryDirectory() as folder:
            image = initramfs_with(os.path.join(folder, "initramfs.gz"), "full",
                                   ["uhci_hcd", "usbhid", "hid_generic", "evdev"])
            with Duodm("-accel", "tcg", "-m", "192", "-display", "none", "-kernel", kernel("full"), "-initrd",
                       image, "-append", "console=ttyS0 quiet panic=-1", "-usb", "-usbdevice", "tablet",
                       "-device", "usb-kbd", "-no-reboot", serial=True, timeout=BOOT) as vm:
                vm.serial.expect(PROMPT)
                self.shell(vm, "until grep -q tablet /proc/bus/input/devices && "
                               "grep -q 'USB keyboard' /proc/bus/input/devices; do :; done")
                text = self.shell(vm, "cat /proc/bus/input/devices")
                node = {name: re.search(rf'Name="duodm {name}".*?(event\d+)', text, re.DOTALL)[1]
                        for name in ("USB tablet", "USB keyboard")}

                def act():
                    vm.qmp.execute("input-send-event", events=[
                        {"type": "abs", "data": {"axis": "x", "value": 0x1234}},
                        {"type": "abs", "data": {"axis": "y", "value": 0x4321}},
                        {"type": "btn", "data": {"button": "left", "down": True}}])

                got = self.events(vm, node["USB tablet"], 4, act)
                self.assertEqual([e for e in got if e[0] == ABSOLUTE],
                                 [(ABSOLUTE, 0, 0x1234), (ABSOLUTE, 1, 0x4321)])
                self.assertIn((KEY, 0x110, 1), got)

                def press():
                    for down in (True, False):
                        vm.qmp.execute("input-send-event", events=[
                            {"type": "key", "data": {"key": {"type": "qcode", "data": "g"}, "down": down}}])

                got = self.events(vm, node["USB keyboard"], 6, press)
                self.assertEqual([e for e in got if e[0] == KEY], [(KEY, 34, 1), (KEY, 34, 0)])
                vm.serial.write("poweroff\n")
                self.assertEqual(vm.wait(), 0)


if __name__ == "__main__":
    unittest.main()
