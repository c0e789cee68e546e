# SPDX-License-Identifier: GPL-2.0-or-later
"""The outer side of programs/agent.c: processes and their streams inside a virtual machine.

An Agent speaks over any stream with read() and write(): a socket to L1's virtio-serial port, or a
Channel of L1's agent that is L2's serial line. One thread per agent sorts what comes into channels;
who waits for a channel waits on its condition, with a limit of time.
"""
import collections
import re
import signal
import struct
import threading
import time

from duodm import QMP

HEADER = struct.Struct("<IHBxQ")
MAX_PAYLOAD = 16384
HELLO = b"duodm-testbed-agent-1"
Frame = collections.namedtuple("Frame", "channel kind time payload")

# s. Only what hangs takes so long: on a machine of two CPUs a guest is up within ten.
LIMIT = 200.0


def pack_frame(channel, kind, payload=b""):
    return HEADER.pack(len(payload), channel, ord(kind), 0) + payload


class FrameParser:
    """Bytes in any portions -> frames. Starts, and after restart() starts again, at a HELLO:
    what comes before (firmware, a frame that a reset cut off) is dropped."""

    def __init__(self):
        self.buffer = b""
        self.started = False

    def restart(self):
        self.started = False

    def feed(self, data):
        self.buffer += data
        frames = []
        while True:
            if not self.started:
                at = self.buffer.find(HELLO)
                if at < 0:
                    self.buffer = self.buffer[-len(HELLO):]
                    return frames
                self.buffer = self.buffer[at + len(HELLO):]
                self.started = True
                frames.append(Frame(0, "H", 0, HELLO))
            if len(self.buffer) < HEADER.size:
                return frames
            length, channel, kind, when = HEADER.unpack_from(self.buffer)
            if length > MAX_PAYLOAD:
                raise ValueError(f"a frame of {length} bytes: {self.buffer[:64]!r}")
            if len(self.buffer) < HEADER.size + length:
                return frames
            payload = self.buffer[HEADER.size:HEADER.size + length]
            self.buffer = self.buffer[HEADER.size + length:]
            frames.append(Frame(channel, chr(kind), when, payload))


class Closed(Exception):
    """The stream, or the machine that it is in, has ended."""


class Channel:
    """One stream inside the machine. Bytes stay in .buffer until somebody takes them."""

    def __init__(self, agent, number, name, log=None):
        self.agent = agent
        self.number = number
        self.name = name
        self.log = log
        self.buffer = b""
        self.closed = False
        self.status = None      # wait status of the process, when it has ended
        self.started_at = None  # ns, the machine's clock
        self.changed = threading.Condition()
        self.taken = 0          # bytes taken out of the buffer so far
        self.arrivals = []      # (bytes received so far, ns), one per frame

    # --- the agent's thread
    def frame(self, frame):
        with self.changed:
            if frame.kind == "D":
                self.buffer += frame.payload
                self.arrivals.append((self.taken + len(self.buffer), frame.time))
                if self.log:
                    self.log(self.name, frame.payload)
            elif frame.kind == "E":
                self.closed = True
            elif frame.kind == "S":
                self.started_at = frame.time
            elif frame.kind == "X":
                self.status = struct.unpack("<I", frame.payload)[0]
            self.changed.notify_all()

    def broken(self):
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    # --- everybody else
    def _wait(self, condition, what, limit):
        with self.changed:
            if not self.changed.wait_for(lambda: condition() or self.agent.broken, limit):
                raise TimeoutError(f"{self.name}: {what}: not within {limit:.0f} s; "
                                   f"the last of it: {self.buffer[-1500:]!r}")

    def read(self):
        """What there is, at least one byte; b"" at the end."""
        with self.changed:
            self.changed.wait_for(lambda: self.buffer or self.closed)
            return self.take(len(self.buffer))

    def take(self, count):
        with self.changed:
            data, self.buffer = self.buffer[:count], self.buffer[count:]
            self.taken += count
            while self.arrivals and self.arrivals[0][0] < self.taken:
                self.arrivals.pop(0)
            return data

    def expect(self, pattern, limit=LIMIT):
        """Wait for a regular expression; takes all up to its end. The match has .time, ns."""
        pattern = re.compile(pattern.encode() if isinstance(pattern, str) else pattern,
                             re.DOTALL | re.MULTILINE)
        found = []

        def look():
            match = pattern.search(self.buffer)
            found[:] = [match] if match else []
            return match or self.closed

        self._wait(look, f"waiting for {pattern.pattern.decode()!r}", limit)
        if not found:
            raise Closed(f"{self.name} ended before {pattern.pattern.decode()!r}; "
                         f"the last of it: {self.buffer[-1500:]!r}")
        return Match(found[0], self)

    def write(self, data):
        data = data.encode() if isinstance(data, str) else data
        for at in range(0, len(data), MAX_PAYLOAD):
            self.agent.send(self.number, "D", data[at:at + MAX_PAYLOAD])

    def end(self):
        self.agent.send(self.number, "E")


