/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: bytes from anybody as saved state. The first byte says whether the checksum is to be
 * made good, so that a fuzzer gets past it.
 */
#include "dm/state.h"
#include "fuzz/fuzz-main.h"
#include "util/crc32.h"

#include <string.h>

struct thing {
    bool on;
    uint8_t byte;
    uint16_t half[3];
    uint32_t word;
    uint64_t large;
    uint8_t bytes[5];
    uint32_t later;
};

static const struct state_field fields[] = {
    STATE(BOOL, thing, on, 1),
    STATE(UINT8, thing, byte, 1),
    STATE_ARRAY(UINT16, thing, half, 3, 1),
    STATE(UINT32, thing, word, 1),
    STATE(UINT64, thing, large, 1),
    STATE_ARRAY(BYTES, thing, bytes, 5, 1),
    STATE(UINT32, thing, later, 2),
    STATE_END,
};

static bool thing_after_load(void *object)
{
    return ((struct thing *)object)->byte < 128;
}

static const struct state_description description = {
    .name = "thing", .version = 2, .fields = fields, .after_load = thing_after_load};

static void repair_checksum(uint8_t *data, size_t size)
{
    uint32_t crc;
    size_t length = size >= 8 ? data[4] | data[5] << 8 | data[6] << 16 : 0;

    if (length < 4 || length > size) {
        return;
    }
    crc = crc32_of(data, length - 4);
    memcpy(data + length - 4, &crc, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct thing thing = {.word = 1, .later = 2}, before = thing;
    g_autofree uint8_t *copy = NULL;
    size_t consumed;

    if (!size) {
        return 0;
    }
    copy = g_memdup2(data + 1, size - 1);
    if (data[0] & 1) {
        repair_checksum(copy, size - 1);
    }
    if (state_load(copy, size - 1, &description, &thing, "x", &consumed, NULL)) {
        g_assert_cmpuint(consumed, <=, size - 1);
    } else {
        g_assert_cmpmem(&thing, sizeof(thing), &before, sizeof(before));
    }
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "state");
}
#endif
