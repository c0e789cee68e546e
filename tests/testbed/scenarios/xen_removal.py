# SPDX-License-Identifier: GPL-2.0-or-later
"""A Xen domain loses a function that it is using: dom0's Linux lost it, or xl took it by force. 55 s.

Linux loses none with MSI-X: of such a one Xen 4.17 keeps a pointer to memory that it frees, and
dies of that when a domain reaches memory that its device model answers for.
"""
from harness.vfio import check_edu
from harness.xen import Domain
from harness.xen_passthrough import (EDU, LIMIT, NVME, attach, check_free, check_intx, find, give,
                                     linux)

MACHINE = "xen-passthrough"
ENGINE = "xen"
DEVICES = ["xen-pci-passthrough"]


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


def wait_deleted(monitor, host):
    name = f"pci-pt-{host.replace(':', '_')}"
    while monitor.wait_event("DEVICE_DELETED")["data"].get("device") != name:
        pass


def test_taken_by_force(bed):
    """xl pci-detach -f, of a guest that never answers: it has it no more, and may get it again."""
    with linux(bed, f'pci=["{EDU}"]', append="acpiphp.disable=1", monitor=True) as domain:
        domain.wait_up()
        monitor = domain.connect_monitor()
        address = find(domain, EDU)
        check_edu(domain, address, limit=LIMIT)
        bed.run(f"xl pci-detach -f {domain.name} {EDU}")
        wait_deleted(monitor, EDU)
        # The guest's Linux has not heard of that, and looks for it where it was.
        status, text = domain.run("load", "edu", "dma", address, "1", check=False, limit=LIMIT)
        assert status != 0 and "no edu: 0xffffffff" in text, text
        check_free(bed)
        domain.run(f"echo 1 >/sys/bus/pci/devices/{address}/remove")
        bed.run(f"xl pci-attach {domain.name} {EDU}")
        domain.run("echo 1 >/sys/bus/pci/rescan")
        check_edu(domain, find(domain, EDU), limit=LIMIT)
        # A guest that has ended is not asked, though it would not answer either.
        domain.agent.spawn("poweroff", "-f")
        domain.wait_for(lambda: "s" in domain.state(), "shut down")
        domain.destroy()
    domain.check_clean()
    check_free(bed)


def test_taken_before_the_start(bed):
    """A domain that has not run yet lets go of what it has not seen."""
    give(bed, EDU, NVME)
    with Domain(bed, memory=64, kernel="/boot/life64", paused=True, extra=f'pci=["{EDU}"]') as domain:
        bed.run(f"xl pci-attach {domain.name} {NVME}")
        for host in EDU, NVME:
            bed.run(f"xl pci-detach {domain.name} {host}")
        domain.destroy()
    domain.check_clean()
    check_free(bed)
