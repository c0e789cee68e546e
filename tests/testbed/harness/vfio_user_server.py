# SPDX-License-Identifier: GPL-2.0-or-later
"""The vfio-user servers of tests/lib, in L1: Python goes there with what they import."""
import json
import os
import subprocess
import sys

import vfio_user

from harness.packages import ROOT

LIBRARY = os.path.join(ROOT, "tests", "lib")
PROGRAMS = ["vfio_user_nvme.py"]
PLACE = "/usr/lib/servers"
PYTHON = os.path.realpath(sys.executable)
FLAGS = ["-S", "-E"]  # nothing but the standard library
# The files of all modules that are there when a program has been imported.
LIST_FILES = "import sys; sys.path.insert(0, {folder!r}); import {name}; " \
             "print(*{{m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)}}, sep='\\n')"


def add_servers(tree):
    tree.add_program(PYTHON)
    for program in PROGRAMS:
        line = LIST_FILES.format(folder=LIBRARY, name=program.removesuffix(".py"))
        files = subprocess.run([PYTHON, *FLAGS, "-c", line], text=True, capture_output=True,
                               check=True).stdout.split()
        for file in files:
            if os.path.dirname(file) == LIBRARY:
                tree.add_file(file, os.path.join(PLACE, os.path.basename(file)))
            elif file.endswith(".so"):
                tree.add_program(file)
            else:
                tree.add_file(file)


class Server(vfio_user.Server):
    """As in tests/lib, with orders by L1's agent. A context manager."""

    def __init__(self, bed, program, **settings):
        self.bed = bed
        self.program = program
        self.path = f"/tmp/{program}.socket"
        self.settings = settings
        self.start()

    def start(self):
        self.bed.run(f"rm -f {self.path}")
        self.process = self.bed.agent.spawn(PYTHON, *FLAGS, os.path.join(PLACE, self.program),
                                            self.path, json.dumps(self.settings))
        self.state()  # it listens when it answers

    def order(self, do, **arguments):
        self.process.write(json.dumps({"do": do, **arguments}) + "\n")
        return json.loads(self.process.expect(r"[^\n]*\n").text)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.status is None:
            self.kill()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        self.close()
