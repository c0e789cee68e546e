# SPDX-License-Identifier: GPL-2.0-or-later
"""duodm as the device model of a domain that xen-mock.c plays: the test is the domain's processors."""
import mmap
import os
import re
import select
import struct
import subprocess

import played
from duodm import SLOWER

PAGE = 4096
PAGES_MAX = 1 << 20
BUFFER_PORT, VCPU_PORT = 99, 100
PORT, COPY, CONFIG, TIME_OFFSET, INVALIDATE = 0, 1, 2, 7, 8  # kinds of request
READY, DONE = 1, 3
DOMAIN = 3


def library():
    """xen-mock.c; None where Xen's headers are missing."""
    flags = subprocess.run(["pkg-config", "--cflags", "glib-2.0"], capture_output=True, text=True,
                           check=False).stdout.split()
    return played.build("xen", "xen-mock.c", "xen-mock-rest.c", flags=tuple(flags))


class Domain(played.Played):
    """Its memory, its store and its processors, which stand still but for what a test does."""

    def __init__(self, vcpus=2, memory=64):
        super().__init__("xen", library())
        self.vcpus = vcpus
        self.size = memory << 20
        self.write("device", f"vcpus {vcpus}\n")
        pages = self.size // PAGE
        with open(self.path("frames"), "wb") as file:
            file.write(struct.pack(f"<{pages}I", *range(1, pages + 1)))
            file.truncate(PAGES_MAX * 4)
        with open(self.path("memory"), "wb") as file:
            file.truncate(PAGES_MAX * PAGE)
        self.new_server()

    def new_server(self):
        """Pages of requests that nobody has seen."""
        with open(self.path("ioreq"), "wb") as file:
            file.truncate(2 * PAGE)
        with open(self.path("ioreq"), "r+b") as file:
            self.requests = mmap.mmap(file.fileno(), 2 * PAGE)

    def line(self, *arguments, machine="xenfv"):
        return ("-machine", machine + ",suppress-vmdesc=on", "-xen-domid", str(DOMAIN), "-m",
                str(self.size >> 20), "-smp", f"1,maxcpus={self.vcpus}", "-no-shutdown",
                "-display", "none", *arguments)

    def start(self, *arguments, machine="xenfv", **rest):
        return super().start(*self.line(*arguments, machine=machine), **rest)

    def close(self):
        super().close()
        self.requests.close()

    def stored(self, key):
        try:
            with open(self.path("xs") + key, encoding="ascii") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def put(self, key, value):
        """The toolstack writes to the store."""
        path = self.path("xs") + key
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as file:
            file.write(value)

    def remove(self, key):
        os.unlink(self.path("xs") + key)

    def fire(self, path):
        """All watches of a path."""
        numbers = re.findall(rf"^watch (\d+) {re.escape(path)}$", self.log(), re.M)
        with open(self.path("watch-0"), "wb", buffering=0) as fifo:
            fifo.write(bytes(map(int, numbers)))

    def release(self):
        """Some domain has gone."""
        self.fire("@releaseDomain")

    # Memory.

    def read(self, address, length):
        with open(self.path("frames"), "rb") as file:
            file.seek(address // PAGE * 4)
            frame = struct.unpack("<I", file.read(4))[0]
        with open(self.path("memory"), "rb") as file:
            file.seek((frame - 1) * PAGE + address % PAGE)
            return file.read(length)

    def store(self, address, data):
        with open(self.path("memory"), "r+b") as file:
            file.seek(address)
            file.write(data)

    # Requests.

    def notify(self, remote):
        """An event for the thread that has the domain's port, through the handle that it has."""
        number, port = re.findall(rf"^bind {remote} (\d+) (\d+)$", self.log(), re.M)[-1]
        with open(self.path(f"event-{number}"), "wb", buffering=0) as fifo:
            fifo.write(struct.pack("<I", int(port)))

    def request(self, kind, address, data=0, size=4, is_read=True, count=1, flags=0, vcpu=0):
        """Have it carried out, and return its data."""
        at = PAGE + 32 * vcpu
        self.requests[at:at + 30] = struct.pack("<QQIIIH", address, data, count, size,
                                                VCPU_PORT + vcpu, 0)
        self.requests[at + 31] = kind
        self.requests[at + 30] = READY | is_read << 5 | flags
        fifo = os.open(self.path(f"notify-{VCPU_PORT + vcpu}"), os.O_RDWR)
        try:
            self.notify(VCPU_PORT + vcpu)
            if not select.select([fifo], [], [], 10 * SLOWER)[0]:
                raise TimeoutError("no answer to a request")
            os.read(fifo, 4)
        finally:
            os.close(fifo)
        if self.requests[at + 30] & 15 != DONE:
            raise AssertionError("an answer to a request that is not there")
        self.requests[at + 30] = 0
        return struct.unpack_from("<Q", self.requests, at + 8)[0] & (1 << 8 * size) - 1

    def port_read(self, port, size=1, **rest):
        return self.request(PORT, port, size=size, **rest)

    def port_write(self, port, value, size=1, **rest):
        self.request(PORT, port, value, size, is_read=False, **rest)

    def config_read(self, devfn, offset, size=4):
        return self.request(CONFIG, devfn << 32 | offset, size=size)

    def config_write(self, devfn, offset, value, size=4):
        self.request(CONFIG, devfn << 32 | offset, value, size, is_read=False)
