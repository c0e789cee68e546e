# SPDX-License-Identifier: GPL-2.0-or-later
"""The testbed's own parts, without a machine: frames, module order, archives, the agent on a pty."""
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import agent, initramfs, modules  # noqa: E402
from harness.files import build_program  # noqa: E402
from harness.monitor import Monitor  # noqa: E402
from harness.scenario import find_scenarios  # noqa: E402


class Scenarios(unittest.TestCase):
    def test_all_can_be_loaded(self):
        scenarios = find_scenarios()
        self.assertEqual([s.name for s in scenarios if not s.tests], [])
        self.assertEqual(len({s.name for s in scenarios}), len(scenarios))


class Monitors(unittest.TestCase):
    def setUp(self):
        ours, self.qemu = socket.socketpair()
        self.ended = threading.Event()
        self.monitor = Monitor(ours, lambda why: self.ended.set())
        self.addCleanup(self.qemu.close)
        self.addCleanup(ours.close)

    def say(self, **message):
        self.qemu.sendall(json.dumps(message).encode() + b"\n")

    def hear(self):
        return json.loads(self.qemu.recv(65536))

    def greet(self):
        self.say(QMP={})
        self.say(**{"return": {}, "id": self.hear()["id"]})

    def ask(self, limit):
        """registers(limit), in a thread; what it gave is put into the list."""
        got = []
        thread = threading.Thread(target=lambda: got.append(self.monitor.registers(limit)))
        thread.start()
        return thread, got

    def test_late_answer_is_nobodys(self):
        self.greet()
        self.assertEqual(self.monitor.registers(0.01), "")
        late = self.hear()["id"]
        thread, got = self.ask(60)
        number = self.hear()["id"]
        self.say(**{"return": "old", "id": late})
        self.say(**{"return": "new", "id": number})
        thread.join()
        self.assertEqual(got, ["new"])

    def test_error_is_no_text(self):
        self.greet()
        thread, got = self.ask(60)
        self.say(error={"desc": "no"}, id=self.hear()["id"])
        thread.join()
        self.assertEqual(got, [""])

    def test_end(self):
        self.greet()
        self.say(event="SHUTDOWN", data={})
        self.assertTrue(self.ended.wait(60))
        thread, got = self.ask(60)
        self.hear()
        self.qemu.close()
        thread.join()
        self.assertEqual(got, [""])


class Frames(unittest.TestCase):
    def test_any_portions_give_the_same_frames(self):
        chance = random.Random(20261126)
        frames = [agent.Frame(chance.randrange(1 << 16), chance.choice("DEX"), 0,
                              chance.randbytes(chance.choice([0, 1, 7, 300, agent.MAX_PAYLOAD])))
                  for _ in range(50)]
        stream = b"SeaBIOS\r\n" + agent.HELLO
        stream += b"".join(agent.pack_frame(f.channel, f.kind, f.payload) for f in frames)
        parser, got = agent.FrameParser(), []
        while stream:
            count = chance.choice([1, 2, 15, 16, 17, 1000, 40000])
            got += parser.feed(stream[:count])
            stream = stream[count:]
        self.assertEqual(got[0].kind, "H")
        self.assertEqual(got[1:], frames)

    def test_restart_drops_a_frame_that_was_cut_off(self):
        parser = agent.FrameParser()
        parser.feed(agent.HELLO + agent.pack_frame(1, "D", b"x" * 100)[:50])
        parser.restart()
        got = parser.feed(b"noise" + agent.HELLO + agent.pack_frame(2, "E"))
        self.assertEqual([f.kind for f in got], ["H", "E"])

    def test_nothing_before_hello(self):
        self.assertEqual(agent.FrameParser().feed(agent.pack_frame(1, "D", b"early")), [])

    def test_a_length_out_of_range_is_an_error(self):
        with self.assertRaises(ValueError):
            agent.FrameParser().feed(agent.HELLO + b"\xff" * 16)


