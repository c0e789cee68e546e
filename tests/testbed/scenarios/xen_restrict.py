# SPDX-License-Identifier: GPL-2.0-or-later
"""dm_restrict=1: what duodm may still do, by Xen's document on deprivileging device models."""
import re

from harness.life import LifeDomain
from harness.xen import start_toolstack

MACHINE = "xen"
ENGINE = "xen"
USER = 131072  # xen_files.START


def check_process(bed, domain):
    """As docs/features/qemu-deprivilege.pandoc has it."""
    pid = domain.model_pid()
    status = bed.run(f"cat /proc/{pid}/status")[1]
    user = USER + domain.id
    for line, expected in (("Uid", user), ("Gid", USER)):
        values = set(re.search(rf"^{line}:\s*(.*)$", status, re.M)[1].split())
        assert values in ({str(expected)}, {str(user)}), f"{line}: {values}"
    assert re.search(r"^Groups:\s*\d*\s*$", status, re.M), status
    assert "0" not in re.search(r"^Groups:\s*(.*)$", status, re.M)[1].split(), status
    assert re.search(r"^CapEff:\s*0+$", status, re.M), status
    root = bed.run(f"readlink /proc/{pid}/root")[1].strip()
    assert root == f"/var/run/xen/qemu-root-{domain.id}".replace("/var/run", "/run"), root
    for space in "mnt", "ipc":
        ours, theirs = (bed.run(f"readlink /proc/{p}/ns/{space}")[1] for p in ("self", pid))
        assert ours != theirs, f"namespace {space} is dom0's"
    limits = bed.run(f"cat /proc/{pid}/limits")[1]
    for name, value in (("Max file size", 262144), ("Max locked memory", 0),
                        ("Max core file size", 0), ("Max msgqueue size", 0), ("Max file locks", 0)):
        assert re.search(rf"^{name}\s+{value}\s+{value}\s", limits, re.M), limits
    links = bed.run(f"ls -l /proc/{pid}/fd")[1]
    assert "xenbus" not in links and "xenstored" not in links, links


def test_rights(bed):
    start_toolstack(bed)
    with LifeDomain(bed, extra="dm_restrict=1") as domain, \
            LifeDomain(bed, name="g2") as other:
        domain.wait_alive()
        check_process(bed, domain)
        status, text = bed.run(f"rights {domain.model_pid()} {other.id}", check=False)
        assert status == 0, text
        assert "privcmd: restricted" in text and "evtchn: restricted" in text, text
        assert bed.run(f"rights {other.model_pid()} {domain.id}", check=False)[0] == 1  # it does see
        # And it can be saved, and goes on.
        bed.run("xl save g1 /tmp/g1.saved")
        domain.check_clean()
        bed.run("xl restore -e /tmp/g1.saved && rm /tmp/g1.saved")
        domain.follow()
        domain.wait_alive()
        check_process(bed, domain)
        domain.destroy()
        domain.check_clean()
        other.wait_alive()
        other.destroy()
    other.check_clean()
