# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts the real duodm and talks to it: QMP, serial ports, the test port.

Nothing here sleeps: everything waits for data, an event or the end of the process, with a limit.
The binary is named by the environment variable DUODM.
"""

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from qtest import QTest

BINARY = os.environ.get("DUODM", "./duodm")
# The engine of system tests: tcg, unless a developer wants to try another.
ENGINE = os.environ.get("DUODM_TEST_ENGINE", "tcg")
# Sanitizers and slow machines: all time limits are multiplied.
SLOWER = float(os.environ.get("DUODM_TEST_SLOWER", "1"))


class QMPError(Exception):
    def __init__(self, error):
        super().__init__(f"{error['class']}: {error['desc']}")
        self.kind = error["class"]
        self.description = error["desc"]


class Stream:
    """Bytes from a socket or descriptor, with limits of time."""

    def __init__(self, fd, timeout=10.0):
        self.fd = fd
        self.timeout = timeout * SLOWER
        self.buffer = b""
        self.closed = False

    def fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.fd], [], [], left)[0]:
            raise TimeoutError(f"nothing more came; so far: {self.buffer[-2000:]!r}")
        try:
            data = os.read(self.fd if isinstance(self.fd, int) else self.fd.fileno(), 1 << 16)
        except (ConnectionResetError, OSError):
            data = b""
        if not data:
            self.closed = True
            raise EOFError(f"closed; so far: {self.buffer[-2000:]!r}")
        self.buffer += data

    def expect(self, pattern, timeout=None):
        """Wait until the regular expression matches; returns the match, drops all up to its end."""
        if isinstance(pattern, str):
            pattern = pattern.encode()
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout * SLOWER)
        while True:
            match = re.search(pattern, self.buffer, re.DOTALL)
            if match:
                self.buffer = self.buffer[match.end():]
                return match
            self.fill(deadline)

    def read_exactly(self, count):
        deadline = time.monotonic() + self.timeout
        while len(self.buffer) < count:
            self.fill(deadline)
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def wait_closed(self):
        deadline = time.monotonic() + self.timeout
        try:
            while True:
                self.fill(deadline)
        except EOFError:
            return self.buffer

    def write(self, data):
        if isinstance(data, str):
            data = data.encode()
        fd = self.fd if isinstance(self.fd, int) else self.fd.fileno()
        while data:
            data = data[os.write(fd, data):]


class QMP(Stream):
    """A QMP client on a connected socket."""

    def __init__(self, sock, timeout=10.0, negotiate=True):
        super().__init__(sock, timeout)
        self.events = []
        self.greeting = self.message()["QMP"]
        if negotiate:
            self.execute("qmp_capabilities")

    def message(self):
        """The next JSON value: a reply or an event."""
        return json.loads(self.expect(rb"[^\n]*\n").group())

    def reply(self):
        while True:
            message = self.message()
            if "event" not in message:
                return message
            self.events.append(message)

    def execute(self, command, **arguments):
        request = {"execute": command}
        if arguments:
            request["arguments"] = {k.replace("_", "-"): v for k, v in arguments.items()}
        self.write(json.dumps(request) + "\n")
        reply = self.reply()
        if "error" in reply:
            raise QMPError(reply["error"])
        return reply["return"]

    def human(self, line):
        return self.execute("human-monitor-command", command_line=line)

    def message_event(self):
        """The next event, whichever it is."""
        if self.events:
            return self.events.pop(0)
        message = self.message()
        if "event" not in message:
            raise AssertionError(f"a reply that nobody waits for: {message}")
        return message

    def count_resets(self, count):
        """Until the guest was reset so often: what else stops the machine is answered by a reset."""
        while count:
            name = self.message_event()["event"]
            if name == "RESET":
                count -= 1
            elif name in ("STOP", "SHUTDOWN", "GUEST_PANICKED"):
                self.execute("system_reset")
                self.execute("cont")

    def wait_event(self, name):
        while True:
            for index, event in enumerate(self.events):
                if event["event"] == name:
                    return self.events.pop(index)
            message = self.message()
            if "event" not in message:
                raise AssertionError(f"a reply that nobody waits for: {message}")
            self.events.append(message)


class Duodm:
    """A duodm process. With qtest=True it has no CPUs and a QTest in .qtest.

    .qmp is a QMP client, .serial (if asked for) a Stream of COM1; both over socket pairs, so that
    there is nothing to wait for. Use as a context manager.
    """

    def __init__(self, *arguments, qtest=False, qmp=True, serial=False, defaults=False,
                 timeout=10.0, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=None,
                 accel="qtest", pass_fds=()):
        self.folder = tempfile.mkdtemp(prefix="duodm-test-")
        self.timeout = timeout
        self.ours, theirs = [], []
        line = [BINARY]
        if not defaults:
            line += ["-nodefaults"]
        if qtest:
            line += ["-accel", accel]

        def pair(name):
            ours, other = socket.socketpair()
            self.ours.append(ours)
            theirs.append(other)
            line.extend(["-chardev", f"socket,id={name},fd={other.fileno()}"])
            return ours

        qmp_socket = pair("test-qmp") if qmp else None
        if qmp:
            line += ["-mon", "chardev=test-qmp,mode=control"]
        serial_socket = pair("test-serial") if serial else None
        if serial:
            line += ["-serial", "chardev:test-serial"]
        qtest_socket = pair("test-port") if qtest else None
        if qtest:
            line += ["-qtest", "chardev:test-port"]
        line += [argument.replace("@", self.folder) for argument in arguments]
        self.command_line = line
        self.stderr_file = open(os.path.join(self.folder, "stderr"), "w+b")
        self.process = subprocess.Popen(line, stdin=stdin, stdout=stdout, stderr=self.stderr_file,
                                        pass_fds=[s.fileno() for s in theirs] + list(pass_fds),
                                        env=env)
        for sock in theirs:
            sock.close()
        try:
            self.serial = Stream(serial_socket, timeout) if serial else None
            self.qtest = QTest(qtest_socket, timeout * SLOWER) if qtest else None
            self.qmp = QMP(qmp_socket, timeout) if qmp else None
        except (EOFError, TimeoutError) as problem:
            self.close()
            raise AssertionError(f"{' '.join(line)}: {problem}\n{self.last_stderr}") from problem

    def path(self, name):
        return os.path.join(self.folder, name)

    def stderr(self):
        with open(self.stderr_file.name, "rb") as file:
            return file.read().decode("utf-8", "replace")

    def wait(self, timeout=None):
        """Exit status."""
        return self.process.wait((timeout or self.timeout) * SLOWER)

    def quit(self):
        self.qmp.execute("quit")
        return self.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        for sock in self.ours:
            sock.close()
        self.last_stderr = self.stderr()
        self.stderr_file.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        status = self.process.poll()
        self.close()
        # A crash must not hide behind a test that had all it wanted.
        if kind is None and status is not None and status < 0:
            raise AssertionError(f"duodm was killed by signal {-status}\n{self.last_stderr}")
        if kind is not None and self.last_stderr:
            sys.stderr.write(self.last_stderr)


def guest_program(name):
    """The path of a program of tests/guest, which `make guests` builds."""
    return os.path.join(os.environ.get("DUODM_BUILD") or os.path.dirname(BINARY), "tests", "guest", name)


def run(*arguments, stdin=b"", timeout=20.0, **rest):
    """Run duodm to its end; a subprocess.CompletedProcess with text."""
    result = subprocess.run([BINARY, *arguments], input=stdin, capture_output=True,
                            timeout=timeout * SLOWER, check=False, **rest)
    result.stdout = result.stdout.decode("utf-8", "replace")
    result.stderr = result.stderr.decode("utf-8", "replace")
    return result


def suspend(process):
    """Stop a child (SIGCONT has it go on). On return none of its threads runs any more."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)


def connect(path, timeout=10.0):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(timeout * SLOWER)
    sock.connect(path)
    sock.settimeout(None)
    return sock
