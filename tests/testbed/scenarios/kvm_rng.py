# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio-rng: the guest's kernel takes its random numbers from it."""
MACHINE = "kvm"
DEVICES = ["virtio-rng-pci"]


def test_rng(bed):
    with bed.guest("-device", "virtio-rng-pci") as guest:
        guest.wait_up()
        assert "virtio_rng" in guest.run("cat /sys/class/misc/hw_random/rng_current")[1]
        first = guest.run("head -c 4096 /dev/hwrng | md5sum")[1]
        assert first != guest.run("head -c 4096 /dev/hwrng | md5sum")[1]
        # Random bytes hardly compress.
        size = int(guest.run("head -c 4096 /dev/hwrng | gzip -c | wc -c")[1])
        assert size > 4000, size
