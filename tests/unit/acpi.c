/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI tables: pointers, checksums, contents; the loader's commands against the direct way. */
#include "dm/acpi/acpi-dmar.h"
#include "dm/acpi/acpi-tables.h"
#include "dm/acpi/acpi-viot.h"
#include "unit/suite.h"
#include "util/little-endian.h"

#define TABLES_BASE 0xe0000u
#define RSDP_BASE   0xf0000u

static struct acpi_tables *build_with(unsigned cpus, bool hpet, const struct acpi_viot *viot,
                                      const struct acpi_dmar *dmar)
{
    g_autofree uint32_t *ids = g_new(uint32_t, cpus);
    struct acpi_config config = {
        .chipset = &acpi_chipset_piix,
        .cpu_count = cpus,
        .apic_ids = ids,
        .window_32 = {0x20000000, 0xdec00000},
        .window_64 = {0x180000000, 0x800000000},
        .has_hpet = hpet,
        .serial_mask = 5,
        .pm_base = 0x600,
        .level_interrupts = 1 << 5 | 1 << 9 | 1 << 10 | 1 << 11,
        .viot = viot,
        .dmar = dmar,
    };

    for (unsigned i = 0; i < cpus; i++) {
        ids[i] = i * 2;
    }
    return acpi_tables_build(&config);
}

static struct acpi_tables *build(unsigned cpus, bool hpet)
{
    return build_with(cpus, hpet, NULL, NULL);
}

static uint8_t sum(const uint8_t *data, size_t length)
{
    uint8_t total = 0;

    while (length--) {
        total += *data++;
    }
    return total;
}

/* A table by signature, found as an OS does, from the XSDT (or RSDT); checks its checksum. */
static const uint8_t *find(const struct acpi_tables *tables, const char *signature, bool extended)
{
    uint64_t root_address = extended ? load_le64(tables->rsdp + 24) : load_le32(tables->rsdp + 16);
    const uint8_t *root = tables->tables->data + (root_address - TABLES_BASE);
    unsigned size = extended ? 8 : 4;

    CU_ASSERT_EQUAL(sum(root, load_le32(root + 4)), 0);
    for (unsigned at = 36; at < load_le32(root + 4); at += size) {
        uint64_t address = extended ? load_le64(root + at) : load_le32(root + at);
        const uint8_t *table = tables->tables->data + (address - TABLES_BASE);

        CU_ASSERT_EQUAL(sum(table, load_le32(table + 4)), 0);
        if (memcmp(table, signature, 4) == 0) {
            return table;
        }
    }
    return NULL;
}

static void test_chain(void)
{
    struct acpi_tables *tables = build(2, true);
    const uint8_t *fadt;
    uint32_t dsdt;

    acpi_tables_place(tables, TABLES_BASE, RSDP_BASE);
    CU_ASSERT_EQUAL(memcmp(tables->rsdp, "RSD PTR ", 8), 0);
    CU_ASSERT_EQUAL(sum(tables->rsdp, 20), 0);
    CU_ASSERT_EQUAL(sum(tables->rsdp, 36), 0);
    fadt = find(tables, "FACP", true);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fadt);
    CU_ASSERT_PTR_EQUAL(find(tables, "FACP", false), fadt);
    dsdt = load_le32(fadt + 40);
    CU_ASSERT_EQUAL(load_le64(fadt + 140), dsdt);
    CU_ASSERT_EQUAL(memcmp(tables->tables->data + dsdt - TABLES_BASE, "DSDT", 4), 0);
    CU_ASSERT_EQUAL(memcmp(tables->tables->data + load_le32(fadt + 36) - TABLES_BASE, "FACS", 4),
                    0);
    CU_ASSERT_EQUAL(load_le32(fadt + 36) % 64, 0);
    CU_ASSERT_EQUAL(load_le32(fadt + 76), 0x608);
    CU_ASSERT_PTR_NOT_NULL(find(tables, "HPET", true));
    CU_ASSERT_PTR_NOT_NULL(find(tables, "SSDT", true));
    acpi_tables_free(tables);
}

