# SPDX-License-Identifier: GPL-2.0-or-later
"""Domains of the Xen testbed, made and ended with the real xl."""
import re

START = """
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
    the domain is no more. extra: more lines of its configuration."""

    def __init__(self, bed, name="g1", memory=128, vcpus=1, extra="", model=None, check=True):
        self.bed = bed
        self.name = name
        self.model = model or bed.program.path
        config = "\n".join([
            'type="hvm"', f'name="{name}"', f"memory={memory}", f"vcpus={vcpus}", 'firmware="bios"',
            f'serial="file:/tmp/{name}.serial"', "vnc=0", "nographic=1",
            'device_model_version="qemu-xen"', f'device_model_override="{self.model}"',
            *([] if "disk=" in extra else ["disk=[]"]), *([] if "vif=" in extra else ["vif=[]"]),
            extra, ""])
        bed.agent.put(f"/tmp/{name}.cfg", config.encode())
        bed.run(f"rm -f /var/log/xen/* /tmp/{name}.serial")
        status, text = bed.run(f"xl create -e /tmp/{name}.cfg", check=False)
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

    def destroy(self):
        self.bed.run(f"xl destroy {self.name}")

    def exists(self):
        return self.bed.run(f"xl domid {self.name}", check=False)[0] == 0

    def check_clean(self):
        """Nothing is left of it: not in Xen, not in xenstore, not in /var/run/xen."""
        listing = self.bed.run("xl list")[1]
        assert not re.search(rf"\b({self.name}|null)\b", listing), listing
        for path in (f"/local/domain/{self.id}", f"/local/domain/0/device-model/{self.id}"):
            status, text = self.bed.run(f"xenstore-ls {path}", check=False)
            assert status != 0 or not text.strip(), f"{path}: {text}"
        left = self.bed.run("ls /var/run/xen")[1].split()
        assert not [f for f in left if f"-{self.id}" in f], left

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if kind is not None:
            self.bed.log(self.name, self.log().encode())
        if self.exists():
            self.bed.run(f"xl destroy {self.name}", check=False)
