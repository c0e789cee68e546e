# SPDX-License-Identifier: GPL-2.0-or-later
"""A small RFB (VNC) client: the picture as the server sends it, keys and pointer (RFC 6143)."""

import socket
import struct
import time

from duodm import SLOWER

RAW, DESKTOP_SIZE = 0, -223

# DES, for the password. Tables of FIPS 46-3.
_IP = [58 - 8 * (i % 8) + 2 * (i // 8) if i < 32 else 57 - 8 * (i % 8) + 2 * ((i - 32) // 8)
       for i in range(64)]
_FP = [0] * 64
for _i, _p in enumerate(_IP):
    _FP[_p - 1] = _i + 1
_E = [(4 * i + j - 1) % 32 + 1 for i in range(8) for j in range(6)]
_P = [16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10,
      2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25]
_PC1 = [57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3,
        60, 52, 44, 36, 63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45,
        37, 29, 21, 13, 5, 28, 20, 12, 4]
_PC2 = [14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
        41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29,
        32]
_SHIFTS = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1]
_S = [[int(c, 16) for c in row] for row in (
    "e4d12fb83a6c5907" "0f74e2d1a6cb9538" "41e8d62bfc973a50" "fc8249175b3ea06d",
    "f18e6b34972dc05a" "3d47f28ec01a69b5" "0e7ba4d158c6932f" "d8a13f42b67c05e9",
    "a09e63f51dc7b428" "d709346a285ecbf1" "d6498f30b12c5ae7" "1ad069874fe3b52c",
    "7de3069a1285bc4f" "d8b56f03472c1ae9" "a690cb7df13e5284" "3f06a1d8945bc72e",
    "2c417ab6853fd0e9" "eb2c47d150fa3986" "421bad78f9c5630e" "b8c71e2d6f09a453",
    "c1af92680d34e75b" "af427c9561de0b38" "9ef528c3704a1db6" "432c95fabe17608d",
    "4b2ef08d3c975a61" "d0b7491ae35c2f86" "14bdc37eaf680592" "6bd814a7950fe23c",
    "d2846fb1a93e50c7" "1fd8a374c56b0e92" "7b419ce206adf358" "21e74a8dfc90356b",
)]


def _permute(bits, table):
    return [bits[i - 1] for i in table]


def des_encrypt(key, block):
    def to_bits(data):
        return [byte >> (7 - i) & 1 for byte in data for i in range(8)]

    state = _permute(to_bits(block), _IP)
    left, right = state[:32], state[32:]
    halves = _permute(to_bits(key), _PC1)
    c, d = halves[:28], halves[28:]
    for shift in _SHIFTS:
        c, d = c[shift:] + c[:shift], d[shift:] + d[:shift]
        mixed = [a ^ b for a, b in zip(_permute(right, _E), _permute(c + d, _PC2))]
        out = []
        for i in range(8):
            six = mixed[6 * i:6 * i + 6]
            value = _S[i][(six[0] << 1 | six[5]) * 16 +
                          (six[1] << 3 | six[2] << 2 | six[3] << 1 | six[4])]
            out += [value >> 3 & 1, value >> 2 & 1, value >> 1 & 1, value & 1]
        left, right = right, [a ^ b for a, b in zip(left, _permute(out, _P))]
    bits = _permute(right + left, _FP)
    return bytes(sum(bit << (7 - j) for j, bit in enumerate(bits[8 * i:8 * i + 8]))
                 for i in range(8))


def answer_challenge(password, challenge):
    key = password.encode()[:8].ljust(8, b"\0")
    key = bytes(int(f"{byte:08b}"[::-1], 2) for byte in key)
    return des_encrypt(key, challenge[:8]) + des_encrypt(key, challenge[8:])


class RFBError(Exception):
    pass


