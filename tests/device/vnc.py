# SPDX-License-Identifier: GPL-2.0-or-later
"""The VNC server, looked at by a client of our own: picture, input, passwords, bad clients."""

import os
import random
import socket
import struct
import time
import unittest

from duodm import SLOWER, Duodm, QMPError, run
from rfb import RFB, RFBError
from vga import FRAMEBUFFER, VGA, read_ppm

SHIFT = 0xFFE1


class VNCTest(unittest.TestCase):
    vnc = "unix:@/vnc"
    options = ("-vga", "std")

    def setUp(self):
        self.vm = Duodm("-vnc", self.vnc, *self.options, qtest=True, timeout=30)
        self.vm.__enter__()
        self.addCleanup(self.vm.__exit__, None, None, None)
        self.port = self.vm.qtest
        if "std" in self.options:
            self.vga = VGA(self.port)

    def connect(self, **options):
        client = RFB(self.vm.path("vnc"), **options)
        self.addCleanup(client.close)
        return client

    def dump(self):
        self.vm.qmp.execute("screendump", filename=self.vm.path("s.ppm"))
        return read_ppm(self.vm.path("s.ppm"))

    def wait_like_dump(self, client):
        width, height, rows = self.dump()
        client.wait_for(lambda c: (c.width, c.height) == (width, height) and c.rgb() == rows)


class Picture(VNCTest):
    def test_follows_the_guest(self):
        """A text mode, a change of one cell, a linear mode, a change of one pixel, another size."""
        client = self.connect()
        self.vga.set_mode(3)
        self.vga.set_palette([(i, 63 - i, i) for i in range(64)])
        self.port.write(0xB8000, b"A\x1f" * 2000)
        self.wait_like_dump(client)
        self.port.writeb(0xB8001, 0x4E)
        self.wait_like_dump(client)
        self.vga.set_dispi(640, 480, 32)
        self.port.write(FRAMEBUFFER, bytes(range(256)) * 200)
        self.wait_like_dump(client)
        self.port.writel(FRAMEBUFFER + 4 * (640 * 479 + 639), 0xFFEEDD)
        self.wait_like_dump(client)
        self.vga.set_dispi(801, 601, 16)
        self.port.writew(FRAMEBUFFER, 0x1234)
        self.wait_like_dump(client)
        self.assertEqual((client.width, client.height), (801, 601))

    def test_sends_what_changed(self):
        self.vga.set_dispi(640, 480, 32)
        client = self.connect()
        self.wait_like_dump(client)
        self.port.writel(FRAMEBUFFER + 4 * (640 * 100 + 50), 0x123456)
        self.port.writel(FRAMEBUFFER + 4 * (640 * 101 + 59), 0x123456)
        x, y, width, height, _ = client.update()[0]
        if (width, height) != (10, 2):  # the look came between the two writes
            self.assertEqual((x, y, width, height), (50, 100, 1, 1))
        self.assertEqual(client.pixels[100][200:203], b"\x56\x34\x12")

    def test_many_clients(self):
        clients = [self.connect() for _ in range(5)]
        self.vga.set_dispi(320, 200, 32)
        self.port.write(FRAMEBUFFER, os.urandom(50000))
        for client in clients:
            self.wait_like_dump(client)
        clients[0].close()
        self.port.write(FRAMEBUFFER, os.urandom(50000))
        for client in clients[1:]:
            self.wait_like_dump(client)
        self.assertEqual(len(self.vm.qmp.execute("query-vnc")["clients"]), 4)

    def test_older_protocols_and_no_resizing(self):
        for version in (b"003.003", b"003.007"):
            client = self.connect(version=version, resize=False)
            client.update(False)
            client.close()

    def test_nobody_looks(self):
        """Without a client no time is spent on the picture."""
        self.vga.set_dispi(1024, 768, 32)
        client = self.connect()
        client.update(False)
        client.close()
        self.vm.qmp.wait_event("VNC_DISCONNECTED")

        def switches():
            total = 0
            for task in os.listdir(f"/proc/{self.vm.process.pid}/task"):
                with open(f"/proc/{self.vm.process.pid}/task/{task}/status") as file:
                    status = file.read()
                if "Name:\tvnc\n" in status:
                    total += int(status.split("voluntary_ctxt_switches:\t")[1].split()[0])
            return total
        before = switches()
        for i in range(2000):
            self.port.writel(FRAMEBUFFER + 4 * i, i)
        self.assertLess(switches() - before, 3)


