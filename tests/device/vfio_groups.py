# SPDX-License-Identifier: GPL-2.0-or-later
"""Several functions of the host, in one IOMMU group or in two: what they share, when it comes and
goes, and what can't be had. Over the test port, with a mock of the kernel's VFIO."""
import errno
import re
import unittest

from duodm import QMPError
from vfio import CONFIG, Mock

COMMAND, MASTER, MEMORY = 4, 4, 2
MIB = 1 << 20
BARS = {5: 0xE0000000, 6: 0xE0010000}


class Groups(unittest.TestCase):
    options, more = (), {}

    def start(self, *arguments, group=7, **settings):
        """A machine, and functions 05 (of group 7) and 06 of the host."""
        self.mock = Mock(**settings)
        self.mock.more = self.more
        self.addCleanup(self.mock.close)
        self.other = self.mock.function(6, group)
        self.mock.start("-m", "64", *self.options, *arguments)
        self.qmp, self.qtest = self.mock.vm.qmp, self.mock.vm.qtest

    def plug(self, slot):
        self.mock.plug(id=f"v{slot}", addr=str(slot),
                       sysfsdev=self.mock.sysfs if slot == 5 else self.other)

    def unplug(self, slot):
        self.qmp.execute("device_del", id=f"v{slot}", x_force=True)
        self.qmp.wait_event("DEVICE_DELETED")

    def ram(self):
        return sum(length for start, (length, _) in self.mock.mapped().items() if start < 1 << 30)

    def map_bar(self, slot):
        self.qtest.pci_write(slot << 3, 0x10, BARS[slot])
        self.qtest.pci_write(slot << 3, COMMAND, MASTER | MEMORY, 2)

    def opened(self, name):
        return len(re.findall(rf"^open {name} ", self.mock.log(), re.M))

    def closed(self):
        log = self.mock.log()
        return (len(re.findall("^open (?!iommu)", log, re.M)) ==
                len(re.findall("^close", log, re.M)))

    def last_out_first_in_again(self):
        """cloud-hypervisor#7328: the last device left, and the next found nothing mapped."""
        for first, second in ((5, 6), (6, 5), (5, 6)):
            self.plug(first)
            self.assertEqual(self.ram(), 64 * MIB)
            maps = self.mock.log().count("\nmap ")
            self.plug(second)
            self.assertEqual(self.mock.log().count("\nmap "), maps)  # they share what there is
            for slot in first, second:
                self.map_bar(slot)
            self.unplug(first)
            self.assertEqual(self.ram(), 64 * MIB)
            self.assertNotIn(BARS[first], self.mock.mapped())
            self.assertIn(BARS[second], self.mock.mapped())
            self.unplug(second)
            self.assertEqual(self.mock.mapped(), {})
            self.assertTrue(self.closed(), self.mock.log())

    def test_of_one_group(self):
        self.start()
        self.last_out_first_in_again()

    def test_of_two_groups(self):
        self.start(group=8)
        self.last_out_first_in_again()

    def test_both_at_start(self):
        self.start()
        mock = Mock()
        mock.more = self.more
        self.addCleanup(mock.close)
        other = mock.function(6)
        mock.start("-m", "64", *self.options, "-device", mock.option(), "-device",
                   mock.option().replace("id=v,addr=5", "id=w,addr=6").replace(mock.sysfs, other))
        self.assertEqual(sum(length for start, (length, _) in mock.mapped().items()
                             if start < 1 << 30), 64 * MIB)

    def test_second_leaves_less_to_map(self):
        """While it is there. What can't be mapped then is a BAR that is given up (cloud-hypervisor#7030)."""
        self.start(group=8, bits_of_two=36)
        self.plug(5)
        self.qtest.pci_write(5 << 3, COMMAND, MASTER | MEMORY, 2)

        def is_mapped(address):
            self.qtest.pci_write(5 << 3, 0x10, address & 0xFFFFFFFF)
            self.qtest.pci_write(5 << 3, 0x14, address >> 32)
            self.assertTrue(self.qmp.execute("x-iommu-verify")["equal"])
            return address in self.mock.mapped()

        self.assertTrue(is_mapped(1 << 36))
        self.plug(6)
        self.assertTrue(is_mapped(1 << 35))
        self.assertFalse(is_mapped(3 << 36))
        self.unplug(6)
        self.assertTrue(is_mapped(1 << 36))

    def test_second_fails(self):
        """Each of the host's calls, when there is one already that goes on as it was."""
        self.start(group=8)
        self.plug(5)
        self.map_bar(5)
        before, number = self.mock.mapped(), 1
        while True:
            self.mock.write("log", "".join(line + "\n" for line in self.mock.log().splitlines()
                                           if line.startswith(("open", "map", "unmap"))))
            self.mock.fail(number, errno.ENOMEM)
            try:
                self.plug(6)
            except QMPError:
                pass
            else:
                self.mock.fail(0, 0)
                self.unplug(6)
            injected = "injected" in self.mock.log()
            self.mock.fail(0, 0)
            self.assertEqual(self.mock.mapped(), before, f"call {number}")
            self.assertTrue(self.qmp.execute("x-iommu-verify")["equal"])
            if not injected:
                break
            number += 1
        self.assertGreater(number, 10)

    def test_second_fails_after_the_first_was_cut_off(self):
        """It is cut off, too, when it comes, and nobody hears of it when it is not had after all."""
        self.start(accesses=1)
        self.plug(5)
        self.map_bar(5)
        failures = 0
        for number in range(1, 120, 3):
            for pam in 0x11, 0x33:  # c0000 to c8000 are read-only, and not any more
                self.mock.fail(2, errno.ENOMEM)
                self.qtest.pci_write(0, 0x5A, pam, 1)
            self.assertIn("FAILED", self.qmp.human("info iommu"))
            self.mock.fail(number, errno.EIO)
            self.qmp.events.clear()  # of 05, which is cut off since the first time
            try:
                self.plug(6)
            except QMPError:
                failures += 1
                self.qmp.execute("query-status")
                self.assertEqual(self.qmp.events, [], f"call {number}")
            else:  # one that it can do without, or in a space of its own
                self.unplug(6)
        self.assertGreater(failures, 5)

    def test_bars_of_both_are_mapped_once(self):
        """cloud-hypervisor#6845: with a second GPU in the container, EEXIST for the first one's BAR."""
        self.start(group=8)
        self.plug(5)
        self.map_bar(5)
        self.plug(6)
        self.map_bar(6)
        mapped = self.mock.mapped()
        self.assertIn(BARS[5], mapped)
        self.assertIn(BARS[6], mapped)
        # The guest moves one over the other for a while, as firmware may; neither is lost.
        self.map_bar(5)
        self.qtest.pci_write(6 << 3, 0x10, BARS[5])
        self.qtest.pci_write(6 << 3, 0x10, BARS[6])
        self.assertEqual(self.mock.mapped(), mapped)
        self.assertTrue(self.qmp.execute("x-iommu-verify")["equal"])

    def test_the_same_twice(self):
        self.start()
        self.plug(5)
        with self.assertRaisesRegex(QMPError, "assigned to this machine already, as 'v5'"):
            self.mock.plug(id="again", addr="7")
        self.assertEqual(self.ram(), 64 * MIB)

    def test_one_group_in_two_address_spaces(self):
        """cloud-hypervisor#3123: behind a vIOMMU each function has an address space of its own, and
        a group can have one only."""
        self.start("-device", "intel-iommu,caching-mode=on")
        self.plug(5)
        before = self.mock.mapped()
        with self.assertRaisesRegex(QMPError, "IOMMU group 7 .* can't be kept apart"):
            self.plug(6)
        self.assertEqual(self.mock.mapped(), before)
        self.unplug(5)
        self.plug(6)  # alone, it may be there
        self.assertEqual(self.ram(), 64 * MIB)

    def test_no_memory_may_be_locked(self):
        """cloud-hypervisor#165: who meets RLIMIT_MEMLOCK is told of it."""
        self.start()
        for number in range(1, 60):
            self.mock.fail(number, errno.ENOMEM)
            try:
                self.plug(5)
            except QMPError as error:
                if "ulimit -l" in error.description:
                    self.assertIn("IOVA 0x", error.description)
                    return
            else:
                break
        self.fail("no error told of the limit")

    def test_cut_off_together(self):
        """Both use a mapping that could not be made, and both must stop."""
        self.start()
        self.plug(5)
        self.plug(6)
        for slot in 5, 6:
            self.map_bar(slot)
        self.mock.fail(2, errno.ENOMEM)
        self.qtest.pci_write(0, 0x5A, 0x11, 1)  # PAM: c0000 to c8000 are read-only now
        events = {self.qmp.wait_event("DEVICE_DMA_CUT_OFF")["data"]["device"] for _ in range(2)}
        self.assertEqual(events, {"v5", "v6"})
        self.mock.fail(0, 0)
        self.assertEqual(self.mock.read(CONFIG, COMMAND, 2) & MASTER, 0)  # the last one's

    def test_second_fails_after_a_cut_off(self):
        """It was cut off as the first was, and could not be made: nobody is told of it any more."""
        self.start()
        self.plug(5)
        self.map_bar(5)
        self.mock.fail(2, errno.ENOMEM)
        self.qtest.pci_write(0, 0x5A, 0x11, 1)  # PAM: c0000 to c8000 are read-only now
        self.qmp.wait_event("DEVICE_DMA_CUT_OFF")
        self.mock.fail(0, 0)
        with self.assertRaisesRegex(QMPError, "/nowhere/rom"):
            self.mock.plug(id="v6", addr="6", sysfsdev=self.other, romfile="/nowhere/rom")
        self.qmp.execute("query-status")
        self.assertNotIn("DEVICE_DMA_CUT_OFF", [event["event"] for event in self.qmp.events])
        self.plug(6)
        self.assertEqual(self.qmp.wait_event("DEVICE_DMA_CUT_OFF")["data"]["device"], "v6")

    def test_reset_of_the_bus(self):
        """A function that can't be reset by itself, alone on its bus, and not alone."""
        self.start(reset=0)
        self.plug(5)
        self.qmp.execute("system_reset")
        self.mock.wait_log(f"^hot-reset {self.groups_for_reset}$")
        self.mock.close()
        self.start(reset=0, dependents=2)
        self.plug(5)
        self.qmp.execute("system_reset")
        self.qmp.wait_event("RESET")
        self.assertNotIn("hot-reset", self.mock.log())

    groups_for_reset = 1


class ByIommufd(Groups):
    options, more = ("-object", "iommufd,id=i"), {"iommufd": "i"}
    groups_for_reset = 0


if __name__ == "__main__":
    unittest.main()
