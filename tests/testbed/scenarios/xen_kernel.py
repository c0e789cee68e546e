# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernel in a Xen domain, booted directly: serial lines, two vCPUs, its end by itself and by xl."""
from harness.xen import Domain, start_toolstack

MACHINE = "xen"
ENGINE = "xen"


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


def test_asked_by_xl(bed):
    """It does what xl reboot and xl shutdown ask for."""
    start_toolstack(bed)
    with Domain(bed, memory=256, kernel="/boot/vmlinuz", stay=True) as domain:
        for command in "reboot", "shutdown":
            domain.wait_up()
            # Its kernel runs these, which else wait for an init that there is not.
            for program in "reboot", "poweroff":
                domain.run(f"rm /bin/{program}; printf '#!/bin/sh\nexec busybox {program} -f\n'"
                           f" >/bin/{program}; chmod +x /bin/{program}")
            bed.run(f"xl {command} g1")
            if command == "reboot":
                first = domain.id
                domain.wait_for(lambda: domain.current_id() not in (0, first), "restarted by xl")
                domain.id = domain.current_id()
        domain.wait_for(lambda: not domain.exists(), "destroyed by xl")
    domain.check_clean()
