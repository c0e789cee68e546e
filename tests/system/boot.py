# SPDX-License-Identifier: GPL-2.0-or-later
"""Unmodified Debian kernels boot on tcg to a shell, and go down as they were asked to."""
import os
import unittest

from duodm import ENGINE, Duodm
from kernels import initramfs, kernel

UP = rb"DUODM-GUEST-UP (\S+) ([0-9.]+)"
PROMPT = rb"duodm-guest# "
BOOT = 240  # seconds: the limit of a hang, not an aim


def boot(kind="cloud", *options, append="", memory="512", serial=True):
    return Duodm("-accel", ENGINE, "-m", memory, "-display", "none", "-kernel", kernel(kind),
                 "-initrd", initramfs(), "-append", "console=ttyS0 quiet panic=-1 " + append,
                 *options, serial=serial, timeout=BOOT)


class Shell(unittest.TestCase):
    def session(self, kind, cpus, memory):
        with boot(kind, "-smp", str(cpus), "-no-reboot", memory=memory) as vm:
            release = vm.serial.expect(UP).group(1).decode()
            vm.serial.expect(PROMPT)
            vm.serial.write("uname -r; nproc; grep MemTotal /proc/meminfo; dmesg -l 0,1,2,3\n")
            shown = vm.serial.expect(PROMPT).group()
            del shown
            vm.serial.write("echo cpus=$(nproc) kb=$(awk '/MemTotal/{print $2}' /proc/meminfo)=\n")
            match = vm.serial.expect(rb"cpus=(\d+) kb=(\d+)=")
            vm.serial.expect(PROMPT)
            vm.qmp.execute("inject-nmi")
            vm.serial.write("count() { awk '/NMI:/{for (i = 2; i < NF - 1; i++) n += $i; print n}' "
                            f"/proc/interrupts; }}; until [ $(count) = {cpus} ]; do :; done; "
                            "echo nmis=$(count)=\n")
            vm.serial.expect(b"nmis=%d=" % cpus)
            vm.serial.expect(PROMPT)
            vm.serial.write("poweroff\n")
            self.assertEqual(vm.wait(), 0, vm.stderr())
        self.assertEqual(int(match.group(1)), cpus)
        return release, int(match.group(2))

    def test_cloud(self):
        release, kilobytes = self.session("cloud", 1, "512")
        self.assertTrue(release.endswith("cloud-amd64"), release)
        self.assertGreater(kilobytes, 400 << 10)

    def test_cloud_four_cpus(self):
        self.session("cloud", 4, "512")

    def test_cloud_above_4g(self):
        self.assertGreater(self.session("cloud", 1, "5G")[1], 4800 << 10)

    def test_full(self):
        release, _ = self.session("full", 1, "512")
        self.assertNotIn("cloud", release)

    def test_backports(self):
        release, _ = self.session("backports", 2, "512")
        self.assertTrue(release.startswith("6.12"), release)


