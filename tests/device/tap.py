# SPDX-License-Identifier: GPL-2.0-or-later
"""Tap interfaces, in a network namespace of the test's own: skipped where that is not permitted."""
import os
import socket
import struct
import unittest

import netns
import virtio
from duodm import SLOWER, Duodm, run
from packets import (F, LIMIT, MAC, NEEDS_CSUM, OTHER, TCPV4, bits, frame, header, ones_sum, tcp4,
                     tcp4_is_right)

virtio.Device.slower = SLOWER
OK = 0  # of the control queue
SOL_PACKET, PACKET_VNET_HDR, ETH_P_ALL = 263, 15, 3


class Wire:
    """The host's side of an interface: whole packets, with the kernel's virtio header."""

    def __init__(self, name):
        netns.bring_up(name)
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self.sock.bind((name, ETH_P_ALL))
        self.sock.settimeout(LIMIT)

    def send(self, packet, head=bytes(10)):
        self.sock.send(head + packet)

    def receive(self):
        """(header, packet) of what the guest sent."""
        while True:
            data, address = self.sock.recvfrom(80000)
            if address[2] != socket.PACKET_OUTGOING:
                return data[:10], data[10:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


def machine(netdev, options="", fds=()):
    return Duodm("-display", "none", "-m", "64", "-netdev", f"tap,id=n,{netdev}",
                   "-device", f"virtio-net-pci,netdev=n,addr=5{options}", qtest=True,
                 pass_fds=fds)


def post(device, queue=0, count=8, size=70000):
    for _ in range(count):
        device.queues[queue].add([], [size])
    device.queues[queue].kick()


def receive(device, queue=0):
    data = b"".join(device.queues[queue].wait()[2])
    return data[:12], data[12:]


class Tap(unittest.TestCase):
    def check_both_ways(self, netdev, fds=(), name="t0"):
        with machine(netdev, fds=fds) as vm, Wire(name) as wire:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start()
            post(device)
            for size in (60, 1514):
                packet = frame(os.urandom(size - 14))
                wire.send(packet)
                self.assertEqual(receive(device)[1], packet)
                device.queues[1].request([header() + packet], [])
                self.assertEqual(wire.receive()[1], packet)
            self.assertEqual(vm.quit(), 0)

    @netns.in_namespace
    def test_by_name(self):
        self.check_both_ways("ifname=t0,script=no,downscript=no,br=xenbr0,vhost=off")

    @netns.in_namespace
    def test_without_header(self):
        self.check_both_ways("ifname=t0,script=no,vnet_hdr=off")

    @netns.in_namespace
    def test_given_descriptor(self):
        fd = netns.open_tap("given")
        self.check_both_ways(f"fd={fd}", fds=[fd], name="given")
        os.close(fd)

    @netns.in_namespace
    def test_goes_with_the_process(self):
        with machine("ifname=t0") as vm:
            self.assertIn("t0", [name for _, name in socket.if_nameindex()])
            self.assertIn("type=tap,ifname=t0,vnet_hdr=on,queues=1", vm.qmp.human("info network"))
            vm.quit()
        self.assertNotIn("t0", [name for _, name in socket.if_nameindex()])

    @netns.in_namespace
    def test_busy(self):
        with machine("ifname=t0"):
            result = run("-accel", "qtest", "-netdev", "tap,id=n,ifname=t0")
            self.assertEqual(result.returncode, 1)
            self.assertIn("another process uses it", result.stderr)

    @netns.in_namespace
    def test_not_a_tap(self):
        result = run("-accel", "qtest", "-netdev", "tap,id=n,ifname=lo")
        self.assertEqual(result.returncode, 1)
        self.assertIn("no tap interface", result.stderr)

    @netns.in_namespace
    def test_scripts(self):
        with Duodm("-display", "none", qtest=True) as outer:
            for name, status in (("up", 0), ("down", 0), ("bad", 3)):
                with open(outer.path(name), "w", encoding="ascii") as file:
                    file.write(f"#!/bin/sh\necho {name} $1 >>{outer.path('log')}\nexit {status}\n")
                os.chmod(outer.path(name), 0o755)
            with machine(f"ifname=t0,script={outer.path('up')},downscript={outer.path('down')}") as vm:
                self.assertEqual(vm.quit(), 0)
            with open(outer.path("log"), encoding="ascii") as file:
                self.assertEqual(file.read(), "up t0\ndown t0\n")
            for script, word in (("bad", "ended with status 3"), ("none", "No such file")):
                result = run("-accel", "qtest", "-netdev",
                             f"tap,id=n,ifname=t0,script={outer.path(script)}")
                self.assertEqual(result.returncode, 1)
                self.assertIn(word, result.stderr)


class Offloads(unittest.TestCase):
    @netns.in_namespace
    def test_large_packet_goes_whole(self):
        with machine("ifname=t0") as vm, Wire("t0") as wire:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start()
            packet = bytearray(tcp4(os.urandom(30000)))
            packet[24:26] = struct.pack(">H", 0xffff ^ ones_sum(bytes(packet[14:34])))
            device.queues[1].request([header(NEEDS_CSUM, TCPV4, 54, 1448, 34, 16) + bytes(packet)], [])
            head, got = wire.receive()
            self.assertEqual(got, packet)
            self.assertEqual(head[0] & 1, NEEDS_CSUM)
            self.assertEqual(head[1], TCPV4)
            self.assertEqual(struct.unpack_from("<H", head, 4)[0], 1448)

    def check_to_guest(self, without, finished):
        """An unfinished packet of the host's, to a guest that can, or can't, finish it."""
        with machine("ifname=t0") as vm, Wire("t0") as wire:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start(without=without)
            post(device)
            packet = bytearray(tcp4(os.urandom(800)))
            packet[:12] = MAC + OTHER
            packet[24:26] = struct.pack(">H", 0xffff ^ ones_sum(bytes(packet[14:34])))
            packet[50:52] = struct.pack(">H", ones_sum(bytes(packet[26:34]) +
                                                       struct.pack(">HH", 6, len(packet) - 34)))
            wire.send(bytes(packet), header(NEEDS_CSUM, start=34, offset=16)[:10])
            head, got = receive(device)
            self.assertEqual(head[0] & NEEDS_CSUM, 0 if finished else NEEDS_CSUM)
            self.assertEqual(tcp4_is_right(got), finished)

    @netns.in_namespace
    def test_guest_that_can(self):
        self.check_to_guest(0, False)

    @netns.in_namespace
    def test_guest_that_can_not(self):
        self.check_to_guest(bits("GUEST_CSUM", "GUEST_TSO4", "GUEST_TSO6", "GUEST_ECN", "GUEST_USO4",
                                 "GUEST_USO6"), True)


class Queues(unittest.TestCase):
    @netns.in_namespace
    def test_two_pairs(self):
        with machine("ifname=t0,queues=2,script=no") as vm, Wire("t0") as wire:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start()
            self.assertEqual(device.read_config(8, 2), b"\2\0")
            self.assertEqual(len(device.queues), 5)
            for pairs, status in ((0, 1), (3, 1), (2, OK)):
                _, answer = device.queues[4].request([b"\4\0", struct.pack("<H", pairs)], [1])
                self.assertEqual(answer[0], status)
            post(device, 0, 60, 2000)
            post(device, 2, 60, 2000)
            for queue in (1, 3):
                packet = frame(bytes([queue]) * 100)
                device.queues[queue].request([header() + packet], [])
                self.assertEqual(wire.receive()[1], packet)
            for i in range(40):  # flows: the kernel spreads them
                packet = bytearray(tcp4(b"x"))
                packet[:12] = MAC + OTHER
                packet[34:36] = struct.pack(">H", 5000 + i)
                wire.send(bytes(packet))
            seen = {0: 0, 2: 0}
            while sum(seen.values()) < 40:
                for queue in seen:
                    while device.queues[queue].poll():
                        seen[queue] += 1
            self.assertTrue(all(seen.values()), seen)

    @netns.in_namespace
    def test_without_mq_the_control_queue_is_the_third(self):
        with machine("ifname=t0,queues=2") as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start(without=1 << F["MQ"])
            _, answer = device.queues[2].request([b"\0\0", b"\1"], [1])
            self.assertEqual(answer[0], OK)


if __name__ == "__main__":
    unittest.main()
