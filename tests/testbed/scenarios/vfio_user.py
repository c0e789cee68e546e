# SPDX-License-Identifier: GPL-2.0-or-later
"""An NVMe disk by vfio-user behind VT-d: it comes and goes while mappings exist, and its server dies."""
import contextlib

from harness.vfio import rounds, unplug, verify
from harness.vfio_user import UserNvme, check_line_interrupts, nvme_server
from harness.vfio_user_server import Server

MACHINE = "vfio"  # for its one processor
DEVICES = ["intel-iommu", "vfio-user-pci"]

MEMORY = 256  # MiB
SHARED = ["-object", f"memory-backend-memfd,id=ram,size={MEMORY}M",
          "-machine", "memory-backend=ram"]
# A disk that holds mappings before anything is plugged in.
DISK = ["-drive", "file=/boot/vmlinuz,if=none,id=d,format=raw,readonly=on",
        "-device", "virtio-blk-pci,drive=d,iommu_platform=on"]


@contextlib.contextmanager
def guest_behind(bed, *arguments, append=""):
    """And the disk that is to be plugged into it."""
    with (nvme_server(bed) as server,
          bed.guest("-device", "intel-iommu,caching-mode=on", *DISK, *arguments, smp=2,
                    memory=MEMORY, append=f"intel_iommu=on {append}") as guest):
        guest.wait_up()
        guest.run("dd if=/dev/vda of=/dev/null bs=1M count=4 iflag=direct 2>/dev/null")
        verify(guest)
        yield guest, UserNvme(guest, guest.qmp, server)
        assert not guest.run("dmesg | grep -E 'DMAR: .*fault|BUG:' | head -n 3")[1]


def test_shared_memory(bed):
    """The server maps what the guest maps for the disk, and no more."""
    with guest_behind(bed, *SHARED, append="iommu.strict=1") as (guest, nvme):
        for number in range(rounds(bed)):
            nvme.plug()
            nvme.check(number)
            held = nvme.server.mappings().values()
            assert held and all(passed for _, _, passed in held), held
            assert sum(size for size, _, _ in held) < MEMORY << 19, held
            nvme.unplug_under_load()
        nvme.plug()
        guest.reboot(lambda: guest.qmp.execute("system_reset"))
        nvme.wait_there()
        nvme.check(98)
        nvme.change_server()
        nvme.plug()
        nvme.check(99)


def test_messages(bed):
    """Memory that the server can't map: it asks for each access."""
    with guest_behind(bed) as (guest, nvme):
        for number in range(rounds(bed)):
            nvme.plug(no_direct_dma=True)
            nvme.check(number)
            held = nvme.server.mappings().values()
            assert held and not any(passed for _, _, passed in held), held
            nvme.unplug_under_load()
        nvme.plug(no_direct_dma=True)
        nvme.change_server()
        nvme.server.close()
        check_line_interrupts(bed, guest, guest.qmp)


def test_its_memory_is_cut_short(bed):
    """While a vCPU reads it, which it had mapped: that waits for the page until somebody else meets the
    end of the file. Then guest and machine go on without the device."""
    device = "/sys/bus/pci/devices/0000:00:0a.0"
    with Server(bed, "vfio_user_server.py") as server, bed.guest() as guest:
        guest.wait_up()
        guest.qmp.execute("device_add", driver="vfio-user-pci", id="u", addr="0a",
                          socket=server.path)
        guest.run(f"until [ -e {device}/resource2 ]; do usleep 20000; done; echo 1 >{device}/enable")
        bar = guest.run(f"sed -n 3p {device}/resource")[1].split()[0]
        load = guest.start(f"load watch {device}/resource2 8 0x12345678")
        load.expect("watching\n")
        server.ok("truncate", region=2, size=0)
        guest.qmp.human(f"xp /1xw {bar}")
        reason = guest.qmp.wait_event("DEVICE_SERVER_LOST")["data"]["reason"]
        assert "cut short a file" in reason, reason
        load.expect(r"0x(0|ffffffff)\n")
        assert guest.qmp.execute("query-status")["status"] == "running"
        unplug(guest, "u")
