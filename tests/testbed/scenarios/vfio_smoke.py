# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine has an IOMMU, devices to assign, and a guest gets one of them."""
MACHINE = "vfio"
DEVICES = ["vfio-pci"]


def test_guest_sees_edu(bed):
    bind(bed, "0000:00:05.0")
    with bed.guest("-device", "vfio-pci,host=00:05.0") as guest:
        guest.wait_up()
        assert "0x1234:0x11e8" in guest.run(
            "for d in /sys/bus/pci/devices/*; do echo $(cat $d/vendor):$(cat $d/device); done")[1]


def bind(bed, address):
    """Give a device of L1 to vfio-pci."""
    device = f"/sys/bus/pci/devices/{address}"
    bed.run(f"[ ! -e {device}/driver ] || echo {address} >{device}/driver/unbind; "
            f"echo vfio-pci >{device}/driver_override && "
            f"echo {address} >/sys/bus/pci/drivers/vfio-pci/bind && "
            f"ls /dev/vfio/$(basename $(readlink {device}/iommu_group))")
