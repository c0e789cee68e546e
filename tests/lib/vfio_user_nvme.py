#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A vfio-user server that plays an NVMe controller (NVM Express 1.3) with one namespace in memory: as
much of it as a driver of an operating system needs. Started as vfio_user_server.py is, with the
settings "blocks" (of 512 bytes) and "line" (true: INTx, and no MSI-X)."""
import json
import struct
import sys

from vfio_user_server import CONFIG, INTX, MSIX, PAGE, Problem, Server, config_space

CAP, VS, CC, CSTS, AQA, ASQ, ACQ, DOORBELLS = 0, 8, 0x14, 0x1C, 0x24, 0x28, 0x30, 0x1000
ENABLE, READY, SHUT_DOWN = 1, 1, 8
BLOCK = 512
QUEUES = 4
SUCCESS, INVALID_OPCODE, INVALID_FIELD, TRANSFER_ERROR, OUT_OF_RANGE = 0, 1, 2, 4, 0x80
# Opcodes of the admin queue, and of the others.
DELETE_SQ, CREATE_SQ, GET_LOG, DELETE_CQ, CREATE_CQ, IDENTIFY, ABORT, SET_FEATURES, GET_FEATURES, \
    ASYNC_EVENT = 0, 1, 2, 4, 5, 6, 8, 9, 10, 12
FLUSH, WRITE, READ = 0, 1, 2


class Queue:
    def __init__(self, address, entries):
        self.address, self.entries, self.head, self.tail = address, entries, 0, 0
        self.phase, self.completions, self.vector = 1, 0, None


class Nvme(Server):
    def __init__(self, path, settings):
        self.disk = bytearray(settings.get("blocks", 4096) * BLOCK)
        super().__init__(path, dict(settings, regions={0: 4 * PAGE, 2: 0, 3: 0}))
        self.files = {}

    def power_on(self):
        super().power_on()
        self.config = config_space()
        self.config[9:12] = bytes([2, 8, 1])
        self.config[0x1C] = 0
        if self.settings.get("line"):
            self.config[0x34] = 0x50  # what follows MSI-X
        self.line_told = False
        self.registers = bytearray(4 * PAGE)
        struct.pack_into("<QI", self.registers, CAP, 63 | 1 << 16 | 20 << 24 | 1 << 37, 0x10300)
        self.submissions, self.completions, self.events = {}, {}, []

    # Registers.

    def do_region_write(self, payload, fds):
        offset, region, count = struct.unpack("<QII", payload[:16])
        if region == CONFIG:
            return super().do_region_write(payload, fds)
        if region != 0 or offset + count > len(self.registers):
            raise Problem(22)
        value = int.from_bytes(payload[16:], "little")
        if offset >= DOORBELLS:
            return (payload[:16], (), lambda: self.ring((offset - DOORBELLS) // 4, value))
        if offset >= CC and offset != CSTS:
            self.registers[offset:offset + count] = payload[16:]
        if offset == CC:
            self.control(value)
        return (payload[:16],)

    def control(self, value=None, **order):
        if value is None:
            return super().control(**order)
        if value & ENABLE and not self.get(CSTS) & READY:
            sizes = self.get(AQA)
            self.submissions = {0: Queue(self.get(ASQ, "<Q"), (sizes & 0xFFF) + 1)}
            self.completions = {0: Queue(self.get(ACQ, "<Q"), (sizes >> 16 & 0xFFF) + 1)}
            self.completions[0].vector = 0
        self.put(CSTS, (READY if value & ENABLE else 0) | (SHUT_DOWN if value >> 14 & 3 else 0))
        return None

    def ring(self, doorbell, value):
        number = doorbell // 2
        if doorbell % 2:
            if number in self.completions:
                self.completions[number].head = value
            return
        queue = self.submissions.get(number)
        if not queue:
            return
        queue.tail = value % queue.entries
        try:
            while queue.head != queue.tail:
                entry = self.dma_read(queue.address + 64 * queue.head, 64, self.mapped)
                queue.head = (queue.head + 1) % queue.entries
                self.execute(number, queue, entry)
        except Problem:
            self.put(CSTS, 2 | READY)  # controller fatal status

    @property
    def mapped(self):
        return any(m.direct for m in self.mappings.values())

    def execute(self, number, queue, entry):
        opcode, _, identifier = struct.unpack_from("<BBH", entry)
        try:
            result = (self.io if number else self.admin)(opcode, entry)
            status, value = result if isinstance(result, tuple) else (result, 0)
        except Problem:
            status, value = TRANSFER_ERROR, 0
        if status is not None:
            self.complete(number, queue, identifier, status, value)

    def complete(self, number, queue, identifier, status, value):
        answers = self.completions[queue.completions]
        self.dma_write(answers.address + 16 * answers.tail,
                       struct.pack("<IIHHHH", value, 0, queue.head, number, identifier,
                                   status << 1 | answers.phase), self.mapped)
        answers.tail += 1
        if answers.tail == answers.entries:
            answers.tail, answers.phase = 0, answers.phase ^ 1
        if answers.vector is not None and self.settings.get("line"):
            self.raise_line()
        elif answers.vector is not None:
            self.interrupt(MSIX, answers.vector)

    def raise_line(self):
        """INTx is up while an answer waits to be taken; the client is told once, until it unmasks."""
        if not self.line_told and any(q.vector is not None and q.head != q.tail
                                      for q in self.completions.values()):
            self.line_told = True
            self.interrupt(INTX)

    def do_set_irqs(self, payload, fds):
        result = super().do_set_irqs(payload, fds)
        if struct.unpack_from("<I", payload, 8)[0] == INTX:
            self.line_told = False
            return (*result, (), self.raise_line)
        return result

    # Data: by page addresses (PRP).

    def pages(self, entry, length):
        first, second = struct.unpack_from("<QQ", entry, 24)
        part = min(length, PAGE - first % PAGE)
        yield first, part
        length -= part
        if length <= PAGE:
            if length:
                yield second, length
            return
        addresses = []
        while length:
            room = (PAGE - second % PAGE) // 8
            needed = -(-length // PAGE) - len(addresses)
            more = needed > room
            part = struct.unpack(f"<{min(needed, room)}Q",
                                 self.dma_read(second, 8 * min(needed, room), self.mapped))
            addresses += part[:-1] if more else part
            if not more:
                break
            second = part[-1]
        for address in addresses:
            yield address, min(length, PAGE)
            length -= min(length, PAGE)

    def give(self, entry, data):
        for address, length in self.pages(entry, len(data)):
            self.dma_write(address, data[:length], self.mapped)
            data = data[length:]

    # Commands.

    def admin(self, opcode, entry):
        words = struct.unpack_from("<6I", entry, 40)
        address = struct.unpack_from("<Q", entry, 24)[0]
        number, entries = words[0] & 0xFFFF, (words[0] >> 16) + 1
        if opcode == IDENTIFY:
            return self.identify(words[0] & 0xFF, entry)
        if opcode == CREATE_CQ:
            self.completions[number] = Queue(address, entries)
            self.completions[number].vector = words[1] >> 16 if words[1] & 2 else None
        elif opcode == CREATE_SQ:
            self.submissions[number] = Queue(address, entries)
            self.submissions[number].completions = words[1] >> 16
        elif opcode == DELETE_SQ:
            self.submissions.pop(number, None)
        elif opcode == DELETE_CQ:
            self.completions.pop(number, None)
        elif opcode in (SET_FEATURES, GET_FEATURES):
            return SUCCESS, (QUEUES - 1) * 0x10001 if words[0] & 0xFF == 7 else 0
        elif opcode == GET_LOG:
            self.give(entry, bytes(min(((words[0] >> 16) + 1) * 4, 4096)))
        elif opcode == ASYNC_EVENT:
            return None
        elif opcode != ABORT:
            return INVALID_OPCODE
        return SUCCESS

    def identify(self, what, entry):
        data = bytearray(4096)
        if what == 0:  # the namespace: NSZE, NCAP, NUSE, one format
            struct.pack_into("<QQQ", data, 0, *[len(self.disk) // BLOCK] * 3)
            data[130] = 9
        elif what == 1:  # the controller
            struct.pack_into("<HH20s40s8s", data, 0, 0x1B36, 0x1AF4, b"vfio-user".ljust(20),
                             b"duodm test disk".ljust(40), b"1".ljust(8))
            data[77] = 5  # MDTS: 32 pages
            struct.pack_into("<I", data, 80, 0x10300)
            data[512:514] = b"\x66\x44"
            struct.pack_into("<I", data, 516, 1)
        elif what == 2:
            struct.pack_into("<I", data, 0, 1)
        elif what == 3:
            data[0:20] = b"\x02\x10\0\0" + bytes(range(1, 17))
        else:
            return INVALID_FIELD
        self.give(entry, bytes(data))
        return SUCCESS

    def io(self, opcode, entry):
        block, count = struct.unpack_from("<QH", entry, 40)
        start, length = block * BLOCK, (count + 1) * BLOCK
        if opcode == FLUSH:
            return SUCCESS
        if start + length > len(self.disk):
            return OUT_OF_RANGE
        if opcode == READ:
            self.give(entry, bytes(self.disk[start:start + length]))
        elif opcode == WRITE:
            for address, size in list(self.pages(entry, length)):
                self.disk[start:start + size] = self.dma_read(address, size, self.mapped)
                start += size
        else:
            return INVALID_OPCODE
        return SUCCESS

    def control_disk(self, offset, length=0, data=None):
        if data is not None:
            self.disk[offset:offset + len(data) // 2] = bytes.fromhex(data)
        return bytes(self.disk[offset:offset + length]).hex()


if __name__ == "__main__":
    Nvme(sys.argv[1], json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}).run()
