/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads, writes, exchanges, maps, dirty log and IOMMU regions, through address spaces. */
#include "memory-fixture.h"

#include "memory/address-map.h"
#include "memory/translation.h"

#include <pthread.h>
#include <string.h>

#define RAM_SIZE UINT64_C(0x10000)
#define ROM_BASE UINT64_C(0x20000)
#define ROD_BASE UINT64_C(0x30000) /* ROM device */
#define DEV_BASE UINT64_C(0x40000) /* registers */
#define RES_BASE UINT64_C(0x50000)
#define BAR_BASE UINT64_C(0x60000) /* RAM device */

struct system {
    struct memory_region root, ram, rom, rom_device, device, reservation, ram_device;
    struct address_space as;
    uint8_t registers[0x1000];
    uint64_t bar[64];
    unsigned rom_writes;
};

static enum memory_result registers_read(void *opaque, uint64_t offset, unsigned size,
                                         struct memory_attributes attributes, uint64_t *value)
{
    struct system *system = opaque;

    *value = 0;
    memcpy(value, &system->registers[offset], size);
    return MEMORY_OK;
}

static enum memory_result registers_write(void *opaque, uint64_t offset, unsigned size,
                                          struct memory_attributes attributes, uint64_t value)
{
    struct system *system = opaque;

    memcpy(&system->registers[offset], &value, size);
    return MEMORY_OK;
}

static const struct memory_region_ops registers_ops = {
    .read = registers_read,
    .write = registers_write,
};

static enum memory_result flash_read(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t *value)
{
    *value = 0x80; /* a status register */
    return MEMORY_OK;
}

static enum memory_result flash_write(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t value)
{
    ((struct system *)opaque)->rom_writes++;
    return MEMORY_OK;
}

static const struct memory_region_ops flash_ops = {.read = flash_read, .write = flash_write};

static struct system *system_new(void)
{
    struct system *system = g_new0(struct system, 1);

    memory_region_init_container(&system->root, "root", UINT64_C(1) << 40);
    CU_ASSERT_TRUE_FATAL(memory_region_init_ram(&system->ram, "ram", RAM_SIZE, NULL));
    CU_ASSERT_TRUE_FATAL(memory_region_init_rom(&system->rom, "rom", 0x1000, NULL));
    CU_ASSERT_TRUE_FATAL(memory_region_init_rom_device(&system->rom_device, "flash", 0x1000,
                                                       &flash_ops, system, NULL, NULL));
    memory_region_init_mmio(&system->device, "device", 0x1000, &registers_ops, system, NULL);
    memory_region_init_reservation(&system->reservation, "reserved", 0x1000);
    memory_region_init_ram_device(&system->ram_device, "bar", sizeof(system->bar), system->bar);
    memory_topology_begin();
    memory_region_add_subregion(&system->root, 0, &system->ram);
    memory_region_add_subregion(&system->root, ROM_BASE, &system->rom);
    memory_region_add_subregion(&system->root, ROD_BASE, &system->rom_device);
    memory_region_add_subregion(&system->root, DEV_BASE, &system->device);
    memory_region_add_subregion(&system->root, RES_BASE, &system->reservation);
    memory_region_add_subregion(&system->root, BAR_BASE, &system->ram_device);
    memory_topology_commit();
    address_space_init(&system->as, &system->root, "memory");
    return system;
}

static void system_free(struct system *system)
{
    address_space_destroy(&system->as);
    memory_region_destroy(&system->ram);
    memory_region_destroy(&system->rom);
    memory_region_destroy(&system->rom_device);
    memory_region_destroy(&system->device);
    memory_region_destroy(&system->reservation);
    memory_region_destroy(&system->ram_device);
    memory_region_destroy(&system->root);
    g_free(system);
}

static uint64_t load(struct system *system, gpa_t address, unsigned size)
{
    uint64_t value = 0;

    CU_ASSERT_EQUAL(address_space_load(&system->as, address, size, CPU, &value), MEMORY_OK);
    return value;
}

static enum memory_result store(struct system *system, gpa_t address, unsigned size, uint64_t value)
{
    return address_space_store(&system->as, address, size, CPU, value);
}

