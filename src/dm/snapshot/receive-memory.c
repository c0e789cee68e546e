/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory out of a stream, which may come from anybody: trust no name, offset or length. */
#include "dm/snapshot/migration-private.h"
#include "memory/ram-block.h"
#include "util/error.h"
#include "util/little-endian.h"

#include <inttypes.h>
#include <string.h>

#define RECORD_PAGES_MAX 4096u /* of one record */

/* One block of HEAD; *payload and *length go past it. */
static bool check_block(const struct machine *machine, unsigned index, const uint8_t **payload,
                        size_t *length, GError **error)
{
    const struct memory_region *region =
        index < snapshot_block_count(machine) ? snapshot_block(machine, index) : NULL;
    g_autofree char *name = NULL, *shown = NULL;
    size_t name_length = **payload;
    uint64_t size;

    if (*length < 1 + name_length + 8) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "the machine's state names no memory where it should");
    }
    name = g_strndup((const char *)*payload + 1, name_length);
    shown = g_utf8_make_valid(name, -1);
    size = load_le64(*payload + 1 + name_length);
    *payload += 1 + name_length + 8;
    *length -= 1 + name_length + 8;
    if (!region || !g_str_equal(region->name, name)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "the machine's state has memory '%s', which this machine does not have: "
                          "start duodm with the options that the saved machine had",
                          shown);
    }
    return region->size == size ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "memory '%s' of the saved machine has %" PRIu64
                      " bytes, that of this one %" PRIu64 ": give the same -m",
                      shown, size, region->size);
}

bool snapshot_receive_head(struct machine *machine, const uint8_t *payload, size_t length,
                           GError **error)
{
    unsigned count = 0;

    if (!memory_region_host_pointer(snapshot_block(machine, 0))) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "the machine's state holds memory, which under engine '%s' is not "
                          "duodm's to receive",
                          machine->engine->name);
    }
    for (; length; count++) {
        if (!check_block(machine, count, &payload, &length, error)) {
            return false;
        }
    }
    return count == snapshot_block_count(machine) ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "the machine's state has no memory '%s', which this machine has: start "
                      "duodm with the options that the saved machine had",
                      snapshot_block(machine, count)->name);
}

/* The host memory that a record is about. NULL and an error: there is none such. */
static uint8_t *find_place(struct machine *machine, uint64_t argument, uint64_t length,
                           struct memory_region **region, uint64_t *offset, GError **error)
{
    unsigned block = (unsigned)(argument >> 56);
    uint64_t size = 0;

    *offset = argument & ((UINT64_C(1) << 56) - 1);
    if (block < snapshot_block_count(machine)) {
        *region = snapshot_block(machine, block);
        size = snapshot_block_pages(machine, block) * SNAPSHOT_PAGE;
    }
    if (!length || ((*offset | length) & (SNAPSHOT_PAGE - 1)) || *offset > size ||
        length > size - *offset) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "the machine's state has %" PRIu64 " bytes for offset %" PRIu64
                   " of memory %u, which is no such place",
                   length, *offset, block);
        return NULL;
    }
    return (uint8_t *)memory_region_host_pointer(*region) + *offset;
}

bool snapshot_receive_pages(struct machine *machine, struct snapshot_channel *channel,
                            const struct snapshot_record *record, GError **error)
{
    struct memory_region *region;
    uint64_t offset;
    uint8_t *host;

    if (record->length > RECORD_PAGES_MAX * SNAPSHOT_PAGE) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "the machine's state has a record of %u bytes, which is too much",
                          record->length);
    }
    host = find_place(machine, record->argument, record->length, &region, &offset, error);
    if (!host || !snapshot_read(channel, host, record->length, error) ||
        !snapshot_check_payload(record, host, error)) {
        return false;
    }
    memory_region_set_dirty(region, offset, record->length);
    return true;
}

/* Memory that nobody touched stays untouched. */
static void make_zero(const struct machine *machine, struct memory_region *region, uint8_t *host,
                      uint64_t offset, uint64_t length)
{
    if (__atomic_load_n(&machine->discard_blockers, __ATOMIC_SEQ_CST) == 0) {
        ram_block_discard(region->ram, offset, length);
    } else {
        memset(host, 0, length);
    }
    memory_region_set_dirty(region, offset, length);
}

bool snapshot_receive_zeroes(struct machine *machine, const struct snapshot_record *record,
                             const uint8_t *payload, GError **error)
{
    struct memory_region *region;
    uint64_t offset, length;
    uint8_t *host;

    if (record->length != 8) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "the machine's state has a record of zeroes without their number");
    }
    length = load_le64(payload);
    host = find_place(machine, record->argument, length, &region, &offset, error);
    if (host) {
        make_zero(machine, region, host, offset, length);
    }
    return host != NULL;
}