class Input(VNCTest):
    """What comes out of the 8042."""

    def enable(self, command_byte=0x43):
        self.port.outb(0x64, 0x60)
        self.port.outb(0x60, command_byte)

    def bytes_of_keyboard(self, count, mouse=False):
        got = []
        deadline = time.monotonic() + 20 * SLOWER
        while len(got) < count:
            status = self.port.inb(0x64)
            if status & 1:
                self.assertEqual(bool(status & 0x20), mouse)
                got.append(self.port.inb(0x60))
            elif time.monotonic() > deadline:
                self.fail(f"only {bytes(got).hex()} came")
        return bytes(got).hex()

    def nothing_left(self):
        self.vm.qmp.execute("query-status")
        self.assertEqual(self.port.inb(0x64) & 1, 0)

    def mouse_command(self, *values):
        for value in values:
            self.port.outb(0x64, 0xD4)
            self.port.outb(0x60, value)
            self.bytes_of_keyboard(1, mouse=True)

    def test_keys(self):
        client = self.connect()
        self.enable()
        client.type("a\n")
        self.assertEqual(self.bytes_of_keyboard(4), "1e9e1c9c")
        client.key(SHIFT, True)
        client.key(ord("A"), True)
        client.key(SHIFT, False)
        client.key(ord("a"), False)
        self.assertEqual(self.bytes_of_keyboard(4), "2a1eaa9e")
        client.type("!")  # no Shift: one is added
        self.assertEqual(self.bytes_of_keyboard(4), "2a0282aa")
        client.press(0xFF53)  # right
        self.assertEqual(self.bytes_of_keyboard(4), "e04de0cd")
        client.press(0xFF13)  # Pause
        self.assertEqual(self.bytes_of_keyboard(6), "e11d45e19dc5")
        client.press(0xFF61)  # Print
        self.assertEqual(self.bytes_of_keyboard(8), "e02ae037e0b7e0aa")
        client.press(0x1234567)  # there is no such key
        client.press(0xFFBE)
        self.assertEqual(self.bytes_of_keyboard(2), "3bbb")
        self.enable(0x03)
        client.press(0xFF53)
        self.assertEqual(self.bytes_of_keyboard(5), "e074e0f074")

    def test_keys_are_released_when_a_client_leaves(self):
        self.enable()
        client = self.connect()
        client.key(ord("x"), True)
        self.assertEqual(self.bytes_of_keyboard(1), "2d")
        client.close()
        self.assertEqual(self.bytes_of_keyboard(1), "ad")

    def test_mouse(self):
        client = self.connect()
        self.enable(0x03)
        self.mouse_command(0xF4)
        client.pointer(100, 100)
        client.press(ord("a"))  # the first place has been noted when this comes
        self.assertEqual(self.bytes_of_keyboard(3), "1cf01c")
        client.pointer(110, 95)
        self.assertEqual(self.bytes_of_keyboard(3, mouse=True), "080a05")
        client.pointer(110, 95, 1)
        self.assertEqual(self.bytes_of_keyboard(3, mouse=True), "090000")
        client.pointer(110, 95, 0)
        self.assertEqual(self.bytes_of_keyboard(3, mouse=True), "080000")
        for rate in (200, 100, 80):
            self.mouse_command(0xF3, rate)
        client.pointer(110, 95, 8)
        client.pointer(110, 95, 0)
        self.assertIn(self.bytes_of_keyboard(4, mouse=True), ("080000ff",))

    def test_from_monitors(self):
        qmp = self.vm.qmp
        self.enable()
        qmp.execute("send-key", keys=[{"type": "qcode", "data": "ctrl"},
                                      {"type": "qcode", "data": "delete"}])
        self.assertEqual(self.bytes_of_keyboard(3), "1de053")
        self.nothing_left()
        self.port.clock_step(100_000_000)
        self.assertEqual(self.bytes_of_keyboard(3), "e0d39d")
        qmp.execute("send-key", keys=[{"type": "number", "data": 0x1E}], hold_time=0)
        self.port.clock_step(1)
        self.assertEqual(self.bytes_of_keyboard(2), "1e9e")
        self.assertEqual(qmp.human("sendkey alt-f1 5"), "")
        self.assertEqual(qmp.human("sendkey b"), "")  # in its turn
        self.assertEqual(self.bytes_of_keyboard(2), "383b")
        self.port.clock_step(5_000_000)
        self.assertEqual(self.bytes_of_keyboard(3), "bbb830")
        qmp.execute("input-send-event", events=[
            {"type": "key", "data": {"down": False, "key": {"type": "qcode", "data": "b"}}}])
        self.assertEqual(self.bytes_of_keyboard(1), "b0")
        self.mouse_command(0xF4)
        qmp.execute("input-send-event", events=[
            {"type": "rel", "data": {"axis": "x", "value": -3}},
            {"type": "rel", "data": {"axis": "y", "value": 7}},
            {"type": "btn", "data": {"down": True, "button": "right"}}])
        self.assertEqual(self.bytes_of_keyboard(6, mouse=True), "38fdf90a0000")
        self.assertEqual(qmp.human("mouse_button 0"), "")
        self.assertEqual(qmp.human("mouse_move 300 1"), "")
        self.assertEqual(self.bytes_of_keyboard(9, mouse=True), "08000028ffff082d00")
        for keys in ([], [{"type": "qcode", "data": "nosuch"}], [{"type": "number", "data": 0}], [3]):
            with self.assertRaises(QMPError):
                qmp.execute("send-key", keys=keys)
        for event in ({"type": "abs", "data": {"axis": "x", "value": 1}}, {"type": "btn"},
                      {"type": "rel", "data": {"axis": "z", "value": 1}}, 7):
            with self.assertRaises(QMPError):
                qmp.execute("input-send-event", events=[event])
        for line in ("sendkey", "sendkey nosuch", "mouse_move 1", "mouse_button 9", "sendkey a x"):
            self.assertIn("Error", qmp.human(line))
        self.assertIn("* Mouse #1: PS/2 mouse", qmp.human("info mice"))
        self.assertEqual([m["current"] for m in qmp.execute("query-mice")], [True])


