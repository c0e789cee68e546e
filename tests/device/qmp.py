# SPDX-License-Identifier: GPL-2.0-or-later
"""QMP: the protocol itself, its commands and events, and what bad clients do."""

import json
import os
import unittest

from duodm import QMP, Duodm, QMPError, Stream, connect

STATUS = b'{"execute": "query-status"}'


class Protocol(unittest.TestCase):
    def setUp(self):
        self.vm = Duodm("-qmp", "unix:@/qmp,server=on,wait=off", qtest=True)
        self.addCleanup(self.vm.__exit__, None, None, None)

    def client(self, negotiate=True):
        sock = connect(self.vm.path("qmp"))
        self.addCleanup(sock.close)
        return QMP(sock, negotiate=negotiate)

    def send(self, client, data):
        client.write(data)
        return client.reply()

    def assertError(self, reply, kind="GenericError"):
        self.assertIn("error", reply, reply)
        self.assertEqual(reply["error"]["class"], kind)
        self.assertTrue(reply["error"]["desc"])

    def test_greeting(self):
        client = self.client(negotiate=False)
        version = client.greeting["version"]
        self.assertEqual(version["qemu"], {"major": 7, "minor": 2, "micro": 0})
        self.assertTrue(version["package"].startswith("duodm "))
        self.assertIsInstance(client.greeting["capabilities"], list)

    def test_capabilities_first(self):
        client = self.client(negotiate=False)
        self.assertError(self.send(client, STATUS), "CommandNotFound")
        self.assertEqual(client.execute("qmp_capabilities"), {})
        self.assertIn("status", client.execute("query-status"))
        self.assertError(self.send(client, b'{"execute": "qmp_capabilities"}'), "CommandNotFound")

    def test_id_is_echoed(self):
        client = self.client()
        for value in (1, "x", None, [1, {"a": 2}], {"k": "v"}, 1.5, True):
            request = json.dumps({"execute": "query-status", "id": value}).encode()
            self.assertEqual(self.send(client, request)["id"], value)
            request = json.dumps({"execute": "no-such", "id": value}).encode()
            reply = self.send(client, request)
            self.assertError(reply, "CommandNotFound")
            self.assertEqual(reply["id"], value)
        self.assertNotIn("id", self.send(client, STATUS))

    def test_split_and_joined(self):
        client = self.client()
        for index in range(len(STATUS)):
            client.write(STATUS[index:index + 1])
        self.assertIn("return", client.reply())
        client.write(STATUS * 3 + b"\r\n\t " + STATUS)
        for _ in range(4):
            self.assertIn("return", client.reply())
        client.write(b'{\n"execute"\n:\n"query-status"\n}')
        self.assertIn("return", client.reply())

    def test_unknown_command_names_the_nearest(self):
        reply = self.send(self.client(), b'{"execute": "query-statsu"}')
        self.assertError(reply, "CommandNotFound")
        self.assertIn("query-status", reply["error"]["desc"])

    def test_bad_commands(self):
        client = self.client()
        for text in (b"[]", b'[{"execute":"stop"}]', b"{}", b'{"execute": 1}',
                     b'{"execute": "stop", "arguments": []}', b'{"execute": "stop", "foo": 1}',
                     b'{"execute": "stop", "arguments": {"x": 1}}',
                     b'{"execute": "human-monitor-command"}',
                     b'{"execute": "human-monitor-command", "arguments": {"command-line": 1}}',
                     b'{"execute": "human-monitor-command", "arguments": '
                     b'{"command-line": "", "cpu-index": 99}}',
                     b'{"execute": "human-monitor-command", "arguments": '
                     b'{"command-line": "", "cpu-index": -1}}',
                     b'{"execute": "stop", "execute": "stop"}',
                     b'{"execute": "\\u0000"}', b'{"execute": "\\ud800"}',
                     b'{"id": 1e999, "execute": "stop"}', b'{"id": 1.2.3, "execute": "stop"}',
                     b'{"id": nul, "execute": "stop"}'):
            with self.subTest(text=text):
                self.assertError(self.send(client, text))
                self.assertIn("return", self.send(client, STATUS))

    def test_garbage_and_resynchronisation(self):
        client = self.client()
        for text in (b"hello", b"}", b"]", b'"x"', b"{foo}", b'{"a"]', b"[1 2]", b"{,}", b"\x00",
                     b'{"a": "line\n', bytes(range(1, 10)), b"\x80\xfe", b"{]", b"[}", b'{"a" "b"}',
                     b"[,1]", b'{"a":,}', b'{"execute": "stop",}'):
            with self.subTest(text=text):
                self.assertError(self.send(client, text + b"\n"))
                if b"\n" in text:  # what follows the line feed is a new, broken line
                    self.assertError(client.reply()) if text.split(b"\n", 1)[1] else None
                self.assertIn("return", self.send(client, STATUS))

    def test_ff_starts_afresh(self):
        client = self.client()
        client.write(b'{"execute": "query-sta\xff')
        self.assertError(client.reply())
        self.assertIn("return", self.send(client, b"\xff\xff" + STATUS))

    def test_invalid_utf8(self):
        self.assertError(self.send(self.client(), b'{"execute": "\xc3\x28"}'))

    def test_deep_nesting(self):
        client = self.client()
        self.assertError(self.send(client, b'{"id": ' + b"[" * 100000 + b"\n"))
        self.assertIn("return", self.send(client, STATUS))
        deep = b"[" * 500 + b"]" * 500
        self.assertIn("return",
                      self.send(client, b'{"execute": "query-status", "id": ' + deep + b"}"))

    def test_endless_line(self):
        """100 MB without a line feed: an error, and no memory of them."""
        client = self.client()
        self.rss = self.resident()
        client.write(b'{"execute": "')
        for _ in range(1600):
            client.write(b"a" * 65536)
        self.assertError(client.reply())
        self.assertLess(self.resident() - self.rss, 32 << 20)
        client.write(b"\n")
        self.assertIn("return", self.send(client, STATUS))

    def resident(self):
        with open(f"/proc/{self.vm.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def test_client_that_never_reads(self):
        """Replies that nobody takes are bounded: commands are no longer read then."""
        client = self.client()
        request = b'{"execute": "query-commands"}\n' * 1000
        client.fd.setblocking(False)
        before = self.resident()
        try:
            for _ in range(2000):
                client.fd.send(request)
        except BlockingIOError:
            pass
        other = self.client()
        self.assertIn("status", other.execute("query-status"))
        self.assertLess(self.resident() - before, 64 << 20)

    def test_disconnect_midway(self):
        for part in (b"", b"{", b'{"execute": "query-sta', STATUS, STATUS * 100):
            sock = connect(self.vm.path("qmp"))
            sock.send(part)
            sock.close()
        self.assertIn("status", self.client().execute("query-status"))

    def test_several_clients(self):
        clients = [self.client() for _ in range(4)]
        for client in clients:
            self.assertIn("status", client.execute("query-status"))
        clients[0].execute("stop")
        for client in clients:
            client.wait_event("STOP")

    def test_too_many_clients_are_turned_away(self):
        clients = [self.client() for _ in range(15)]  # and the one of setUp
        extra = Stream(connect(self.vm.path("qmp")))
        self.assertEqual(extra.wait_closed(), b"")
        clients.pop().fd.close()
        self.assertIn("status", clients[0].execute("query-status"))

    def test_events_only_after_negotiation(self):
        client = self.client(negotiate=False)
        self.vm.qmp.execute("stop")
        self.assertIn("return", self.send(client, b'{"execute": "qmp_capabilities"}'))
        self.assertEqual(client.events, [])


class Commands(unittest.TestCase):
    def test_all_answer(self):
        with Duodm("-name", "guest=unit", "-uuid", "01234567-89AB-cdef-0123-456789abcdef",
                   "-chardev", "null,id=nul", "-device", "virtio-balloon-pci", qtest=True,
                   serial=True) as vm:
            names = [entry["name"] for entry in vm.qmp.execute("query-commands")]
            for name in ("qmp_capabilities", "query-status", "query-version", "query-commands",
                         "query-name", "query-uuid", "query-chardev", "query-cpus-fast",
                         "query-pci", "query-kvm", "query-command-line-options", "stop", "cont",
                         "quit", "system_reset", "system_powerdown", "human-monitor-command"):
                self.assertIn(name, names)
            for name in names:
                if name.startswith("query-"):
                    vm.qmp.execute(name)
            self.assertEqual(vm.qmp.execute("query-name"), {"name": "unit"})
            self.assertEqual(vm.qmp.execute("query-uuid"),
                             {"UUID": "01234567-89ab-cdef-0123-456789abcdef"})
            self.assertEqual(vm.qmp.execute("query-kvm")["enabled"], False)
            chardevs = {entry["label"]: entry for entry in vm.qmp.execute("query-chardev")}
            self.assertEqual(chardevs["nul"]["filename"], "null")
            self.assertFalse(chardevs["nul"]["frontend-open"])
            self.assertTrue(chardevs["test-serial"]["frontend-open"])
            options = {entry["option"]
                       for entry in vm.qmp.execute("query-command-line-options")}
            self.assertIn("machine", options)
            with self.assertRaises(QMPError):
                vm.qmp.execute("query-command-line-options", option="nonsense")

    def test_stop_and_cont(self):
        with Duodm("-S", qtest=True) as vm:
            self.assertEqual(vm.qmp.execute("query-status")["status"], "prelaunch")
            vm.qmp.execute("cont")
            event = vm.qmp.wait_event("RESUME")
            self.assertGreater(event["timestamp"]["seconds"], 1_600_000_000)
            self.assertLess(event["timestamp"]["microseconds"], 1_000_000)
            self.assertEqual(vm.qmp.execute("query-status")["running"], True)
            vm.qmp.execute("stop")
            vm.qmp.wait_event("STOP")
            self.assertEqual(vm.qmp.execute("query-status")["status"], "paused")

    def test_reset_powerdown_quit(self):
        with Duodm(qtest=True) as vm:
            vm.qmp.execute("system_reset")
            self.assertEqual(vm.qmp.wait_event("RESET")["data"]["guest"], False)
            vm.qmp.execute("system_powerdown")
            vm.qmp.wait_event("POWERDOWN")
            vm.qmp.execute("quit")
            event = vm.qmp.wait_event("SHUTDOWN")
            self.assertEqual(event["data"], {"guest": False, "reason": "host-qmp-quit"})
            self.assertEqual(vm.wait(), 0)

    def test_pretty(self):
        with Duodm("-chardev", "socket,id=p,path=@/p,server=on,wait=off", "-mon",
                   "chardev=p,mode=control,pretty=on", qtest=True) as vm:
            stream = Stream(connect(vm.path("p")))
            stream.expect(rb'\{\r?\n    "QMP"')

    def test_query_pci(self):
        with Duodm(qtest=True) as vm:
            buses = vm.qmp.execute("query-pci")
            functions = {(d["slot"], d["function"]): d for b in buses for d in b["devices"]}
            if not functions:
                self.skipTest("the machine has no PCI bus")
            host = functions[(0, 0)]
            self.assertEqual((host["id"]["vendor"], host["id"]["device"]), (0x8086, 0x1237))
            self.assertEqual(host["class_info"]["class"], 0x0600)
            for entry in functions.values():
                self.assertEqual(vm.qtest.pci_read(entry["slot"] << 3 | entry["function"], 0),
                                 entry["id"]["vendor"] | entry["id"]["device"] << 16)


class Human(unittest.TestCase):
    def setUp(self):
        self.vm = Duodm("-name", "human", qtest=True)
        self.addCleanup(self.vm.__exit__, None, None, None)
        self.human = self.vm.qmp.human

    def test_help_lists_all(self):
        text = self.human("help")
        for name in ("info", "x", "xp", "stop", "cont", "quit", "system_reset",
                     "system_powerdown", "help"):
            self.assertRegex(text, rf"(?m)^{name}\b")
        self.assertIn("mtree", self.human("help info"))
        self.assertIn("mtree", self.human("info"))

    def test_info(self):
        self.assertIn("running", self.human("info status"))
        self.assertEqual(self.human("info name").strip(), "human")
        self.assertIn("duodm", self.human("info version"))
        self.assertIn("test-qmp", self.human("info chardev"))
        self.assertIn("memory", self.human("info mtree"))
        self.assertIn("memory", self.human("info mtree -f"))
        self.assertIn("isa.0", self.human("info qtree"))
        self.human("info pci")
        self.human("stop")
        self.assertIn("paused", self.human("info status"))

    def test_errors(self):
        for line in ("nonsense", "info nonsense", "x", "xp", "xp /zz 0", "xp /99999999x 0",
                     "xp /x zz", "cpu", "cpu 77", "stop 1", "info mtree -z", "help nonsense",
                     "x /x 0", "info registers", "xp/x $rip"):
            with self.subTest(line=line):
                self.assertTrue(self.human(line).startswith("Error: "), self.human(line))
        self.assertIn("'status'", self.human("info statsu"))
        self.assertEqual(self.human(""), "")
        self.assertEqual(self.human("   "), "")

    def test_examine(self):
        self.vm.qtest.write(0x1000, bytes(range(32)))
        self.assertEqual(self.human("xp/4xw 0x1000").strip(),
                         "0000000000001000: 0x03020100 0x07060504 0x0b0a0908 0x0f0e0d0c")
        self.assertEqual(self.human("xp /2xg 0x1000").strip(),
                         "0000000000001000: 0x0706050403020100 0x0f0e0d0c0b0a0908")
        self.vm.qtest.write(0x2000, b"A\xff\x00")
        self.assertEqual(self.human("xp/3c 0x2000").strip(),
                         r"0000000000002000: 'A' '\xff' '\x00'")
        self.assertEqual(self.human("xp/2db 0x2000").strip(), "0000000000002000: 65 -1")
        self.assertEqual(len(self.human("xp/8xw 0x1000").strip().splitlines()), 2)


if __name__ == "__main__":
    unittest.main()