/* Entries of a type in the MADT; checks that lengths add up. */
static unsigned count_entries(const uint8_t *madt, uint8_t type)
{
    unsigned at = 44, count = 0;

    while (at < load_le32(madt + 4)) {
        count += madt[at] == type;
        CU_ASSERT_TRUE_FATAL(madt[at + 1] >= 2);
        at += madt[at + 1];
    }
    CU_ASSERT_EQUAL(at, load_le32(madt + 4));
    return count;
}

static void test_processors(void)
{
    struct acpi_tables *tables = build(200, true);
    const uint8_t *madt;

    acpi_tables_place(tables, TABLES_BASE, RSDP_BASE);
    madt = find(tables, "APIC", true);
    CU_ASSERT_PTR_NOT_NULL_FATAL(madt);
    CU_ASSERT_EQUAL(count_entries(madt, 0), 128); /* APIC IDs 0, 2, ..., 254 */
    CU_ASSERT_EQUAL(count_entries(madt, 9), 72);
    CU_ASSERT_EQUAL(count_entries(madt, 1), 1);
    CU_ASSERT_EQUAL(count_entries(madt, 2), 5);
    acpi_tables_free(tables);
}

static void test_without_hpet(void)
{
    struct acpi_tables *tables = build(1, false);

    acpi_tables_place(tables, TABLES_BASE, RSDP_BASE);
    CU_ASSERT_PTR_NULL(find(tables, "HPET", true));
    acpi_tables_free(tables);
}

/* virtio-iommu at 00:03.0: every other function is behind it, under its own requester ID. */
static void test_viot(void)
{
    static const uint8_t nodes[] = {
        3,    0, 16, 0, 0,    0, 0x18, 0, 0, 0, 0, 0, 0,    0, 0,    0, /* the IOMMU */
        1,    0, 24, 0, 0,    0, 0,    0, 0, 0, 0, 0, 0,    0, 0x17, 0,
        0x30, 0, 0,  0, 0,    0, 0,    0, /* 0 to 17h */
        1,    0, 24, 0, 0x19, 0, 0,    0, 0, 0, 0, 0, 0x19, 0, 0xff, 0xff,
        0x30, 0, 0,  0, 0,    0, 0,    0,
    };
    struct acpi_viot viot = {.iommu = 0x18};
    struct acpi_tables *tables = build_with(1, true, &viot, NULL);
    const uint8_t *table;

    acpi_tables_place(tables, TABLES_BASE, RSDP_BASE);
    table = find(tables, "VIOT", true);
    CU_ASSERT_PTR_NOT_NULL_FATAL(table);
    CU_ASSERT_EQUAL_FATAL(load_le32(table + 4), 48 + sizeof(nodes));
    CU_ASSERT_EQUAL(load_le16(table + 36), 3);
    CU_ASSERT_EQUAL(load_le16(table + 38), 48);
    CU_ASSERT_EQUAL(memcmp(table + 48, nodes, sizeof(nodes)), 0);
    acpi_tables_free(tables);
    tables = build(1, true);
    acpi_tables_place(tables, TABLES_BASE, RSDP_BASE);
    CU_ASSERT_PTR_NULL(find(tables, "VIOT", true));
    acpi_tables_free(tables);
}

/* One unit for all of PCI, and in its scope, if it remaps interrupts, the IOAPIC, under the
 * requester ID that it sends as. No memory is reserved: no device of these boards does DMA before
 * its driver has it. */
static void test_dmar(void)
{
    uint8_t units[] = {
        0, 0, 24, 0, 1, 0,    0,    0, 0, 0, 0xd9, 0xfe, 0, 0, 0, 0, /* DRHD, INCLUDE_PCI_ALL */
        3, 8, 0,  0, 0, 0xf0, 0x1f, 0,                               /* IOAPIC 0 at f0:1f.0 */
    };
    struct acpi_dmar dmar = {
        .base = 0xfed90000, .host_width = 39, .remaps_messages = true, .ioapic = 0xf0f8};

    for (unsigned remapping = 0; remapping < 2; remapping++) {
        struct acpi_tables *tables;
        const uint8_t *table;

        dmar.remaps_messages = remapping;
        units[2] = remapping ? 24 : 16;
        tables = build_with(1, true, NULL, &dmar);
        acpi_tables_place(tables, TABLES_BASE, RSDP_BASE);
        table = find(tables, "DMAR", true);
        CU_ASSERT_PTR_NOT_NULL_FATAL(table);
        CU_ASSERT_EQUAL_FATAL(load_le32(table + 4), 48u + units[2]);
        CU_ASSERT_EQUAL(table[36], 38);        /* one less than the bits of an address */
        CU_ASSERT_EQUAL(table[37], remapping); /* INTR_REMAP; x2APIC is not opted out of */
        CU_ASSERT_EQUAL(memcmp(table + 48, units, units[2]), 0);
        acpi_tables_free(tables);
    }
}