class Match:
    """A match in a channel: its groups as text, and when its last byte was read in there."""

    def __init__(self, match, channel):
        self.groups = [g.decode(errors="replace") if g is not None else None
                       for g in match.groups()]
        with channel.changed:
            end = channel.taken + match.end()
            self.time = next(when for count, when in channel.arrivals if count >= end)
        self.text = channel.take(match.end()).decode(errors="replace")

    def __getitem__(self, number):
        return self.groups[number - 1]


class Process(Channel):
    """A process in the machine: the channel is its standard streams; .sockets its others."""

    def kill(self, number=signal.SIGKILL):
        self.agent.send(self.number, "K", struct.pack("<I", number))

    def wait(self, limit=LIMIT):
        """Exit status, or minus a signal's number."""
        self._wait(lambda: self.status is not None, "waiting for its end", limit)
        if self.status is None:
            raise Closed(f"{self.name}: the machine ended first")
        number = self.status & 0x7f
        return -number if number else self.status >> 8 & 0xff


class ChannelQMP(QMP):
    """tests/lib's QMP client on a channel instead of a socket."""

    def __init__(self, channel, limit=LIMIT):
        self.channel = channel
        super().__init__(None, limit)

    def fill(self, deadline):
        self.channel._wait(lambda: self.channel.buffer or self.channel.closed,
                           "waiting for QMP", max(0.0, deadline - time.monotonic()))
        data = self.channel.take(len(self.channel.buffer))
        if not data:
            raise EOFError(f"QMP closed; so far: {self.buffer[-2000:]!r}")
        self.buffer += data

    def write(self, data):
        self.channel.write(data)


class Agent:
    """Starts processes in the machine at the other end of a stream (with read and write)."""

    def __init__(self, stream, name, log=None):
        self.stream = stream
        self.name = name
        self.log = log
        self.channels = {}
        self.next_number = 1
        self.parser = FrameParser()
        self.hellos = 0
        self.broken = False
        self.sending = threading.Lock()
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        threading.Thread(target=self._read, name=f"agent {name}", daemon=True).start()

    def _read(self):
        try:
            while data := self.stream.read():
                with self.lock:
                    frames = self.parser.feed(data)
                for frame in frames:
                    self._frame(frame)
        except (OSError, ValueError) as problem:
            if self.log:
                self.log(self.name, f"agent: {problem}\n".encode())
        with self.changed:
            self.broken = True
            channels = list(self.channels.values())
            self.changed.notify_all()
        for channel in channels:
            channel.broken()

    def _frame(self, frame):
        with self.changed:
            if frame.kind == "H":
                self.hellos += 1
                self.changed.notify_all()
            channel = self.channels.get(frame.channel)
        if channel:
            channel.frame(frame)

    def send(self, channel, kind, payload=b""):
        try:
            with self.sending:
                self.stream.write(pack_frame(channel, kind, payload))
        except OSError as problem:
            raise Closed(f"{self.name}: {problem}") from problem

    def wait_up(self, limit=LIMIT, count=1):
        """Wait until the machine has said hello (for the COUNTth time: it can be rebooted)."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.hellos >= count or self.broken, limit):
                raise TimeoutError(f"{self.name}: nothing from its agent within {limit:.0f} s")
            if self.hellos < count:
                raise Closed(f"{self.name} ended before its agent answered")

    def will_restart(self):
        """Say before asking for a reboot; returns what to wait for with wait_up(count=...)."""
        with self.lock:
            self.parser.restart()
            self.channels.clear()
            return self.hellos + 1

    def spawn(self, *arguments, sockets=0, name=None, log=False):
        """Start a process. Its standard streams are the result, its descriptors 3... .sockets."""
        name = f"{self.name} {name or arguments[0]}"
        with self.lock:
            number = self.next_number
            self.next_number += 1 + sockets
            process = Process(self, number, name, self.log if log else None)
            process.sockets = [Channel(self, number + 1 + i, f"{name}[{3 + i}]")
                               for i in range(sockets)]
            for channel in (process, *process.sockets):
                self.channels[channel.number] = channel
        payload = bytes([sockets]) + b"".join(a.encode() + b"\0" for a in map(str, arguments))
        self.send(number, "S", payload)
        return process

    def run(self, *arguments, stdin=b"", limit=LIMIT, check=True):
        """Run a command to its end; one argument is a line for the shell. Returns (status, text)."""
        if len(arguments) == 1:
            arguments = ("sh", "-c", arguments[0])
        process = self.spawn(*arguments)
        if stdin:
            process.write(stdin)
        process.end()
        status = process.wait(limit)
        output = process.take(len(process.buffer)).decode(errors="replace")
        if self.log:
            self.log(self.name, f"# {' '.join(arguments)[:400]}\n{output[-20000:]}".encode())
        if check and status != 0:
            raise AssertionError(f"{self.name}: '{' '.join(arguments)}': status {status}\n{output}")
        return status, output

    def put(self, path, data, mode=0o644):
        """Make a file in the machine."""
        self.run(f"cat >{path} && chmod {mode:o} {path}", stdin=data)

    def get(self, path):
        process = self.spawn("cat", path)
        process.end()
        if process.wait() != 0:
            raise AssertionError(f"{self.name}: no file {path}")
        return process.take(len(process.buffer))
