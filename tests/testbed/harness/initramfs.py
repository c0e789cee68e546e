# SPDX-License-Identifier: GPL-2.0-or-later
"""Initial RAM disks: a tree of files in memory, written as a newc cpio archive (uncompressed: an
emulated CPU unpacks more slowly than it copies), or as a folder for mke2fs -d."""
import os
import re
import shutil
import stat
import subprocess

from harness.modules import read_module

HARNESS = os.path.dirname(os.path.abspath(__file__))


class Tree:
    """Path -> (mode, content). Parents are made as they are needed."""

    def __init__(self):
        self.entries = {}

    def add_folder(self, path, mode=0o755):
        path = path.strip("/")
        if path and path not in self.entries:
            self.add_folder(os.path.dirname(path))
            self.entries[path] = (stat.S_IFDIR | mode, b"")

    def add(self, path, data, mode=0o644):
        """A file with these bytes (or this text)."""
        self.add_folder(os.path.dirname(path))
        data = data.encode() if isinstance(data, str) else data
        self.entries[path.strip("/")] = (stat.S_IFREG | mode, data)

    def add_link(self, path, target):
        self.add_folder(os.path.dirname(path))
        self.entries[path.strip("/")] = (stat.S_IFLNK | 0o777, target.encode())

    def add_file(self, source, path=None):
        """A file of this machine, links followed; at the same path unless another is given."""
        with open(source, "rb") as f:
            self.add(path or source, f.read(), stat.S_IMODE(os.stat(source).st_mode))

    def add_folder_files(self, source, path):
        for folder, _, files in os.walk(source):
            for name in files:
                full = os.path.join(folder, name)
                if os.path.isfile(full):
                    self.add_file(full, os.path.join(path, os.path.relpath(full, source)))

    def add_program(self, source, path=None, library_path=None):
        """A program with the shared libraries that ldd names."""
        self.add_file(source, path)
        environment = dict(os.environ)
        if library_path:
            environment["LD_LIBRARY_PATH"] = library_path
        listing = subprocess.run(["ldd", source], text=True, capture_output=True, check=False,
                                 env=environment).stdout
        for library in parse_ldd(listing):
            # One from an unpacked package goes to where the loader looks.
            place = library
            if library_path and os.path.dirname(library) in library_path.split(":"):
                place = "/usr/lib/x86_64-linux-gnu/" + os.path.basename(library)
            if place.strip("/") not in self.entries:
                self.add_file(library, place)

    def write_cpio(self, path):
        with open(path, "wb") as out:
            for number, (name, (mode, data)) in enumerate(sorted(self.entries.items()), 1):
                out.write(cpio_entry(name, mode, data, number))
            out.write(cpio_entry("TRAILER!!!", 0, b"", 0))

    def write_folder(self, folder):
        """As files of this machine, owned by whoever we are (mke2fs -E root_owner mends that)."""
        for name, (mode, data) in sorted(self.entries.items()):
            path = os.path.join(folder, name)
            if stat.S_ISDIR(mode):
                os.makedirs(path, exist_ok=True)
            elif stat.S_ISLNK(mode):
                os.symlink(data, path)
            else:
                with open(path, "wb") as f:
                    f.write(data)
                os.chmod(path, stat.S_IMODE(mode))


def cpio_entry(name, mode, data, number):
    """One entry of a newc archive."""
    header = "070701" + "".join(f"{field:08x}" for field in (
        number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0))
    head = header.encode() + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def parse_ldd(listing):
    """Paths of the libraries, and of the loader, in ldd's output."""
    missing = re.findall(r"^\s*(\S+) => not found", listing, re.M)
    if missing:
        raise RuntimeError(f"libraries not found: {' '.join(missing)}")
    return re.findall(r"^\s*(?:\S+ => )?(/\S+) \(0x", listing, re.M)


INIT = """#!/bin/sh
# The same in L1 and in L2, in an initial RAM disk and on a root disk.
echo TESTBED-INIT
export PATH=/bin:/usr/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
if [ -e /etc/modules ]; then
    while read -r module arguments; do
        insmod "/lib/modules/$module" $arguments
    done </etc/modules
fi
root=$(sed -n 's/.* root=\\([^ ]*\\).*/\\1/p' /proc/cmdline)
if [ -n "$root" ] && [ -e /etc/modules ]; then
    n=0
    until [ -b "$root" ] || [ $n -ge 600 ]; do # a driver looks for disks while we go on
        usleep 50000
        n=$((n + 1))
    done
    mount -t ext4 "$root" /root && umount /dev/pts /dev/shm /dev /sys /proc &&
        exec switch_root /root /init
    echo "init: cannot start from $root"
    exec sh
fi
[ -e /etc/start ] && . /etc/start
echo "TESTBED-UP $(uname -r)"
exec agent "$(cat /etc/agent-port)"
"""


def busybox_tree(agent):
    """busybox, the agent and an /init that ends in the agent; the caller adds modules and the port."""
    tree = Tree()
    busybox = shutil.which("busybox") or "/bin/busybox"
    tree.add_file(busybox, "/bin/busybox")
    names = subprocess.run([busybox, "--list"], text=True, capture_output=True, check=True).stdout
    for name in names.split():
        if name != "busybox":
            tree.add_link("/bin/" + name, "busybox")
    tree.add_link("/sbin", "bin")
    tree.add_file(agent, "/bin/agent")
    tree.add("/init", INIT, 0o755)
    tree.add("/etc/passwd", "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
    tree.add("/etc/group", "root:x:0:\nnogroup:x:65534:\n")
    for folder in ("/dev", "/proc", "/sys", "/root", "/run", "/var"):
        tree.add_folder(folder)
    tree.add_folder("/tmp", 0o1777)
    return tree


def add_modules(tree, paths, arguments=None, listing="/etc/modules"):
    """Modules for /init to load, in this order; another listing is for somebody else.
    arguments: module file name -> text."""
    lines = []
    for path in paths:
        name = os.path.basename(path).removesuffix(".xz")
        tree.add("/lib/modules/" + name, read_module(path))
        lines.append(f"{name} {(arguments or {}).get(name, '')}".strip() + "\n")
    tree.add(listing, "".join(lines))