/* Do what firmware does with etc/table-loader, and compare with the direct way. */
static void test_mcfg(void)
{
    uint32_t id = 0;
    struct acpi_config config = {
        .chipset = &acpi_chipset_q35,
        .cpu_count = 1,
        .apic_ids = &id,
        .window_32 = {0xc0000000, 0x3ec00000},
        .pm_base = 0x600,
        .ecam = {0xb0000000, 0x10000000},
    };
    struct acpi_tables *tables = acpi_tables_build(&config);
    const uint8_t *table, *fadt;

    acpi_tables_place(tables, TABLES_BASE, RSDP_BASE);
    table = find(tables, "MCFG", true);
    CU_ASSERT_PTR_NOT_NULL_FATAL(table);
    CU_ASSERT_EQUAL(load_le32(table + 4), 60);
    CU_ASSERT_EQUAL(load_le64(table + 44), 0xb0000000);
    CU_ASSERT_EQUAL(load_le32(table + 52), 0xff000000); /* segment 0, buses 0 to 255 */
    fadt = find(tables, "FACP", true);
    CU_ASSERT_EQUAL(load_le32(fadt + 80), 0x620);
    CU_ASSERT_EQUAL(fadt[92], 16);
    acpi_tables_free(tables);
    tables = build(1, false);
    acpi_tables_place(tables, TABLES_BASE, RSDP_BASE);
    CU_ASSERT_PTR_NULL(find(tables, "MCFG", true));
    acpi_tables_free(tables);
}

static void test_loader_commands(void)
{
    struct acpi_tables *direct = build(3, true), *fresh = build(3, true);
    g_autoptr(GByteArray) loader = acpi_tables_pack_loader(fresh);
    unsigned allocations = 0;

    CU_ASSERT_EQUAL_FATAL(loader->len % 128, 0);
    for (unsigned at = 0; at < loader->len; at += 128) {
        const uint8_t *entry = loader->data + at;
        bool is_rsdp = strcmp((const char *)entry + 4, "etc/acpi/rsdp") == 0;
        uint8_t *blob = is_rsdp ? fresh->rsdp : fresh->tables->data;
        uint32_t offset = load_le32(entry + 60);

        if (load_le32(entry) == 1) {
            allocations++;
        } else if (load_le32(entry) == 2) {
            offset = load_le32(entry + 116);
            CU_ASSERT_STRING_EQUAL(entry + 60, "etc/acpi/tables");
            if (entry[120] == 8) {
                store_le64(blob + offset, load_le64(blob + offset) + TABLES_BASE);
            } else {
                store_le32(blob + offset, load_le32(blob + offset) + TABLES_BASE);
            }
        } else {
            CU_ASSERT_EQUAL(load_le32(entry), 3);
            blob[offset] -= sum(blob + load_le32(entry + 64), load_le32(entry + 68));
        }
    }
    acpi_tables_place(direct, TABLES_BASE, RSDP_BASE);
    CU_ASSERT_EQUAL(allocations, 2);
    CU_ASSERT_EQUAL(memcmp(direct->rsdp, fresh->rsdp, ACPI_RSDP_SIZE), 0);
    CU_ASSERT_EQUAL(memcmp(direct->tables->data, fresh->tables->data, direct->tables->len), 0);
    acpi_tables_free(direct);
    acpi_tables_free(fresh);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"chain of tables", test_chain},
        {"processors", test_processors},
        {"without HPET", test_without_hpet},
        {"VIOT", test_viot},
        {"DMAR", test_dmar},
        {"MCFG", test_mcfg},
        {"commands of the loader", test_loader_commands},
        {NULL, NULL},
    };

    return unit_run("acpi", tests);
}
