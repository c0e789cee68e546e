# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernels and the busybox initramfs, fetched or made once, in .cache/ of the tree."""
import os
import subprocess

LIB = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(LIB))
CACHE = os.path.join(ROOT, ".cache")


def kernel(kind):
    """Path of an unmodified Debian kernel: "cloud", "full" or "backports"."""
    path = os.path.join(CACHE, "kernels", "vmlinuz-" + kind)
    if not os.path.exists(path):
        subprocess.run([os.path.join(LIB, "fetch-kernel"), kind, os.path.dirname(path)], check=True,
                       stdout=subprocess.DEVNULL)
    return path


def initramfs():
    path = os.path.join(CACHE, "initramfs.gz")
    if not os.path.exists(path):
        subprocess.run([os.path.join(LIB, "make-initramfs"), path], check=True)
    return path


def guest_program(name):
    """Path of a built guest program of tests/guest."""
    build = os.environ.get("DUODM_BUILD", os.path.dirname(os.environ.get("DUODM", "build/duodm")))
    return os.path.join(build, "tests", "guest", name + ".elf")
