# SPDX-License-Identifier: GPL-2.0-or-later
"""xl's commands: pause, save, restore, migrate, cd-insert, vcpu-set, trigger, console, shutdown.

How often a domain is saved: --repeat; a third of that it is migrated.
"""
from harness.life import LifeDomain
from harness.xen import start_toolstack

MACHINE = "xen"
ENGINE = "xen"
IN_CI = False


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
        domain.ticks = 0
        domain.wait_alive()
        bed.run("xl shutdown -F -w g1")
        domain.expect("life power button")
        domain.wait_for(lambda: not domain.exists(), "destroyed by xl")
    domain.check_clean()


def test_save_and_restore(bed):
    start_toolstack(bed)
    with LifeDomain(bed, screen=True) as domain:
        domain.wait_alive()
        domain.ask("g", "life graphics drawn")
        for _ in range(bed.options.repeat):
            domain.wait_alive()
            bed.run("xl save g1 /tmp/g1.saved")
            assert not domain.exists()
            domain.check_clean()
            bed.run("xl restore -e /tmp/g1.saved")
            domain.follow()
            domain.wait_alive()
            with domain.vnc() as client:
                domain.check_picture(client)
        domain.wait_alive()
        bed.run("xl save -c g1 /tmp/g1.saved")
        domain.wait_alive()
        domain.destroy()
        bed.run("rm /tmp/g1.saved")
    domain.check_clean()


def test_migrate(bed):
    start_toolstack(bed)
    with LifeDomain(bed, screen=True) as domain:
        domain.wait_alive()
        domain.ask("g", "life graphics drawn")
        for _ in range(max(bed.options.repeat // 3, 1)):
            domain.wait_alive()
            bed.run("xl migrate -s '' g1 'xl migrate-receive'")
            domain.check_clean_of(domain.id)
            domain.follow()
            domain.wait_alive()
            with domain.vnc() as client:
                domain.check_picture(client)
        domain.destroy()
    domain.check_clean()