class Password(VNCTest):
    vnc = "unix:@/vnc,password=on"

    def test_password(self):
        qmp = self.vm.qmp
        with self.assertRaises(RFBError):  # none was set yet
            self.connect(password="")
        qmp.execute("change-vnc-password", password="secret")
        with self.assertRaises(RFBError):
            self.connect(password="Secret")
        for version in (b"003.003", b"003.008"):
            self.connect(password="secret", version=version).update(False)
        qmp.execute("set_password", protocol="vnc", password="otherwise", connected="keep")
        self.connect(password="otherwis").update(False)
        qmp.execute("expire_password", protocol="vnc", time="now")
        with self.assertRaises(RFBError):
            self.connect(password="otherwise")
        qmp.execute("expire_password", protocol="vnc", time="+1000")
        self.connect(password="otherwise").update(False)
        info = qmp.execute("query-vnc")
        self.assertEqual((info["enabled"], info["auth"], info["family"]), (True, "vnc", "unix"))
        with self.assertRaisesRegex(QMPError, "vnc"):
            qmp.execute("set_password", protocol="spice", password="x")
        with self.assertRaises(QMPError):
            qmp.execute("expire_password", protocol="vnc", time="soon")


class Exclusive(VNCTest):
    def test_exclusive_client(self):
        first = self.connect()
        first.update(False)
        self.connect(shared=False).update(False)
        with self.assertRaises((EOFError, ConnectionError)):
            first.update(False)


