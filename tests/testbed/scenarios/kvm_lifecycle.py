# SPDX-License-Identifier: GPL-2.0-or-later
"""Reboot and power-off from inside and by QMP, stop and cont."""
MACHINE = "kvm"


def test_reboot_and_poweroff_inside(bed):
    with bed.guest(smp=2) as guest:
        guest.wait_up()
        guest.reboot(lambda: guest.start("reboot -f"))
        guest.qmp.wait_event("RESET")
        assert guest.run("nproc")[1] == "2\n"
        guest.start("poweroff -f")
        event = guest.qmp.wait_event("SHUTDOWN")
        assert event["data"] == {"guest": True, "reason": "guest-shutdown"}, event
        assert guest.wait() == 0


def test_stop_and_cont(bed):
    with bed.guest(smp=2) as guest:
        guest.wait_up()
        talk = guest.start("while :; do echo tick; done")
        talk.expect("tick")
        guest.qmp.execute("stop")
        guest.qmp.wait_event("STOP")
        assert guest.qmp.execute("query-status")["running"] is False
        bed.run("sleep 0.2")  # what the guest had sent before is still on its way to us
        talk.take(len(talk.buffer))
        bed.run("sleep 1")
        assert not talk.buffer, f"a stopped guest said {talk.buffer!r}"
        guest.qmp.execute("cont")
        guest.qmp.wait_event("RESUME")
        assert guest.qmp.execute("query-status")["running"] is True
        talk.expect("tick\ntick\n")


def test_reset_and_powerdown_by_qmp(bed):
    with bed.guest(smp=2) as guest:
        guest.wait_up()
        guest.reboot(lambda: guest.qmp.execute("system_reset"))
        guest.qmp.wait_event("RESET")
        button = guest.start("event=$(grep -A4 'Power Button' /proc/bus/input/devices |"
                             " grep -o 'event[0-9]*') && exec 5</dev/input/$event && echo ready &&"
                             " head -c 24 <&5 >/dev/null && poweroff -f")
        button.expect("ready")
        guest.qmp.execute("system_powerdown")
        guest.qmp.wait_event("POWERDOWN")
        guest.qmp.wait_event("SHUTDOWN")
        assert guest.wait() == 0


def test_quit(bed):
    with bed.guest() as guest:
        guest.wait_up()
        guest.qmp.execute("quit")
        assert guest.wait() == 0
