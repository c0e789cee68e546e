# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks and CDs that a BIOS boots, made without root and without mounts: GRUB of Debian's grub-pc-bin,
a kernel, an initramfs and a root file system."""
import os
import shutil
import struct
import subprocess
import tempfile

import rootfs

GRUB = "/usr/lib/grub/i386-pc"
FIRST = 2048  # sectors before the partition: GRUB's place
DISK_MODULES = ("biosdisk", "part_msdos", "ext2", "linux", "serial", "terminal", "boot")
CD_MODULES = ("biosdisk", "iso9660", "linux", "serial", "terminal", "boot")


def missing():
    """What is not installed of that which is needed, or None."""
    for program, package in (("grub-mkimage", "grub-common"), ("xorriso", "xorriso"),
                             ("mke2fs", "e2fsprogs")):
        if not shutil.which(program, path=os.environ["PATH"] + ":/sbin:/usr/sbin"):
            return package
    return None if os.path.exists(GRUB + "/boot.img") else "grub-pc-bin"


def make_core(path, form, modules, config):
    """GRUB with a configuration of its own."""
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
        file.write(config)
        file.flush()
        subprocess.run(["grub-mkimage", "-O", form, "-c", file.name, "-p", "/", "-o", path,
                        *modules, "echo"], check=True)


def boot_config(root, append):
    """Loads /vmlinuz and /initrd.gz of root."""
    return (f"set root={root}\necho GRUB-IS-UP\nlinux /vmlinuz {append}\n"
            "initrd /initrd.gz\nboot\n")


def install_grub(image, config, modules=DISK_MODULES):
    """GRUB before the first partition, which begins at sector FIRST and has all the rest."""
    core = image + ".core"
    make_core(core, "i386-pc", modules, config)
    with open(GRUB + "/boot.img", "rb") as file:
        boot = file.read(440)
    with open(core, "rb") as file:
        loader = file.read()
    os.remove(core)
    assert len(loader) < (FIRST - 1) * 512
    length = os.path.getsize(image) // 512 - FIRST
    entry = struct.pack("<BBBBBBBBII", 0x80, 0xFE, 0xFF, 0xFF, 0x83, 0xFE, 0xFF, 0xFF, FIRST, length)
    with open(image, "r+b") as file:
        file.write(boot.ljust(446, b"\0") + entry + bytes(48) + b"\x55\xAA" + loader)


def make_disk(image, kernel, initrd, append, script, size="80M"):
    """GRUB before the first partition, and in that an ext4 root with kernel and initramfs."""
    rootfs.make_root(image, script, size, copies=[(kernel, "vmlinuz"), (initrd, "initrd.gz")],
                     offset=FIRST * 512)
    install_grub(image, boot_config("(hd0,msdos1)", append))


def make_cd(image, folder, kernel=None, initrd=None, append=None):
    """An ISO image of a folder; with a kernel it boots (El Torito)."""
    options = []
    if kernel:
        shutil.copy(kernel, os.path.join(folder, "vmlinuz"))
        shutil.copy(initrd, os.path.join(folder, "initrd.gz"))
        make_core(os.path.join(folder, "boot.img"), "i386-pc-eltorito", CD_MODULES,
                  boot_config("(cd)", append))
        options = ["-b", "boot.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"]
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-r", "-V", "DUODM-TEST", *options, "-o",
                    image, folder], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
