# SPDX-License-Identifier: GPL-2.0-or-later
"""USB over the test port: the UHCI schedule, control transfers, keyboard, mouse and tablet."""
import struct
import unittest

from duodm import Duodm, QMPError, run
from seed import seeded
from uhci import (ACTIVE, END, ERRORS, IN, IOC, NAK, OUT, PORTSC, SETUP, SHORT, STALLED, TIMEOUT, USBCMD, USBINTR,
                 USBSTS, FRNUM, Stall, Uhci)


QUIET = 8  # frames after which a schedule is looked at again in which nothing happened for a while


class Case(unittest.TestCase):
    def machine(self, *options, start=True):
        vm = Duodm("-m", "64", "-display", "none", *(options or ("-usb", "-device", "usb-tablet,id=t")),
                   qtest=True)
        self.addCleanup(vm.__exit__, None, None, None)
        host = Uhci(vm.qtest)
        if start:
            host.start()
        return vm, host

    def move(self, vm, kind, **axes):
        vm.qmp.execute("input-send-event", events=[
            {"type": kind, "data": {"axis": axis, "value": value}} for axis, value in axes.items()])

    def button(self, vm, name, down):
        vm.qmp.execute("input-send-event", events=[{"type": "btn", "data": {"button": name, "down": down}}])

    def key(self, vm, name, down):
        vm.qmp.execute("input-send-event", events=[
            {"type": "key", "data": {"key": {"type": "qcode", "data": name}, "down": down}}])


