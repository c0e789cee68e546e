/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/acpi/acpi-tables.h"
#include "dm/acpi/acpi-dmar.h"
#include "dm/acpi/acpi-viot.h"
#include "dm/acpi/acpi-private.h"
#include "dm/pci/chipset.h"
#include "util/little-endian.h"

#define LOCAL_APIC_ADDRESS 0xfee00000u
#define IOAPIC_ADDRESS     0xfec00000u
#define HPET_ADDRESS       0xfed00000u
#define HPET_EVENT_ID      0x8086a201u /* vendor, legacy routing, 64 bits, 3 timers, revision 1 */
#define RESET_PORT         0xcf9u
#define RESET_VALUE        0x06

/* Fixed ACPI Description Table, ACPI 5.0 (5.2.9). */
#define FADT_FIRMWARE_CTRL  36
#define FADT_SCI_INT        46
#define FADT_SMI_CMD        48
#define FADT_ACPI_ENABLE    52
#define FADT_ACPI_DISABLE   53
#define FADT_PM1A_EVT_BLK   56
#define FADT_PM1A_CNT_BLK   64
#define FADT_PM_TMR_BLK     76
#define FADT_GPE0_BLK       80
#define FADT_PM1_EVT_LEN    88
#define FADT_PM1_CNT_LEN    89
#define FADT_PM_TMR_LEN     91
#define FADT_GPE0_BLK_LEN   92
#define FADT_P_LVL2_LAT     96
#define FADT_P_LVL3_LAT     98
#define FADT_X_PM1A_EVT_BLK 148
#define FADT_X_PM1A_CNT_BLK 172
#define FADT_X_PM_TMR_BLK   208
#define FADT_X_GPE0_BLK     220
#define NO_C_STATE_LATENCY  0xfff /* microseconds; above the limits that would mean support */

void acpi_put(GByteArray *table, uint64_t value, unsigned size)
{
    uint8_t bytes[8];

    store_le64(bytes, value);
    g_byte_array_append(table, bytes, size);
}

void acpi_put_header(GByteArray *table, const char *signature, uint8_t revision)
{
    g_byte_array_append(table, (const uint8_t *)signature, 4);
    acpi_put(table, 0, 4); /* length */
    acpi_put(table, revision, 1);
    acpi_put(table, 0, 1); /* checksum */
    g_byte_array_append(table, (const uint8_t *)"DUODM DUODMPC ", 14);
    acpi_put(table, 1, 4);
    g_byte_array_append(table, (const uint8_t *)"DUOD", 4);
    acpi_put(table, 1, 4);
}

static void add_command(struct acpi_tables *tables, struct acpi_command command)
{
    g_array_append_val(tables->commands, command);
}

void acpi_add_pointer(struct acpi_tables *tables, enum acpi_blob blob, uint32_t offset,
                      uint8_t size)
{
    add_command(tables, (struct acpi_command){.kind = ACPI_ADD_POINTER,
                                              .blob = blob,
                                              .offset = offset,
                                              .target = ACPI_BLOB_TABLES,
                                              .size = size});
}

static void add_checksum(struct acpi_tables *tables, enum acpi_blob blob, uint32_t offset,
                         uint32_t start, uint32_t length)
{
    add_command(tables, (struct acpi_command){.kind = ACPI_ADD_CHECKSUM,
                                              .blob = blob,
                                              .offset = offset,
                                              .start = start,
                                              .length = length});
}

static void align(GByteArray *array, unsigned alignment)
{
    while (array->len % alignment) {
        acpi_put(array, 0, 1);
    }
}

uint32_t acpi_append_table(struct acpi_tables *tables, const uint8_t *data, uint32_t length)
{
    uint32_t offset;

    align(tables->tables, 16);
    offset = tables->tables->len;
    g_byte_array_append(tables->tables, data, length);
    store_le32(tables->tables->data + offset + TABLE_LENGTH_OFFSET, length);
    tables->tables->data[offset + TABLE_CHECKSUM_OFFSET] = 0;
    return offset;
}

/* NameOp, the segment, a DWordPrefix, the placeholder. */
void acpi_set_name(uint8_t *aml, size_t length, const char *segment, uint32_t value)
{
    const uint8_t prefix = 0x0c;
    bool found = false;

    for (size_t at = 0; at + 9 <= length && !found; at++) {
        if (memcmp(aml + at, segment, 4) == 0 && aml[at + 4] == prefix) {
            store_le32(aml + at + 5, value);
            found = true;
        }
    }
    g_assert(found); /* the DSDT has them all */
}

