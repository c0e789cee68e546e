# SPDX-License-Identifier: GPL-2.0-or-later
"""-d in_asm,out_asm: the log of blocks, of a guest program (tests/guest) that is run to its end."""

import os
import re
import tempfile
import unittest

from duodm import Duodm, guest_program, run

PROGRAM = guest_program("paging64")
PASSED = 33  # isa-debug-exit: 2 * 10h + 1
ENTRY_NOP = "0f 1f 44 00 00"  # every translation's first instruction


def run_logged(items, accelerator="tcg"):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log")
        with Duodm("-accel", accelerator, "-m", "64", "-display", "none", "-no-reboot", "-kernel",
                   PROGRAM, "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-d", items, "-D",
                   path, qmp=False) as vm:
            status = vm.wait(120)
        with open(path, encoding="ascii") as log:
            return status, log.read()


def blocks(text, kind):
    return [block for block in text.split("\n\n") if block.startswith(kind)]


class BlockLog(unittest.TestCase):
    def setUp(self):
        if "tcg" not in run("-accel", "help").stdout:
            self.skipTest("no tcg in this build")

    def check_host_block(self, block):
        """Rows follow each other without a gap, and there are as many bytes as the block says."""
        size = int(re.match(r"OUT: 0x[0-9a-f]+, (\d+) bytes\n", block)[1])
        at = 0
        for offset, row in re.findall(r"^  \+0x([0-9a-f]+): ((?: [0-9a-f]{2})+)$", block, re.M):
            self.assertEqual(int(offset, 16), at, block)
            at += len(row.split())
        self.assertEqual(at, size, block)
        self.assertIn(f"entry\n  +0x0000:  {ENTRY_NOP}\n", block)

    def test_guest_and_host_code(self):
        status, text = run_logged("in_asm,out_asm")
        self.assertEqual(status, PASSED)
        # The program's first two instructions run once, in protected mode.
        self.assertRegex(
            text, r"(?m)^IN: interpreted\n0x[0-9a-f]{16}:  cli\n0x[0-9a-f]{16}:  cld\n")
        translated = blocks(text, "IN: translated")
        host = blocks(text, "OUT: ")
        self.assertEqual(len(translated), len(host))
        self.assertTrue(host)
        for guest, code in zip(translated, host):
            self.check_host_block(code)
            addresses = re.findall(r"^(0x[0-9a-f]{16}):  ", guest, re.M)
            written = re.findall(r"^guest (0x[0-9a-f]{16})", code, re.M)
            # No code for what comes after an instruction that always leaves.
            self.assertEqual(addresses[:len(written)], written)
        # Text goes out by the serial port, a byte at a time, in a loop.
        found = re.search(r"^(0x[0-9a-f]{16}):  out dx, al$", "\n".join(translated), re.M)
        self.assertTrue(found)
        self.assertRegex("\n".join(host), rf"(?m)^guest {found[1]}\n  \+0x[0-9a-f]{{4}}:  [0-9a-f]+")

    def test_items_apart(self):
        _, text = run_logged("out_asm")
        self.assertTrue(blocks(text, "OUT: "))
        self.assertFalse(blocks(text, "IN: "))
        _, text = run_logged("in_asm", "tcg,interpreter=on")
        self.assertTrue(blocks(text, "IN: interpreted"))
        self.assertFalse(blocks(text, "IN: translated"))
