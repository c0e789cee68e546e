# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernels and the busybox initramfs, fetched or made once, in .cache/ of the tree."""
import os
import re
import shutil
import subprocess
import tempfile

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


def modules(kind, *names):
    """Paths of a kernel's modules and of all that they need, in the order in which to load them.
    What is built in is left out."""
    folder = os.path.join(CACHE, "kernels", "modules-" + kind)
    if not os.path.isdir(folder):
        subprocess.run([os.path.join(LIB, "fetch-kernel"), kind, os.path.dirname(folder)],
                       check=True, stdout=subprocess.DEVNULL)
    paths, order = {}, []
    for where, _, files in os.walk(folder):
        for file in files:
            if file.endswith(".ko"):
                paths[file[:-3].replace("-", "_")] = os.path.join(where, file)
    with open(os.path.join(folder, "modules.builtin"), encoding="ascii") as file:
        builtin = {os.path.basename(line.strip())[:-3].replace("-", "_") for line in file}

    def add(name):
        name = name.replace("-", "_")
        if name in builtin or paths[name] in order:
            return
        with open(paths[name], "rb") as file:
            needed = re.search(rb"\0depends=([^\0]*)\0", file.read())[1].decode()
        for other in filter(None, needed.split(",")):
            add(other)
        order.append(paths[name])

    for name in names:
        add(name)
    return order


def initramfs_with(path, kind, names, files=()):
    """The initramfs at path, with modules that it loads at its start, and more files (name, text)."""
    with tempfile.TemporaryDirectory() as extra:
        os.mkdir(os.path.join(extra, "modules"))
        for number, module in enumerate(modules(kind, *names)):
            shutil.copy(module, os.path.join(extra, "modules",
                                             f"{number:02}-{os.path.basename(module)}"))
        for name, text in files:
            with open(os.path.join(extra, name), "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(os.path.join(extra, name), 0o755)
        subprocess.run([os.path.join(LIB, "make-initramfs"), path, extra], check=True)
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
