/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The MP table, parsed as MP 1.4, chapter 4 has it: sums, counts, and that its parts agree. */
#include "dm/firmware/mp-table.h"
#include "unit/suite.h"
#include "util/little-endian.h"

#define TABLE_ADDRESS 0xf0090u

/* What a parser finds. */
struct parsed {
    unsigned processors, boot_processors, ioapics, local_interrupts;
    char bus_types[2][7];
    int isa_input[16]; /* of the IOAPIC; -1: none */
    int pci_input[128];
    unsigned pci_flags[128];
    bool extint_at_boot, nmi_everywhere;
};

static uint8_t sum(const uint8_t *data, size_t length)
{
    uint8_t total = 0;

    while (length--) {
        total += *data++;
    }
    return total;
}

static void parse_interrupt(const uint8_t *entry, struct parsed *found)
{
    unsigned bus = entry[4], source = entry[5];

    CU_ASSERT_TRUE_FATAL(bus < 2 && entry[1] == 0);
    CU_ASSERT_EQUAL(entry[6], 0); /* the one IOAPIC */
    CU_ASSERT_TRUE(entry[7] < 24);
    if (memcmp(found->bus_types[bus], "PCI", 3) == 0) {
        CU_ASSERT_TRUE_FATAL(source < 128);
        CU_ASSERT_EQUAL(found->pci_input[source], -1);
        found->pci_input[source] = entry[7];
        found->pci_flags[source] = load_le16(entry + 2);
    } else {
        CU_ASSERT_TRUE_FATAL(source < 16);
        CU_ASSERT_EQUAL(found->isa_input[source], -1);
        found->isa_input[source] = entry[7];
    }
}

static void parse_local(const uint8_t *entry, uint32_t boot_id, struct parsed *found)
{
    found->local_interrupts++;
    found->extint_at_boot |= entry[1] == 3 && entry[6] == boot_id && entry[7] == 0;
    found->nmi_everywhere |= entry[1] == 1 && entry[6] == 0xff && entry[7] == 1;
}

static void parse_processor(const uint8_t *entry, const uint32_t *ids, struct parsed *found)
{
    CU_ASSERT_EQUAL(entry[1], ids[found->processors]);
    CU_ASSERT_TRUE(entry[3] & 1);
    found->boot_processors += entry[3] >> 1 & 1;
    found->processors++;
}

static void parse(const GByteArray *table, const uint32_t *ids, struct parsed *found)
{
    const uint8_t *data = table->data;
    unsigned at = 44, entries = load_le16(data + 34), last_kind = 0;

    memset(found, 0, sizeof(*found));
    memset(found->isa_input, -1, sizeof(found->isa_input));
    memset(found->pci_input, -1, sizeof(found->pci_input));
    CU_ASSERT_EQUAL(memcmp(data, "PCMP", 4), 0);
    CU_ASSERT_EQUAL(load_le16(data + 4), table->len);
    CU_ASSERT_EQUAL(data[6], 4);
    CU_ASSERT_EQUAL(sum(data, table->len), 0);
    CU_ASSERT_EQUAL(load_le32(data + 36), 0xfee00000);
    for (; entries; entries--) {
        CU_ASSERT_TRUE_FATAL(at + 8 <= table->len);
        CU_ASSERT_TRUE(data[at] >= last_kind); /* sorted by kind */
        last_kind = data[at];
        switch (data[at]) {
        case 0:
            parse_processor(data + at, ids, found);
            at += 12;
            break;
        case 1:
            CU_ASSERT_TRUE_FATAL(data[at + 1] < 2);
            memcpy(found->bus_types[data[at + 1]], data + at + 2, 6);
            break;
        case 2:
            CU_ASSERT_EQUAL(load_le32(data + at + 4), 0xfec00000);
            found->ioapics++;
            break;
        case 3:
            parse_interrupt(data + at, found);
            break;
        case 4:
            parse_local(data + at, ids[0], found);
            break;
        default:
            CU_FAIL_FATAL("no such entry");
        }
        at += 8;
    }
    CU_ASSERT_EQUAL(at, table->len);
}

