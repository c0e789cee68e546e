/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory slots against a kernel that is a table: only what changes is asked for, nothing overlaps,
 * no vCPU can see a hole, and what the kernel refuses is told. */
#include "backend-kvm/memory-slots.h"

#include "memory-fixture.h"

#include <errno.h>

#define SLOTS 64
#define MIB   (UINT64_C(1) << 20)

struct fake_kernel {
    struct kvm_userspace_memory_region slots[SLOTS];
    uint64_t dirty[SLOTS]; /* of the first 64 pages */
    unsigned calls, held;
    unsigned fail_at;    /* number of the call that fails; 0: none */
    bool overlap, holes; /* a slot over another; pages exchanged while vCPUs ran */
    bool removed_ram;    /* in this change, without a hold */
    struct memory_slots *table;
    struct memory_listener listener;
    unsigned failures; /* that the listener was told of */
};

static bool overlaps(const struct kvm_userspace_memory_region *a,
                     const struct kvm_userspace_memory_region *b)
{
    return a->memory_size && b->memory_size &&
           a->guest_phys_addr < b->guest_phys_addr + b->memory_size &&
           b->guest_phys_addr < a->guest_phys_addr + a->memory_size;
}

static int set_region(void *opaque, const struct kvm_userspace_memory_region *region)
{
    struct fake_kernel *kernel = opaque;
    struct kvm_userspace_memory_region *slot = &kernel->slots[region->slot];

    if (++kernel->calls == kernel->fail_at) {
        return -ENOMEM;
    }
    if (region->memory_size && slot->memory_size &&
        ((region->flags ^ slot->flags) & KVM_MEM_READONLY)) {
        return -EINVAL; /* as the kernel has it */
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        kernel->overlap |= i != region->slot && overlaps(region, &kernel->slots[i]);
    }
    *slot = *region;
    return 0;
}

static int get_dirty(void *opaque, struct kvm_dirty_log *log)
{
    struct fake_kernel *kernel = opaque;

    if (!(kernel->slots[log->slot].flags & KVM_MEM_LOG_DIRTY_PAGES)) {
        return -ENOENT;
    }
    memcpy(log->dirty_bitmap, &kernel->dirty[log->slot], sizeof(uint64_t));
    kernel->dirty[log->slot] = 0;
    return 0;
}

static void quiesce(void *opaque)
{
    ((struct fake_kernel *)opaque)->held++;
}

static void release(void *opaque)
{
}

static const struct memory_slots_ops ops = {set_region, get_dirty, quiesce, release};

static struct fake_kernel *kernel_of(struct memory_listener *listener)
{
    return (struct fake_kernel *)((uint8_t *)listener - offsetof(struct fake_kernel, listener));
}

static bool section_add(struct memory_listener *listener, const struct listener_section *section,
                        GError **error)
{
    return memory_slots_add(kernel_of(listener)->table, section, error);
}

static void section_remove(struct memory_listener *listener, const struct listener_section *section)
{
    memory_slots_remove(kernel_of(listener)->table, section);
}

static void log_changed(struct memory_listener *listener, const struct listener_section *section,
                        uint32_t old_clients, uint32_t new_clients)
{
    memory_slots_change_log(kernel_of(listener)->table, section);
}

static void log_sync(struct memory_listener *listener)
{
    memory_slots_sync(kernel_of(listener)->table);
}

static void commit(struct memory_listener *listener)
{
    memory_slots_commit(kernel_of(listener)->table);
}

static void failed(struct memory_listener *listener, const struct listener_section *section,
                   const GError *error)
{
    kernel_of(listener)->failures++;
}

struct system {
    struct memory_region root, ram, low, high, rom, shadow;
    struct address_space as;
    struct fake_kernel kernel;
};

/* 4 MiB of RAM in two aliases, below and from 1 MiB on, and a ROM that can lie over the low one. */
static struct system *system_new(unsigned slots)
{
    struct system *system = g_new0(struct system, 1);
    struct fake_kernel *kernel = &system->kernel;

    memory_region_init_container(&system->root, "root", UINT64_C(1) << 32);
    CU_ASSERT_TRUE_FATAL(memory_region_init_ram(&system->ram, "ram", 4 * MIB, NULL));
    CU_ASSERT_TRUE_FATAL(memory_region_init_rom(&system->rom, "rom", MIB / 4, NULL));
    memory_region_init_alias(&system->low, "low", &system->ram, 0, 4 * MIB);
    memory_region_add_subregion(&system->root, 0, &system->low);
    memory_region_add_subregion_overlap(&system->root, MIB - MIB / 4, &system->rom, 1);
    memory_region_set_enabled(&system->rom, false);
    address_space_init(&system->as, &system->root, "memory");
    kernel->table = memory_slots_new(&ops, kernel, slots);
    kernel->listener = (struct memory_listener){.name = "slots",
                                                .section_add = section_add,
                                                .section_remove = section_remove,
                                                .log_changed = log_changed,
                                                .log_sync = log_sync,
                                                .commit = commit,
                                                .failed = failed};
    return system;
}

