# SPDX-License-Identifier: GPL-2.0-or-later
"""What dom0 needs beside Linux: Xen's tools, its daemons, the reference device model."""
import os
import shutil

from harness.files import build_program
from harness.packages import package

LIBRARIES = ["libxencall1", "libxendevicemodel1", "libxenevtchn1", "libxenforeignmemory1",
             "libxengnttab1", "libxenhypfs1", "libxenmisc4.17", "libxenstore4", "libxentoolcore1",
             "libxentoollog1", "libyajl2"]
TOOLS = ["xl", "xenstored", "xenconsoled", "xen-init-dom0", "libxl-save-helper", "xenconsole"]

START = """
for folder in /run/xen /run/xenstored /var/lock /run/lock /var/lib/xen /var/lib/xenstored /var/log/xen; do
    mkdir -p $folder
done
ln -s /run /var/run
ln -s /run/lock /var/lock
ln -s /proc/self/fd/0 /dev/stdin # the scripts' locks need it
mount -t xenfs xenfs /proc/xen
# Whom libxl gives to device models under dm_restrict: each domain's has the first plus its number.
echo "xen-qemuuser-range-base:x:131072:131072::/:/bin/false" >>/etc/passwd
echo "xen-qemuuser-reaper:x:131000:131000::/:/bin/false" >>/etc/passwd
"""


def add_dom0_files(tree):
    utils = package("xen-utils-4.17")
    libraries = ":".join(os.path.join(package(name), "usr/lib/x86_64-linux-gnu")
                         for name in LIBRARIES)
    for tool in TOOLS:
        path = f"/usr/lib/xen-4.17/bin/{tool}"
        tree.add_program(utils + path, path, libraries)
        tree.add_link("/bin/" + tool, path)
    tree.add_file(utils + "/usr/lib/xen-4.17/boot/hvmloader", "/usr/lib/xen-4.17/boot/hvmloader")
    tree.add_program(package("xenstore-utils") + "/usr/bin/xenstore", "/usr/bin/xenstore", libraries)
    for name in ("read", "write", "ls", "watch", "rm", "list", "exists"):
        tree.add_link(f"/usr/bin/xenstore-{name}", "xenstore")
    tree.add_program(package("qemu-system-xen") + "/usr/libexec/xen-qemu-system-i386",
                     "/usr/libexec/xen-qemu-system-i386", libraries)
    tree.add_folder_files("/usr/share/seabios", "/usr/share/seabios")
    for name in ("keymaps/en-us", "linuxboot.bin", "linuxboot_dma.bin", "multiboot.bin",
                 "multiboot_dma.bin"):
        tree.add_file("/usr/share/qemu/" + name)
    tree.add_program("/usr/lib/x86_64-linux-gnu/libvncserver.so.1")  # duodm loads it when asked to
    tree.add_file(build_program("rights"), "/bin/rights")
    # Debian's own scripts, for disks and network cards of Xen's kind.
    tree.add_folder_files(package("xen-utils-common") + "/etc/xen/scripts", "/etc/xen/scripts")
    for name in ("bash", "flock"):
        tree.add_program(shutil.which(name), "/bin/" + name)
    tree.add("/etc/xen/xl.conf", "")
    tree.add("/etc/start", START)
