# SPDX-License-Identifier: GPL-2.0-or-later
"""An NVMe disk that a vfio-user server (vfio_user_nvme.py) plays, in a guest of any engine."""
import hashlib
import random

from harness.vfio import READ_NVME_ALWAYS, verify_by
from harness.vfio_user_server import Server

BLOCKS = 1024  # of 512 bytes
PART = 64 << 10  # bytes that are compared at once


def nvme_server(bed, **settings):
    return Server(bed, "vfio_user_nvme.py", blocks=BLOCKS, **settings)


def check_line_interrupts(bed, machine, qmp):
    """A disk that has INTx alone. No other server is there."""
    with nvme_server(bed, line=True) as server:
        nvme = UserNvme(machine, qmp, server)
        nvme.plug()
        nvme.check(7)
        text = machine.run("grep nvme /proc/interrupts")[1]
        assert "MSI" not in text, text
        nvme.unplug_under_load()


class UserNvme:
    """machine: has run() and agent; qmp: its monitor."""

    def __init__(self, machine, qmp, server, slot="9"):
        self.machine, self.qmp, self.server, self.slot = machine, qmp, server, slot

    def plug(self, **more):
        """device_add; until the guest has made it usable."""
        self.qmp.execute("device_add", driver="vfio-user-pci", id="nvme", addr=self.slot,
                         socket={"type": "unix", "path": self.server.path},
                         x_msg_timeout=120000, **more)
        self.wait_there()

    def wait_there(self):
        self.machine.run("until [ -e /dev/nvme0n1 ]; do usleep 20000; done")

    def unplug(self):
        """device_del; until nobody knows the disk any more."""
        self.qmp.execute("device_del", id="nvme")
        assert self.qmp.wait_event("DEVICE_DELETED")["data"]["device"] == "nvme"
        self.machine.run("until [ ! -e /dev/nvme0n1 ]; do usleep 20000; done")
        assert self.server.mappings() == {}
        verify_by(self.qmp)

    def unplug_under_load(self):
        load = self.machine.agent.spawn("sh", "-c", READ_NVME_ALWAYS)
        self.unplug()
        load.wait()

    def check(self, seed):
        """What the server has is what the driver reads, and what it writes is what the server gets;
        then the server holds what the guest's tables map."""
        data = random.Random(seed).randbytes(PART)
        self.server.ok("disk", offset=0, data=data.hex())
        text = self.machine.run("dd if=/dev/nvme0n1 bs=16k count=4 iflag=direct 2>/dev/null | "
                                "md5sum")[1]
        assert hashlib.md5(data).hexdigest() in text, text
        text = self.machine.run("dd if=/dev/urandom of=/tmp/b bs=16k count=4 2>/dev/null && "
                                "dd if=/tmp/b of=/dev/nvme0n1 bs=16k seek=4 oflag=direct "
                                "2>/dev/null && md5sum </tmp/b")[1]
        held = bytes.fromhex(self.server.ok("disk", offset=PART, length=PART))
        assert hashlib.md5(held).hexdigest() in text, text
        verify_by(self.qmp)

    def change_server(self):
        """Its server dies, and another one takes its place: the guest loses the disk, and may be given
        it again. (A driver that uses the dead disk waits 30 s first: tests/system/vfio_user.py.)"""
        self.server.kill()
        assert self.qmp.wait_event("DEVICE_SERVER_LOST")["data"]["device"] == "nvme"
        self.server.start()
        self.unplug()
