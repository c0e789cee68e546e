# SPDX-License-Identifier: GPL-2.0-or-later
"""edu and nvme are assigned to a guest on tcg: DMA, interrupts, hotplug, unplug under I/O."""
MACHINE = "vfio"
ENGINE = "tcg"
DEVICES = ["vfio-pci"]
IN_CI = False  # a translator in a translator: minutes
EDU, NVME = "0000:00:05.0", "0000:00:06.0"
IN_GUEST = "0000:00:0a.0"
READ = "dd if=/dev/nvme0n1 bs=64k count=32 iflag=direct 2>/dev/null | md5sum"


def bind(bed, address):
    """Give a device of L1 to vfio-pci."""
    device = f"/sys/bus/pci/devices/{address}"
    bed.run(f"[ ! -e {device}/driver ] || echo {address} >{device}/driver/unbind; "
            f"echo vfio-pci >{device}/driver_override && "
            f"echo {address} >/sys/bus/pci/drivers_probe && "
            f"ls /dev/vfio/$(basename $(readlink {device}/iommu_group))")


def test_edu_and_nvme(bed):
    bind(bed, EDU)
    bind(bed, NVME)
    with bed.guest("-device", f"vfio-pci,host={EDU},id=edu,addr=0a", accel="tcg") as guest:
        guest.wait_up(limit=600)
        assert "dma 5\n" in guest.run(f"load edu dma {IN_GUEST} 5", limit=300)[1]
        guest.run("echo 1234 11e8 >/sys/bus/pci/drivers/uio_pci_generic/new_id")
        assert "intx 20\n" in guest.run(f"load edu intx {IN_GUEST} 20", limit=300)[1]
        for _ in range(2):
            guest.qmp.execute("device_add", driver="vfio-pci", host=NVME, id="nvme", addr="0b")
            guest.run("until [ -e /dev/nvme0n1 ]; do usleep 20000; done", limit=300)
            sums = guest.run("dd if=/dev/urandom of=/tmp/data bs=1M count=2 2>/dev/null; "
                             "md5sum </tmp/data; dd if=/tmp/data of=/dev/nvme0n1 bs=64k "
                             "oflag=direct conv=fsync 2>/dev/null", limit=300)[1]
            assert guest.run(READ, limit=300)[1] == sums
            load = guest.start("while dd if=/dev/nvme0n1 of=/dev/null bs=4k iflag=direct "
                               "2>/dev/null; do :; done")
            guest.qmp.execute("device_del", id="nvme")
            guest.qmp.wait_event("DEVICE_DELETED")
            load.wait()