static void test_ram(void)
{
    struct system *system = system_new();
    uint8_t *host = memory_region_host_pointer(&system->ram);
    uint64_t offset = 1;

    for (unsigned at = 0; at < 9; at++) { /* all alignments */
        CU_ASSERT_EQUAL(store(system, at, 8, UINT64_C(0x1122334455667788)), MEMORY_OK);
        CU_ASSERT_EQUAL(load(system, at, 8), UINT64_C(0x1122334455667788));
        CU_ASSERT_EQUAL(load(system, at, 4), 0x55667788);
        CU_ASSERT_EQUAL(load(system, at + 1, 2), 0x6677);
        CU_ASSERT_EQUAL(load(system, at + 7, 1), 0x11);
        CU_ASSERT_EQUAL(host[at], 0x88);
    }
    CU_ASSERT(memory_region_fd(&system->ram, &offset) >= 0);
    CU_ASSERT_EQUAL(offset, 0);
    CU_ASSERT_EQUAL(memory_region_fd(&system->device, &offset), -1);
    CU_ASSERT_PTR_NULL(memory_region_host_pointer(&system->device));
    system_free(system);
}

static void test_long_copies(void)
{
    static uint8_t data[0x2000], back[0x2000];
    struct system *system = system_new();

    for (unsigned i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7 + i / 256);
    }
    CU_ASSERT_EQUAL(address_space_write(&system->as, 0x1003, CPU, data, 0x1ffd), MEMORY_OK);
    CU_ASSERT_EQUAL(address_space_read(&system->as, 0x1003, CPU, back, 0x1ffd), MEMORY_OK);
    CU_ASSERT_EQUAL(memcmp(data, back, 0x1ffd), 0);
    /* Off the end of RAM: what is there is done, what is beyond reads ones. */
    CU_ASSERT_EQUAL(address_space_write(&system->as, RAM_SIZE - 0x10, CPU, data, 0x20),
                    MEMORY_DECODE_ERROR);
    CU_ASSERT_EQUAL(address_space_read(&system->as, RAM_SIZE - 0x10, CPU, back, 0x20),
                    MEMORY_DECODE_ERROR);
    CU_ASSERT_EQUAL(memcmp(data, back, 0x10), 0);
    for (unsigned i = 0x10; i < 0x20; i++) {
        CU_ASSERT_EQUAL(back[i], 0xff);
    }
    /* Around the end of addresses. */
    CU_ASSERT_EQUAL(address_space_read(&system->as, UINT64_MAX - 3, CPU, back, 8),
                    MEMORY_DECODE_ERROR);
    CU_ASSERT_EQUAL(back[7], 0xff);
    CU_ASSERT_EQUAL(address_space_read(&system->as, 0, CPU, back, 0), MEMORY_OK);
    system_free(system);
}

static void test_rom(void)
{
    struct system *system = system_new();
    uint32_t image = 0x600df00d;
    uint64_t count;

    CU_ASSERT_EQUAL(address_space_write_rom(&system->as, ROM_BASE, &image, 4), MEMORY_OK);
    CU_ASSERT_EQUAL(load(system, ROM_BASE, 4), image);
    count = system->as.unassigned_count;
    CU_ASSERT_EQUAL(store(system, ROM_BASE, 4, 0), MEMORY_OK); /* dropped */
    CU_ASSERT_EQUAL(system->as.unassigned_count, count + 1);   /* and counted */
    CU_ASSERT_EQUAL(load(system, ROM_BASE, 4), image);
    CU_ASSERT_EQUAL(address_space_write(&system->as, ROM_BASE, CPU, "xxxx", 4), MEMORY_OK);
    CU_ASSERT_EQUAL(load(system, ROM_BASE, 4), image);
    system_free(system);
}

