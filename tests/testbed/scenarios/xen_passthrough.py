# SPDX-License-Identifier: GPL-2.0-or-later
"""edu and nvme are assigned to a Xen domain by xl: at its creation, and while it runs."""
from harness.vfio import READ_NVME_ALWAYS, check_edu, check_nvme, write_nvme
from harness.xen_passthrough import (EDU, LIMIT, NVME, attach, check_free, check_intx, detach, find,
                                     linux, wait_for_nvme)

MACHINE = "xen-passthrough"
ENGINE = "xen"
DEVICES = ["xen-pci-passthrough"]


def test_at_creation(bed):
    with linux(bed, f'pci=["{EDU}","{NVME}"]') as domain:
        domain.wait_up()
        address = find(domain, EDU)
        check_edu(domain, address, limit=LIMIT)
        check_intx(domain, address)
        wait_for_nvme(domain)
        sums = write_nvme(domain, limit=LIMIT)
        detach(domain, EDU)
        load = domain.agent.spawn("sh", "-c", READ_NVME_ALWAYS)
        detach(domain, NVME)
        load.wait()
        address = attach(domain, EDU)
        check_edu(domain, address, limit=LIMIT)
        check_intx(domain, address)
        attach(domain, NVME)
        wait_for_nvme(domain)
        check_nvme(domain, sums, limit=LIMIT)
        domain.destroy()
    domain.check_clean()
    check_free(bed)


def test_attached_and_restarted(bed):
    """The domain had none at first; the one that xl makes in its place has what was attached."""
    with linux(bed, 'passthrough="enabled"', stay=True) as domain:
        domain.wait_up()
        check_edu(domain, attach(domain, EDU), limit=LIMIT)
        domain.agent.spawn("reboot", "-f")
        domain.wait_restarted()
        address = find(domain, EDU)
        check_edu(domain, address, limit=LIMIT)
        check_intx(domain, address)
        domain.agent.spawn("poweroff", "-f")
        domain.wait_for(lambda: domain.current_id() == 0, "destroyed by xl")
    domain.check_clean()
    check_free(bed)
