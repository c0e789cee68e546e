/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/firmware/mp-table.h"
#include "util/little-endian.h"

#include <string.h>

#define SPECIFICATION_REVISION 4 /* 1.4 */
#define HEADER_SIZE            44u
#define LOCAL_APIC_ADDRESS     0xfee00000u
#define IOAPIC_ADDRESS         0xfec00000u
#define IOAPIC_ID              0
#define IOAPIC_VERSION         0x11
#define LOCAL_APIC_VERSION     0x14
#define ALL_LOCAL_APICS        0xff
#define ISA_INTERRUPTS         16
#define TIMER_PIN              2 /* of the IOAPIC, for ISA interrupt 0 */
#define PCI_SLOTS              32

/* Table 4-3. */
enum mp_entry { MP_PROCESSOR, MP_BUS, MP_IOAPIC, MP_IO_INTERRUPT, MP_LOCAL_INTERRUPT };

/* Table 4-4. */
#define CPU_ENABLED       1
#define CPU_BOOT          2
#define CPU_SIGNATURE     0x600 /* family 6 */
#define CPU_FEATURES      0x201 /* FPU, APIC */
#define IOAPIC_ENABLED    1
#define BUS_PCI_ID        0
#define FLAGS_BUS_DEFAULT 0
#define FLAGS_LEVEL_HIGH  0x0d /* active high, level-triggered: as the IOAPIC sees all lines */

/* Table 4-11. */
enum mp_interrupt { MP_INT, MP_NMI, MP_SMI, MP_EXTINT };

static void put(GByteArray *table, uint64_t value, unsigned size)
{
    uint8_t bytes[8];

    store_le64(bytes, value);
    g_byte_array_append(table, bytes, size);
}

/* Processors that one byte can name; how many. */
static unsigned put_processors(GByteArray *table, const struct mp_config *config)
{
    unsigned count = 0;

    for (unsigned i = 0; i < config->cpu_count; i++) {
        if (config->apic_ids[i] >= ALL_LOCAL_APICS) {
            continue;
        }
        put(table, MP_PROCESSOR, 1);
        put(table, config->apic_ids[i], 1);
        put(table, LOCAL_APIC_VERSION, 1);
        put(table, CPU_ENABLED | (i == 0 ? CPU_BOOT : 0), 1);
        put(table, CPU_SIGNATURE, 4);
        put(table, CPU_FEATURES, 4);
        put(table, 0, 8);
        count++;
    }
    return count;
}

static void put_bus(GByteArray *table, unsigned id, const char type[6])
{
    put(table, MP_BUS, 1);
    put(table, id, 1);
    g_byte_array_append(table, (const uint8_t *)type, 6);
}

static void put_ioapic(GByteArray *table)
{
    put(table, MP_IOAPIC, 1);
    put(table, IOAPIC_ID, 1);
    put(table, IOAPIC_VERSION, 1);
    put(table, IOAPIC_ENABLED, 1);
    put(table, IOAPIC_ADDRESS, 4);
}

static void put_interrupt(GByteArray *table, enum mp_entry entry, enum mp_interrupt type,
                          unsigned flags, unsigned bus, unsigned source, unsigned apic,
                          unsigned input)
{
    put(table, entry, 1);
    put(table, type, 1);
    put(table, flags, 2);
    put(table, bus, 1);
    put(table, source, 1);
    put(table, apic, 1);
    put(table, input, 1);
}

/* A route to 0 leads nowhere. */
static bool is_routed(const struct mp_config *config, unsigned irq)
{
    return config->has_pci && irq &&
           memchr(config->pci_routes, (int)irq, sizeof(config->pci_routes));
}

static void put_isa_interrupts(GByteArray *table, const struct mp_config *config, unsigned bus)
{
    for (unsigned irq = 0; irq < ISA_INTERRUPTS; irq++) {
        unsigned flags = config->level_interrupts >> irq & 1 ? FLAGS_LEVEL_HIGH : FLAGS_BUS_DEFAULT;

        if (irq != TIMER_PIN && !is_routed(config, irq)) { /* 2 is the cascade */
            put_interrupt(table, MP_IO_INTERRUPT, MP_INT, flags, bus, irq, IOAPIC_ID,
                          irq == 0 ? TIMER_PIN : irq);
        }
    }
}

/* Chapter 4 numbers the source slot * 4 + pin. */
static void put_pci_interrupts(GByteArray *table, const struct mp_config *config)
{
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
        for (unsigned pin = 0; pin < 4; pin++) {
            put_interrupt(table, MP_IO_INTERRUPT, MP_INT, FLAGS_LEVEL_HIGH, BUS_PCI_ID,
                          slot << 2 | pin, IOAPIC_ID,
                          config->pci_routes[config->line_map(slot, pin)]);
        }
    }
}

static void fill_header(GByteArray *table, unsigned entries)
{
    uint8_t sum = 0, *header = table->data;

    memcpy(header, "PCMP", 4);
    store_le16(header + 4, (uint16_t)table->len);
    header[6] = SPECIFICATION_REVISION;
    memcpy(header + 8, "DUODM   PC          ", 20);
    store_le16(header + 34, (uint16_t)entries);
    store_le32(header + 36, LOCAL_APIC_ADDRESS);
    for (unsigned i = 0; i < table->len; i++) {
        sum += table->data[i];
    }
    header[7] = (uint8_t)-sum;
}

GByteArray *mp_table_build(const struct mp_config *config)
{
    GByteArray *table = g_byte_array_new();
    unsigned isa = config->has_pci ? BUS_PCI_ID + 1 : 0, processors, processors_end;

    g_byte_array_set_size(table, HEADER_SIZE);
    memset(table->data, 0, HEADER_SIZE);
    processors = put_processors(table, config);
    processors_end = table->len;
    if (config->has_pci) {
        put_bus(table, BUS_PCI_ID, "PCI   ");
    }
    put_bus(table, isa, "ISA   ");
    put_ioapic(table);
    put_isa_interrupts(table, config, isa);
    if (config->has_pci) {
        put_pci_interrupts(table, config);
    }
    put_interrupt(table, MP_LOCAL_INTERRUPT, MP_EXTINT, FLAGS_BUS_DEFAULT, isa, 0,
                  (uint8_t)config->apic_ids[0], 0);
    put_interrupt(table, MP_LOCAL_INTERRUPT, MP_NMI, FLAGS_BUS_DEFAULT, isa, 0, ALL_LOCAL_APICS, 1);
    /* A processor's entry has 20 bytes, all others have 8. */
    fill_header(table, processors + (table->len - processors_end) / 8);
    return table;
}

void mp_pointer_make(uint8_t pointer[MP_POINTER_SIZE], uint32_t address)
{
    uint8_t sum = 0;

    memset(pointer, 0, MP_POINTER_SIZE);
    memcpy(pointer, "_MP_", 4);
    store_le32(pointer + 4, address);
    pointer[8] = MP_POINTER_SIZE / 16;
    pointer[9] = SPECIFICATION_REVISION;
    for (unsigned i = 0; i < MP_POINTER_SIZE; i++) {
        sum += pointer[i];
    }
    pointer[10] = (uint8_t)-sum;
}
