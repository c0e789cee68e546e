# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio-balloon over the test port: pages go back to the host, statistics, monitors."""
import re
import struct
import unittest

import virtio
from duodm import SLOWER, Duodm, QMPError

virtio.Device.slower = SLOWER
MIB = 1 << 20
F_STATS, F_REPORTING = 1, 5


def machine(options=""):
    return Duodm("-display", "none", "-m", "64", "-device", f"virtio-balloon-pci,addr=5{options}",
                 qtest=True)


def resident(vm):
    """Bytes of the guest's RAM that the host has to provide."""
    with open(f"/proc/{vm.process.pid}/smaps", encoding="ascii") as file:
        text = file.read()
    match = re.search(r"^Size: +65536 kB\n.*?^Rss: +(\d+) kB", text, re.S | re.M)
    return int(match[1]) * 1024


class Balloon(unittest.TestCase):
    def test_inflate_gives_pages_back(self):
        with machine() as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start()
            vm.qtest.memset(32 * MIB, 16 * MIB, 0x5A)
            before = resident(vm)
            # 16 MiB, upwards and downwards; among them a page that is not RAM, and one past all
            # memory, which do no harm.
            pages = list(range(8192, 10240)) + [0xFEC00, 0xFFFFFFFF] + list(range(12287, 10239, -1))
            for at in range(0, len(pages), 256):
                part = pages[at:at + 256]
                device.queues[0].request([struct.pack(f"<{len(part)}I", *part)], [])
            self.assertLess(resident(vm), before - 15 * MIB)
            self.assertEqual(vm.qtest.readq(32 * MIB), 0)
            self.assertEqual(vm.qtest.readq(48 * MIB - 8), 0)
            vm.qtest.writeq(40 * MIB, 77)  # deflated: usable again, with nothing to be done
            device.queues[1].request([struct.pack("<I", 10240)], [])
            self.assertEqual(vm.qtest.readq(40 * MIB), 77)
            self.assertFalse(device.status() & virtio.NEEDS_RESET)

    def test_reported_pages(self):
        with machine(",free-page-reporting=on") as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start()
            self.assertTrue(device.features >> F_REPORTING & 1)
            vm.qtest.memset(32 * MIB, 8 * MIB, 0x5A)
            before = resident(vm)
            device.queues[3].add_parts([], [(32 * MIB, 4 * MIB), (38 * MIB + 100, MIB)])
            device.queues[3].kick()
            device.queues[3].wait()
            self.assertLess(resident(vm), before - 4.5 * MIB)
            self.assertEqual(vm.qtest.readb(38 * MIB + 99), 0x5A, "whole pages only")
            self.assertEqual(vm.qtest.readb(37 * MIB), 0x5A)

    def test_reporting_without_statistics_is_the_third_queue(self):
        with machine(",free-page-reporting=on") as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start(without=1 << F_STATS)
            vm.qtest.memset(32 * MIB, 4 * MIB, 0x5A)
            device.queues[2].add_parts([], [(32 * MIB, 4 * MIB)])
            device.queues[2].kick()
            device.queues[2].wait()
            self.assertEqual(vm.qtest.readb(33 * MIB), 0)

    def test_target_and_actual(self):
        with machine() as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start(vectors=True)
            self.assertEqual(vm.qmp.execute("query-balloon"), {"actual": 64 * MIB})
            generation = device.generation()
            vm.qmp.execute("balloon", value=48 * MIB)
            device.wait_vector(0)
            self.assertNotEqual(device.generation(), generation)
            self.assertEqual(device.read_config(0, 4), struct.pack("<I", 16 * MIB // 4096))
            device.write_config(4, struct.pack("<I", 12 * MIB // 4096))
            # Byte by byte, so there may be several; the last one is what counts.
            while vm.qmp.wait_event("BALLOON_CHANGE")["data"] != {"actual": 52 * MIB}:
                pass
            self.assertEqual(vm.qmp.execute("query-balloon"), {"actual": 52 * MIB})
            self.assertEqual(vm.qmp.human("info balloon"), "balloon: actual=52\n")
            vm.qmp.human("balloon 1G")
            self.assertEqual(device.read_config(0, 4), bytes(4))
            self.assertIn("can't do without", vm.qmp.human("balloon 0"))
            device.write_config(0, b"\xff\xff\xff\xff")  # the driver can't change what is asked
            self.assertEqual(device.read_config(0, 4), bytes(4))
            vm.qmp.execute("system_reset")
            vm.qmp.wait_event("RESET")
            self.assertEqual(vm.qmp.execute("query-balloon"), {"actual": 64 * MIB})

    def test_statistics(self):
        with machine(",guest-stats-polling-interval=2") as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start()
            queue = device.queues[2]
            for free in (1000, 2000, 3000):
                queue.add([struct.pack("<HQHQHQ", 4, free, 5, 64 * MIB, 0xFFFF, 1)], [])
                queue.kick()
                self.assertIsNone(queue.poll())
                vm.qtest.clock_step(2_000_000_000)
                queue.wait()  # the device wants new ones
                text = vm.qmp.human("info balloon")
                self.assertIn(f"free-memory: {free}\n", text)
                self.assertIn(f"total-memory: {64 * MIB}\n", text)
            queue.add([b"odd"], [])  # kept; a stop gives it back, and nothing waits for it
            queue.kick()
            vm.qmp.execute("stop")
            vm.qmp.execute("cont")
            self.assertEqual(vm.quit(), 0)

    def test_without_a_balloon(self):
        with Duodm("-display", "none", qtest=True) as vm:
            for command in ({"command": "query-balloon"}, {"command": "balloon", "value": MIB}):
                with self.assertRaisesRegex(QMPError, "virtio-balloon-pci"):
                    vm.qmp.execute(**command)


if __name__ == "__main__":
    unittest.main()
