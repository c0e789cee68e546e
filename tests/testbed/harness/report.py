# SPDX-License-Identifier: GPL-2.0-or-later
"""Logs and result lines."""
import os
import threading
import time

from harness.packages import ROOT

LOGS = os.path.join(ROOT, "build", "check-logs", "testbed")


class Log:
    """Everything that any machine says, in lines with time and speaker. All of an L1's life goes into
    KIND.log; what falls into one test also into TEST.log, which stays only if the test failed."""

    def __init__(self, kind, echo=False):
        os.makedirs(LOGS, exist_ok=True)
        self.file = open(os.path.join(LOGS, kind + ".log"), "w", encoding="utf-8")
        self.echo = echo
        self.test_file = None
        self.partial = {}
        self.began = time.monotonic()
        self.lock = threading.Lock()

    def __call__(self, speaker, data):
        with self.lock:
            text = self.partial.pop(speaker, "") + data.decode(errors="replace").replace("\r", "")
            *lines, rest = text.split("\n")
            if rest:
                self.partial[speaker] = rest
            for line in lines:
                self._write(speaker, line)

    def _write(self, speaker, line):
        text = f"{time.monotonic() - self.began:8.2f} {speaker}: {line}\n"
        for file in (self.file, self.test_file):
            if file and not file.closed:
                file.write(text)
                file.flush()
        if self.echo:
            print(text, end="", flush=True)

    def begin(self, test):
        self.file.write(f"--- {test}\n")
        self.test_file = open(os.path.join(LOGS, test + ".log"), "w", encoding="utf-8")

    def end(self, failure):
        """failure: text, or None. Returns the path of the test's log if it is kept."""
        with self.lock:
            for speaker, line in self.partial.items():
                self._write(speaker, line)
            self.partial.clear()
            if failure:
                self._write("failure", failure)
        path = self.test_file.name
        self.test_file.close()
        self.test_file = None
        if failure:
            return os.path.relpath(path, ROOT)
        os.unlink(path)
        return None

    def close(self):
        self.file.close()


class Results:
    """One line per test, and at last the line that tests/check.py counts."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add_pass(self, test, seconds):
        self.passed += 1
        print(f"ok      {test} ({seconds:.1f} s)", flush=True)

    def add_failure(self, test, seconds, why, log):
        self.failed += 1
        print(f"FAILED  {test} ({seconds:.1f} s)\n{why}\n    log: {log}", flush=True)

    def add_skip(self, test, reason):
        self.skipped += 1
        print(f"skipped {test} skipped: {reason}", flush=True)

    def finish(self):
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        print(f"{self.passed} passed, {self.failed} failed{skipped}")
        return 1 if self.failed else 0
