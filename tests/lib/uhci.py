# SPDX-License-Identifier: GPL-2.0-or-later
"""A driver of UHCI over the test port, and the control transfers of USB devices.

    host = Uhci(vm.qtest)
    host.start()
    device = host.plug(0)                    # reset, address, configured
    device.control(0x80, 6, 0x0100, 0, 18)   # its descriptor
"""
import struct
import time

from duodm import SLOWER
from virtio import Arena

IN, OUT, SETUP = 0x69, 0xe1, 0x2d
ACTIVE, STALLED, BABBLE, NAK, TIMEOUT = 1 << 23, 1 << 22, 1 << 20, 1 << 19, 1 << 18
IOC, SHORT, ERRORS = 1 << 24, 1 << 29, 3 << 27
END = 1
USBCMD, USBSTS, USBINTR, FRNUM, FRBASEADD, PORTSC = 0, 2, 4, 6, 8, 16
FRAME = 1_000_000  # ns


class Stall(Exception):
    pass


class Uhci:
    """All frames lead to one queue head, whose element a test sets."""

    def __init__(self, qtest, devfn=0x0a, ports=0xC100):
        self.qtest, self.devfn, self.ports = qtest, devfn, ports
        self.arena = Arena(qtest)
        qtest.pci_write(devfn, 0x20, ports)
        qtest.pci_write(devfn, 4, 5, 2)

    def read(self, offset):
        return self.qtest.inw(self.ports + offset)

    def write(self, offset, value):
        self.qtest.outw(self.ports + offset, value)

    def start(self):
        self.frames = self.arena.take(4096, 4096)
        self.queue = self.arena.take(16, 16)
        self.set_queue(END)
        self.qtest.write(self.frames, struct.pack("<I", self.queue | 2) * 1024)
        self.qtest.outl(self.ports + FRBASEADD, self.frames)
        self.write(FRNUM, 0)
        self.write(USBINTR, 15)
        self.write(USBCMD, 0xc1)

    def set_queue(self, element, link=END):
        self.qtest.write(self.queue, struct.pack("<II", link, element))

    def element(self):
        return self.qtest.readl(self.queue + 4)

    def td(self, pid, address, endpoint, length, buffer=0, link=END, toggle=0, control=0, at=None):
        at = self.arena.take(16, 16) if at is None else at
        token = pid | address << 8 | endpoint << 15 | toggle << 19 | ((length - 1) & 0x7ff) << 21
        self.qtest.write(at, struct.pack("<IIII", link, ACTIVE | ERRORS | control, token, buffer))
        return at

    def status(self, td):
        return self.qtest.readl(td + 4)

    def step(self, frames=1):
        self.qtest.clock_step(frames * FRAME)

    def interrupt(self):
        return bool(self.qtest.pci_read(self.devfn, 6, 2) & 8)

    def run(self, tds):
        """Run linked TDs to their end; actual lengths, or Stall."""
        for td, following in zip(tds, tds[1:]):
            self.qtest.writel(td, following | 4)
        self.set_queue(tds[0])
        for _ in range(100):
            self.step()
            if not any(self.status(td) & ACTIVE for td in tds):
                break
            if any(self.status(td) & STALLED for td in tds):
                break
        self.set_queue(END)
        lengths = []
        for td in tds:
            status = self.status(td)
            if status & STALLED:
                raise Stall(hex(status))
            assert not status & ACTIVE, hex(status)
            lengths.append((status + 1) & 0x7ff)
        return lengths

    def transfer(self, address, pid, endpoint, data=b"", length=0):
        """One transaction; bytes for IN."""
        buffer = self.arena.put(data) if data else self.arena.take(length or 1)
        size = self.run([self.td(pid, address, endpoint, len(data) or length, buffer)])[0]
        return self.qtest.read(buffer, size) if pid == IN and size else b""

    def control(self, address, kind, request, value=0, index=0, length=0, data=b""):
        length = len(data) or length
        setup = self.arena.put(struct.pack("<BBHHH", kind, request, value, index, length))
        buffer = self.arena.put(data) if data else self.arena.take(max(length, 1))
        pid = IN if kind & 0x80 else OUT
        tds = [self.td(SETUP, address, 0, 8, setup)]
        for at in range(0, length, 8):
            tds.append(self.td(pid, address, 0, min(8, length - at), buffer + at, toggle=1))
        tds.append(self.td(OUT if kind & 0x80 else IN, address, 0, 0, toggle=1))
        lengths = self.run(tds)
        return self.qtest.read(buffer, sum(lengths[1:-1])) if pid == IN and sum(lengths[1:-1]) else b""

    def port(self, number):
        return self.read(PORTSC + 2 * number)

    def reset_port(self, number):
        self.write(PORTSC + 2 * number, 0x200)
        self.step(50)
        self.write(PORTSC + 2 * number, 0)
        self.write(PORTSC + 2 * number, 0x0e)

    def plug(self, number, address=None):
        self.reset_port(number)
        address = address or number + 1
        self.control(0, 0, 5, address)
        self.control(address, 0, 9, 1)
        return Device(self, address)


class Device:
    def __init__(self, host, address):
        self.host, self.address = host, address

    def control(self, *arguments, **rest):
        return self.host.control(self.address, *arguments, **rest)

    def poll(self, length=8):
        """A report, or None where there is none."""
        host = self.host
        buffer = host.arena.take(length)
        td = host.td(IN, self.address, 1, length, buffer)
        host.set_queue(td)
        deadline = time.monotonic() + 10 * SLOWER
        for _ in range(10):
            host.step()
            if not host.status(td) & ACTIVE:
                break
        host.set_queue(END)
        status = host.status(td)
        assert time.monotonic() < deadline
        if status & ACTIVE:
            assert status & NAK
            return None
        if status & STALLED:
            raise Stall(hex(status))
        return host.qtest.read(buffer, (status + 1) & 0x7ff)
