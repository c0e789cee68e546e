# SPDX-License-Identifier: GPL-2.0-or-later
"""Rounds of hotplug behind the guest's VT-d: both devices come, do DMA, and go under load."""
import time

from harness.agent import LIMIT
from harness.vfio import (EDU, KEXEC_DRIVES, NVME, bind, check_edu, check_edu_is_cut_off, check_nvme,
                          end_disk_load, iommu_guest, kexec, load_vfio, plug, start_disk_load,
                          unplug, verify, write_nvme)


class Rounds:
    """In one guest, which every so many rounds is reset or, by turns, starts another kernel. threads:
    of the load on the disk. The rest: see iommu_guest."""

    def __init__(self, bed, restart_every=20, threads=4, limit=LIMIT, **rest):
        self.bed = bed
        self.restart_every = restart_every
        self.threads = threads
        self.limit = limit
        self.rest = rest
        self.guest = None

    def run(self, count):
        with iommu_guest(self.bed, *KEXEC_DRIVES, limit=self.limit, **self.rest) as self.guest:
            began = time.monotonic()
            for number in range(1, count + 1):
                self.one_round(number)
                if number % 10 == 0:
                    print(f"        {number} of {count} rounds, {time.monotonic() - began:.0f} s",
                          flush=True)

    def one_round(self, number):
        guest = self.guest
        plug(guest, NVME, "nvme", "0b", self.limit)
        sums = write_nvme(guest, self.limit)
        assert "nvme: vfio type1" in verify(guest)
        edu = plug(guest, EDU, "edu", "0a", self.limit)
        verify(guest)
        if number % self.restart_every == 0:
            self.restart(sums, by_kexec=number // self.restart_every % 2 == 0)
        load_vfio(guest)
        load = start_disk_load(guest, self.threads, self.limit)
        self.use_edu(edu, number)
        unplug(guest, "edu")
        verify(guest)
        check_nvme(guest, sums, self.limit)
        unplug(guest, "nvme")
        end_disk_load(load, self.limit)
        assert verify(guest) == ""

    def use_edu(self, edu, number):
        """By turns: a driver in the guest's user space maps pages and takes them back; pass-through,
        and the translated domain again."""
        guest = self.guest
        if number % 2:
            bind(guest, edu)
            assert "vfio 4\n" in guest.run(f"load vfio map {edu} 4", limit=self.limit)[1]
        else:
            kind = f"/sys/bus/pci/devices/{edu}/iommu_group/type"
            guest.run(f"echo identity >{kind}")
            check_edu(guest, edu, limit=self.limit)
            verify(guest)
            guest.run(f"echo DMA >{kind}")
            check_edu_is_cut_off(guest, edu)
        verify(guest)

    def restart(self, sums, by_kexec):
        """The devices stay, and their data."""
        guest = self.guest
        if by_kexec:
            kexec(guest)
        else:
            guest.reboot(lambda: guest.qmp.execute("system_reset"))
        guest.run("until [ -e /dev/nvme0n1 ]; do usleep 20000; done", limit=self.limit)
        check_nvme(guest, sums, self.limit)
        verify(guest)
