# SPDX-License-Identifier: GPL-2.0-or-later
"""edu and nvme are assigned through the kernel's iommufd: shared, behind VT-d, plugged in and out."""
from harness.vfio import (EDU, NVME, READ_NVME_ALWAYS, bind, check_edu, check_edu_is_cut_off,
                          check_nvme, iommu_guest, plug, rounds, unplug, unplug_under_load, verify,
                          write_nvme)

MACHINE = "iommufd"
DEVICES = ["vfio-pci", "intel-iommu"]
IN_CI = False  # builds modules of L1's kernel
IOMMUFD = ("-object", "iommufd,id=i")


def test_both_share_an_address_space(bed):
    bind(bed, EDU, NVME)
    with bed.guest(*IOMMUFD, "-device", f"vfio-pci,host={EDU},id=edu,addr=0a,iommufd=i",
                   smp=2) as guest:
        guest.wait_up(limit=300)
        check_edu(guest, "0000:00:0a.0")
        for _ in range(rounds(bed)):  # the last one out, and the first one in again
            plug(guest, NVME, "nvme", "0b", iommufd="i")
            assert "edu, nvme: iommufd" in verify(guest)
            sums = write_nvme(guest)
            unplug(guest, "edu")
            check_nvme(guest, sums)
            unplug_under_load(guest, "nvme")
            assert verify(guest) == ""
            check_edu(guest, plug(guest, EDU, "edu", "0a", iommufd="i"))
        guest.reboot(lambda: guest.qmp.execute("system_reset"))
        check_edu(guest, "0000:00:0a.0")


def test_behind_an_iommu(bed):
    with iommu_guest(bed, *IOMMUFD, smp=2) as guest:
        edu = plug(guest, EDU, "edu", "0a", iommufd="i")
        kind = f"/sys/bus/pci/devices/{edu}/iommu_group/type"
        for _ in range(rounds(bed)):
            plug(guest, NVME, "nvme", "0b", iommufd="i")
            sums = write_nvme(guest)
            load = guest.start(READ_NVME_ALWAYS)
            check_edu_is_cut_off(guest, edu)
            guest.run(f"echo identity >{kind}")
            check_edu(guest, edu)
            report = verify(guest)
            assert "edu: iommufd" in report and "nvme: iommufd" in report, report
            guest.run(f"echo DMA >{kind}")
            check_edu_is_cut_off(guest, edu)
            check_nvme(guest, sums)
            unplug(guest, "nvme")
            load.wait()
            verify(guest)


def test_identity_tables_are_replayed(bed):
    with iommu_guest(bed, *IOMMUFD, append="iommu=pt", properties=",pt=off") as guest:
        for _ in range(rounds(bed)):
            check_edu(guest, plug(guest, EDU, "edu", "0a", iommufd="i"))
            verify(guest)
            unplug(guest, "edu")
            verify(guest)


def test_both_kinds_at_once_and_errors(bed):
    bind(bed, EDU, NVME)
    with bed.guest(*IOMMUFD, "-device", f"vfio-pci,host={EDU},id=edu,addr=0a") as guest:
        guest.wait_up(limit=300)
        plug(guest, NVME, "nvme", "0b", iommufd="i")
        report = verify(guest)
        assert "edu: vfio type1" in report and "nvme: iommufd" in report, report
        write_nvme(guest)
        check_edu(guest, "0000:00:0a.0")
        other = bed.run(f"{bed.program.path} -accel kvm -nodefaults -display none -S "
                        f"-object iommufd,id=i -device vfio-pci,host={NVME},iommufd=i 2>&1",
                        check=False)[1]
        assert "another program" in other or "one program" in other, other
        unplug(guest, "edu")
        check_edu(guest, plug(guest, EDU, "edu", "0a", iommufd="i"))
