# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's cloud kernel boots on KVM to userspace, with 1 and with 4 vCPUs."""
import re

MACHINE = "kvm"

# L0's translator lets XSETBV of L2 pass by L1's KVM, which then reports XCR0's size as it was; the
# same with every program under test.
KNOWN = r"(?s)cut here \]-*\n[^\n]*XSAVE consistency problem.*?end trace"


def complaints(guest):
    """Warnings and worse of the guest's kernel, with what followed them."""
    text = re.sub(KNOWN, "", guest.run("dmesg")[1])
    return re.findall(r"(?s)(?:WARNING: CPU|BUG:|Call Trace|rcu: INFO|Oops).{,2000}", text)


def test_one_vcpu(bed):
    with bed.guest() as guest:
        guest.wait_up()
        assert guest.run("nproc")[1] == "1\n"


def test_four_vcpus(bed):
    with bed.guest(smp=4) as guest:
        guest.wait_up()
        assert guest.run("nproc")[1] == "4\n"
        # All four do work, and time passes on each of them.
        guest.run("for cpu in 0 1 2 3; do taskset $((1 << cpu)) sh -c "
                  "'for n in $(seq 1000); do :; done; usleep 1000' & done; wait")
        assert not complaints(guest), "".join(complaints(guest))


def test_hypervisor_is_seen(bed):
    with bed.guest() as guest:
        guest.wait_up()
        assert "KVM" in guest.run("dmesg | grep -i 'hypervisor detected'")[1]
        clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
        assert guest.run("cat", clock)[1].strip() in ("kvm-clock", "tsc")
