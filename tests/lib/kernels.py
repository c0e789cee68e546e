# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernels and the busybox initramfs, fetched or made once, in .cache/ of the tree."""
import lzma
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


def read_module(path):
    """A module as busybox can load it: newer kernels have theirs packed."""
    with (lzma.open if path.endswith(".xz") else open)(path, "rb") as file:
        return file.read()


def modules(kind, *names):
    """Paths of a kernel's modules and of all that they need, in the order in which to load them;
    read_module has their contents. What is built in is left out."""
    folder = os.path.join(CACHE, "kernels", "modules-" + kind)
    if not os.path.isdir(folder):
        subprocess.run([os.path.join(LIB, "fetch-kernel"), kind, os.path.dirname(folder)],
                       check=True, stdout=subprocess.DEVNULL)
    paths, order = {}, []
    for where, _, files in os.walk(folder):
        for file in files:
            if file.endswith((".ko", ".ko.xz")):
                paths[file.split(".ko")[0].replace("-", "_")] = os.path.join(where, file)
    with open(os.path.join(folder, "modules.builtin"), encoding="ascii") as file:
        builtin = {os.path.basename(line.strip())[:-3].replace("-", "_") for line in file}

    def add(name):
        name = name.replace("-", "_")
        if name in builtin or paths[name] in order:
            return
        needed = re.search(rb"\0depends=([^\0]*)\0", read_module(paths[name]))[1].decode()
        for other in filter(None, needed.split(",")):
            add(other)
        order.append(paths[name])

    for name in names:
        add(name)
    return order


def initramfs_with(path, kind, names, files=(), copies=()):
    """The initramfs at path, with modules that it loads at its start, and more files: (name, text),
    and (path, name) of such as are there."""
    with tempfile.TemporaryDirectory() as extra:
        os.mkdir(os.path.join(extra, "modules"))
        for number, module in enumerate(modules(kind, *names)):
            name = os.path.basename(module).removesuffix(".xz")
            with open(os.path.join(extra, "modules", f"{number:02}-{name}"), "wb") as file:
                file.write(read_module(module))
        for name, text in files:
            with open(os.path.join(extra, name), "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(os.path.join(extra, name), 0o755)
        for file, name in copies:
            shutil.copy(file, os.path.join(extra, name))
        subprocess.run([os.path.join(LIB, "make-initramfs"), path, extra], check=True)
    return path


def initramfs():
    path = os.path.join(CACHE, "initramfs.gz")
    if not os.path.exists(path):
        subprocess.run([os.path.join(LIB, "make-initramfs"), path], check=True)
    return path