static uint32_t append_dsdt(struct acpi_tables *tables, const struct acpi_config *config)
{
    uint32_t length = config->chipset->dsdt_length;
    uint32_t offset = acpi_append_table(tables, config->chipset->dsdt, length);
    uint8_t *aml = tables->tables->data + offset;
    struct range high = config->window_64;

    acpi_set_name(aml, length, "M32B", (uint32_t)config->window_32.start);
    acpi_set_name(aml, length, "M64B", (uint32_t)(high.length ? high.start >> 30 : 0));
    acpi_set_name(aml, length, "M64E",
                  (uint32_t)(high.length ? (high.start + high.length) >> 30 : 0));
    acpi_set_name(aml, length, "HPTE", config->has_hpet);
    acpi_set_name(aml, length, "SERM", config->serial_mask);
    return offset;
}

static void checksum_table(struct acpi_tables *tables, uint32_t offset)
{
    add_checksum(tables, ACPI_BLOB_TABLES, offset + TABLE_CHECKSUM_OFFSET, offset,
                 load_le32(tables->tables->data + offset + TABLE_LENGTH_OFFSET));
}

/* Firmware ACPI Control Structure (5.2.10): at the start, since it wants 64-byte alignment. */
static uint32_t append_facs(struct acpi_tables *tables)
{
    uint8_t facs[64] = {'F', 'A', 'C', 'S', 64};

    facs[32] = 2; /* version */
    g_byte_array_append(tables->tables, facs, sizeof(facs));
    return 0;
}

static void put_io_address(uint8_t *at, uint32_t port, uint8_t bytes, uint8_t access_size)
{
    at[0] = SPACE_SYSTEM_IO;
    at[1] = bytes * 8;
    at[3] = access_size; /* 1: byte, 2: word, 3: dword */
    store_le64(at + 4, port);
}

static void fill_fadt(uint8_t *fadt, const struct acpi_config *config, uint32_t facs, uint32_t dsdt)
{
    uint32_t event = config->pm_base + CHIPSET_PM1_EVENT_OFFSET;
    uint32_t control = config->pm_base + CHIPSET_PM1_CTRL_OFFSET;
    uint32_t timer = config->pm_base + CHIPSET_PM_TIMER_OFFSET;

    store_le32(fadt + FADT_FIRMWARE_CTRL, facs);
    store_le32(fadt + FADT_DSDT, dsdt);
    store_le64(fadt + FADT_X_DSDT, dsdt);
    store_le16(fadt + FADT_SCI_INT, CHIPSET_SCI_INTERRUPT);
    store_le32(fadt + FADT_SMI_CMD, CHIPSET_SMI_COMMAND_PORT);
    fadt[FADT_ACPI_ENABLE] = CHIPSET_ACPI_ENABLE;
    fadt[FADT_ACPI_DISABLE] = CHIPSET_ACPI_DISABLE;
    store_le32(fadt + FADT_PM1A_EVT_BLK, event);
    store_le32(fadt + FADT_PM1A_CNT_BLK, control);
    store_le32(fadt + FADT_PM_TMR_BLK, timer);
    store_le32(fadt + FADT_GPE0_BLK, config->chipset->gpe0);
    fadt[FADT_PM1_EVT_LEN] = 4;
    fadt[FADT_PM1_CNT_LEN] = 2;
    fadt[FADT_PM_TMR_LEN] = 4;
    fadt[FADT_GPE0_BLK_LEN] = config->chipset->gpe0_length;
    store_le16(fadt + FADT_P_LVL2_LAT, NO_C_STATE_LATENCY);
    store_le16(fadt + FADT_P_LVL3_LAT, NO_C_STATE_LATENCY);
    fadt[FADT_CENTURY] = 0x32; /* CMOS index */
    store_le16(fadt + FADT_IAPC_BOOT_ARCH, BOOT_ARCH_LEGACY | BOOT_ARCH_8042 | BOOT_ARCH_NO_VGA);
    store_le32(fadt + FADT_FLAGS, FADT_FLAG_WBINVD | FADT_FLAG_PROC_C1 | FADT_FLAG_SLP_BUTTON |
                                      FADT_FLAG_RESET_REG | FADT_FLAG_PLATFORM_CLOCK);
    put_io_address(fadt + FADT_RESET_REG, RESET_PORT, 1, 1);
    fadt[FADT_RESET_VALUE] = RESET_VALUE;
    put_io_address(fadt + FADT_X_PM1A_EVT_BLK, event, 4, 2);
    put_io_address(fadt + FADT_X_PM1A_CNT_BLK, control, 2, 2);
    put_io_address(fadt + FADT_X_PM_TMR_BLK, timer, 4, 3);
    put_io_address(fadt + FADT_X_GPE0_BLK, config->chipset->gpe0, config->chipset->gpe0_length, 1);
}

