# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels, initial RAM disks and firmware that cannot be used: one sentence, exit status 1."""
import os
import tempfile
import unittest

from duodm import run
from kernels import initramfs, kernel


class BadFiles(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def file(self, name, data):
        path = os.path.join(self.folder.name, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def refused(self, *arguments, names):
        result = run("-accel", "tcg", "-display", "none", "-nodefaults", *arguments)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(result.stdout, "")
        lines = result.stderr.strip().splitlines()
        self.assertEqual(len(lines), 1, result.stderr)
        self.assertTrue(lines[0].startswith("duodm: "), lines)
        self.assertIn(names, lines[0])

    def cases(self):
        yield "missing", os.path.join(self.folder.name, "missing")
        yield "empty", self.file("empty", b"")
        yield "directory", self.folder.name
        pipe = os.path.join(self.folder.name, "pipe")
        if not os.path.exists(pipe):
            os.mkfifo(pipe)
        yield "pipe that nobody writes to", pipe
        yield "garbage", self.file("garbage", bytes(range(256)) * 64)

    def test_kernel(self):
        for name, path in self.cases():
            with self.subTest(name):
                self.refused("-kernel", path, names=path)

    def test_truncated_kernel(self):
        with open(kernel("cloud"), "rb") as file:
            data = file.read()
        for length in (1, 511, 512, 600, 4096, 1 << 20, len(data) // 2):
            with self.subTest(length=length):
                path = self.file("truncated", data[:length])
                self.refused("-kernel", path, names=path)

    def test_initrd(self):
        for name, path in self.cases():
            if name != "garbage":
                with self.subTest(name):
                    self.refused("-kernel", kernel("cloud"), "-initrd", path, names=path)

    def test_firmware(self):
        for name, path in self.cases():
            if name != "garbage":
                with self.subTest(name):
                    self.refused("-bios", path, names=path)

    def test_larger_than_memory(self):
        big = self.file("big", b"")
        os.truncate(big, 64 << 20)
        self.refused("-m", "96", "-kernel", kernel("cloud"), "-initrd", big, names=big)
        self.refused("-m", "4", "-kernel", kernel("cloud"), names="vmlinuz")

    def test_initrd_without_kernel(self):
        self.refused("-initrd", initramfs(), names="-kernel")
