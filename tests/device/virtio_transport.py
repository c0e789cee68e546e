# SPDX-License-Identifier: GPL-2.0-or-later
"""What is the same for all virtio devices: negotiation, vectors, reset, pause, transports. The device
is virtio-rng, since it answers every buffer."""
import struct
import unittest

import virtio
from duodm import SLOWER, Duodm, run
from virtio import DRIVER_OK

virtio.Device.slower = SLOWER


def machine(options="virtio-rng-pci", *more):
    return Duodm("-display", "none", "-m", "64", "-device", options + ",addr=5", *more, qtest=True)


class Negotiation(unittest.TestCase):
    def test_modern_ids(self):
        with machine() as vm:
            self.assertEqual(vm.qtest.pci_read(5 << 3, 0), 0x10441AF4)
            self.assertGreaterEqual(vm.qtest.pci_read(5 << 3, 8, 1), 1)

    def test_transitional_ids(self):
        with machine("virtio-rng-pci-transitional") as vm:
            self.assertEqual(vm.qtest.pci_read(5 << 3, 0), 0x10051AF4)
            self.assertEqual(vm.qtest.pci_read(5 << 3, 8, 1), 0)
            self.assertEqual(vm.qtest.pci_read(5 << 3, 0x2E, 2), 4)

    def test_version_1_is_needed(self):
        with machine() as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            with self.assertRaises(AssertionError):
                device.negotiate(without=1 << virtio.F_VERSION_1)
            device.set_status(15)
            self.assertFalse(device.status() & DRIVER_OK, "not without FEATURES_OK")

    def test_what_was_not_offered(self):
        with machine() as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            with self.assertRaises(AssertionError):
                device.negotiate(features=device.offered() | 1 << virtio.F_PACKED)

    def test_access_platform_is_needed(self):
        with machine("virtio-rng-pci,iommu_platform=on") as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            with self.assertRaises(AssertionError):
                device.negotiate(without=1 << virtio.F_ACCESS_PLATFORM)

    def test_features_stay_once_they_are_ok(self):
        with machine() as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            device.negotiate()
            device.write_features(0)
            device.make_queues()
            device.set_status(device.status() | DRIVER_OK)
            self.assertEqual(device.queues[0].request([], [8], indirect=True)[0], 8)

    def test_no_interface(self):
        result = run("-accel", "qtest", "-device", "virtio-rng-pci,disable-modern=on")
        self.assertIn("leave no interface", result.stderr)
        result = run("-accel", "qtest", "-device",
                     "virtio-rng-pci-transitional,iommu_platform=on")
        self.assertIn("disable-legacy=on", result.stderr)
        result = run("-accel", "qtest", "-device", "virtio-rng-pci,vectors=129")
        self.assertIn("1 to 128", result.stderr)
        result = run("-accel", "qtest", "-device", "virtio-rng-pci,iothread=none")
        self.assertIn("-object iothread", result.stderr)