static void system_free(struct system *system)
{
    memory_listener_unregister(&system->kernel.listener);
    CU_ASSERT_FALSE(system->kernel.overlap);
    address_space_destroy(&system->as);
    memory_region_destroy(&system->low);
    memory_region_destroy(&system->ram);
    memory_region_destroy(&system->rom);
    memory_region_destroy(&system->root);
    memory_slots_free(system->kernel.table);
    g_free(system);
}

static void listen(struct system *system)
{
    CU_ASSERT_TRUE_FATAL(memory_listener_register(&system->kernel.listener, &system->as, NULL));
}

/* The slot that holds an address, or NULL. */
static const struct kvm_userspace_memory_region *slot_at(const struct system *system, gpa_t address)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        const struct kvm_userspace_memory_region *slot = &system->kernel.slots[i];

        if (address - slot->guest_phys_addr < slot->memory_size) {
            return slot;
        }
    }
    return NULL;
}

static void test_cut_at_one_mib(void)
{
    struct system *system = system_new(SLOTS);

    listen(system);
    CU_ASSERT_EQUAL(system->kernel.calls, 2);
    CU_ASSERT_EQUAL(slot_at(system, 0)->memory_size, MIB);
    CU_ASSERT_EQUAL(slot_at(system, MIB)->memory_size, 3 * MIB);
    CU_ASSERT_EQUAL(slot_at(system, MIB)->userspace_addr,
                    (uintptr_t)memory_region_host_pointer(&system->ram) + MIB);
    system_free(system);
}

static void test_shadowing_leaves_high_slot(void)
{
    struct system *system = system_new(SLOTS);
    uint32_t high;

    listen(system);
    high = slot_at(system, MIB)->slot;
    system->kernel.calls = 0;
    memory_region_set_enabled(&system->rom, true);
    CU_ASSERT_EQUAL(system->kernel.calls, 3); /* the low one goes, its rest and the ROM come */
    CU_ASSERT_EQUAL(system->kernel.held, 1);
    CU_ASSERT_EQUAL(slot_at(system, MIB)->slot, high);
    CU_ASSERT_EQUAL(slot_at(system, MIB - 1)->flags, KVM_MEM_READONLY);
    CU_ASSERT_EQUAL(slot_at(system, 0)->flags, 0);
    memory_region_set_enabled(&system->rom, false);
    CU_ASSERT_EQUAL(slot_at(system, MIB - 1)->flags, 0);
    system_free(system);
}

static void test_read_only_needs_new_slot(void)
{
    struct system *system = system_new(SLOTS);

    listen(system);
    memory_region_set_read_only(&system->low, true);
    CU_ASSERT_EQUAL(slot_at(system, 2 * MIB)->flags, KVM_MEM_READONLY);
    CU_ASSERT_EQUAL(system->kernel.held, 1);
    memory_region_set_read_only(&system->low, false);
    CU_ASSERT_EQUAL(slot_at(system, 2 * MIB)->flags, 0);
    CU_ASSERT_EQUAL(system->kernel.failures, 0);
    system_free(system);
}

static void test_part_pages_are_left_out(void)
{
    struct system *system = system_new(SLOTS);

    memory_region_set_offset(&system->rom, 8 * MIB);
    memory_region_set_size(&system->rom, 0x2800);
    memory_region_set_enabled(&system->rom, true);
    listen(system);
    CU_ASSERT_EQUAL(slot_at(system, 8 * MIB)->memory_size, 0x2000);
    memory_region_set_offset(&system->rom, 8 * MIB + 0x800); /* host and guest differ in a page */
    CU_ASSERT_PTR_NULL(slot_at(system, 8 * MIB + 0x1000));
    system_free(system);
}

