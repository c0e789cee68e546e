# SPDX-License-Identifier: GPL-2.0-or-later
"""Character devices: sockets, pseudo-terminals, files, standard input and output."""

import os
import select
import signal
import socket
import subprocess
import termios
import unittest

from duodm import BINARY, SLOWER, Duodm, Stream, connect

COM1 = 0x3F8


def put(vm, data):
    for byte in data:
        vm.qtest.outb(COM1, byte)


def get(vm, count):
    """Bytes from the guest's side; each is announced by its interrupt."""
    got = b""
    for _ in range(count):
        vm.qtest.wait_irq(4, True)
        got += bytes([vm.qtest.inb(COM1)])
    return got


def listen_for_input(vm):
    vm.qtest.intercept()
    vm.qtest.outb(COM1 + 1, 1)


def filename(vm, label):
    return {c["label"]: c["filename"] for c in vm.qmp.execute("query-chardev")}[label]


class Sockets(unittest.TestCase):
    def test_server_serves_one_client_after_the_other(self):
        with Duodm("-serial", "unix:@/s,server=on,wait=off", qtest=True) as vm:
            listen_for_input(vm)
            path = vm.path("s")
            self.assertEqual(filename(vm, "serial0"), f"disconnected:unix:{path},server=on")
            put(vm, b"nobody hears this")
            for text in (b"first", b"second"):
                client = Stream(connect(path))
                client.write(text)
                self.assertEqual(get(vm, len(text)), text)
                self.assertEqual(filename(vm, "serial0"), f"unix:{path},server=on")
                put(vm, text[::-1])
                self.assertEqual(client.read_exactly(len(text)), text[::-1])
                client.fd.close()

    def test_second_client_waits(self):
        with Duodm("-serial", "unix:@/s,server=on,wait=off", qtest=True) as vm:
            listen_for_input(vm)
            first, second = connect(vm.path("s")), connect(vm.path("s"))
            second.send(b"2")
            first.send(b"1")
            self.assertEqual(get(vm, 1), b"1")
            first.close()
            self.assertEqual(get(vm, 1), b"2")
            second.close()

    def test_stale_socket_is_replaced_and_a_live_one_not(self):
        with Duodm(qtest=True) as outer:
            path = outer.path("s")
            stale = socket.socket(socket.AF_UNIX)
            stale.bind(path)
            stale.close()
            with Duodm("-serial", f"unix:{path},server=on,wait=off", qtest=True) as vm:
                connect(path).close()
                with self.assertRaises(AssertionError) as caught:
                    Duodm("-serial", f"unix:{path},server=on,wait=off", qtest=True)
                self.assertIn("another process listens", str(caught.exception))
                self.assertTrue(os.path.exists(path))
                vm.quit()
            with open(path, "w", encoding="ascii"):
                pass
            with self.assertRaises(AssertionError) as caught:
                Duodm("-serial", f"unix:{path},server=on,wait=off", qtest=True)
            self.assertIn("is not a socket", str(caught.exception))
            self.assertTrue(os.path.exists(path))

    def test_tcp(self):
        with Duodm("-serial", "tcp:127.0.0.1:0,server=on,wait=off,nodelay=on", qtest=True) as vm:
            listen_for_input(vm)
            port = int(filename(vm, "serial0").split(",")[0].rsplit(":", 1)[1])
            client = Stream(socket.create_connection(("127.0.0.1", port)))
            client.write(b"ping")
            self.assertEqual(get(vm, 4), b"ping")
            put(vm, b"pong")
            self.assertEqual(client.read_exactly(4), b"pong")
            client.fd.close()

    def test_client_reconnects(self):
        server = socket.socket(socket.AF_UNIX)
        with Duodm(qtest=True) as outer:
            server.bind(outer.path("s"))
            server.listen()
            server.settimeout(20 * SLOWER)
            with Duodm("-chardev", f"socket,id=c,path={outer.path('s')},reconnect=1", "-serial",
                       "chardev:c", qtest=True) as vm:
                listen_for_input(vm)
                for text in (b"a", b"b"):
                    peer, _ = server.accept()
                    peer.send(text)
                    self.assertEqual(get(vm, 1), text)
                    peer.close()
        server.close()

    def test_host_that_does_not_answer(self):
        """Its queue is full, so the kernel drops what asks for a connection; nobody waits for that,
        neither the start nor the monitor."""
        with socket.create_server(("127.0.0.1", 0), backlog=0) as server, \
                socket.create_connection(server.getsockname()):
            port = server.getsockname()[1]
            with Duodm("-chardev", f"socket,id=c,host=127.0.0.1,port={port},reconnect=1",
                       "-serial", "chardev:c", "-netdev", "stream,id=n,reconnect=1,addr.type=inet,"
                       f"addr.host=127.0.0.1,addr.port={port}", "-device",
                       "virtio-net-pci,netdev=n", qtest=True) as vm:
                self.assertEqual(filename(vm, "c"), f"disconnected:tcp:127.0.0.1:{port}")
                vm.qmp.execute("device_add", driver="virtio-rng-pci")
                self.assertEqual(vm.quit(), 0)

    def test_wait(self):
        with Duodm(qtest=True) as outer:
            path = outer.path("s")
            process = subprocess.Popen([BINARY, "-accel", "qtest", "-nodefaults", "-qmp",
                                        f"unix:{path},server=on"], stderr=subprocess.PIPE)
            try:
                self.assertIn(b"waits", process.stderr.readline())
                client = Stream(connect(path))
                client.expect(rb'"QMP"')
                client.write(b'{"execute":"qmp_capabilities"}{"execute":"quit"}')
                self.assertEqual(process.wait(10 * SLOWER), 0)
                client.fd.close()
            finally:
                process.kill()
                process.stderr.close()

    def test_peer_that_vanishes(self):
        """While output waits for it; the guest must not hang on a dead peer."""
        with Duodm("-serial", "unix:@/s,server=on,wait=off", qtest=True) as vm:
            client = connect(vm.path("s"))
            while vm.qtest.inb(COM1 + 5) & 0x20:
                for _ in range(256):
                    vm.qtest.outb(COM1, 0x41)
            client.close()
            vm.qtest.outb(COM1 + 7, 0)
            deadline = 200
            while not vm.qtest.inb(COM1 + 5) & 0x20 and deadline:
                deadline -= 1
                select.select([], [], [], 0.01)
            self.assertTrue(vm.qtest.inb(COM1 + 5) & 0x20)

    def test_descriptors_that_nobody_wants(self):
        """SCM_RIGHTS to a serial port: closed, not collected."""
        with Duodm("-serial", "unix:@/s,server=on,wait=off", qtest=True) as vm:
            listen_for_input(vm)
            client = connect(vm.path("s"))
            with open("/dev/null", "rb") as null:
                for _ in range(50):
                    socket.send_fds(client, [b"x"], [null.fileno()] * 4)
                    self.assertEqual(get(vm, 1), b"x")
            count = len(os.listdir(f"/proc/{vm.process.pid}/fd"))
            self.assertLess(count, 40)
            client.close()


