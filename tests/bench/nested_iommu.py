# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest's IOMMU (VT-d) costs in a nested L1 that has VFIO: measures of nested.py."""
import os
import re

from harness.vfio import EDU, bind, load_vfio

REPLAY = "tests/bench/iommu-replay"  # in the build's folder
REPLAYED = 1000000  # mappings, at most
ENTRIES = "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit"
IN_GUEST = "0000:00:0a.0"
MEMORY = 256  # MiB of the guest
TRANSFERS = (("4k", 1000), ("64k", 300), ("1M", 40))  # size and count: not beyond the disk's end


def iommu_guest(bed, program, *arguments, caching_mode):
    """A guest behind VT-d. QEMU's needs its board q35; both remap interrupts. Both see the same
    processor: the guest's kernel works around what that has of flaws."""
    bed.run("[ -e /tmp/bench.img ] || dd if=/dev/urandom of=/tmp/bench.img bs=1M count=64")
    machine = ["-M", "q35,kernel-irqchip=split"] if program.name == "qemu" else []
    return bed.guest(*machine, "-cpu", "host", "-device",
                     f"intel-iommu,intremap=on,caching-mode={'on' if caching_mode else 'off'}",
                     "-drive", "file=/tmp/bench.img,format=raw,if=none,id=disk",
                     "-device", "virtio-blk-pci,drive=disk,disable-legacy=on,iommu_platform=on,"
                                "num-queues=1", *arguments,
                     program=program, memory=MEMORY, append="intel_iommu=on")


class Counters:
    """Exits and switches of the program's threads while something runs in its guest: counted by L1's
    kernel, hardly any noise."""

    def __init__(self, bed, program):
        self.bed = bed
        self.name = os.path.basename(program.path)
        bed.run("[ -d /sys/kernel/debug/kvm ] || mount -t debugfs debugfs /sys/kernel/debug")
        self.before = self.read()

    def read(self):
        text = self.bed.run("cat /sys/kernel/debug/kvm/exits; "
                            f"cat /proc/$(pidof {self.name})/task/*/status")[1]
        switches = re.findall(r"voluntary_ctxt_switches:\s+(\d+)", text)
        return {"exits": int(text.split()[0]), "switches": sum(map(int, switches))}

    def each(self, what, count):
        return {f"{what}: {name} each": (value - self.before[name]) / count
                for name, value in self.read().items()}


def dd_rates(bed, program, guest, what):
    """MB/s of dd from the disk and onto it, past the guest's page cache."""
    result = {}
    guest.run("echo none >/sys/block/vda/queue/scheduler")
    for way, files, flag in (("read", "if=/dev/vda of=/dev/null", "iflag"),
                             ("write", "if=/dev/zero of=/dev/vda", "oflag")):
        for size, count in TRANSFERS:
            counters = Counters(bed, program)
            text = guest.run(f"read -r start rest </proc/uptime; "
                             f"dd {files} bs={size} count={count} {flag}=direct && "
                             f"read -r end rest </proc/uptime && echo took $start $end")[1]
            result.update(counters.each(f"{what} {way} {size}", count))
            start, end = re.search(r"took ([0-9.]+) ([0-9.]+)", text).groups()
            kilobytes = count * (int(size[:-1]) << (10 if size[-1] == "M" else 0))
            result[f"{what} {way} {size}: MB/s"] = kilobytes / 1024 / (float(end) - float(start))
    return result


def measure_mapping(bed, program):
    """With an assigned device the guest has to tell of each mapping, and waits for the host."""
    bind(bed, EDU)
    with iommu_guest(bed, program, "-device", f"vfio-pci,host={EDU},addr=0a",
                     caching_mode=True) as guest:
        guest.wait_up()
        load_vfio(guest)
        result = dd_rates(bed, program, guest, "strict")
        bind(guest, IN_GUEST)
        for pages, count in ((1, 2000), (64, 100)):
            counters = Counters(bed, program)
            text = guest.run(f"load vfio rate {IN_GUEST} {count} {pages}")[1]
            result.update(counters.each(f"map+unmap of {pages}", count))
            result[f"map+unmap of {pages}: per second"] = float(
                re.search(r"rate (\d+)", text)[1])
        return result


def measure_translated(bed, program):
    """Without one the guest forgets mappings in batches: what is left is the translation."""
    with iommu_guest(bed, program, caching_mode=False) as guest:
        guest.wait_up()
        return dd_rates(bed, program, guest, "lazy")


def run_replay(bed):
    """duodm's replay through the kernel's VFIO, against the bare calls; prints it."""
    program = os.path.join(os.path.dirname(bed.program.source), REPLAY)
    with open(program, "rb") as f:
        bed.agent.put("/tmp/iommu-replay", f.read(), 0o755)
    bind(bed, EDU)
    bed.run(f"echo {REPLAYED + 1000} >{ENTRIES}")
    print(bed.run(f"/tmp/iommu-replay --type1 {EDU} {REPLAYED}")[1], end="", flush=True)