static void test_read_only_alias_is_a_rom(void)
{
    struct system *system = system_new();
    struct memory_region shadow;

    memory_region_init_alias(&shadow, "shadow", &system->ram, 0x4000, 0x1000);
    memory_region_set_read_only(&shadow, true);
    memory_region_add_subregion(&system->root, 0x80000, &shadow);
    store(system, 0x4000, 4, 42);
    CU_ASSERT_EQUAL(load(system, 0x80000, 4), 42);
    CU_ASSERT_EQUAL(store(system, 0x80000, 4, 43), MEMORY_OK);
    CU_ASSERT_EQUAL(load(system, 0x4000, 4), 42);
    memory_region_set_read_only(&shadow, false);
    CU_ASSERT_EQUAL(store(system, 0x80000, 4, 43), MEMORY_OK);
    CU_ASSERT_EQUAL(load(system, 0x4000, 4), 43);
    memory_region_destroy(&shadow);
    CU_ASSERT_EQUAL(store(system, 0x80000, 4, 43), MEMORY_DECODE_ERROR);
    system_free(system);
}

static void test_rom_device(void)
{
    struct system *system = system_new();
    uint32_t image = 0x600df00d;

    CU_ASSERT_EQUAL(address_space_write_rom(&system->as, ROD_BASE, &image, 4), MEMORY_OK);
    CU_ASSERT_EQUAL(load(system, ROD_BASE, 4), image);
    CU_ASSERT_EQUAL(store(system, ROD_BASE, 4, 0x90), MEMORY_OK);
    CU_ASSERT_EQUAL(system->rom_writes, 1);
    memory_region_set_rom_mode(&system->rom_device, false);
    CU_ASSERT_EQUAL(load(system, ROD_BASE, 1), 0x80);
    CU_ASSERT_EQUAL(store(system, ROD_BASE, 4, 0xff), MEMORY_OK);
    CU_ASSERT_EQUAL(system->rom_writes, 2);
    memory_region_set_rom_mode(&system->rom_device, true);
    CU_ASSERT_EQUAL(load(system, ROD_BASE, 4), image);
    system_free(system);
}

static void test_reservation_and_ram_device(void)
{
    struct system *system = system_new();
    uint64_t value;

    CU_ASSERT_EQUAL(address_space_load(&system->as, RES_BASE, 4, CPU, &value), MEMORY_DECODE_ERROR);
    CU_ASSERT_EQUAL(value, 0xffffffff);
    CU_ASSERT_EQUAL(store(system, RES_BASE, 4, 1), MEMORY_DECODE_ERROR);
    CU_ASSERT_EQUAL(store(system, BAR_BASE + 8, 8, 99), MEMORY_OK);
    CU_ASSERT_EQUAL(system->bar[1], 99);
    CU_ASSERT_EQUAL(load(system, BAR_BASE + 8, 2), 99);
    system_free(system);
}

static void test_compare_exchange(void)
{
    struct system *system = system_new();

    for (unsigned size = 1; size <= 8; size *= 2) {
        uint64_t ones = UINT64_MAX >> (64 - 8 * size), expected = 5;

        store(system, 0x100, 8, 0);
        CU_ASSERT_EQUAL(address_space_compare_exchange(&system->as, 0x100, size, CPU, &expected, 7),
                        MEMORY_OK);
        CU_ASSERT_EQUAL(expected, 0); /* what is there; nothing was stored */
        CU_ASSERT_EQUAL(load(system, 0x100, 8), 0);
        CU_ASSERT_EQUAL(
            address_space_compare_exchange(&system->as, 0x100, size, CPU, &expected, ones),
            MEMORY_OK);
        CU_ASSERT_EQUAL(expected, 0);
        CU_ASSERT_EQUAL(load(system, 0x100, 8), ones);
    }
    static const gpa_t refused[] = {DEV_BASE, ROM_BASE, 0x101, RAM_SIZE, ROD_BASE};
    for (unsigned i = 0; i < G_N_ELEMENTS(refused); i++) {
        uint64_t expected = 0;

        CU_ASSERT_EQUAL(
            address_space_compare_exchange(&system->as, refused[i], 4, CPU, &expected, 1),
            MEMORY_DECODE_ERROR);
    }
    system_free(system);
}

/* ---- Maps ---- */

