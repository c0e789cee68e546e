# SPDX-License-Identifier: GPL-2.0-or-later
"""A Xen domain in which tests/guest/life64 runs: a guest that says whether it is well."""
import contextlib
import struct

from harness.xen import LIMIT, Domain
from rfb import RFB

WIDTH, HEIGHT, BAR_LINES = 640, 480, 16  # as in life64.c
DISK_SIZE = 64 * 4096  # what it writes of its disk
# What Debian's vif-bridge does for a network card, in a fifth of the time.
VIF_SCRIPT = b"""#!/bin/sh
case $1 in
add | online)
    ip link set "${INTERFACE:-$vif}" master life up
    [ "$type_if" = tap ] || xenstore-write "$XENBUS_PATH/hotplug-status" connected
    ;;
esac
"""
IMAGE = "/tmp/{name}.img"
SCREEN = """vnc=1
vnclisten="127.0.0.1"
vncunused=1
vga="stdvga"
"""
WITHOUT_BIOS = 'device_model_args_hvm=["-global", "VGA.romfile="]'


@contextlib.contextmanager
def make_network(bed):
    """A bridge on which a peer sends frames back; its name."""
    bed.agent.put("/etc/xen/scripts/vif-life", VIF_SCRIPT, 0o755)
    bed.run("ip link add life type bridge && ip link set life up")
    peer = bed.agent.spawn("load", "echo", "life")
    peer.expect("echoing")
    try:
        yield "life"
    finally:
        peer.kill()
        bed.run("ip link delete life")


def checksum(image):
    """What life64 says of its disk: FNV-1a over 32-bit words."""
    total = 0x811c9dc5
    for (word,) in struct.iter_unpack("<I", image[:DISK_SIZE]):
        total = (total ^ word) * 0x01000193 & 0xffffffff
    return total


class ChannelSocket:
    """A channel of an agent (nc to some port in L1) for those who expect a socket."""

    def __init__(self, channel):
        self.channel = channel
        self.timeout = LIMIT

    def settimeout(self, seconds):
        self.timeout = seconds

    def recv(self, count):
        self.channel._wait(lambda: self.channel.buffer or self.channel.closed, "waiting for bytes",
                           self.timeout)
        return self.channel.take(count)

    def sendall(self, data):
        self.channel.write(bytes(data))

    def close(self):
        self.channel.kill()


class LifeDomain(Domain):
    """With a disk, a CD drive, and a serial line that is a pty. extra: more lines of its
    configuration. network: a bridge of make_network(), to which its network card leads. screen: a
    VGA adapter, shown over VNC; without a BIOS of its own, whose text costs a minute here, unless
    text."""

    def __init__(self, bed, extra="", network=None, screen=False, text=False, **rest):
        name = rest.get("name", "g1")
        self.image = IMAGE.format(name=name)
        bed.run(f"truncate -s 1M {self.image}")
        self.ticks = self.writes = self.echoes = 0
        card = f'vif=["model=rtl8139,bridge={network},script=vif-life"]' if network else ""
        super().__init__(bed, kernel="/boot/life64", memory=rest.pop("memory", 64),
                         serial='serial="pty"', extra="\n".join([
                             f'disk=["format=raw,vdev=hda,access=rw,backendtype=qdisk,target={self.image}",'
                             '"format=raw,vdev=hdc,access=ro,devtype=cdrom,backendtype=qdisk,target="]',
                             *([SCREEN] if screen or text else ['vga="none"']),
                             *([WITHOUT_BIOS] if screen and not text else []), card, extra]), **rest)

    def expect(self, pattern):
        """A line that the guest says."""
        return self.bed.console.expect(self.says(pattern), limit=LIMIT)

    def listen(self):
        """It says once more that it is well; it must not have lost what it knew."""
        said = self.expect(r"life (\d+) ticks (\d+) writes (\d+) echoes (\d+) errors")
        ticks, writes, echoes, errors = map(int, said.groups)
        assert errors == 0, said.text[-3000:]
        assert (ticks >= self.ticks and writes >= self.writes and echoes >= self.echoes), \
            f"{self.ticks} ticks, {self.writes} writes, {self.echoes} echoes were before: " \
            f"{said.text[-3000:]}"
        self.ticks, self.writes, self.echoes = ticks, writes, echoes

    def wait_alive(self):
        """Until it goes on."""
        before = self.ticks
        while self.ticks <= before:
            self.listen()

    def wait_busy(self):
        """Until it goes on, with its disk and its network."""
        writes, echoes = self.writes, self.echoes
        while self.writes <= writes or self.echoes <= echoes:
            self.listen()

    def forget(self):
        """It was started anew: it counts from 0."""
        self.ticks = self.writes = self.echoes = 0

    def follow(self):
        """It was restored, migrated or restarted: it has another id now."""
        self.id = self.current_id()
        assert self.id, f"{self.name} is gone\n{self.log()}"

    def console(self):
        """xl console: what comes from the guest's serial line. (Without a terminal it sends nothing.)"""
        return self.bed.agent.spawn("xl", "console", "-t", "serial", self.name,
                                    name=f"{self.name} console")

    def ask(self, letter, answer):
        """Send a letter on the serial line; wait for a line that the guest says then."""
        self.bed.run(f"printf {letter} >$(xenstore-read /local/domain/{self.id}/serial/0/tty)")
        return self.expect(answer) if answer else None

    def vnc_port(self):
        return self.bed.run(f"xenstore-read /local/domain/{self.id}/console/vnc-port")[1].strip()

    def vnc(self, **rest):
        """A client of its screen."""
        return RFB(ChannelSocket(self.bed.agent.spawn("nc", "127.0.0.1", self.vnc_port(),
                                                      name=f"{self.name} vnc")),
                   timeout=LIMIT, **rest)

    def check_picture(self, client):
        """It shows what the guest drew, and the bar changes."""
        def pixels(row):
            return bytes(client.pixels[row])

        client.wait_for(lambda c: (c.width, c.height) == (WIDTH, HEIGHT) and
                        pixels(HEIGHT - 1) == expected_row(HEIGHT - 1))
        for y in range(BAR_LINES, HEIGHT):
            assert pixels(y) == expected_row(y), f"row {y} is not what was drawn"
        bar = pixels(0)[:4]
        client.wait_for(lambda c: pixels(0)[:4] != bar)


def expected_row(y):
    return b"".join(struct.pack("<I", (x & 0xff) | (y & 0xff) << 8 | ((x ^ y) & 0xff) << 16)
                    for x in range(WIDTH))
