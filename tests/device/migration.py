# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a machine is sent to: names that can't be, peers and commands that never answer."""
import socket
import unittest

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

    def test_reading_from_a_command_that_does_not_end(self):
        with Duodm("-m", "8", "-incoming", "exec:sleep 1000", qtest=True) as vm:
            self.assertEqual(vm.qmp.execute("query-status")["status"], "inmigrate")
            self.assertEqual(vm.quit(), 0)


if __name__ == "__main__":
    unittest.main()
