# SPDX-License-Identifier: GPL-2.0-or-later
"""edu and nvme are assigned: DMA, interrupts of all kinds, hotplug, unplug under I/O, reboots."""
import contextlib

MACHINE = "vfio"
DEVICES = ["vfio-pci"]
EDU, NVME = "0000:00:05.0", "0000:00:06.0"
IN_GUEST = "0000:00:0a.0"
READ = "dd if=/dev/nvme0n1 bs=64k count=32 iflag=direct 2>/dev/null | md5sum"


def rounds(bed):
    """Few, unless --repeat asks for more."""
    return bed.options.repeat if bed.options.repeat > 3 else 2


def bind(bed, address):
    """Give a device of L1 to vfio-pci."""
    device = f"/sys/bus/pci/devices/{address}"
    bed.run(f"[ ! -e {device}/driver ] || echo {address} >{device}/driver/unbind; "
            f"echo vfio-pci >{device}/driver_override && "
            f"echo {address} >/sys/bus/pci/drivers_probe && "
            f"ls /dev/vfio/$(basename $(readlink {device}/iommu_group))")


@contextlib.contextmanager
def guest_with_edu(bed, *more, options="", **rest):
    bind(bed, EDU)
    with bed.guest("-device", f"vfio-pci,host={EDU},id=edu,addr=0a{options}", *more,
                   **rest) as guest:
        yield guest.wait_up(limit=300)


def check_edu(guest, rounds=5):
    assert f"dma {rounds}\n" in guest.run(f"load edu dma {IN_GUEST} {rounds}")[1]


def check_intx(guest, rounds=20):
    guest.run("[ -e /dev/uio0 ] || echo 1234 11e8 >/sys/bus/pci/drivers/uio_pci_generic/new_id")
    assert f"intx {rounds}\n" in guest.run(f"load edu intx {IN_GUEST} {rounds}")[1]


def test_edu_kvm(bed):
    with guest_with_edu(bed) as guest:
        check_edu(guest)
        check_intx(guest)
        guest.reboot(lambda: guest.qmp.execute("system_reset"))
        check_edu(guest)
        check_intx(guest)


def test_edu_split_irqchip(bed):
    with guest_with_edu(bed, accel="kvm,kernel-irqchip=split") as guest:
        check_edu(guest)
        check_intx(guest)


def test_edu_without_mmap(bed):
    with guest_with_edu(bed, options=",x-no-mmap=on,x-no-irqfd=on") as guest:
        check_edu(guest)


def plug_nvme(guest, **more):
    guest.qmp.execute("device_add", driver="vfio-pci", host=NVME, id="nvme", addr="0a", **more)
    guest.run("until [ -e /dev/nvme0n1 ]; do usleep 20000; done")


def unplug(guest, name):
    guest.qmp.execute("device_del", id=name)
    while guest.qmp.wait_event("DEVICE_DELETED")["data"].get("device") != name:
        pass


def nvme_rounds(bed, total, **rest):
    bind(bed, NVME)
    with bed.guest(**rest) as guest:
        guest.wait_up(limit=300)
        sums = ""
        for number in range(total):
            plug_nvme(guest)
            if sums:  # what the round before wrote
                assert guest.run(READ)[1] == sums
            sums = guest.run("dd if=/dev/urandom of=/tmp/data bs=1M count=2 2>/dev/null; "
                             "md5sum </tmp/data; dd if=/tmp/data of=/dev/nvme0n1 bs=64k oflag=direct conv=fsync "
                             "2>/dev/null")[1]
            assert guest.run(READ)[1] == sums
            load = guest.start("while dd if=/dev/nvme0n1 of=/dev/null bs=4k iflag=direct "
                               "2>/dev/null; do :; done")
            unplug(guest, "nvme")
            load.wait()
            if number == total // 2:
                guest.reboot(lambda: guest.qmp.execute("system_reset"))


def test_nvme_rounds_kvm(bed):
    nvme_rounds(bed, rounds(bed), smp=2)


def test_both_share_a_container(bed):
    bind(bed, NVME)
    with guest_with_edu(bed, smp=2) as guest:
        for _ in range(2):  # the last one out, and the first one in again
            guest.qmp.execute("device_add", driver="vfio-pci", host=NVME, id="nvme", addr="0b")
            guest.run("until [ -e /dev/nvme0n1 ]; do usleep 20000; done")
            guest.run("dd if=/dev/nvme0n1 of=/dev/null bs=1M count=1 iflag=direct")
            check_edu(guest)
            unplug(guest, "edu")
            guest.run("dd if=/dev/nvme0n1 of=/dev/null bs=1M count=1 iflag=direct")
            unplug(guest, "nvme")
            guest.qmp.execute("device_add", driver="vfio-pci", host=EDU, id="edu", addr="0a")
            guest.run(f"until [ -e /sys/bus/pci/devices/{IN_GUEST}/resource0 ]; do usleep 20000; done")
            check_edu(guest)


def test_the_host_wants_it_back(bed):
    bind(bed, NVME)
    with bed.guest() as guest:
        guest.wait_up()
        plug_nvme(guest)
        bed.run(f"echo {NVME} >/sys/bus/pci/drivers/vfio-pci/unbind")  # waits until it is free
        assert guest.qmp.wait_event("DEVICE_DELETED")["data"]["device"] == "nvme"


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
        check_edu(guest)
        other = bed.run(f"{bed.program.path} -accel kvm -nodefaults -display none -S "
                        f"-device vfio-pci,host={EDU} 2>&1", check=False)[1]
        assert "another program has a device of this IOMMU group" in other, other
    with guest_with_edu(bed) as guest:  # and all is free again
        check_edu(guest)
