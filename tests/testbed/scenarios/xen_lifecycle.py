# SPDX-License-Identifier: GPL-2.0-or-later
"""xl's commands on a domain of duodm's: pause, save, restore, migrate, CD, vCPUs, buttons, console, VNC."""
from harness.life import LifeDomain, timed
from harness.xen import start_toolstack
from screen import bios_font, read_text

MACHINE = "xen"
ENGINE = "xen"
IN_CI = False


def test_commands(bed):
    start_toolstack(bed)
    with LifeDomain(bed, vcpus=1, extra="maxvcpus=2", stay=True) as domain:
        timed("first words", domain.wait_alive)
        assert domain.name in bed.run("xl list")[1]
        bed.run("xl pause g1")
        assert domain.state()[2] == "p", domain.state()
        bed.run("xl unpause g1")
        domain.wait_alive()
        assert "duodm" in domain.qmp("info version")
        assert "windows" in domain.qmp("info mapcache")
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
        console.write("c")
        domain.expect("life CD sense 2")
        bed.run("xl cd-insert g1 hdc /tmp/cd.iso")
        console.write("c")
        domain.expect("life CD IN-THE-C")
        bed.run("xl cd-eject g1 hdc")
        console.write("c")
        domain.expect("life CD sense 2")
        # It restarts itself, and ends.
        first = domain.id
        console.write("r")
        domain.wait_for(lambda: domain.current_id() not in (0, first), "restarted by xl")
        domain.follow()
        domain.ticks = 0
        domain.wait_alive()
        bed.run("xl shutdown -F -w g1")
        domain.expect("life power button")
        domain.wait_for(lambda: not domain.exists(), "destroyed by xl")
    domain.check_clean()


def test_screen(bed):
    start_toolstack(bed)
    with LifeDomain(bed, text=True) as domain:
        domain.wait_alive()
        bed.run("printf '#!/bin/sh\\necho \"$@\" >/tmp/vncviewer.arguments\\n' >/bin/vncviewer &&"
                " chmod +x /bin/vncviewer && xl vncviewer g1")
        assert bed.run("cat /tmp/vncviewer.arguments")[1].split()[0] in (
            f"127.0.0.1:{domain.vnc_port()}", f"127.0.0.1:{int(domain.vnc_port()) - 5900}")
        with domain.vnc() as client:
            font = bios_font()
            client.wait_for(lambda c: (c.width, c.height) == (720, 400) and any(
                line.strip() == "life64 draws text" for line in read_text(c.rgb(), font)))
            client.press(ord("a"))
            domain.expect("life key 158")
            domain.console().write("g")
            domain.expect("life graphics drawn")
            domain.check_picture(client)
        domain.destroy()
    domain.check_clean()


def test_save_and_restore(bed):
    start_toolstack(bed)
    with LifeDomain(bed, screen=True) as domain:
        domain.wait_alive()
        domain.console().write("g")
        domain.expect("life graphics drawn")
        for _ in range(bed.options.repeat):
            domain.wait_alive()
            timed("save", lambda: bed.run("xl save g1 /tmp/g1.saved"))
            assert not domain.exists()
            domain.check_clean()
            timed("restore", lambda: bed.run("xl restore -e /tmp/g1.saved"))
            domain.follow()
            timed("alive", domain.wait_alive)
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
        domain.console().write("g")
        domain.expect("life graphics drawn")
        for _ in range(min(bed.options.repeat, 10)):
            domain.wait_alive()
            timed("migrate", lambda: bed.run("xl migrate -s '' g1 'xl migrate-receive'"))
            domain.check_clean_of(domain.id)
            domain.follow()
            timed("alive", domain.wait_alive)
            with domain.vnc() as client:
                domain.check_picture(client)
        domain.destroy()
    domain.check_clean()
