#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A vfio-user server for tests: a PCI function with registers, mapped memory, MSI-X and a DMA engine.

    vfio_user_server.py SOCKET ['{"setting": value}']

It is told what to do by lines of JSON on its standard input, and answers each on its output; see
Server.control. What is wrong with it is told by rules: {"COMMAND": "what it does instead"}.

BAR 0 (64 bits, 16 KiB): registers in page 0, mapped memory in page 1, MSI-X table and pending bits in
2 and 3. BAR 2 (64 KiB): mapped memory. BAR 3: 32 I/O ports.
"""
import array
import errno
import json
import mmap
import os
import select
import socket
import struct
import sys
import time
import zlib

(VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, GET_REGION_INFO, GET_REGION_IO_FDS, GET_IRQ_INFO, SET_IRQS,
 REGION_READ, REGION_WRITE, DMA_READ, DMA_WRITE, RESET) = range(1, 14)
NAMES = {VERSION: "VERSION", DMA_MAP: "DMA_MAP", DMA_UNMAP: "DMA_UNMAP", GET_INFO: "GET_INFO",
         GET_REGION_INFO: "GET_REGION_INFO", GET_IRQ_INFO: "GET_IRQ_INFO", SET_IRQS: "SET_IRQS",
         REGION_READ: "REGION_READ", REGION_WRITE: "REGION_WRITE", RESET: "RESET"}
REPLY, NO_REPLY, ERROR = 1, 0x10, 0x20
CONFIG = 7
INTX, MSI, MSIX, ERR, REQ = range(5)
PAGE = 4096
READ, WRITE, MMAP, CAPS = 1, 2, 4, 8
# Registers of the DMA engine.
ID, SCRATCH, SOURCE, TARGET, LENGTH, GO, STATUS, SUM, VECTOR, RAISE = (
    0, 4, 8, 0x10, 0x18, 0x1C, 0x20, 0x24, 0x28, 0x2C)
COPY_MAPPED, COPY_MESSAGES, CHECKSUM = 1, 2, 3
IDENTITY = 0x55534552
BUSY = 2


class Problem(Exception):
    """What the client is told by an error reply."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


class Gone(Exception):
    """The client has closed the connection, or we did."""


def config_space():
    """Registers: MSI-X of 4 vectors at 40h, power management at 50h."""
    config = bytearray(256)
    struct.pack_into("<HHHH", config, 0, 0x1B36, 0x00F0, 0, 0x0010)
    config[8:12] = bytes([1, 0, 0, 0xFF])
    struct.pack_into("<I", config, 0x10, 0x4)
    struct.pack_into("<I", config, 0x1C, 0x1)
    struct.pack_into("<HH", config, 0x2C, 0x1AF4, 0x1100)
    config[0x34] = 0x40
    config[0x3D] = 1
    struct.pack_into("<BBHII", config, 0x40, 0x11, 0x50, 3, 0x2000, 0x3000)
    struct.pack_into("<BBHI", config, 0x50, 1, 0, 3, 0)
    return config


def rom_image(begin, size):
    """begin: its first two bytes, as a number; AA55h is that of a ROM."""
    return (struct.pack("<H", begin) + bytes(n * 7 >> 3 & 0xFF for n in range(2, size)))[:size]


def sparse_areas(areas):
    """VFIO_REGION_INFO_CAP_SPARSE_MMAP, as it follows the region's information."""
    return struct.pack("<HHIII", 1, 1, 0, len(areas), 0) + b"".join(
        struct.pack("<QQ", start, size) for start, size in areas)


class Mapping:
    """Memory that the client lets us reach."""

    def __init__(self, address, size, flags, offset, fd):
        self.address, self.size, self.flags, self.direct = address, size, flags, fd is not None
        self.memory = None
        if fd is not None:
            access = mmap.PROT_READ | (mmap.PROT_WRITE if flags & 2 else 0)
            self.memory = mmap.mmap(fd, size, mmap.MAP_SHARED, access, offset=offset)
            os.close(fd)

    def close(self):
        if self.memory:
            self.memory.close()


