# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines that boot by themselves: SeaBIOS starts GRUB from an emulated disk or CD, GRUB a Debian
kernel, with its root on the disk (IDE or AHCI), on tcg; on pc and q35."""
import hashlib
import os
import shutil
import tempfile
import unittest

import bootdisk
import rootfs
from duodm import Duodm
from kernels import initramfs_with, kernel

BOOT = 300  # seconds: the limit of a hang, not an aim
APPEND = "console=ttyS0 quiet panic=-1 "
DRIVERS = ("ata_piix", "ahci", "sd_mod", "sr_mod", "ext4", "crc32c_generic", "isofs")

# The first boot writes and reboots, the second finds it.
WORKER = """
echo "ROOT $(grep ' / ' /proc/mounts | tail -1)"
mkdir -p /cd
mount -t iso9660 /dev/sr0 /cd && echo "CD $(sha256sum < /cd/data)"
dmesg | grep -E 'failed command|hard resetting|exception' && echo BAD
if [ -f /data/sum ]; then
    cd /data && sha256sum -c sum && echo "SECOND $(cat note)"
    poweroff -f
fi
mount -o remount,rw /
for n in 1 2 3 4; do
    dd if=/dev/urandom of=/data/$n bs=64k count=32 conv=fsync 2>/dev/null &
done
wait
echo first-boot > /data/note
cd /data && sha256sum 1 2 3 4 > sum
echo 3 > /proc/sys/vm/drop_caches
sha256sum -c sum && echo "FIRST"
sync
reboot -f
"""

CD_TEST = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod $module; done
n=0
until [ -b /dev/sr0 ] || [ $n -ge 200 ]; do usleep 50000; n=$((n + 1)); done
echo "CD-BOOTED $(cat /sys/block/sr0/device/model)"
mkdir /cd
mount -t iso9660 /dev/sr0 /cd
cat /cd/* > /dev/null && echo READ-ALL
poweroff -f
"""


@unittest.skipIf(bootdisk.missing(), f"{bootdisk.missing()} is not installed")
class Boots(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="duodm-ide-boot-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.starter = rootfs.make_starter(cls.path("starter.gz"), "full", "/dev/sda1", DRIVERS)
        contents = cls.path("contents")
        os.mkdir(contents)
        data = os.urandom(3 << 20)
        cls.sum = hashlib.sha256(data).hexdigest().encode()
        with open(os.path.join(contents, "data"), "wb") as file:
            file.write(data)
        cls.cd = cls.path("cd.iso")
        bootdisk.make_cd(cls.cd, contents)

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    def start(self, *arguments):
        return Duodm("-accel", "tcg", "-m", "256", "-display", "none", *arguments, serial=True,
                     timeout=BOOT)

    def check_disk(self, name, *arguments):
        image = self.path(name)
        bootdisk.make_disk(image, kernel("full"), self.starter, APPEND + "rdinit=/start-root",
                           WORKER)
        with self.start(*[a.replace("IMAGE", image).replace("CD", self.cd) for a in arguments]) as vm:
            vm.serial.expect(rb"ROOT /dev/sda1 / ext4")
            vm.serial.expect(b"CD " + self.sum)
            vm.serial.expect(rb"FIRST\r")
            vm.serial.expect(rb"ROOT /dev/sda1 / ext4")
            vm.serial.expect(b"CD " + self.sum)
            found = vm.serial.expect(rb"(BAD|SECOND (\S+))\r")
            self.assertEqual(found[2], b"first-boot")
            self.assertEqual(vm.wait(), 0, vm.stderr())

    def test_ide(self):
        self.check_disk("ide.img", "-hda", "IMAGE", "-drive", "file=CD,format=raw,media=cdrom")

    def test_ahci(self):
        """libxl's forms for hdtype=ahci."""
        self.check_disk("ahci.img", "-device", "ahci,id=ahci0", "-drive",
                        "file=IMAGE,if=none,id=ahcidisk-0,format=raw,cache=writeback", "-device",
                        "ide-hd,bus=ahci0.0,unit=0,drive=ahcidisk-0", "-drive",
                        "if=none,readonly=on,id=ide-832,file=CD,format=raw", "-device",
                        "ide-cd,id=ide-832,drive=ide-832,bus=ahci0.1,unit=0", "-smp", "2")

    def test_q35(self):
        """By the board's own AHCI."""
        self.check_disk("q35.img", "-M", "q35", "-hda", "IMAGE", "-cdrom", "CD", "-smp", "2")

    def test_behind_a_root_port(self):
        """Firmware switches no bus mastering on in bridges."""
        self.check_disk("port.img", "-M", "q35", "-device", "pcie-root-port,id=rp,chassis=1,slot=1",
                        "-device", "ahci,id=sata,bus=rp", "-drive",
                        "file=IMAGE,if=none,id=d,format=raw", "-device",
                        "ide-hd,bus=sata.0,drive=d,bootindex=0", "-cdrom", "CD")

    def test_cd(self):
        """By -boot's order, although a disk with a boot sector is there."""
        contents = self.path("boot-cd")
        os.mkdir(contents)
        cd, disk = self.path("boot.iso"), self.path("other.img")
        initrd = initramfs_with(self.path("initrd.gz"), "full", DRIVERS, [("cd-test", CD_TEST)])
        bootdisk.make_cd(cd, contents, kernel("full"), initrd, APPEND + "rdinit=/cd-test")
        with open(disk, "wb") as file:
            file.write(b"\xF4\xEB\xFD".ljust(510, b"\0") + b"\x55\xAA" + bytes(1 << 20))
        with self.start("-hda", disk, "-cdrom", cd, "-boot", "order=dc") as vm:
            vm.serial.expect(rb"CD-BOOTED DVD-ROM *\r")
            vm.serial.expect(rb"READ-ALL\r")
            self.assertEqual(vm.wait(), 0, vm.stderr())


if __name__ == "__main__":
    unittest.main()
