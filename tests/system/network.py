# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests on a network, on tcg: Debian's kernel with its virtio_net, busybox's clients and servers.

DUODM_TEST_NET_MB: megabytes that go each way (8). Traffic stays on the loopback interface, in this
process's sockets, and in network namespaces that a test makes.
"""
import contextlib
import hashlib
import os
import re
import socket
import tempfile
import threading
import unittest

import netns
from duodm import SLOWER, Duodm
from kernels import initramfs_with, kernel

PROMPT = rb"duodm-guest# "
BOOT = 240  # seconds: the limit of a hang, not an aim
AMOUNT = int(os.environ.get("DUODM_TEST_NET_MB", "8")) << 20
# What udhcpc calls with what it learnt.
LEASE = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip address add "$ip/$mask" dev "$interface"
ip route add default via "$router"
echo "nameserver $dns" >/etc/resolv.conf
"""


class Network(unittest.TestCase):
    kind = "cloud"
    modules = ["virtio_pci", "virtio_net"]

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.initramfs = initramfs_with(os.path.join(cls.folder.name, "initramfs.gz"), cls.kind,
                                       cls.modules, [("lease", LEASE)])

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @contextlib.contextmanager
    def guest(self, *options, memory="192", **rest):
        with Duodm("-accel", "tcg", "-m", memory, "-display", "none", "-kernel", kernel(self.kind),
                   "-initrd", self.initramfs, "-append", "console=ttyS0 quiet panic=-1", *options,
                   "-no-reboot", serial=True, timeout=BOOT, **rest) as vm:
            vm.serial.expect(PROMPT)
            yield vm
            vm.serial.write("poweroff\n")
            self.assertEqual(vm.wait(), 0, vm.stderr())

    def shell(self, vm, line):
        """Output of a line of shell, behind its echo (which is wrapped); the line must succeed."""
        vm.serial.write(line + "\necho @$?@\n")
        match = vm.serial.expect(rb"^(.*?)@(\d+)@\r\n")
        self.assertEqual(match[2], b"0", f"{line}: {match[1]!r}")
        vm.serial.expect(PROMPT)
        return match[1].decode()

    def serve(self, action, address="127.0.0.1"):
        """A server for one connection, in a thread: (port, thread)."""
        listener = socket.create_server((address, 0))
        listener.settimeout(BOOT * SLOWER)

        def work():
            with listener, listener.accept()[0] as peer:
                peer.settimeout(BOOT * SLOWER)
                action(peer)

        thread = threading.Thread(target=work)
        thread.start()
        self.addCleanup(thread.join)
        return listener.getsockname()[1], thread

    def transfer_both_ways(self, vm, host, bind):
        """AMOUNT bytes to the guest and back: both ends agree on the sums."""
        data = os.urandom(AMOUNT)
        digest = hashlib.md5(data).hexdigest()
        port, _ = self.serve(lambda peer: peer.sendall(data), bind)
        text = self.shell(vm, f"nc {host} {port} </dev/null >/tmp/data; md5sum </tmp/data")
        self.assertIn(digest, text)
        got = hashlib.md5()

        def collect(peer):
            while part := peer.recv(1 << 20):
                got.update(part)

        port, thread = self.serve(collect, bind)
        self.shell(vm, f"nc {host} {port} </tmp/data")
        thread.join(BOOT * SLOWER)
        self.assertEqual(got.hexdigest(), digest)
        self.shell(vm, "rm /tmp/data")


class User(Network):
    def test_lease_transfer_and_forward(self):
        with self.guest("-netdev", "user,id=n,hostfwd=tcp:127.0.0.1:0-:7777,hostname=here", "-device",
                        "virtio-net-pci,netdev=n") as vm:
            text = self.shell(vm, "ip link set eth0 up && udhcpc -n -q -i eth0 -s /lease && "
                                  "ip -4 address show eth0 && ping -c 1 10.0.2.2")
            self.assertIn("inet 10.0.2.15/24", text)
            self.transfer_both_ways(vm, "10.0.2.2", "127.0.0.1")
            self.shell(vm, "(echo from the guest | nc -l -p 7777 >/tmp/heard) &\n"
                           "until netstat -ltn | grep -q :7777; do :; done")
            port = int(re.search(r"HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)",
                                 vm.qmp.human("info usernet"))[1])
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.settimeout(BOOT * SLOWER)
                client.sendall(b"from the host\n")
                self.assertEqual(client.recv(100), b"from the guest\n")
            self.assertIn("from the host", self.shell(vm, "wait; cat /tmp/heard"))


class Pair(Network):
    def test_two_guests(self):
        """Connected by datagrams over unix sockets."""
        with tempfile.TemporaryDirectory() as folder:
            def cable(mine, other):
                return ("-netdev", f"dgram,id=n,local.type=unix,local.path={folder}/{mine},"
                        f"remote.type=unix,remote.path={folder}/{other}",
                        "-device", f"virtio-net-pci,netdev=n,mac=52:54:00:00:00:0{mine}")

            with self.guest(*cable(1, 2)) as one, self.guest(*cable(2, 1), ) as two:
                for number, vm in ((1, one), (2, two)):
                    self.shell(vm, f"ip address add 10.9.0.{number}/24 dev eth0 && ip link set eth0 up")
                self.assertIn(" 0% packet loss", self.shell(one, "ping -c 3 -s 1400 10.9.0.2"))
                self.assertIn(" 0% packet loss", self.shell(two, "ping -c 3 10.9.0.1"))
                self.shell(two, "mkfifo /tmp/open; (nc -l -p 99 <>/tmp/open | md5sum >/tmp/sum) &\n"
                                "until netstat -ltn | grep -q :99; do :; done")
                sent = self.shell(one, "head -c 1000000 /dev/urandom >/tmp/d; md5sum </tmp/d; "
                                       "nc 10.9.0.2 99 </tmp/d")
                got = self.shell(two, "wait; cat /tmp/sum")
                self.assertIn(re.search("[0-9a-f]{32}", got)[0], sent)


class Tap(Network):
    @netns.in_namespace
    def test_transfer(self):
        with self.guest("-netdev", "tap,id=n,ifname=t0,script=no,queues=2", "-device",
                        "virtio-net-pci,netdev=n", "-smp", "2") as vm:
            netns.set_address("t0", "10.8.0.1")
            netns.bring_up("t0")
            self.shell(vm, "ip address add 10.8.0.2/24 dev eth0 && ip link set eth0 up")
            self.assertIn(" 0% packet loss", self.shell(vm, "ping -c 2 10.8.0.1"))
            self.transfer_both_ways(vm, "10.8.0.1", "10.8.0.1")


if __name__ == "__main__":
    unittest.main()
