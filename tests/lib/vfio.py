# SPDX-License-Identifier: GPL-2.0-or-later
"""duodm with a passed-through device that vfio-mock.c plays: what it was asked, and its registers."""
import ctypes
import os
import re
import struct

import played

CONFIG, REGION_SHIFT = 7, 40
INTX, MSI, MSIX, ERROR, REQUEST = range(5)
TRIGGER, UNMASK = 1 << 5, 1 << 4
PIDFD_OPEN, PIDFD_GETFD = 434, 438


def capability(config, at, following, data):
    config[at:at + len(data)] = data
    config[at + 1] = following


def example_config():
    """Registers of a device with PM at 40h, MSI at 50h, MSI-X at 70h, PCIe at 80h, vendor's at C0h."""
    config = bytearray(256)
    struct.pack_into("<HHHH", config, 0, 0x1B36, 0x0010, 0, 0x0010)
    config[8:12] = bytes([2, 2, 8, 1])
    struct.pack_into("<I", config, 0x10, 0x4)          # BAR 0: 64 bits
    struct.pack_into("<I", config, 0x18, 0x1)          # BAR 2: I/O ports
    struct.pack_into("<HH", config, 0x2C, 0x1AF4, 0x1100)
    config[0x34] = 0x40
    config[0x3D] = 1
    capability(config, 0x40, 0x50, struct.pack("<BBHI", 1, 0, 0xC803, 0))
    capability(config, 0x50, 0x68, struct.pack("<BBHIIHHII", 5, 0, 0x0184, 0, 0, 0, 0, 0, 0))
    capability(config, 0x68, 0x70, struct.pack("<BBH", 4, 0, 0))  # slot ID: is hidden
    capability(config, 0x70, 0x80, struct.pack("<BBHII", 0x11, 0, 7, 0x2000, 0x3000))
    capability(config, 0x80, 0xC0, struct.pack("<BBHIHHIHH", 0x10, 0, 0x0002, 0x8000, 0, 0, 0x43,
                                               0, 0x43) + bytes(0x28))
    capability(config, 0xC0, 0, struct.pack("<BBBB", 9, 0, 16, 0) + bytes(12))
    return config


class Mock(played.Played):
    """The device and the folder through which vfio-mock.c knows it."""

    def __init__(self, config=None, rom=b"", **settings):
        super().__init__("vfio", played.build("vfio", "vfio-mock.c"))
        settings = {"bar0": 16384, "bar2": 32, "intx": 1, "msi": 4, "msix": 8, "rom": len(rom), **settings}
        self.write("device", "".join(f"{k} {v}\n" for k, v in settings.items()))
        with open(self.path("config"), "wb") as file:
            file.write(config or example_config())
        with open(self.path("rom"), "wb") as file:
            file.write(rom)
        self.sysfs = self.function(5)
        self.more = {}  # properties of the device

    def function(self, slot, group=7):
        """The host's folder of a function. All are alike, and each has registers of its own."""
        folder = self.path(f"0000:00:{slot:02x}.0")
        os.makedirs(folder)
        os.symlink(f"/nowhere/iommu_groups/{group}", os.path.join(folder, "iommu_group"))
        os.symlink("/nowhere/drivers/vfio-pci", os.path.join(folder, "driver"))
        os.makedirs(os.path.join(folder, "vfio-dev", f"vfio{slot - 5}"))
        return folder

    def start(self, *arguments, **rest):
        return super().start(*arguments, qtest=True, **rest)

    def option(self, **more):
        return "vfio-pci,id=v,addr=5,sysfsdev=" + self.sysfs + "".join(
            f",{k.replace('_', '-')}={v}" for k, v in {**self.more, **more}.items())

    def plug(self, **more):
        self.vm.qmp.execute("device_add", driver="vfio-pci",
                            **{"sysfsdev": self.sysfs, "id": "v", "addr": "5", **self.more, **more})

    def descriptor(self, number):
        """A descriptor of duodm's, as one of ours."""
        libc = ctypes.CDLL(None, use_errno=True)
        pid = libc.syscall(PIDFD_OPEN, self.vm.process.pid, 0)
        ours = libc.syscall(PIDFD_GETFD, pid, number, 0)
        problem = ctypes.get_errno()
        os.close(pid)
        if ours < 0:
            raise OSError(problem, os.strerror(problem))
        return ours

    def _device(self):
        return self.descriptor(int(re.findall(r"open device (\d+)", self.log())[-1]))

    def read(self, region, offset, size):
        """What the device's own register holds."""
        fd = self._device()
        try:
            return int.from_bytes(os.pread(fd, size, region << REGION_SHIFT | offset), "little")
        finally:
            os.close(fd)

    def store(self, region, offset, size, value):
        fd = self._device()
        try:
            os.pwrite(fd, value.to_bytes(size, "little"), region << REGION_SHIFT | offset)
        finally:
            os.close(fd)

    def take_away(self):
        """The host withdraws all that is mapped of the device."""
        fd = self._device()
        try:
            os.ftruncate(fd, 0)
        finally:
            os.close(fd)

    def triggers(self, kind):
        """Vector -> duodm's event descriptor, as the requests so far leave them."""
        found = {}
        for index, flags, start, count, fds in re.findall(
                r"^irqs (\d+) (\d+) (\d+) (\d+)((?: -?\d+)*)$", self.log(), re.M):
            if int(index) != kind or not int(flags) & TRIGGER:
                continue
            if int(count) == 0:
                found = {}
            for number, fd in enumerate(map(int, fds.split())):
                found[int(start) + number] = fd
        return {vector: fd for vector, fd in found.items() if fd >= 0}

    def interrupt(self, kind, vector=0):
        fd = self.descriptor(self.triggers(kind)[vector])
        os.write(fd, struct.pack("<Q", 1))
        os.close(fd)

    def mapped(self):
        """{IOVA: (length, flags)} that the container holds, or the iommufd."""
        return {start: (length, flags) for start, (length, flags, _) in self.held().items()}

    def held(self):
        """The same, with the address that each leads to in duodm's memory."""
        held = {}
        for what, start, length, flags, host in re.findall(
                r"^(map|unmap|dropped) (\w+) ?(\w*) ?(\d*) ?(\w*)$", self.log(), re.M):
            if what == "dropped":  # with their container, or its last group
                held = {}
                continue
            start, length = int(start, 16), int(length, 16)
            if what == "map":
                held[start] = (length, int(flags), int(host, 16))
            else:
                held = {s: v for s, v in held.items() if not start <= s < start + length}
        return held