class Controller(Case):
    def test_registers(self):
        vm, host = self.machine("-usb", start=False)
        self.assertEqual(vm.qtest.pci_read(host.devfn, 0), 0x70208086)
        self.assertEqual(vm.qtest.pci_read(host.devfn, 8), 0x0c030001)
        self.assertEqual(vm.qtest.pci_read(host.devfn, 0x60, 1), 0x10)
        self.assertEqual(vm.qtest.pci_read(host.devfn, 0x3d, 1), 4)
        self.assertEqual(host.read(USBSTS), 0x20)
        self.assertEqual([host.port(i) for i in range(3)], [0x80, 0x80, 0])
        host.write(FRNUM, 0x7f0)
        host.start()
        self.assertEqual(host.read(USBSTS), 0)
        host.step(5)
        self.assertEqual(host.read(FRNUM), 5)
        host.write(FRNUM, 0)  # not while it runs
        self.assertEqual(host.read(FRNUM), 5)
        host.step(2050)
        self.assertEqual(host.read(FRNUM), 7)
        host.write(USBCMD, 0)
        self.assertEqual(host.read(USBSTS), 0x20)
        host.step(5)
        self.assertEqual(host.read(FRNUM), 7)
        host.write(USBCMD, 2)
        self.assertEqual((host.read(USBCMD), host.read(FRNUM)), (0, 0))

    def test_ports(self):
        vm, host = self.machine()
        self.assertEqual(host.port(0), 0x93)
        host.write(PORTSC, 2)
        self.assertEqual(host.port(0), 0x91)
        host.reset_port(0)
        self.assertEqual(host.port(0), 0x95)
        vm.qmp.execute("device_del", id="t")
        vm.qmp.wait_event("DEVICE_DELETED")
        self.assertEqual(host.port(0), 0x8a)
        vm.qmp.execute("device_add", driver="usb-mouse", id="m", bus="usb-bus.0", port="2")
        self.assertEqual(host.port(1), 0x93)

    def test_no_such_device(self):
        _, host = self.machine()
        host.reset_port(0)
        td = host.td(IN, 9, 0, 8)
        host.set_queue(td)
        host.step(QUIET)
        self.assertEqual(host.status(td) & (ACTIVE | STALLED | TIMEOUT | ERRORS), STALLED | TIMEOUT)
        self.assertEqual(host.element(), td)
        self.assertEqual(host.read(USBSTS), 2)
        self.assertTrue(host.interrupt())
        host.write(USBSTS, 2)
        self.assertFalse(host.interrupt())

    def test_queue_goes_on(self):
        """Depth first all at once; else one descriptor for each frame."""
        _, host = self.machine()
        host.plug(0)
        for depth in (4, 0):
            tds = [host.td(OUT, 1, 0, 0) for _ in range(3)]
            setup = host.arena.put(struct.pack("<BBHHH", 0x80, 0, 0, 0, 2))
            buffer = host.arena.take(2)
            tds = [host.td(SETUP, 1, 0, 8, setup), host.td(IN, 1, 0, 2, buffer), host.td(OUT, 1, 0, 0)]
            for td, following in zip(tds, tds[1:]):
                host.qtest.writel(td, following | depth)
            host.set_queue(tds[0])
            host.step()
            self.assertEqual([bool(host.status(td) & ACTIVE) for td in tds],
                             [False, not depth, not depth], depth)
            host.step(2)
            self.assertEqual(host.element(), END)

    def test_interrupts(self):
        _, host = self.machine()
        host.plug(0)
        host.write(USBSTS, 0x1f)
        for enabled, control, length, expected in ((4, IOC, 18, True), (8, IOC, 18, False),
                                                   (8, SHORT, 64, True), (4, SHORT, 64, False)):
            host.write(USBINTR, enabled)
            setup = host.arena.put(struct.pack("<BBHHH", 0x80, 6, 0x100, 0, 18))
            td = host.td(IN, 1, 0, length, host.arena.take(64), control=control)
            first = host.td(SETUP, 1, 0, 8, setup, link=td | 4)
            host.set_queue(first)
            host.step()
            self.assertEqual(host.status(td) & 0x7ff, 17)
            self.assertEqual(host.element(), td | 4 if control == SHORT else END)
            self.assertEqual(host.read(USBSTS), 1)
            self.assertEqual(host.interrupt(), expected)
            host.write(USBSTS, 1)
            self.assertFalse(host.interrupt())

    def test_hostile_schedules(self):
        """Circles, nonsense, and memory that is not there: bounded, and told."""
        vm, host = self.machine()
        host.plug(0)
        host.set_queue(END, link=host.queue | 2)  # a circle of one queue
        host.step(QUIET)
        self.assertEqual(host.read(USBSTS), 0)
        td = host.td(IN, 1, 1, 8)
        vm.qtest.writel(td, td)  # a circle of descriptors: NAKed, then all that a frame has time for
        vm.qtest.write(host.frames, struct.pack("<I", td) * 1024)
        host.step(QUIET)
        self.assertEqual(host.status(td) & (ACTIVE | NAK), ACTIVE | NAK)
        queues = [host.arena.take(16, 16) for _ in range(700)]
        for at, following in zip(queues, queues[1:] + queues[:1]):
            vm.qtest.write(at, struct.pack("<II", following | 2, at | 2))
        vm.qtest.write(host.frames, struct.pack("<I", queues[0] | 2) * 1024)
        host.step(QUIET)
        self.assertEqual(host.read(USBSTS), 0)
        for bad, status in ((0xf0000000, 0x28), (0xf0000002, 0x28)):
            vm.qtest.write(host.frames, struct.pack("<I", bad) * 1024)
            host.step(QUIET)
            self.assertEqual(host.read(USBSTS), status)
            self.assertTrue(host.interrupt())
            host.write(USBSTS, 0x1f)
            host.write(USBCMD, 1)
        for token in (0x99 | 7 << 21, IN | 0x600 << 21):  # no such PID; too long
            td = host.td(IN, 1, 0, 8)
            vm.qtest.writel(td + 8, token)
            vm.qtest.write(host.frames, struct.pack("<I", td) * 1024)
            host.step(QUIET)
            self.assertEqual(host.read(USBSTS), 0x30)
            host.write(USBSTS, 0x1f)
            host.write(USBCMD, 1)
        td = host.td(SETUP, 1, 0, 8, 0xf0000000)
        vm.qtest.write(host.frames, struct.pack("<I", td) * 1024)
        host.step(QUIET)
        self.assertEqual(host.read(USBSTS), 0x28)
        self.assertEqual(vm.quit(), 0)

    def test_idle_is_looked_at(self):
        """After a while with nothing to do a descriptor that was added is found all the same."""
        vm, host = self.machine()
        device = host.plug(0)
        host.step(500)
        td = host.td(IN, 1, 1, 8, host.arena.take(8))
        host.set_queue(td)
        host.step(QUIET)
        self.assertTrue(host.status(td) & NAK)
        host.step(500)
        self.move(vm, "abs", x=100)
        host.step(1)
        self.assertFalse(host.status(td) & ACTIVE)
        self.assertIsNotNone(device)