class LifeCycle(unittest.TestCase):
    def test_reboot_boots_again(self):
        with boot() as vm:
            vm.serial.expect(PROMPT)
            vm.serial.write("reboot\n")
            vm.qmp.wait_event("RESET")
            vm.serial.expect(UP)
            vm.serial.expect(PROMPT)
            self.assertEqual(vm.quit(), 0)

    def test_reboot_ends_with_no_reboot(self):
        with boot("cloud", "-no-reboot") as vm:
            vm.serial.expect(PROMPT)
            vm.serial.write("reboot\n")
            self.assertEqual(vm.wait(), 0)

    def test_poweroff_stays_with_no_shutdown(self):
        with boot("cloud", "-no-shutdown") as vm:
            vm.serial.expect(PROMPT)
            vm.serial.write("poweroff\n")
            vm.qmp.wait_event("SHUTDOWN")
            self.assertEqual(vm.qmp.execute("query-status")["status"], "shutdown")
            self.assertEqual(vm.quit(), 0)

    def test_stop_reset_and_power_button(self):
        with boot() as vm:
            vm.serial.expect(PROMPT)
            vm.qmp.execute("stop")
            vm.qmp.wait_event("STOP")
            self.assertEqual(vm.qmp.execute("query-status")["status"], "paused")
            self.assertIn("RIP", vm.qmp.human("info registers"))
            self.assertIn("Linux", self.banner(vm))
            vm.qmp.execute("cont")
            vm.serial.write("echo alive=$((6*7))\n")
            vm.serial.expect(rb"alive=42")
            vm.qmp.execute("system_reset")
            vm.qmp.wait_event("RESET")
            vm.serial.expect(UP)  # not a prompt that was there before
            vm.serial.expect(PROMPT)
            # The initramfs has no acpid: that the button is seen is what the kernel reports.
            vm.serial.write("cat /proc/interrupts | grep -i acpi\n")
            vm.serial.expect(rb"acpi")
            vm.qmp.execute("system_powerdown")
            vm.qmp.wait_event("POWERDOWN")
            self.assertEqual(vm.quit(), 0)

    def banner(self, vm):
        """The kernel's banner, read with the monitor at the address that the guest tells."""
        vm.qmp.execute("cont")
        vm.serial.write("echo at=$(awk '$3==\"linux_banner\"{print $1}' /proc/kallsyms)=\n")
        address = vm.serial.expect(rb"at=([0-9a-f]+)=").group(1).decode()
        vm.serial.expect(PROMPT)
        vm.qmp.execute("stop")
        words = vm.qmp.human(f"x/2wx 0x{address}")
        values = [int(word, 16) for word in words.replace(":", " ").split()[1:3]]
        return b"".join(v.to_bytes(4, "little") for v in values).decode("latin-1")

    def test_panic_is_reported(self):
        with boot(append="panic=0") as vm:
            vm.serial.expect(PROMPT)
            vm.serial.write("echo c > /proc/sysrq-trigger\n")
            vm.serial.expect(rb"Kernel panic")
            self.assertEqual(vm.quit(), 0)


class Work(unittest.TestCase):
    """The guest computes what this machine computes."""

    def test_checksums_agree(self):
        with boot("cloud", "-smp", "2", "-no-reboot") as vm:
            vm.serial.expect(PROMPT)
            vm.serial.write("sha256sum < /bin/busybox; sha512sum < /bin/busybox; md5sum < /bin/busybox;"
                            "gzip -c /bin/busybox | gunzip | cmp - /bin/busybox && echo same=$((0+1))\n")
            import hashlib
            with open("/bin/busybox", "rb") as file:
                data = file.read()
            for name in ("sha256", "sha512", "md5"):
                vm.serial.expect(hashlib.new(name, data).hexdigest())
            vm.serial.expect(rb"same=1\r")
            vm.serial.write("poweroff\n")
            self.assertEqual(vm.wait(), 0)

    def test_many_processes_on_four_cpus(self):
        with boot("cloud", "-smp", "4", "-no-reboot") as vm:
            vm.serial.expect(PROMPT)
            vm.serial.write("for i in 1 2 3 4 5 6 7 8; do (n=0; for j in $(seq 60); do"
                            " n=$((n + $(echo $j | cat))); done; echo sum$i=$n) & done; wait;"
                            " echo all=$((6*7))\n")
            vm.serial.expect(rb"6\*7\)\)")  # the echo of the line itself
            seen = b""
            while b"all=42" not in seen:
                seen += vm.serial.expect(rb"[^\n]*\n").group()
            self.assertEqual(seen.count(b"=1830"), 8, seen)
            vm.serial.write("poweroff\n")
            self.assertEqual(vm.wait(), 0)


class Counted(unittest.TestCase):
    def test_boots_in_a_row(self):
        """DUODM_TEST_BOOTS of them (5): no hang, no panic."""
        for number in range(int(os.environ.get("DUODM_TEST_BOOTS", "5"))):
            with self.subTest(boot=number), \
                    boot("cloud", "-no-reboot", "-smp", str(1 + number % 4),
                         append='duodm.run="true"', memory="256") as vm:
                vm.serial.expect(UP)
                self.assertEqual(vm.wait(), 0, vm.stderr())
