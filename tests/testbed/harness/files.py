# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes into the machines: the files of L1 and of L2."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from harness.initramfs import add_modules, busybox_tree
from harness.modules import find_modules
from harness.packages import CACHE, ROOT, Kernel

GUEST_MODULES = ["virtio_pci", "virtio_mmio", "virtio_blk", "virtio_net", "virtio_rng",
                 "virtio_console", "virtio_balloon", "evdev", "button", "uio_pci_generic"]
ASKED_FOR_MODULES = ["vfio_iommu_type1", "vfio_pci"]  # harness/vfio.py loads them
AGENT_MODULES = ["virtio_pci", "virtio_console"]  # for L1's own port
AGENT_PORT = "/dev/vport0p1"
# What duodm loads when it needs it, so that ldd does not name it. (Xen's libraries come with xl.)
LOADED_LIBRARIES = ["libslirp.so.0"]

PROGRAMS = {"agent": ["agent.c"], "rights": ["rights.c"],
            "load": ["load.c", "load.h", "randread.c", "stream.c", "files.c",
                     "disk.c", "edu.c", "edu.h", "vfio.c", "kexec.c", "echo.c", "watch.c",
                     "withdraw.c"]}


def build_program(name):
    """Compile one of programs/, statically, if that was not done; its path."""
    folder = os.path.join(ROOT, "tests", "testbed", "programs")
    sources = [os.path.join(folder, file) for file in PROGRAMS[name]]
    target = os.path.join(CACHE, "bin", name)
    newest = max(os.path.getmtime(source) for source in sources)
    if not os.path.exists(target) or os.path.getmtime(target) < newest:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        subprocess.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Wshadow",
                        "-Werror", "-static", "-pthread", "-o", target + ".new",
                        *[source for source in sources if source.endswith(".c")]], check=True)
        os.replace(target + ".new", target)  # one that was interrupted is none
    return target


def build_guest_program(name):
    """Build one of tests/guest, a multiboot kernel; its path."""
    folder = os.path.join(ROOT, "tests", "guest")
    target = os.path.join(CACHE, "bin")
    os.makedirs(target, exist_ok=True)
    subprocess.run(["sh", os.path.join(folder, "build"), folder, target, name], check=True)
    return os.path.join(target, name)


def loaded_libraries():
    """Paths of LOADED_LIBRARIES, as far as they are here."""
    listing = subprocess.run(["/sbin/ldconfig", "-p"], text=True, capture_output=True,
                             check=True).stdout
    return [re.search(rf"{re.escape(name)} \(.*x86-64\) => (\S+)", listing)[1]
            for name in LOADED_LIBRARIES if name + " (" in listing]


class Program:
    """The program under test: duodm, or QEMU as the peer (or to try a scenario)."""

    def __init__(self, name):
        self.name = name
        if name == "qemu":
            self.source = shutil.which("qemu-system-x86_64")
        else:
            self.source = os.path.abspath(os.environ.get("DUODM",
                                                         os.path.join(ROOT, "build", "duodm")))
        if not self.source or not os.path.exists(self.source):
            raise RuntimeError(f"there is no program {self.source or name}")
        self.path = "/usr/bin/" + os.path.basename(self.source)
        self.devices = self._help("-device")
        self.engines = self._help("-accel")

    def _help(self, option):
        return subprocess.run([self.source, option, "help"], text=True, capture_output=True,
                              check=False).stdout

    def has_device(self, name):
        return f'"{name}"' in self.devices or f"\n{name} " in "\n" + self.devices

    def has_engine(self, name):
        return name in self.engines.split()

    def add_to(self, tree):
        tree.add_program(self.source, self.path)
        if self.name == "duodm":
            for library in loaded_libraries():
                tree.add_program(library)
        tree.add_folder_files("/usr/share/seabios", "/usr/share/seabios")
        if self.name == "qemu":
            for name in ("kvmvapic.bin", "linuxboot_dma.bin", "linuxboot.bin", "multiboot_dma.bin",
                         "pvh.bin", "bios-microvm.bin"):
                source = os.path.join("/usr/share/qemu", name)
                tree.add_file(source)
            tree.add_file("/usr/lib/ipxe/qemu/efi-virtio.rom")


def guest_tree():
    """L2's files: on an initial RAM disk, or on a root disk (without the modules)."""
    kernel = Kernel("cloud")
    tree = busybox_tree(build_program("agent"))
    tree.add_file(build_program("load"), "/bin/load")
    tree.add("/etc/agent-port", "/dev/ttyS1\n")
    add_modules(tree, find_modules(kernel, GUEST_MODULES))
    add_modules(tree, find_modules(kernel, ASKED_FOR_MODULES), listing="/etc/modules-vfio")
    return tree


def add_newer_guest(tree, folder):
    """/boot/newer: an L2 whose kernel is that of the release's backports, with its driver of
    virtio-iommu, which devices wait for."""
    sys.path.append(os.path.join(ROOT, "tests", "lib"))
    import kernels  # pylint: disable=import-outside-toplevel
    guest = busybox_tree(build_program("agent"))
    guest.add_file(build_program("load"), "/bin/load")
    guest.add("/etc/agent-port", "/dev/ttyS1\n")
    add_modules(guest, kernels.modules("backports", "virtio_iommu", "nvme", "virtio_blk"))
    add_modules(guest, kernels.modules("backports", *ASKED_FOR_MODULES), listing="/etc/modules-vfio")
    guest.write_cpio(os.path.join(folder, "newer.cpio"))
    tree.add_file(os.path.join(folder, "newer.cpio"), "/boot/newer/guest.cpio")
    tree.add_file(kernels.kernel("backports"), "/boot/newer/vmlinuz")


def guest_disk_image(path, megabytes=64):
    """An ext4 file system with L2's files, which it starts from with root=/dev/vda."""
    tree = guest_tree()
    del tree.entries["etc/modules"]
    with tempfile.TemporaryDirectory(prefix="duodm-testbed-") as folder:
        tree.write_folder(folder)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", folder, "-E", "root_owner=0:0",
                        path, f"{megabytes}M"], check=True, stdout=subprocess.DEVNULL)


def base_tree(folder, kernel, modules, programs, arguments=None):
    """L1's files: the programs under test, L2's kernel and RAM disk, tools to look at the result.
    FOLDER is for temporary files."""
    tree = busybox_tree(build_program("agent"))
    tree.add_file(build_program("load"), "/bin/load")
    tree.add("/etc/agent-port", AGENT_PORT + "\n")
    add_modules(tree, find_modules(kernel, AGENT_MODULES + modules), arguments)
    for program in programs:
        program.add_to(tree)
    guest = os.path.join(folder, "guest.cpio")
    guest_tree().write_cpio(guest)
    tree.add_file(guest, "/boot/guest.cpio")
    os.unlink(guest)
    tree.add_file(Kernel("cloud").image, "/boot/vmlinuz")
    disk = os.path.join(folder, "guest.ext4")
    guest_disk_image(disk)
    subprocess.run(["gzip", "-1", "-f", disk], check=True)
    tree.add_file(disk + ".gz", "/boot/guest.ext4.gz")
    os.unlink(disk + ".gz")
    for name in ("exits64", "harm64", "hostile64", "life64", "lines64", "nocode64", "smp64"):
        tree.add_file(build_guest_program(name), f"/boot/{name}")
    tree.add_program("/sbin/e2fsck")
    return tree
