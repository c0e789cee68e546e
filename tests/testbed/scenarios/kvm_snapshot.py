# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest at work is saved and goes on in another process: CPUs, timers, disk; with all irqchips."""
MACHINE = "kvm"
DEVICES = ["virtio-blk-pci"]

# Two CPUs compute; a third process sleeps (timers), reads and writes the disk. Sums are compared.
WORK = """
exec >/dev/ttyS0 2>&1
for cpu in 0 1; do
    (while :; do
        sum=$(head -c 200000 /dev/zero | md5sum)
        [ "$sum" = "${first:=$sum}" ] || echo BAD-SUM
    done) &
done
n=0
while :; do
    head -c 100000 /dev/urandom >/tmp/data
    dd if=/tmp/data of=/dev/vda bs=4096 seek=$((n % 50 * 25)) conv=fsync 2>/dev/null
    echo 3 >/proc/sys/vm/drop_caches
    dd if=/dev/vda of=/tmp/back bs=4096 skip=$((n % 50 * 25)) count=25 2>/dev/null
    head -c 100000 /tmp/back | cmp - /tmp/data || echo BAD-DISK
    sleep 0.1
    n=$((n + 1))
    echo "TICK $n $(cut -d' ' -f1 /proc/uptime)"
done
"""


def save(guest, uri):
    guest.qmp.execute("migrate-set-capabilities",
                      capabilities=[{"capability": "events", "state": True}])
    guest.qmp.execute("migrate", uri=uri)
    while (status := guest.qmp.wait_event("MIGRATION")["data"]["status"]) in (
            "setup", "active", "device"):
        pass
    assert status == "completed", guest.qmp.execute("query-migrate")
    return guest.qmp.execute("query-migrate")


def follow(guest, count):
    """Until it has ticked so often; the last number and time."""
    for _ in range(count):
        tick = guest.console.expect(r"TICK (\d+) ([\d.]+)\r?\n")
        assert "BAD" not in tick.text and "BUG" not in tick.text, tick.text
        assert "stall" not in tick.text and "nstable" not in tick.text, tick.text
    return int(tick[1]), float(tick[2])


def check(bed, irqchip, rounds=1):
    options = ("-drive", "if=none,id=d,file=/tmp/disk,format=raw", "-device",
               "virtio-blk-pci,drive=d")
    engine = f"kvm,kernel-irqchip={irqchip}"
    bed.run("dd if=/dev/zero of=/tmp/disk bs=1M count=8 2>/dev/null")
    guest = bed.guest(*options, smp=2, memory=128, accel=engine)
    try:
        guest.wait_up()
        guest.start(WORK)
        number, time = follow(guest, 3)
        for _ in range(rounds):
            told = save(guest, "file:/tmp/saved")
            bed.log("snapshot", f"{told}\n".encode())
            guest.qmp.execute("quit")
            assert guest.wait() == 0
            guest = bed.guest(*options, "-incoming", "file:/tmp/saved", smp=2, memory=128,
                              accel=engine)
            after, later = follow(guest, 3)
            # Ticks may be under way to the console when it is saved; time stands still meanwhile.
            assert number < after < number + 30 and 0 < later - time < 30, (number, after, time,
                                                                            later)
            number, time = after, later
    finally:
        guest.close()
        bed.run("rm -f /tmp/saved /tmp/disk")


def test_irqchip_on(bed):
    check(bed, "on", rounds=2)


def test_irqchip_split(bed):
    check(bed, "split")


def test_irqchip_off(bed):
    check(bed, "off")


def test_live_to_another_process(bed):
    """Over a unix socket, while it works; the receiver takes over the images' locks."""
    options = ("-drive", "if=none,id=d,file=/tmp/disk,format=raw", "-device",
               "virtio-blk-pci,drive=d")
    bed.run("dd if=/dev/zero of=/tmp/disk bs=1M count=8 2>/dev/null")
    with bed.guest(*options, smp=2, memory=128) as source, \
            bed.guest(*options, "-incoming", "unix:/tmp/socket", smp=2, memory=128,
                      name="target") as target:
        source.wait_up()
        source.start(WORK)
        follow(source, 3)
        told = save(source, "unix:/tmp/socket")
        bed.log("snapshot", f"{told}\n".encode())
        assert told["ram"]["dirty-sync-count"] >= 2, told
        source.qmp.execute("quit")
        assert source.wait() == 0
        follow(target, 10)
        assert target.qmp.execute("query-status")["status"] == "running"
    bed.run("rm -f /tmp/disk")
