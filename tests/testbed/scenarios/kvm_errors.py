# SPDX-License-Identifier: GPL-2.0-or-later
"""No permission, no module, too many vCPUs: a sentence that says what to do."""
MACHINE = "kvm"


def refused(bed, *, smp="1", user=None):
    """The message of a program that must not start."""
    line = f"{bed.program.path} -accel kvm -nodefaults -display none -m 64 -smp {smp}"
    if user:
        line = f"su -s /bin/sh {user} -c '{line}'"
    status, text = bed.run(line, check=False)
    assert status == 1, f"status {status}: {text}"
    assert len(text.strip().splitlines()) <= 3, text
    return text


def test_no_permission(bed):
    bed.run("chmod 600 /dev/kvm")
    text = refused(bed, user="nobody")
    assert "ermission" in text, text
    if bed.program.name == "duodm":
        assert "/dev/kvm" in text and "group kvm" in text, text


def test_no_module(bed):
    bed.run("rmmod kvm_amd && rmmod kvm")
    try:
        text = refused(bed)
        assert "kvm" in text.lower(), text
        if bed.program.name == "duodm":
            assert "/dev/kvm" in text and "modprobe" in text, text
    finally:
        bed.run("insmod /lib/modules/kvm.ko && insmod /lib/modules/kvm-amd.ko")


def test_too_many_vcpus(bed):
    text = refused(bed, smp="5000")
    assert any(number in text for number in ("5000", "4999")) and "CPU" in text, text


def test_client_is_greeted_before_the_machine_is_made(bed):
    if bed.program.name != "duodm":
        return
    with bed.guest(accel="kvm,dirty-ring-size=3", kernel=None, initrd=None, qmp=False) as guest:
        guest.qmp_channel.expect(r'\{"QMP".*\n')
        assert guest.wait() == 1
        assert "power of two" in guest.said(), guest.said()
        assert guest.qmp_channel.read() == b""


def test_default_falls_back_to_tcg_and_says_so_once(bed):
    if bed.program.name != "duodm":
        return  # QEMU's default engine is tcg
    bed.run("chmod 000 /dev/kvm && rmmod kvm_amd && rmmod kvm")
    try:
        with bed.guest(accel=None, initrd=None, kernel=None) as guest:
            assert guest.qmp.execute("query-status")["running"]
            guest.qmp.execute("quit")
            assert guest.wait() == 0
            assert guest.said().count("tcg") == 1 and "/dev/kvm" in guest.said(), guest.said()
    finally:
        bed.run("insmod /lib/modules/kvm.ko && insmod /lib/modules/kvm-amd.ko")
