# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian kernel with its root on virtio-blk, on tcg: what was fsynced outlives kill -9."""
import os
import random
import shutil
import tempfile
import unittest

import rootfs
from duodm import Duodm
from kernels import kernel

BOOT = 240  # seconds: the limit of a hang, not an aim
ROUNDS = int(os.environ.get("DUODM_TEST_KILLS", "3"))

WRITER = """
cd /data
for file in *; do [ ! -f "$file" ] || echo "FOUND $(md5sum < $file | cut -c1-32) $file"; done
echo "FOUND-ALL"
rm -f *
sync
round=$(cat /proc/sys/kernel/random/boot_id | cut -c1-8)
n=0
while [ $n -lt 200 ]; do
    head -c $((RANDOM % 60000)) /dev/urandom | dd of=$round.$n bs=64k conv=fsync 2>/dev/null
    echo "SYNCED $(md5sum < $round.$n | cut -c1-32) $round.$n"
    n=$((n + 1))
done
"""

WORKER = """
echo "ROOT $(grep ' / ' /proc/mounts | tail -1)"
echo "QUEUES $(ls /sys/block/vda/mq | wc -l) $(cat /sys/block/vda/serial)"
dd if=/dev/urandom of=/data/a bs=64k count=64 2>/dev/null
sync
echo 3 > /proc/sys/vm/drop_caches
cp /data/a /data/b
sync
echo 3 > /proc/sys/vm/drop_caches
cmp /data/a /data/b && echo SAME
rm /data/b
fstrim -v / 2>&1 | grep -q trimmed && echo TRIMMED
echo "SIZE $(cat /sys/block/vda/size)"
read line < /dev/console
echo "SIZE $(cat /sys/block/vda/size)"
mount -o remount,ro /
poweroff -f
"""


@unittest.skipUnless(shutil.which("mke2fs", path=os.environ["PATH"] + ":/sbin:/usr/sbin"),
                     "e2fsprogs is not installed")
class Disk(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="duodm-disk-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.image = os.path.join(self.folder, "root.img")
        self.starter = rootfs.make_starter(os.path.join(self.folder, "starter.gz"))

    def start(self, *arguments, drive="if=virtio", more=""):
        return Duodm("-accel", "tcg", "-m", "256", "-display", "none", "-no-reboot", "-kernel",
                     kernel("cloud"), "-initrd", self.starter, "-append",
                     "console=ttyS0 quiet panic=-1 rdinit=/start-root", "-drive",
                     f"file={self.image},format=raw,{drive}", *arguments, serial=True,
                     timeout=BOOT)

    def test_root_on_ext4(self):
        rootfs.make_root(self.image, WORKER)
        size = os.path.getsize(self.image)
        with self.start("-smp", "2", "-device", "virtio-blk-pci,drive=d,serial=root-disk",
                        drive="if=none,id=d,discard=unmap,cache=none") as vm:
            vm.serial.expect(rb"ROOT /dev/vda / ext4 rw")
            vm.serial.expect(rb"QUEUES 2 root-disk\r")
            vm.serial.expect(rb"SAME\r")
            vm.serial.expect(rb"TRIMMED\r")
            vm.serial.expect(b"SIZE %d\r" % (size // 512))
            stats = vm.qmp.execute("query-blockstats")[0]["stats"]
            self.assertGreater(stats["flush_operations"], 0)
            self.assertGreater(stats["unmap_operations"], 0)
            self.assertGreater(stats["wr_bytes"], 8 << 20)
            vm.qmp.execute("block_resize", device="d", size=size + (1 << 20))
            vm.serial.write("\n")
            vm.serial.expect(b"SIZE %d\r" % (size // 512 + 2048))
            self.assertEqual(vm.wait(), 0, vm.stderr())
        self.assertIsNone(rootfs.check(self.image))
        self.assertLess(os.stat(self.image).st_blocks * 512, size)

    def test_fsynced_files_outlive_kill(self):
        rng = random.Random()
        rootfs.make_root(self.image, WRITER)
        synced = {}
        for number in range(ROUNDS):
            with self.subTest(round=number), self.start() as vm:
                found = {}
                while (line := vm.serial.expect(rb"(FOUND|FOUND-ALL)( \w+ \S+)?\r"))[2]:
                    total, name = line[2].split()
                    found[name] = total
                for name, total in synced.items():
                    self.assertEqual(found.get(name), total, name)
                synced = {}
                for _ in range(rng.randrange(3, 15)):
                    total, name = vm.serial.expect(rb"SYNCED (\w+) (\S+)\r").groups()
                    synced[name] = total
                vm.process.kill()
                vm.wait()
                # What the guest had said by then counts too.
                rest = vm.serial.wait_closed()
                for line in rest.split(b"\n"):
                    if line.startswith(b"SYNCED ") and line.endswith(b"\r"):
                        _, total, name = line.split()
                        synced[name] = total
                self.assertTrue(synced)
                vm.process.returncode = 0  # it was us
            copy = self.image + ".copy"
            shutil.copy(self.image, copy)
            self.assertIsNone(rootfs.check(copy))


if __name__ == "__main__":
    unittest.main()
