# SPDX-License-Identifier: GPL-2.0-or-later
"""Assigned devices behind virtio-iommu, under a kernel that has its driver: hosts hold what the guest
has asked for, always."""
import contextlib

from harness.vfio import NVME, bind, check_nvme, plug, unplug_under_load, verify, write_nvme

MACHINE = "vfio-newer"
DEVICES = ["vfio-pci", "virtio-iommu-pci"]
IN_CI = False


@contextlib.contextmanager
def iommu_guest(bed, append="", properties=""):
    bind(bed, NVME)
    with bed.guest("-device", f"virtio-iommu-pci,addr=9{properties}", smp=2, memory=512,
                   kernel="/boot/newer/vmlinuz", initrd="/boot/newer/guest.cpio",
                   append=f"deferred_probe_timeout=600 {append}") as guest:
        guest.wait_up()
        yield guest


def state(guest, address="00:0b.0"):
    return next(f["state"] for f in guest.qmp.execute("query-iommu")[0]["functions"]
                if f["address"] == address)


def check(guest, wanted):
    plug(guest, NVME, "nvme", "0b")
    sums = write_nvme(guest)
    assert "nvme: vfio type1" in verify(guest)
    assert state(guest) == wanted
    log = guest.run("dmesg")[1]
    assert "virtio_iommu" in log and "fault from EP" not in log, log
    return sums


def test_nvme_translated(bed):
    with iommu_guest(bed, properties=",boot-bypass=off") as guest:
        sums = check(guest, "translated")
        unplug_under_load(guest, "nvme")
        plug(guest, NVME, "nvme", "0b")
        guest.reboot(lambda: guest.qmp.execute("system_reset"))
        guest.run("until [ -e /dev/nvme0n1 ]; do usleep 20000; done")
        check_nvme(guest, sums)
        verify(guest)


def test_nvme_strict(bed):
    with iommu_guest(bed, append="iommu.strict=1") as guest:
        check(guest, "translated")


def test_nvme_passed_through(bed):
    with iommu_guest(bed, append="iommu.passthrough=1") as guest:
        check(guest, "pass-through")