class Forced(VNCTest):
    vnc = "unix:@/vnc,share=force-shared"

    def test_exclusive_client_is_refused(self):
        first = self.connect()
        first.update(False)
        with self.assertRaises((EOFError, ConnectionError)):
            self.connect(shared=False).update(False)
        first.update(False)


class BadClients(VNCTest):
    def raw(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self.vm.path("vnc"))
        sock.settimeout(20 * SLOWER)
        self.addCleanup(sock.close)
        return sock

    def test_half_messages_hold_nobody_up(self):
        """Clients that stop anywhere are no concern of others."""
        silent = [self.raw() for _ in range(3)]
        silent[0].sendall(b"RFB 003")
        silent[1].sendall(b"RFB 003.008\n\x01")
        for start in (b"\x04\x01\0\0", b"\0\0", b"\x02\0\x00\x10\0\0", b"\x06\0\0\0\0\0\xff\xff..."):
            client = self.connect()
            client.sock.sendall(start)
        good = self.connect()
        begin = time.monotonic()
        for _ in range(3):
            good.update(False)
        self.assertLess(time.monotonic() - begin, 2 * SLOWER)

    def test_nonsense(self):
        source = random.Random(5900)
        messages = [b"\0" + bytes(19), b"\x02\0\0\x01" + bytes(4), b"\x03" + bytes(9),
                    b"\x04" + bytes(7), b"\x05" + bytes(5), b"\x06" + bytes(7), b"\xfb" + bytes(7)]
        for i in range(60):
            client = self.connect() if i % 2 else self.raw()
            sock = client.sock if i % 2 else client
            data = bytearray(source.choice(messages) + source.randbytes(40)) if i % 2 else \
                bytearray(b"RFB 003.008\n\x01\x01" + source.randbytes(60))
            for _ in range(3):
                data[source.randrange(len(data))] = source.randrange(256)
            try:
                sock.sendall(bytes(data))
                sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            sock.close()
        self.connect().update(False)

    def test_pixel_formats(self):
        """Whatever a client wants pixels to be, others get theirs."""
        source = random.Random(6143)
        for _ in range(40):
            client = self.connect()
            client.sock.sendall(b"\0\0\0\0" + bytes(source.choice((8, 16, 32, 24, 0, 255)) if i == 0
                                                   else source.randrange(256) for i in range(16)))
            try:
                client.request(False)
                client.sock.recv(1)
            except OSError:
                pass
            client.close()
        self.connect().update(False)

    def test_encodings(self):
        """Every encoding that the library knows is sent without harm."""
        self.vga.set_dispi(331, 203, 32)
        self.port.write(FRAMEBUFFER, os.urandom(60000))
        for encoding in (1, 2, 4, 5, 6, 7, 8, 9, 16, 17, -260):
            client = self.connect()
            client.sock.sendall(struct.pack(">BxHiii", 2, 3, encoding, -32, -23))
            client.request(False)
            self.assertEqual(client.sock.recv(1), b"\0")
            client.close()

    def test_cut_text_is_skipped(self):
        client = self.connect()
        client.sock.sendall(b"\x06\0\0\0" + struct.pack(">I", 300000) + b"x" * 300000)
        client.update(False)
        client.sock.sendall(b"\x06\0\0\0" + struct.pack(">i", -12) + b"x" * 12)
        client.update(False)

    def test_file_transfer_and_browsers_are_refused(self):
        client = self.connect()
        client.sock.sendall(b"\x07\x01\0\0\0\0\0\0\0\0\0\0")
        with self.assertRaises((EOFError, ConnectionError)):
            client.update(False)
        browser = self.raw()
        browser.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\n\r\n")
        data = b""
        try:
            while part := browser.recv(4096):
                data += part
        except ConnectionError:
            pass
        self.assertIn(data, (b"", b"RFB 003.008\n"))
        self.connect().update(False)

    def test_who_does_not_read(self):
        """Holds nobody up, and is given no more than one picture."""
        self.vga.set_dispi(1024, 768, 32)
        lazy = self.connect()
        lazy.request(False)
        good = self.connect()
        begin = time.monotonic()
        for _ in range(3):
            lazy.request(False)
            good.update(False)
        self.assertLess(time.monotonic() - begin, 2 * SLOWER)
        lazy.update(False)

    def test_last_words(self):
        """A client that types and leaves at once has typed."""
        for text in ("a", "b", "c"):
            client = self.connect()
            client.update(False)
            client.key(ord(text), True)
            client.close()
            self.vm.qmp.wait_event("VNC_DISCONNECTED")
        self.port.outb(0x64, 0x60)
        self.port.outb(0x60, 0x43)
        got = b""
        while self.port.inb(0x64) & 1:
            got += bytes([self.port.inb(0x60)])
        self.assertEqual(got.hex(), "1e9e30b02eae")

    def test_many_that_say_nothing(self):
        """However many wait at the door, a client gets in."""
        silent = [self.raw() for _ in range(80)]
        self.connect().update(False)
        for sock in silent:
            sock.close()
        self.connect().update(False)


