# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guest has fsynced survives kill -9 of the program, again and again (--repeat N)."""
import random
import time

MACHINE = "kvm"
DEVICES = ["virtio-blk-pci"]
DISK = "/tmp/durable.ext4"


def boot(bed):
    guest = bed.guest("-drive", f"file={DISK},format=raw,if=none,id=disk",
                      "-device", "virtio-blk-pci,drive=disk", smp=2)
    guest.wait_up()
    guest.run("mkdir -p /data && mount -t ext4 /dev/vda /data")
    return guest


def test_fsync_then_kill(bed):
    seed = int(time.time())
    chance = random.Random(seed)
    bed.log("durability", f"seed {seed}\n".encode())
    bed.run(f"gunzip -c /boot/guest.ext4.gz >{DISK}")
    first = last = 0
    for number in range(bed.options.repeat):
        with boot(bed) as guest:
            if last:
                guest.run("load", "files", "verify", "/data/files", str(first), str(last))
            guest.run("rm -rf /data/files && mkdir /data/files && sync")
            first = number * 1000
            writer = guest.start(f"load files write /data/files {first}")
            for _ in range(chance.randint(5, 40)):
                last = int(writer.expect(r"synced (\d+)\n")[1])
            guest.kill()
        # The journal is replayed, then there is nothing left to mend.
        bed.run(f"e2fsck -p {DISK}; e2fsck -fn {DISK}")
    with boot(bed) as guest:
        guest.run("load", "files", "verify", "/data/files", str(first), str(last))
    bed.run(f"rm {DISK}")
