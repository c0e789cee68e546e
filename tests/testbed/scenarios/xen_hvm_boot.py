# SPDX-License-Identifier: GPL-2.0-or-later
"""xl create with duodm as device model: hvmloader, SeaBIOS to its last line; pause, destroy."""
from harness.xen import Domain, start_toolstack

MACHINE = "xen"
ENGINE = "xen"


def test_no_disk(bed):
    start_toolstack(bed)
    with Domain(bed, memory=128) as domain:
        bed.console.expect(domain.says(r"HVM Loader"))
        bed.console.expect(domain.says(r"SeaBIOS"))
        bed.console.expect(domain.says(r"No bootable device"))
        bed.run(f"xl pause {domain.name}")
        assert domain.state()[2] == "p", domain.state()
        bed.run(f"xl unpause {domain.name}")
        assert domain.state()[2] == "-", domain.state()
        domain.destroy()
    domain.check_clean()
