# SPDX-License-Identifier: GPL-2.0-or-later
"""L0's QMP monitor: what its processors were doing when L1 stopped or hung."""
import json
import queue
import threading


class Monitor:
    """Speaks QMP on a socket. on_shutdown(why): called by the monitor's thread when L1 has ended, by
    itself or by a triple fault; QEMU is still there then, and registers() tells of it."""

    def __init__(self, sock, on_shutdown):
        self.socket = sock
        self.answers = queue.Queue()
        self.ready = threading.Event()
        self.on_shutdown = on_shutdown
        threading.Thread(target=self._read, name="L0 monitor", daemon=True).start()

    def _read(self):
        try:
            for line in self.socket.makefile("r", encoding="utf-8"):
                self._message(json.loads(line))
        except (OSError, ValueError):
            pass
        self.answers.put(None)

    def _message(self, message):
        if "QMP" in message:
            self._send("qmp_capabilities", id="greeting")
        elif message.get("id") == "greeting":
            self.ready.set()
        elif message.get("event") == "SHUTDOWN":
            # An answer needs this thread to read it.
            threading.Thread(target=self.on_shutdown, args=(message["data"],), daemon=True).start()
        elif "return" in message or "error" in message:
            self.answers.put(message.get("return", message.get("error")))

    def _send(self, command, **rest):
        self.socket.sendall(json.dumps({"execute": command, **rest}).encode())

    def registers(self, limit=10):
        """Those of all of L1's processors, as text; "" if QEMU does not answer."""
        try:
            self._send("human-monitor-command", arguments={"command-line": "info registers -a"})
            return self.answers.get(timeout=limit) or ""
        except (OSError, queue.Empty):
            return ""
