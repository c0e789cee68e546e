# SPDX-License-Identifier: GPL-2.0-or-later
"""edu and nvme are assigned to a guest on tcg: DMA, interrupts, hotplug, unplug under I/O, VT-d."""
from harness.vfio import (EDU, KEXEC_DRIVES, NVME, bind, check_edu, check_nvme, iommu_guest, kexec,
                          plug, rounds, unplug, unplug_under_load, verify, write_nvme)

MACHINE = "vfio"
ENGINE = "tcg"
DEVICES = ["vfio-pci"]
IN_CI = False  # a translator in a translator: minutes
LIMIT = 600


def test_edu_and_nvme(bed):
    bind(bed, EDU, NVME)
    with bed.guest("-device", f"vfio-pci,host={EDU},id=edu,addr=0a", accel="tcg") as guest:
        guest.wait_up(limit=LIMIT)
        check_edu(guest, "0000:00:0a.0", 5, LIMIT)
        guest.run("echo 1234 11e8 >/sys/bus/pci/drivers/uio_pci_generic/new_id")
        assert "intx 20\n" in guest.run("load edu intx 0000:00:0a.0 20", limit=LIMIT)[1]
        for _ in range(rounds(bed)):
            plug(guest, NVME, "nvme", "0b", LIMIT)
            write_nvme(guest, LIMIT)
            unplug_under_load(guest, "nvme")


def test_behind_an_iommu(bed):
    with iommu_guest(bed, *KEXEC_DRIVES, accel="tcg", limit=LIMIT) as guest:
        for number in range(rounds(bed)):
            plug(guest, NVME, "nvme", "0b", LIMIT)
            sums = write_nvme(guest, LIMIT)
            assert "nvme: vfio type1" in verify(guest)
            if number % 10 < 2:
                if number % 10 == 0:
                    guest.reboot(lambda: guest.qmp.execute("system_reset"))
                else:
                    kexec(guest)
                guest.run("until [ -e /dev/nvme0n1 ]; do usleep 20000; done", limit=LIMIT)
                check_nvme(guest, sums, LIMIT)
                verify(guest)
            unplug_under_load(guest, "nvme")
            verify(guest)


def test_identity_tables_are_replayed(bed):
    with iommu_guest(bed, append="iommu=pt", properties=",pt=off", accel="tcg",
                     limit=LIMIT) as guest:
        for _ in range(rounds(bed)):
            check_edu(guest, plug(guest, EDU, "edu", "0a", LIMIT), 3, LIMIT)
            verify(guest)
            unplug(guest, "edu")
            verify(guest)
