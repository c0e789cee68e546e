# SPDX-License-Identifier: GPL-2.0-or-later
"""Assigned devices behind the guest's own IOMMU (VT-d): hosts hold what its tables say, always."""
import contextlib

MACHINE = "vfio"
DEVICES = ["vfio-pci", "intel-iommu"]
EDU, NVME = "0000:00:05.0", "0000:00:06.0"
IN_GUEST = "0000:00:0a.0"
READ = "dd if=/dev/nvme0n1 bs=64k count=32 iflag=direct 2>/dev/null | md5sum"


def rounds(bed):
    """Few, unless --repeat asks for more."""
    return bed.options.repeat if bed.options.repeat > 3 else 2


def bind(bed, address):
    """Give a device of L1 to vfio-pci."""
    device = f"/sys/bus/pci/devices/{address}"
    bed.run(f"[ ! -e {device}/driver ] || echo {address} >{device}/driver/unbind; "
            f"echo vfio-pci >{device}/driver_override && "
            f"echo {address} >/sys/bus/pci/drivers_probe && "
            f"ls /dev/vfio/$(basename $(readlink {device}/iommu_group))")


@contextlib.contextmanager
def iommu_guest(bed, append="", properties="", **rest):
    bind(bed, EDU)
    bind(bed, NVME)
    with bed.guest("-device", f"intel-iommu,caching-mode=on{properties}",
                   append=f"intel_iommu=on {append}", **rest) as guest:
        guest.wait_up(limit=300)
        yield guest


def verify(guest):
    answer = guest.qmp.execute("x-iommu-verify")
    assert answer["equal"], answer["report"]
    return answer["report"]


def plug(guest, host, name, addr):
    guest.qmp.execute("device_add", driver="vfio-pci", host=host, id=name, addr=addr)
    # The files of its BARs come after its folder.
    guest.run(f"until [ -e /sys/bus/pci/devices/0000:00:{addr}.0/resource0 ]; do usleep 20000; done")


def unplug(guest, name):
    guest.qmp.execute("device_del", id=name)
    while guest.qmp.wait_event("DEVICE_DELETED")["data"].get("device") != name:
        pass


def write_nvme(guest):
    """Random data onto the disk; its checksum."""
    guest.run("until [ -e /dev/nvme0n1 ]; do usleep 20000; done")
    return guest.run("dd if=/dev/urandom of=/tmp/data bs=1M count=2 2>/dev/null; "
                     "md5sum </tmp/data; dd if=/tmp/data of=/dev/nvme0n1 bs=64k oflag=direct "
                     "conv=fsync 2>/dev/null")[1]


def test_nvme_translated(bed):
    with iommu_guest(bed, smp=2) as guest:
        for number in range(rounds(bed)):
            plug(guest, NVME, "nvme", "0b")
            sums = write_nvme(guest)
            assert guest.run(READ)[1] == sums
            assert "nvme: vfio type1" in verify(guest)
            load = guest.start("while dd if=/dev/nvme0n1 of=/dev/null bs=4k iflag=direct "
                               "2>/dev/null; do :; done")
            unplug(guest, "nvme")
            load.wait()
            verify(guest)
            if number == 0:
                plug(guest, NVME, "nvme", "0b")
                guest.reboot(lambda: guest.qmp.execute("system_reset"))
                guest.run("until [ -e /dev/nvme0n1 ]; do usleep 20000; done")
                assert guest.run(READ)[1] == sums
                verify(guest)
                unplug(guest, "nvme")


def test_identity_tables_are_replayed(bed):
    """The domain that all devices share holds all of RAM when the device comes."""
    with iommu_guest(bed, append="iommu=pt", properties=",pt=off") as guest:
        for _ in range(rounds(bed)):
            plug(guest, EDU, "edu", "0a")
            assert "dma 3\n" in guest.run(f"load edu dma {IN_GUEST} 3")[1]
            verify(guest)
            unplug(guest, "edu")
            verify(guest)


def test_passed_through_by_the_iommu(bed):
    with iommu_guest(bed, append="iommu=pt") as guest:
        plug(guest, EDU, "edu", "0a")
        assert "dma 3\n" in guest.run(f"load edu dma {IN_GUEST} 3")[1]
        verify(guest)


def test_what_is_not_mapped_is_out_of_reach(bed):
    with iommu_guest(bed) as guest:
        plug(guest, EDU, "edu", "0a")
        verify(guest)
        status, text = guest.run(f"load edu dma {IN_GUEST} 1", check=False)
        assert status != 0 and "other data came back" in text, text
        verify(guest)


def test_caching_mode_is_needed(bed):
    bind(bed, EDU)
    with bed.guest("-device", "intel-iommu", qmp=True, kernel=None, initrd=None) as guest:
        try:
            guest.qmp.execute("device_add", driver="vfio-pci", host=EDU)
        except Exception as problem:
            assert "caching-mode=on" in problem.description, problem
        else:
            raise AssertionError("no error")
