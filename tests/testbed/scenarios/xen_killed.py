# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 of a device model: its domain can be listed and destroyed, others are made and live."""
from harness.life import LifeDomain
from harness.xen import start_toolstack

MACHINE = "xen"
ENGINE = "xen"


def test_killed(bed):
    start_toolstack(bed)
    with LifeDomain(bed) as domain:
        domain.wait_alive()
        bed.run(f"kill -9 {domain.model_pid()}")
        assert domain.name in bed.run("xl list")[1]
        assert bed.run("xl save g1 /tmp/g1.saved", check=False)[0] != 0  # said, not waited for
        with LifeDomain(bed, name="g2") as other:
            other.wait_alive()
            domain.destroy()
            domain.check_clean()
            other.wait_alive()
            other.destroy()
        other.check_clean()
    with LifeDomain(bed) as again:  # the same name
        again.wait_alive()
        again.destroy()
    again.check_clean()
