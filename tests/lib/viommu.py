# SPDX-License-Identifier: GPL-2.0-or-later
"""A small virtio-iommu driver (virtio 1.2, 5.13), over the test port.

    iommu = viommu.Iommu(vm.qtest, slot=2)
    iommu.start()
    iommu.attach(1, 5 << 3)
    iommu.map(1, iova, address, 4096)
"""
import struct

import virtio

ATTACH, DETACH, MAP, UNMAP, PROBE = 1, 2, 3, 4, 5
OK, IOERR, UNSUPP, DEVERR, INVAL, RANGE, NOENT, FAULT, NOMEM = range(9)
READ, WRITE, MMIO = 1, 2, 4
BYPASS = 1
F_INPUT_RANGE, F_DOMAIN_RANGE, F_MAP_UNMAP, F_BYPASS, F_PROBE, F_MMIO, F_BYPASS_CONFIG = range(7)
R_DOMAIN, R_MAPPING = 1, 2
PROBE_SIZE, EVENT_SIZE = 512, 24


def attach_request(domain, endpoint, flags=0, reserved=0):
    return struct.pack("<B3xIIII", ATTACH, domain, endpoint, flags, reserved)


def detach_request(domain, endpoint):
    return struct.pack("<B3xII8x", DETACH, domain, endpoint)


def map_request(domain, iova, target, size, flags=READ | WRITE):
    return struct.pack("<B3xIQQQI", MAP, domain, iova, iova + size - 1, target, flags)


def unmap_request(domain, iova, size):
    return struct.pack("<B3xIQQ4x", UNMAP, domain, iova, iova + size - 1)


class Iommu(virtio.PCI):
    """Requests that must succeed are checked; `status` tells what one is answered."""

    def status_of(self, request):
        length, answer = self.queues[0].request([request], [4])
        if length == 0:
            return None
        if length != 4 or answer[1:] != bytes(3):
            raise AssertionError(f"answered {answer.hex()} of {length} bytes")
        return answer[0]

    def must(self, request):
        status = self.status_of(request)
        if status != OK:
            raise AssertionError(f"request {request.hex()} has status {status}")

    def begin(self, request):
        """Send, and don't wait."""
        self.queues[0].add([request], [4])
        self.queues[0].kick()

    def attach(self, domain, endpoint, flags=0):
        self.must(attach_request(domain, endpoint, flags))

    def detach(self, domain, endpoint):
        self.must(detach_request(domain, endpoint))

    def map(self, domain, iova, target, size, flags=READ | WRITE):
        self.must(map_request(domain, iova, target, size, flags))

    def unmap(self, domain, iova, size):
        self.must(unmap_request(domain, iova, size))

    def probe(self, endpoint):
        """[(type, value)], or a status that is not OK."""
        _, answer = self.queues[0].request([struct.pack("<B3xI64x", PROBE, endpoint)],
                                           [PROBE_SIZE, 4])
        properties, at = [], 0
        if answer[PROBE_SIZE] != OK:
            return answer[PROBE_SIZE]
        while at < PROBE_SIZE and answer[at:at + 2] != bytes(2):
            kind, length = struct.unpack_from("<HH", answer, at)
            properties.append((kind, answer[at + 4:at + 4 + length]))
            at += 4 + length
        return properties

    # Events.

    def add_events(self, count=8, size=EVENT_SIZE):
        for _ in range(count):
            self.queues[1].add([], [size])
        self.queues[1].kick()

    def event(self):
        """The next fault: (reason, flags, endpoint, address)."""
        _, length, parts = self.queues[1].wait()
        if length != EVENT_SIZE:
            raise AssertionError(f"an event of {length} bytes")
        return struct.unpack("<B3xII4xQ", parts[0])

    def bypass(self, on):
        self.write_config(36, bytes([int(on)]))
