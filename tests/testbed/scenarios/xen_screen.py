# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain's screen over VNC: xl vncviewer's address, the text that a guest drew, a key, a picture."""
from harness.life import LifeDomain
from harness.xen import start_toolstack
from screen import bios_font, read_text

MACHINE = "xen"
ENGINE = "xen"


def check_screen(domain):
    domain.wait_alive()
    with domain.vnc() as client:
        domain.check_picture(client)


def test_moved(bed):
    """Saved, restored, saved without an end, migrated: the picture is there, and goes on."""
    start_toolstack(bed)
    with LifeDomain(bed, screen=True) as domain:
        domain.wait_alive()
        domain.ask("g", "life graphics drawn")
        bed.run("xl save g1 /tmp/g1.saved")
        domain.check_clean()
        bed.run("xl restore -e /tmp/g1.saved")
        domain.follow()
        check_screen(domain)
        bed.run("xl save -c g1 /tmp/g1.saved && rm /tmp/g1.saved")
        check_screen(domain)
        before = domain.id
        bed.run("xl migrate -s '' g1 'xl migrate-receive'")
        domain.check_clean_of(before)
        domain.follow()
        check_screen(domain)
        domain.destroy()
    domain.check_clean()


def test_text_and_picture(bed):
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
            domain.ask("g", "life graphics drawn")
            domain.check_picture(client)
        domain.destroy()
    domain.check_clean()
