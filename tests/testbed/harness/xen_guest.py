# SPDX-License-Identifier: GPL-2.0-or-later
"""A Xen domain that boots Debian from the disk of harness/xen_disk.py, and what it has to show."""
from harness.xen import AGENT_LINE, LIMIT, Domain
from harness.xen_disk import grub_config

DISK = "/dev/vda"  # in dom0
MEGABYTES = 2      # each way, over each card
CARDS = {"rtl8139": ("00:16:3e:00:00:01", "10.98.0"), "e1000": ("00:16:3e:00:00:02", "10.99.0")}
BRIDGE = """
[ -e /sys/class/net/xenbr0 ] || {
    ip link add xenbr0 type bridge && ip link set xenbr0 up &&
    ip address add 10.98.0.1/24 dev xenbr0 && ip address add 10.99.0.1/24 dev xenbr0
}
"""


def set_boot(bed, choice):
    """What the domain's next start is: EMULATED or PARAVIRTUAL of harness/xen_disk.py. Returns the
    checksum of data that are new on its disk as /from-dom0."""
    bed.agent.put("/tmp/grub.cfg", grub_config(choice).encode())
    return on_disk(bed, """
        cp /tmp/grub.cfg grub.cfg && dd if=/dev/urandom of=from-dom0 bs=64k count=32 2>/dev/null &&
        sha256sum from-dom0""").split()[0]


def check_disk(bed):
    """In dom0: what the domain has written is on the disk."""
    on_disk(bed, "sha256sum -c sum")


def on_disk(bed, line):
    """Run a line of shell in dom0 in the file system of the domain, which must not run now."""
    return bed.run(f"""
        mkdir -p /mnt && mount -t ext4 {DISK}1 /mnt && cd /mnt || exit
        ( {line}
        ); status=$?
        cd / && umount /mnt && exit $status""")[1]


class DiskDomain(Domain):
    """With an agent on its second serial line and both network cards. extra: more lines of its
    configuration. It restarts when its guest asks for that."""

    def __init__(self, bed, extra=""):
        bed.run(BRIDGE)
        cards = ",".join(f'"mac={mac},model={model},bridge=xenbr0"'
                         for model, (mac, _) in CARDS.items())
        super().__init__(bed, memory=256, stay=True, serial=f'serial=["pty","{AGENT_LINE}"]',
                         extra=f'disk=["{DISK},raw,hda,rw"]\nvif=[{cards}]\n{extra}')
        try:
            self.wait_up()
        except Exception as problem:
            self.__exit__(type(problem), problem, None)
            raise

    def check_shell(self):
        """The shell on the serial line, as xl console shows it. Without a terminal xl console sends
        nothing, so what is typed comes another way into the same line."""
        console = self.bed.agent.spawn("xl", "console", "-t", "serial", self.name,
                                       name=f"{self.name} console", log=True)
        line = self.bed.run(f"xenstore-read /local/domain/{self.id}/serial/0/tty")[1].strip()
        self.wait_for(lambda: self.bed.run(f"echo 'echo $((6 * 7))-is-it' >{line}; sleep 1") and
                      b"42-is-it" in console.buffer, "an answer of the shell")
        console.kill()

    def check_root(self, device):
        """The root file system is there, and nothing on it has failed."""
        assert f"{device} / ext4" in self.run("cat /proc/mounts")[1]
        errors = self.run("dmesg | grep -E 'failed command|I/O error|exception Emask|hard resetting'",
                          check=False)[1]
        assert not errors, errors

    def check_data(self, checksum):
        """What dom0 had written is there, and what is read after caches were dropped is what was
        written."""
        data = self.run("sha256sum /from-dom0")[1]
        assert data.split()[0] == checksum, data
        self.run("cd / && dd if=/dev/urandom of=data bs=64k count=32 2>/dev/null && sha256sum data >sum"
                 " && sync && echo 3 >/proc/sys/vm/drop_caches && sha256sum -c sum")

    def check_networks(self, driver_of):
        """Bytes over each card, every one compared. driver_of: model -> name of Linux's driver."""
        for model, (mac, network) in CARDS.items():
            name = self.run(f"cd /sys/class/net && grep -l {mac} */address")[1].split("/")[0]
            driver = self.run(f"basename $(readlink /sys/class/net/{name}/device/driver)")[1].strip()
            assert driver == driver_of[model], driver
            self.run(f"ip address add {network}.2/24 dev {name} && ip link set {name} up")
            server = self.bed.agent.spawn("load", "stream", "serve", "5000", str(MEGABYTES))
            server.expect("listening")
            sent = self.run("load", "stream", "connect", f"{network}.1", "5000", str(MEGABYTES),
                            limit=LIMIT)[1]
            assert sent == f"sent {MEGABYTES} MB\nreceived {MEGABYTES} MB\n", sent
            assert server.wait() == 0, server.buffer

    def check_unplugged(self):
        """No emulated disk, no emulated card."""
        assert "sda" not in self.run("ls /sys/block")[1]
        identities = self.run("cat /sys/bus/pci/devices/*/device")[1]
        assert "0x8139" not in identities and "0x100e" not in identities, identities

    def power_off(self):
        self.agent.spawn("poweroff", "-f")
        self.wait_for(lambda: self.current_id() == 0, "destroyed by xl")
        self.check_clean()