static void test_map_ram(void)
{
    struct system *system = system_new();
    uint64_t length = 0x2000, rest = 0x1000;
    char *host = address_space_map(&system->as, 0xf000, &length, true, CPU);
    char *again = address_space_map(&system->as, 0xf000, &rest, false, CPU);

    CU_ASSERT_PTR_EQUAL(host, (char *)memory_region_host_pointer(&system->ram) + 0xf000);
    CU_ASSERT_EQUAL(length, 0x1000); /* to the end of RAM */
    CU_ASSERT_PTR_EQUAL(again, host);
    host[0] = 5;
    address_space_unmap(&system->as, host, length, true, 1);
    address_space_unmap(&system->as, again, rest, false, 0);
    CU_ASSERT_EQUAL(load(system, 0xf000, 1), 5);
    /* ROM may be mapped to read, not to write. */
    length = 0x1000;
    host = address_space_map(&system->as, ROM_BASE, &length, false, CPU);
    CU_ASSERT_PTR_EQUAL(host, memory_region_host_pointer(&system->rom));
    address_space_unmap(&system->as, host, length, false, 0);
    length = 16;
    CU_ASSERT_PTR_NULL(address_space_map(&system->as, 0x1000000, &length, false, CPU));
    CU_ASSERT_EQUAL(length, 0);
    system_free(system);
}

static void test_mapped_ram_outlives_its_region(void)
{
    struct system *system = system_new();
    struct memory_region dimm;
    uint64_t length = 0x1000;
    char *host;

    CU_ASSERT_TRUE_FATAL(memory_region_init_ram(&dimm, "dimm", 0x1000, NULL));
    memory_region_add_subregion(&system->root, 0x100000, &dimm);
    host = address_space_map(&system->as, 0x100000, &length, true, CPU);
    CU_ASSERT_PTR_NOT_NULL_FATAL(host);
    memory_region_destroy(&dimm);
    memory_rcu_barrier();
    host[0] = 1; /* or AddressSanitizer and the MMU complain */
    host[0xfff] = 2;
    address_space_unmap(&system->as, host, length, true, 0x1000);
    system_free(system);
}

static void test_bounce(void)
{
    struct system *system = system_new();
    uint64_t length = 16;
    uint8_t *host;

    memset(system->registers, 0x33, 32);
    host = address_space_map(&system->as, DEV_BASE + 4, &length, false, CPU);
    CU_ASSERT_PTR_NOT_NULL_FATAL(host);
    CU_ASSERT_EQUAL(length, 16);
    CU_ASSERT_EQUAL(host[15], 0x33);
    address_space_unmap(&system->as, host, length, false, 0);
    host = address_space_map(&system->as, DEV_BASE + 4, &length, true, CPU);
    CU_ASSERT_PTR_NOT_NULL_FATAL(host);
    memset(host, 0x44, 16);
    address_space_unmap(&system->as, host, length, true, 6); /* only 6 were written */
    CU_ASSERT_EQUAL(system->registers[4 + 5], 0x44);
    CU_ASSERT_EQUAL(system->registers[4 + 6], 0x33);
    system_free(system);
}

static void test_bounce_is_bounded(void)
{
    struct system *system = system_new();
    void *hosts[BOUNCE_BUFFERS_MAX + 1];
    uint64_t length = 8;

    for (unsigned i = 0; i < BOUNCE_BUFFERS_MAX; i++) {
        hosts[i] = address_space_map(&system->as, DEV_BASE, &length, true, CPU);
        CU_ASSERT_PTR_NOT_NULL_FATAL(hosts[i]);
    }
    CU_ASSERT_PTR_NULL(address_space_map(&system->as, DEV_BASE, &length, true, CPU));
    length = 8;
    address_space_unmap(&system->as, hosts[0], 8, true, 0);
    hosts[0] = address_space_map(&system->as, DEV_BASE, &length, true, CPU);
    CU_ASSERT_PTR_NOT_NULL(hosts[0]);
    for (unsigned i = 0; i < BOUNCE_BUFFERS_MAX; i++) {
        address_space_unmap(&system->as, hosts[i], 8, true, 0);
    }
    system_free(system);
}

/* ---- Dirty log ---- */