class Requests(Case):
    def test_descriptors(self):
        for model, product, kind in (("usb-tablet", "USB tablet", 0), ("usb-mouse", "USB mouse", 2),
                                     ("usb-kbd", "USB keyboard", 1)):
            _, host = self.machine("-usb", "-device", model)
            device = host.plug(0)
            descriptor = device.control(0x80, 6, 0x100, 0, 64)
            self.assertEqual(descriptor[:2] + descriptor[8:12], bytes([18, 1, 0x27, 6, 1, 0]))
            configuration = device.control(0x80, 6, 0x200, 0, 255)
            self.assertEqual(len(configuration), struct.unpack_from("<H", configuration, 2)[0])
            self.assertEqual(configuration[16], kind)
            self.assertEqual(device.control(0x80, 6, 0x200, 0, 9), configuration[:9])
            self.assertEqual(device.control(0x80, 6, 0x302, 0x409, 255)[2:].decode("utf-16-le"), product)
            length = struct.unpack_from("<H", configuration, 25)[0]
            report = device.control(0x81, 6, 0x2200, 0, 255)
            self.assertEqual((len(report), report[:2]), (length, b"\x05\x01"))
            self.assertEqual(device.control(0x81, 6, 0x2100, 0, 9), configuration[18:27])

    def test_standard(self):
        _, host = self.machine()
        host.reset_port(0)
        host.control(0, 0, 5, 55)
        self.assertEqual(host.control(55, 0x80, 8, 0, 0, 1), b"\0")
        host.control(55, 0, 9, 1)
        self.assertEqual(host.control(55, 0x80, 8, 0, 0, 1), b"\1")
        host.control(55, 0, 3, 1)  # remote wakeup
        self.assertEqual(host.control(55, 0x80, 0, 0, 0, 2), b"\2\0")
        host.control(55, 2, 3, 0, 0x81)  # halt endpoint 1
        self.assertEqual(host.control(55, 0x82, 0, 0, 0x81, 2), b"\1\0")
        with self.assertRaises(Stall):
            host.transfer(55, IN, 1, length=8)
        host.control(55, 2, 1, 0, 0x81)
        for kind, request, value, index, length in (
                (0x80, 6, 0x500, 0, 8), (0, 9, 2, 0, 0), (0x80, 99, 0, 0, 1), (0x40, 1, 0, 0, 0),
                (0x81, 6, 0x2200, 1, 8), (0xa1, 99, 0, 0, 1), (0, 3, 7, 0, 0), (0x80, 6, 0x3ff, 0, 8)):
            with self.assertRaises(Stall, msg=(kind, request)):
                host.control(55, kind, request, value, index, length)
            self.assertEqual(host.control(55, 0x80, 8, 0, 0, 1), b"\1")
        with self.assertRaises(Stall):
            host.control(55, 0, 9, data=bytes(600))
        host.reset_port(0)
        self.assertEqual(host.control(0, 0x80, 8, 0, 0, 1), b"\0")

    def test_hid(self):
        _, host = self.machine("-usb", "-device", "usb-kbd")
        device = host.plug(0)
        self.assertEqual(device.control(0xa1, 3, 0, 0, 1), b"\1")
        device.control(0x21, 11, 0, 0)
        self.assertEqual(device.control(0xa1, 3, 0, 0, 1), b"\0")
        device.control(0x21, 10, 0x2500, 0)
        self.assertEqual(device.control(0xa1, 2, 0, 0, 1), b"\x25")
        device.control(0x21, 9, 0x200, 0, data=b"\2")
        self.assertEqual(device.control(0xa1, 1, 0x100, 0, 8), bytes(8))