static void test_dirty_log(void)
{
    struct system *system = system_new(SLOTS);
    uint32_t number;

    listen(system);
    memory_region_dirty_log_start(&system->ram, DIRTY_MIGRATION);
    CU_ASSERT_EQUAL(slot_at(system, MIB)->flags, KVM_MEM_LOG_DIRTY_PAGES);
    CU_ASSERT_EQUAL(system->kernel.held, 0); /* flags change in place */
    number = slot_at(system, MIB)->slot;
    system->kernel.dirty[number] = 1u << 5;
    CU_ASSERT_FALSE(memory_region_test_dirty(&system->ram, 0, 4 * MIB, DIRTY_MIGRATION, false));
    address_space_sync_dirty_log(&system->as);
    CU_ASSERT_TRUE(
        memory_region_test_dirty(&system->ram, MIB + 0x5000, 0x1000, DIRTY_MIGRATION, true));
    CU_ASSERT_FALSE(memory_region_test_dirty(&system->ram, 0, 4 * MIB, DIRTY_MIGRATION, false));
    /* What was written is not lost with the slot. */
    system->kernel.dirty[number] = 1;
    memory_region_set_enabled(&system->low, false);
    CU_ASSERT_TRUE(memory_region_test_dirty(&system->ram, MIB, 0x1000, DIRTY_MIGRATION, true));
    memory_region_set_enabled(&system->low, true);
    memory_slots_mark(system->kernel.table, slot_at(system, 0)->slot, 3);
    memory_slots_mark(system->kernel.table, slot_at(system, 0)->slot, 1u << 30);
    memory_slots_mark(system->kernel.table, 12345, 0);
    CU_ASSERT_TRUE(memory_region_test_dirty(&system->ram, 0x3000, 0x1000, DIRTY_MIGRATION, true));
    memory_region_dirty_log_stop(&system->ram, DIRTY_MIGRATION);
    CU_ASSERT_EQUAL(slot_at(system, MIB)->flags, 0);
    system_free(system);
}

static void test_refusals(void)
{
    struct system *system = system_new(SLOTS);
    g_autoptr(GError) error = NULL;

    /* At registration: an error, and nothing left. */
    system->kernel.fail_at = 2;
    CU_ASSERT_FALSE(memory_listener_register(&system->kernel.listener, &system->as, &error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(strstr(error->message, "3072 KiB"));
    CU_ASSERT_PTR_NULL(slot_at(system, 0));
    /* Later: the listener hears it, and the section's end asks for nothing. */
    system->kernel.fail_at = 0;
    listen(system);
    system->kernel.fail_at = system->kernel.calls + 2;
    memory_region_set_enabled(&system->rom, true);
    CU_ASSERT_EQUAL(system->kernel.failures, 1);
    memory_region_set_enabled(&system->rom, false);
    CU_ASSERT_PTR_NOT_NULL(slot_at(system, 0));
    CU_ASSERT_PTR_NOT_NULL(slot_at(system, MIB - 1));
    system_free(system);
}

static void test_no_slot_left(void)
{
    struct system *system = system_new(2);

    listen(system);
    memory_region_set_offset(&system->rom, 8 * MIB);
    memory_region_set_enabled(&system->rom, true);
    CU_ASSERT_EQUAL(system->kernel.failures, 1);
    CU_ASSERT_PTR_NULL(slot_at(system, 8 * MIB));
    system_free(system);
}

/* Does each page have the slot that the flat view wants, in all of the first 16 MiB? */
static void expect_as_view(struct system *system)
{
    unsigned wrong = 0;

    memory_rcu_read_lock();
    for (gpa_t page = 0; page < 16 * MIB; page += SLOT_PAGE_SIZE) {
        struct memory_section section = address_space_lookup(&system->as, page, false, CPU);
        const struct kvm_userspace_memory_region *slot = slot_at(system, page);

        if (!section.host) {
            wrong += slot != NULL;
        } else {
            wrong +=
                !slot ||
                slot->userspace_addr + (page - slot->guest_phys_addr) != (uintptr_t)section.host ||
                !(slot->flags & KVM_MEM_READONLY) != section.writable;
        }
    }
    memory_rcu_read_unlock();
    CU_ASSERT_EQUAL(wrong, 0);
}

static void test_random_changes(void)
{
    struct system *system = system_new(SLOTS);
    uint64_t state = test_seed();

    listen(system);
    for (unsigned i = 0; i < 400; i++) {
        memory_topology_begin();
        for (uint64_t edits = test_random(&state) % 4; edits-- > 0;) {
            uint64_t offset = test_random(&state) % 2048 * SLOT_PAGE_SIZE;

            switch (test_random(&state) % 5) {
            case 0:
                memory_region_set_enabled(&system->rom, test_random(&state) & 1);
                break;
            case 1:
                memory_region_set_offset(&system->rom, offset);
                break;
            case 2:
                memory_region_set_offset(&system->low, offset);
                break;
            case 3:
                memory_region_set_read_only(&system->low, test_random(&state) & 1);
                break;
            case 4:
                memory_region_set_enabled(&system->low, test_random(&state) & 3);
                break;
            }
        }
        memory_topology_commit();
        expect_as_view(system);
    }
    CU_ASSERT_EQUAL(system->kernel.failures, 0);
    system_free(system);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"slots are cut at 1 MiB", test_cut_at_one_mib},
        {"shadowing leaves the slot above", test_shadowing_leaves_high_slot},
        {"read-only needs a new slot", test_read_only_needs_new_slot},
        {"pages filled in part", test_part_pages_are_left_out},
        {"dirty log", test_dirty_log},
        {"refusals", test_refusals},
        {"no slot left", test_no_slot_left},
        {"random changes", test_random_changes},
        {NULL, NULL},
    };

    return memory_unit_run("kvm slots", tests);
}