static bool is_dirty(struct system *system, uint64_t page, enum dirty_client client, bool clear)
{
    return memory_region_test_dirty(&system->ram, page << 12, 0x1000, client, clear);
}

static void test_dirty_log(void)
{
    struct system *system = system_new();
    uint64_t expected = 0, length = 0x100;
    void *host;

    store(system, 0x1000, 4, 1);
    CU_ASSERT_FALSE(is_dirty(system, 1, DIRTY_DISPLAY, false));
    memory_region_dirty_log_start(&system->ram, DIRTY_DISPLAY);
    memory_region_dirty_log_start(&system->ram, DIRTY_MIGRATION);
    memory_region_dirty_log_start(&system->ram, DIRTY_MIGRATION);
    CU_ASSERT_FALSE(memory_region_test_dirty(&system->ram, 0, RAM_SIZE, DIRTY_DISPLAY, false));
    store(system, 0x1ffe, 4, 1); /* two pages */
    CU_ASSERT_TRUE(is_dirty(system, 1, DIRTY_DISPLAY, true));
    CU_ASSERT_FALSE(is_dirty(system, 1, DIRTY_DISPLAY, false)); /* cleared for one client only */
    CU_ASSERT_TRUE(is_dirty(system, 1, DIRTY_MIGRATION, false));
    CU_ASSERT_TRUE(is_dirty(system, 2, DIRTY_DISPLAY, false));
    CU_ASSERT_FALSE(is_dirty(system, 3, DIRTY_DISPLAY, false));
    CU_ASSERT_FALSE(is_dirty(system, 1, DIRTY_CODE, false));
    address_space_write(&system->as, 0x4000, CPU, "abcd", 4);
    address_space_compare_exchange(&system->as, 0x5000, 8, CPU, &expected, 3);
    host = address_space_map(&system->as, 0x6000, &length, true, CPU);
    address_space_unmap(&system->as, host, length, true, 4);
    for (unsigned page = 4; page <= 6; page++) {
        CU_ASSERT_TRUE(is_dirty(system, page, DIRTY_MIGRATION, false));
    }
    memory_region_dirty_log_stop(&system->ram, DIRTY_MIGRATION);
    store(system, 0x7000, 4, 1);
    CU_ASSERT_TRUE(is_dirty(system, 7, DIRTY_MIGRATION, false)); /* counted: still on */
    memory_region_dirty_log_stop(&system->ram, DIRTY_MIGRATION);
    store(system, 0x8000, 4, 1);
    CU_ASSERT_FALSE(is_dirty(system, 8, DIRTY_MIGRATION, false));
    memory_region_dirty_log_start(&system->ram, DIRTY_MIGRATION);
    CU_ASSERT_FALSE(memory_region_test_dirty(&system->ram, 0, RAM_SIZE, DIRTY_MIGRATION, false));
    memory_region_dirty_log_stop(&system->ram, DIRTY_MIGRATION);
    memory_region_dirty_log_stop(&system->ram, DIRTY_DISPLAY);
    CU_ASSERT_FALSE(memory_region_test_dirty(&system->ram, RAM_SIZE, 1, DIRTY_DISPLAY, true));
    memory_region_set_dirty(&system->device, 0, 1); /* not memory: nothing happens */
    system_free(system);
}

/* ---- IOMMU regions ---- */

struct iommu {
    struct memory_region region, root;
    struct address_space as, *target;
    uint64_t shift_by; /* IOVA page n is page n + this in target */
    bool readable, writable;
    unsigned translations;
    void (*while_translating)(struct iommu *iommu);
    pthread_t synchronizer;
    bool synchronized, early; /* atomic */
};

static struct iommu_entry iommu_translate(void *opaque, iova_t iova, bool is_write,
                                          struct memory_attributes attributes)
{
    struct iommu *iommu = opaque;

    iommu->translations++;
    if (iommu->while_translating) {
        iommu->while_translating(iommu);
    }
    return (struct iommu_entry){
        .target = iommu->target,
        .iova = iova & ~UINT64_C(0xfff),
        .translated = (iova & ~UINT64_C(0xfff)) + iommu->shift_by,
        .address_mask = 0xfff,
        .readable = iommu->readable,
        .writable = iommu->writable,
    };
}

