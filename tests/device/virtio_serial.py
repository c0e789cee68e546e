# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio-serial over the test port: ports, their messages, data both ways, back pressure."""
import os
import socket
import struct
import unittest

import virtio
from duodm import SLOWER, Duodm, run

virtio.Device.slower = SLOWER
F_MULTIPORT = 1
READY, ADD, REMOVE, PORT_READY, CONSOLE, RESIZE, OPEN, NAME = range(8)


class Guest:
    """The driver's side of a virtio-serial device with control queues."""

    def __init__(self, vm, **options):
        self.device = virtio.PCI(vm.qtest, slot=5)
        self.device.start(**options)
        for _ in range(16):
            self.device.queues[2].add([], [256])
        self.device.queues[2].kick()

    def tell(self, port, event, value=1):
        self.device.queues[3].request([struct.pack("<IHH", port, event, value)], [])

    def hear(self):
        _, length, (data,) = self.device.queues[2].wait()
        port, event, value = struct.unpack("<IHH", data[:8])
        self.device.queues[2].add([], [256])
        self.device.queues[2].kick()
        return (port, event, data[8:] if event == NAME else value)

    def queues(self, port):
        first = 2 + 2 * port if port else 0
        return self.device.queues[first], self.device.queues[first + 1]


class Ports(unittest.TestCase):
    def machine(self, *ports, serial="virtio-serial-pci,id=vs,addr=5"):
        """Each port: its -device text; a socket of its own is at its other end."""
        self.sockets = []
        arguments = ["-display", "none", "-m", "64"]
        keep = []
        for index in range(len(ports)):
            ours, theirs = socket.socketpair()
            self.sockets.append(ours)
            keep.append(theirs)
            arguments += ["-chardev", f"socket,id=c{index},fd={theirs.fileno()}"]
            ours.settimeout(10 * SLOWER)
            self.addCleanup(ours.close)
        arguments += ["-device", serial]
        for index, port in enumerate(ports):
            arguments += ["-device", f"{port},chardev=c{index}"]
        vm = Duodm(*arguments, qtest=True, pass_fds=[theirs.fileno() for theirs in keep])
        for theirs in keep:
            theirs.close()
        return vm

    def test_messages_and_data(self):
        with self.machine("virtconsole,name=con", "virtserialport,name=org.test.a,id=a") as vm:
            guest = Guest(vm)
            guest.tell(0, READY)
            self.assertEqual([guest.hear(), guest.hear()], [(0, ADD, 1), (1, ADD, 1)])
            guest.tell(0, PORT_READY)
            self.assertEqual([guest.hear() for _ in range(3)],
                             [(0, CONSOLE, 1), (0, NAME, b"con"), (0, OPEN, 1)])
            guest.tell(1, PORT_READY)
            self.assertEqual([guest.hear() for _ in range(2)],
                             [(1, NAME, b"org.test.a"), (1, OPEN, 1)])
            guest.tell(1, OPEN)
            self.assertEqual(vm.qmp.wait_event("VSERPORT_CHANGE")["data"],
                             {"open": True, "id": "a"})
            guest.tell(0, OPEN)
            for port in (0, 1):
                receive, transmit = guest.queues(port)
                transmit.request([b"hello ", b"host"], [])
                self.assertEqual(self.sockets[port].recv(100), b"hello host")
                receive.add([], [3, 4])
                receive.kick()
                self.sockets[port].sendall(b"answer of mine")
                data = b""
                while len(data) < 14:
                    _, length, parts = receive.wait()
                    data += b"".join(parts)
                    receive.add([], [3, 4])
                    receive.kick()
                self.assertEqual(data, b"answer of mine")
            self.sockets[1].close()
            self.assertEqual(guest.hear(), (1, OPEN, 0))
            guest.tell(1, OPEN, 0)
            self.assertEqual(vm.qmp.wait_event("VSERPORT_CHANGE")["data"]["open"], False)
            self.assertEqual(vm.quit(), 0)

    def test_one_port_without_control(self):
        with self.machine("virtconsole") as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start(without=1 << F_MULTIPORT)
            device.queues[1].request([b"plain"], [])
            self.assertEqual(self.sockets[0].recv(100), b"plain")
            device.queues[0].add([], [64])
            device.queues[0].kick()
            self.sockets[0].sendall(b"typed")
            self.assertEqual(device.queues[0].wait()[2], [b"typed"])
            device.write_config(8, b"E")  # the emergency write, 5.3.5.1
            self.assertEqual(self.sockets[0].recv(100), b"E")

    def test_nothing_is_lost_when_the_host_is_slow(self):
        """Much more than all queues and sockets hold; a stop and a continue in the middle."""
        data = os.urandom(1 << 20)
        with self.machine("virtconsole") as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start(without=1 << F_MULTIPORT)
            queue, sent, came = device.queues[1], 0, b""
            while sent < len(data):
                queue.add([data[sent:sent + 65536]], [])
                sent += 65536
            queue.kick()
            vm.qmp.execute("stop")
            vm.qmp.execute("cont")
            while len(came) < len(data):
                came += self.sockets[0].recv(1 << 16)
            self.assertEqual(came, data)
            for _ in range(len(data) // 65536):
                queue.wait()

    def test_nothing_is_lost_when_the_guest_is_slow(self):
        data = os.urandom(1 << 17)
        with self.machine("virtconsole") as vm:
            device = virtio.PCI(vm.qtest, slot=5)
            device.start(without=1 << F_MULTIPORT)
            self.sockets[0].setblocking(False)
            sent, came, queue = 0, b"", device.queues[0]
            while len(came) < len(data):
                try:
                    sent += self.sockets[0].send(data[sent:])
                except BlockingIOError:
                    pass
                queue.add([], [5000])
                queue.kick()
                came += b"".join(queue.wait()[2])
            self.assertEqual(came, data)

    def test_ports_come_and_go(self):
        with self.machine("virtserialport,name=x,id=x") as vm:
            guest = Guest(vm)
            guest.tell(0, READY)
            self.assertEqual(guest.hear(), (1, ADD, 1))
            vm.qmp.execute("device_del", id="x")
            self.assertEqual(vm.qmp.wait_event("DEVICE_DELETED")["data"]["device"], "x")
            self.assertEqual(guest.hear(), (1, REMOVE, 1))
            vm.qmp.execute("device_add", driver="virtserialport", id="y", name="y", chardev="c0")
            self.assertEqual(guest.hear(), (1, ADD, 1))
            guest.tell(1, PORT_READY)
            self.assertIn((1, NAME, b"y"), (guest.hear(), guest.hear()))

    def test_reset_drops_what_waits(self):
        with self.machine("virtserialport,name=x") as vm:
            guest = Guest(vm)
            guest.tell(0, READY)
            self.assertEqual(guest.hear(), (1, ADD, 1))
            guest = Guest(vm)  # begins with a reset: all is told anew
            guest.tell(0, READY)
            self.assertEqual(guest.hear(), (1, ADD, 1))
            guest.tell(1, PORT_READY)
            guest.tell(7, PORT_READY)  # ports that are not there, events that are not known
            guest.tell(0xffffffff, OPEN)
            guest.tell(1, 0x1234)
            self.assertEqual(guest.hear(), (1, NAME, b"x"))
            self.assertEqual(guest.hear(), (1, OPEN, 1))
            guest.device.queues[3].request([b"short"], [])
            self.assertFalse(guest.device.status() & virtio.NEEDS_RESET)

    def test_what_cannot_be(self):
        for devices, message in (
                (["virtserialport,nr=0"], "port 0 is for a virtconsole"),
                (["virtserialport,nr=31"], "not possible"),
                (["virtserialport,nr=5", "virtserialport,nr=5"], "is taken"),
                (["virtconsole,bus=nowhere.0"], "vs.0")):
            arguments = [word for text in devices for word in ("-device", text)]
            result = run("-accel", "qtest", "-display", "none", "-device",
                         "virtio-serial-pci,id=vs", *arguments)
            self.assertEqual(result.returncode, 1)
            self.assertIn(message, result.stderr)
        result = run("-accel", "qtest", "-display", "none", "-device", "virtconsole")
        self.assertIn("no bus of its kind", result.stderr)


if __name__ == "__main__":
    unittest.main()
