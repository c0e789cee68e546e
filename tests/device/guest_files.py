# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels, initial RAM disks and firmware that are missing, broken or too large."""

import os
import shutil
import struct
import tempfile
import unittest

from duodm import run

QTEST = ("-accel", "qtest", "-nodefaults", "-m", "16")


def multiboot_kernel():
    """The smallest ELF that a multiboot loader takes: a header and HLT at 1 MiB."""
    header = struct.pack("<III", 0x1BADB002, 0, -0x1BADB002 & 0xFFFFFFFF) + b"\xf4\xeb\xfd\x90"
    offset, address = 0x1000, 0x100000
    elf = struct.pack("<4sBBB9xHHIIIIIHHHHHH", b"\x7fELF", 1, 1, 1, 2, 3, 1, address + 12, 52, 0,
                      0, 52, 32, 1, 40, 0, 0)
    segment = struct.pack("<IIIIIIII", 1, offset, address, address, len(header), len(header), 5,
                          0x1000)
    return (elf + segment).ljust(offset, b"\0") + header


class GuestFiles(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="duodm-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.kernel = self.make("kernel", multiboot_kernel())

    def make(self, name, data=b"", size=None):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(data)
            if size is not None:
                file.truncate(size)
        return path

    def assertRefused(self, arguments, path):
        result = run(*QTEST, *arguments)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertTrue(result.stderr.startswith("duodm: "))
        self.assertIn(path, result.stderr)

    def bad_files(self):
        yield os.path.join(self.folder, "missing")
        yield self.make("empty")
        yield self.folder
        yield self.make("large", size=64 << 20)

    def test_kernel(self):
        whole = multiboot_kernel()
        broken = [self.make("noise", bytes(range(256)) * 64), self.make("zeros", size=1 << 20),
                  self.make("short", whole[:0x1004]), self.make("shorter", whole[:60]),
                  self.make("magic", b"\x7fELF")]
        for path in [*self.bad_files(), *broken]:
            with self.subTest(path=path):
                self.assertRefused(["-kernel", path], path)

    def test_initrd(self):
        for path in self.bad_files():
            if os.path.basename(path) == "empty":
                continue  # a module may be empty
            with self.subTest(path=path):
                self.assertRefused(["-kernel", self.kernel, "-initrd", path], path)

    def test_firmware(self):
        broken = [self.make("odd", bytes(1000)), self.make("huge", size=256 << 20)]
        for path in [*self.bad_files(), *broken]:
            with self.subTest(path=path):
                self.assertRefused(["-bios", path], path)

    def test_fw_cfg(self):
        for path in (os.path.join(self.folder, "missing"), self.folder):
            with self.subTest(path=path):
                self.assertRefused(["-fw_cfg", f"name=opt/x,file={path}"], path)


if __name__ == "__main__":
    unittest.main()