static const struct memory_iommu_ops iommu_ops = {.translate = iommu_translate};

static void iommu_init(struct iommu *iommu, struct address_space *target)
{
    *iommu = (struct iommu){.target = target, .readable = true, .writable = true};
    memory_region_init_container(&iommu->root, "bus", UINT64_C(1) << 40);
    memory_region_init_iommu(&iommu->region, "iommu", UINT64_C(1) << 40, &iommu_ops, iommu);
    memory_region_add_subregion(&iommu->root, 0, &iommu->region);
    address_space_init(&iommu->as, &iommu->root, "device");
}

static void iommu_destroy(struct iommu *iommu)
{
    address_space_destroy(&iommu->as);
    memory_region_destroy(&iommu->region);
    memory_region_destroy(&iommu->root);
}

static void test_iommu(void)
{
    struct system *system = system_new();
    struct memory_section section;
    struct iommu iommu;
    uint64_t value, length = 0x2000;
    uint8_t buffer[0x2000];
    void *host;

    iommu_init(&iommu, &system->as);
    iommu.shift_by = 0x2000;
    store(system, 0x2ff8, 8, 77);
    CU_ASSERT_EQUAL(address_space_load(&iommu.as, 0xff8, 8, CPU, &value), MEMORY_OK);
    CU_ASSERT_EQUAL(value, 77);
    CU_ASSERT_EQUAL(address_space_read(&iommu.as, 0x10, CPU, buffer, sizeof(buffer)), MEMORY_OK);
    memory_rcu_read_lock();
    section = address_space_lookup(&iommu.as, 0xff0, false, CPU);
    memory_rcu_read_unlock();
    CU_ASSERT_PTR_EQUAL(section.region, &system->ram);
    CU_ASSERT_EQUAL(section.offset, 0x2ff0);
    CU_ASSERT_EQUAL(section.length, 0x10); /* to the end of the entry */
    /* Pages that follow one another in memory map in one piece. */
    host = address_space_map(&iommu.as, 0x1000, &length, true, CPU);
    CU_ASSERT_PTR_EQUAL(host, (char *)memory_region_host_pointer(&system->ram) + 0x3000);
    CU_ASSERT_EQUAL(length, 0x2000);
    address_space_unmap(&iommu.as, host, length, true, 0);
    iommu_destroy(&iommu);
    system_free(system);
}

static void *synchronize(void *opaque)
{
    struct iommu *iommu = opaque;

    memory_translation_synchronize();
    __atomic_store_n(&iommu->synchronized, true, __ATOMIC_SEQ_CST);
    return NULL;
}

/* The IOMMU says something, and at once forgets it. */
static void forget(struct iommu *iommu)
{
    iommu->synchronized = false;
    pthread_create(&iommu->synchronizer, NULL, synchronize, iommu);
    for (unsigned i = 0; i < 20 && !iommu->early; i++) {
        g_usleep(1000);
        iommu->early = __atomic_load_n(&iommu->synchronized, __ATOMIC_SEQ_CST);
    }
}

/* Who has an IOMMU forget waits for copies that go by what it said, and for nothing else. */
static void test_iommu_forgets(void)
{
    struct system *system = system_new();
    struct iommu iommu;
    uint8_t buffer[16] = {0};
    uint64_t value = 0;

    iommu_init(&iommu, &system->as);
    for (unsigned kind = 0; kind < 6; kind++) {
        iommu.while_translating = forget;
        iommu.target = kind == 5 ? NULL : &system->as;
        switch (kind) {
        case 0:
            address_space_read(&iommu.as, 0x10, CPU, buffer, sizeof(buffer));
            break;
        case 1:
            address_space_write(&iommu.as, 0x10, CPU, buffer, sizeof(buffer));
            break;
        case 2:
            address_space_load(&iommu.as, 0x10, 8, CPU, &value);
            break;
        case 3:
            address_space_store(&iommu.as, 0x10, 8, CPU, 0);
            break;
        case 4:
            value = 0;
            address_space_compare_exchange(&iommu.as, 0x10, 8, CPU, &value, 1);
            break;
        default: /* a fault */
            address_space_store(&iommu.as, 0x10, 8, CPU, 0);
            break;
        }
        pthread_join(iommu.synchronizer, NULL);
        CU_ASSERT_FALSE(iommu.early);
        iommu.while_translating = NULL;
        iommu.target = &system->as;
        /* Across pages, and through the wait that would be for ourselves. */
        address_space_load(&iommu.as, 0xffc, 8, CPU, &value);
        address_space_store(&iommu.as, 0xffc, 8, CPU, value);
        memory_translation_synchronize();
    }
    iommu_destroy(&iommu);
    system_free(system);
}

