# SPDX-License-Identifier: GPL-2.0-or-later
"""The program under test, running in L1 with its guest, L2.

Its console is its standard input and output, QMP is a connected socket, and so is the guest's second
serial line, on which the guest's agent speaks: the test can run commands in the guest.
"""
import signal

from harness.agent import LIMIT, Agent, ChannelQMP, Closed

APPEND = "console=ttyS0 quiet panic=-1"


class Guest:
    """A context manager: at its end, the program is no more.

    arguments: more options. accel=None: the program's own choice. append: more of the kernel's command line. qmp=False: no monitor.
    """

    def __init__(self, bed, *arguments, name="vm", accel="kvm", smp=1, memory=256, append="",
                 kernel="/boot/vmlinuz", initrd="/boot/guest.cpio", program=None, qmp=True):
        program = program or bed.program
        command = [program.path, "-nodefaults", "-display", "none", "-smp", smp, "-m", memory,
                   "-chardev", "socket,id=qmp,fd=3", "-mon", "chardev=qmp,mode=control",
                   "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
                   "-chardev", "socket,id=agent,fd=4", "-serial", "chardev:agent"]
        if accel:
            command += ["-accel", accel]
        if kernel:
            command += ["-kernel", kernel]
        if initrd:
            command += ["-initrd", initrd]
        if kernel and kernel.endswith("vmlinuz"):
            command += ["-append", f"{APPEND} {append}".strip()]
        command += arguments
        bed.log(name, ("$ " + " ".join(map(str, command)) + "\n").encode())
        self.bed = bed
        self.process = bed.agent.spawn(*command, sockets=2, name=name, log=True)
        self.console = self.process
        monitor, line = self.process.sockets
        self.agent = Agent(line, "L2", bed.log)
        self.run = self.agent.run
        self.qmp_channel = monitor
        self.qmp = None
        try:
            if qmp:
                self.qmp = ChannelQMP(monitor)
        except (EOFError, TimeoutError) as problem:
            self.close()
            raise AssertionError(f"no QMP: {problem}; it said: {self.said()}") from problem

    def said(self):
        """What is on the console, for a message."""
        return self.process.buffer[-3000:].decode(errors="replace")

    def wait_up(self, limit=LIMIT, count=1):
        """Until the guest's agent answers."""
        try:
            self.agent.wait_up(limit, count)
        except (Closed, TimeoutError) as problem:
            raise AssertionError(f"{problem}; the console: {self.said()}") from problem
        return self

    def reboot(self, ask):
        """ask() makes the guest reboot; returns when it is up again."""
        count = self.agent.will_restart()
        ask()
        return self.wait_up(count=count)

    def start(self, line):
        """Start a line for the guest's shell, without waiting."""
        return self.agent.spawn("sh", "-c", line)

    def wait(self, limit=LIMIT):
        """The program's exit status."""
        return self.process.wait(limit)

    def kill(self):
        """kill -9, and wait until it has happened."""
        self.process.kill(signal.SIGKILL)
        return self.process.wait(30)

    def close(self):
        if self.process.status is None:
            try:
                self.kill()
            except (Closed, TimeoutError):
                pass

    def __enter__(self):
        return self

    def log_state(self):
        """Where the guest's processors are, twice, into the log: after a failure."""
        try:
            self.qmp.timeout = 10
            for command in ("info status", "info registers -a", "info registers -a"):
                self.bed.log(self.process.name, f"# {command}\n{self.qmp.human(command)}\n".encode())
        except Exception as problem:  # the failure that brought us here is what matters
            self.bed.log(self.process.name, f"no answer to a monitor command: {problem}\n".encode())

    def __exit__(self, kind, value, traceback):
        if kind and self.qmp and self.process.status is None and not self.agent.broken:
            self.log_state()
        # A crash must not hide behind a test that had all it wanted.
        status = self.process.status
        self.close()
        if kind is None and status is not None and status & 0x7f and status & 0x7f != signal.SIGKILL:
            raise AssertionError(f"the program was ended by signal {status & 0x7f}: {self.said()}")