class Modules(unittest.TestCase):
    def test_depends(self):
        self.assertEqual(modules.parse_depends(b"\0license=GPL\0depends=kvm,irq-bypass\0x=1\0"),
                         ["kvm", "irq_bypass"])
        self.assertEqual(modules.parse_depends(b"\0depends=\0"), [])
        with self.assertRaises(ValueError):
            modules.parse_depends(b"\0license=GPL\0")

    def test_the_needed_come_first(self):
        graph = {"a": ["b", "c"], "b": ["c"], "c": []}
        self.assertEqual(modules.load_order(["a", "c"], graph.get), ["c", "b", "a"])
        with self.assertRaises(ValueError):
            modules.load_order(["x"], {"x": ["y"], "y": ["x"]}.get)


class Archives(unittest.TestCase):
    def test_ldd(self):
        self.assertEqual(initramfs.parse_ldd(
            "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibm.so.6 => /lib/x/libm.so.6 (0x0000)\n"
            "\t/lib64/ld-linux-x86-64.so.2 (0x0000)\n"),
            ["/lib/x/libm.so.6", "/lib64/ld-linux-x86-64.so.2"])
        with self.assertRaises(RuntimeError):
            initramfs.parse_ldd("\tlibnone.so => not found\n")

    @unittest.skipUnless(shutil.which("cpio"), "no cpio")
    def test_cpio_reads_what_is_written(self):
        tree = initramfs.Tree()
        tree.add("/a/b/file", "text", 0o640)
        tree.add("/empty", b"")
        tree.add_link("/a/link", "b/file")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "archive")
            tree.write_cpio(path)
            with open(path, "rb") as f:
                subprocess.run(["cpio", "-i", "--quiet"], stdin=f, cwd=folder, check=True)
            with open(os.path.join(folder, "a/link"), encoding="ascii") as f:
                self.assertEqual(f.read(), "text")
            self.assertEqual(os.stat(os.path.join(folder, "a/b/file")).st_mode & 0o777, 0o640)
            self.assertEqual(os.stat(os.path.join(folder, "empty")).st_size, 0)


class FileStream:
    def __init__(self, fd):
        self.fd = fd

    def read(self):
        return os.read(self.fd, 65536)

    def write(self, data):
        while data:
            data = data[os.write(self.fd, data):]


class TheAgent(unittest.TestCase):
    """The real agent, as a process of this machine on a pty."""

    def setUp(self):
        self.ours, self.theirs = os.openpty()
        self.process = subprocess.Popen([build_program("agent"), os.ttyname(self.theirs)],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(self.stop)
        self.agent = agent.Agent(FileStream(self.ours), "here")
        self.agent.wait_up(20)

    def stop(self):
        self.process.kill()
        self.process.wait()
        os.close(self.theirs)

    def test_status_and_output(self):
        self.assertEqual(self.agent.run("echo out; echo err >&2; exit 3", check=False),
                         (3, "out\nerr\n"))
        self.assertEqual(self.agent.run("kill -9 $$", check=False), (-9, ""))
        self.assertEqual(self.agent.run("/nowhere/nothing", "x", check=False)[0], 127)

    def test_much_both_ways(self):
        data = random.Random(1).randbytes(3 << 20)
        process = self.agent.spawn("cat")
        writer = threading.Thread(target=lambda: (process.write(data), process.end()))
        writer.start()
        self.assertEqual(process.wait(60), 0)
        writer.join()
        self.assertEqual(process.take(len(process.buffer)), data)

    def test_sockets_and_kill(self):
        process = self.agent.spawn("sh", "-c", "read line <&3; echo $line >&4; exec sleep 1000",
                                   sockets=2)
        process.sockets[0].write("hello\n")
        match = process.sockets[1].expect(r"h(.*)\n", 20)
        self.assertEqual(match[1], "ello")
        self.assertGreater(match.time, process.started_at)
        process.kill()
        self.assertEqual(process.wait(20), -9)

    def test_what_is_not_expected_ends_in_time(self):
        process = self.agent.spawn("echo", "something else")
        with self.assertRaises(agent.Closed):
            process.expect("this", 20)
        waiting = self.agent.spawn("cat")
        with self.assertRaises(TimeoutError):
            waiting.expect("this", 0.1)


if __name__ == "__main__":
    unittest.main()
