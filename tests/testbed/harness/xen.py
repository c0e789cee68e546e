# SPDX-License-Identifier: GPL-2.0-or-later
"""Domains of the Xen testbed, made and ended with the real xl."""
import json
import re
import time

from harness.agent import LIMIT, Agent, ChannelQMP

AGENT_PORT = 5555
MONITOR_PORT = 5556
AGENT_LINE = f"tcp:127.0.0.1:{AGENT_PORT},server=on,wait=off"
START = """
ip link set lo up
[ -S /run/xenstored/socket ] || {
    xenstored --pid-file /run/xen/xenstored.pid && xen-init-dom0 &&
    xenconsoled --pid-file=/run/xen/xenconsoled.pid
}
"""


def start_toolstack(bed):
    """xenstored and what else dom0 needs, unless they run already."""
    bed.run(START)


class Domain:
    """An HVM domain whose device model is the program under test. A context manager: at its end
    the domain is no more.

    kernel: booted directly, with L2's RAM disk if it is L2's kernel; then the second serial line is
    the guest's agent. extra: more lines of its configuration. stay: xl stays, and restarts or
    destroys it when it ends. model: path of another device model. serial: the line of the
    configuration. paused: it is made, but does not run yet. arguments: more of the device model's
    options. monitor: QMP for .connect_monitor(), beside xl's.
    """

    def __init__(self, bed, name="g1", memory=128, vcpus=1, extra="", model=None, check=True,
                 kernel=None, append="", stay=False, serial=None, paused=False,
                 arguments=(), monitor=False):
        self.bed = bed
        self.name = name
        self.model = model or bed.program.path
        self.agent = None
        if monitor:
            arguments = [*arguments, "-qmp", f"tcp:127.0.0.1:{MONITOR_PORT},server=on,wait=off"]
        if arguments:
            extra += f"\ndevice_model_args_hvm={json.dumps(list(arguments))}"
        serial = serial or f'serial="file:/tmp/{name}.serial"'
        if kernel:
            extra += f'\nkernel="{kernel}"'
        if kernel and kernel.endswith("vmlinuz"):
            extra += ('\nramdisk="/boot/guest.cpio"'
                      f'\ncmdline="console=ttyS0 panic=-1 quiet {append}"')
            serial = f'serial=["file:/tmp/{name}.serial","{AGENT_LINE}"]'
        config = "\n".join([
            'type="hvm"', f'name="{name}"', f"memory={memory}", f"vcpus={vcpus}", 'cpus="1"',
            'firmware="bios"',
            serial, *([] if "vnc=" in extra else ["vnc=0", "nographic=1"]),
            'device_model_version="qemu-xen"', f'device_model_override="{self.model}"',
            # Firmware's text on a screen costs an exit for each letter.
            *([] if "vga=" in extra else ['vga="none"']),
            *([] if "disk=" in extra else ["disk=[]"]), *([] if "vif=" in extra else ["vif=[]"]),
            extra, ""])
        bed.agent.put(f"/tmp/{name}.cfg", config.encode())
        bed.run(f"rm -f /var/log/xen/*-{name}.log* /tmp/{name}.serial")
        status, text = bed.run(f"xl create {'' if stay else '-e'} {'-p' if paused else ''} /tmp/{name}.cfg", check=False)
        self.created = status == 0
        self.create_output = text
        if check and not self.created:
            raise AssertionError(f"xl create: {text}\n{self.log()}")
        self.id = int(bed.run(f"xl domid {name}")[1]) if self.created else None

    def log(self):
        """What the device model and xl logged."""
        return self.bed.run("tail -n 50 /var/log/xen/* 2>&1", check=False)[1]

    def says(self, pattern):
        """A pattern for the hypervisor's console: a line of this domain's."""
        return rf"\(d{self.id}\)[^\n]*{pattern}"

    def state(self):
        """As xl list has it: "r-----", "--p---"."""
        line = self.bed.run(f"xl list {self.name}")[1].splitlines()[-1]
        return line.split()[4]

    def model_pid(self):
        return int(self.bed.run(
            f"xenstore-read /local/domain/{self.id}/image/device-model-pid")[1])

    def qmp(self, command):
        """A line for the human monitor."""
        return self.bed.run(f"xl qemu-monitor-command {self.name} '{command}'")[1]

    def connect_monitor(self):
        """A QMP client of the device model: it was asked for with monitor=True."""
        return ChannelQMP(self.bed.agent.spawn("nc", "127.0.0.1", MONITOR_PORT,
                                               name=f"{self.name} monitor"))

    def serial(self):
        """What the guest said on its first serial line."""
        return self.bed.run(f"cat /tmp/{self.name}.serial", check=False)[1]

    def wait_up(self):
        """Until the agent in the guest answers; then .run runs lines there."""
        # A domain that xl starts again is there before its device model listens.
        line = self.bed.agent.spawn("sh", "-c", f"until nc 127.0.0.1 {AGENT_PORT}; do sleep 0.2; done",
                                    name=f"{self.name} agent")
        self.agent = Agent(line, self.name, self.bed.log)
        try:
            self.agent.wait_up(LIMIT)
        except Exception as problem:
            raise AssertionError(f"{problem}; {self.serial()[-3000:]}\n{self.log()}") from problem
        return self

    def follow_restored(self):
        """It was saved and restored: it has another id, and its agent goes on, between two frames."""
        self.id = self.current_id()
        before, line = self.agent, self.bed.agent.spawn("nc", "127.0.0.1", str(AGENT_PORT),
                                                        name=f"{self.name} agent")
        self.agent = Agent(line, self.name, self.bed.log)
        self.agent.parser.started = True
        self.agent.next_number = before.next_number

    def run(self, *arguments, **rest):
        return self.agent.run(*arguments, **rest)

    def wait_for(self, condition, what):
        """Until condition() is true: for what xl tells nobody of."""
        deadline = time.monotonic() + LIMIT
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name}: {what}: not within {LIMIT:.0f} s")
            self.bed.run("sleep 0.5")

    def wait_restarted(self):
        """Until the domain that xl starts in place of the one that ended is up."""
        self.wait_for(lambda: self.current_id() not in (0, self.id), "restarted by xl")
        self.id = self.current_id()
        return self.wait_up()

    def current_id(self):
        """0: there is no such domain now."""
        status, text = self.bed.run(f"xl domid {self.name}", check=False)
        return int(text) if status == 0 else 0

    def destroy(self):
        self.bed.run(f"xl destroy {self.name}")

    def exists(self):
        return self.bed.run(f"xl domid {self.name}", check=False)[0] == 0

    def check_clean(self):
        """Nothing is left of it: not in Xen, not in xenstore, not in /var/run/xen."""
        listing = self.bed.run("xl list")[1]
        assert not re.search(rf"\b({self.name}|null)\b", listing), listing
        self.check_clean_of(self.id)

    def check_clean_of(self, domid):
        """Nothing is left of what had this id: not in xenstore, not in /var/run/xen."""
        for path in (f"/local/domain/{domid}", f"/local/domain/0/device-model/{domid}"):
            status, text = self.bed.run(f"xenstore-ls {path}", check=False)
            assert status != 0 or not text.strip(), f"{path}: {text}"
        backends = self.bed.run("xenstore-ls /local/domain/0/backend", check=False)[1]
        assert not re.search(rf"^ {domid} = ", backends, re.M), backends
        left = self.bed.run("ls /var/run/xen")[1].split()
        # libxl leaves the empty folder that it made for dm_restrict.
        assert not [f for f in left if re.search(rf"(?<!^qemu-root)-{domid}\b", f)], left

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if kind is not None:
            self.bed.log(self.name, self.log().encode())
        if self.exists():
            self.bed.run(f"xl destroy {self.name}", check=False)
