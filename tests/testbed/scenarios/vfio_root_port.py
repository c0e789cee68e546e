# SPDX-License-Identifier: GPL-2.0-or-later
"""Board q35: assigned devices behind root ports, behind the guest's VT-d; plugged by its pciehp."""
from harness.vfio import (EDU, NVME, check_edu, check_nvme, iommu_guest, rounds, unplug,
                          unplug_under_load, verify, write_nvme)

MACHINE = "vfio"
DEVICES = ["vfio-pci", "intel-iommu", "pcie-root-port"]
IN_CI = False  # for its time: pciehp waits five seconds after each press of the button

Q35 = ["-machine", "q35", "-device", "pcie-root-port,id=rp1,chassis=1,slot=1",
       "-device", "pcie-root-port,id=rp2,chassis=1,slot=2"]


def plug_behind(guest, host, name, bus, sign):
    guest.qmp.execute("device_add", driver="vfio-pci", host=host, id=name, bus=bus)
    guest.run(f"until [ -e {sign} ]; do usleep 20000; done")


def test_nvme(bed):
    """Its mappings are by the number that the guest gave the bus; a reset takes that back."""
    with iommu_guest(bed, *Q35, smp=2) as guest:
        for number in range(rounds(bed)):
            plug_behind(guest, NVME, "nvme", "rp1", "/dev/nvme0n1")
            assert "01:00.0" in guest.run("readlink /sys/block/nvme0n1/device/device")[1]
            sums = write_nvme(guest)
            assert "nvme: vfio type1" in verify(guest)
            if number == 0:
                guest.reboot(lambda: guest.qmp.execute("system_reset"))
                guest.run("until [ -e /dev/nvme0n1 ]; do usleep 20000; done")
                check_nvme(guest, sums)
                verify(guest)
            unplug_under_load(guest, "nvme")
            verify(guest)


def test_edu_beside_nvme(bed):
    """Two ports, two domains; the first goes while the second is at work."""
    edu = "0000:02:00.0"
    with iommu_guest(bed, *Q35, append="iommu=pt", properties=",pt=off") as guest:
        plug_behind(guest, NVME, "nvme", "rp1", "/dev/nvme0n1")
        plug_behind(guest, EDU, "edu", "rp2", f"/sys/bus/pci/devices/{edu}/resource0")
        check_edu(guest, edu)
        sums = write_nvme(guest)
        verify(guest)
        unplug(guest, "edu")
        check_nvme(guest, sums)
        verify(guest)
