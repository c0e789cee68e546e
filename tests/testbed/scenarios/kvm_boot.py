# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's cloud kernel boots on KVM to userspace, with 1 and with 4 vCPUs."""
MACHINE = "kvm"


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
        status, text = guest.run("dmesg")
        assert "Call Trace" not in text and "BUG:" not in text, text


def test_hypervisor_is_seen(bed):
    with bed.guest() as guest:
        guest.wait_up()
        assert "KVM" in guest.run("dmesg | grep -i 'hypervisor detected'")[1]
        clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
        assert guest.run("cat", clock)[1].strip() in ("kvm-clock", "tsc")
