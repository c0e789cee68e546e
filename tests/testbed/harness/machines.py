# SPDX-License-Identifier: GPL-2.0-or-later
"""The kinds of L1: what QEMU emulates and what runs on it. A scenario names one (MACHINE)."""
import gzip
import os

from harness.files import add_newer_guest, base_tree
from harness.iommufd_kernel import IommufdKernel
from harness.packages import Kernel, package
from harness.vfio_user_server import add_servers
from harness.xen_disk import make_xen_disk
from harness.xen_files import add_dom0_files

# A machine that is short of CPUs delivers too few of the ticks that the kernel waits for at boot.
APPEND = "console=ttyS0 panic=-1 loglevel=5 no_timer_check"

# QEMU 7.2 has other data in the upper bits of EFLAGS after CMPXCHG16B, until the next instruction that
# sets flags: an interrupt or an exit in between saves them, and who returns may be in any mode then.
# Linux allocates memory by that instruction where the processor has it.
CPU = "EPYC,-cx16"
CX16_NUMBER = 4 * 32 + 13  # of the feature, in Linux

# L1's kernel measures its TSC once more a second after the first time, when KVM is loaded already. If the
# two differ by more than KVM takes for nothing, Linux 6.1 forgets half of what it does for a new vCPU, and
# says "user requested TSC rate below hardware speed": for its timer the guest's TSC stands still, so that
# each TSC deadline comes late by the age of the guest. One L1 of ten, under any program.
MODULE_ARGUMENTS = {"kvm.ko": "tsc_tolerance_ppm=100000"}


def linux(folder, programs, modules, arguments, append="", kernel=None, add_files=None):
    """QEMU's arguments for an L1 that is Linux: Debian's cloud kernel, unless another is given.
    add_files(tree, folder): more files."""
    kernel = kernel or Kernel("cloud")
    initrd = os.path.join(folder, "L1.cpio")
    tree = base_tree(folder, kernel, modules, programs, MODULE_ARGUMENTS)
    if add_files:
        add_files(tree, folder)
    tree.write_cpio(initrd)
    return [*arguments, "-kernel", kernel.image, "-initrd", initrd,
            "-append", f"{APPEND} {append}".strip()]


def kvm(folder, programs, processors=1):
    """Linux with /dev/kvm (emulated AMD SVM, nested paging), tun and loop devices. Its processor has
    CMPXCHG16B: a guest program tries what KVM makes of that. Kernels do not know.

    One processor: of two, one sometimes stays halted though the other has sent it an interrupt, so
    that a vCPU's thread which was woken never runs. One guest of ten with four vCPUs hung.
    """
    return linux(folder, programs, ["kvm_amd", "tun", "msr"],
                 ["-cpu", "EPYC", "-m", "2048", "-smp", str(processors)],
                 append=f"clearcpuid={CX16_NUMBER}")


def kvm_smp(folder, programs):
    """As kvm, with two processors, for what is to be measured on two."""
    return kvm(folder, programs, processors=2)


def iommufd(folder, programs):
    """As vfio, with a kernel that has /dev/iommu."""
    return vfio(folder, programs, ["iommufd"], IommufdKernel())


def vfio_newer(folder, programs):
    """As vfio, with a newer kernel for L2, too."""
    return vfio(folder, programs, add_files=add_newer_guest)


def vfio(folder, programs, modules=(), kernel=None, add_files=None):
    """Linux with /dev/kvm, an IOMMU and devices to assign: edu at 00:05.0, nvme at 00:06.0.

    One processor. Whatever is done to a device or the IOMMU changes L0's memory map, and then QEMU
    kicks the other processors. Kicked after VMRUN has injected an interrupt and before the next exit,
    it delivers that interrupt once more, in whatever state L2 is; QEMU 7.2 also exchanges what their
    TLBs point into under them (tcg_commit). With two, the guest hung or L1 died within forty rounds
    of vfio-rounds; once L1 was interrupted between an exit and the next instruction, with GIF clear.
    """
    return linux(folder, programs, ["kvm_amd", *modules, "vfio_iommu_type1", "vfio_pci"],
                 ["-M", "q35", "-cpu", CPU, "-m", "2048", "-smp", "1",
                  "-device", "intel-iommu,intremap=on,caching-mode=on,aw-bits=48",
                  "-device", "edu,addr=5", *nvme(folder)],
                 append="intel_iommu=on", kernel=kernel,
                 add_files=add_files or add_server_files)