static uint32_t append_fadt(struct acpi_tables *tables, const struct acpi_config *config,
                            uint32_t facs, uint32_t dsdt)
{
    g_autoptr(GByteArray) fadt = g_byte_array_new();
    uint32_t offset;

    acpi_put_header(fadt, "FACP", FADT_REVISION);
    g_byte_array_set_size(fadt, FADT_SIZE);
    memset(fadt->data + ACPI_HEADER_SIZE, 0, FADT_SIZE - ACPI_HEADER_SIZE);
    fill_fadt(fadt->data, config, facs, dsdt);
    offset = acpi_append_table(tables, fadt->data, fadt->len);
    acpi_add_pointer(tables, ACPI_BLOB_TABLES, offset + FADT_FIRMWARE_CTRL, 4);
    acpi_add_pointer(tables, ACPI_BLOB_TABLES, offset + FADT_DSDT, 4);
    acpi_add_pointer(tables, ACPI_BLOB_TABLES, offset + FADT_X_DSDT, 8);
    return offset;
}

/* Multiple APIC Description Table (5.2.12). */
static void put_local_apics(GByteArray *madt, const struct acpi_config *config)
{
    for (unsigned i = 0; i < config->cpu_count; i++) {
        uint32_t id = config->apic_ids[i];

        if (id < 255) {
            acpi_put(madt, 0 | 8 << 8, 2); /* processor local APIC */
            acpi_put(madt, i, 1);
            acpi_put(madt, id, 1);
            acpi_put(madt, 1, 4); /* enabled */
        } else {
            acpi_put(madt, 9 | 16 << 8, 2); /* processor local x2APIC */
            acpi_put(madt, 0, 2);
            acpi_put(madt, id, 4);
            acpi_put(madt, 1, 4);
            acpi_put(madt, i, 4);
        }
    }
}

static void put_override(GByteArray *madt, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    acpi_put(madt, 2 | 10 << 8, 2);
    acpi_put(madt, 0, 1); /* ISA */
    acpi_put(madt, irq, 1);
    acpi_put(madt, gsi, 4);
    acpi_put(madt, flags, 2);
}

uint32_t acpi_append_madt(struct acpi_tables *tables, const struct acpi_config *config)
{
    const uint16_t level_active_high = 0x000d;
    g_autoptr(GByteArray) madt = g_byte_array_new();

    acpi_put_header(madt, "APIC", 3);
    acpi_put(madt, LOCAL_APIC_ADDRESS, 4);
    acpi_put(madt, !config->no_pic, 4); /* PCAT_COMPAT: there are 8259s */
    put_local_apics(madt, config);
    acpi_put(madt, 1 | 12 << 8, 2); /* IOAPIC */
    acpi_put(madt, 0, 2);           /* ID */
    acpi_put(madt, IOAPIC_ADDRESS, 4);
    acpi_put(madt, 0, 4); /* first GSI */
    put_override(madt, 0, 2, 0);
    for (uint8_t irq = 0; irq < 16; irq++) {
        if (config->level_interrupts >> irq & 1) {
            put_override(madt, irq, irq, level_active_high);
        }
    }
    acpi_put(madt, 4 | 6 << 8, 2); /* local APIC NMI: LINT1 of all processors */
    acpi_put(madt, 0xff, 1);
    acpi_put(madt, 0, 2);
    acpi_put(madt, 1, 1);
    return acpi_append_table(tables, madt->data, madt->len);
}

static uint32_t append_hpet(struct acpi_tables *tables)
{
    g_autoptr(GByteArray) hpet = g_byte_array_new();

    acpi_put_header(hpet, "HPET", 1);
    acpi_put(hpet, HPET_EVENT_ID, 4);
    acpi_put(hpet, SPACE_SYSTEM_MEMORY, 4);
    acpi_put(hpet, HPET_ADDRESS, 8);
    acpi_put(hpet, 0, 4); /* number, minimum tick, page protection */
    return acpi_append_table(tables, hpet->data, hpet->len);
}

