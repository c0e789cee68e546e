# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio-net over the test port: packets against sockets and tap, the control queue, hostile guests."""
import fcntl
import os
import random
import select
import socket
import struct
import termios
import time
import unittest

import virtio
from duodm import SLOWER, Duodm, QMPError, run
from packets import (BROADCAST, F, LIMIT, MAC, NEEDS_CSUM, OTHER, TCPV4, TCPV6, UDPL4, bits, frame, header,
                     ones_sum, tcp4, tcp4_is_right)

virtio.Device.slower = SLOWER

OK, ERROR = 0, 1  # of the control queue


class Card:
    """A duodm with a virtio-net on a socket pair; `wire` is the other end."""

    def __init__(self, options="", start=True, kind=socket.SOCK_SEQPACKET, driver=virtio.PCI,
                 model="virtio-net-pci", **rest):
        self.wire, theirs = socket.socketpair(socket.AF_UNIX, kind)
        self.wire.settimeout(LIMIT)
        saved = theirs.fileno()
        self.vm = Duodm("-display", "none", "-m", "64", "-netdev",
                          f"dgram,id=n,local.type=fd,local.str={saved}", "-device",
                          f"{model},netdev=n,id=card,addr=5{options}", qtest=True,
                        pass_fds=[saved])
        theirs.close()
        self.device = driver(self.vm.qtest, slot=5)
        if start:
            self.device.start(**rest)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.vm.__exit__(kind, value, trace)
        self.wire.close()

    @property
    def queues(self):
        return self.device.queues

    def header_size(self):
        modern = self.device.features >> virtio.F_VERSION_1 & 1
        return 12 if modern or self.device.features >> F["MRG_RXBUF"] & 1 else 10

    def send(self, packet, head=b"", parts=1):
        """The guest sends a packet; returns when the buffer is used."""
        whole = head.ljust(self.header_size(), b"\0") + packet
        step = max(1, (len(whole) + parts - 1) // parts)
        self.queues[1].add([whole[i:i + step] for i in range(0, len(whole), step)], [])
        self.queues[1].kick()
        self.queues[1].wait()

    def post(self, *sizes, count=1):
        for _ in range(count):
            self.queues[0].add([], list(sizes))
        self.queues[0].kick()

    def receive(self):
        """(header, packet) of what the next used buffers hold."""
        _, _, parts = self.queues[0].wait()
        data = b"".join(parts)
        size = self.header_size()
        head, packet = data[:size], data[size:]
        buffers = struct.unpack_from("<H", head, 10)[0] if size == 12 else 1
        for _ in range(buffers - 1):
            packet += b"".join(self.queues[0].wait()[2])
        return head, packet

    def control(self, kind, command, data=b""):
        index = (len(self.queues) - 1) if self.device.features >> F["MQ"] & 1 else 2
        length, answer = self.queues[index].request([bytes([kind, command]), data], [1])
        assert length == 1
        return answer[0]

    def silent(self):
        """Nothing is on its way to the wire (what was sent before has been used)."""
        return not select.select([self.wire], [], [], 0)[0]

    def wait_all_read(self):
        """Wait until duodm has read all that was sent to it: nothing is left in the socket."""
        end = time.monotonic() + LIMIT
        while any(fcntl.ioctl(self.wire, termios.TIOCOUTQ, bytes(4))):
            assert time.monotonic() < end, "packets stay in the socket"


class Packets(unittest.TestCase):
    def check_both_ways(self, options="", **rest):
        with Card(options, **rest) as card:
            card.post(2048, count=8)
            for size in (14, 60, 61, 1514):
                packet = frame(bytes(random.randrange(256) for _ in range(size - 14)))
                card.send(packet, parts=1 + size % 3)
                self.assertEqual(card.wire.recv(4096), packet)
                card.wire.send(packet)
                self.assertEqual(card.receive()[1], packet)
            self.assertEqual(card.vm.quit(), 0)

    def test_split(self):
        self.check_both_ways()

    def test_packed(self):
        self.check_both_ways(",packed=on")

    def test_without_merging(self):
        self.check_both_ways(",mrg_rxbuf=off")

    def test_no_features(self):
        self.check_both_ways(features=1 << virtio.F_VERSION_1)

    def test_legacy(self):
        self.check_both_ways(model="virtio-net-pci-transitional", driver=virtio.LegacyPCI)

    def test_legacy_short_header(self):
        self.check_both_ways(model="virtio-net-pci-transitional", driver=virtio.LegacyPCI,
                             without=bits("MRG_RXBUF"))

    def test_datagrams(self):
        self.check_both_ways(kind=socket.SOCK_DGRAM)

    def test_merged_buffers(self):
        with Card() as card:
            packet = frame(os.urandom(5000))
            card.post(12 + 1000, count=3)
            card.wire.send(packet)  # 5014 bytes: three buffers are too few
            card.wire.send(frame(b"next"))
            self.assertIsNone(card.queues[0].poll())
            card.post(1000, count=5)
            head, got = card.receive()
            self.assertEqual(got, packet)
            self.assertEqual(struct.unpack_from("<H", head, 10)[0], 5)
            self.assertEqual(card.receive()[1], frame(b"next"))

    def test_small_buffers_without_merging(self):
        """Too small for the packet: it is lost, the buffer stays for the next."""
        with Card(without=bits("MRG_RXBUF")) as card:
            card.post(12, 100)
            card.wire.send(frame(b"x" * 500))
            card.wire.send(frame(b"fits"))
            self.assertEqual(card.receive()[1], frame(b"fits"))

    def test_order_and_waiting(self):
        """Packets wait while there is no buffer, and nothing is lost."""
        with Card() as card:
            for i in range(50):
                card.wire.send(frame(bytes([i]) * 100))
            for i in range(50):
                card.post(500)
                self.assertEqual(card.receive()[1], frame(bytes([i]) * 100))

    def test_full_wire(self):
        """The peer does not read: the guest's buffers wait, and go when it reads."""
        with Card(sizes={1: 256}) as card:
            for i in range(200):
                card.queues[1].add([header() + frame(bytes([i]) * 4000)], [])
            card.queues[1].kick()
            for i in range(200):
                self.assertEqual(card.wire.recv(5000), frame(bytes([i]) * 4000))
            for _ in range(200):
                card.queues[1].wait()

    def test_many_pieces(self):
        with Card() as card:
            packet = frame(os.urandom(1400))
            card.send(packet, parts=200)
            self.assertEqual(card.wire.recv(4096), packet)

    def test_without_driver_packets_are_lost(self):
        with Card(start=False) as card:
            card.wire.send(frame(b"old"))
            card.vm.qmp.execute("query-status")
            card.device.start()
            card.post(500, count=2)
            card.wire.send(frame(b"new"))
            while (got := card.receive()[1]) == frame(b"old"):
                pass  # it may have been on its way
            self.assertEqual(got, frame(b"new"))

    def test_paused_packets_wait(self):
        with Card() as card:
            card.post(500, count=4)
            card.vm.qmp.execute("stop")
            card.wire.send(frame(b"while paused"))
            card.vm.qmp.execute("query-status")
            self.assertIsNone(card.queues[0].poll())
            card.vm.qmp.execute("cont")
            self.assertEqual(card.receive()[1], frame(b"while paused"))

    def test_reset_in_between(self):
        with Card() as card:
            for _ in range(20):
                card.post(500)
                card.wire.send(frame(b"first"))
                card.queues[1].add([header() + frame(b"x")], [])
                card.queues[1].kick()
                card.device.start()
                card.post(500, count=3)
                card.send(frame(b"after"))
            self.assertEqual(card.vm.quit(), 0)

    def test_interrupts(self):
        with Card(vectors=True) as card:
            card.post(500)
            card.wire.send(frame(b"x"))
            card.device.wait_vector(1)
            card.receive()
            card.send(frame(b"y"))
            card.device.wait_vector(2)


class Offloads(unittest.TestCase):
    """The wire can do nothing: what the guest left out is done in software."""

    def test_checksum(self):
        with Card() as card:
            packet = bytearray(tcp4(os.urandom(777)))
            pseudo = ones_sum(packet[26:34] + struct.pack(">HH", 6, len(packet) - 34))
            packet[50:52] = struct.pack(">H", pseudo)
            packet[24:26] = struct.pack(">H", 0xffff ^ ones_sum(bytes(packet[14:34])))
            card.send(bytes(packet), header(NEEDS_CSUM, start=34, offset=16))
            got = card.wire.recv(4096)
            self.assertTrue(tcp4_is_right(got))
            self.assertEqual(got[54:], packet[54:])

    def test_segments(self):
        with Card() as card:
            payload = os.urandom(30000)
            card.send(tcp4(payload), header(NEEDS_CSUM, TCPV4, 54, 1448, 34, 16), parts=9)
            got = b""
            while len(got) < len(payload):
                packet = card.wire.recv(4096)
                self.assertTrue(tcp4_is_right(packet))
                self.assertEqual(struct.unpack(">I", packet[38:42])[0], 1000 + len(got))
                self.assertEqual(len(packet) - 54, min(1448, len(payload) - len(got)))
                got += packet[54:]
            self.assertEqual(got, payload)

    def test_bad_headers_are_dropped(self):
        with Card() as card:
            packet = tcp4(b"z" * 900)
            bad = [
                header(NEEDS_CSUM, start=0xffff, offset=0xffff),
                header(NEEDS_CSUM, start=952, offset=1),
                header(NEEDS_CSUM, TCPV4, 54, 0, 34, 16),
                header(0, TCPV4, 54, 100, 34, 16),
                header(NEEDS_CSUM, TCPV4, 0xffff, 100, 940, 10),
                header(NEEDS_CSUM, TCPV6, 54, 100, 34, 16),
                header(NEEDS_CSUM, TCPV4, 54, 100, 34, 6),
                header(NEEDS_CSUM, 3, 54, 100, 34, 16),
                header(NEEDS_CSUM, 0x7f, 54, 100, 34, 16),
                header(NEEDS_CSUM, UDPL4, 42, 100, 34, 6),
            ]
            for head in bad:
                card.send(packet, head)
                self.assertTrue(card.silent(), head.hex())
            card.send(b"", b"")
            card.send(b"short")
            self.assertTrue(card.silent())
            card.send(packet, header(hdr_len=0xffff, size=0xffff, start=0xffff, offset=0xffff))
            self.assertEqual(card.wire.recv(4096), packet)  # nothing was asked for

    def test_random_headers(self):
        rng = random.Random(20261125)
        with Card() as card:
            packet = tcp4(bytes(rng.randrange(256) for _ in range(600)))
            for _ in range(300):
                head = bytes(rng.choice((0, 1, 4, 5, 34, 16, 54, 255, rng.randrange(256)))
                             for _ in range(12))
                card.send(packet[:rng.choice((14, 34, 54, len(packet)))], head)
                while not card.silent():
                    card.wire.recv(70000)
            self.assertEqual(card.vm.quit(), 0)


class Control(unittest.TestCase):
    def arrives(self, card, packet):
        """Does a packet pass the filter? One that always does follows it."""
        card.post(500, count=2)
        card.wire.send(packet)
        card.wire.send(frame(b"mark"))
        first = card.receive()[1]
        if first == frame(b"mark"):
            return False
        self.assertEqual(first, packet)
        self.assertEqual(card.receive()[1], frame(b"mark"))
        return True

    def filter(self, card):
        (found,) = card.vm.qmp.execute("query-rx-filter", name="card")
        return found

    def test_modes(self):
        multicast = frame(b"m", bytes.fromhex("01005e000001"))
        with Card() as card:
            self.assertTrue(self.arrives(card, frame(b"b", BROADCAST)))
            self.assertFalse(self.arrives(card, frame(b"o", OTHER)))
            self.assertFalse(self.arrives(card, multicast))
            self.assertEqual(card.control(0, 0, b"\1"), OK)
            self.assertTrue(self.filter(card)["promiscuous"])
            self.assertTrue(self.arrives(card, frame(b"o", OTHER)))
            self.assertEqual(card.control(0, 0, b"\0"), OK)
            self.assertEqual(card.control(0, 1, b"\1"), OK)
            self.assertEqual(self.filter(card)["multicast"], "all")
            self.assertTrue(self.arrives(card, multicast))
            self.assertEqual(card.control(0, 3, b"\1"), OK)
            self.assertFalse(self.arrives(card, multicast))
            self.assertEqual(card.control(0, 5, b"\1"), OK)
            self.assertFalse(self.arrives(card, frame(b"b", BROADCAST)))
            self.assertEqual(card.control(0, 2, b"\1"), OK)
            self.assertTrue(self.arrives(card, frame(b"o", OTHER)))
            self.assertEqual(card.control(0, 6, b"\1"), ERROR)
            self.assertEqual(card.control(0, 0), ERROR)  # no data
            self.assertEqual(card.control(9, 0, b"\1"), ERROR)

    def test_tables(self):
        group = bytes.fromhex("01005e000005")
        with Card() as card:
            table = struct.pack("<I", 1) + OTHER + struct.pack("<I", 1) + group
            self.assertEqual(card.control(1, 0, table), OK)
            self.assertTrue(self.arrives(card, frame(b"o", OTHER)))
            self.assertTrue(self.arrives(card, frame(b"g", group)))
            found = self.filter(card)
            self.assertEqual(found["unicast-table"], ["52:54:00:aa:aa:aa"])
            self.assertEqual(found["multicast-table"], ["01:00:5e:00:00:05"])
            self.assertEqual(card.control(1, 0, struct.pack("<I", 2) + OTHER), ERROR)
            self.assertEqual(card.control(1, 0, struct.pack("<I", 0xffffffff) + OTHER), ERROR)
            self.assertEqual(self.filter(card)["unicast-table"], ["52:54:00:aa:aa:aa"])
            many = struct.pack("<I", 500) + OTHER * 500 + struct.pack("<I", 0)
            self.assertEqual(card.control(1, 0, many), OK)
            self.assertTrue(self.filter(card)["unicast-overflow"])
            self.assertEqual(card.control(1, 1, bytes.fromhex("525400999999")), OK)
            self.assertEqual(card.device.read_config(0, 6), bytes.fromhex("525400999999"))
            self.assertEqual(self.filter(card)["main-mac"], "52:54:00:99:99:99")

    def test_vlans(self):
        with Card() as card:
            tagged = frame(struct.pack(">HH", 77, 0x88b5) + b"v", kind=0x8100)
            self.assertFalse(self.arrives(card, tagged))
            self.assertEqual(card.control(2, 0, struct.pack("<H", 77)), OK)
            self.assertTrue(self.arrives(card, tagged))
            self.assertEqual(self.filter(card)["vlan-table"], [77])
            self.assertEqual(card.control(2, 1, struct.pack("<H", 77)), OK)
            self.assertFalse(self.arrives(card, tagged))
            self.assertEqual(card.control(2, 0, struct.pack("<H", 4096)), ERROR)

    def test_offloads(self):
        with Card() as card:
            self.assertEqual(card.control(5, 0, struct.pack("<Q", 0)), OK)
            self.assertEqual(card.control(5, 0, struct.pack("<Q", bits("GUEST_CSUM"))), OK)
            self.assertEqual(card.control(5, 0, struct.pack("<Q", 1 << 40)), ERROR)
            self.assertEqual(card.control(5, 0, b"\0" * 7), ERROR)

    def test_announce(self):
        with Card() as card:
            card.vm.qmp.execute("announce-self", initial=50, max=550, rounds=5, step=100)
            self.assertEqual(card.device.read_config(6, 2), b"\3\0")
            self.assertEqual(card.control(3, 0), OK)
            self.assertEqual(card.device.read_config(6, 2), b"\1\0")

    def test_no_room_for_the_answer(self):
        with Card() as card:
            card.queues[2].add([b"\0\0\1"], [])
            card.queues[2].kick()
            with self.assertRaises(AssertionError):
                card.queues[2].wait()
            card.device.start()
            self.assertEqual(card.control(0, 0, b"\1"), OK)

    def test_reset_forgets(self):
        with Card() as card:
            self.assertEqual(card.control(0, 0, b"\1"), OK)
            card.device.start()
            self.assertFalse(self.filter(card)["promiscuous"])


class LegacyAddress(unittest.TestCase):
    """A driver from before 1.0 writes its address into the configuration; a modern one can't."""

    def test_legacy(self):
        with Card(model="virtio-net-pci-transitional", driver=virtio.LegacyPCI) as card:
            for k, byte in enumerate(OTHER):
                card.vm.qtest.outb(card.device.ports + 20 + k, byte)
            self.assertEqual(card.device.read_config(0, 6), OTHER)
            self.assertEqual(card.vm.qmp.execute("query-rx-filter")[0]["main-mac"],
                             "52:54:00:aa:aa:aa")

    def test_modern(self):
        with Card() as card:
            card.device.write_config(0, OTHER)
            self.assertEqual(card.device.read_config(0, 6), MAC)

    def test_reset_while_paused_drops_what_waits(self):
        with Card() as card:
            card.vm.qmp.execute("stop")
            card.wire.send(frame(b"old"))
            card.device.reset()
            card.vm.qmp.execute("cont")
            card.wait_all_read()
            card.device.start()
            card.post(500, count=2)
            card.wire.send(frame(b"new"))
            self.assertEqual(card.receive()[1], frame(b"new"))


class Hostile(unittest.TestCase):
    def test_short_packet_needs_reset(self):
        with Card() as card:
            card.queues[1].add([b"\0" * 11], [])
            card.queues[1].kick()
            with self.assertRaises(AssertionError):
                while True:
                    card.queues[1].wait()
            card.device.start()
            card.send(frame(b"alive"))
            self.assertEqual(card.wire.recv(100), frame(b"alive"))

    def test_short_receive_buffer_needs_reset(self):
        with Card() as card:
            card.post(5, count=40)
            card.wire.send(frame(b"x" * 100))
            with self.assertRaises(AssertionError):
                card.queues[0].wait()

    def test_huge_packet(self):
        """70,000 bytes are no packet."""
        with Card() as card:
            card.send(b"h" * 70000)
            card.send(frame(b"alive"))
            self.assertEqual(card.wire.recv(100), frame(b"alive"))


class Configuration(unittest.TestCase):
    def test_link(self):
        with Card() as card:
            for name in ("card", "n"):
                self.assertEqual(card.device.read_config(6, 2), b"\1\0")
                generation = card.device.generation()
                card.vm.qmp.execute("set_link", name=name, up=False)
                self.assertEqual(card.device.read_config(6, 2), b"\0\0")
                self.assertNotEqual(card.device.generation(), generation)
                card.send(frame(b"lost"))
                self.assertTrue(card.silent())
                self.assertIn("link=down", card.vm.qmp.human("info network"))
                card.vm.qmp.execute("set_link", name=name, up=True)
            card.send(frame(b"back"))
            self.assertEqual(card.wire.recv(100), frame(b"back"))
            with self.assertRaises(QMPError):
                card.vm.qmp.execute("set_link", name="nobody", up=True)

    def test_config_fields(self):
        with Card(",host_mtu=9000,speed=25000,duplex=full,mac=02:00:00:00:00:77") as card:
            config = card.device.read_config(0, 17)
            self.assertEqual(config, bytes.fromhex("020000000077 0100 0100 2823 a8610000 01"
                                                   .replace(" ", "")))
            self.assertTrue(card.device.features >> F["MTU"] & 1)
            self.assertTrue(card.device.features >> F["SPEED_DUPLEX"] & 1)

    def test_default_addresses_count_up(self):
        with Duodm("-display", "none", "-m", "64", "-netdev", "user,id=a", "-nic", "user",
                   "-device", "virtio-net-pci,netdev=a,id=one", qtest=True) as vm:
            text = vm.qmp.human("info network")
            self.assertIn("macaddr=52:54:00:12:34:56", text)
            self.assertIn("macaddr=52:54:00:12:34:57", text)
            self.assertIn("type=user,net=10.0.2.0,restrict=off", text)

    def test_switches(self):
        with Card(",csum=off,guest_csum=off,ctrl_vq=off") as card:
            gone = bits("CSUM", "HOST_TSO4", "HOST_TSO6", "HOST_ECN", "HOST_USO", "GUEST_CSUM",
                        "GUEST_TSO4", "GUEST_TSO6", "CTRL_VQ", "CTRL_RX", "CTRL_VLAN", "MQ",
                        "CTRL_MAC_ADDR", "GUEST_ANNOUNCE")
            self.assertFalse(card.device.features & gone)
            self.assertTrue(card.device.features >> F["MRG_RXBUF"] & 1)

    def test_refused(self):
        for options, word in (("host_mtu=67", "68 at least"), ("duplex=slow", "full or half"),
                              ("rx_queue_size=100", "power of two"), ("tx_queue_size=8192", "power"),
                              ("mac=01:00:00:00:00:00", "multicast"),
                              ("netdev=nobody", "no network back end 'nobody'")):
            result = run("-accel", "qtest", "-device", "virtio-net-pci," + options)
            self.assertEqual(result.returncode, 1)
            self.assertIn(word, result.stderr)

    def test_one_card_each(self):
        result = run("-accel", "qtest", "-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n",
                     "-device", "virtio-net-pci,netdev=n")
        self.assertIn("one NIC each", result.stderr)

    def test_unused_is_told(self):
        with Duodm("-netdev", "user,id=lonely", qtest=True) as vm:
            self.assertIn("'lonely' has no NIC", vm.stderr())

    def test_older_forms(self):
        for arguments, word in ((("-net", "nic,model=e1000"), "-device virtio-net-pci,netdev=ID"),
                                (("-net", "user"), "-nic user"),
                                (("-nic", "usr"), "did you mean 'user'"),
                                (("-nic", "user,model=ne2k"), "no device 'ne2k'")):
            result = run("-accel", "qtest", *arguments)
            self.assertEqual(result.returncode, 1, arguments)
            self.assertIn(word, result.stderr)
        self.assertIn("virtio-net-pci", run("-nic", "model=help").stdout)
        self.assertIn("tap ", run("-netdev", "help").stdout)

    def test_add_and_remove(self):
        with Duodm("-display", "none", qtest=True) as vm:
            vm.qmp.execute("netdev_add", type="stream", id="s", server=True,
                           addr={"type": "unix", "path": vm.path("s")})
            vm.qmp.execute("netdev_add", type="user", id="u", hostfwd=[{"str": "tcp:127.0.0.1:0-:22"}])
            text = vm.qmp.human("info network")
            self.assertIn(f"s: index=0,type=stream,addr=unix:{vm.path('s')},server=on", text)
            self.assertIn("HOST_FORWARD", vm.qmp.human("info usernet"))
            with self.assertRaises(QMPError):
                vm.qmp.execute("netdev_add", type="user", id="u")
            vm.qmp.execute("netdev_del", id="u")
            vm.qmp.execute("netdev_del", id="s")
            self.assertEqual(vm.qmp.human("info network"), "")
            with self.assertRaises(QMPError):
                vm.qmp.execute("netdev_del", id="s")


class Streams(unittest.TestCase):
    """-netdev stream: connections come and go, and the guest sees the carrier."""

    def start(self, vm):
        device = virtio.PCI(vm.qtest, slot=5)
        device.start()
        for _ in range(8):
            device.queues[0].add([], [2048])
        device.queues[0].kick()
        return device

    def read_frame(self, sock):
        size = struct.unpack(">I", sock.recv(4, socket.MSG_WAITALL))[0]
        return sock.recv(size, socket.MSG_WAITALL)

    def talk(self, device, sock):
        packet = frame(os.urandom(1000))
        sock.sendall(struct.pack(">I", len(packet)) + packet)
        self.assertEqual(b"".join(device.queues[0].wait()[2])[12:], packet)
        device.queues[1].add([header() + packet], [])
        device.queues[1].kick()
        self.assertEqual(self.read_frame(sock), packet)
        device.queues[1].wait()

    def test_server(self):
        with Duodm("-display", "none", "-m", "64", "-netdev",
                   "stream,id=n,server=on,addr.type=unix,addr.path=@/s",
                   "-device", "virtio-net-pci,netdev=n,addr=5", qtest=True) as vm:
            device = self.start(vm)
            self.assertEqual(device.read_config(6, 2), b"\0\0")
            for _ in range(3):
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(LIMIT)
                    client.connect(vm.path("s"))
                    event = vm.qmp.wait_event("NETDEV_STREAM_CONNECTED")
                    self.assertEqual(event["data"]["netdev-id"], "n")
                    self.assertEqual(event["data"]["addr"]["type"], "unix")
                    self.assertEqual(device.read_config(6, 2), b"\1\0")
                    self.talk(device, client)
                vm.qmp.wait_event("NETDEV_STREAM_DISCONNECTED")
                self.assertEqual(device.read_config(6, 2), b"\0\0")
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(vm.path("s"))
                client.sendall(b"\xff" * 100)  # no packet is that long
                vm.qmp.wait_event("NETDEV_STREAM_DISCONNECTED")
            self.assertEqual(vm.quit(), 0)

    def test_client_reconnects(self):
        with socket.socket(socket.AF_INET) as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            server.settimeout(LIMIT)
            with Duodm("-display", "none", "-m", "64", "-netdev", "stream,id=n,reconnect=1,"
                       f"addr.type=inet,addr.host=127.0.0.1,addr.port={server.getsockname()[1]}",
                       "-device", "virtio-net-pci,netdev=n,addr=5", qtest=True) as vm:
                device = self.start(vm)
                for k in range(2):
                    peer, _ = server.accept()
                    peer.settimeout(LIMIT)
                    if k > 0:  # the first came before there was a monitor
                        vm.qmp.wait_event("NETDEV_STREAM_CONNECTED")
                    self.talk(device, peer)
                    peer.close()
                    vm.qmp.wait_event("NETDEV_STREAM_DISCONNECTED")

    def test_legacy_syntax(self):
        with Duodm("-display", "none", "-m", "64", "-netdev", "socket,id=n,listen=127.0.0.1:0",
                   "-device", "virtio-net-pci,netdev=n,addr=5", qtest=True) as vm:
            text = vm.qmp.human("info network")
            port = int(text.split("tcp:127.0.0.1:")[1].split(",")[0])
            device = self.start(vm)
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.settimeout(LIMIT)
                vm.qmp.wait_event("NETDEV_STREAM_CONNECTED")
                self.talk(device, client)


class Datagrams(unittest.TestCase):
    def test_unix_peer_comes_later(self):
        with Duodm("-display", "none", "-m", "64", "-netdev", "dgram,id=n,local.type=unix,"
                   "local.path=@/a,remote.type=unix,remote.path=@/b", "-device",
                   "virtio-net-pci,netdev=n,addr=5", qtest=True) as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start()
            for _ in range(2):  # a peer, and another in its place
                device.queues[1].request([header() + frame(b"into nothing")], [])
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
                    peer.settimeout(LIMIT)
                    peer.bind(vm.path("b"))
                    device.queues[1].request([header() + frame(b"hello")], [])
                    self.assertEqual(peer.recv(100), frame(b"hello"))
                    device.queues[0].add([], [200])
                    device.queues[0].kick()
                    peer.sendto(frame(b"answer"), vm.path("a"))
                    self.assertEqual(b"".join(device.queues[0].wait()[2])[12:], frame(b"answer"))
                os.unlink(vm.path("b"))
            self.assertEqual(vm.quit(), 0)
            self.assertFalse(os.path.exists(vm.path("a")))

    def test_udp(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            peer.settimeout(LIMIT)
            with Duodm("-display", "none", "-m", "64", "-netdev", "socket,id=n,udp=127.0.0.1:"
                       f"{peer.getsockname()[1]},localaddr=127.0.0.1:0", "-device",
                       "virtio-net-pci,netdev=n,addr=5", qtest=True) as vm:
                device = virtio.PCI(vm.qtest, slot=5)
                device.start()
                device.queues[1].request([header() + frame(b"hello")], [])
                data, address = peer.recvfrom(100)
                self.assertEqual(data, frame(b"hello"))
                device.queues[0].add([], [200])
                device.queues[0].kick()
                peer.sendto(frame(b"answer"), address)
                self.assertEqual(b"".join(device.queues[0].wait()[2])[12:], frame(b"answer"))


if __name__ == "__main__":
    unittest.main()
