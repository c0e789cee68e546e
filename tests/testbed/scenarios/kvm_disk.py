# SPDX-License-Identifier: GPL-2.0-or-later
"""An ext4 root on virtio-blk: written, rebooted, read, clean afterwards."""
MACHINE = "kvm"
DEVICES = ["virtio-blk-pci"]


def test_ext4_root(bed):
    bed.run("gunzip -c /boot/guest.ext4.gz >/tmp/root.ext4")
    with bed.guest("-drive", "file=/tmp/root.ext4,format=raw,if=none,id=root",
                   "-device", "virtio-blk-pci,drive=root",
                   smp=2, append="root=/dev/vda rw") as guest:
        guest.wait_up()
        assert "/dev/vda / ext4 rw" in guest.run("cat", "/proc/mounts")[1]
        sums = guest.run("for n in 1 2 3 4; do dd if=/dev/urandom of=/root/$n bs=1M count=4;"
                         " done 2>/dev/null; md5sum /root/?; sync; mount -o remount,ro /")[1]
        guest.reboot(lambda: guest.start("reboot -f"))
        assert guest.run("md5sum /root/?")[1] == sums
        guest.run("mount -o remount,ro /")
        guest.start("poweroff -f")
        assert guest.wait() == 0
    bed.run("e2fsck -fn /tmp/root.ext4")
    bed.run("rm /tmp/root.ext4")


def test_read_only(bed):
    bed.run("gunzip -c /boot/guest.ext4.gz >/tmp/ro.ext4 && chmod 444 /tmp/ro.ext4")
    before = bed.run("md5sum /tmp/ro.ext4")[1]
    with bed.guest("-drive", "file=/tmp/ro.ext4,format=raw,if=none,id=disk,readonly=on",
                   "-device", "virtio-blk-pci,drive=disk") as guest:
        guest.wait_up()
        assert guest.run("cat /sys/block/vda/ro")[1] == "1\n"
        assert guest.run("dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync", check=False)[0] != 0
    assert bed.run("md5sum /tmp/ro.ext4")[1] == before
    bed.run("rm -f /tmp/ro.ext4")
