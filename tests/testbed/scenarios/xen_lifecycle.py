# SPDX-License-Identifier: GPL-2.0-or-later
"""xl's commands: pause, save, restore, cd-insert, vcpu-set, trigger, console, shutdown; and sleep."""
import re

from harness.life import LifeDomain, make_network
from harness.xen import start_toolstack

MACHINE = "xen"
ENGINE = "xen"


def check_registers(domain):
    """Those of a 64-bit guest; its memory is mapped where it is."""
    text = domain.qmp("info registers")
    assert re.search(r"CS =0010 base=0{16} limit=[0-9a-f]{8} attributes=.09b DPL=0", text), text
    assert re.search(r"EFER=0{12}.d01", text), text
    by_both = [domain.qmp(f"{command}/2gx 0x100000").split(":")[1] for command in ("x", "xp")]
    assert by_both[0] == by_both[1], by_both


def test_commands(bed):
    start_toolstack(bed)
    with LifeDomain(bed, vcpus=1, extra="maxvcpus=2", stay=True) as domain:
        domain.wait_alive()
        assert domain.name in bed.run("xl list")[1]
        bed.run("xl pause g1")
        assert domain.state()[2] == "p", domain.state()
        bed.run("xl unpause g1")
        domain.wait_alive()
        assert "duodm" in domain.qmp("info version")
        assert "windows" in domain.qmp("info mapcache")
        check_registers(domain)
        assert "xen-save-devices-state" in domain.qmp("migrate file:/tmp/g1.saved")  # refused
        # What goes in and out by the serial line.
        console = domain.console()
        console.expect(r"life \d+ ticks")
        for button, answer in (("nmi", "NMI"), ("sleep", "sleep button")):
            bed.run(f"xl trigger g1 {button}")
            domain.expect(f"life {answer}")
        bed.run("xl vcpu-set g1 2")
        domain.expect("life processors 3")
        # A CD.
        bed.run("dd if=/dev/zero of=/tmp/cd.iso bs=1024 count=64; printf 'IN-THE-CD' |"
                " dd of=/tmp/cd.iso bs=2048 seek=16 conv=notrunc")
        domain.ask("c", "life CD sense 2")
        bed.run("xl cd-insert g1 hdc /tmp/cd.iso")
        domain.ask("c", "life CD IN-THE-C")
        # With what came after its start it is saved, too.
        bed.run("xl save g1 /tmp/g1.saved && xl restore /tmp/g1.saved && rm /tmp/g1.saved")
        domain.follow()
        domain.ask("c", "life CD IN-THE-C")
        bed.run("xl cd-eject g1 hdc")
        domain.ask("c", "life CD sense 2")
        # It restarts itself, and ends.
        first = domain.id
        domain.ask("r", None)
        domain.wait_for(lambda: domain.current_id() not in (0, first), "restarted by xl")
        domain.follow()
        domain.forget()
        domain.wait_alive()
        bed.run("xl shutdown -F -w g1")
        domain.expect("life power button")
        domain.wait_for(lambda: not domain.exists(), "destroyed by xl")
    domain.check_clean()


def wake(bed):
    """False: it does not sleep (yet). xl says so, and ends with 0 all the same."""
    return "does not sleep" not in bed.run("xl trigger g1 s3resume")[1]


def test_sleep(bed):
    """Suspend to RAM, and the toolstack's waking: devices were without power, memory was not."""
    start_toolstack(bed)
    with make_network(bed) as network, LifeDomain(bed, network=network) as domain:
        domain.wait_busy()
        assert not wake(bed)
        domain.wait_busy()
        for _ in range(2):
            domain.ask("s", "life sleeps")
            domain.wait_for(lambda: wake(bed), "waking")
            domain.expect("life woken")
            domain.wait_busy()
        domain.destroy()
    domain.check_clean()