class Pty(unittest.TestCase):
    def open_slave(self, vm, path=None):
        path = path or filename(vm, "serial0").removeprefix("pty:")
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        self.addCleanup(lambda: os.close(fd) if fd in self.open else None)
        self.open.add(fd)
        return fd

    def close_slave(self, fd):
        self.open.discard(fd)
        os.close(fd)

    def setUp(self):
        self.open = set()

    def test_open_close_and_open_again(self):
        with Duodm("-serial", "pty", qtest=True) as vm:
            listen_for_input(vm)
            self.assertIn("/dev/pts/", vm.stderr())
            put(vm, b"lost: nobody has it open" * 1000)
            for text in (b"first", b"second"):
                slave = self.open_slave(vm)
                os.write(slave, text)
                self.assertEqual(get(vm, len(text)), text)
                put(vm, text)
                self.assertEqual(Stream(slave).read_exactly(len(text)), text)
                self.close_slave(slave)
            vm.quit()

    def test_written_and_closed_at_once(self):
        """Before duodm has noticed that it was opened."""
        with Duodm("-serial", "pty", qtest=True) as vm:
            listen_for_input(vm)
            path = filename(vm, "serial0").removeprefix("pty:")
            for text in (b"once", b"more"):
                vm.process.send_signal(signal.SIGSTOP)
                slave = self.open_slave(vm, path)
                os.write(slave, text)
                self.close_slave(slave)
                vm.process.send_signal(signal.SIGCONT)
                self.assertEqual(get(vm, len(text)), text)
            vm.quit()

    def test_raw_from_the_start(self):
        with Duodm("-serial", "pty", qtest=True) as vm:
            slave = self.open_slave(vm)
            modes = termios.tcgetattr(slave)
            self.assertFalse(modes[3] & (termios.ECHO | termios.ICANON | termios.ISIG))
            self.assertFalse(modes[1] & termios.OPOST)
            self.close_slave(slave)
            vm.quit()

    def test_link(self):
        with Duodm("-chardev", "pty,id=serial0,path=@/link", "-serial", "chardev:serial0",
                   qtest=True) as vm:
            self.assertEqual(filename(vm, "serial0"), "pty:" + os.readlink(vm.path("link")))
            vm.quit()
            self.assertFalse(os.path.lexists(vm.path("link")))


