# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain boots Debian from its own disk: emulated IDE, rtl8139 and e1000; then Xen's drivers."""
from harness.xen import LIMIT, Domain, start_toolstack
from harness.xen_disk import EMULATED, PARAVIRTUAL
from harness.xen_guest import DISK, DiskDomain, check_disk, set_boot

TEST_LIMIT = 600
MACHINE = "xen"
ENGINE = "xen"


def test_other_back_end(bed):
    """A disk whose paravirtual side would be the device model's: said by name, and emulated."""
    start_toolstack(bed)
    disk = f"format=raw,vdev=hda,access=rw,backendtype=qdisk,target={DISK}"
    with Domain(bed, extra=f'disk=["{disk}"]') as domain:
        bed.console.expect(domain.says("Booting from Hard Disk"), limit=LIMIT)
        text = bed.run(f"cat /var/log/xen/qemu-dm-{domain.name}.log")[1]
        assert "device 768 has the back end 'qdisk'" in text, text
        domain.destroy()
    domain.check_clean()


def test_emulated(bed):
    """GRUB and Linux from the IDE disk, a shell on the serial line, both network cards."""
    start_toolstack(bed)
    checksum = set_boot(bed, EMULATED)
    with DiskDomain(bed) as domain:
        domain.check_shell()
        domain.check_root("/dev/sda1")
        assert domain.run("ls /sys/bus/pci/drivers/ata_piix | grep 0000:00:01.1")[0] == 0
        domain.check_data(checksum)
        domain.check_networks({"rtl8139": "8139cp", "e1000": "e1000"})
        domain.power_off()
    check_disk(bed)


def test_paravirtual(bed):
    """GRUB from the emulated disk; Linux takes it and the cards away, and uses Xen's."""
    start_toolstack(bed)
    checksum = set_boot(bed, PARAVIRTUAL)
    with DiskDomain(bed, 'hdtype="ahci"') as domain:
        domain.check_root("/dev/xvda1")
        domain.check_unplugged()
        domain.check_data(checksum)
        domain.check_networks({"rtl8139": "vif", "e1000": "vif"})
        domain.power_off()
    check_disk(bed)
