# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernel in a Xen domain, booted directly: serial lines, two vCPUs, reboot, power off."""
from harness.xen import Domain, start_toolstack

MACHINE = "xen"
ENGINE = "xen"
IN_CI = False


def test_kernel(bed):
    start_toolstack(bed)
    with Domain(bed, memory=256, vcpus=2, kernel="/boot/vmlinuz", stay=True) as domain:
        domain.wait_up()
        assert domain.run("nproc")[1] == "2\n"
        assert "Xen" in domain.run("dmesg | grep -i 'hypervisor detected'")[1]
        assert "5853:0001" in domain.run("cat /sys/bus/pci/devices/0000:00:02.0/uevent")[1].upper()
        domain.agent.spawn("reboot", "-f")
        domain.wait_restarted()
        domain.agent.spawn("poweroff", "-f")
        domain.wait_for(lambda: domain.current_id() == 0, "destroyed by xl")
    domain.check_clean()
