# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets and virtio-net's header and features, for tests of network cards."""
import binascii
import struct

from duodm import SLOWER

LIMIT = 20 * SLOWER  # seconds that a packet may take
F = {name: bit for bit, name in enumerate(
    "CSUM GUEST_CSUM CTRL_GUEST_OFFLOADS MTU - MAC - GUEST_TSO4 GUEST_TSO6 GUEST_ECN GUEST_UFO "
    "HOST_TSO4 HOST_TSO6 HOST_ECN HOST_UFO MRG_RXBUF STATUS CTRL_VQ CTRL_RX CTRL_VLAN CTRL_RX_EXTRA "
    "GUEST_ANNOUNCE MQ CTRL_MAC_ADDR".split())}
F.update(GUEST_USO4=54, GUEST_USO6=55, HOST_USO=56, SPEED_DUPLEX=63)
NEEDS_CSUM, TCPV4, TCPV6, UDPL4 = 1, 1, 4, 5
MAC = bytes.fromhex("525400123456")
OTHER = bytes.fromhex("525400aaaaaa")
BROADCAST = b"\xff" * 6
MULTICAST = bytes.fromhex("01005e0a0b0c")


def bits(*names):
    return sum(1 << F[name] for name in names)


def frame(payload, to=MAC, kind=0x88b5):
    return to + OTHER + struct.pack(">H", kind) + payload


def fcs(packet):
    return struct.pack("<I", binascii.crc32(packet))


def header(flags=0, gso=0, hdr_len=0, size=0, start=0, offset=0, buffers=0):
    return struct.pack("<BBHHHHH", flags, gso, hdr_len, size, start, offset, buffers)


def ones_sum(data, start=0):
    data += b"\0" * (len(data) % 2)
    total = start + sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def tcp4(payload, sequence=1000, flags=0x18):
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 7, 0, 64, 6, 0,
                     bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
    tcp = struct.pack(">HHIIBBHHH", 1, 2, sequence, 0, 0x50, flags, 1000, 0, 0)
    return OTHER + MAC + b"\x08\0" + ip + tcp + payload


def tcp4_is_right(packet):
    pseudo = packet[26:34] + struct.pack(">HH", 6, len(packet) - 34)
    return ones_sum(packet[14:34]) == 0xffff and ones_sum(pseudo + packet[34:]) == 0xffff


def udp4(payload, checksum=True):
    head = struct.pack(">HHHH", 5, 6, 8 + len(payload), 0)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 1, 0, 64, 17, 0, bytes([10, 0, 0, 1]),
                     bytes([10, 0, 0, 2]))
    ip = ip[:10] + struct.pack(">H", ones_sum(ip) ^ 0xffff) + ip[12:]
    if checksum:
        pseudo = ip[12:20] + struct.pack(">HH", 17, 8 + len(payload))
        head = head[:6] + struct.pack(">H", ones_sum(pseudo + head + payload) ^ 0xffff)
    return MAC + OTHER + b"\x08\0" + ip + head + payload


def finished(packet):
    """A packet of tcp4 with its checksums."""
    packet = bytearray(packet)
    struct.pack_into(">H", packet, 24, ones_sum(bytes(packet[14:34])) ^ 0xffff)
    pseudo = bytes(packet[26:34]) + struct.pack(">HH", 6, len(packet) - 34)
    struct.pack_into(">H", packet, 50, ones_sum(pseudo + bytes(packet[34:])) ^ 0xffff)
    return bytes(packet)