static void test_pc(void)
{
    const uint32_t ids[3] = {0, 1, 4};
    struct mp_config config = {.cpu_count = 3,
                               .apic_ids = ids,
                               .has_pci = true,
                               .line_map = pci_line_map_piix,
                               .pci_routes = {10, 10, 11, 11},
                               .level_interrupts = 1 << 9};
    g_autoptr(GByteArray) table = mp_table_build(&config);
    struct parsed found;

    parse(table, ids, &found);
    CU_ASSERT_EQUAL(found.processors, 3);
    CU_ASSERT_EQUAL(found.boot_processors, 1);
    CU_ASSERT_EQUAL(found.ioapics, 1);
    CU_ASSERT_STRING_EQUAL(found.bus_types[0], "PCI   ");
    CU_ASSERT_STRING_EQUAL(found.bus_types[1], "ISA   ");
    CU_ASSERT_EQUAL(found.isa_input[0], 2);
    CU_ASSERT_EQUAL(found.isa_input[2], -1);
    CU_ASSERT_EQUAL(found.isa_input[4], 4);
    CU_ASSERT_EQUAL(found.isa_input[9], 9);
    CU_ASSERT_EQUAL(found.isa_input[10], -1);         /* PCI's */
    CU_ASSERT_EQUAL(found.pci_input[1 << 2 | 3], 11); /* 00:01.x INTD: line D */
    CU_ASSERT_EQUAL(found.pci_input[1 << 2 | 0], 10);
    CU_ASSERT_EQUAL(found.pci_input[3 << 2 | 0], 11); /* 00:03.0 INTA: line C */
    for (unsigned source = 0; source < 128; source++) {
        CU_ASSERT_EQUAL(found.pci_flags[source], 0x0d);
    }
    CU_ASSERT_TRUE(found.extint_at_boot && found.nmi_everywhere);
    CU_ASSERT_EQUAL(found.local_interrupts, 2);
}

static void test_no_pci(void)
{
    const uint32_t ids[1] = {0};
    struct mp_config config = {.cpu_count = 1, .apic_ids = ids, .level_interrupts = 1 << 9};
    g_autoptr(GByteArray) table = mp_table_build(&config);
    struct parsed found;

    parse(table, ids, &found);
    CU_ASSERT_STRING_EQUAL(found.bus_types[0], "ISA   ");
    CU_ASSERT_EQUAL(found.isa_input[10], 10);
    CU_ASSERT_EQUAL(found.pci_input[0], -1);
}

/* An APIC ID that takes more than a byte, or means "all", can't be named. */
static void test_many_processors(void)
{
    g_autofree uint32_t *ids = g_new(uint32_t, 300);
    struct mp_config config = {.cpu_count = 300,
                               .apic_ids = ids,
                               .has_pci = true,
                               .line_map = pci_line_map_piix,
                               .pci_routes = {5, 5, 5, 5},
                               .level_interrupts = 1 << 9};
    g_autoptr(GByteArray) table = NULL;
    struct parsed found;

    for (unsigned i = 0; i < 300; i++) {
        ids[i] = i;
    }
    table = mp_table_build(&config);
    parse(table, ids, &found);
    CU_ASSERT_EQUAL(found.processors, 255);
}

static void test_pointer(void)
{
    uint8_t pointer[MP_POINTER_SIZE];

    mp_pointer_make(pointer, TABLE_ADDRESS);
    CU_ASSERT_EQUAL(memcmp(pointer, "_MP_", 4), 0);
    CU_ASSERT_EQUAL(load_le32(pointer + 4), TABLE_ADDRESS);
    CU_ASSERT_EQUAL(pointer[8], 1);
    CU_ASSERT_EQUAL(pointer[9], 4);
    CU_ASSERT_EQUAL(sum(pointer, sizeof(pointer)), 0);
    CU_ASSERT_EQUAL(pointer[11], 0); /* there is a configuration table */
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"a PC", test_pc},
        {"no PCI", test_no_pci},
        {"more processors than bytes", test_many_processors},
        {"pointer", test_pointer},
        {NULL, NULL},
    };

    return unit_run("mp-table", tests);
}
