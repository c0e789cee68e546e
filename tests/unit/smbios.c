/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SMBIOS: structures can be walked, and say what they should. */
#include "dm/acpi/smbios.h"
#include "unit/suite.h"
#include "util/little-endian.h"

#include <string.h>

#define GIB (UINT64_C(1) << 30)

static const uint8_t uuid[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};

static GByteArray *build(uint64_t high, unsigned *count, unsigned *largest)
{
    struct smbios_config config = {
        .sockets = 2,
        .cores = 4,
        .threads = 2,
        .ram_below_4g = 3 * GIB,
        .ram_above_4g = high,
        .product = "board",
        .uuid = uuid,
    };

    return smbios_build(&config, count, largest);
}

/* The structure after one of `*left` bytes; NULL at the end. */
static const uint8_t *next(const uint8_t *at, size_t *left)
{
    size_t length = at[1];

    CU_ASSERT_TRUE_FATAL(length >= 4 && length + 2 <= *left);
    while (at[length] || at[length + 1]) {
        length++;
        CU_ASSERT_TRUE_FATAL(length + 2 <= *left);
    }
    length += 2;
    *left -= length;
    return *left ? at + length : NULL;
}

static void test_walk(void)
{
    static const uint8_t types[] = {0, 1, 3, 4, 4, 16, 17, 19, 19, 32, 127};
    unsigned count, largest, i = 0;
    g_autoptr(GByteArray) tables = build(5 * GIB, &count, &largest);
    size_t left = tables->len;

    CU_ASSERT_EQUAL(count, G_N_ELEMENTS(types));
    for (const uint8_t *at = tables->data; at; at = next(at, &left), i++) {
        CU_ASSERT_TRUE_FATAL(i < G_N_ELEMENTS(types));
        CU_ASSERT_EQUAL(at[0], types[i]);
        CU_ASSERT_TRUE(at[1] <= largest);
    }
    CU_ASSERT_EQUAL(i, count);
}

static void test_uuid(void)
{
    unsigned count, largest;
    g_autoptr(GByteArray) tables = build(0, &count, &largest);
    size_t left = tables->len;
    const uint8_t *system = next(tables->data, &left);
    uint8_t parsed[16];

    CU_ASSERT_PTR_NOT_NULL_FATAL(system);
    CU_ASSERT_EQUAL(load_le32(system + 8), 0x00112233);
    CU_ASSERT_EQUAL(load_le16(system + 12), 0x4455);
    CU_ASSERT_EQUAL(memcmp(system + 16, uuid + 8, 8), 0);
    CU_ASSERT_TRUE(smbios_parse_uuid("00112233-4455-6677-8899-AAbbccddeeff", parsed));
    CU_ASSERT_EQUAL(memcmp(parsed, uuid, 16), 0);
    CU_ASSERT_FALSE(smbios_parse_uuid("00112233-4455-6677-8899-aabbccddeef", parsed));
    CU_ASSERT_FALSE(smbios_parse_uuid("00112233-4455-6677-8899_aabbccddeeff", parsed));
    CU_ASSERT_FALSE(smbios_parse_uuid("00112233-4455-6677-8899-aabbccddeefg", parsed));
    CU_ASSERT_FALSE(smbios_parse_uuid("", parsed));
}

static uint8_t sum(const uint8_t *data, size_t length)
{
    uint8_t total = 0;

    while (length--) {
        total += *data++;
    }
    return total;
}

static void test_anchor(void)
{
    unsigned count, largest;
    g_autoptr(GByteArray) tables = build(0, &count, &largest);
    uint8_t anchor[SMBIOS_ANCHOR_SIZE];

    smbios_make_anchor(anchor, tables, count, largest, 0xe1000);
    CU_ASSERT_EQUAL(memcmp(anchor, "_SM_", 4), 0);
    CU_ASSERT_EQUAL(memcmp(anchor + 16, "_DMI_", 5), 0);
    CU_ASSERT_EQUAL(sum(anchor, anchor[5]), 0);
    CU_ASSERT_EQUAL(sum(anchor + 16, 15), 0);
    CU_ASSERT_EQUAL(load_le16(anchor + 22), tables->len);
    CU_ASSERT_EQUAL(load_le32(anchor + 24), 0xe1000);
    CU_ASSERT_EQUAL(load_le16(anchor + 28), count);
}

static void test_much_memory(void)
{
    unsigned count, largest;
    g_autoptr(GByteArray) tables = build(1021 * GIB, &count, &largest);
    size_t left = tables->len;
    unsigned devices = 0;
    uint64_t mib = 0;

    for (const uint8_t *at = tables->data; at; at = next(at, &left)) {
        if (at[0] == 17) {
            uint16_t size = load_le16(at + 12);

            mib += size == 0x7fff ? load_le32(at + 28) : size;
            devices++;
        }
    }
    CU_ASSERT_EQUAL(mib, 1024 * 1024);
    CU_ASSERT_TRUE(devices <= 16);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"all structures in order", test_walk}, {"UUID", test_uuid}, {"entry point", test_anchor},
        {"a terabyte", test_much_memory},       {NULL, NULL},
    };

    return unit_run("smbios", tests);
}
