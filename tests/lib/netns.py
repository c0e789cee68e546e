# SPDX-License-Identifier: GPL-2.0-or-later
"""Network namespaces of a test's own, so that its interfaces and traffic meet nobody else's."""
import ctypes
import fcntl
import functools
import os
import socket
import struct
import threading
import unittest

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = 0x8913, 0x8914, 0x8916, 0x891C
IFF_UP = 1


def in_namespace(test):
    """The test runs in a thread that has a network namespace of its own, as have its children."""

    @functools.wraps(test)
    def run(*arguments):
        problem = []

        def body():
            try:
                enter()
                test(*arguments)
            except BaseException as e:  # pylint: disable=broad-except
                problem.append(e)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if problem:
            raise problem[0]

    return run


def enter():
    if not os.path.exists("/dev/net/tun"):
        raise unittest.SkipTest("there is no /dev/net/tun")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) < 0:
        raise unittest.SkipTest("no network namespace: " + os.strerror(ctypes.get_errno()))
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as e:
        raise unittest.SkipTest(f"/dev/net/tun: {e.strerror}")
    for name in ("all", "default"):  # the kernel's own packets would come between
        try:
            with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w", encoding="ascii") as f:
                f.write("1")
        except OSError:
            pass
    bring_up("lo")


def interface_request(number, name, data):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return fcntl.ioctl(sock, number, struct.pack("16s24s", name.encode(), data))


def bring_up(name):
    flags = struct.unpack("16sH22x", interface_request(SIOCGIFFLAGS, name, b""))[1]
    interface_request(SIOCSIFFLAGS, name, struct.pack("H", flags | IFF_UP))


def set_address(name, address, mask="255.255.255.0"):
    for number, text in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, mask)):
        interface_request(number, name, struct.pack("HH4s", socket.AF_INET, 0, socket.inet_aton(text)))


def open_tap(name, flags=0):
    """A descriptor of a tap device with a virtio header, made here."""
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", name.encode(), 0x0002 | 0x1000 | 0x4000 | flags))
    return fd
