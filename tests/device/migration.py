# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a machine is sent to: names that can't be, peers and commands that never answer."""
import socket
import struct
import unittest
import zlib

from duodm import Duodm, QMPError, run

OVER = ("completed", "failed", "cancelled")


class Migration(unittest.TestCase):
    def setUp(self):
        self.vm = Duodm("-m", "8", qtest=True)
        self.addCleanup(self.vm.__exit__, None, None, None)
        # TSan does not see how GLib, when the first error is made, makes what threads share from then.
        with self.assertRaises(QMPError):
            self.vm.qmp.execute("migrate", uri="nowhere")

    def status(self):
        return self.vm.qmp.execute("query-migrate")["status"]

    def begin(self, uri, status):
        self.vm.qmp.execute("migrate", uri=uri)
        while (now := self.status()) != status:
            self.assertNotIn(now, OVER)

    def check_cancel(self):
        """It is over at once, whatever the other end does, and the machine goes on."""
        self.vm.qmp.execute("migrate_cancel")
        self.assertEqual(self.status(), "cancelled")
        self.assertEqual(self.vm.qmp.execute("query-status")["status"], "running")

    def test_addresses_that_cannot_be(self):
        for uri, message in (("unix:" + "x" * 300, "must have 1 to 107 bytes"),
                             ("tcp:127.0.0.1:65536", "above 65535"), ("tcp::", "HOST:PORT"),
                             ("unix:", "not valid"), ("exec:", "not valid"), ("", "not valid"),
                             ("fd:nope", "getfd"), ("file:/nonexistent/x", "No such file")):
            with self.subTest(uri=uri), self.assertRaises(QMPError) as caught:
                self.vm.qmp.execute("migrate", uri=uri)
            self.assertIn(message, caught.exception.description)
        self.begin("exec:cat >/dev/null", "completed")

    def test_command_that_does_not_end(self):
        """It has taken everything, and is waited for: by a thread, not by the monitor."""
        self.begin("exec:cat >/dev/null; exec sleep 1000", "device")
        self.assertEqual(self.vm.qmp.execute("query-status")["status"], "finish-migrate")
        self.check_cancel()
        self.begin("exec:trap '' TERM INT HUP; cat >/dev/null; exec sleep 1000", "device")
        self.assertEqual(self.vm.quit(), 0)

    def test_command_that_takes_nothing(self):
        self.vm.qtest.write(1 << 20, b"more than a pipe holds" * 10000)
        self.begin("exec:exec sleep 1000 <&-", "failed")
        self.assertIn("can't be written", self.vm.qmp.execute("query-migrate")["error-desc"])
        self.begin("exec:cat >/dev/null; exit 3", "failed")
        self.assertIn("command failed", self.vm.qmp.execute("query-migrate")["error-desc"])
        self.assertEqual(self.vm.qmp.execute("query-status")["status"], "running")

    def test_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        self.vm.qmp.execute("migrate", uri=f"tcp:127.0.0.1:{port}")
        while self.vm.qmp.execute("query-migrate")["status"] not in OVER:
            pass
        text = self.vm.qmp.execute("query-migrate")["error-desc"]
        self.assertIn("Connection refused", text)
        self.assertNotIn("server=on", text)  # an option of sockets that are character devices

    def test_socket_that_nobody_accepts(self):
        """Its queue is full: cancelling ends the wait for room, and so does quitting."""
        path = self.vm.path("full")
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as first:
            server.bind(path)
            server.listen(0)
            first.connect(path)
            self.vm.qmp.execute("migrate", uri="unix:" + path)
            self.vm.qmp.execute("migrate_cancel")
            while self.vm.qmp.execute("query-migrate")["status"] not in OVER:
                pass
            self.assertEqual(self.vm.qmp.execute("query-migrate")["status"], "cancelled")
            self.vm.qmp.execute("migrate", uri="unix:" + path)
            self.assertEqual(self.vm.quit(), 0)

    def test_host_that_does_not_answer(self):
        """Its queue is full, so the kernel drops what asks for a connection."""
        with socket.create_server(("127.0.0.1", 0), backlog=0) as server, \
                socket.create_connection(server.getsockname()):
            uri = "tcp:127.0.0.1:%d" % server.getsockname()[1]
            self.begin(uri, "setup")
            self.check_cancel()
            self.begin(uri, "setup")
            self.assertEqual(self.vm.quit(), 0)

    def test_no_hotplug_meanwhile(self):
        """The receiver, which was started with the same devices, could not take the state."""
        self.vm.qmp.execute("device_add", driver="virtio-rng-pci", id="before")
        self.begin("exec:exec sleep 1000", "device")
        for command, arguments in (("device_add", {"driver": "virtio-rng-pci"}),
                                   ("device_del", {"id": "before"}),
                                   ("device_del", {"id": "before", "x-force": True})):
            with self.subTest(command=command), self.assertRaises(QMPError) as caught:
                self.vm.qmp.execute(command, **arguments)
            self.assertIn("while the machine is sent", caught.exception.description)
        self.check_cancel()
        self.vm.qmp.execute("device_add", driver="virtio-rng-pci", id="after")
        self.vm.qmp.execute("device_del", id="after", x_force=True)

    def test_devices_in_other_places(self):
        """A guest knows its devices by where they are, so a machine that has them elsewhere can't go
        on with it."""
        ports = ["-device", "virtio-serial-pci,id=s", "-device"]
        disk = ["-blockdev", "null-co,node-name=n,size=1048576", "-device"]
        for common, was, now in (
                (["-device"], "virtio-rng-pci,id=d,addr=5", "virtio-rng-pci,id=d,addr=6"),
                (disk, "ide-hd,id=d,drive=n,unit=0", "ide-hd,id=d,drive=n,unit=1"),
                (["-usb", "-device"], "usb-tablet,id=d", "usb-mouse,id=d"),
                (ports, "virtserialport,id=d,nr=2", "virtserialport,id=d,nr=1"),
                (["-device"], "isa-serial,id=d", "isa-serial,id=e")):
            with self.subTest(was=was), Duodm("-m", "8", *common, was, qtest=True) as vm:
                vm.qmp.execute("migrate", uri="file:" + vm.path("saved"))
                while vm.qmp.execute("query-migrate")["status"] not in OVER:
                    pass
                line = ["-accel", "qtest", "-qtest", "null", "-nodefaults", "-m", "8", *common]
                result = run(*line, now, "-incoming", "file:" + vm.path("saved"))
                self.assertEqual(result.returncode, 1)
                self.assertIn("which this machine has", result.stderr)

    def save(self, *options):
        """A file with the state of a machine of these options."""
        vm = Duodm("-m", "8", *options, qtest=True)
        self.addCleanup(vm.close)
        vm.qmp.execute("migrate", uri="file:" + vm.path("saved"))
        while vm.qmp.execute("query-migrate")["status"] not in OVER:
            pass
        self.assertEqual(vm.qmp.execute("query-migrate")["status"], "completed")
        return vm.path("saved")

    def restore(self, saved, *options):
        return run("-accel", "qtest", "-qtest", "null", "-nodefaults", "-m", "8", *options,
                   "-incoming", "file:" + saved)

    def test_devices_of_another_make(self):
        """Whatever of a device or the board a guest can tell is what it was: its options, what was
        left to us, and what comes from the host."""
        disk = ["-device", "virtio-blk-pci,id=d,addr=5,drive=n", "-blockdev"]
        queues = ["-blockdev", "null-co,node-name=n", "-device"]
        image = "null-co,node-name=n,size="
        hub = ["-netdev", "user,id=n", "-device"]
        for common, was, now, told in (
                (disk, image + "1M", image + "2M",
                 "'virtio-blk-pci d at pci.0/05.0': 'drive' was '1048576 bytes', is "
                 "'2097152 bytes' here"),
                (["-device", "ide-hd,drive=n", "-blockdev"], image + "2M", image + "1M",
                 "'ide-hd at ide.0/0': 'drive' was '2097152 bytes', is '1048576 "
                 "bytes' here"),
                (queues, "virtio-blk-pci,drive=n,num-queues=4", "virtio-blk-pci,drive=n",
                 "'num-queues' was '4', is '1' here"),
                (queues, "virtio-blk-pci,drive=n,packed=on", "virtio-blk-pci,drive=n",
                 "'packed' was 'on', is 'off' here"),
                (queues, "virtio-blk-pci,drive=n,serial=a", "virtio-blk-pci,drive=n,serial=b",
                 "'serial' was 'a', is 'b' here"),
                (["-device"], "isa-serial,iobase=0x3f8", "isa-serial,iobase=0x2f8",
                 "'isa-serial[0]': 'iobase' was '1016', is '760' here"),
                (["-device"], "VGA,romfile=,vgamem_mb=16", "VGA,romfile=,vgamem_mb=16,edid=off",
                 "'edid' was 'on', is 'off' here"),
                (hub, "e1000,netdev=n,romfile=", "e1000,netdev=n,romfile=,mac=52:54:00:00:00:01",
                 "'mac' was '52:54:00:12:34:56', is '52:54:00:00:00:01' here"),
                (["-smp"], "4,sockets=2", "4,sockets=4",
                 "'machine': 'sockets' was '2', is '4' here"),
                (["-machine"], "pc,max-ram-below-4g=1G", "pc,max-ram-below-4g=2G",
                 "'machine': 'max-ram-below-4g' was '1073741824', is '2147483648' here"),
                (["-device"], "isa-debug-exit", "isa-debug-exit,iobase=0x600",
                 "'isa-debug-exit[0]': 'iobase' was '1281', is '1536' here")):
            with self.subTest(was=was):
                result = self.restore(self.save(*common, was), *common, now)
                self.assertEqual(result.returncode, 1, result.stderr)
                self.assertIn(told, result.stderr)

    def test_long_values(self):
        """However long, they are compared; the state holds a checksum."""
        port = ("-device", "virtio-serial-pci", "-device")
        name = "virtserialport,name=" + "n" * 100000
        saved = self.save(*port, name)
        with open(saved, "rb") as file:
            self.assertNotIn(b"n" * 1000, file.read())
        self.assertIn("'name' was '", self.restore(saved, *port, name + "n").stderr)

    def test_devices_without_state(self):
        """One that has nothing to save is missed, too."""
        exit_port = ("-device", "isa-debug-exit")
        self.assertIn("without 'isa-debug-exit[0]', which this one has",
                      self.restore(self.save(), *exit_port).stderr)
        self.assertIn("with 'isa-debug-exit[0]', which this one does not have",
                      self.restore(self.save(*exit_port)).stderr)

    def test_what_a_guest_cannot_tell(self):
        """Names of the host's things, its policies, and a value that was left to us, now given."""
        was = ["-smp", "2", "-device", "isa-serial", "-usb", "-device", "usb-tablet",
               "-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n",
               "-blockdev", "null-co,node-name=n,size=1M", "-device", "virtio-blk-pci,drive=n"]
        now = ["-smp", "2,sockets=1,cores=2", "-chardev", "null,id=c", "-device",
               "isa-serial,iobase=0x3f8,chardev=c", "-usb", "-device", "usb-tablet,port=1",
               "-netdev", "user,id=o", "-device",
               "virtio-net-pci,netdev=o,mac=52:54:00:12:34:56,bootindex=1",
               "-object", "iothread,id=t", "-blockdev", "null-co,node-name=o,size=1M", "-device",
               "virtio-blk-pci,drive=o,num-queues=2,vectors=3,werror=stop,share-rw=on,iothread=t"]
        saved = self.save(*was)
        with Duodm("-m", "8", *now, "-incoming", "file:" + saved, qtest=True) as vm:
            while vm.qmp.execute("query-status")["status"] == "inmigrate":
                pass
            self.assertEqual(vm.qmp.execute("query-status")["status"], "running")

    def test_another_machine_touches_nothing(self):
        """What is refused has not changed the machine that was to take it, which goes on."""
        with Duodm("-m", "8", "-device", "isa-serial,iobase=0x2f8", qtest=True) as other, \
                Duodm("-m", "8", "-device", "isa-serial", qtest=True) as vm:
            other.qmp.execute("xen-save-devices-state", filename=other.path("state"))
            vm.qtest.outb(0x3ff, 0x5a)  # its scratch register
            vm.qmp.execute("stop")
            with self.assertRaisesRegex(QMPError, "'iobase' was '760', is '1016' here"):
                vm.qmp.execute("xen-load-devices-state", filename=other.path("state"))
            vm.qmp.execute("cont")
            self.assertEqual(vm.qtest.inb(0x3ff), 0x5a)

    def test_state_from_before_this_was_saved(self):
        """Version 1 of the first section does not say it: all fits."""
        with Duodm("-m", "8", "-device", "isa-debug-exit", qtest=True) as other, \
                Duodm("-m", "8", qtest=True) as vm:
            other.qmp.execute("xen-save-devices-state", filename=other.path("state"))
            with open(other.path("state"), "rb") as file:
                state = file.read()
            length, = struct.unpack_from("<I", state, 4)
            field = state.index(b"\x0dconfiguration")
            head = struct.pack("<III", struct.unpack("<I", state[:4])[0], field + 4, 1)
            head += state[12:field]
            head += struct.pack("<I", zlib.crc32(head))
            with open(vm.path("old"), "wb") as file:
                file.write(head + state[length:])
            vm.qmp.execute("stop")
            vm.qmp.execute("xen-load-devices-state", filename=vm.path("old"))

    def test_reading_from_a_command_that_does_not_end(self):
        with Duodm("-m", "8", "-incoming", "exec:sleep 1000", qtest=True) as vm:
            self.assertEqual(vm.qmp.execute("query-status")["status"], "inmigrate")
            self.assertEqual(vm.quit(), 0)


if __name__ == "__main__":
    unittest.main()