class Input(Case):
    def test_tablet(self):
        vm, host = self.machine()
        device = host.plug(0)
        self.assertIsNone(device.poll())
        self.move(vm, "abs", x=0x1234, y=0x7fff)
        self.assertEqual(device.poll(), struct.pack("<BHHb", 0, 0x1234, 0x7fff, 0))
        self.assertIsNone(device.poll())
        self.button(vm, "left", True)
        self.button(vm, "right", True)
        self.move(vm, "abs", x=1, y=2)
        self.move(vm, "abs", x=3, y=4)
        self.button(vm, "left", False)
        self.button(vm, "wheel-up", True)
        self.button(vm, "wheel-up", False)
        got = []
        while report := device.poll():
            got.append(struct.unpack("<BHHb", report))
        self.assertEqual(got, [(1, 0x1234, 0x7fff, 0), (3, 3, 4, 0), (2, 3, 4, 1)])

    def test_mouse(self):
        vm, host = self.machine("-usb", "-device", "usb-mouse")
        device = host.plug(0)
        self.assertIsNone(device.poll())
        self.move(vm, "rel", x=5, y=-3)
        self.move(vm, "rel", x=300)
        got = []
        while report := device.poll():
            got.append(struct.unpack("<Bbbb", report))
        self.assertEqual(got, [(0, 127, -3, 0), (0, 127, 0, 0), (0, 51, 0, 0)])
        self.button(vm, "middle", True)
        self.assertEqual(device.poll(), b"\4\0\0\0")

    def test_keyboard(self):
        vm, host = self.machine("-usb", "-device", "usb-kbd")
        device = host.plug(0)
        self.assertIsNone(device.poll())
        for name, down in (("shift", True), ("a", True), ("b", True), ("a", False), ("shift", False),
                           ("b", False)):
            self.key(vm, name, down)
        got = []
        while report := device.poll():
            got.append((report[0], [usage for usage in report[2:] if usage]))
        self.assertEqual(got, [(2, []), (2, [4]), (2, [4, 5]), (2, [5]), (0, [5]), (0, [])])
        for name in "abcdefg":
            self.key(vm, name, True)
        while report := device.poll():
            last = report
        self.assertEqual(last, b"\0\0" + b"\1" * 6)
        for name in "bcdefg":
            self.key(vm, name, False)
        while report := device.poll():
            last = report
        self.assertEqual(last, b"\0\0\4\0\0\0\0\0")

    def test_idle_rate(self):
        vm, host = self.machine("-usb", "-device", "usb-kbd")
        device = host.plug(0)
        device.poll()
        self.key(vm, "x", True)
        report = device.poll()
        device.control(0x21, 10, 0x500, 0)  # again each 20 ms
        self.assertIsNone(device.poll())
        host.step(12)
        self.assertEqual(device.poll(), report)

    def test_nobody_polls(self):
        """Without a driver events go elsewhere, and are not kept."""
        vm, host = self.machine()
        with self.assertRaises(QMPError):
            self.move(vm, "abs", x=7, y=7)
        device = host.plug(0)
        self.assertIsNone(device.poll())

    def test_unplug_while_it_is_polled(self):
        vm, host = self.machine()
        device = host.plug(0)
        td = host.td(IN, 1, 1, 8, host.arena.take(8))
        host.set_queue(td)
        host.step(QUIET)
        self.assertTrue(host.status(td) & NAK)
        vm.qmp.execute("device_del", id="t")
        vm.qmp.wait_event("DEVICE_DELETED")
        host.step(QUIET)
        self.assertTrue(host.status(td) & TIMEOUT)
        self.assertIsNotNone(device)
        self.assertEqual(vm.quit(), 0)


