# SPDX-License-Identifier: GPL-2.0-or-later
"""vfio-pci behind VT-d over the test port: the host (vfio-mock.c) holds what the guest's tables map,
and any of its calls may fail at any time (invariants I1 to I5: ARCHITECTURE.md)."""
import errno
import itertools
import unittest

from vfio import CONFIG, Mock
from vtd import Unit

DEVFN = 5 << 3
COMMAND, MASTER = 4, 4
PAGE, MIB = 4096, 1 << 20
ERRORS = (errno.ENOMEM, errno.ENOSPC, errno.EINVAL, errno.EEXIST, errno.EBUSY, errno.EFAULT)


class Behind(unittest.TestCase):
    options, more, settings = (), {}, {}

    def setUp(self):
        self.mock = Mock(**self.settings)
        self.mock.more = self.more
        self.addCleanup(self.mock.close)
        self.mock.start("-m", "64", *self.options, "-device", "intel-iommu,caching-mode=on",
                        "-device", self.mock.option())
        self.qmp, self.qtest = self.mock.vm.qmp, self.mock.vm.qtest
        self.untranslated = self.held()
        self.ram = self.untranslated[0][0]  # where RAM is in duodm's memory
        self.start()

    def start(self):
        """As after power-on: nothing is translated."""
        self.unit = Unit(self.qtest)
        self.expected = self.untranslated
        self.told = False
        self.qtest.pci_write(DEVFN, COMMAND, MASTER, 2)
        self.check()

    def held(self):
        """IOVA -> (address in duodm, flags), by pages."""
        return {iova + at: (host + at, flags)
                for iova, (length, flags, host) in self.mock.held().items()
                for at in range(0, length, PAGE)}

    def is_master(self):
        return bool(self.mock.read(CONFIG, COMMAND, 2) & MASTER)

    def check(self):
        """Equal, or the device does no DMA and the toolstack knows; never silently different."""
        held, equal = self.held(), self.qmp.execute("x-iommu-verify")["equal"]
        if held == self.expected:
            self.assertTrue(equal)
            return True
        self.assertFalse(self.is_master(), self.mock.log()[-2000:])
        if not self.told:
            self.told = True
            event = self.qmp.wait_event("DEVICE_DMA_CUT_OFF")
            self.assertEqual(event["data"]["device"], "v")
        return False

    def mapping(self, *pages):
        """What the host should hold, of (IOVA, guest physical address, bytes)."""
        return {iova + at: (self.ram + target + at, 3)
                for iova, target, size in pages for at in range(0, size, PAGE)}

    def steps(self):
        """A guest's life; after each step self.expected is what its tables say."""
        unit = self.unit
        one, two = unit.domain(1), unit.domain(2)
        one.map(0x10000, 8 * MIB, PAGE)
        one.map(0x12000, 9 * MIB, PAGE)
        one.map(4 * MIB, 16 * MIB, 2 * MIB, level=2)
        two.map(0x10000, 8 * MIB, PAGE)
        two.map(0x40000, 20 * MIB, 3 * PAGE)
        unit.attach(DEVFN, one)
        unit.enable()
        large = (4 * MIB, 16 * MIB, 2 * MIB)
        self.expected = self.mapping((0x10000, 8 * MIB, PAGE), (0x12000, 9 * MIB, PAGE), large)
        yield "translation"
        one.map(0x11000, 10 * MIB, PAGE)
        unit.flush_pages(1, 0x11000)
        self.expected |= self.mapping((0x11000, 10 * MIB, PAGE))
        yield "map"
        one.unmap(0x10000, PAGE)
        unit.flush_pages(1, 0x10000)
        del self.expected[0x10000]
        yield "unmap"
        one.map(0x12000, 11 * MIB, PAGE)
        unit.flush_domain(1)
        self.expected |= self.mapping((0x12000, 11 * MIB, PAGE))
        yield "remap"
        unit.attach(DEVFN, two)
        unit.flush_context(DEVFN, 1)
        unit.flush_all()
        self.expected = self.mapping((0x10000, 8 * MIB, PAGE), (0x40000, 20 * MIB, 3 * PAGE))
        yield "another domain"
        unit.pass_through(DEVFN)
        unit.flush_context(DEVFN, 2)
        unit.flush_all()
        self.expected = self.untranslated
        yield "pass-through"
        unit.attach(DEVFN, one)
        unit.flush_context(DEVFN, 0xfff)
        unit.flush_all()
        self.expected = self.mapping((0x11000, 10 * MIB, PAGE), (0x12000, 11 * MIB, PAGE), large)
        yield "and back"
        unit.detach(DEVFN)
        unit.flush_context(DEVFN, 1)
        unit.flush_all()
        self.expected = {}
        yield "no domain"

    def reset(self):
        self.mock.fail(0, 0)
        self.qmp.execute("system_reset")
        self.qmp.wait_event("RESET")
        self.start()
        self.assertTrue(self.is_master())

    def test_a_life(self):
        for _ in range(2):
            for step in self.steps():
                with self.subTest(step):
                    self.assertTrue(self.check())
                    self.assertTrue(self.is_master())
            self.reset()

    def test_each_call_fails_once(self):
        """Each of the host's calls in that life, by all errors in turn. What failed is tried again
        by the next change, and a reset brings the device back."""
        for number in itertools.count(1):
            self.mock.write("log", "".join(line + "\n" for line in self.mock.log().splitlines()
                                           if line.startswith(("open", "map", "unmap"))))
            self.mock.fail(number, ERRORS[number % len(ERRORS)])
            for step in self.steps():
                with self.subTest(step, call=number):
                    self.check()
            injected = "injected" in self.mock.log()
            with self.subTest("the end", call=number):
                self.mock.fail(0, 0)
                self.unit.flush_all()
                self.check()
                self.reset()
            if not injected:
                break
        self.assertGreater(number, 20)


class BehindByIommufd(Behind):
    options, more = ("-object", "iommufd,id=i"), {"iommufd": "i"}


class FewEntries(Behind):
    """A host that has no room for what the guest maps."""
    settings = {"entries": 40}
    test_a_life = test_each_call_fails_once = None

    def test_reset(self):
        """It is the guest's tables that cut the device off: a reset, which ends them, brings it back,
        though devices are reset before the IOMMU."""
        for _ in range(2):
            one = self.unit.domain(1)
            for page in range(60):
                one.map(0x10000 + 2 * PAGE * page, 8 * MIB, PAGE)
            self.unit.attach(DEVFN, one)
            self.unit.enable()
            self.expected = None
            self.assertFalse(self.check())
            self.assertFalse(self.is_master())
            self.reset()
            self.assertTrue(self.is_master())


class FewEntriesByIommufd(FewEntries):
    options, more = ("-object", "iommufd,id=i"), {"iommufd": "i"}


if __name__ == "__main__":
    unittest.main()
