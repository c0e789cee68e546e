# SPDX-License-Identifier: GPL-2.0-or-later
"""intel_iommu=on with the disk and the network card behind it, interrupts remapped."""
MACHINE = "kvm"
DEVICES = ["intel-iommu", "virtio-blk-pci", "virtio-net-pci"]


def guest_behind(bed, append, iommu="intel-iommu"):
    bed.run("dd if=/dev/zero of=/tmp/disk bs=1M count=16 2>/dev/null")
    return bed.guest("-drive", "file=/tmp/disk,format=raw,if=none,id=disk",
                     "-device", "virtio-blk-pci,drive=disk,iommu_platform=on",
                     "-netdev", "user,id=n", "-device",
                     "virtio-net-pci,netdev=n,iommu_platform=on", "-device", iommu, smp=4,
                     append=f"intel_iommu=on {append}")


def check(guest, remapped="Enabled IRQ remapping in x2apic mode", domain="Translated"):
    log = guest.run("dmesg")[1]
    assert "DMAR: IOMMU enabled" in log and f"Default domain type: {domain}" in log, log
    assert remapped in log, log
    # Written, and read again past the cache.
    guest.run("dd if=/dev/urandom of=/tmp/a bs=64k count=64 2>/dev/null && "
              "dd if=/tmp/a of=/dev/vda bs=64k conv=fsync 2>/dev/null && "
              "echo 3 >/proc/sys/vm/drop_caches && "
              "dd if=/dev/vda bs=64k count=64 2>/dev/null | cmp - /tmp/a")
    guest.run("ip link set eth0 up && udhcpc -i eth0 -n -q -s /bin/true")
    assert "DMAR: [" not in guest.run("dmesg")[1]


def test_lazy_and_reboot(bed):
    with guest_behind(bed, "") as guest:
        guest.wait_up()
        check(guest)
        assert int(guest.run("grep -c IR- /proc/interrupts")[1]) > 4
        # The IOAPIC's: the second serial line is the agent's, and still answers.
        assert "IR-IO-APIC" in guest.run("grep ttyS1 /proc/interrupts")[1]
        guest.reboot(lambda: guest.start("reboot -f"))
        check(guest)
        guest.start("poweroff -f")
        assert guest.wait() == 0
    bed.run("rm /tmp/disk")


def test_strict(bed):
    with guest_behind(bed, "iommu.strict=1", "intel-iommu,caching-mode=on,aw-bits=39") as guest:
        guest.wait_up()
        check(guest)
    bed.run("rm /tmp/disk")


def test_pass_through(bed):
    with guest_behind(bed, "iommu=pt") as guest:
        guest.wait_up()
        check(guest, domain="Passthrough")
    bed.run("rm /tmp/disk")


def test_kernel_irqchip(bed):
    """What the kernel's own IOAPIC sends can't be remapped: refused, or left out."""
    result = bed.run(f"{bed.program.path} -accel kvm,kernel-irqchip=on -display none -device "
                     "intel-iommu 2>&1", check=False)
    assert result[0] == 1 and "kernel-irqchip=split" in result[1], result
    with bed.guest("-machine", "kernel-irqchip=on", "-device", "intel-iommu,intremap=off",
                   append="intel_iommu=on") as guest:
        guest.wait_up()
        assert "DMAR: IOMMU enabled" in guest.run("dmesg")[1]
