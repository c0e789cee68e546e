# SPDX-License-Identifier: GPL-2.0-or-later
"""The kvm engine: interrupt controllers, CPU models, monitors, what can't go on, guest programs."""
import re

MACHINE = "kvm"
PASSED = 33  # isa-debug-exit: 2 * 10h + 1


def boots(bed, *options, reboot=False):
    """A guest comes up, and its devices' interrupts arrive."""
    with bed.guest(*options, smp=2) as guest:
        guest.wait_up()
        if reboot:
            guest.reboot(lambda: guest.start("reboot -f"))
        assert re.search(r"ttyS[01]", guest.run("cat /proc/interrupts")[1])
        assert "MP-BIOS bug" not in guest.run("dmesg")[1]
        guest.start("poweroff -f")
        assert guest.wait() == 0


def test_split_irqchip(bed):
    boots(bed, "-machine", "kernel-irqchip=split", reboot=True)


def test_no_irqchip(bed):
    boots(bed, "-machine", "kernel-irqchip=off")


def test_dirty_ring_and_discarded_ticks(bed):
    if bed.program.name == "duodm":
        boots(bed, "-accel", "kvm,dirty-ring-size=4096", "-global",
              "kvm-pit.lost_tick_policy=discard")


def test_cpu_flags_and_topology(bed):
    with bed.guest("-cpu", "host,-aes,-xsave", smp="4,sockets=2,cores=1,threads=2") as guest:
        guest.wait_up()
        text = guest.run("cat /proc/cpuinfo")[1]
        flags = re.search(r"^flags\s*: (.*)$", text, re.M)[1].split()
        assert "hypervisor" in flags and "x2apic" in flags, flags
        assert not {"aes", "xsave", "avx", "svm"} & set(flags), flags
        assert re.findall(r"^physical id\s*: (\d+)$", text, re.M) == ["0", "0", "1", "1"], text
        assert set(re.findall(r"^siblings\s*: (\d+)$", text, re.M)) == {"2"}, text


def test_missing_flag_is_refused(bed):
    status, text = bed.run(f"{bed.program.path} -accel kvm -nodefaults -display none -S "
                           "-cpu qemu64,enforce,+avx512f", check=False)
    assert status == 1 and "avx512f" in text, text


def test_monitors(bed):
    with bed.guest(smp=2) as guest:
        guest.wait_up()
        guest.qmp.execute("stop")
        text = guest.qmp.human("info registers")
        assert "RIP" in text and "CR3" in text, text
        cpus = guest.qmp.execute("query-cpus-fast")
        tasks = bed.run(f"ls /proc/$(pidof {bed.program.path.rsplit('/', 1)[-1]})/task")[1].split()
        assert [c["cpu-index"] for c in cpus] == [0, 1]
        assert {str(c["thread-id"]) for c in cpus} <= set(tasks), (cpus, tasks)
        # The kernel's text is mapped at RIP, and the same read by its physical address.
        assert re.match(r"[0-9a-f]+: 0x[0-9a-f]+", guest.qmp.human("x/1gx $pc"))
        assert "enabled" in guest.qmp.human("info kvm")
        guest.qmp.execute("cont")
        assert guest.run("echo alive")[1] == "alive\n"


def test_no_code_to_execute(bed):
    """A message with registers and code, the machine paused, and well after a reset."""
    with bed.guest(kernel="/boot/nocode64", initrd=None, memory=64) as guest:
        guest.console.expect("jumping")
        guest.qmp.wait_event("STOP")
        assert guest.qmp.execute("query-status")["status"] == "internal-error"
        if bed.program.name == "duodm":
            guest.console.expect("can't go on")
            guest.console.expect("RAX=[0-9a-f]{13}00d")
            guest.console.expect("RIP=[0-9a-f]+:00000000fed00000")
        guest.qmp.execute("system_reset")
        guest.qmp.wait_event("RESET")
        guest.qmp.execute("cont")
        guest.console.expect("jumping")
        guest.qmp.wait_event("STOP")
        guest.qmp.execute("quit")
        assert guest.wait() == 0


def test_no_reboot_and_no_shutdown(bed):
    with bed.guest("-no-reboot") as guest:
        guest.wait_up()
        guest.start("reboot -f")
        assert guest.qmp.wait_event("SHUTDOWN")["data"]["reason"] == "guest-reset"
        assert guest.wait() == 0
    with bed.guest("-no-shutdown") as guest:
        guest.wait_up()
        guest.start("poweroff -f")
        guest.qmp.wait_event("SHUTDOWN")
        assert guest.qmp.execute("query-status")["status"] == "shutdown"
        guest.qmp.execute("quit")
        assert guest.wait() == 0


def program(bed, name, *options, smp=1):
    with bed.guest("-device", "isa-debug-exit,iobase=0xf4,iosize=4", *options,
                   kernel=f"/boot/{name}", initrd=None, memory=64, smp=smp, qmp=False) as guest:
        status = guest.wait()
        assert status == PASSED, f"{name}: {status}: {guest.said()}"


def test_guest_programs(bed):
    for irqchip in ("on", "split", "off"):
        program(bed, "smp64", "-machine", f"kernel-irqchip={irqchip}", smp=2)
    program(bed, "lines64", "-device", "pc-testdev")
    program(bed, "lines64", "-device", "pc-testdev", "-machine", "kernel-irqchip=off")
