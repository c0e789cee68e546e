# SPDX-License-Identifier: GPL-2.0-or-later
"""PCI devices come into a running Xen domain and go, by the registers that hvmloader's DSDT knows."""
from harness.xen import Domain, start_toolstack

MACHINE = "xen"
ENGINE = "xen"

FUNCTION = "/sys/bus/pci/devices/0000:00:09.0"


def plug(domain, qmp):
    qmp.execute("device_add", driver="virtio-rng-pci", id="rng", addr="9")
    # The driver has it before it is a source of numbers.
    domain.run("until grep -q virtio /sys/class/misc/hw_random/rng_current; do usleep 20000; done")
    assert domain.run("head -c 64 /dev/hwrng | wc -c")[1] == "64\n"


def test_hotplug(bed):
    start_toolstack(bed)
    with Domain(bed, memory=256, kernel="/boot/vmlinuz", monitor=True) as domain:
        domain.wait_up()
        qmp = domain.connect_monitor()
        others = domain.run("ls /sys/bus/pci/devices")[1]
        for _ in range(3):
            plug(domain, qmp)
            qmp.execute("device_del", id="rng")
            assert qmp.wait_event("DEVICE_DELETED")["data"]["device"] == "rng"
            domain.run(f"until [ ! -e {FUNCTION} ]; do usleep 20000; done")
            # What the DSDT says is not there, Linux removes, whatever the event was about.
            assert domain.run("ls /sys/bus/pci/devices")[1] == others
        # Torn out; no driver has it that would wait for it (Linux's of virtio does, for ever).
        qmp.execute("device_add", driver="e1000", id="card", addr="9")
        domain.run(f"until [ -e {FUNCTION}/resource0 ]; do usleep 20000; done")
        qmp.execute("device_del", id="card", x_force=True)
        domain.run(f"until [ ! -e {FUNCTION} ]; do usleep 20000; done")
        plug(domain, qmp)
        assert not domain.run("dmesg | grep BUG: | head -n 3")[1]
        domain.destroy()
    domain.check_clean()
