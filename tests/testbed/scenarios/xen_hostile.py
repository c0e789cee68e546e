# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain that means harm to its device model: that lives, another domain and dom0 notice nothing.

tests/guest/harm64, until it did --repeat times 1024 operations, or restarted so often.
"""
import re

from harness.life import SCREEN, LifeDomain
from harness.xen import LIMIT, Domain, start_toolstack

MACHINE = "xen"
ENGINE = "xen"
IN_CI = False
DEVICES = ["e1000", "rtl8139", "piix3-usb-uhci", "usb-tablet"]
CONFIG = "\n".join([
    'on_poweroff="restart"', 'on_crash="restart"', SCREEN,
    'disk=["format=raw,vdev=hda,access=rw,backendtype=qdisk,target=/tmp/g1.img",'
    '"format=raw,vdev=hdc,access=ro,devtype=cdrom,backendtype=qdisk,target="]',
    'device_model_args_hvm=["-global","VGA.romfile=",' +
    ",".join(f'"-device","{device}"' for device in (
        "e1000,romfile=", "rtl8139,romfile=", "piix3-usb-uhci,id=usb", "usb-tablet")) + "]"])


def check_logs(bed, domain):
    text = bed.run(f"cat /var/log/xen/qemu-dm-{domain.name}.log*")[1]
    for word in ("Assertion", "ERROR", "AddressSanitizer", "runtime error", "internal error"):
        assert word not in text, text[-4000:]
    messages = bed.run("dmesg")[1]
    assert not re.search(r"duodm.*(segfault|general protection)|traps: duodm", messages), messages


def wait_for_start(bed):
    bed.console.expect(r"\(d\d+\)[^\n]*harm \d+ 0\s", limit=LIMIT)


def wait_for_harm(bed, domain):
    """Until it has done some more. It may do itself so much that nothing more comes; then its device
    model must be well, and it starts anew."""
    try:
        bed.console.expect(r"\(d\d+\)[^\n]*harm \d+ \d+\s", limit=120)
    except TimeoutError:
        domain.wait_for(lambda: domain.current_id(), "not being restarted")
        domain.id = domain.current_id()
        bed.run(f"kill -0 {domain.model_pid()}")
        assert "ports" in domain.qmp("info exits")
        bed.run("xl destroy g1 && xl create -e /tmp/g1.cfg")
        wait_for_start(bed)


def test_registers(bed):
    start_toolstack(bed)
    bed.run("dmesg -c >/dev/null; truncate -s 64M /tmp/g1.img")
    with LifeDomain(bed, name="g2") as other, \
            Domain(bed, kernel="/boot/harm64", stay=True, memory=64, extra=CONFIG) as domain:
        other.wait_alive()
        bed.run("xl pause g2")  # it has the same processor, and would only take its time
        wait_for_start(bed)
        for _ in range(bed.options.repeat):
            wait_for_harm(bed, domain)
            check_logs(bed, domain)
        bed.run("xl unpause g2")
        other.wait_alive()
        assert "g1" in bed.run("xl list")[1]
        domain.wait_for(lambda: domain.current_id(), "not being restarted")
        domain.destroy()
        other.wait_alive()
        other.destroy()
    other.check_clean()
