# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio-rng over the test port; with it, all that is the same for every virtio device."""
import unittest

import virtio
from duodm import SLOWER, Duodm

virtio.Device.slower = SLOWER


def machine(*arguments):
    return Duodm("-display", "none", "-m", "64", *arguments, qtest=True)


class Requests(unittest.TestCase):
    def check_requests(self, options, without=0, driver=virtio.PCI, count=150):
        with machine("-device", options + ",addr=5") as vm:
            device = driver(vm.qtest, slot=5)
            device.start(without=without, sizes={0: 8})
            queue = device.queues[0]
            seen = set()
            for k in range(count):  # laps of the ring, chains of all lengths
                sizes = [16] * (1 + k % 4)
                indirect = k % 3 == 0 and device.features >> virtio.F_INDIRECT & 1
                length, data = queue.request([], sizes, indirect)
                self.assertEqual(length, sum(sizes))
                self.assertNotIn(data, seen)
                seen.add(data)
            self.assertEqual(vm.quit(), 0)

    def test_split(self):
        self.check_requests("virtio-rng-pci")

    def test_split_without_event_index(self):
        self.check_requests("virtio-rng-pci", without=1 << virtio.F_EVENT_IDX)

    def test_packed(self):
        self.check_requests("virtio-rng-pci,packed=on")

    def test_packed_without_event_index(self):
        self.check_requests("virtio-rng-pci,packed=on,event_idx=off")

    def test_transitional_modern(self):
        self.check_requests("virtio-rng-pci-transitional")

    def test_legacy(self):
        self.check_requests("virtio-rng-pci-transitional", driver=virtio.LegacyPCI)

    def test_behind_bus_master(self):
        self.check_requests("virtio-rng-pci,iommu_platform=on")


if __name__ == "__main__":
    unittest.main()
