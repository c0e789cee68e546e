# SPDX-License-Identifier: GPL-2.0-or-later
"""edu and nvme are assigned: DMA, interrupts of all kinds, hotplug, unplug under I/O, reboots."""
import contextlib

from harness.vfio import (EDU, KEXEC_DRIVES, NVME, bind, check_edu, check_nvme, kexec, plug, rounds,
                          unplug, unplug_under_load, verify, write_nvme)

MACHINE = "vfio"
DEVICES = ["vfio-pci"]
IN_GUEST = "0000:00:0a.0"


@contextlib.contextmanager
def guest_with_edu(bed, *more, options="", **rest):
    bind(bed, EDU)
    with bed.guest("-device", f"vfio-pci,host={EDU},id=edu,addr=0a{options}", *more,
                   **rest) as guest:
        yield guest.wait_up()


def check_intx(guest, rounds=20):
    guest.run("[ -e /dev/uio0 ] || echo 1234 11e8 >/sys/bus/pci/drivers/uio_pci_generic/new_id")
    assert f"intx {rounds}\n" in guest.run(f"load edu intx {IN_GUEST} {rounds}")[1]


def test_edu_kvm(bed):
    """And after a reboot, at which QEMU gave KVM a BAR's slot twice (libvfio-user#439)."""
    with guest_with_edu(bed) as guest:
        check_edu(guest, IN_GUEST)
        check_intx(guest)
        guest.reboot(lambda: guest.qmp.execute("system_reset"))
        check_edu(guest, IN_GUEST)
        check_intx(guest)


def test_edu_split_irqchip(bed):
    with guest_with_edu(bed, accel="kvm,kernel-irqchip=split") as guest:
        check_edu(guest, IN_GUEST)
        check_intx(guest)


def test_edu_without_mmap(bed):
    with guest_with_edu(bed, options=",x-no-mmap=on,x-no-irqfd=on") as guest:
        check_edu(guest, IN_GUEST)


def test_nvme_rounds(bed):
    bind(bed, NVME)
    with bed.guest(*KEXEC_DRIVES, smp=2) as guest:
        guest.wait_up()
        sums = ""
        for number in range(rounds(bed)):
            plug(guest, NVME, "nvme", "0a")
            assert "nvme: vfio type1" in verify(guest)
            if sums:  # what the round before wrote
                check_nvme(guest, sums)
            sums = write_nvme(guest)
            if number % 10 == 1:
                kexec(guest)
                guest.run("until [ -e /dev/nvme0n1 ]; do usleep 20000; done")
                check_nvme(guest, sums)
                verify(guest)
            unplug_under_load(guest, "nvme")
            assert verify(guest) == ""
            if number % 10 == 0:
                guest.reboot(lambda: guest.qmp.execute("system_reset"))


def test_both_share_a_container(bed):
    bind(bed, NVME)
    with guest_with_edu(bed, smp=2) as guest:
        for _ in range(2):  # the last one out, and the first one in again
            plug(guest, NVME, "nvme", "0b")
            guest.run("dd if=/dev/nvme0n1 of=/dev/null bs=1M count=1 iflag=direct")
            check_edu(guest, IN_GUEST)
            unplug(guest, "edu")
            guest.run("dd if=/dev/nvme0n1 of=/dev/null bs=1M count=1 iflag=direct")
            unplug(guest, "nvme")
            plug(guest, EDU, "edu", "0a")
            check_edu(guest, IN_GUEST)


def test_the_host_wants_it_back(bed):
    bind(bed, NVME)
    with bed.guest() as guest:
        guest.wait_up()
        plug(guest, NVME, "nvme", "0a")
        bed.run(f"echo {NVME} >/sys/bus/pci/drivers/vfio-pci/unbind")  # waits until it is free
        assert guest.qmp.wait_event("DEVICE_DELETED")["data"]["device"] == "nvme"


def test_its_memory_is_withdrawn(bed):
    """By the host, while a vCPU is at it, and then while the monitor is: the machine stops and says
    why; a reset, or another device_add, has it go on."""
    with guest_with_edu(bed) as guest:
        device = f"/sys/bus/pci/devices/{IN_GUEST}"
        load = guest.start(f"echo 1 >{device}/enable; load watch {device}/resource0 0 0x010000ed")
        load.expect("watching\n")
        bed.run("load withdraw $(pidof duodm)")
        guest.qmp.wait_event("STOP")
        assert guest.qmp.execute("query-status")["status"] == "internal-error"
        guest.console.expect("CPU 0 can't go on: the kernel found no memory where the guest has some")
        guest.reboot(lambda: (guest.qmp.execute("system_reset"), guest.qmp.execute("cont")))
        check_edu(guest, IN_GUEST)
        bar = guest.run(f"head -n 1 {device}/resource")[1].split()[0]
        assert "0x010000ed" in guest.qmp.human(f"xp /1xw {bar}")
        bed.run("load withdraw $(pidof duodm)")
        assert "0xffffffff" in guest.qmp.human(f"xp /1xw {bar}")
        guest.qmp.wait_event("STOP")
        guest.console.expect("device edu was taken away: its memory is not there any more")
        assert guest.qmp.execute("query-status")["status"] == "internal-error"
        unplug(guest, "edu", x_force=True)
        plug_while_stopped(guest)
        check_edu(guest, IN_GUEST)


def plug_while_stopped(guest):
    """The machine begins anew with the device."""
    guest.qmp.execute("device_add", driver="vfio-pci", host=EDU, id="edu", addr="0a")
    guest.reboot(lambda: (guest.qmp.execute("system_reset"), guest.qmp.execute("cont")))


def test_errors(bed):
    bind(bed, EDU)
    bed.run(f"[ ! -e /sys/bus/pci/devices/{NVME}/driver ] || "
            f"echo {NVME} >/sys/bus/pci/devices/{NVME}/driver/unbind")
    with guest_with_edu(bed) as guest:
        def error(**arguments):
            try:
                guest.qmp.execute("device_add", driver="vfio-pci", **arguments)
            except Exception as problem:
                return problem.description
            raise AssertionError("no error")

        text = error(host=NVME)
        assert "belongs to no driver: give it to vfio-pci" in text, text
        text = error(host=EDU)
        assert "assigned to this machine already, as 'edu'" in text, text
        text = error(host="0000:7f:00.0")
        assert "no PCI device" in text, text
        check_edu(guest, IN_GUEST)
        other = bed.run(f"{bed.program.path} -accel kvm -nodefaults -display none -S "
                        f"-device vfio-pci,host={EDU} 2>&1", check=False)[1]
        assert "another program has a device of this IOMMU group" in other, other
    with guest_with_edu(bed) as guest:  # and all is free again
        check_edu(guest, IN_GUEST)
