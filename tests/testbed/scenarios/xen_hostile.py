# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain that means harm to its device model: that lives, another domain and dom0 notice nothing.

tests/guest/harm64. By its name, for --repeat minutes; else for some seconds.
"""
import re
import time

from harness.life import SCREEN, LifeDomain
from harness.xen import LIMIT, Domain, start_toolstack

MACHINE = "xen"
ENGINE = "xen"
SECONDS_IN_CI = 20
MOST_MEMORY = 512  # MB that the device model may come to
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


def check_memory(bed, domain):
    """No guest makes its device model grow without bound."""
    status = bed.run(f"cat /proc/{domain.model_pid()}/status", check=False)[1]
    used = re.search(r"^RssAnon:\s+(\d+) kB", status, re.M)
    assert not used or int(used[1]) >> 10 < MOST_MEMORY, status


def test_registers(bed):
    start_toolstack(bed)
    bed.run("dmesg -c >/dev/null; truncate -s 64M /tmp/g1.img")
    # Of dom0's memory a part, which nobody may have changed.
    bed.run("dd if=/dev/urandom of=/dev/shm/kept bs=1M count=32 2>/dev/null &&"
            " cd /dev/shm && sha256sum kept >kept.sum")
    seconds = 60 * bed.options.repeat if bed.options.names else SECONDS_IN_CI
    with LifeDomain(bed, name="g2") as other, \
            Domain(bed, kernel="/boot/harm64", stay=True, memory=64, extra=CONFIG) as domain:
        other.wait_alive()
        bed.run("xl pause g2")  # it has the same processor, and would only take its time
        wait_for_start(bed)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            wait_for_harm(bed, domain)
            check_logs(bed, domain)
        bed.run("xl unpause g2")
        other.wait_alive()
        domain.wait_for(lambda: domain.current_id(), "not being restarted")
        domain.id = domain.current_id()
        check_memory(bed, domain)
        domain.destroy()
        other.wait_alive()
        other.destroy()
    other.check_clean()
    bed.run("cd /dev/shm && sha256sum -c kept.sum && rm kept kept.sum")
