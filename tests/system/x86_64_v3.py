# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs compiled for x86-64-v3 (AVX2, FMA, BMI2...) compute in the guest what they compute here."""
import os
import re
import subprocess
import tempfile
import unittest

from duodm import Duodm
from kernels import ROOT, kernel

# The bench's programs, with little work each.
WORK = {"branches": 5, "sort": 1, "dispatch": 1, "crc": 1, "sha256": 1, "matrix": 2, "nbody": 3,
        "longdouble": 2, "memcpy": 1, "memset": 1, "strings": 3, "compress": 1}
NEEDED = {"avx", "avx2", "fma", "f16c", "bmi1", "bmi2", "abm", "movbe"}


def host_flags():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        return set(re.search(r"flags\s*:(.*)", file.read()).group(1).split())


@unittest.skipUnless(NEEDED <= host_flags(), "this machine's processor is older than x86-64-v3")
class Version3(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="duodm-test-v3-")
        cls.program = os.path.join(cls.folder.name, "init")
        cls.initrd = os.path.join(cls.folder.name, "initramfs")
        sources = os.path.join(ROOT, "tests", "bench", "programs")
        subprocess.run(["gcc", "-std=gnu11", "-O3", "-march=x86-64-v3", "-static", "-o", cls.program,
                        *(os.path.join(sources, f) for f in sorted(os.listdir(sources))
                          if f.endswith(".c")), "-lm"], check=True)
        with open(cls.initrd, "wb") as file:
            subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], check=True,
                           cwd=cls.folder.name, input=b"init\n", stdout=file)
        cls.native = {name: subprocess.run([cls.program, "run", name, str(work)], check=True,
                                           capture_output=True).stdout.split(b"<end ")[1].split()[1]
                      for name, work in WORK.items()}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def compare(self, model, accelerator="tcg"):
        with Duodm("-accel", accelerator, "-m", "256", "-display", "none", "-no-reboot", "-cpu", model,
                   "-kernel", kernel("cloud"), "-initrd", self.initrd,
                   "-append", "console=ttyS0 quiet panic=-1", serial=True, timeout=240) as vm:
            vm.serial.expect(rb"<ready>")
            for name, work in WORK.items():
                vm.serial.write(f"run {name} {work}\n")
                match = vm.serial.expect(rb"<end " + name.encode() + rb" ([0-9a-f]+) ")
                self.assertEqual(match.group(1), self.native[name], name)
            shown = vm.qmp.human("info jit")
            vm.serial.write("off\n")
            self.assertEqual(vm.wait(), 0, vm.stderr())
        return shown

    def test_max(self):
        self.compare("max")

    def test_max_in_lockstep(self):
        """All of the boot and of the programs' code, by translator and interpreter both."""
        shown = self.compare("max", "tcg,lockstep=on")
        self.assertGreater(int(re.search(r"lockstep: (\d+) blocks", shown)[1]), 10_000_000)

    def test_haswell(self):
        self.compare("Haswell")

    def test_epyc(self):
        self.compare("EPYC")
