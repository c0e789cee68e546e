# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk from which a Xen domain boots by itself: GRUB, Debian's kernel, a root file system."""
import os
import subprocess
import tempfile

import bootdisk
from harness.files import build_program
from harness.initramfs import add_modules, busybox_tree
from harness.modules import find_modules
from harness.packages import Kernel

# For the emulated disk and cards, and for Xen's own.
MODULES = ["ata_piix", "ahci", "sd_mod", "ext4", "crc32c_generic", "8139cp", "e1000",
           "xen_blkfront", "xen_netfront"]
GRUB_MODULES = (*bootdisk.DISK_MODULES, "normal", "configfile")

# One line of the kernel's for each: the guest's own tests choose by writing /grub.cfg.
EMULATED = "root=/dev/sda1 xen_emul_unplug=never"
PARAVIRTUAL = "root=/dev/xvda1"

# A shell on the first serial line, while the agent serves the second.
START = """
mount -o remount,rw /
while :; do
    setsid cttyhack sh </dev/ttyS0 >/dev/ttyS0 2>&1
done &
"""


def grub_config(choice):
    return f"linux /vmlinuz console=ttyS0 quiet panic=-1 {choice}\ninitrd /initrd\nboot\n"


def guest_tree(with_modules):
    """The initial RAM disk's files (which go on in root=), or those of the root disk."""
    tree = busybox_tree(build_program("agent"))
    tree.add("/etc/agent-port", "/dev/ttyS1\n")
    if with_modules:
        add_modules(tree, find_modules(Kernel("full"), MODULES))
    else:
        tree.add_file(build_program("load"), "/bin/load")
        tree.add("/etc/start", START)
        tree.add("/grub.cfg", grub_config(EMULATED))
    return tree


def make_xen_disk(path, megabytes=96):
    """An image whose guest starts from its emulated disk until /grub.cfg says something else."""
    with tempfile.TemporaryDirectory(prefix="duodm-testbed-") as folder:
        tree = guest_tree(False)
        initrd = os.path.join(folder, "initrd")
        guest_tree(True).write_cpio(initrd)
        # Packed: SeaBIOS reads a sector at a time, by some five accesses to ports.
        subprocess.run(["gzip", "-9", initrd], check=True)
        tree.add_file(initrd + ".gz", "/initrd")
        os.unlink(initrd + ".gz")
        tree.add_file(Kernel("full").image, "/vmlinuz")
        tree.write_folder(folder)
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", folder, "-E",
                        f"root_owner=0:0,offset={bootdisk.FIRST * 512}", path, f"{megabytes}M"],
                       check=True, stdout=subprocess.DEVNULL)
    bootdisk.install_grub(path, "set root=(hd0,msdos1)\nconfigfile /grub.cfg\n", GRUB_MODULES)