class Interrupts(unittest.TestCase):
    def test_vectors(self):
        with machine() as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start(vectors=True)
            device.queues[0].request([], [8])
            device.wait_vector(1)
            device.mask_vector(1, True)
            device.queues[0].request([], [8])
            device.wait_pending(1)
            self.assertFalse(device.vector_came(1))
            device.mask_vector(1, False)
            self.assertTrue(device.vector_came(1), "sent with the unmasking")
            self.assertFalse(device.pending(1))
            self.assertEqual(device.isr(), 0, "no INTx beside MSI-X")

    def test_function_mask(self):
        with machine() as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start(vectors=True)
            control = device.msix_capability + 2
            vm.qtest.pci_write(device.devfn, control, 0xC000, 2)
            device.queues[0].request([], [8])
            device.wait_pending(1)
            vm.qtest.pci_write(device.devfn, control, 0x8000, 2)
            device.wait_vector(1)

    def test_messages_go_to_memory_or_nowhere(self):
        """Into the device's own registers, other devices, nothing: no harm, and no deadlock."""
        with machine() as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start(vectors=True)
            for target in (device.common + 0x14, device.msix, 0xFEC00000, 0xFED00000, 1 << 51,
                           0xFFFFFFFFFFFFFFFC):
                vm.qtest.writeq(device.msix + 16, target)
                for _ in range(20):
                    device.queues[0].request([], [8])
            self.assertTrue(device.status() & DRIVER_OK)
            self.assertEqual(vm.quit(), 0)

    def test_interrupt_line(self):
        for event_index in (0, 1 << virtio.F_EVENT_IDX):
            with machine() as vm:
                vm.qtest.intercept()
                device = virtio.PCI(vm.qtest, slot=5)
                vm.qtest.pci_write(1 << 3, 0x60, 0x0B0B0B0B)  # all four PIRQs to 11
                device.start(without=event_index)
                queue = device.queues[0]
                queue.request([], [8])
                vm.qtest.wait_irq(11, True)
                self.assertEqual(device.isr(), 1)
                vm.qtest.wait_irq(11, False)
                queue.set_interrupts(False)
                queue.request([], [8])
                self.assertEqual(device.isr(), 0)

    def test_event_index_saves_interrupts(self):
        with machine() as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start(vectors=True)
            queue = device.queues[0]
            # An interrupt when the third buffer is used.
            queue.follow = False
            vm.qtest.writew(queue.available + 4 + 2 * queue.size, 2)
            queue.request([], [8])
            queue.request([], [8])
            self.assertFalse(device.vector_came(1))
            queue.request([], [8])
            device.wait_vector(1)


class States(unittest.TestCase):
    def test_reset_in_the_middle(self):
        with machine() as vm:
            for _ in range(50):
                device = virtio.PCI(vm.qtest, slot=5)
                device.start()
                for _ in range(20):
                    device.queues[0].add([], [4096])
                device.queues[0].kick()
                device.reset()
                self.assertEqual(device.status(), 0)
                index = vm.qtest.readw
                before = [index(q.used + 2) for q in device.queues]
                self.assertEqual(before, [index(q.used + 2) for q in device.queues])
            self.assertEqual(vm.quit(), 0)

    def test_machine_reset_in_the_middle(self):
        with machine() as vm:
            for _ in range(10):
                device = virtio.PCI(vm.qtest, slot=5)
                device.start()
                queue = device.queues[0]
                for _ in range(20):
                    queue.add([], [4096])
                queue.kick()
                vm.qmp.execute("system_reset")
                vm.qmp.wait_event("RESET")
                self.assertEqual(vm.qtest.pci_read(device.devfn, 4, 2), 0)
                used = queue.used_index()
                queue.add([], [8])
                self.assertEqual(queue.used_index(), used)

    def test_nothing_moves_while_paused(self):
        with machine() as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start()
            queue = device.queues[0]
            queue.request([], [8])
            vm.qmp.execute("stop")
            for _ in range(10):
                queue.add([], [64])
                queue.kick()
                self.assertIsNone(queue.poll())
            vm.qmp.execute("cont")
            for _ in range(10):
                self.assertEqual(queue.wait()[1], 64)

    def test_nothing_moves_without_bus_mastering(self):
        with machine() as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start()
            queue = device.queues[0]
            device.bus_master(False)
            queue.add([], [64])
            queue.kick()
            self.assertIsNone(queue.poll())
            device.bus_master(True)
            self.assertEqual(queue.wait()[1], 64)

    def test_one_queue_alone(self):
        for packed in ("", ",packed=on"):
            with machine("virtio-rng-pci" + packed) as vm:
                device = virtio.PCI(vm.qtest, slot=5)
                device.start()
                self.assertTrue(device.features >> virtio.F_RING_RESET & 1)
                for _ in range(3):
                    device.queues[0].request([], [8])
                    device.reset_queue(0)
                    self.assertEqual(vm.qtest.readw(device.common + 0x3A), 0)
                    self.assertEqual(vm.qtest.readw(device.common + 0x1C), 0)
                    device.queues[0] = device.make_queue(0, 16)
                    device.set_queue(device.queues[0])

    def test_a_thread_of_its_own(self):
        with Duodm("-display", "none", "-object", "iothread,id=t1", "-object",
                   "rng-random,id=r,filename=/dev/urandom", "-device",
                   "virtio-rng-pci,addr=5,iothread=t1,rng=r", "-device", "virtio-rng-pci,addr=6",
                   qtest=True) as vm:
            names = [thread["id"] for thread in vm.qmp.execute("query-iothreads")]
            self.assertEqual(names, ["t1", "io.default"])
            arena = virtio.Arena(vm.qtest)
            devices = [virtio.PCI(vm.qtest, slot=slot, arena=arena) for slot in (5, 6)]
            for device in devices:
                device.start()
            for _ in range(10):
                for device in devices:
                    device.queues[0].request([], [8])
            self.assertEqual(vm.quit(), 0)

    def test_rate_limit(self):
        with machine("virtio-rng-pci,max-bytes=100,period=1000") as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start()
            queue = device.queues[0]
            self.assertEqual(queue.request([], [64])[0], 64)
            self.assertEqual(queue.request([], [64])[0], 36)
            queue.add([], [64])
            queue.kick()
            vm.qtest.clock_step(999_000_000)
            self.assertIsNone(queue.poll())
            vm.qtest.clock_step(1_001_000_000)
            self.assertEqual(queue.wait()[1], 64)


