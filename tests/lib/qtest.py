# SPDX-License-Identifier: GPL-2.0-or-later
"""Client of duodm's test port (the line protocol known as qtest)."""

import select
import time


class QTestError(Exception):
    """The server answered FAIL, or something that is no reply."""


class QTest:
    """Drives the devices of a machine that was started with -accel qtest -qtest DEV.

    Interrupt messages are kept: irq(n) is the level of input n, and edges lists all changes.
    """

    def __init__(self, sock, timeout=10.0):
        self.sock = sock
        self.timeout = timeout
        self.buffer = b""
        self.levels = {}
        self.edges = []

    def _read_line(self, deadline):
        while b"\n" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                raise TimeoutError("no line from the test port")
            data = self.sock.recv(1 << 16)
            if not data:
                raise EOFError("the test port was closed")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode("latin-1")

    def _note_interrupt(self, line):
        words = line.split()
        if len(words) == 3 and words[0] == "IRQ":
            self.levels[int(words[2])] = words[1] == "raise"
            self.edges.append((words[1], int(words[2])))
            return True
        return False

    def raw(self, text):
        """Send bytes as they are; returns nothing."""
        self.sock.sendall(text if isinstance(text, bytes) else text.encode())

    def reply(self):
        """The next line that is no interrupt message."""
        deadline = time.monotonic() + self.timeout
        while True:
            line = self._read_line(deadline)
            if not self._note_interrupt(line):
                return line

    def command(self, text):
        self.raw(text + "\n")
        line = self.reply()
        if line != "OK" and not line.startswith("OK "):
            raise QTestError(f"{text[:80]}: {line}")
        return line[3:]

    def batch(self, commands):
        """Many commands at once, each of which has to be answered with OK."""
        self.raw("\n".join(commands) + "\n")
        for command in commands:
            try:
                line = self.reply()
            except (EOFError, TimeoutError) as problem:
                raise type(problem)(f"after '{command}': {problem}") from problem
            if line != "OK" and not line.startswith("OK "):
                raise QTestError(f"{command[:80]}: {line}")

    def wait_irq(self, number, level):
        """Until input `number` is at `level`, as messages tell."""
        deadline = time.monotonic() + self.timeout
        while self.levels.get(number, False) != level:
            line = self._read_line(deadline)
            if not self._note_interrupt(line):
                raise QTestError(f"unexpected: {line}")

    def acknowledge_pic(self, base=0xA0):
        """Take the interrupt that an 8259 has, by polling, as a processor does by INTA. The message
        of a line comes before the 8259 has heard of it."""
        while True:
            self.outb(base, 0x0C)
            if self.inb(base) & 0x80:
                return

    def start_pic(self):
        """Both 8259s as firmware has them, PCI's pins on interrupt 10 and level-triggered; the lines are told."""
        for base, vector, cascade in ((0x20, 0x20, 4), (0xA0, 0x28, 2)):
            self.outb(base, 0x11)
            for value in (vector, cascade, 1, 0):
                self.outb(base + 1, value)
        self.outb(0x4D1, 0x0C)
        for link in range(4):
            self.pci_write(1 << 3, 0x60 + link, 10, 1)
        self.intercept()

    def serve_pic(self):
        """Take an interrupt of the second 8259, and end it."""
        self.acknowledge_pic()
        self.outb(0xA0, 0x20)
        self.outb(0x20, 0x20)

    def irq(self, number):
        return self.levels.get(number, False)

    def intercept(self, path="ioapic"):
        self.command(f"irq_intercept_in {path}")

    def inb(self, port):
        return int(self.command(f"inb {port:#x}"), 16)

    def inw(self, port):
        return int(self.command(f"inw {port:#x}"), 16)

    def inl(self, port):
        return int(self.command(f"inl {port:#x}"), 16)

    def outb(self, port, value):
        self.command(f"outb {port:#x} {value:#x}")

    def outw(self, port, value):
        self.command(f"outw {port:#x} {value:#x}")

    def outl(self, port, value):
        self.command(f"outl {port:#x} {value:#x}")

    def _load(self, letter, address):
        return int(self.command(f"read{letter} {address:#x}"), 16)

    def _store(self, letter, address, value):
        self.command(f"write{letter} {address:#x} {value:#x}")

    def readb(self, address):
        return self._load("b", address)

    def readw(self, address):
        return self._load("w", address)

    def readl(self, address):
        return self._load("l", address)

    def readq(self, address):
        return self._load("q", address)

    def writeb(self, address, value):
        self._store("b", address, value)

    def writew(self, address, value):
        self._store("w", address, value)

    def writel(self, address, value):
        self._store("l", address, value)

    def writeq(self, address, value):
        self._store("q", address, value)

    def read(self, address, size):
        return bytes.fromhex(self.command(f"read {address:#x} {size}")[2:])

    def write(self, address, data):
        self.command(f"write {address:#x} {len(data)} 0x{data.hex()}")

    def memset(self, address, size, value):
        self.command(f"memset {address:#x} {size} {value:#x}")

    def clock_step(self, ns=None):
        return int(self.command("clock_step" if ns is None else f"clock_step {ns}"))

    def clock_set(self, ns):
        return int(self.command(f"clock_set {ns}"))

    # Configuration mechanism 1 of PCI.

    def pci_read(self, devfn, offset, size=4, bus=0):
        self.outl(0xCF8, 0x80000000 | bus << 16 | devfn << 8 | offset & 0xFC)
        port = 0xCFC + (offset & 3)
        return {1: self.inb, 2: self.inw, 4: self.inl}[size](port)

    def pci_write(self, devfn, offset, value, size=4, bus=0):
        self.outl(0xCF8, 0x80000000 | bus << 16 | devfn << 8 | offset & 0xFC)
        port = 0xCFC + (offset & 3)
        {1: self.outb, 2: self.outw, 4: self.outl}[size](port, value)
