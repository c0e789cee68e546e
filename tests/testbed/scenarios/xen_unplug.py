# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest of an AHCI disk and emulated network cards restarts, unplugs them, and goes on with Xen's."""
from harness.xen import start_toolstack
from harness.xen_disk import EMULATED, PARAVIRTUAL, grub_config
from harness.xen_guest import DiskDomain, set_boot

TEST_LIMIT = 600
MACHINE = "xen"
ENGINE = "xen"
IN_CI = False  # two starts of Linux; xen_disk has its parts


def test_unplug(bed):
    start_toolstack(bed)
    checksum = set_boot(bed, EMULATED)
    with DiskDomain(bed, 'hdtype="ahci"') as domain:
        domain.check_root("/dev/sda1")
        domain.check_data(checksum)
        domain.check_networks({"rtl8139": "8139cp", "e1000": "e1000"})
        domain.run("cat >/grub.cfg && sync", stdin=grub_config(PARAVIRTUAL).encode())
        domain.agent.spawn("reboot", "-f")
        domain.wait_restarted()
        domain.check_root("/dev/xvda1")
        domain.check_unplugged()
        domain.run("cd / && sha256sum -c sum")
        domain.check_data(checksum)
        domain.check_networks({"rtl8139": "vif", "e1000": "vif"})
        domain.power_off()
