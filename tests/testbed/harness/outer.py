# SPDX-License-Identifier: GPL-2.0-or-later
"""L0: the QEMU process that is the machine for everything else.

Always QEMU's own translator with an emulated AMD CPU, so that a run shows the same on a machine
with KVM as on one without. TESTBED_L0_ACCEL=kvm is for developers whose KVM nests.
"""
import os
import shutil
import socket
import subprocess
import threading
import time

from harness.agent import Agent, Channel, Frame
from harness.monitor import Monitor

QEMU = os.environ.get("TESTBED_L0", "qemu-system-x86_64")


class Console(Channel):
    """What L1 (or the hypervisor in it) prints on its serial line."""

    def __init__(self, pipe, log):
        super().__init__(self, 0, "L1 console", log)
        self.broken_pipe = False
        self.pipe = pipe
        threading.Thread(target=self._read, name="L1 console", daemon=True).start()

    @property
    def broken(self):
        return self.broken_pipe

    def _read(self):
        while data := os.read(self.pipe.fileno(), 65536):
            self.frame(Frame(0, "D", time.monotonic_ns(), data))
        self.broken_pipe = True
        self.frame(Frame(0, "E", 0, b""))


class SocketStream:
    """read() and write() on a socket, for an Agent."""

    def __init__(self, sock):
        self.socket = sock

    def read(self):
        return self.socket.recv(65536)

    def write(self, data):
        self.socket.sendall(data)


class Outer:
    """A running L1: .console, .agent. Ends with close(), and if this process dies."""

    def __init__(self, folder, arguments, log):
        ours, theirs = socket.socketpair()
        monitor, its_end = socket.socketpair()
        accel = os.environ.get("TESTBED_L0_ACCEL", "tcg,thread=multi")
        command = [QEMU, "-accel", accel, "-display", "none", "-vga", "none", "-nic", "none",
                   "-no-reboot", "-no-shutdown", "-serial", "stdio", "-monitor", "none",
                   "-chardev", f"socket,id=monitor,fd={its_end.fileno()}",
                   "-mon", "chardev=monitor,mode=control",
                   "-device", "virtio-serial-pci",
                   "-chardev", f"socket,id=agent,fd={theirs.fileno()}",
                   "-device", "virtserialport,chardev=agent,name=agent", *arguments]
        log("L0", (" ".join(command) + "\n").encode())
        # The kernel ends QEMU when we end, however we end.
        wrapper = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with open(os.path.join(folder, "qemu.stderr"), "wb") as stderr:
            self.process = subprocess.Popen(wrapper + command, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.PIPE, stderr=stderr,
                                            pass_fds=[theirs.fileno(), its_end.fileno()],
                                            start_new_session=True)
        theirs.close()
        its_end.close()
        self.stderr_path = stderr.name
        self.socket = ours
        self.log = log
        self.console = Console(self.process.stdout, log)
        self.agent = Agent(SocketStream(ours), "L1", log)
        self.monitor = Monitor(monitor, self.end)

    def end(self, why):
        """L1 has switched itself off, has died, or shall: what waits for it need not wait on."""
        self.log("L0", f"L1 ended: {why}\n{self.monitor.registers()}\n".encode())
        self.process.kill()

    @property
    def alive(self):
        return self.process.poll() is None and not self.agent.broken

    def close(self):
        self.process.kill()
        self.process.wait()
        self.socket.close()
        self.monitor.socket.close()
        with open(self.stderr_path, "rb") as f:
            lines = f.read().splitlines(keepends=True)
            self.log("L0", b"".join(line for line in lines if b"TCG doesn't support" not in line))