static void test_iommu_faults(void)
{
    struct system *system = system_new();
    struct iommu iommu;
    uint64_t value;

    iommu_init(&iommu, &system->as);
    iommu.writable = false;
    CU_ASSERT_EQUAL(address_space_load(&iommu.as, 0, 4, CPU, &value), MEMORY_OK);
    CU_ASSERT_EQUAL(address_space_store(&iommu.as, 0, 4, CPU, 1), MEMORY_DECODE_ERROR);
    value = 0;
    CU_ASSERT_EQUAL(address_space_compare_exchange(&iommu.as, 0, 4, CPU, &value, 1),
                    MEMORY_DECODE_ERROR);
    iommu.writable = true;
    iommu.readable = false;
    CU_ASSERT_EQUAL(address_space_store(&iommu.as, 0, 4, CPU, 1), MEMORY_OK);
    CU_ASSERT_EQUAL(address_space_load(&iommu.as, 0, 4, CPU, &value), MEMORY_DECODE_ERROR);
    CU_ASSERT_EQUAL(value, 0xffffffff);
    value = 1;
    CU_ASSERT_EQUAL(address_space_compare_exchange(&iommu.as, 0, 4, CPU, &value, 2),
                    MEMORY_DECODE_ERROR);
    iommu.target = NULL;
    CU_ASSERT_EQUAL(address_space_store(&iommu.as, 0, 4, CPU, 1), MEMORY_DECODE_ERROR);
    iommu_destroy(&iommu);
    system_free(system);
}

static void test_iommu_loop(void)
{
    struct iommu one, two;
    uint64_t value;

    iommu_init(&one, NULL);
    iommu_init(&two, &one.as);
    one.target = &one.as; /* itself */
    CU_ASSERT_EQUAL(address_space_load(&one.as, 0, 4, CPU, &value), MEMORY_DECODE_ERROR);
    CU_ASSERT_EQUAL(value, 0xffffffff);
    CU_ASSERT(one.translations < 64);
    one.target = &two.as; /* one another */
    CU_ASSERT_EQUAL(address_space_load(&one.as, 0, 4, CPU, &value), MEMORY_DECODE_ERROR);
    CU_ASSERT_EQUAL(address_space_store(&two.as, 0, 4, CPU, 0), MEMORY_DECODE_ERROR);
    iommu_destroy(&one);
    iommu_destroy(&two);
}

static const struct unit_test tests[] = {
    {"RAM", test_ram},
    {"long copies", test_long_copies},
    {"ROM", test_rom},
    {"a read-only alias is a ROM", test_read_only_alias_is_a_rom},
    {"ROM device", test_rom_device},
    {"reservation and RAM device", test_reservation_and_ram_device},
    {"compare and exchange", test_compare_exchange},
    {"map of RAM", test_map_ram},
    {"mapped RAM outlives its region", test_mapped_ram_outlives_its_region},
    {"bounce buffers", test_bounce},
    {"bounce buffers are bounded", test_bounce_is_bounded},
    {"dirty log", test_dirty_log},
    {"IOMMU region", test_iommu},
    {"IOMMU: what it forgets is not used", test_iommu_forgets},
    {"IOMMU faults", test_iommu_faults},
    {"IOMMU loops", test_iommu_loop},
    {NULL, NULL},
};

int main(void)
{
    return memory_unit_run("memory-access", tests);
}
