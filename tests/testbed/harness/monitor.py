# SPDX-License-Identifier: GPL-2.0-or-later
"""L0's QMP monitor: what its processors were doing when L1 stopped or hung."""
import itertools
import json
import queue
import threading


class Monitor:
    """Speaks QMP on a socket. on_shutdown(why): called in a thread of its own when L1 has ended, by
    itself or by a triple fault; QEMU is still there then, and registers() tells of it."""

    def __init__(self, sock, on_shutdown):
        self.socket = sock
        self.numbers = itertools.count()
        self.waiting = {}  # number of a command -> queue for its answer
        self.ready = threading.Event()
        self.on_shutdown = on_shutdown
        threading.Thread(target=self._read, name="L0 monitor", daemon=True).start()

    def _read(self):
        try:
            for line in self.socket.makefile("r", encoding="utf-8"):
                self._message(json.loads(line))
        except (OSError, ValueError):
            pass
        self.ready.set()
        for number in list(self.waiting):
            self._answer(number, "")

    def _message(self, message):
        if "QMP" in message:
            self._send("qmp_capabilities", id="greeting")
        elif message.get("id") == "greeting":
            self.ready.set()
        elif message.get("event") == "SHUTDOWN":
            # An answer needs this thread to read it.
            threading.Thread(target=self.on_shutdown, args=(message["data"],), daemon=True).start()
        elif "id" in message:
            self._answer(message["id"], message.get("return", ""))

    def _answer(self, number, text):
        answer = self.waiting.pop(number, None)  # None: nobody waits any more
        if answer:
            answer.put(text)

    def _send(self, command, **rest):
        self.socket.sendall(json.dumps({"execute": command, **rest}).encode())

    def registers(self, limit=10):
        """Those of all of L1's processors, as text; "" if QEMU does not answer within limit, s."""
        return self.human("info registers -a", limit)

    def human(self, line, limit=10):
        """What a line of the monitor for people prints, likewise."""
        number, answer = next(self.numbers), queue.SimpleQueue()
        self.ready.wait(limit)
        self.waiting[number] = answer
        try:
            self._send("human-monitor-command", id=number,
                       arguments={"command-line": line})
            return answer.get(timeout=limit)
        except (OSError, queue.Empty):
            return ""
        finally:
            self.waiting.pop(number, None)