class Listening(unittest.TestCase):
    def test_tcp_and_the_next_free_port(self):
        with Duodm("-vnc", "127.0.0.1:77,to=99", "-name", "guest", qtest=True) as first:
            info = first.qmp.execute("query-vnc")
            self.assertEqual((info["enabled"], info["host"], info["auth"]),
                             (True, "127.0.0.1", "none"))
            port = int(info["service"])
            self.assertIn(port, range(5977, 6000))
            with Duodm("-vnc", f"127.0.0.1:{port - 5900},to=99", qtest=True) as second:
                other = int(second.qmp.execute("query-vnc")["service"])
                self.assertGreater(other, port)
            with RFB(("127.0.0.1", port)) as client:
                self.assertEqual(client.name, "duodm (guest)")
                client.update(False)
                event = first.qmp.wait_event("VNC_INITIALIZED")
                self.assertEqual(event["data"]["client"]["host"], "127.0.0.1")
                self.assertIn("Client: 127.0.0.1", first.qmp.human("info vnc"))
            first.qmp.wait_event("VNC_DISCONNECTED")
            servers = first.qmp.execute("query-vnc-servers")
            self.assertEqual(servers[0]["server"][0]["service"], str(port))
            result = run("-accel", "qtest", "-vnc", f"127.0.0.1:{port - 5900}")
            self.assertEqual(result.returncode, 1)
            self.assertIn("in use", result.stderr)

    def test_none(self):
        with Duodm("-vnc", "none", qtest=True) as vm:
            self.assertEqual(vm.qmp.execute("query-vnc"), {"enabled": False})
            self.assertEqual(vm.qmp.human("info vnc"), "None\r\n".replace("\r", ""))
            with self.assertRaises(QMPError):
                vm.qmp.execute("change-vnc-password", password="x")
            with open(f"/proc/{vm.process.pid}/maps") as maps:
                self.assertNotIn("libvncserver", maps.read())

    def test_quits_with_clients(self):
        with Duodm("-vnc", "unix:@/vnc", "-vga", "std", qtest=True) as vm:
            with RFB(vm.path("vnc")) as client:
                client.update(False)
                client.request()
                self.assertEqual(vm.quit(), 0)
            self.assertFalse(os.path.exists(vm.path("vnc")))

    def test_refused(self):
        for text, message in ((":x", "HOST:NUMBER"), ("nothing", "HOST:NUMBER"), (":1,websocket=on",
                              "websocket"), (":1,to=0", "to=0"), (":1,share=x", "share=x"),
                              (":99999", "too large"), (":1,nosuch=1", "nosuch"),
                              (":1,tls-creds=x", "tls-creds"), ("unix:/nowhere/x", "nowhere")):
            result = run("-accel", "qtest", "-vnc", text)
            self.assertEqual(result.returncode, 1, text)
            self.assertIn(message, result.stderr)
        result = run("-accel", "qtest", "-display", "vnc=:x")
        self.assertIn("display", result.stderr)

    def test_keymap_is_accepted(self):
        with Duodm("-vnc", "unix:@/vnc", "-k", "de", qtest=True) as vm:
            self.assertIn("US keyboard", vm.stderr())
