/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/acpi/smbios.h"
#include "util/little-endian.h"

#define MANUFACTURER  "duodm"
#define VERSION_MAJOR 2
#define VERSION_MINOR 8

#define MEMORY_ARRAY_HANDLE 0x1000
#define MEMORY_DEVICE_MAX   (UINT64_C(16) << 30) /* one "module" */
#define FOUR_GIB            (UINT64_C(4) << 30)

/* A structure under construction: formatted area, then its strings. */
struct structure {
    uint8_t data[128];
    unsigned length; /* of the formatted area */
    GString *strings;
    unsigned string_count;
};

struct builder {
    GByteArray *out;
    unsigned count, largest;
};

static struct structure start(uint8_t type, uint8_t length, uint16_t handle)
{
    struct structure structure = {.length = length, .strings = g_string_new(NULL)};

    structure.data[0] = type;
    structure.data[1] = length;
    store_le16(structure.data + 2, handle);
    return structure;
}

/* Set a string field: its number, counted from 1. */
static void set_string(struct structure *structure, unsigned offset, const char *text)
{
    g_string_append_len(structure->strings, text, (gssize)strlen(text) + 1);
    structure->data[offset] = (uint8_t)++structure->string_count;
}

/* The strings end with an empty one; without any there are two zero bytes (6.1.3). */
static void finish(struct builder *builder, struct structure *structure)
{
    unsigned size = structure->length;

    g_byte_array_append(builder->out, structure->data, structure->length);
    if (structure->string_count == 0) {
        g_string_append_c(structure->strings, 0);
    }
    g_string_append_c(structure->strings, 0);
    g_byte_array_append(builder->out, (const uint8_t *)structure->strings->str,
                        (guint)structure->strings->len);
    size += (unsigned)structure->strings->len;
    g_string_free(structure->strings, TRUE);
    builder->count++;
    builder->largest = MAX(builder->largest, size);
}

static void add_bios(struct builder *builder)
{
    struct structure s = start(0, 24, 0);

    set_string(&s, 4, MANUFACTURER);
    set_string(&s, 5, "1.0");
    store_le16(s.data + 6, 0xe800); /* start segment */
    set_string(&s, 8, "11/22/2026");
    store_le64(s.data + 10, 1 << 3); /* characteristics are not supported */
    s.data[19] = 0x14;               /* a virtual machine; targeted content */
    s.data[20] = 1;                  /* release */
    s.data[22] = s.data[23] = 0xff;  /* no embedded controller */
    finish(builder, &s);
}

static void add_system(struct builder *builder, const struct smbios_config *config)
{
    struct structure s = start(1, 27, 0x100);

    set_string(&s, 4, MANUFACTURER);
    set_string(&s, 5, config->product);
    set_string(&s, 6, "1");
    if (config->uuid) {
        /* The first three fields are little-endian (7.2.1). */
        static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

        for (unsigned i = 0; i < 16; i++) {
            s.data[8 + i] = config->uuid[order[i]];
        }
    }
    s.data[24] = 6; /* woken by the power switch */
    finish(builder, &s);
}

static void add_enclosure(struct builder *builder)
{
    struct structure s = start(3, 22, 0x300);

    set_string(&s, 4, MANUFACTURER);
    s.data[5] = 1;                           /* other */
    s.data[9] = s.data[10] = s.data[11] = 3; /* states are safe */
    s.data[12] = 2;                          /* security unknown */
    finish(builder, &s);
}

static void add_processor(struct builder *builder, const struct smbios_config *config,
                          unsigned index)
{
    struct structure s = start(4, 42, (uint16_t)(0x400 + index));
    g_autofree char *socket = g_strdup_printf("CPU %u", index);
    unsigned threads = config->cores * config->threads;

    set_string(&s, 4, socket);
    s.data[5] = 3; /* central processor */
    s.data[6] = 1; /* family: other */
    set_string(&s, 7, MANUFACTURER);
    s.data[24] = 0x41; /* populated, enabled */
    s.data[25] = 1;
    store_le16(s.data + 26, 0xffff); /* no cache handles */
    store_le16(s.data + 28, 0xffff);
    store_le16(s.data + 30, 0xffff);
    s.data[35] = s.data[36] = (uint8_t)MIN(config->cores, 255);
    s.data[37] = (uint8_t)MIN(threads, 255);
    store_le16(s.data + 38, 2); /* characteristics unknown */
    store_le16(s.data + 40, 1);
    finish(builder, &s);
}

static void add_memory_array(struct builder *builder, uint64_t ram, unsigned devices)
{
    struct structure s = start(16, 23, MEMORY_ARRAY_HANDLE);
    uint64_t kib = ram >> 10;

    s.data[4] = 1; /* location other */
    s.data[5] = 3; /* system memory */
    s.data[6] = 6; /* multi-bit ECC */
    if (kib < 0x80000000) {
        store_le32(s.data + 7, (uint32_t)kib);
    } else {
        store_le32(s.data + 7, 0x80000000);
        store_le64(s.data + 15, ram);
    }
    store_le16(s.data + 11, 0xfffe); /* no error information */
    store_le16(s.data + 13, (uint16_t)devices);
    finish(builder, &s);
}

