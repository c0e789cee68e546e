# SPDX-License-Identifier: GPL-2.0-or-later
"""duodm as the device model of a domain that xen-mock.c plays: the test is the domain's processors."""
import atexit
import functools
import mmap
import os
import re
import select
import shutil
import struct
import subprocess
import tempfile
import time

from duodm import Duodm, SLOWER

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = 4096
PAGES_MAX = 1 << 20
BUFFER_PORT, VCPU_PORT = 99, 100
PORT, COPY, CONFIG, TIME_OFFSET, INVALIDATE = 0, 1, 2, 7, 8  # kinds of request
READY, DONE = 1, 3
DOMAIN = 3


@functools.lru_cache(None)
def library():
    """xen-mock.c, compiled once; None where Xen's headers are missing."""
    folder = tempfile.mkdtemp(prefix="duodm-xen-mock-")
    atexit.register(shutil.rmtree, folder, True)
    path = os.path.join(folder, "mock.so")
    flags = subprocess.run(["pkg-config", "--cflags", "glib-2.0"], capture_output=True, text=True,
                           check=False).stdout.split()
    result = subprocess.run(
        [os.environ.get("CC", "gcc"), "-shared", "-fPIC", "-O1", "-pthread",
         "-I" + os.path.join(HERE, "..", "..", "src"), *flags, "-o", path,
         os.path.join(HERE, "xen-mock.c"), os.path.join(HERE, "xen-mock-rest.c")],
        capture_output=True, check=False)
    return path if result.returncode == 0 else None


class Domain:
    """Its memory, its store and its processors, which stand still but for what a test does."""

    def __init__(self, vcpus=2, memory=64):
        self.folder = tempfile.mkdtemp(prefix="duodm-xen-")
        self.vcpus = vcpus
        self.size = memory << 20
        self.round = 0
        self.vm = None
        self.write("device", f"vcpus {vcpus}\n")
        self.write("log", "")
        pages = self.size // PAGE
        with open(self.path("frames"), "wb") as file:
            file.write(struct.pack(f"<{pages}I", *range(1, pages + 1)))
            file.truncate(PAGES_MAX * 4)
        with open(self.path("memory"), "wb") as file:
            file.truncate(PAGES_MAX * PAGE)
        self.new_server()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name) + ".new", "w", encoding="ascii") as file:
            file.write(text)
        os.replace(self.path(name) + ".new", self.path(name))

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

    def environment(self):
        env = dict(os.environ, XEN_MOCK=self.folder)
        env["LD_PRELOAD"] = " ".join(filter(None, [library(), env.get("LD_PRELOAD")]))
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        return env

    def start(self, *arguments, machine="xenfv", **rest):
        self.vm = Duodm(*self.line(*arguments, machine=machine), env=self.environment(), **rest)
        return self.vm

    def stop(self):
        if self.vm:
            self.vm.close()
            self.vm = None

    def close(self):
        self.stop()
        self.requests.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        with open(self.path("log"), encoding="ascii") as file:
            return file.read()

    def wait_log(self, pattern):
        deadline = time.monotonic() + 10 * SLOWER
        while not re.search(pattern, self.log(), re.M):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{pattern} is not in:\n{self.log()[-3000:]}")
            self.vm.qmp.execute("query-status")

    def fail(self, number, error):
        """The call with that number from now on fails (0: none)."""
        self.round += 1
        if number:
            self.write("fail", f"{self.round} {number} {error}\n")
        elif os.path.exists(self.path("fail")):
            os.unlink(self.path("fail"))

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

    def release(self):
        """Some domain has gone: watches fire."""
        with open(self.path("watch-0"), "wb", buffering=0) as fifo:
            fifo.write(b"x")

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
