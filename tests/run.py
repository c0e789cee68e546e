#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the device and system tests.

usage: tests/run.py [--jobs N] [device|system|NAME|PATH]...     (nothing: all)

NAME is a file's name without .py ("serial", "device/serial"), or with a test in it
("serial.Loopback"). One line per test; the last line is "N passed, N failed[, N skipped]".
The exit status is 0 only if none failed. With --jobs N, N test classes run at a time, and what they
print comes in the order in which they would have run one by one. DUODM names the binary,
DUODM_TEST_ENGINE the engine of system tests (tcg).
"""

import argparse
import importlib.util
import json
import os
import signal
import sys
import tempfile
import time
import traceback
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


def classes_of(suite):
    """A suite's tests, in its order, one suite for each class: what can run by itself."""
    found = {}

    def sort_in(tests):
        for test in tests:
            if isinstance(test, unittest.TestSuite):
                sort_in(test)
            else:
                found.setdefault(type(test), unittest.TestSuite()).addTest(test)
    sort_in(suite)
    return list(found.values())


def run_suites(suites):
    """One after the other, here; [passed, failed, skipped]."""
    result = Printer()
    for suite in suites:
        suite.run(result)
    return [result.passed, len(result.failures) + len(result.errors), len(result.skipped)]


class Child:
    """A process of our own in which a suite runs, its output and its result kept for later."""

    def __init__(self, suite):
        self.name = suite.countTestCases() and next(iter(suite)).id()
        self.output = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self.result = tempfile.TemporaryFile("w+")
        self.ended = False
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.dup2(self.output.fileno(), 1)
                os.dup2(self.output.fileno(), 2)
                json.dump(run_suites([suite]), self.result)
                self.result.flush()
                status = 0
            except BaseException:  # told like a failed test, never a second runner
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(status)

    def tell(self):
        """Print what it printed; [passed, failed, skipped]."""
        self.output.seek(0)
        sys.stdout.write(self.output.read())
        self.result.seek(0)
        text = self.result.read()
        if not text:
            print(f"FAILED  {self.name}: the process that ran it ended before its result")
        sys.stdout.flush()
        return json.loads(text) if text else [0, 1, 0]


def run_parallel(suites, jobs):
    """So many at a time, told in order; [passed, failed, skipped]."""
    total, children, told, running = [0, 0, 0], [], 0, {}
    waiting = list(suites)
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                child = Child(waiting.pop(0))
                children.append(child)
                running[child.pid] = child
            pid, _ = os.wait()
            running.pop(pid).ended = True
            while told < len(children) and children[told].ended:
                total = [a + b for a, b in zip(total, children[told].tell())]
                children[told] = None
                told += 1
    finally:
        for pid in running:
            os.kill(pid, signal.SIGTERM)
    return total


def main():
    # A runner started by nohup or in the background must not hand ignored signals down.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    sys.path.insert(0, os.path.join(HERE, "lib"))
    sys.path.append(os.path.join(HERE, "system"))  # where one file's class is another's base
    parser = argparse.ArgumentParser(usage=__doc__.strip().split("usage: ")[1])
    parser.add_argument("--jobs", "-j", type=int, default=1)
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    suites = []
    broken = 0
    for path, test in [entry for word in options.words or FOLDERS for entry in choose(word)]:
        try:
            suites += classes_of(load(path, test))
        except Exception as problem:  # a test file that can't be loaded is a failure too
            broken += 1
            print(f"FAILED  {os.path.relpath(path, HERE)}: {type(problem).__name__}: {problem}")
    passed, failed, skipped = (run_suites(suites) if options.jobs <= 1
                               else run_parallel(suites, options.jobs))
    failed += broken
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