class Saved(Case):
    def test_tablet_goes_on(self):
        one, host = self.machine()
        device = host.plug(0)
        device.poll()
        self.move(one, "abs", x=77, y=99)
        self.button(one, "left", True)
        one.qmp.execute("stop")
        one.qmp.execute("xen-save-devices-state", filename=one.path("state"))
        other, second = self.machine(start=False)
        other.qmp.execute("stop")
        other.qmp.execute("xen-load-devices-state", filename=one.path("state"))
        other.qmp.execute("cont")
        second.__dict__.update({k: v for k, v in host.__dict__.items() if k != "qtest"})
        second.arena.qtest = device.host.qtest = other.qtest
        other.qtest.write(host.frames, struct.pack("<I", host.queue | 2) * 1024)
        second.set_queue(END)
        self.assertEqual(second.port(0), host.port(0))
        self.assertEqual(device.poll(), struct.pack("<BHHb", 0, 77, 99, 0))
        self.assertEqual(device.poll(), struct.pack("<BHHb", 1, 77, 99, 0))
        self.move(other, "abs", x=1, y=2)
        self.assertEqual(device.poll(), struct.pack("<BHHb", 1, 1, 2, 0))


class CommandLine(Case):
    def test_forms(self):
        for line in (("-usb", "-usbdevice", "tablet"), ("-usbdevice", "mouse", "-usbdevice", "keyboard"),
                     ("-device", "usb-tablet", "-usb"), ("-device", "piix3-usb-uhci,id=usb", "-device",
                                                         "usb-kbd,bus=usb.0,port=2")):
            vm, _ = self.machine(*line, start=False)
            self.assertEqual(vm.quit(), 0)

    def test_refused(self):
        base = ("-accel", "qtest", "-nodefaults", "-display", "none")
        for line, text in ((("-usbdevice", "disk:x"), "tablet, mouse or keyboard"),
                           (("-device", "usb-tablet"), "no bus"),
                           (("-usb",) + ("-device", "usb-tablet") * 3, "no port is free"),
                           (("-usb", "-device", "usb-tablet,port=3"), "ports 1 to 2"),
                           (("-device", "usb-ehci"), "usb-ehci"), (("-device", "nec-usb-xhci"), "nec-usb-xhci")):
            result = run(*base, *line)
            self.assertEqual(result.returncode, 1, line)
            self.assertIn(text, result.stderr)


class Hammer(Case):
    def test_random(self):
        with seeded(self) as chance:
            self.hammer(chance)

    def hammer(self, chance):
        vm, host = self.machine("-usb", "-device", "usb-tablet", "-device", "usb-kbd")
        host.plug(0)
        host.plug(1)
        area = 0x200000
        links = [area + 16 * i for i in range(64)] + [END, 0xf0000000, 0xfffffff0]
        for step in range(1500):
            what = chance.randrange(8)
            if what < 4:
                pid = chance.choice((IN, OUT, SETUP, SETUP, IN, chance.randrange(256)))
                vm.qtest.write(area + 16 * chance.randrange(64), struct.pack(
                    "<IIII", chance.choice(links) | chance.randrange(8) & ~(step & 1),
                    chance.getrandbits(32) | ACTIVE,
                    pid | chance.randrange(3) << 8 | chance.randrange(2) << 15 | chance.randrange(70) << 21,
                    chance.choice((area + chance.randrange(2048), host.frames, 0xf0000000))))
            elif what < 5:
                vm.qtest.write(host.frames, struct.pack("<I", chance.choice(links) | chance.randrange(4)) * 1024)
                host.write(USBCMD, 0xc1)
            elif what < 6:
                host.write(chance.randrange(16) * 2, chance.getrandbits(16) & ~2)
                vm.qtest.outl(host.ports + 8, host.frames)
                host.write(PORTSC, 4)
            elif what < 7:
                try:
                    self.key(vm, "a", bool(step & 1))
                    self.move(vm, "abs", x=chance.randrange(0x8000))
                except QMPError:
                    pass  # the tablet is not in use now
            else:
                host.step(chance.randrange(4))
        host.write(USBCMD, 2)
        host.start()
        self.assertEqual(host.plug(0).control(0x80, 8, 0, 0, 1), b"\1")
        self.assertEqual(vm.quit(), 0)


if __name__ == "__main__":
    unittest.main()
