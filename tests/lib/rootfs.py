# SPDX-License-Identifier: GPL-2.0-or-later
"""An ext4 root disk for guests, made without root or mounts, and the initramfs that starts it."""
import os
import shutil
import subprocess
import tempfile

from kernels import initramfs_with

STARTER = """#!/bin/sh
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do [ ! -e "$module" ] || insmod "$module"; done
n=0
until [ -b DEVICE ] || [ $n -ge 200 ]; do usleep 50000; n=$((n + 1)); done
mkdir -p /mnt
mount -t ext4 DEVICE /mnt && exec switch_root /mnt /sbin/init
echo NO-ROOT
poweroff -f
"""

HEAD = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
"""


def busybox():
    return shutil.which("busybox") or "/bin/busybox"


def make_root(image, script, size="48M", copies=(), offset=0):
    """A disk image whose /sbin/init is the shell script (after proc, sys and dev are mounted), with
    copies of files: (path, name in the root). offset: bytes before the file system."""
    with tempfile.TemporaryDirectory() as root:
        for name in ("bin", "sbin", "proc", "sys", "dev", "tmp", "data"):
            os.mkdir(os.path.join(root, name))
        shutil.copy(busybox(), os.path.join(root, "bin", "busybox"))
        applets = subprocess.run([busybox(), "--list"], capture_output=True, text=True, check=True)
        for name in applets.stdout.split():
            if name not in ("busybox", "init"):
                os.symlink("/bin/busybox", os.path.join(root, "bin", name))
        init = os.path.join(root, "sbin", "init")
        with open(init, "w", encoding="ascii") as file:
            file.write(HEAD + script)
        os.chmod(init, 0o755)
        for path, name in copies:
            shutil.copy(path, os.path.join(root, name))
        place = ["-E", f"offset={offset}"] if offset else []
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", *place, "-d", root, image, size], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       env={**os.environ, "PATH": os.environ["PATH"] + ":/sbin:/usr/sbin"})


def make_starter(path, kind="cloud", device="/dev/vda", names=("virtio_blk", "virtio_pci")):
    """An initramfs whose /start-root (rdinit=) loads modules and goes on in the root disk."""
    return initramfs_with(path, kind, names,
                          files=[("start-root", STARTER.replace("DEVICE", device))])


def check(image):
    """e2fsck's verdict on a file system whose journal may have to be replayed: None, or what it
    says. The image is changed as a mount would change it."""
    path = os.environ["PATH"] + ":/sbin:/usr/sbin"
    subprocess.run(["e2fsck", "-p", image], capture_output=True, check=False,
                   env={**os.environ, "PATH": path})
    result = subprocess.run(["e2fsck", "-f", "-n", image], capture_output=True, text=True,
                            check=False, env={**os.environ, "PATH": path})
    return None if result.returncode == 0 else result.stdout + result.stderr
