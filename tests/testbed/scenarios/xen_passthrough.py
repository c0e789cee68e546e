# SPDX-License-Identifier: GPL-2.0-or-later
"""edu and nvme are assigned to a Xen domain by xl: at its creation, and while it runs."""
import traceback
from harness.vfio import check_nvme, write_nvme
from harness.xen import Domain, start_toolstack

MACHINE = "xen-passthrough"
ENGINE = "xen"
DEVICES = ["xen-pci-passthrough"]
IN_CI = False
EDU, NVME = "00:05.0", "00:06.0"  # in L1
IDS = {EDU: "0x1234", NVME: "0x1b36"}  # their vendors


def give(bed, *addresses):
    """Have xen-pciback hold devices of L1, for xl to assign."""
    start_toolstack(bed)
    for address in addresses:
        bed.run(f"xl pci-assignable-list | grep -q {address} || xl pci-assignable-add {address}")


def find(domain, host):
    """The guest's address of a device, which it has or will have soon."""
    return domain.run(f"until grep -l {IDS[host]} /sys/bus/pci/devices/*/vendor | grep -q .; do usleep 50000; done;"
                      f"basename $(dirname $(grep -l {IDS[host]} /sys/bus/pci/devices/*/vendor))", limit=60)[1].strip()


def test_debug(bed):
    def show(what, f):
        print("=====", what, flush=True)
        try:
            r = f()
            print(r[1] if isinstance(r, tuple) else r, flush=True)
        except BaseException:
            traceback.print_exc()
            print(flush=True)

    give(bed, EDU, NVME)
    show("assignable", lambda: bed.run("xl pci-assignable-list; for d in 5 6; do cat /sys/bus/pci/devices/0000:00:0$d.0/resource /sys/bus/pci/devices/0000:00:0$d.0/irq; done"))
    EXTRA = '\ndevice_model_args_hvm=["-trace","xen_pt_*","-trace","hotplug_*"]'
    import harness.xen
    harness.xen.LIMIT = 60

    def xen_state():
        return bed.run("xl dmesg -c >/dev/null; xl debug-keys i; xl debug-keys M; xl dmesg -c | grep -v 'IOAPIC\\|RTE' | tail -n 90", check=False, limit=20)

    def logs():
        return bed.run("tail -n 40 /var/log/xen/*", check=False, limit=20)

    def look(domain):
        show("devices", lambda: domain.run("for d in /sys/bus/pci/devices/*; do echo $d $(cat $d/vendor $d/device $d/class $d/irq | tr '\\n' ' ') $(head -n 2 $d/resource); done; cat /proc/interrupts; dmesg | tail -n 25", check=False, limit=20))

    domain = Domain(bed, memory=256, kernel="/boot/vmlinuz", append="loglevel=6", check=False, extra=f'pci=["{EDU}","{NVME}"]' + EXTRA)
    show("created", lambda: str(domain.created) + domain.create_output)
    show("up", domain.wait_up)
    show("logs", logs)
    look(domain)
    show("edu dma", lambda: domain.run(f"timeout 20 load edu dma {find(domain, EDU)} 3", check=False, limit=30))
    show("uio", lambda: domain.run("[ -e /dev/uio0 ] || echo 1234 11e8 >/sys/bus/pci/drivers/uio_pci_generic/new_id; ls /dev/uio*", check=False, limit=20))
    show("intx", lambda: domain.run(f"timeout 15 load edu intx {find(domain, EDU)} 5", check=False, limit=25))
    sums = []
    show("nvme", lambda: sums.append(write_nvme(domain, limit=40)))
    look(domain)
    show("xen", xen_state)
    show("detach", lambda: bed.run(f"xl pci-list {domain.name}; xl pci-detach {domain.name} {EDU}; xl pci-list {domain.name}", check=False, limit=40))
    show("attach", lambda: bed.run(f"xl pci-attach {domain.name} {EDU}; xl pci-list {domain.name}", check=False, limit=40))
    show("edu dma", lambda: domain.run(f"timeout 20 load edu dma {find(domain, EDU)} 3", check=False, limit=30))
    show("intx", lambda: domain.run(f"timeout 15 load edu intx {find(domain, EDU)} 5", check=False, limit=25))
    show("detach", lambda: bed.run(f"xl pci-detach {domain.name} {NVME}; xl pci-list {domain.name}", check=False, limit=40))
    show("attach", lambda: bed.run(f"xl pci-attach {domain.name} {NVME}; xl pci-list {domain.name}", check=False, limit=40))
    show("nvme", lambda: domain.run("until [ -e /dev/nvme0n1 ]; do usleep 20000; done", limit=30))
    show("nvme", lambda: check_nvme(domain, sums[0], limit=30))
    look(domain)
    show("logs", logs)
    show("xl dmesg", lambda: bed.run("xl dmesg | tail -n 40", check=False, limit=20))
    show("destroy", domain.destroy)
    show("clean", domain.check_clean)
    show("assignable", lambda: bed.run("xl pci-assignable-list"))
