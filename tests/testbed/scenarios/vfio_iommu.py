# SPDX-License-Identifier: GPL-2.0-or-later
"""Assigned devices behind the guest's own IOMMU (VT-d): hosts hold what its tables say, always."""
import contextlib

from harness.vfio import (EDU, KEXEC_DRIVES, NVME, READ_NVME_ALWAYS, bind, check_edu,
                          check_edu_is_cut_off, check_join, check_nvme, end_disk_load, iommu_guest,
                          kexec, load_vfio, plug, rounds, start_disk_load, unplug,
                          unplug_under_load, verify, write_nvme)

MACHINE = "vfio"
DEVICES = ["vfio-pci", "intel-iommu"]
ENTRIES = "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit"


def test_nvme_translated(bed):
    """Plug, write, unplug under I/O; of ten rounds one with a reset and one with a kexec between."""
    with iommu_guest(bed, *KEXEC_DRIVES, smp=2) as guest:
        for number in range(rounds(bed)):
            plug(guest, NVME, "nvme", "0b")
            sums = write_nvme(guest)
            assert "nvme: vfio type1" in verify(guest)
            if number % 10 < 2:
                if number % 10 == 0:
                    guest.reboot(lambda: guest.qmp.execute("system_reset"))
                else:
                    kexec(guest)
                guest.run("until [ -e /dev/nvme0n1 ]; do usleep 20000; done")
                check_nvme(guest, sums)
                verify(guest)
            unplug_under_load(guest, "nvme")
            verify(guest)


def test_identity_tables_are_replayed(bed):
    """The domain that all devices share holds all of RAM when the device comes."""
    with iommu_guest(bed, append="iommu=pt", properties=",pt=off") as guest:
        for _ in range(rounds(bed)):
            address = plug(guest, EDU, "edu", "0a")
            check_edu(guest, address)
            verify(guest)
            unplug(guest, "edu")
            verify(guest)


def test_passed_through_by_the_iommu(bed):
    with iommu_guest(bed, append="iommu=pt") as guest:
        check_edu(guest, plug(guest, EDU, "edu", "0a"))
        verify(guest)


def test_two_devices_in_two_domains(bed):
    """One is under load while the other goes from a domain of its own to pass-through and back."""
    with iommu_guest(bed, smp=2) as guest:
        plug(guest, NVME, "nvme", "0b")
        edu = plug(guest, EDU, "edu", "0a")
        kind = f"/sys/bus/pci/devices/{edu}/iommu_group/type"
        sums = write_nvme(guest)
        load = guest.start(READ_NVME_ALWAYS)
        for _ in range(rounds(bed)):
            check_edu_is_cut_off(guest, edu)
            verify(guest)
            guest.run(f"echo identity >{kind}")
            check_edu(guest, edu)
            report = verify(guest)
            assert "edu: vfio type1" in report and "nvme: vfio type1" in report, report
            guest.run(f"echo DMA >{kind}")
        check_edu_is_cut_off(guest, edu)
        unplug(guest, "edu")
        verify(guest)
        check_nvme(guest, sums)
        unplug(guest, "nvme")
        load.wait()
        verify(guest)


def test_a_driver_in_the_guests_user_space(bed):
    """The guest's VFIO maps a page, and takes it back: the device reaches it no more. The device's
    messages are remapped on their way."""
    with iommu_guest(bed) as guest:
        load_vfio(guest)
        for _ in range(rounds(bed)):
            edu = plug(guest, EDU, "edu", "0a")
            bind(guest, edu)
            assert "map 8\n" in guest.run(f"load vfio map {edu} 8")[1]
            assert "msi 50\n" in guest.run(f"load vfio msi {edu} 50")[1]
            verify(guest)
            unplug(guest, "edu")


def test_one_joins_the_domain_of_another(bed):
    """Its mappings are replayed for the second: that reaches all of them."""
    with iommu_guest(bed) as guest:
        nvme = plug(guest, NVME, "nvme", "0b")
        check_join(guest, plug(guest, EDU, "edu", "0a"), nvme)


def test_torn_out(bed):
    """Under load, and the guest is not asked: it lives, and may be given it again."""
    with iommu_guest(bed, smp=2) as guest:
        for _ in range(2):
            nvme = plug(guest, NVME, "nvme", "0b")
            write_nvme(guest)
            load = start_disk_load(guest)
            unplug(guest, "nvme", x_force=True)
            end_disk_load(load)
            guest.run(f"while [ -e /sys/bus/pci/devices/{nvme} ]; do usleep 20000; done")
            assert verify(guest) == ""


@contextlib.contextmanager
def few_entries(bed, count):
    before = bed.run(f"cat {ENTRIES}")[1].strip()
    bed.run(f"echo {count} >{ENTRIES}")
    try:
        yield
    finally:
        bed.run(f"echo {before} >{ENTRIES}")


def test_more_mappings_than_the_host_has(bed):
    """At hotplug an error, at run time no DMA any more and an event; the guest lives (I1, I5)."""
    with iommu_guest(bed) as guest, few_entries(bed, 100):
        load_vfio(guest)
        edu = plug(guest, EDU, "edu", "0a")
        bind(guest, edu)
        load = guest.start(f"load vfio many {edu} 150")
        load.expect("many 150\n")
        reason = guest.qmp.wait_event("DEVICE_DMA_CUT_OFF")["data"]["reason"]
        assert "no entry left" in reason and "dma_entry_limit" in reason, reason
        assert not guest.qmp.execute("x-iommu-verify")["equal"]
        load.end()
        assert load.wait() == 0
        verify(guest)  # what failed was tried again, and is not there any more
        unplug(guest, "edu")
        edu = plug(guest, EDU, "edu", "0a")
        bind(guest, edu)
        assert "map 2\n" in guest.run(f"load vfio map {edu} 2")[1]
    edu = {"driver": "vfio-pci", "host": EDU, "id": "edu"}
    with bed.guest(kernel=None, initrd=None) as guest:
        with few_entries(bed, 1):
            try:
                guest.qmp.execute("device_add", **edu)
            except Exception as problem:
                assert "no entry left to map IOVA 0x" in problem.description, problem
                assert "the host allows 1 (raise dma_entry_limit" in problem.description, problem
            else:
                raise AssertionError("no error")
        assert verify(guest) == ""
        guest.qmp.execute("device_add", **edu)  # nothing of it was left behind
        assert "edu: vfio type1" in verify(guest)


def test_caching_mode_is_needed(bed):
    bind(bed, EDU)
    with bed.guest("-device", "intel-iommu", qmp=True, kernel=None, initrd=None) as guest:
        try:
            guest.qmp.execute("device_add", driver="vfio-pci", host=EDU)
        except Exception as problem:
            assert "caching-mode=on" in problem.description, problem
        else:
            raise AssertionError("no error")
