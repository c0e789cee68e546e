# SPDX-License-Identifier: GPL-2.0-or-later
"""A part of the host that a library plays for duodm (LD_PRELOAD): it and the test share a folder of small files."""
import atexit
import functools
import os
import re
import shutil
import subprocess
import tempfile
import time

from duodm import SLOWER, Duodm

HERE = os.path.dirname(os.path.abspath(__file__))


@functools.lru_cache(None)
def build(name, *sources, flags=()):
    """The library, compiled once; None where a header is missing."""
    folder = tempfile.mkdtemp(prefix=f"duodm-{name}-mock-")
    atexit.register(shutil.rmtree, folder, True)
    path = os.path.join(folder, "mock.so")
    result = subprocess.run(
        [os.environ.get("CC", "gcc"), "-shared", "-fPIC", "-O1", "-pthread",
         "-I" + os.path.join(HERE, "..", "..", "src"), *flags, "-o", path,
         *(os.path.join(HERE, source) for source in sources)], capture_output=True, check=False)
    return path if result.returncode == 0 else None


class Played:
    """name: in upper case with _MOCK, the variable by which the library finds the folder."""

    def __init__(self, name, library):
        if not library:
            raise RuntimeError(f"the library that plays {name} can't be compiled")
        self.folder = tempfile.mkdtemp(prefix=f"duodm-{name}-")
        self.variable, self.library = name.upper() + "_MOCK", library
        self.round = 0
        self.vm = None
        self.write("log", "")

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        """As a whole: the library never sees half of it."""
        with open(self.path(name) + ".new", "w", encoding="ascii") as file:
            file.write(text)
        os.replace(self.path(name) + ".new", self.path(name))

    def log(self):
        with open(self.path("log"), encoding="ascii") as file:
            return file.read()

    def wait_log(self, pattern, count=1):
        deadline = time.monotonic() + 10 * SLOWER
        while len(re.findall(pattern, self.log(), re.M)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{pattern} x{count} is not in:\n{self.log()[-3000:]}")
            self.vm.qmp.execute("query-status")

    def fail(self, number, error):
        """The call with that number from now on fails (0: none)."""
        self.round += 1
        if number:
            self.write("fail", f"{self.round} {number} {error}\n")
        elif os.path.exists(self.path("fail")):
            os.unlink(self.path("fail"))

    def environment(self):
        env = dict(os.environ, **{self.variable: self.folder})
        env["LD_PRELOAD"] = " ".join(filter(None, [self.library, env.get("LD_PRELOAD")]))
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        return env

    def start(self, *arguments, **rest):
        self.vm = Duodm(*arguments, env=self.environment(), **rest)
        return self.vm

    def stop(self):
        if self.vm:
            self.vm.close()
            self.vm = None

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
