# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain that boots Debian from its own disk: IDE, AHCI, rtl8139, e1000; then with Xen's drivers."""
from harness.xen import AGENT_LINE, LIMIT, Domain, start_toolstack
from harness.xen_disk import PARAVIRTUAL, grub_config

MACHINE = "xen"
ENGINE = "xen"
IN_CI = False
MEGABYTES = 4  # each way, over each card

CARDS = {"rtl8139": ("00:16:3e:00:00:01", "10.98.0"), "e1000": ("00:16:3e:00:00:02", "10.99.0")}


def make_bridge(bed):
    bed.run("""
        [ -e /sys/class/net/xenbr0 ] || {
            ip link add xenbr0 type bridge && ip link set xenbr0 up &&
            ip address add 10.98.0.1/24 dev xenbr0 && ip address add 10.99.0.1/24 dev xenbr0
        }""")


def configuration():
    cards = ",".join(f'"mac={mac},model={model},bridge=xenbr0"' for model, (mac, _) in CARDS.items())
    return f'disk=["/dev/vda,raw,hda,rw"]\nvif=[{cards}]'


def check_shell(domain):
    """The shell on the serial line, as xl console shows it. Without a terminal xl console sends
    nothing, so what is typed comes another way into the same line."""
    console = domain.bed.agent.spawn("xl", "console", "-t", "serial", domain.name,
                                     name=f"{domain.name} console", log=True)
    line = domain.bed.run(f"xenstore-read /local/domain/{domain.id}/serial/0/tty")[1].strip()
    domain.wait_for(lambda: domain.bed.run(f"echo 'echo $((6 * 7))-is-it' >{line}; sleep 1") and
                    b"42-is-it" in console.buffer, "an answer of the shell")
    console.kill()


def check_networks(domain, driver_of):
    """Bytes over each card, every one compared. driver_of: model -> name of Linux's driver."""
    for model, (mac, network) in CARDS.items():
        interface = domain.run(f"cd /sys/class/net && grep -l {mac} */address")[1].split("/")[0]
        driver = domain.run(f"basename $(readlink /sys/class/net/{interface}/device/driver)")[1]
        assert driver.strip() in driver_of[model], driver
        domain.run(f"ip address add {network}.2/24 dev {interface} && ip link set {interface} up")
        server = domain.bed.agent.spawn("load", "stream", "serve", "5000", str(MEGABYTES))
        server.expect("listening")
        sent = domain.run("load", "stream", "connect", f"{network}.1", "5000", str(MEGABYTES),
                          limit=LIMIT)[1]
        assert sent == f"sent {MEGABYTES} MB\nreceived {MEGABYTES} MB\n", sent
        assert server.wait() == 0, server.buffer


def check_root(domain, device):
    assert f"{device} / ext4" in domain.run("cat /proc/mounts")[1]
    errors = domain.run("dmesg | grep -E 'failed command|I/O error|exception Emask|hard resetting'",
                        check=False)[1]
    assert not errors, errors


def write_data(domain):
    """What is read after caches were dropped is what was written."""
    domain.run("dd if=/dev/urandom of=/data bs=64k count=32 2>/dev/null && sha256sum /data >/sum"
               " && sync && echo 3 >/proc/sys/vm/drop_caches && sha256sum -c /sum")


def test_other_back_end(bed):
    """A disk whose paravirtual side would be the device model's: said by name, and emulated."""
    start_toolstack(bed)
    disk = "format=raw,vdev=hda,access=rw,backendtype=qdisk,target=/dev/vda"
    with Domain(bed, extra=f'disk=["{disk}"]') as domain:
        bed.console.expect(domain.says("Booting from Hard Disk"), limit=LIMIT)
        text = bed.run(f"cat /var/log/xen/qemu-dm-{domain.name}.log")[1]
        assert "device 768 has the back end 'qdisk'" in text, text
        domain.destroy()
    domain.check_clean()


def booting(bed, extra):
    """The domain with the bootable disk, which restarts when its guest asks for that."""
    return Domain(bed, memory=256, vcpus=2, extra=f"{configuration()}\n{extra}", stay=True,
                  serial=f'serial=["pty","{AGENT_LINE}"]')


def power_off(domain):
    domain.agent.spawn("poweroff", "-f")
    domain.wait_for(lambda: domain.current_id() == 0, "destroyed by xl")
    domain.check_clean()


def test_ide(bed):
    """GRUB and Linux from the emulated IDE disk."""
    start_toolstack(bed)
    make_bridge(bed)
    with booting(bed, "") as domain:
        domain.wait_up()
        check_shell(domain)
        check_root(domain, "/dev/sda1")
        assert domain.run("ls /sys/bus/pci/drivers/ata_piix | grep 0000:00:01.1")[0] == 0
        write_data(domain)
        power_off(domain)


def test_unplug(bed):
    """Emulated AHCI disk and network cards; then the same guest takes them away, and uses Xen's."""
    start_toolstack(bed)
    make_bridge(bed)
    with booting(bed, 'hdtype="ahci"') as domain:
        domain.wait_up()
        check_shell(domain)
        check_root(domain, "/dev/sda1")
        write_data(domain)
        check_networks(domain, {"rtl8139": ("8139cp",), "e1000": ("e1000",)})
        domain.run("cp /grub.cfg /grub.old && cat >/grub.cfg && sync",
                   stdin=grub_config(PARAVIRTUAL).encode())
        domain.agent.spawn("reboot", "-f")
        domain.wait_restarted()
        check_root(domain, "/dev/xvda1")
        domain.run("sha256sum -c /sum && mv /grub.old /grub.cfg && sync")
        assert "sda" not in domain.run("ls /sys/block")[1]
        identities = domain.run("cat /sys/bus/pci/devices/*/device")[1]
        assert "0x8139" not in identities and "0x100e" not in identities, identities
        check_networks(domain, {"rtl8139": ("vif",), "e1000": ("vif",)})
        power_off(domain)
