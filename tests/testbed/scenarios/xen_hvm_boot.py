# SPDX-License-Identifier: GPL-2.0-or-later
"""xl create with duodm as device model: hvmloader, SeaBIOS to its last line; pause, destroy."""
from harness.xen import LIMIT, Domain, start_toolstack

MACHINE = "xen"
ENGINE = "xen"


def test_no_disk(bed):
    start_toolstack(bed)
    with Domain(bed, memory=128) as domain:
        for line in ("HVM Loader", "SeaBIOS", "No bootable device"):
            bed.console.expect(domain.says(line), limit=LIMIT)
        bed.run(f"xl pause {domain.name}")
        assert domain.state()[2] == "p", domain.state()
        bed.run(f"xl unpause {domain.name}")
        assert domain.state()[2] == "-", domain.state()
        assert "windows" in domain.qmp("info mapcache")
        domain.destroy()
    domain.check_clean()


def test_killed(bed):
    """kill -9 of the device model: nothing of it is left, and another domain can be made."""
    start_toolstack(bed)
    for _ in range(max(bed.options.repeat // 3, 1)):
        with Domain(bed) as domain:
            bed.console.expect(domain.says("SeaBIOS"), limit=LIMIT)
            bed.run(f"kill -9 {domain.model_pid()}")
            assert domain.name in bed.run("xl list")[1]
            domain.destroy()
        domain.check_clean()
    with Domain(bed) as domain:
        bed.console.expect(domain.says("SeaBIOS"), limit=LIMIT)
        domain.destroy()
    domain.check_clean()


def test_bad_domain(bed):
    """Without a domain to attach to it says so, and ends."""
    status, text = bed.run(f"{bed.program.path} -M xenfv -xen-domid 4711 -display none", check=False)
    assert status == 1 and "domain 4711" in text, text
    status, text = bed.run(f"{bed.program.path} -M xenfv -display none", check=False)
    assert status == 1 and "-xen-domid" in text, text