class RFB:
    """A connected client. .pixels is a list of rows of bytes, 4 a pixel (blue, green, red, 0).
    address: where to connect to, or something connected that acts as a socket does."""

    def __init__(self, address, password=None, shared=True, timeout=20.0, version=b"003.008",
                 resize=True):
        if hasattr(address, "recv"):
            self.sock = address
        else:
            family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
            self.sock = socket.socket(family)
            self.sock.connect(address)
        self.timeout = timeout * SLOWER
        self.sock.settimeout(self.timeout)
        self._negotiate(password, shared, version)
        self.sock.sendall(struct.pack(">BxxxBBBBHHHBBBxxx", 0, 32, 24, 0, 1, 255, 255, 255,
                                      16, 8, 0))
        encodings = [RAW] + ([DESKTOP_SIZE] if resize else [])
        self.sock.sendall(struct.pack(f">BxH{len(encodings)}i", 2, len(encodings), *encodings))

    def read(self, count):
        data = b""
        while len(data) < count:
            part = self.sock.recv(count - len(data))
            if not part:
                raise EOFError("the server closed the connection")
            data += part
        return data

    def _negotiate(self, password, shared, version):
        self.version = self.read(12)
        self.sock.sendall(b"RFB " + version + b"\n")
        if version >= b"003.007":
            count = self.read(1)[0]
            if not count:
                raise RFBError(self.read(struct.unpack(">I", self.read(4))[0]).decode())
            self.security = list(self.read(count))
            chosen = 2 if 2 in self.security else 1
            self.sock.sendall(bytes([chosen]))
        else:
            chosen = struct.unpack(">I", self.read(4))[0]
            self.security = [chosen]
        if chosen == 2:
            self.sock.sendall(answer_challenge(password or "", self.read(16)))
        if chosen == 2 or version >= b"003.008":
            if struct.unpack(">I", self.read(4))[0]:
                raise RFBError("the password was refused")
        self.sock.sendall(bytes([1 if shared else 0]))
        header = self.read(24)
        self.width, self.height = struct.unpack(">HH", header[:4])
        self.name = self.read(struct.unpack(">I", header[20:])[0]).decode()
        self._clear()

    def _clear(self):
        self.pixels = [bytearray(4 * self.width) for _ in range(self.height)]

    def request(self, incremental=True):
        self.sock.sendall(struct.pack(">BBHHHH", 3, incremental, 0, 0, self.width, self.height))

    def receive(self):
        """One message of the server; the rectangles of an update, else None."""
        kind = self.read(1)[0]
        if kind == 2:
            return None
        if kind == 3:
            length = struct.unpack(">xxxI", self.read(7))[0]
            self.read(length)
            return None
        if kind != 0:
            raise RFBError(f"message {kind}")
        rectangles = []
        for _ in range(struct.unpack(">xH", self.read(3))[0]):
            x, y, width, height, encoding = struct.unpack(">HHHHi", self.read(12))
            if encoding == DESKTOP_SIZE:
                self.width, self.height = width, height
                self._clear()
            elif encoding == RAW:
                data = self.read(4 * width * height)
                for row in range(height):
                    self.pixels[y + row][4 * x:4 * (x + width)] = \
                        data[4 * width * row:4 * width * (row + 1)]
            else:
                raise RFBError(f"encoding {encoding}")
            rectangles.append((x, y, width, height, encoding))
        return rectangles

    def update(self, incremental=True):
        """Ask for an update and wait for it."""
        self.request(incremental)
        while (rectangles := self.receive()) is None:
            pass
        if any(encoding == DESKTOP_SIZE for *_, encoding in rectangles):
            return self.update(False)
        return rectangles

    def wait_for(self, condition, timeout=None):
        """Take updates until condition(self) is true."""
        deadline = time.monotonic() + (timeout * SLOWER if timeout else self.timeout)
        self.update(False)
        while not condition(self):
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the picture did not come to that")
            self.sock.settimeout(left)
            self.update()
        self.sock.settimeout(self.timeout)

    def key(self, keysym, down):
        self.sock.sendall(struct.pack(">BBxxI", 4, down, keysym))

    def press(self, keysym):
        self.key(keysym, True)
        self.key(keysym, False)

    def type(self, text):
        for character in text:
            self.press(0xFF0D if character == "\n" else ord(character))

    def pointer(self, x, y, buttons=0):
        self.sock.sendall(struct.pack(">BBHH", 5, buttons, x, y))

    def rgb(self):
        """The picture as rows of (red, green, blue) bytes."""
        return [bytes(b for i in range(0, len(row), 4) for b in (row[i + 2], row[i + 1], row[i]))
                for row in self.pixels]

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
