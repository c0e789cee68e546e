# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that mean harm. They may lose their own machine; duodm lives and answers."""
import os
import socket
import tempfile
import unittest

from duodm import Duodm, Stream, guest_program, run
from seed import seed

HARM = int(os.environ.get("DUODM_TEST_HARM", "48"))
RESETS = int(os.environ.get("DUODM_TEST_RESETS", "1000"))


class Hostile(unittest.TestCase):
    def run_down(self, vm, resets):
        vm.qmp.count_resets(resets)
        self.assertIn(vm.qmp.execute("query-status")["status"],
                      ("running", "paused", "shutdown", "prelaunch"))
        self.assertIn("RIP", vm.qmp.human("info registers"))
        self.assertIn("memory", vm.qmp.human("info mtree"))
        self.assertEqual(vm.quit(), 0)

    def test_random_writes_everywhere(self):
        for cpus in ("1", "2"):
            with self.subTest(cpus=cpus, DUODM_TEST_SEED=seed()), \
                    Duodm("-accel", "tcg", "-m", "64", "-display", "none", "-no-shutdown",
                          "-smp", cpus, "-kernel", guest_program("hostile64"),
                          "-append", f"seed={seed()}", "-device", "pc-testdev", "-device", "pci-testdev",
                          "-serial", "file:@/serial", timeout=120) as vm:
                self.run_down(vm, RESETS)

    def test_harm_to_devices(self):
        """Disk, network cards, USB, screen, driven with random commands, lists and rings."""
        for number in range(1, 4):
            ours, theirs = socket.socketpair()
            with self.subTest(seed=number), ours, \
                    Duodm("-accel", "tcg", "-m", "64", "-no-shutdown", "-vga", "std", "-bios",
                          "bios-256k.bin", "-kernel", guest_program("harm64"),
                          "-append", f"seed={number}", "-display", "none",
                          "-drive", "file.driver=null-co,file.size=64M,format=raw,if=ide,index=0",
                          "-device", "ide-cd,bus=ide.1,unit=0", "-device", "e1000,romfile=",
                          "-device", "rtl8139,romfile=", "-usb", "-device", "usb-tablet",
                          "-serial", "file:@/serial", "-chardev",
                          f"socket,id=debug,fd={theirs.fileno()}", "-device",
                          "isa-debugcon,iobase=0xe9,chardev=debug", pass_fds=[theirs.fileno()],
                          timeout=120) as vm:
                theirs.close()
                said = Stream(ours, 120)
                for _ in range(HARM):  # each after 1024 operations, or after a restart
                    try:
                        said.expect(rb"harm %d \d+\n" % number, timeout=20)
                    except TimeoutError:  # it has harmed itself
                        vm.qmp.execute("system_reset")
                        vm.qmp.execute("cont")
                self.assertIn("memory", vm.qmp.human("info mtree"))
                self.assertEqual(vm.quit(), 0)

    def firmware(self, code):
        """A 64 KiB image that runs code at F000:0000 from the reset vector."""
        image = bytearray(b"\xf4" * 0x10000)
        image[:len(code)] = code
        image[0xfff0:0xfff5] = b"\xea\x00\x00\x00\xf0"
        file = tempfile.NamedTemporaryFile()
        self.addCleanup(file.close)
        file.write(image)
        file.flush()
        return file.name

    def start(self, code, *options):
        return Duodm("-accel", "tcg", "-m", "16", "-display", "none", "-bios",
                     self.firmware(code), *options, timeout=60)

    def test_triple_fault_resets(self):
        # lidt [cs:zeros]; int3: no table, so no handler for the double fault either.
        code = b"\x2e\x0f\x01\x1e\x10\x00\xcc" + bytes(64)
        with self.start(code) as vm:
            for _ in range(5):
                vm.qmp.wait_event("RESET")
            self.assertEqual(vm.quit(), 0)
        result = run("-accel", "tcg", "-nodefaults", "-m", "16", "-display", "none", "-no-reboot",
                     "-bios", self.firmware(code))
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_jump_to_nothing(self):
        # To protected mode with a flat code segment, then to an address where nothing answers.
        code = (b"\xfa\x2e\x0f\x01\x16\x40\x00"  # cli; lgdt [cs:40h]
                b"\x0f\x20\xc0\x0c\x01\x0f\x22\xc0"  # CR0.PE
                b"\x66\xea\x00\x00\x00\xd0\x08\x00")  # jmp 8:d0000000h
        code = code.ljust(0x40, b"\0") + b"\x0f\x00\x50\x00\x0f\x00" + bytes(10)
        code += bytes(8) + b"\xff\xff\x00\x00\x00\x9a\xcf\x00"
        with self.start(code) as vm:
            for _ in range(3):
                vm.qmp.wait_event("RESET")
            self.assertEqual(vm.quit(), 0)

    def test_halt_with_interrupts_off_can_be_ended(self):
        with self.start(b"\xfa\xf4\xeb\xfc") as vm:
            self.assertIn("HLT", vm.qmp.human("info registers"))
            self.assertEqual(vm.quit(), 0)

    def test_loop_can_be_stopped_and_ended(self):
        with self.start(b"\xfa\xeb\xfe") as vm:
            vm.qmp.execute("stop")
            vm.qmp.wait_event("STOP")
            vm.qmp.execute("cont")
            vm.process.terminate()
            self.assertEqual(vm.wait(), 0)
