# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that is saved and goes on in another process, again and again, while it works on its disk
and its network: as if nothing had happened.

DUODM_TEST_SNAPSHOTS: how many times (2). DUODM_TEST_ENGINE: tcg.
"""
import hashlib
import os
import shutil
import socket
import tempfile
import threading
import time
import unittest

import rootfs
from duodm import SLOWER, Duodm
from kernels import initramfs_with, kernel

BOOT = 120  # seconds, of boot and of each piece of work: the limit of a hang, not an aim
ROUNDS = int(os.environ.get("DUODM_TEST_SNAPSHOTS", "2"))
ENGINE = os.environ.get("DUODM_TEST_ENGINE", "tcg")
BLOCK = os.urandom(300_000)

# Each file is read back from the disk; each transfer that came to its end must be whole.
WORKER = f"""
mount -t tmpfs tmp /tmp
ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0
(
    n=0
    while :; do
        timeout 20 nc 10.0.2.2 $(cat /proc/cmdline | sed 's/.*port=//') </dev/null >/tmp/net
        if [ "$(wc -c </tmp/net)" = {len(BLOCK)} ]; then
            [ "$(md5sum </tmp/net)" = "{hashlib.md5(BLOCK).hexdigest()}  -" ] || echo "BAD-NET $n"
            n=$((n + 1))
            echo "NET $n"
        fi
    done
) &
n=0
while :; do
    dd if=/dev/urandom of=/tmp/data bs=50k count=$((1 + RANDOM % 8)) 2>/dev/null
    sum=$(md5sum </tmp/data)
    cp /tmp/data /data/$((n % 20))
    echo "$sum" >/tmp/sum.$((n % 20))
    [ $((n % 5)) != 0 ] || sync
    [ $((n % 3)) != 0 ] || echo 3 >/proc/sys/vm/drop_caches
    old=$(((n * 7) % 20))
    if [ -f /data/$old ] && [ "$(md5sum </data/$old)" != "$(cat /tmp/sum.$old)" ]; then
        echo "BAD-DISK $old"
    fi
    n=$((n + 1))
    echo "DISK $n $(cut -d' ' -f1 /proc/uptime)"
done
"""


@unittest.skipUnless(shutil.which("mke2fs", path=os.environ["PATH"] + ":/sbin:/usr/sbin"),
                     "e2fsprogs is not installed")
class Working(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="duodm-snapshot-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.image = os.path.join(self.folder, "root.img")
        self.saved = os.path.join(self.folder, "saved")
        rootfs.make_root(self.image, WORKER)
        self.starter = initramfs_with(os.path.join(self.folder, "starter.gz"), "cloud",
                                      ("virtio_blk", "virtio_pci", "virtio_net"),
                                      files=[("start-root", rootfs.STARTER)])
        self.server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.server.close)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer = self.server.accept()[0]
            except OSError:
                return
            with peer:
                try:
                    peer.sendall(BLOCK)
                except OSError:
                    pass

    def start(self, *arguments):
        port = self.server.getsockname()[1]
        return Duodm("-accel", ENGINE, "-smp", "2", "-m", "160", "-display", "none", "-no-reboot",
                     "-kernel", kernel("cloud"), "-initrd", self.starter, "-append",
                     f"console=ttyS0 quiet panic=-1 rdinit=/start-root port={port}",
                     "-drive", f"file={self.image},format=raw,if=virtio", "-netdev", "user,id=n",
                     "-device", "virtio-net-pci,netdev=n", *arguments, serial=True, timeout=BOOT)

    def follow(self, vm, disk, net):
        """Until so much more work is done; what the guest says meanwhile is checked."""
        deadline = time.monotonic() + BOOT * SLOWER
        while disk > 0 or net > 0:
            self.assertLess(time.monotonic(), deadline, f"of its work are left: {disk}, {net}")
            line = vm.serial.expect(rb"(DISK|NET|BAD\S*|[^\n]*(?:rror|BUG|stall|panic)) ?([^\n]*)\n")
            self.assertIn(line[1], (b"DISK", b"NET"), line[0])
            disk -= line[1] == b"DISK"
            net -= line[1] == b"NET"

    def save(self, vm, uri):
        vm.qmp.execute("migrate-set-capabilities",
                       capabilities=[{"capability": "events", "state": True}])
        vm.qmp.execute("migrate", uri=uri)
        while (status := vm.qmp.wait_event("MIGRATION")["data"]["status"]) in (
                "setup", "active", "device"):
            pass
        self.assertEqual(status, "completed", vm.qmp.execute("query-migrate"))
        self.assertEqual(vm.qmp.execute("query-status")["status"], "postmigrate")
        return vm.qmp.execute("query-migrate")

    def test_saved_and_restored(self):
        vm = self.start()
        try:
            for _ in range(ROUNDS):
                self.follow(vm, 3, 2)
                self.save(vm, "file:" + self.saved)
                vm.quit()
                vm.close()
                vm = self.start("-incoming", "file:" + self.saved)
            self.follow(vm, 3, 2)
            self.save(vm, "file:" + self.saved)
        finally:
            vm.close()
        self.assertIsNone(rootfs.check(self.image))

    def test_live(self):
        """Over a socket, while it works; memory that it writes meanwhile is sent again."""
        with self.start() as source:
            self.follow(source, 3, 2)
            with self.start("-incoming", "unix:" + self.saved) as target:
                self.assertEqual(target.qmp.execute("query-status")["status"], "inmigrate")
                told = self.save(source, "unix:" + self.saved)
                self.assertGreater(told["ram"]["dirty-sync-count"], 1)
                self.assertEqual(source.quit(), 0)
                self.follow(target, 3, 2)
                target.qmp.execute("stop")
                self.assertEqual(target.quit(), 0)
        self.assertIsNone(rootfs.check(self.image))

    def test_cancelled_and_failed(self):
        """The guest goes on where it is, with its disk."""
        with self.start() as vm:
            self.follow(vm, 2, 1)
            vm.qmp.execute("migrate-set-parameters", max_bandwidth=1 << 20)
            vm.qmp.execute("migrate", uri="file:" + self.saved)
            self.follow(vm, 1, 0)
            self.assertEqual(vm.qmp.execute("query-migrate")["status"], "active")
            vm.qmp.execute("migrate_cancel")
            self.assertEqual(vm.qmp.execute("query-migrate")["status"], "cancelled")
            self.follow(vm, 2, 1)
            vm.qmp.execute("migrate-set-parameters", max_bandwidth=0)
            vm.qmp.execute("migrate", uri="exec:head -c 3000000 >/dev/null")
            while vm.qmp.execute("query-migrate")["status"] in ("setup", "active", "device"):
                pass
            self.assertEqual(vm.qmp.execute("query-migrate")["status"], "failed")
            self.assertEqual(vm.qmp.execute("query-status")["status"], "running")
            self.follow(vm, 2, 1)


if __name__ == "__main__":
    unittest.main()
