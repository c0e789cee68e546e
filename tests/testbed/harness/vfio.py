# SPDX-License-Identifier: GPL-2.0-or-later
"""What scenarios with assigned devices share: the devices of L1 'vfio', plugging, checks."""
import contextlib

from harness.agent import LIMIT

EDU, NVME = "0000:00:05.0", "0000:00:06.0"  # in L1
READ_NVME = "dd if=/dev/nvme0n1 bs=64k count=32 iflag=direct 2>/dev/null | md5sum"
READ_NVME_ALWAYS = "while dd if=/dev/nvme0n1 of=/dev/null bs=4k iflag=direct 2>/dev/null; do :; done"
# A kernel for the guest to start by itself: see kexec().
KEXEC_DRIVES = ["-drive", "file=/boot/vmlinuz,if=virtio,format=raw,readonly=on",
                "-drive", "file=/boot/guest.cpio,if=virtio,format=raw,readonly=on"]


def rounds(bed):
    """Few, unless --repeat asks for more."""
    return bed.options.repeat if bed.options.repeat > 3 else 2


def bind(bed, *addresses):
    """Give devices of L1 to vfio-pci."""
    for address in addresses:
        device = f"/sys/bus/pci/devices/{address}"
        bed.run(f"[ ! -e {device}/driver ] || echo {address} >{device}/driver/unbind; "
                f"echo vfio-pci >{device}/driver_override && "
                f"echo {address} >/sys/bus/pci/drivers_probe && "
                f"ls /dev/vfio/$(basename $(readlink {device}/iommu_group))")


@contextlib.contextmanager
def iommu_guest(bed, *arguments, append="", properties="", limit=LIMIT, **rest):
    """A guest that drives VT-d, and may be given both devices."""
    bind(bed, EDU, NVME)
    with bed.guest("-device", f"intel-iommu,caching-mode=on{properties}", *arguments,
                   append=f"intel_iommu=on {append}", **rest) as guest:
        guest.wait_up(limit=limit)
        yield guest


def plug(guest, host, name, slot, limit=LIMIT, **more):
    """device_add; until the guest has made it usable. The address in the guest."""
    address = f"0000:00:{slot}.0"
    guest.qmp.execute("device_add", driver="vfio-pci", host=host, id=name, addr=slot, **more)
    # The files of its BARs come after its folder.
    sign = "/dev/nvme0n1" if host == NVME else f"/sys/bus/pci/devices/{address}/resource0"
    guest.run(f"until [ -e {sign} ]; do usleep 20000; done", limit=limit)
    return address


def unplug(guest, name, **more):
    """device_del; until the device is gone."""
    guest.qmp.execute("device_del", id=name, **more)
    while guest.qmp.wait_event("DEVICE_DELETED")["data"].get("device") != name:
        pass


def verify(guest):
    return verify_by(guest.qmp)


def verify_by(qmp):
    """The hosts hold what the guest's tables map; how much that is, as text. A guest at work may just
    be between its tables and the invalidation that tells of them: what is wrong stays wrong."""
    for _ in range(100):
        answer = qmp.execute("x-iommu-verify")
        if answer["equal"]:
            return answer["report"]
    raise AssertionError(answer["report"])


def check_edu(guest, address, count=3, limit=LIMIT):
    """DMA of random data into edu and back."""
    assert f"dma {count}\n" in guest.run(f"load edu dma {address} {count}", limit=limit)[1]


def check_edu_is_cut_off(guest, address):
    """edu does not reach the guest's memory by physical addresses."""
    status, text = guest.run(f"load edu dma {address} 1", check=False)
    assert status != 0 and "other data came back" in text, text


def write_nvme(guest, limit=LIMIT):
    """Random data onto the disk, read back from it; its checksum."""
    sums = guest.run("dd if=/dev/urandom of=/tmp/data bs=1M count=2 2>/dev/null; "
                     "md5sum </tmp/data; dd if=/tmp/data of=/dev/nvme0n1 bs=64k oflag=direct "
                     "conv=fsync 2>/dev/null", limit=limit)[1]
    check_nvme(guest, sums, limit)
    return sums


def check_nvme(guest, sums, limit=LIMIT):
    assert guest.run(READ_NVME, limit=limit)[1] == sums


def unplug_under_load(guest, name):
    load = guest.start(READ_NVME_ALWAYS)
    unplug(guest, name)
    load.wait()


def start_disk_load(guest, threads=4, limit=LIMIT):
    """Reads and writes of random data on the nvme, checked, until it is taken away."""
    load = guest.start(f"load disk /dev/nvme0n1 {threads}")
    load.expect("begun\n", limit)
    return load


def end_disk_load(load, limit=LIMIT):
    """After the disk was unplugged."""
    load.expect(r"disk [1-9]\d*\n", limit)
    assert load.wait(limit) == 0


def check_join(guest, edu, nvme, count=10):
    """Two devices in one domain of the guest: when edu joins it, nvme's mappings are there. nvme is
    given to the guest's VFIO for that."""
    load_vfio(guest)
    bind(guest, edu, nvme)
    load = guest.start(f"load vfio join {nvme} {edu} {count}")
    load.expect(f"joined {count}\n")
    verify(guest)
    load.end()
    assert load.wait() == 0
    verify(guest)


def kexec(guest, append=""):
    """The guest's kernel starts another one, without a reset. The guest has KEXEC_DRIVES."""
    guest.run("cat /dev/vda >/tmp/kernel && cat /dev/vdb >/tmp/initrd")
    guest.reboot(lambda: guest.start("load kexec /tmp/kernel /tmp/initrd "
                                     f"\"$(cat /proc/cmdline) {append}\""))


def load_vfio(guest):
    """The guest's own VFIO, which is not loaded by its /init."""
    guest.run("while read -r module; do [ -e /sys/module/$(basename $module .ko | tr - _) ] || "
              "insmod /lib/modules/$module; done </etc/modules-vfio")
