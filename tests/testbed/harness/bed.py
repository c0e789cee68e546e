# SPDX-License-Identifier: GPL-2.0-or-later
"""What a scenario's test gets: an L1 that is up, and the program under test in it."""
import fcntl
import os
import shutil
import tempfile

from harness.agent import Closed
from harness.guest import Guest
from harness.machines import KINDS
from harness.outer import Outer


class Lock:
    """One testbed at a time on a machine: nested virtual CPUs that wait for each other collapse
    when a real one is taken away."""

    def __init__(self):
        path = os.path.join(tempfile.gettempdir(), f"duodm-testbed-{os.getuid()}.lock")
        self.file = open(path, "w", encoding="ascii")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another testbed on this machine", flush=True)
            fcntl.flock(self.file, fcntl.LOCK_EX)


class Bed:
    """A running L1 of some kind. A context manager."""

    def __init__(self, kind, program, programs, log, options):
        self.kind = kind
        self.program = program
        self.programs = {p.name: p for p in programs}
        self.log = log
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="duodm-testbed-")
        self.outer = None
        self.alive = True
        try:
            self.outer = Outer(self.folder, KINDS[kind](self.folder, programs), log)
            self.agent = self.outer.agent
            self.console = self.outer.console
            self.agent.wait_up()
        except BaseException:
            self.close()
            raise

    def answers(self):
        """Does L1 still do anything? After a test that failed: so the log is told which of its timers
        should have fired."""
        try:
            return self.outer.alive and self.agent.run("cat /proc/timer_list || true", limit=60)[0] == 0
        except (Closed, TimeoutError):
            return False

    def run(self, *arguments, **rest):
        """A command in L1: see Agent.run."""
        return self.agent.run(*arguments, **rest)

    def guest(self, *arguments, **rest):
        """The program under test with its guest: see Guest."""
        return Guest(self, *arguments, **rest)

    def close(self):
        if self.outer:
            self.outer.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        self.close()
