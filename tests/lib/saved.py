# SPDX-License-Identifier: GPL-2.0-or-later
"""The sections of saved state (src/dm/state.h), taken apart."""
import struct


def sections(data):
    """(description, instance, start, length) of each."""
    start = 0
    while start < len(data):
        length = struct.unpack_from("<I", data, start + 4)[0]
        names, at = [], start + 12
        for _ in range(2):
            size = data[at]
            names.append(data[at + 1:at + 1 + size].decode())
            at += 1 + size
        yield names[0], names[1], start, length
        start += length


def fields(data):
    """{(description, instance, field): bytes}"""
    values = {}
    sizes = {0: 1, 1: 1, 2: 2, 3: 4, 4: 8, 5: 8, 6: 1, 7: 8, 8: 1}
    for description, instance, start, length in sections(data):
        at = start + 12 + 2 + len(description) + len(instance)
        while at < start + length - 4:
            name = data[at + 1:at + 1 + data[at]].decode()
            at += 1 + data[at]
            kind, count = struct.unpack_from("<BI", data, at)
            at += 5
            values[description, instance, name] = data[at:at + count * sizes[kind]]
            at += count * sizes[kind]
    return values


def differences(first, second):
    """(description, instance, field, one value, the other) of what differs."""
    ours, theirs = fields(first), fields(second)
    return [(*key, ours.get(key, b"").hex(), theirs.get(key, b"").hex())
            for key in sorted(ours.keys() | theirs.keys()) if ours.get(key) != theirs.get(key)]
