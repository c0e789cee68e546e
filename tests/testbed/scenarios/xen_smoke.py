# SPDX-License-Identifier: GPL-2.0-or-later
"""Xen with dom0, xenstored and xl; qemu-system-xen as device model runs hvmloader and SeaBIOS."""
MACHINE = "xen"
ENGINE = None
IN_CI = False

CONFIG = """type="hvm"
name="g1"
memory=128
vcpus=1
firmware="bios"
serial="file:/tmp/serial.log"
vnc=0
nographic=1
device_model_version="qemu-xen"
device_model_override="/usr/libexec/xen-qemu-system-i386"
disk=[]
vif=[]
"""


def test_xl_create(bed):
    bed.run("xenstored --pid-file /run/xen/xenstored.pid && xen-init-dom0 &&"
            " xenconsoled --pid-file=/run/xen/xenconsoled.pid")
    assert "hvm" in bed.run("xl info")[1]
    bed.agent.put("/tmp/g1.cfg", CONFIG.encode())
    bed.run("xl create -e /tmp/g1.cfg || { tail /var/log/xen/*; exit 1; }")
    bed.console.expect(r"\(d1\).*SeaBIOS")
    bed.console.expect(r"\(d1\).*No bootable device")
    assert "g1" in bed.run("xl list")[1]
    bed.run("xl destroy g1")
