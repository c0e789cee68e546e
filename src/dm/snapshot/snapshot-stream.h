/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A snapshot (or migration) as a stream of records, all numbers little-endian:
 *
 *     u32 type, u32 length of the payload, u64 argument, u32 CRC-32C of the payload,
 *     u32 CRC-32C of the 20 bytes before; payload
 *
 *     HEAD   argument: version. Payload: for each block of memory, string name (u8 length, bytes)
 *            and u64 bytes. First record.
 *     PAGES  argument: block << 56 | offset in bytes. Payload: what is there, whole pages
 *     ZEROES the same; payload: u64 bytes that are zero from there
 *     STATE  payload: devices and vCPUs (device-state.h)
 *     END    nothing follows
 *
 * Readers and writers block, in a thread of their own; a write to cancel_fd (an eventfd) ends that.
 */
#ifndef DUODM_DM_SNAPSHOT_STREAM_H
#define DUODM_DM_SNAPSHOT_STREAM_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SNAPSHOT_VERSION 1u

enum snapshot_record_type {
    SNAPSHOT_HEAD = 0x4d535544u, /* "DUSM": how a stream begins */
    SNAPSHOT_PAGES = 1,
    SNAPSHOT_ZEROES = 2,
    SNAPSHOT_STATE = 3,
    SNAPSHOT_END = 4,
};

struct snapshot_record {
    uint32_t type;   /* enum snapshot_record_type, or unknown */
    uint32_t length; /* bytes of the payload */
    uint64_t argument;
    uint32_t checksum; /* of the payload */
};
#define SNAPSHOT_RECORD_SIZE 24u /* bytes of a record without its payload */

/* Where a stream goes, or comes from. Neither descriptor is owned. */
struct snapshot_channel {
    int fd;         /* non-blocking, or a file */
    int cancel_fd;  /* readable: what waits fails; -1: nobody cancels */
    uint64_t bytes; /* that went through; atomic, for who looks from outside */
};

/* A record: its head and `length` bytes of payload. Blocks until all is written, or cancelled. */
bool snapshot_write(struct snapshot_channel *channel, enum snapshot_record_type type,
                    uint64_t argument, const void *payload, uint32_t length, GError **error);
/* length bytes. At the end of input: "ends too soon". */
bool snapshot_read(struct snapshot_channel *channel, void *data, size_t length, GError **error);
/* What there is, up to size bytes; 0 at the end of input, -1 and an error. */
ssize_t snapshot_read_some(struct snapshot_channel *channel, void *data, size_t size,
                           GError **error);
/* The head of the next record, whose own checksum was good. */
bool snapshot_read_record(struct snapshot_channel *channel, struct snapshot_record *record,
                          GError **error);
/* A record of head's bytes. */
bool snapshot_parse_record(const uint8_t head[SNAPSHOT_RECORD_SIZE], struct snapshot_record *record,
                           GError **error);
/* Was the payload that was read what was written? */
bool snapshot_check_payload(const struct snapshot_record *record, const void *payload,
                            GError **error);
/* Wait until fd can be read (written); false and an error when cancelled. */
bool snapshot_wait(const struct snapshot_channel *channel, bool to_write, GError **error);

#endif
