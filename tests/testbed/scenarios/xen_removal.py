# SPDX-License-Identifier: GPL-2.0-or-later
"""dom0's Linux loses a function that a Xen domain is using; later it finds it again. 16 s.

Not one with MSI-X: of such a one Xen 4.17 keeps a pointer to memory that it frees, and dies of that
when a domain reaches memory that its device model answers for.
"""
from harness.vfio import check_edu
from harness.xen_passthrough import EDU, LIMIT, attach, check_free, check_intx, find, give, linux

MACHINE = "xen-passthrough"
ENGINE = "xen"
DEVICES = ["xen-pci-passthrough"]
IN_CI = False


def test_removed_on_the_host(bed):
    with linux(bed, f'pci=["{EDU}"]') as domain:
        domain.wait_up()
        address = find(domain, EDU)
        check_edu(domain, address, limit=LIMIT)
        check_intx(domain, address)
        bed.run(f"echo 1 >/sys/bus/pci/devices/0000:{EDU}/remove")
        domain.run(f"while [ -e /sys/bus/pci/devices/{address} ]; do usleep 20000; done", limit=LIMIT)
        # For xl it is still there.
        bed.run(f"xl pci-detach -f {domain.name} {EDU}; echo 1 >/sys/bus/pci/rescan")
        give(bed, EDU)
        address = attach(domain, EDU)
        check_edu(domain, address, limit=LIMIT)
        check_intx(domain, address)
        domain.destroy()
    domain.check_clean()
    check_free(bed)
