# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernel in a Xen domain, booted directly: serial lines, two vCPUs, reboot, power off."""
from harness.xen import LIMIT, Domain, start_toolstack

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


def test_hostile(bed):
    """A guest that writes random registers and resets itself again and again: the device models
    live, and dom0 is not harmed."""
    start_toolstack(bed)
    bed.run("dmesg -c >/dev/null")
    with Domain(bed, kernel="/boot/hostile64", stay=True) as domain:
        first = domain.id
        for _ in range(6):
            bed.run("sleep 15")
            status, text = bed.run("cat /var/log/xen/qemu-dm-g1.log*", check=False)
            for word in ("Assertion", "ERROR", "AddressSanitizer", "internal error"):
                assert word not in text, text[-4000:]
            assert "segfault" not in bed.run("dmesg")[1]
        domain.wait_for(lambda: domain.current_id() not in (0, first), "restarted by xl")
        bed.run(f"xl destroy {domain.name}")
