# SPDX-License-Identifier: GPL-2.0-or-later
"""edu and nvme are assigned to a guest on tcg: DMA, interrupts, hotplug, unplug under I/O, VT-d."""
from harness.vfio import (EDU, NVME, bind, check_edu, iommu_guest, plug, rounds, unplug,
                          unplug_under_load, verify, write_nvme)
from harness.vfio_rounds import Rounds

MACHINE = "vfio"
ENGINE = "tcg"
DEVICES = ["vfio-pci"]
IN_CI = False  # a translator in a translator: minutes
LIMIT = 600
TEST_LIMIT = 900  # four times what the longest takes


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


def test_rounds_behind_an_iommu(bed):
    """As vfio-rounds, of which one here is as long as ten there."""
    count = bed.options.repeat if bed.options.repeat > 3 else 2
    Rounds(bed, restart_every=(count + 1) // 2, threads=1, limit=LIMIT, accel="tcg").run(count)


def test_identity_tables_are_replayed(bed):
    with iommu_guest(bed, append="iommu=pt", properties=",pt=off", accel="tcg",
                     limit=LIMIT) as guest:
        for _ in range(rounds(bed)):
            check_edu(guest, plug(guest, EDU, "edu", "0a", LIMIT), 3, LIMIT)
            verify(guest)
            unplug(guest, "edu")
            verify(guest)
