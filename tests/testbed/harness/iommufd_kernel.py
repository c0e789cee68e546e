# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel with iommufd and devices as files (CONFIG_IOMMUFD, CONFIG_VFIO_DEVICE_CDEV).

None of Debian's 6.12 has them, but all that they need of the kernel itself: so the modules of VFIO and
iommufd alone are built, from Debian's source against Debian's headers, once, in a minute or two.
"""
import os
import re
import shutil
import subprocess
import tarfile

from harness.packages import CACHE, newest_kernel_package, package, packages

IMAGE, SOURCE = "linux-image-6.12-cloud-amd64", "linux-source-6.12"
DRIVERS = ("drivers/iommu/iommufd/", "drivers/iommu/iommu-priv.h", "drivers/vfio/",
           "lib/interval_tree.c")
OPTIONS = ["CONFIG_IOMMUFD=m", "CONFIG_VFIO_DEVICE_CDEV=y", "CONFIG_DEBUG_INFO_BTF_MODULES=",
           "KCFLAGS=-DCONFIG_IOMMUFD_MODULE=1 -DCONFIG_VFIO_DEVICE_CDEV=1 "
           "-DCONFIG_INTERVAL_TREE_SPAN_ITER=1"]


class IommufdKernel:
    """As harness.packages.Kernel; .modules is a folder with modules that replace those of .root."""

    def __init__(self):
        name = newest_kernel_package(IMAGE)
        version = re.fullmatch(r"linux-image-(.*)-cloud-amd64", name)[1]
        self.root = package(name)
        boot = os.path.join(self.root, "boot")
        self.image = next(os.path.join(boot, f) for f in os.listdir(boot)
                          if f.startswith("vmlinuz-"))
        self.modules = os.path.join(CACHE, "iommufd-" + version)
        if not os.path.isdir(self.modules):
            build(version, self.modules)


def extract_drivers(folder):
    """The drivers' folders of the source, without the folders above them."""
    archive = os.path.join(package(SOURCE), "usr", "src", SOURCE + ".tar.xz")
    with tarfile.open(archive, "r|xz") as tar:
        for member in tar:
            name = member.name.split("/", 1)[-1]
            if name.startswith(DRIVERS):
                member.name = re.sub("^(drivers/iommu|drivers|lib)/", "", name)
                tar.extract(member, folder)


def add_span_iterator(folder):
    """The kernel's interval trees lack what iommufd alone uses: a copy goes into its module."""
    with open(os.path.join(folder, "interval_tree.c"), encoding="ascii") as f:
        text = re.sub(r"^EXPORT_SYMBOL.*\n", "", f.read(), flags=re.M)
    with open(os.path.join(folder, "iommufd", "interval_tree.c"), "w", encoding="ascii") as f:
        f.write(text)
    path = os.path.join(folder, "iommufd", "Makefile")
    with open(path, "a", encoding="ascii") as f:
        f.write("iommufd-y += interval_tree.o\n")


def build(version, target):
    headers = packages(f"linux-headers-{version}-cloud-amd64", f"linux-headers-{version}-common",
                       f"linux-kbuild-{version}")
    tree = os.path.join(headers, "usr", "src", f"linux-headers-{version}-cloud-amd64")
    with open(os.path.join(tree, "Makefile"), "w", encoding="ascii") as f:
        f.write(f"include {headers}/usr/src/linux-headers-{version}-common/Makefile\n")
    work = target + ".new"
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    extract_drivers(work)
    add_span_iterator(work)
    with open(os.path.join(work, "Kbuild"), "w", encoding="ascii") as f:
        f.write("obj-m += iommufd/ vfio/\n")
    result = subprocess.run(["make", "-C", tree, f"M={work}", *OPTIONS, "-j2", "modules"],
                            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            check=False)
    if result.returncode:
        raise RuntimeError(f"the modules can't be built: {result.stdout[-3000:]}")
    os.rename(work, target)  # one that was interrupted is none
