# SPDX-License-Identifier: GPL-2.0-or-later
"""A Xen domain whose Linux drives VT-d: an emulated disk behind it, an NVMe disk by vfio-user.

Rounds of plugging: --repeat. 75 s for two of them.
"""
import contextlib
import re

from harness.vfio import verify_by
from harness.vfio_user import UserNvme, check_line_interrupts, nvme_server
from harness.xen import LIMIT, Domain, start_toolstack

TEST_LIMIT = 600
MACHINE = "xen"
ENGINE = "xen"
DEVICES = ["intel-iommu", "vfio-user-pci"]

IOMMU = ["-device", "intel-iommu,caching-mode=on"]
DISK = ["-drive", "file=/tmp/disk,format=raw,if=none,id=disk",
        "-device", "virtio-blk-pci,drive=disk,iommu_platform=on,addr=8"]


@contextlib.contextmanager
def domain_behind(bed, append=""):
    start_toolstack(bed)
    bed.run("dd if=/dev/zero of=/tmp/disk bs=1M count=8 2>/dev/null; "
            f"{bed.program.path} -machine xenfv,dumpdmar=/tmp/dmar {' '.join(IOMMU)}")
    with Domain(bed, memory=256, kernel="/boot/vmlinuz", append=f"intel_iommu=on {append}",
                extra='acpi_firmware="/tmp/dmar"', arguments=IOMMU + DISK, monitor=True) as domain:
        domain.wait_up()
        domain.monitor = domain.connect_monitor()
        # Little text: each byte from the agent is some exits, a millisecond or two here.
        domain.run("dmesg | grep -q 'DMAR: IOMMU enabled' && "
                   "dmesg | grep -q 'Default domain type: Translated'")
        yield domain
        assert not domain.run("dmesg | grep -E 'DMAR: .*fault|BUG:' | head -n 3")[1]
        domain.destroy()
    domain.check_clean()


def check_disk(domain):
    """Written, and read again past the cache."""
    domain.run("dd if=/dev/urandom of=/tmp/a bs=64k count=16 2>/dev/null && "
               "dd if=/tmp/a of=/dev/vda bs=64k conv=fsync 2>/dev/null && "
               "echo 3 >/proc/sys/vm/drop_caches && "
               "dd if=/dev/vda bs=64k count=16 2>/dev/null | cmp - /tmp/a")


def test_emulated_disk(bed):
    with domain_behind(bed) as domain:
        check_disk(domain)
        assert "08.0: translated" in domain.monitor.human("info iommu")
        verify_by(domain.monitor)


# Blocks are written through the IOMMU, read again past the cache, and compared, without an end.
BUSY = """
exec >/dev/ttyS0 2>&1
n=0
while :; do
    dd if=/dev/urandom of=/tmp/a bs=64k count=4 2>/dev/null
    dd if=/tmp/a of=/dev/vda bs=64k seek=$((n % 8 * 4)) conv=fsync 2>/dev/null
    echo 3 >/proc/sys/vm/drop_caches
    dd if=/dev/vda bs=64k skip=$((n % 8 * 4)) count=4 2>/dev/null | cmp - /tmp/a || echo BAD
    n=$((n + 1))
    echo "TICK $n"
done
"""


def ticks(domain, count):
    """Wait until its first serial line has so many; the number of the last."""
    path = f"/tmp/{domain.name}.serial"
    domain.bed.run(f"until [ $(grep -c TICK {path}) -ge {count} ]; do usleep 100000; done",
                   limit=LIMIT)
    said = domain.serial()
    assert not "BAD" in said, said
    return int(re.findall(r"TICK (\d+)", said)[-1])


def test_saved(bed):
    """Saved in the midst of it, by who does not ask the guest, whose VT-d is on therefore."""
    with domain_behind(bed, "xen_nopv") as domain:
        domain.agent.spawn("sh", "-c", BUSY)
        before = ticks(domain, 2)
        bed.run("xl save g1 /tmp/g1.saved && xl restore -e /tmp/g1.saved && rm /tmp/g1.saved")
        domain.follow_restored()
        assert ticks(domain, 2) > before
        domain.monitor = domain.connect_monitor()
        assert "08.0: translated" in domain.monitor.human("info iommu")
        verify_by(domain.monitor)


def test_vfio_user(bed):
    with (nvme_server(bed) as server, domain_behind(bed, "iommu.strict=1") as domain):
        nvme = UserNvme(domain, domain.monitor, server)
        for number in range(bed.options.repeat):
            nvme.plug()
            nvme.check(number)
            check_disk(domain)
            mappings = server.mappings()
            # What the guest maps for it and no more; none of it is memory that the server could map.
            assert mappings and sum(m[0] for m in mappings.values()) < 64 << 20, mappings
            assert not any(passed for _, _, passed in mappings.values()), mappings
            nvme.unplug_under_load()
            check_disk(domain)
            verify_by(domain.monitor)
        nvme.plug()
        nvme.change_server()
        nvme.plug()
        nvme.check(99)
        nvme.unplug()
        server.close()
        check_line_interrupts(bed, domain, domain.monitor)
