# SPDX-License-Identifier: GPL-2.0-or-later
"""Guest programs that check the CPU and the board from the inside (tests/guest).

`make guests` builds them; DUODM_BUILD names the build's folder (default: that of DUODM)."""

import os
import unittest

from duodm import ENGINE, Duodm, guest_program

PASSED = 33  # isa-debug-exit: 2 * 10h + 1

# Program, then what else it is run with.
GUESTS = {
    "a20gate32": [[]],
    "apic64": [[]],
    "apicmodes64": [[], ["-cpu", "qemu64,-x2apic,-tsc-deadline"], ["-smp", "2"]],
    "debug64": [[]],
    "details64": [["-device", "pc-testdev"], ["-cpu", "qemu64,+umip"],
                  ["-cpu", "Opteron_G1,vendor=AuthenticAMD"], ["-cpu", "max,-hypervisor"]],
    "faults64": [[], ["-cpu", "EPYC"]],
    "hotcode64": [[], ["-smp", "2"]],
    "lines64": [["-device", "pc-testdev"], ["-device", "pc-testdev", "-smp", "2"],
                ["-device", "pc-testdev", "-smp", "4"],
                ["-device", "pc-testdev", "-smp", "2", "-cpu", "max,-x2apic"]],
    "modes32": [[]],
    "paging64": [[]],
    "pcid64": [[]],
    "protected32": [[]],
    "segments32": [[]],
    "smc64": [[], ["-smp", "2"]],
    "smp64": [["-smp", "2"], ["-smp", "4"]],
    "stepping64": [[], ["-cpu", "EPYC"]],
    "taskgates32": [[]],
    "tasks32": [[]],
}


class Guest(unittest.TestCase):
    def run_guest(self, name, more, accelerator=ENGINE):
        path = guest_program(name)
        if not os.path.exists(path):
            self.fail(f"{path} is missing: make guests")
        with Duodm("-accel", accelerator, "-m", "64", "-display", "none", "-no-reboot", "-kernel", path,
                   "-device", "isa-debug-exit,iobase=0xf4,iosize=4", *more,
                   qmp=False, serial=True) as vm:
            status = vm.wait(120)
            try:
                text = vm.serial.wait_closed().decode("utf-8", "replace")
            except TimeoutError:
                text = vm.serial.buffer.decode("utf-8", "replace")
            self.assertEqual(status, PASSED, f"{name} {' '.join(more)}:\n{text}{vm.stderr()}")
            self.assertIn("PASS", text)


class Guests(Guest):
    pass


class Lockstep(Guest):
    """Translator and interpreter both, compared after each block; for one CPU."""


def add_test(case, name, more, accelerator):
    def test(self):
        self.run_guest(name, more, accelerator)
    setattr(case, "_".join(["test", name] + [word.strip("-") for word in more]), test)


def add_tests():
    for name, variants in GUESTS.items():
        for more in variants:
            if "-smp" not in more:
                add_test(Lockstep, name, more, "tcg,lockstep=on")
            add_test(Guests, name, more, ENGINE)


add_tests()
