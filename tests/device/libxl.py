# SPDX-License-Identifier: GPL-2.0-or-later
"""QMP as libxl and libxenstat speak it: their command line, their sequences of commands over their
sockets, and the members of replies that they read."""
import json
import os
import socket
import unittest

from duodm import QMP, SLOWER, Duodm, QMPError, connect


class Client(QMP):
    """libxl's: numbered commands, a descriptor on the first byte of a command."""

    number = 0x786c7100

    def call(self, command, arguments=None, fd=None):
        self.number += 1
        request = {"execute": command, "id": self.number}
        if arguments:
            request["arguments"] = arguments
        data = json.dumps(request).encode() + b"\r\n"
        if fd is not None:
            socket.send_fds(self.sock, [data[:1]], [fd])
            data = data[1:]
        self.sock.sendall(data)
        reply = self.reply()
        if reply.get("id") != self.number:
            raise AssertionError(f"the reply to another command: {reply}")
        if "error" in reply:
            self.last_class = reply["error"]["class"]
            raise QMPError(reply["error"])
        return reply["return"]


class Libxl(unittest.TestCase):
    """The machine has a CD drive as libxl makes it: id of the drive and of the device are one."""

    CD = "ide-5632"

    def start(self, *arguments, **rest):
        vm = Duodm("-name", "guest", "-m", "64", "-smp", "2,maxcpus=4", "-no-shutdown",
                   "-no-user-config", "-display", "none", "-boot", "order=cda", "-chardev",
                   "socket,id=libxl-cmd,path=@/libxl,server=on,wait=off", "-mon",
                   "chardev=libxl-cmd,mode=control", "-chardev",
                   "socket,id=libxenstat-cmd,path=@/xenstat,server=on,wait=off", "-mon",
                   "chardev=libxenstat-cmd,mode=control", "-serial", "pty", "-drive",
                   f"if=none,readonly=on,id={self.CD}", "-device",
                   f"ide-cd,id={self.CD},drive={self.CD},bus=ide.1,unit=0", *arguments, qtest=True,
                   **rest)
        self.addCleanup(vm.__exit__, None, None, None)
        return vm

    def client(self, vm, name="libxl"):
        sock = connect(vm.path(name))
        self.addCleanup(sock.close)
        client = Client(sock, timeout=10.0 * SLOWER, negotiate=False)
        client.sock = sock
        version = client.greeting["version"]["qemu"]
        self.assertGreaterEqual((version["major"], version["minor"], version["micro"]), (2, 11, 0))
        client.call("qmp_capabilities")
        return client

    def file(self, vm, name, data=b""):
        with open(vm.path(name), "wb") as file:
            file.write(data)
        return vm.path(name)

    def pass_file(self, client, path, flags):
        fd = os.open(path, flags)
        try:
            return client.call("add-fd", {"opaque": "libxl"}, fd)["fdset-id"]
        finally:
            os.close(fd)

    def test_probe(self):
        client = self.client(self.start())
        options = {o["option"]: [p["name"] for p in o["parameters"]]
                   for o in client.call("query-command-line-options")}
        self.assertIn("fd", options["chardev"])
        self.assertIn("incoming", options)
        self.assertGreaterEqual(client.call("query-version")["qemu"]["major"], 4)

    def test_start(self):
        client = self.client(self.start("-S"))
        self.assertEqual(client.call("query-status")["status"], "prelaunch")
        chardevs = {c["label"]: c["filename"] for c in client.call("query-chardev")}
        self.assertRegex(chardevs["serial0"], r"^pty:/dev/pts/\d+$")
        client.call("cont")
        self.assertEqual(client.call("query-status")["status"], "running")

    def test_save_and_restore(self):
        vm = self.start()
        client = self.client(vm)
        vm.qtest.outb(0x70, 0x30)
        vm.qtest.outb(0x71, 0x5a)
        client.call("xen-set-global-dirty-log", {"enable": True})
        client.call("stop")
        path = self.file(vm, "save")
        number = self.pass_file(client, path, os.O_WRONLY)
        client.call("xen-save-devices-state", {"filename": f"/dev/fdset/{number}", "live": True})
        client.call("remove-fd", {"fdset-id": number})
        self.assertEqual(client.call("query-fdsets"), [])
        self.assertLess(os.path.getsize(path), 256 << 10)
        # libxl gives it to the next duodm as an open descriptor.
        fd = os.open(path, os.O_RDONLY)
        restored = self.start("-S", "-incoming", f"fd:{fd}", pass_fds=[fd])
        os.close(fd)
        other = self.client(restored)
        while other.call("query-status")["status"] == "inmigrate":
            pass
        self.assertEqual(other.call("query-status")["status"], "paused")
        other.call("cont")
        self.assertEqual(other.call("query-status")["status"], "running")
        restored.qtest.outb(0x70, 0x30)
        self.assertEqual(restored.qtest.inb(0x71), 0x5a)
        # The migration failed, after all: the old one goes on.
        client.call("cont")
        self.assertEqual(client.call("query-status")["status"], "running")

    def test_save_to_a_descriptor_that_is_only_read(self):
        vm = self.start()
        client = self.client(vm)
        number = self.pass_file(client, self.file(vm, "save"), os.O_RDONLY)
        with self.assertRaisesRegex(QMPError, "ermission"):
            client.call("xen-save-devices-state", {"filename": f"/dev/fdset/{number}"})
        with self.assertRaisesRegex(QMPError, "No such"):
            client.call("xen-save-devices-state", {"filename": "/dev/fdset/77"})
        self.assertEqual(client.call("query-status")["status"], "running")

    def test_cd_insert_and_eject(self):
        vm = self.start()
        client = self.client(vm)
        image = self.file(vm, "cd.iso", b"x" * 65536)
        self.assertEqual(client.call("query-version")["qemu"]["major"], 7)
        client.call("eject", {"id": self.CD, "force": True})
        number = self.pass_file(client, image, os.O_RDONLY)
        client.call("blockdev-change-medium", {"id": self.CD, "filename": f"/dev/fdset/{number}",
                                               "format": "raw"})
        drive = {d["device"]: d for d in client.call("query-block")}[self.CD]
        self.assertTrue(drive["removable"])
        self.assertFalse(drive["tray_open"])
        self.assertEqual(drive["inserted"]["image"]["virtual-size"], 65536)
        client.call("remove-fd", {"fdset-id": number})
        client.call("eject", {"id": self.CD})
        drive = {d["device"]: d for d in client.call("query-block")}[self.CD]
        self.assertNotIn("inserted", drive)
        # What can't be opened leaves the drive as it is.
        client.call("blockdev-change-medium", {"id": self.CD, "filename": image, "format": "raw"})
        with self.assertRaises(QMPError):
            client.call("blockdev-change-medium", {"id": self.CD, "filename": "/dev/fdset/9",
                                                   "format": "raw"})
        drive = {d["device"]: d for d in client.call("query-block")}[self.CD]
        self.assertIn("inserted", drive)
        with self.assertRaises(QMPError):
            client.call("eject", {"id": "no-such"})

    def test_vcpu_set(self):
        vm = self.start()
        client = self.client(vm)
        self.assertEqual([c["cpu-index"] for c in client.call("query-cpus-fast")], [0, 1])
        kind = client.call("query-hotpluggable-cpus")[0]["type"]
        self.assertEqual(vm.qtest.inb(0xaf00), 3)
        for number in 2, 3:
            client.call("device_add", {"driver": kind, "id": f"cpu-{number}", "socket-id": number,
                                       "core-id": 0, "thread-id": 0})
        self.assertEqual([c["cpu-index"] for c in client.call("query-cpus-fast")], [0, 1, 2, 3])
        self.assertEqual(vm.qtest.inb(0xaf00), 15)
        self.assertEqual(vm.qtest.inb(0xafe0) & 4, 4)  # general-purpose event 2
        for wrong in ({"socket-id": 3}, {"socket-id": 4}, {"socket-id": 1, "core-id": 1}):
            with self.assertRaises(QMPError):
                client.call("device_add", {"driver": kind, "id": "cpu-9", **wrong})
        client.call("device_del", {"id": "cpu-3"})
        self.assertEqual([c["cpu-index"] for c in client.call("query-cpus-fast")], [0, 1, 2])
        with self.assertRaises(QMPError):
            client.call("device_del", {"id": "cpu-3"})
        with self.assertRaises(QMPError):
            client.call("device_del", {"id": "cpu-0"})

    def test_members_of_replies(self):
        """What libxl reads, of the type that it expects: a wrong one fails its whole operation."""
        vm = self.start("-vnc", "127.0.0.1:0,to=99,password=on", "-device",
                        "rtl8139,id=nic0,addr=5", "-drive",
                        "driver=null-co,size=1M,if=ide,index=0")
        client = self.client(vm)
        self.pass_file(client, self.file(vm, "f"), os.O_RDONLY)
        for command, form in (
                ("query-status", {"status": str}),
                ("query-chardev", [{"label": str, "filename": str}]),
                ("query-vnc", {"enabled": bool, "host": str, "service": str}),
                ("query-version", {"qemu": {"major": int, "minor": int, "micro": int}}),
                ("query-fdsets", [{"fdset-id": int, "fds": [{"fd": int, "opaque": str}]}]),
                ("query-pci", [{"devices": [{"qdev_id": str, "slot": int, "function": int}]}]),
                ("query-cpus-fast", [{"cpu-index": int}]),
                ("query-hotpluggable-cpus", [{"type": str}]),
                ("query-command-line-options", [{"option": str, "parameters": [{"name": str}]}]),
                ("query-block", [{"device": str, "removable": bool}]),
                ("query-blockstats", [{"device": str, "stats": {
                    "rd_bytes": int, "wr_bytes": int, "rd_operations": int,
                    "wr_operations": int}}])):
            with self.subTest(command=command):
                self.check_form(client.call(command), form)
        client.call("change-vnc-password", {"password": "secret"})
        card = next(d for d in client.call("query-pci")[0]["devices"] if d["qdev_id"] == "nic0")
        self.assertEqual((card["slot"], card["function"]), (5, 0))

    def check_form(self, value, form):
        if isinstance(form, type):
            self.assertIs(type(value), form)
        elif isinstance(form, list):
            self.assertIsInstance(value, list)
            if form != [{"name": str}]:  # most options have no parameters that are told
                self.assertTrue(value)
            for item in value:
                self.check_form(item, form[0])
        else:
            for key, inner in form.items():
                self.assertIn(key, value)
                self.check_form(value[key], inner)

    def test_commands_of_other_versions(self):
        """libxl tries the new form of a command, and falls back when its class says so."""
        client = self.client(self.start())
        for command, arguments in (("cpu-add", {"id": 2}), ("query-cpus", None),
                                   ("change", {"device": self.CD, "target": "x"}),
                                   ("xen-colo-do-checkpoint", None),
                                   ("x-blockdev-change", {"parent": "x"}),
                                   ("xen-set-replication", {"enable": True, "primary": True}),
                                   ("query-xen-replication-status", None)):
            with self.subTest(command=command):
                with self.assertRaises(QMPError):
                    client.call(command, arguments)
                self.assertEqual(client.last_class, "CommandNotFound")

    def test_usb_attach(self):
        """xl usbctrl-attach of a version-1 controller; others, and host devices, are refused."""
        vm = self.start()
        client = self.client(vm)
        client.call("device_add", {"driver": "piix3-usb-uhci", "id": "xenusb-0"})
        ids = [d["qdev_id"] for d in client.call("query-pci")[0]["devices"]]
        self.assertIn("xenusb-0", ids)
        for driver, text in (("usb-ehci", "piix3-usb-uhci"), ("nec-usb-xhci", "piix3-usb-uhci"),
                             ("usb-host", "usb-tablet")):
            with self.assertRaisesRegex(QMPError, f"'{driver}'.*{text}"):
                client.call("device_add", {"driver": driver, "id": "xenusb-1"})
        client.call("device_del", {"id": "xenusb-0"})

    def test_wakeup_is_refused_where_nothing_sleeps(self):
        with self.assertRaisesRegex(QMPError, "sleep"):
            self.client(self.start()).call("system_wakeup")

    def test_unknown_commands_by_their_class(self):
        client = self.client(self.start())
        with self.assertRaises(QMPError):
            client.call("nbd-server-start", {"addr": {}})
        self.assertEqual(client.last_class, "CommandNotFound")

    def test_human_monitor_command(self):
        client = self.client(self.start())
        self.assertIn("duodm", client.call("human-monitor-command",
                                           {"command-line": "info version"}))

    def test_xenstat(self):
        vm = self.start("-drive", "file.driver=null-co,file.size=1M,format=raw,if=none,id=hda",
                        "-device", "virtio-blk-pci,drive=hda")
        client = self.client(vm, "xenstat")
        stats = {d["device"]: d["stats"] for d in client.call("query-blockstats")}
        for name in "rd_bytes", "wr_bytes", "rd_operations", "wr_operations":
            self.assertEqual(stats["hda"][name], 0)
        drives = {d["device"]: d for d in client.call("query-block")}
        self.assertEqual(drives["hda"]["inserted"]["drv"], "raw")
        self.assertIn("file", drives["hda"]["inserted"])
        # Both sockets serve at once.
        self.assertIn("status", self.client(vm).call("query-status"))

    def test_descriptor_that_did_not_come(self):
        client = self.client(self.start())
        with self.assertRaisesRegex(QMPError, "SCM_RIGHTS"):
            client.call("add-fd")
        with self.assertRaises(QMPError):
            client.call("remove-fd", {"fdset-id": 0})

    def test_sets(self):
        vm = self.start()
        client = self.client(vm)
        path = self.file(vm, "f")
        first = self.pass_file(client, path, os.O_RDONLY)
        fd = os.open(path, os.O_RDWR)
        added = client.call("add-fd", {"fdset-id": first}, fd)
        self.assertEqual(added["fdset-id"], first)
        other = client.call("add-fd", {}, fd)["fdset-id"]
        os.close(fd)
        self.assertNotEqual(first, other)
        sets = {s["fdset-id"]: s["fds"] for s in client.call("query-fdsets")}
        self.assertEqual(sets[first][0]["opaque"], "libxl")
        self.assertEqual(len(sets[first]), 2)
        client.call("remove-fd", {"fdset-id": first, "fd": added["fd"]})
        sets = {s["fdset-id"]: s["fds"] for s in client.call("query-fdsets")}
        self.assertEqual(len(sets[first]), 1)
        with self.assertRaises(QMPError):
            client.call("add-fd", {"fdset-id": -4}, 1)


if __name__ == "__main__":
    unittest.main()
