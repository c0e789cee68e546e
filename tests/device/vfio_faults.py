# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole life of a passed-through function, from hotplug to unplug, over the test port: gone through
again and again, and each time another of the calls that duodm makes of the host fails. After each step
the host holds what it should, or the device does no DMA and the toolstack knows (I1 to I5:
ARCHITECTURE.md); after each life nothing is left."""
import errno
import itertools
import os
import unittest

import vfio_user
import vtd
from duodm import QMPError
from vfio import CONFIG, Mock

DEVFN = 5 << 3
COMMAND, MASTER, MEMORY = 4, 4, 2
MSI_CAP, MSIX_CAP = 0x50, 0x70
BAR0 = 0xE0000000
PAGE, MIB = 4096, 1 << 20
SPACE = 1 << 30  # RAM, and what guests map; BARs, which hosts may refuse, are above
ERRORS = (errno.ENOMEM, errno.EINVAL, errno.EEXIST, errno.EBUSY, errno.EFAULT)


class Life(unittest.TestCase):
    options, more = (), {}

    def setUp(self):
        self.mock = Mock(accesses=1)
        self.mock.more = self.more
        self.addCleanup(self.mock.close)
        self.mock.start("-m", "64", *self.options)
        self.qmp, self.qtest = self.mock.vm.qmp, self.mock.vm.qtest

    def write(self, offset, value, size=4):
        self.qtest.pci_write(DEVFN, offset, value, size)

    def map_bar(self, address):
        self.write(0x10, address)
        self.write(COMMAND, MASTER | MEMORY, 2)

    def plug(self):
        try:
            self.mock.plug()
        except QMPError:
            self.plugged = False
        else:
            self.plugged = True

    def unplug(self):
        if self.plugged:
            self.qmp.execute("device_del", id="v", x_force=True)
            self.qmp.wait_event("DEVICE_DELETED")
        self.plugged = False

    def reset(self):
        self.qmp.execute("system_reset")
        self.qmp.wait_event("RESET")

    def steps(self):
        self.plug()
        self.map_bar(BAR0)
        yield "plugged"
        for vector in 0, 1:
            self.qtest.writel(BAR0 + 0x2000 + 16 * vector, 8 * MIB)
            self.qtest.writel(BAR0 + 0x200C + 16 * vector, 0)
        self.write(MSIX_CAP + 2, 0x8000, 2)
        self.qtest.writel(BAR0 + 0x200C, 1)
        self.qtest.writel(BAR0 + 0x200C, 0)
        yield "MSI-X"
        self.write(MSIX_CAP + 2, 0, 2)
        self.write(MSI_CAP + 2, 0x0021, 2)
        yield "MSI"
        self.write(MSI_CAP + 2, 0, 2)
        yield "INTx"
        for pam in 0x11, 0x33:
            self.qtest.pci_write(0, 0x5A, pam, 1)
            yield f"a ROM is shadowed: {pam:#x}"
        self.map_bar(BAR0 + 16 * MIB)
        yield "another place"
        self.reset()
        self.map_bar(BAR0)
        yield "reset"
        self.unplug()
        yield "unplugged"

    def held(self):
        return {start: value for start, value in self.mock.mapped().items() if start < SPACE}

    def check(self, expected):
        held = self.held()
        if not self.plugged:
            self.assertEqual(self.mock.mapped(), {}, self.mock.log())
        elif held == expected:
            self.assertTrue(self.qmp.execute("x-iommu-verify")["equal"])
        else:
            self.assertFalse(self.mock.read(CONFIG, COMMAND, 2) & MASTER, self.mock.log())
            self.qmp.execute("query-status")
            self.told |= any(event["event"] == "DEVICE_DMA_CUT_OFF" for event in self.qmp.events)
            self.assertTrue(self.told)

    def live(self, expected=None):
        """A life, and what the host held after each step."""
        found, self.told = {}, False
        self.qmp.events.clear()
        self.mock.write("log", "")
        for step in self.steps():
            found[step] = self.held()
            if expected:
                with self.subTest(step):
                    self.check(expected[step])
        return found

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.mock.vm.process.pid}/fd"))

    def test_each_call_fails_once(self):
        expected = self.live()
        self.assertEqual(self.live(expected), expected)
        before = self.descriptors()
        for number in itertools.count(1):
            with self.subTest(call=number):
                self.mock.fail(number, ERRORS[number % len(ERRORS)])
                self.live(expected)
                self.assertEqual(self.descriptors(), before, self.mock.log())
                if "injected" not in self.mock.log():
                    break
        self.assertGreater(number, 150)
        self.mock.fail(0, 0)
        self.assertEqual(self.live(expected), expected)


class LifeByIommufd(Life):
    options, more = ("-object", "iommufd,id=i"), {"iommufd": "i"}


class LifeBehind(Life):
    """It comes to an IOMMU that maps already, changes domains, and goes while there are mappings."""
    options = ("-device", "intel-iommu,caching-mode=on")

    def steps(self):
        unit = vtd.Unit(self.qtest)
        one, two = unit.domain(1), unit.domain(2)
        one.map(0x10000, 8 * MIB, 2 * PAGE)
        one.map(4 * MIB, 16 * MIB, 2 * MIB, level=2)
        two.map(0x10000, 8 * MIB, PAGE)
        two.map(0x40000, 20 * MIB, 3 * PAGE)
        unit.attach(DEVFN, one)
        unit.enable()
        self.plug()
        self.map_bar(BAR0)
        yield "plugged"
        one.unmap(0x11000, PAGE)
        unit.flush_pages(1, 0x11000)
        yield "unmapped"
        unit.attach(DEVFN, two)
        unit.flush_context(DEVFN, 1)
        unit.flush_all()
        yield "another domain"
        unit.pass_through(DEVFN)
        unit.flush_context(DEVFN, 2)
        unit.flush_all()
        yield "pass-through"
        unit.attach(DEVFN, one)
        unit.flush_context(DEVFN, 0xfff)
        unit.flush_all()
        yield "and back"
        self.unplug()
        yield "unplugged"
        one.map(0x60000, 9 * MIB, PAGE)
        unit.flush_pages(1, 0x60000)
        self.plug()
        self.map_bar(BAR0)
        yield "plugged again"
        self.reset()
        self.map_bar(BAR0)
        yield "reset"
        self.unplug()
        yield "unplugged again"


class LifeBehindByIommufd(LifeBehind):
    options, more = (*LifeBehind.options, "-object", "iommufd,id=i"), {"iommufd": "i"}


class LifeOfUser(unittest.TestCase):
    """The same with a server that refuses each of the messages once, answers it wrongly, or leaves
    with it. Then it has nothing of the guest's memory, or what it should have; or the guest and the
    toolstack know."""

    def setUp(self):
        self.server = vfio_user.Server()
        self.addCleanup(self.server.close)
        self.function = vfio_user.Function(
            self.server, "-object", "memory-backend-memfd,id=ram", "-machine", "memory-backend=ram",
            "-device", "intel-iommu,caching-mode=on", plugged=False)
        self.addCleanup(self.function.close)
        self.qmp, self.qtest = self.function.qmp, self.function.qtest

    def plug(self):
        try:
            self.function.plug()
        except QMPError:
            self.plugged = False
        else:
            self.plugged = True
        self.function.map_bars()

    def steps(self):
        unit = vtd.Unit(self.qtest)
        domain = unit.domain(1)
        domain.map(0x10000, 8 * MIB, 2 * PAGE)
        unit.attach(DEVFN, domain)
        unit.enable()
        self.plug()
        yield "plugged"
        self.qtest.writel(BAR0 + 0x2008, 0x100)
        self.qtest.writel(BAR0 + 0x200C, 0)
        self.function.write(0x42, 0x8000, 2)
        domain.unmap(0x11000, PAGE)
        unit.flush_pages(1, 0x11000)
        yield "unmapped"
        unit.pass_through(DEVFN)
        unit.flush_context(DEVFN, 1)
        unit.flush_all()
        yield "pass-through"
        unit.attach(DEVFN, domain)
        unit.flush_context(DEVFN, 0xfff)
        unit.flush_all()
        yield "and back"
        self.qmp.execute("system_reset")
        self.qmp.wait_event("RESET")
        self.function.map_bars()
        yield "reset"
        if self.plugged:
            self.function.unplug()
        self.plugged = False
        yield "unplugged"

    def held(self):
        return {start: value for start, value in self.server.mappings().items() if start < SPACE}

    def check(self, expected):
        if not self.plugged:
            self.assertEqual(self.server.mappings(), {})
        elif self.held() != expected:
            while not self.told & {"DEVICE_DMA_CUT_OFF", "DEVICE_SERVER_LOST"}:
                self.told.add(self.qmp.message_event()["event"])
            if "DEVICE_SERVER_LOST" not in self.told:
                self.assertFalse(int(self.server.state()["config"][8:10], 16) & MASTER)

    def live(self, expected=None):
        found, self.told = {}, set()
        self.qmp.events.clear()
        for step in self.steps():
            found[step] = self.held()
            if expected:
                with self.subTest(step):
                    self.check(expected[step])
        return found

    def test_each_message_fails_once(self):
        expected = self.live()
        folder = f"/proc/{self.function.vm.process.pid}/fd"
        before = len(os.listdir(folder))
        for what in "error:5", "error:12", "close", "payload:00":
            for number in itertools.count(1):
                self.server.rules(ANY={"what": what, "at": number})
                with self.subTest(message=number, what=what):
                    self.live(expected)
                    self.assertEqual(len(os.listdir(folder)), before)
                if self.server.state()["asked"] < number:
                    break
            self.assertGreater(number, 60)
        self.server.rules()
        self.assertEqual(self.live(expected), expected)


if __name__ == "__main__":
    unittest.main()
