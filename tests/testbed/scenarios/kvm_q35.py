# SPDX-License-Identifier: GPL-2.0-or-later
"""The board q35: its interrupt lines with controllers in the kernel and outside, VT-d, a reboot."""
MACHINE = "kvm"
DEVICES = ["virtio-blk-pci", "intel-iommu"]


def check_disk(bed, machine, append, options, interrupt, *more, reboots=0):
    bed.run("dd if=/dev/urandom of=/tmp/disk bs=1M count=4 2>/dev/null")
    total = bed.run("md5sum </tmp/disk")[1]
    with bed.guest("-machine", machine, "-drive", "file=/tmp/disk,format=raw,if=none,id=disk",
                   "-device", "virtio-blk-pci,drive=disk,addr=5" + options, *more, smp=2,
                   append=append) as guest:
        guest.wait_up()
        for left in range(reboots, -1, -1):
            assert "MMCONFIG at [mem 0xb0000000-0xbfffffff] reserved" in guest.run("dmesg")[1]
            assert guest.run("md5sum </dev/vda")[1] == total
            text = guest.run("grep virtio /proc/interrupts")[1]
            assert interrupt in text, text
            if left:
                guest.reboot(lambda: guest.start("reboot -f"))
        guest.start("poweroff -f")
        assert guest.wait() == 0
    bed.run("rm /tmp/disk")


def test_controllers_in_the_kernel(bed):
    check_disk(bed, "q35", "pci=nomsi", "", "21-fasteoi", reboots=1)


def test_split_behind_the_iommu(bed):
    check_disk(bed, "q35,kernel-irqchip=split", "intel_iommu=on", ",iommu_platform=on",
               "IR-PCI-MSI", "-device", "intel-iommu")
