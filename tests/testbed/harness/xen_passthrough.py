# SPDX-License-Identifier: GPL-2.0-or-later
"""What scenarios share in which xl gives devices of L1 'xen-passthrough' to a domain."""
from harness.xen import Domain, start_toolstack

EDU, NVME = "00:05.0", "00:06.0"  # in L1
VENDORS = {EDU: "0x1234", NVME: "0x1b36"}
LIMIT = 120.0


def give(bed, *addresses):
    """Have xen-pciback hold devices of L1, for xl to assign."""
    start_toolstack(bed)
    for address in addresses:
        bed.run(f"xl pci-assignable-list | grep -q {address} || xl pci-assignable-add {address}")


def linux(bed, extra, **rest):
    give(bed, EDU, NVME)
    return Domain(bed, memory=256, kernel="/boot/vmlinuz", extra=extra, **rest)


def find(domain, host):
    """The guest's address of a device that it has, or will have soon."""
    files = f"grep -l {VENDORS[host]} /sys/bus/pci/devices/*/vendor"
    return domain.run(f"until {files} >/dev/null; do usleep 50000; done; "
                      f"basename $(dirname $({files}))", limit=LIMIT)[1].strip()


def attach(domain, host):
    domain.bed.run(f"xl pci-attach {domain.name} {host}")
    assert host in domain.bed.run(f"xl pci-list {domain.name}")[1]
    return find(domain, host)


def detach(domain, host):
    domain.bed.run(f"xl pci-detach {domain.name} {host}")
    assert host not in domain.bed.run(f"xl pci-list {domain.name}")[1]
    assert domain.run(f"grep -l {VENDORS[host]} /sys/bus/pci/devices/*/vendor", check=False)[0] != 0


def check_intx(domain, address, count=10):
    domain.run("[ -e /dev/uio0 ] || echo 1234 11e8 >/sys/bus/pci/drivers/uio_pci_generic/new_id; "
               "until [ -e /dev/uio0 ]; do usleep 20000; done", limit=LIMIT)
    assert f"intx {count}\n" in domain.run(f"load edu intx {address} {count}", limit=LIMIT)[1]


def wait_for_nvme(domain):
    domain.run("until [ -e /dev/nvme0n1 ]; do usleep 20000; done", limit=LIMIT)


def check_free(bed):
    listing = bed.run("xl pci-assignable-list")[1]
    assert EDU in listing and NVME in listing, listing
