#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the device and system tests.

usage: tests/run.py [device|system|NAME|PATH]...     (nothing: all)

NAME is a file's name without .py ("serial", "device/serial"), or with a test in it
("serial.Loopback"). One line per test; the last line is "N passed, N failed[, N skipped]".
The exit status is 0 only if none failed. DUODM names the binary, DUODM_TEST_ENGINE the engine of
system tests (tcg).
"""

import importlib.util
import os
import signal
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDERS = ("device", "system")


class Printer(unittest.TestResult):
    """One line per test, the story of a failure right after its line."""

    def __init__(self):
        super().__init__()
        self.passed = 0
        self.started = 0.0

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()

    def _line(self, word, test, more=""):
        spent = time.monotonic() - self.started
        print(f"{word:7} {test.id()} ({spent:.2f} s){more}", flush=True)

    def addSuccess(self, test):
        self.passed += 1
        self._line("ok", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._line("FAILED", test)
        print(self.failures[-1][1], flush=True)

    def addError(self, test, err):
        super().addError(test, err)
        self._line("FAILED", test)
        print(self.errors[-1][1], flush=True)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._line("skipped", test, f": {reason}")

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._line("FAILED", subtest)
            story = (self.failures + self.errors)[-1][1]
            print(story, flush=True)


def files_of(folder):
    path = os.path.join(HERE, folder)
    if not os.path.isdir(path):
        return []
    return sorted(os.path.join(path, name) for name in os.listdir(path)
                  if name.endswith(".py") and not name.startswith("_"))


def choose(word):
    """Files (and the test in them, or None) that a word of the command line means."""
    if word in FOLDERS:
        return [(path, None) for path in files_of(word)]
    if os.path.isfile(word):
        return [(os.path.abspath(word), None)]
    name, _, test = word.partition(".")
    found = [(path, test or None) for folder in FOLDERS for path in files_of(folder)
             if name in (os.path.basename(path)[:-3], f"{folder}/{os.path.basename(path)[:-3]}")]
    if not found:
        sys.exit(f"run.py: there is no test '{word}'")
    return found


def load(path, test):
    folder = os.path.basename(os.path.dirname(path))
    name = f"{folder}.{os.path.basename(path)[:-3]}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    loader = unittest.defaultTestLoader
    return loader.loadTestsFromName(test, module) if test else loader.loadTestsFromModule(module)


def main():
    # A runner started by nohup or in the background must not hand ignored signals down.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    sys.path.insert(0, os.path.join(HERE, "lib"))
    sys.path.append(os.path.join(HERE, "system"))  # where one file's class is another's base
    words = sys.argv[1:] or list(FOLDERS)
    if words[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0
    result = Printer()
    broken = 0
    for path, test in [entry for word in words for entry in choose(word)]:
        try:
            load(path, test).run(result)
        except Exception as problem:  # a test file that can't be loaded is a failure too
            broken += 1
            print(f"FAILED  {os.path.relpath(path, HERE)}: {type(problem).__name__}: {problem}")
    failed = len(result.failures) + len(result.errors) + broken
    skipped = f", {len(result.skipped)} skipped" if result.skipped else ""
    print(f"{result.passed} passed, {failed} failed{skipped}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
