# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian packages that a testbed needs but the machine need not have: fetched by apt-get download
and unpacked, not installed, once, into .cache/testbed."""
import os
import re
import shutil
import subprocess
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
CACHE = os.path.join(ROOT, ".cache", "testbed")
APT = ["-q", "-o", "APT::Sandbox::User=root"]


def package(name):
    """Folder with the unpacked files of a package."""
    return packages(name)


def packages(name, *more):
    """Folder with the unpacked files of some packages together."""
    folder = os.path.join(CACHE, "packages", name)
    if os.path.isdir(folder):
        return folder
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    work = tempfile.mkdtemp(prefix="fetch-", dir=os.path.dirname(folder))
    try:
        for attempt in range(2):
            result = subprocess.run(["apt-get", *APT, "download", name, *more], cwd=work, text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            files = [f for f in os.listdir(work) if f.endswith(".deb")]
            if len(files) == 1 + len(more):
                break
            if attempt == 0:  # the package lists may be absent or older than the archive
                subprocess.run(["apt-get", *APT, "update"], check=False, capture_output=True)
        else:
            raise RuntimeError(f"cannot download the package {name}: {result.stdout[-500:]}")
        for file in files:
            subprocess.run(["dpkg", "-x", os.path.join(work, file), os.path.join(work, "root")],
                           check=True)
        os.rename(os.path.join(work, "root"), folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def newest_kernel_package(meta):
    """The package that a meta package like linux-image-cloud-amd64 stands for now, or that we have."""
    result = subprocess.run(["apt-cache", "depends", meta], text=True, capture_output=True,
                            check=False)
    match = re.search(r"Depends: (linux-image-[0-9]\S*)", result.stdout)
    if not match:
        subprocess.run(["apt-get", *APT, "update"], check=False, capture_output=True)
        result = subprocess.run(["apt-cache", "depends", meta], text=True, capture_output=True,
                                check=False)
        match = re.search(r"Depends: (linux-image-[0-9]\S*)", result.stdout)
    if not match:
        raise RuntimeError(f"apt does not know the package {meta}")
    return match[1]


class Kernel:
    """An unpacked Debian kernel: .image, and .root for its modules. KIND: "cloud" or "full"."""

    modules = None  # all are in .root
    META = {"cloud": "linux-image-cloud-amd64", "full": "linux-image-amd64"}

    def __init__(self, kind):
        self.root = package(newest_kernel_package(self.META[kind]))
        boot = os.path.join(self.root, "boot")
        self.image = next(os.path.join(boot, f) for f in os.listdir(boot)
                          if f.startswith("vmlinuz-"))