class Server:
    def __init__(self, path, settings):
        self.settings = settings
        self.rules = dict(settings.get("rules", {}))
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(path)
        self.listening.listen(1)
        self.client = self.twin = None
        self.counts, self.mappings, self.irqs = {}, {}, {}
        self.next_id = self.asked = 0
        self.todo = []  # requests that came while an answer was waited for
        self.resets = 0
        self.regions = {0: 4 * PAGE, 2: 16 * PAGE, 3: 32, CONFIG: 256}
        self.regions.update({int(k): v for k, v in settings.get("regions", {}).items()})
        self.rom = rom_image(*settings.get("rom", (0, 0)))
        self.regions[6] = len(self.rom)
        self.files = {}
        for region in (0, 2):
            fd = os.memfd_create(f"BAR {region}")
            os.ftruncate(fd, settings.get("file_size", self.regions[region]))
            self.files[region] = fd
        self.power_on()

    def power_on(self):
        self.config = config_space()
        for offset, value in self.settings.get("config", {}).items():
            self.config[int(offset)] = value
        self.registers = bytearray(PAGE)
        struct.pack_into("<I", self.registers, ID, IDENTITY)
        struct.pack_into("<I", self.registers, VECTOR, 0xFFFFFFFF)
        self.ports = bytearray(32)

    # The connection.

    def run(self):
        orders = b""
        while True:
            sources = [s for s in (self.listening if not self.client else None, self.client,
                                   sys.stdin) if s]
            for source in select.select(sources, [], [])[0]:
                if source is self.listening:
                    self.client = self.listening.accept()[0]
                elif source is sys.stdin:
                    part = os.read(0, 1 << 20)
                    if not part:
                        return
                    *lines, orders = (orders + part).split(b"\n")
                    for line in lines:
                        self.answer_control(json.loads(line))
                elif source is self.client:
                    try:
                        self.serve_one()
                    except (Gone, ConnectionError):
                        self.drop()

    def drop(self):
        """The client is gone: let go of all that was its."""
        for mapping in self.mappings.values():
            mapping.close()
        for fd in self.irqs.values():
            os.close(fd)
        self.mappings, self.irqs, self.todo = {}, {}, []
        for sock in (self.client, self.twin):
            if sock:
                sock.close()
        self.client = self.twin = None

    def receive_bytes(self, sock, size):
        data, fds = b"", []
        while len(data) < size:
            part, extra, _, _ = sock.recvmsg(size - len(data), socket.CMSG_SPACE(16 * 4))
            if not part:
                raise Gone
            data += part
            for level, kind, body in extra:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    numbers = array.array("i")
                    numbers.frombytes(body[:len(body) - len(body) % 4])
                    fds += list(numbers)
        return data, fds

    def receive(self, sock):
        head, fds = self.receive_bytes(sock, 16)
        number, command, size, flags, problem = struct.unpack("<HHIII", head)
        payload, more = self.receive_bytes(sock, size - 16)
        return number, command, flags, problem, payload, fds + more

    def send(self, sock, data, fds=()):
        extra = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = sock.sendmsg([data], extra)
        if sent < len(data):
            sock.sendall(data[sent:])

    def reply(self, number, command, payload=b"", fds=(), problem=0):
        flags = REPLY | (ERROR if problem else 0)
        self.send(self.client, struct.pack("<HHIII", number, command, 16 + len(payload), flags,
                                           problem) + payload, fds)

    def serve_one(self):
        self.serve(*self.receive(self.client))
        while self.todo:
            self.serve(*self.todo.pop(0))

    def serve(self, number, command, flags, _, payload, fds):
        name = NAMES.get(command, str(command))
        self.counts[name] = self.counts.get(name, 0) + 1
        self.asked += 1
        rule = self.rules.get(name)
        if isinstance(rule, dict):  # only of the calls from some number on
            rule = rule["what"] if self.counts[name] >= rule["from"] else None
        if self.asked == self.rules.get("ANY", {}).get("at"):  # the one with this number
            rule = self.rules["ANY"]["what"]
        if rule and self.misbehave(rule, number, command, flags, payload, fds):
            return
        self.serve_well(number, command, flags, payload, fds)

    def serve_well(self, number, command, flags, payload, fds):
        after = None
        try:
            result = getattr(self, "do_" + NAMES.get(command, "nothing").lower())(payload, fds)
        except Problem as problem:
            if not flags & NO_REPLY:
                self.reply(number, command, problem=problem.number)
            return
        answer, answer_fds, after = (result + (None, None, None))[:3]
        if not flags & NO_REPLY:
            self.reply(number, command, answer or b"", answer_fds or ())
        if after:
            after()

    # What it can do wrong. True: that was all.

    def misbehave(self, rule, number, command, flags, payload, fds):
        what, _, argument = rule.partition(":")
        head = dict(number=number, command=command, size=16, flags=REPLY, problem=0)
        body = b""
        if what == "silent":
            return True
        if what == "flood":  # commands of ours without end, and no answer
            many = struct.pack("<HHIIIQQ", 1, DMA_READ, 32, NO_REPLY, 0, 0, 1) * 2000
            while True:
                self.send(self.client, many)
        if what == "die":
            os.kill(os.getpid(), 9)
        if what == "close":
            raise Gone
        if what == "delay":
            time.sleep(int(argument) / 1000)
            return False
        if what == "error":
            self.reply(number, command, problem=int(argument))
            return True
        if what == "payload":  # an answer that is made of this
            self.reply(number, command, bytes.fromhex(argument))
            return True
        if what == "text":  # VERSION with this JSON
            self.reply(number, command, struct.pack("<HH", 0, 1) + argument.encode() + b"\0")
            return True
        if what == "garbage":
            self.send(self.client, os.urandom(4096))
            return True
        if what == "fds":
            self.send(self.client, struct.pack("<HHIII", number, command, 16, REPLY, 0),
                      [self.files[0]] * int(argument))
            return True
        if what == "cut":  # the beginning of an answer, and no more
            self.send(self.client, struct.pack("<HHIII", number, command, 32, REPLY, 0) + b"\0")
            return True
        if what == "twice":
            self.reply(number, command, b"")
            return False
        if what == "unknown":  # a command of ours that there is none
            self.send(self.client, struct.pack("<HHIII", 9, 99, 16, 0, 0))
            return False
        head[what] = int(argument, 0)
        if what == "size" and 16 <= head["size"] < 65536:
            body = bytes(head["size"] - 16)
        self.send(self.client, struct.pack("<HHIII", *head.values()) + body)
        return True

    # Commands.

    def do_nothing(self, payload, fds):
        raise Problem(errno.ENOTSUP)

    def do_version(self, payload, fds):
        self.offer = json.loads(payload[4:-1]) if len(payload) > 4 else {}
        can = {"max_msg_fds": 4, "max_data_xfer_size": 1 << 20,
               **self.settings.get("capabilities", {})}
        passed = []
        if self.settings.get("twin"):
            self.twin, theirs = socket.socketpair()
            passed = [theirs.detach()]
            can["twin_socket"] = {"supported": True, "fd_index": 0}
        text = json.dumps({"capabilities": can}).encode() + b"\0"
        return (struct.pack("<HH", 0, 1) + text, passed,
                lambda: [os.close(fd) for fd in passed])

    def do_dma_map(self, payload, fds):
        _, flags, offset, address, size = struct.unpack("<IIQQQ", payload)
        if any(address < m.address + m.size and m.address < address + size
               for m in self.mappings.values()):
            raise Problem(errno.EEXIST)
        if address % PAGE or size % PAGE or not size or len(fds) > 1:
            raise Problem(errno.EINVAL)
        self.mappings[address] = Mapping(address, size, flags, offset, fds[0] if fds else None)
        return (b"",)

    def do_dma_unmap(self, payload, fds):
        _, _, address, size = struct.unpack("<IIQQ", payload)
        mapping = self.mappings.get(address)
        if not mapping or mapping.size != size:
            raise Problem(errno.ENOENT)
        self.mappings.pop(address).close()
        return (payload,)

    def do_get_info(self, payload, fds):
        return (struct.pack("<IIII", 16, self.settings.get("flags", 3), 9, 5),)

    def do_get_region_info(self, payload, fds):
        argsz, _, index, _, _, _ = struct.unpack("<IIIIQQ", payload)
        size = self.regions.get(index, 0)
        flags, tail, passed = (READ | WRITE if size else 0), b"", []
        if index in self.files:
            flags |= MMAP
            passed = [self.files[index]] if self.settings.get("pass_files", True) else []
        if index == 0:
            flags |= CAPS
            tail = sparse_areas(self.settings.get("areas", [[PAGE, PAGE]]))
        if argsz < 32 + len(tail):
            raise Problem(errno.EINVAL)
        return (struct.pack("<IIIIQQ", 32 + len(tail), flags, index, 32 if tail else 0, size, 0)
                + tail, passed)

    def do_get_irq_info(self, payload, fds):
        _, _, index, _ = struct.unpack("<IIII", payload)
        counts = {INTX: 1, MSIX: 4, ERR: 1, REQ: 1}
        flags = 1 | (6 if index == INTX else 0)
        return (struct.pack("<IIII", 16, flags, index, counts.get(index, 0)),)

    def do_set_irqs(self, payload, fds):
        _, flags, index, start, count = struct.unpack("<IIIII", payload[:20])
        if fds and len(fds) != count:
            raise Problem(errno.EINVAL)
        if not flags & 0x20:  # unmask
            self.unmasked = getattr(self, "unmasked", 0) + 1
            if fds:
                raise Problem(errno.ENOTSUP)
            return (b"",)
        if count == 0:
            for key in [k for k in self.irqs if k[0] == index]:
                os.close(self.irqs.pop(key))
        for i in range(count):
            old = self.irqs.pop((index, start + i), None)
            if old is not None:
                os.close(old)
            if fds:
                self.irqs[index, start + i] = fds[i]
        return (b"",)

    def do_region_read(self, payload, fds):
        offset, region, count = struct.unpack("<QII", payload)
        return (payload + self.memory_of(region, offset, count)[offset:offset + count],)

    def do_region_write(self, payload, fds):
        offset, region, count = struct.unpack("<QII", payload[:16])
        data, memory, after = payload[16:16 + count], self.memory_of(region, offset, count), None
        if region == 0 and offset == ID:
            return (payload[:16],)
        if region == CONFIG and offset == 4:
            data = bytes([data[0] & 7, data[1] & 4][:count])  # command register
        elif region == CONFIG and offset < 0x40:
            return (payload[:16],)
        memory[offset:offset + count] = data
        if region == 0 and offset == GO:
            self.put(STATUS, BUSY)
            after = self.transfer
        elif region == 0 and offset == RAISE:
            after = lambda: self.interrupt(MSIX, self.get(RAISE))
        return (payload[:16], (), after)

    def do_reset(self, payload, fds):
        self.power_on()
        self.resets += 1
        return (b"",)

    def memory_of(self, region, offset, count):
        memory = {0: self.registers, 3: self.ports, 6: self.rom, CONFIG: self.config}.get(region)
        if memory is None:
            if region in self.files and offset + count <= self.regions[region]:
                data = bytearray(self.regions[region])
                data[offset:offset + count] = os.pread(self.files[region], count, offset)
                return data
            raise Problem(errno.EINVAL)
        if offset + count > len(memory):
            raise Problem(errno.EINVAL)
        return memory

    # The device.

    def get(self, register, form="<I"):
        return struct.unpack_from(form, self.registers, register)[0]

    def put(self, register, value):
        struct.pack_into("<I", self.registers, register, value)

    def interrupt(self, kind, vector=0):
        if (kind, vector) in self.irqs:
            os.write(self.irqs[kind, vector], struct.pack("<Q", 1))

    def transfer(self):
        """The DMA engine: what GO asks for."""
        try:
            self.command(self.get(GO), self.get(SOURCE, "<Q"), self.get(TARGET, "<Q"),
                         self.get(LENGTH))
            self.put(STATUS, 0)
        except Problem as problem:
            self.put(STATUS, 0x80000000 | problem.number)
        self.interrupt(MSIX, self.get(VECTOR))

    def command(self, command, source, target, length):
        if command == CHECKSUM:
            self.put(SUM, zlib.crc32(self.dma_read(source, length, True)))
        elif command in (COPY_MAPPED, COPY_MESSAGES):
            mapped = command == COPY_MAPPED
            data = self.dma_read(source, length, mapped)
            self.put(SUM, zlib.crc32(data))
            self.dma_write(target, data, mapped)
        else:
            raise Problem(errno.ENOTSUP)

    def pieces(self, address, length, right):
        while length:
            mapping = next((m for m in self.mappings.values()
                            if m.address <= address < m.address + m.size), None)
            if not mapping or not mapping.flags & right or not mapping.memory:
                raise Problem(errno.EFAULT)
            offset = address - mapping.address
            n = min(length, mapping.size - offset)
            yield mapping.memory, offset, n
            address, length = address + n, length - n

    def dma_read(self, address, length, mapped):
        if not self.config[4] & 4:  # Bus Master Enable
            raise Problem(errno.EPERM)
        if mapped:
            return b"".join(m[o:o + n] for m, o, n in self.pieces(address, length, 1))
        reply = self.ask(DMA_READ, struct.pack("<QQ", address, length))
        assert reply[:16] == struct.pack("<QQ", address, length), reply[:16]
        return reply[16:]

    def dma_write(self, address, data, mapped):
        if not mapped:
            reply = self.ask(DMA_WRITE, struct.pack("<QQ", address, len(data)) + data)
            assert reply == struct.pack("<QQ", address, len(data)), reply
            return
        for memory, offset, n in list(self.pieces(address, len(data), 2)):
            memory[offset:offset + n] = data[:n]
            data = data[n:]

    def ask(self, command, payload):
        """A command of ours; the answer's payload. What the client asks meanwhile is served later."""
        sock = self.twin or self.client
        self.next_id += 1
        self.send(sock, struct.pack("<HHIII", self.next_id, command, 16 + len(payload), 0, 0)
                  + payload)
        while True:
            message = self.receive(sock)
            number, answered, flags, problem, reply, _ = message
            if flags & 15 != REPLY:
                self.todo.append(message)
                continue
            assert (number, answered) == (self.next_id, command), message
            if flags & ERROR:
                raise Problem(problem)
            return reply

    # Orders of the test.

    def answer_control(self, order):
        try:
            result = {"ok": self.control(**order)}
        except Problem as problem:
            result = {"problem": problem.number}
        except (Gone, ConnectionError):
            self.drop()
            result = {"gone": True}
        while self.todo:
            self.serve(*self.todo.pop(0))
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()

    def control(self, do, **arguments):
        return getattr(self, "control_" + do)(**arguments)

    def control_state(self):
        return {
            "mappings": [[m.address, m.size, m.flags, m.direct]
                         for m in sorted(self.mappings.values(), key=lambda m: m.address)],
            "irqs": sorted(map(list, self.irqs)), "counts": self.counts, "resets": self.resets,
            "asked": self.asked, "connected": self.client is not None, "config": self.config.hex(),
            "offer": getattr(self, "offer", None), "unmasked": getattr(self, "unmasked", 0)}

    def control_rules(self, rules):
        self.rules, self.counts, self.asked = rules, {}, 0

    def control_interrupt(self, kind, vector=0):
        self.interrupt(kind, vector)

    def control_config(self, offset, value):
        self.config[offset] = value

    def control_read(self, address, length, mapped):
        return self.dma_read(address, length, mapped).hex()

    def control_write(self, address, data, mapped):
        self.dma_write(address, bytes.fromhex(data), mapped)

    def control_file(self, region, offset, data=None, length=0):
        """What is in the memory that the client has mapped; or change it."""
        if data is not None:
            os.pwrite(self.files[region], bytes.fromhex(data), offset)
        return os.pread(self.files[region], length, offset).hex()

    def control_truncate(self, region, size):
        os.ftruncate(self.files[region], size)

    def control_send(self, data):
        """Bytes, as they are."""
        self.send(self.client, bytes.fromhex(data))

    def control_command(self, command, payload):
        return self.ask(command, bytes.fromhex(payload)).hex()


if __name__ == "__main__":
    Server(sys.argv[1], json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}).run()