class ConfigWindow(unittest.TestCase):
    """4.1.4.9: all of BAR 4 through config space, for firmware without memory decoding."""

    def access(self, device, offset, size, value=None):
        at = device.capabilities[5][0]
        device.qtest.pci_write(device.devfn, at + 4, 4, 1)
        device.qtest.pci_write(device.devfn, at + 8, offset)
        device.qtest.pci_write(device.devfn, at + 12, size)
        if value is None:
            return device.qtest.pci_read(device.devfn, at + 16, size)
        return device.qtest.pci_write(device.devfn, at + 16, value, size)

    def test_registers(self):
        with machine() as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            self.access(device, 0x14, 1, 3)
            self.assertEqual(device.status(), 3)
            self.assertEqual(self.access(device, 0x14, 1), 3)
            self.assertEqual(self.access(device, 0x12, 2), 1)
            device.start()
            queue = device.queues[0]
            queue.add([], [8])
            self.access(device, 0x3000, 2, 0)  # the doorbell
            queue.wait()
            for offset, size in ((0x4000, 4), (0x3FFE, 4), (0xFFFFFFFC, 4), (0, 3), (0, 0),
                                 (0x15, 2), (0, 0xFFFFFFFF)):
                self.access(device, offset, size if size in (1, 2, 4) else 4)
                at = device.capabilities[5][0]
                vm.qtest.pci_write(device.devfn, at + 12, size)
                vm.qtest.pci_read(device.devfn, at + 16, 4)
                vm.qtest.pci_write(device.devfn, at + 16, 0xFFFFFFFF, 4)
            self.assertEqual(vm.quit(), 0)


class LegacyMasks(unittest.TestCase):
    def test_queue_before_driver_ok(self):
        """Drivers from before virtio 1.0 used queues before they said that they were ready."""
        with machine("virtio-rng-pci-transitional") as vm:
            device = virtio.LegacyPCI(vm.qtest, slot=5)
            device.negotiate()
            device.make_queues()
            self.assertEqual(device.queues[0].request([], [8])[0], 8)
            device.qtest.outl(device.ports + 8, 0)  # the page number 0 ends it
            device.queues[0] = device.make_queue(0, 0)
            device.set_queue(device.queues[0])
            device.set_status(virtio.ACKNOWLEDGE | virtio.DRIVER | DRIVER_OK)
            self.assertEqual(device.queues[0].request([], [8])[0], 8)

    def test_legacy_features(self):
        with machine("virtio-rng-pci-transitional,packed=on") as vm:
            device = virtio.LegacyPCI(vm.qtest, slot=5)
            device.start()
            self.assertEqual(device.features >> 32, 0)
            self.assertEqual(struct.unpack("<I", struct.pack("<I", device.features))[0],
                             device.features)


if __name__ == "__main__":
    unittest.main()
