# SPDX-License-Identifier: GPL-2.0-or-later
"""Assigned devices behind virtio-iommu, under a kernel that has its driver: hosts hold what the guest
has asked for, always."""
import contextlib

from harness.vfio import (EDU, NVME, bind, check_edu, check_edu_is_cut_off, check_join, check_nvme,
                          end_disk_load, load_vfio, plug, rounds, start_disk_load, unplug,
                          unplug_under_load, verify, write_nvme)

MACHINE = "vfio-newer"
DEVICES = ["vfio-pci", "virtio-iommu-pci"]
# A disk that holds mappings before anything is plugged in.
DISK = ["-drive", "file=/boot/vmlinuz,if=none,id=d,format=raw,readonly=on",
        "-device", "virtio-blk-pci,drive=d,iommu_platform=on"]
# Twice this guest restarted all at once: the log is to say who did it.
SAY_RESETS = ["-d", "cpu_reset"]


@contextlib.contextmanager
def iommu_guest(bed, append="", properties=""):
    bind(bed, EDU, NVME)
    with bed.guest("-device", f"virtio-iommu-pci,addr=9{properties}", *DISK, *SAY_RESETS, smp=2,
                   kernel="/boot/newer/vmlinuz", initrd="/boot/newer/guest.cpio",
                   append=f"deferred_probe_timeout=600 {append}") as guest:
        guest.wait_up()
        guest.run("until [ -e /dev/vda ]; do usleep 20000; done; "
                  "dd if=/dev/vda of=/dev/null bs=1M count=4 iflag=direct")
        yield guest


def state(guest, address="00:0b.0"):
    return next(f["state"] for f in guest.qmp.execute("query-iommu")[0]["functions"]
                if f["address"] == address)


def load_vfio_without_remapping(guest):
    """This IOMMU translates addresses only: not those of messages."""
    load_vfio(guest)
    guest.run("echo 1 >/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts")


def check(guest, wanted):
    plug(guest, NVME, "nvme", "0b")
    sums = write_nvme(guest)
    assert "nvme: vfio type1" in verify(guest)
    assert state(guest) == wanted
    # All of the log would take seconds on the serial line.
    log = guest.run("dmesg | grep -E 'virtio_iommu|fault from EP'")[1]
    assert "virtio_iommu" in log and "fault from EP" not in log, log
    return sums


def test_nvme_translated(bed):
    with iommu_guest(bed, properties=",boot-bypass=off") as guest:
        for _ in range(rounds(bed)):
            sums = check(guest, "translated")
            unplug_under_load(guest, "nvme")
            verify(guest)
        plug(guest, NVME, "nvme", "0b")
        guest.reboot(lambda: guest.qmp.execute("system_reset"))
        guest.run("until [ -e /dev/nvme0n1 ]; do usleep 20000; done")
        check_nvme(guest, sums)
        verify(guest)


def test_strict_and_joined(bed):
    """Each page that the guest's driver is done with is taken back at once. Then both devices are one
    driver's of the guest's user space, in one domain."""
    with iommu_guest(bed, append="iommu.strict=1") as guest:
        check(guest, "translated")
        load_vfio_without_remapping(guest)
        check_join(guest, plug(guest, EDU, "edu", "0a"), "0000:00:0b.0")


def test_both_passed_through(bed):
    with iommu_guest(bed, append="iommu.passthrough=1") as guest:
        check(guest, "pass-through")
        check_edu(guest, plug(guest, EDU, "edu", "0a"))
        verify(guest)


def test_edu_comes_and_goes_beside_a_busy_disk(bed):
    """In a domain of its own, in pass-through, driven by the guest's user space. Linux 6.12 makes a
    device known to an IOMMU of VIOT when a driver is bound for the first time."""
    with iommu_guest(bed, properties=",boot-bypass=off") as guest:
        check(guest, "translated")
        load_vfio_without_remapping(guest)
        load = start_disk_load(guest)
        for _ in range(rounds(bed)):
            edu = plug(guest, EDU, "edu", "0a")
            kind = f"/sys/bus/pci/devices/{edu}/iommu_group/type"
            check_edu_is_cut_off(guest, edu)
            bind(guest, edu)
            guest.run(f"echo {edu} >/sys/bus/pci/drivers/vfio-pci/unbind")
            check_edu_is_cut_off(guest, edu)
            guest.run(f"echo identity >{kind}")
            check_edu(guest, edu)
            verify(guest)
            guest.run(f"echo DMA >{kind}")
            check_edu_is_cut_off(guest, edu)
            bind(guest, edu)
            assert "map 8\n" in guest.run(f"load vfio map {edu} 8")[1]
            assert "msi 50\n" in guest.run(f"load vfio msi {edu} 50")[1]
            verify(guest)
            unplug(guest, "edu")
            verify(guest)
        unplug(guest, "nvme")
        end_disk_load(load)
        verify(guest)

