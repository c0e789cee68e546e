# SPDX-License-Identifier: GPL-2.0-or-later
"""edu and nvme are assigned to a Xen domain by xl: at its creation, and while it runs."""
from harness.xen import LIMIT, Domain, start_toolstack

MACHINE = "xen-passthrough"
ENGINE = "xen"
DEVICES = ["xen-pci-passthrough"]
IN_CI = False
EDU, NVME = "00:05.0", "00:06.0"  # in L1


def give(bed, *addresses):
    """Have xen-pciback hold devices of L1, for xl to assign."""
    start_toolstack(bed)
    for address in addresses:
        bed.run(f"xl pci-assignable-list | grep -q {address} || xl pci-assignable-add {address}")


def test_firmware_sees_it(bed):
    give(bed, EDU)
    with Domain(bed, extra=f'pci=["{EDU}"]') as domain:
        bed.console.expect(domain.says("No bootable device"), limit=LIMIT)
        print(bed.run(f"xl pci-list {domain.name}; xl qemu-monitor-command {domain.name} 'info pci'; tail -n 40 /var/log/xen/*; xl dmesg | tail -n 30")[1])
        domain.destroy()
    domain.check_clean()


def test_edu(bed):
    give(bed, EDU)
    with Domain(bed, memory=256, kernel="/boot/vmlinuz", extra=f'pci=["{EDU}"]') as domain:
        domain.wait_up()
        print(domain.run("dmesg | grep -i -e xen -e pci -e acpi | head -n 80; for d in /sys/bus/pci/devices/*; do echo $d $(cat $d/vendor $d/device $d/class $d/irq $d/resource | tr '\\n' ' '); done; cat /proc/interrupts")[1])
        print(domain.run("load edu dma 0000:00:04.0 3; [ -e /dev/uio0 ] || echo 1234 11e8 >/sys/bus/pci/drivers/uio_pci_generic/new_id; cat /proc/interrupts", check=False)[1])
        print(bed.run("cat /var/log/xen/qemu*; xl dmesg | tail -n 40", check=False)[1])
        print(domain.run("timeout 20 load edu intx 0000:00:04.0 5", check=False)[1])
        print(bed.run("cat /var/log/xen/qemu*; xl dmesg | tail -n 40", check=False)[1])