def add_server_files(tree, _folder):
    """Those of vfio-user."""
    add_servers(tree)


def vfio_large(folder, programs):
    """As vfio, with memory for the tables of a million mappings."""
    return [*vfio(folder, programs), "-m", "4096"]


def nvme(folder):
    """QEMU's arguments for an nvme at 00:06.0, with an empty file behind it."""
    disk = os.path.join(folder, "nvme.img")
    with open(disk, "wb") as f:
        f.truncate(64 << 20)
    return ["-drive", f"file={disk},format=raw,if=none,id=nvme",
            "-device", "nvme,drive=nvme,serial=testbed,addr=6"]


def xen_passthrough(folder, programs):
    """As xen, with an IOMMU and devices to assign: edu at 00:05.0, nvme at 00:06.0. no-sharept: Xen
    would share the tables of nested paging with VT-d, which are not SVM's."""
    return ["-M", "q35", "-device", "intel-iommu,intremap=on,caching-mode=off",
            *xen(folder, programs, modules=["xen_pciback"], options="iommu=no-sharept",
                 module_arguments={"xen-pciback.ko": "passthrough=0"}),
            "-device", "edu,addr=5", *nvme(folder)]


def xen(folder, programs, modules=(), options="", module_arguments=None):
    """Xen 4.17 with a Linux dom0, xl and a started xenstored. /dev/vda: a disk for a domain.

    Without -smap,-smep a PV dom0 dies at its first page fault, without -monitor Xen's idle loop
    takes a #GP in MWAIT. L0 takes a guest's RDTSCP for the RDTSC that Xen intercepts, at which Xen
    gives the guest a #GP: without -rdtscp Linux dies in a domain as early as it sets its CPU up,
    and restarts it. L0's CMPXCHG16B leaves rubbish in the flags, which an exit at that moment keeps:
    without -cx16 what uses it dies at random. dom0 has the first processor, domains the second:
    where a PV and an HVM vCPU take turns on one, processes of dom0 sometimes find another's FS base.
    A comma separates modules, so dom0's command line must not hold one.
    """
    kernel = Kernel("full")
    initrd = os.path.join(folder, "dom0.cpio")
    tree = base_tree(folder, kernel, ["xen_privcmd", "xen_evtchn", "xen_gntdev", "xen_gntalloc",
                                      "xenfs", "xen_blkback", "xen_netback", "virtio_blk", "tun",
                                      "bridge", "ext4", "crc32c_generic", *modules],
                     programs, module_arguments)
    add_dom0_files(tree)
    add_servers(tree)
    tree.write_cpio(initrd)
    disk = os.path.join(folder, "domain.img")
    make_xen_disk(disk)
    hypervisor = os.path.join(folder, "xen.elf")
    with gzip.open(next_file(package("xen-hypervisor-4.17-amd64"), "boot", "xen-4", ".gz")) as f:
        with open(hypervisor, "wb") as out:
            out.write(f.read())
    return ["-cpu", f"{CPU},-monitor,-smap,-smep,-rdtscp", "-m", "3072", "-smp", "2",
            "-drive", f"file={disk},format=raw,if=none,id=domain",
            "-device", "virtio-blk-pci,drive=domain",
            "-kernel", hypervisor,
            "-append", "console=com1 com1=115200,8n1 dom0_mem=1536M loglvl=warning "
                       "guest_loglvl=all cpuidle=0 dom0_max_vcpus=1 dom0_vcpus_pin " + options,
            "-initrd", f"{kernel.image} console=hvc0 quiet panic=-1,{initrd}"]


def next_file(root, folder, start, end):
    path = os.path.join(root, folder)
    return os.path.join(path, next(f for f in sorted(os.listdir(path))
                                   if f.startswith(start) and f.endswith(end)))


KINDS = {"iommufd": iommufd, "kvm": kvm, "kvm-smp": kvm_smp, "vfio": vfio, "vfio-large": vfio_large,
         "vfio-newer": vfio_newer, "xen": xen, "xen-passthrough": xen_passthrough}
