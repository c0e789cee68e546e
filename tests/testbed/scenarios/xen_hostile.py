# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain that means harm to its device model: that lives, another domain and dom0 notice nothing."""
import re

from harness.life import LifeDomain
from harness.xen import Domain, LIMIT, start_toolstack

MACHINE = "xen"
ENGINE = "xen"
IN_CI = False
OPERATIONS = 32768  # a round; --repeat says how many
DEVICES = ["VGA,romfile=", "e1000,romfile=", "rtl8139,romfile=", "piix3-usb-uhci,id=usb", "usb-tablet"]


def check_logs(bed, domain):
    text = bed.run(f"cat /var/log/xen/qemu-dm-{domain.name}.log*", check=False)[1]
    for word in ("Assertion", "ERROR", "AddressSanitizer", "runtime error", "internal error"):
        assert word not in text, text[-4000:]
    messages = bed.run("dmesg")[1]
    assert "segfault" not in messages and "traps:" not in messages, messages[-4000:]


def test_registers(bed):
    start_toolstack(bed)
    bed.run("dmesg -c >/dev/null; truncate -s 64M /tmp/g1.img")
    arguments = ", ".join(f'"-device", "{device}"' for device in DEVICES)
    with LifeDomain(bed, name="g2") as other, \
            Domain(bed, kernel="/boot/harm64", stay=True, memory=64, extra="\n".join([
                'on_poweroff="restart"', 'on_crash="restart"', "vnc=1", 'vga="none"',
                'disk=["format=raw,vdev=hda,access=rw,backendtype=qdisk,target=/tmp/g1.img",'
                '"format=raw,vdev=hdc,access=ro,devtype=cdrom,backendtype=qdisk,target="]',
                f"device_model_args_hvm=[{arguments}]"])) as domain:
        other.wait_alive()
        done = 0
        while done < bed.options.repeat * OPERATIONS:
            # Whatever it is called now: it may have restarted.
            said = bed.console.expect(r"\(d(\d+)\)[^\n]*harm \d+ (\d+)\s", limit=LIMIT)
            if int(said[1]) > 0:
                done += 8192
            check_logs(bed, domain)
        other.wait_alive()
        status, text = bed.run("cat /proc/self/status; xl list", check=False)
        assert status == 0 and re.search(r"\bg1\b", text), text
        bed.run("xl destroy g1")
        other.wait_alive()
        other.destroy()
    other.check_clean()
