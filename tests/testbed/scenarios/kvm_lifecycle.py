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


def registers(guest):
    """Of all vCPUs, as text."""
    return guest.qmp.human("info registers -a")


def drain(bed, channel):
    """Until what a stopped guest had sent before has all come here."""
    for _ in range(200):
        channel.take(len(channel.buffer))
        bed.run("true")  # there and back, past all that the agent in L1 has read
        if not channel.buffer:
            return
    raise AssertionError("the guest goes on talking")


def test_stop_and_cont(bed):
    with bed.guest(smp=2) as guest:
        guest.wait_up()
        talk = guest.start("while :; do echo tick; done")
        talk.expect("tick")
        guest.qmp.execute("stop")
        guest.qmp.wait_event("STOP")
        assert guest.qmp.execute("query-status")["running"] is False
        drain(bed, talk)
        before = registers(guest)
        for _ in range(10):
            bed.run("true")
        assert registers(guest) == before, "a stopped guest has gone on"
        assert not talk.buffer, f"a stopped guest said {talk.buffer!r}"
        guest.qmp.execute("cont")
        guest.qmp.wait_event("RESUME")
        assert guest.qmp.execute("query-status")["running"] is True
        talk.expect("tick\ntick\n")


def nmis(guest):
    return sum(map(int, guest.run("grep NMI: /proc/interrupts")[1].split()[1:-2]))


def test_nmi_and_stop_at_once(bed):
    """Both reach a vCPU before it looks: it is stopped, and has the NMI when it goes on."""
    with bed.guest() as guest:
        guest.wait_up()
        for count in range(1, 11):
            guest.qmp.write('{"execute": "inject-nmi"}\n{"execute": "stop"}\n')
            assert [guest.qmp.reply() for _ in range(2)] == [{"return": {}}] * 2
            guest.qmp.wait_event("STOP")
            guest.qmp.execute("cont")
            guest.qmp.wait_event("RESUME")
            assert nmis(guest) == count, guest.said()


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
