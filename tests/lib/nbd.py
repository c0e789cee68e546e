# SPDX-License-Identifier: GPL-2.0-or-later
"""An NBD server (fixed newstyle, simple replies) that tells which reads it has got, and answers them
when it is told to: for tests of what happens while a request is under way.

    with Server(b"\\x5a" * 512, size=1 << 20) as server:     # the same bytes again and again
        ... f"nbd:unix:{server.path}" ...
        server.hold()
        server.wait_held()                                  # a read has come
        server.answer()
        server.bad = range(512, 1024)                       # reads of these bytes fail
        server.reads                                        # (offset, length) of all so far
"""
import errno
import os
import shutil
import socket
import struct
import tempfile
import threading

LIMIT = 60  # seconds, of a hang
CANCELLED = 4  # seconds after which duodm may have given up a request that is to end unanswered
OPTION, REPLY, REQUEST, ANSWER = 0x49484156454F5054, 0x3E889045565A9, 0x25609513, 0x67446698
OPT_ABORT, OPT_INFO, OPT_GO = 2, 6, 7
ACK, INFO, UNSUPPORTED = 1, 3, 0x80000001
READ, DISCONNECT = 0, 2
HAS_FLAGS, SEND_FLUSH = 1, 4


class Server:
    def __init__(self, pattern, size):
        self.pattern, self.size = pattern, size
        self.folder = tempfile.mkdtemp(prefix="duodm-nbd-")
        self.path = os.path.join(self.folder, "nbd.sock")
        self.changed = threading.Condition()
        self.holding, self.held = False, 0
        self.bad, self.reads = range(0), []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.answer()
        self.listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def hold(self):
        with self.changed:
            self.holding, self.held = True, 0

    def wait_held(self):
        with self.changed:
            if not self.changed.wait_for(lambda: self.held, LIMIT):
                raise TimeoutError("no read has come")

    def answer(self):
        with self.changed:
            self.holding = False
            self.changed.notify_all()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            try:
                self._negotiate(connection, stream)
                self._transmit(connection, stream)
            except (OSError, struct.error):
                pass  # the client is gone

    def _negotiate(self, connection, stream):
        connection.sendall(b"NBDMAGIC" + struct.pack(">QH", OPTION, 3))
        stream.read(4)
        while True:
            _, option, length = struct.unpack(">QII", stream.read(16))
            stream.read(length)

            def reply(kind, data=b"", option=option):
                connection.sendall(struct.pack(">QIII", REPLY, option, kind, len(data)) + data)
            if option in (OPT_GO, OPT_INFO):
                reply(INFO, struct.pack(">HQH", 0, self.size, HAS_FLAGS | SEND_FLUSH))
                reply(ACK)
                if option == OPT_GO:
                    return
            elif option == OPT_ABORT:
                reply(ACK)
                raise OSError("the client has changed its mind")
            else:
                reply(UNSUPPORTED)

    def _transmit(self, connection, stream):
        while True:
            _, _, kind, cookie, offset, length = struct.unpack(">IHHQQI", stream.read(28))
            data, error = b"", 0
            if kind == DISCONNECT:
                return
            if kind == READ:
                self.reads.append((offset, length))
                if offset < self.bad.stop and self.bad.start < offset + length:
                    error = errno.EIO
                else:
                    data = (self.pattern * (length // len(self.pattern) + 1))[:length]
                with self.changed:
                    self.held += self.holding
                    self.changed.notify_all()
                    self.changed.wait_for(lambda: not self.holding, LIMIT)
            connection.sendall(struct.pack(">IIQ", ANSWER, error, cookie) + data)