class Files(unittest.TestCase):
    def test_file(self):
        with Duodm("-chardev", "file,id=f,path=@/out,append=on", "-serial", "chardev:f",
                   qtest=True) as vm:
            put(vm, b"text")
            with open(vm.path("out"), "rb") as file:
                self.assertEqual(file.read(), b"text")

    def test_input_file(self):
        with Duodm(qtest=True) as outer:
            with open(outer.path("in"), "wb") as file:
                file.write(b"from a file")
            with Duodm("-chardev", f"file,id=f,path=@/out,input-path={outer.path('in')}",
                       "-serial", "chardev:f", qtest=True) as vm:
                listen_for_input(vm)
                self.assertEqual(get(vm, 11), b"from a file")

    def test_full_disk_is_told_once(self):
        with Duodm("-serial", "file:/dev/full", qtest=True) as vm:
            put(vm, b"xxx")
            self.assertTrue(vm.qtest.inb(COM1 + 5) & 0x20)
            self.assertEqual(vm.stderr().count("output is lost"), 1)


class StandardStreams(unittest.TestCase):
    def talk(self, stdin, stdout=subprocess.PIPE):
        return Duodm("-serial", "stdio", qtest=True, stdin=stdin, stdout=stdout)

    def test_pipe(self):
        reader, writer = os.pipe()
        with self.talk(reader) as vm:
            os.close(reader)
            listen_for_input(vm)
            os.write(writer, b"in")
            self.assertEqual(get(vm, 2), b"in")
            os.close(writer)
            put(vm, b"out")  # the end of input is not the end of output
            self.assertEqual(os.read(vm.process.stdout.fileno(), 3), b"out")

    def test_null_and_file(self):
        with self.talk(subprocess.DEVNULL) as vm:
            put(vm, b"x")
            self.assertEqual(os.read(vm.process.stdout.fileno(), 1), b"x")
        with Duodm(qtest=True) as outer:
            with open(outer.path("in"), "w+b") as file:
                file.write(b"regular")
                file.seek(0)
                with self.talk(file) as vm:
                    listen_for_input(vm)
                    self.assertEqual(get(vm, 7), b"regular")

    def test_flags_of_shared_descriptors_are_left_alone(self):
        """O_NONBLOCK belongs to the open file, which the shell shares."""
        ours, theirs = socket.socketpair()
        with self.talk(theirs, stdout=theirs) as vm:
            self.assertEqual(vm.quit(), 0)
        self.assertTrue(os.get_blocking(theirs.fileno()))
        ours.close()
        theirs.close()
        reader, writer = os.pipe()
        with self.talk(reader) as vm:
            self.assertTrue(os.get_blocking(reader))
            vm.quit()
        os.close(reader)
        os.close(writer)

    def test_reader_that_leaves(self):
        reader, writer = os.pipe()
        with self.talk(subprocess.DEVNULL, stdout=writer) as vm:
            os.close(writer)
            os.close(reader)
            put(vm, b"into a broken pipe")
            self.assertEqual(vm.quit(), 0)


if __name__ == "__main__":
    unittest.main()
