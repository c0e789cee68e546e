# SPDX-License-Identifier: GPL-2.0-or-later
"""One domain saved, restored and migrated again and again, its disk and its network busy.

--repeat: how often it is saved; a fifth of that it is migrated. (50, which is what it is for, takes
some minutes.)
"""
import time

from harness.life import LifeDomain, checksum, make_network
from harness.xen import start_toolstack

MACHINE = "xen"
ENGINE = "xen"


def save(bed):
    bed.run("xl save g1 /tmp/g1.saved && xl restore -e /tmp/g1.saved && rm /tmp/g1.saved")


def migrate(bed):
    bed.run("xl migrate -s '' g1 'xl migrate-receive'")


def go_through(bed, domain, kind, move, rounds):
    """rounds times, each of which must leave it at work."""
    for number in range(1, rounds + 1):
        before, began = domain.id, time.monotonic()
        move(bed)
        moved = time.monotonic()
        domain.follow()
        assert domain.id != before, f"still domain {before}"
        domain.wait_busy()
        print(f"        {kind} {number}/{rounds}: {moved - began:.1f} s, at work after "
              f"{time.monotonic() - moved:.1f} s: {domain.writes} blocks written, "
              f"{domain.echoes} frames came back", flush=True)


def test_rounds(bed):
    start_toolstack(bed)
    saves = bed.options.repeat
    with make_network(bed) as network, LifeDomain(bed, memory=32, network=network) as domain:
        domain.wait_busy()
        go_through(bed, domain, "save", save, saves)
        go_through(bed, domain, "migration", migrate, max(saves // 5, 1))
        # It has compared all that it read with what it wrote; so has the image to hold it.
        said = int(domain.ask("v", r"life sum (\d+)\s")[1])
        domain.wait_alive()
        domain.destroy()
        assert said == checksum(bed.agent.get(domain.image)), "the image holds something else"
    domain.check_clean()