static void add_memory_device(struct builder *builder, unsigned index, uint64_t size)
{
    struct structure s = start(17, 40, (uint16_t)(0x1100 + index));
    g_autofree char *locator = g_strdup_printf("DIMM %u", index);
    uint64_t mib = size >> 20;

    store_le16(s.data + 4, MEMORY_ARRAY_HANDLE);
    store_le16(s.data + 6, 0xfffe);
    store_le16(s.data + 8, 0xffff); /* widths unknown */
    store_le16(s.data + 10, 0xffff);
    if (mib < 0x7fff) {
        store_le16(s.data + 12, (uint16_t)mib);
    } else {
        store_le16(s.data + 12, 0x7fff);
        store_le32(s.data + 28, (uint32_t)mib);
    }
    s.data[14] = 9; /* DIMM */
    set_string(&s, 16, locator);
    s.data[18] = 7;             /* RAM */
    store_le16(s.data + 19, 2); /* other */
    set_string(&s, 23, MANUFACTURER);
    finish(builder, &s);
}

static void add_mapped_range(struct builder *builder, unsigned index, uint64_t first,
                             uint64_t length)
{
    struct structure s = start(19, 31, (uint16_t)(0x1300 + index));
    uint64_t last = first + length - 1;

    if (last >> 10 < UINT32_MAX) {
        store_le32(s.data + 4, (uint32_t)(first >> 10));
        store_le32(s.data + 8, (uint32_t)(last >> 10));
    } else {
        store_le32(s.data + 4, UINT32_MAX);
        store_le32(s.data + 8, UINT32_MAX);
        store_le64(s.data + 15, first);
        store_le64(s.data + 23, last);
    }
    store_le16(s.data + 12, MEMORY_ARRAY_HANDLE);
    s.data[14] = 1; /* partition width */
    finish(builder, &s);
}

static void add_memory(struct builder *builder, const struct smbios_config *config)
{
    uint64_t ram = config->ram_below_4g + config->ram_above_4g, left = ram;
    uint64_t module = MEMORY_DEVICE_MAX;
    unsigned devices;

    while (ram / module > 16) {
        module *= 2;
    }
    devices = (unsigned)((ram + module - 1) / module);
    add_memory_array(builder, ram, devices);
    for (unsigned i = 0; i < devices; i++) {
        add_memory_device(builder, i, MIN(left, module));
        left -= MIN(left, module);
    }
    add_mapped_range(builder, 0, 0, config->ram_below_4g);
    if (config->ram_above_4g) {
        add_mapped_range(builder, 1, FOUR_GIB, config->ram_above_4g);
    }
}

GByteArray *smbios_build(const struct smbios_config *config, unsigned *count, unsigned *largest)
{
    struct builder builder = {.out = g_byte_array_new()};
    struct structure s;

    add_bios(&builder);
    add_system(&builder, config);
    add_enclosure(&builder);
    for (unsigned i = 0; i < config->sockets; i++) {
        add_processor(&builder, config, i);
    }
    add_memory(&builder, config);
    s = start(32, 11, 0x2000); /* system boot: no errors */
    finish(&builder, &s);
    s = start(127, 4, 0x7f00); /* end of table */
    finish(&builder, &s);
    *count = builder.count;
    *largest = builder.largest;
    return builder.out;
}

static uint8_t checksum(const uint8_t *data, unsigned length)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < length; i++) {
        sum += data[i];
    }
    return (uint8_t)-sum;
}

void smbios_make_anchor(uint8_t anchor[SMBIOS_ANCHOR_SIZE], const GByteArray *tables,
                        unsigned count, unsigned largest, uint32_t address)
{
    memset(anchor, 0, SMBIOS_ANCHOR_SIZE);
    memcpy(anchor, "_SM_", 4);
    anchor[5] = SMBIOS_ANCHOR_SIZE;
    anchor[6] = VERSION_MAJOR;
    anchor[7] = VERSION_MINOR;
    store_le16(anchor + 8, (uint16_t)largest);
    memcpy(anchor + 16, "_DMI_", 5);
    store_le16(anchor + 22, (uint16_t)tables->len);
    store_le32(anchor + 24, address);
    store_le16(anchor + 28, (uint16_t)count);
    anchor[30] = VERSION_MAJOR << 4 | VERSION_MINOR;
    anchor[21] = checksum(anchor + 16, 15);
    anchor[4] = checksum(anchor, SMBIOS_ANCHOR_SIZE);
}

bool smbios_parse_uuid(const char *text, uint8_t uuid[16])
{
    static const uint8_t dashes[] = {8, 13, 18, 23};
    unsigned digit = 0;

    if (strlen(text) != 36) {
        return false;
    }
    for (unsigned i = 0; i < 36; i++) {
        int value = g_ascii_xdigit_value(text[i]);

        if (memchr(dashes, (int)i, sizeof(dashes))) {
            if (text[i] != '-') {
                return false;
            }
            continue;
        }
        if (value < 0) {
            return false;
        }
        uuid[digit / 2] = (uint8_t)(digit % 2 ? uuid[digit / 2] | value : value << 4);
        digit++;
    }
    return true;
}