/* PCI Firmware Specification 3.3, 4.1.2: where config space is in memory. */
static uint32_t append_mcfg(struct acpi_tables *tables, struct range ecam)
{
    g_autoptr(GByteArray) mcfg = g_byte_array_new();

    acpi_put_header(mcfg, "MCFG", 1);
    acpi_put(mcfg, 0, 8);
    acpi_put(mcfg, ecam.start, 8);
    acpi_put(mcfg, 0, 2); /* segment */
    acpi_put(mcfg, 0, 1); /* first bus */
    acpi_put(mcfg, (ecam.length >> 20) - 1, 1);
    acpi_put(mcfg, 0, 4);
    return acpi_append_table(tables, mcfg->data, mcfg->len);
}

/* RSDT and XSDT: the same list with pointers of 4 and 8 bytes. */
static uint32_t append_root(struct acpi_tables *tables, const char *signature,
                            const uint32_t *offsets, unsigned count, uint8_t pointer_size)
{
    g_autoptr(GByteArray) root = g_byte_array_new();
    uint32_t offset;

    acpi_put_header(root, signature, 1);
    for (unsigned i = 0; i < count; i++) {
        acpi_put(root, offsets[i], pointer_size);
    }
    offset = acpi_append_table(tables, root->data, root->len);
    for (unsigned i = 0; i < count; i++) {
        acpi_add_pointer(tables, ACPI_BLOB_TABLES, offset + ACPI_HEADER_SIZE + i * pointer_size,
                         pointer_size);
    }
    return offset;
}

/* Root System Description Pointer (5.2.5.3). */
static void fill_rsdp(struct acpi_tables *tables, uint32_t rsdt, uint32_t xsdt)
{
    uint8_t *rsdp = tables->rsdp;

    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, "DUODM ", 6);
    rsdp[15] = 2;
    store_le32(rsdp + 16, rsdt);
    store_le32(rsdp + 20, ACPI_RSDP_SIZE);
    store_le64(rsdp + 24, xsdt);
    acpi_add_pointer(tables, ACPI_BLOB_RSDP, 16, 4);
    acpi_add_pointer(tables, ACPI_BLOB_RSDP, 24, 8);
    add_checksum(tables, ACPI_BLOB_RSDP, 8, 0, 20);
    add_checksum(tables, ACPI_BLOB_RSDP, 32, 0, ACPI_RSDP_SIZE);
}

struct acpi_tables *acpi_tables_new(void)
{
    struct acpi_tables *tables = g_new0(struct acpi_tables, 1);

    tables->tables = g_byte_array_new();
    tables->commands = g_array_new(FALSE, TRUE, sizeof(struct acpi_command));
    return tables;
}

void acpi_tables_finish(struct acpi_tables *tables, uint32_t dsdt, const uint32_t *listed,
                        unsigned count)
{
    uint32_t rsdt = append_root(tables, "RSDT", listed, count, 4);
    uint32_t xsdt = append_root(tables, "XSDT", listed, count, 8);

    fill_rsdp(tables, rsdt, xsdt);
    checksum_table(tables, dsdt);
    for (unsigned i = 0; i < count; i++) {
        checksum_table(tables, listed[i]);
    }
    checksum_table(tables, rsdt);
    checksum_table(tables, xsdt);
}

struct acpi_tables *acpi_tables_build(const struct acpi_config *config)
{
    struct acpi_tables *tables = acpi_tables_new();
    g_autoptr(GByteArray) ssdt = acpi_build_ssdt(config);
    uint32_t facs, dsdt, listed[7];
    unsigned count = 0;

    facs = append_facs(tables);
    dsdt = append_dsdt(tables, config);
    listed[count++] = append_fadt(tables, config, facs, dsdt);
    listed[count++] = acpi_append_table(tables, ssdt->data, ssdt->len);
    listed[count++] = acpi_append_madt(tables, config);
    if (config->has_hpet) {
        listed[count++] = append_hpet(tables);
    }
    if (config->ecam.length) {
        listed[count++] = append_mcfg(tables, config->ecam);
    }
    if (config->dmar) {
        listed[count++] = acpi_append_dmar(tables, config->dmar);
    }
    if (config->viot) {
        listed[count++] = acpi_append_viot(tables, config->viot);
    }
    acpi_tables_finish(tables, dsdt, listed, count);
    return tables;
}

void acpi_tables_free(struct acpi_tables *tables)
{
    if (tables) {
        g_byte_array_unref(tables->tables);
        g_array_unref(tables->commands);
        g_free(tables);
    }
}
