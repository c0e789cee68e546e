# SPDX-License-Identifier: GPL-2.0-or-later
"""A vfio-user server in another process (vfio_user_server.py), as tests see it."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

import vfio_user_server as protocol
from duodm import Duodm

HERE = os.path.dirname(os.path.abspath(__file__))
INTX, MSI, MSIX, ERR, REQ = range(5)


class Server:
    """program: vfio_user_server.py, or one that is made of it; settings: as that has them."""

    def __init__(self, program="vfio_user_server.py", **settings):
        self.program = program
        self.folder = tempfile.mkdtemp(prefix="duodm-vfio-user-")
        self.path = os.path.join(self.folder, "socket")
        self.settings = settings
        self.process = None
        self.start()

    def start(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, self.program), self.path,
             json.dumps(self.settings)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.state()  # it listens when it answers

    def order(self, do, **arguments):
        self.process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def ok(self, do, **arguments):
        answer = self.order(do, **arguments)
        if "ok" not in answer:
            raise AssertionError(f"{do} {arguments}: {answer}")
        return answer["ok"]

    def state(self):
        return self.ok("state")

    def mappings(self):
        """{IOVA: (bytes, flags, was the memory passed?)}"""
        return {m[0]: tuple(m[1:]) for m in self.state()["mappings"]}

    def rules(self, **rules):
        self.ok("rules", rules=rules)

    def kill(self):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except BrokenPipeError:
                pass  # an order that it did not take any more

    def close(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Function:
    """The function in a machine: duodm over the test port."""

    def __init__(self, server, *arguments, slot=5, plugged=True, memory="64", device=None):
        self.server, self.slot = server, slot
        if plugged:
            arguments += ("-device", json.dumps(self.properties(**(device or {}))))
        self.vm = Duodm("-m", memory, *arguments, qtest=True)
        self.qtest, self.qmp = self.vm.qtest, self.vm.qmp

    def properties(self, **more):
        return {"driver": "vfio-user-pci", "id": "u", "addr": f"{self.slot:x}",
                "socket": {"type": "unix", "path": self.server.path}, **more}

    def plug(self, **more):
        self.qmp.execute("device_add", **self.properties(**more))

    def unplug(self):
        self.qmp.execute("device_del", id="u", x_force=True)
        self.qmp.wait_event("DEVICE_DELETED")

    def read(self, offset, size=4):
        return self.qtest.pci_read(self.slot << 3, offset, size)

    def write(self, offset, value, size=4):
        self.qtest.pci_write(self.slot << 3, offset, value, size)

    def map_bars(self, bar0=0xE0000000, bar2=0xE0100000, bar3=0xC000):
        for offset, value in ((0x10, bar0), (0x14, 0), (0x18, bar2), (0x1C, bar3), (4, 7)):
            self.write(offset, value, 2 if offset == 4 else 4)
        self.bar0, self.bar2, self.bar3 = bar0, bar2, bar3

    def engine(self, command, source=0, target=0, length=0, vector=0xFFFFFFFF):
        """Have the device do some DMA; its status, 0 if all went well."""
        p, q = protocol, self.qtest
        q.writel(self.bar0 + p.SOURCE, source & 0xFFFFFFFF)
        q.writel(self.bar0 + p.SOURCE + 4, source >> 32)
        q.writel(self.bar0 + p.TARGET, target & 0xFFFFFFFF)
        q.writel(self.bar0 + p.TARGET + 4, target >> 32)
        q.writel(self.bar0 + p.LENGTH, length)
        q.writel(self.bar0 + p.VECTOR, vector)
        q.writel(self.bar0 + p.GO, command)
        while (status := q.readl(self.bar0 + p.STATUS)) == p.BUSY:
            pass
        return status & 0x7FFFFFFF

    def checksum(self):
        return self.qtest.readl(self.bar0 + protocol.SUM)

    def close(self):
        if self.vm:
            self.vm.close()
            self.vm = None
