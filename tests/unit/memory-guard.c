/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guard: exclusion, re-entry, and cycles of threads that wait for one another. */
#include "memory-fixture.h"

#include <pthread.h>

static void test_enter_and_leave(void)
{
    struct access_guard guard;

    access_guard_init(&guard);
    CU_ASSERT_FALSE(access_guard_is_held(&guard));
    CU_ASSERT_TRUE(access_guard_enter(&guard));
    CU_ASSERT_TRUE(access_guard_is_held(&guard));
    access_guard_leave(&guard);
    CU_ASSERT_FALSE(access_guard_is_held(&guard));
    access_guard_destroy(&guard);
}

static void test_reentry_is_refused(void)
{
    struct access_guard guard;

    access_guard_init(&guard);
    CU_ASSERT_TRUE_FATAL(access_guard_enter(&guard));
    CU_ASSERT_FALSE(access_guard_enter(&guard));
    CU_ASSERT_TRUE(access_guard_is_held(&guard)); /* the refusal took nothing and gave nothing */
    access_guard_leave(&guard);
    CU_ASSERT_TRUE(access_guard_enter(&guard));
    access_guard_leave(&guard);
    access_guard_destroy(&guard);
}

/* ---- Exclusion ---- */

struct counter {
    struct access_guard guard;
    unsigned value; /* under guard */
};

static void *count_up(void *opaque)
{
    struct counter *counter = opaque;

    for (unsigned i = 0; i < 5000; i++) {
        if (access_guard_enter(&counter->guard)) {
            counter->value++;
            access_guard_leave(&counter->guard);
        }
    }
    return NULL;
}

static void test_threads_exclude_each_other(void)
{
    struct counter counter = {.value = 0};
    pthread_t threads[4];

    access_guard_init(&counter.guard);
    for (unsigned i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, count_up, &counter);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    CU_ASSERT_EQUAL(counter.value, 4 * 5000); /* waiting alone is no cycle: none was refused */
    access_guard_destroy(&counter.guard);
}

/* ---- Rings: thread i holds guard i, then wants guard i + 1 ---- */

#define RING_MAX 5

struct ring {
    unsigned count;
    struct access_guard guards[RING_MAX];
    pthread_barrier_t all_hold;
    unsigned refused, entered; /* atomic */
};

struct ring_member {
    struct ring *ring;
    unsigned number;
};

static void *walk_ring(void *opaque)
{
    struct ring_member *member = opaque;
    struct ring *ring = member->ring;
    struct access_guard *mine = &ring->guards[member->number];
    struct access_guard *next = &ring->guards[(member->number + 1) % ring->count];

    if (!access_guard_enter(mine)) {
        abort();
    }
    pthread_barrier_wait(&ring->all_hold);
    if (access_guard_enter(next)) {
        __atomic_fetch_add(&ring->entered, 1, __ATOMIC_RELAXED);
        access_guard_leave(next);
    } else {
        __atomic_fetch_add(&ring->refused, 1, __ATOMIC_RELAXED);
    }
    access_guard_leave(mine);
    return NULL;
}

static void run_ring(unsigned count)
{
    struct ring ring = {.count = count};
    struct ring_member members[RING_MAX];
    pthread_t threads[RING_MAX];

    pthread_barrier_init(&ring.all_hold, NULL, count);
    for (unsigned i = 0; i < count; i++) {
        access_guard_init(&ring.guards[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        members[i] = (struct ring_member){&ring, i};
        pthread_create(&threads[i], NULL, walk_ring, &members[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
    /* The one that closed the ring was refused; that freed all others, one after the other. The
     * first few may have been let go before the last one asked, never refused without need. */
    CU_ASSERT_EQUAL(ring.refused + ring.entered, count);
    CU_ASSERT_EQUAL(ring.refused, 1);
    for (unsigned i = 0; i < count; i++) {
        access_guard_destroy(&ring.guards[i]);
    }
    pthread_barrier_destroy(&ring.all_hold);
}

static void test_rings_of_threads_come_apart(void)
{
    for (unsigned round = 0; round < 100; round++) {
        run_ring(2 + round % (RING_MAX - 1));
    }
}

/* ---- Two devices whose DMA goes into one another's registers ---- */

struct device {
    struct access_guard guard;
    struct memory_region registers;
    struct address_space *as;
    gpa_t target;               /* of its DMA */
    unsigned refused, accesses; /* atomic */
};

static enum memory_result device_read(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t *value)
{
    *value = 0x5a;
    return MEMORY_OK;
}

/* A write to register 0 starts DMA into the target's register 4 or 0. */
static enum memory_result device_write(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t value)
{
    struct device *device = opaque;
    uint64_t data;

    __atomic_fetch_add(&device->accesses, 1, __ATOMIC_RELAXED);
    if (offset == 0 && address_space_load(device->as, device->target, 4,
                                          (struct memory_attributes){.from_device = true},
                                          &data) == MEMORY_REENTRY) {
        CU_ASSERT_EQUAL(data, 0xffffffff);
        __atomic_fetch_add(&device->refused, 1, __ATOMIC_RELAXED);
    }
    return MEMORY_OK;
}

static const struct memory_region_ops device_ops = {.read = device_read, .write = device_write};

struct machine {
    struct memory_region root;
    struct address_space as;
    struct device devices[2];
};

static void machine_init(struct machine *machine)
{
    memory_region_init_container(&machine->root, "root", 0x10000);
    address_space_init(&machine->as, &machine->root, "memory");
    for (unsigned i = 0; i < 2; i++) {
        struct device *device = &machine->devices[i];

        *device = (struct device){.as = &machine->as};
        access_guard_init(&device->guard);
        memory_region_init_mmio(&device->registers, "registers", 0x100, &device_ops, device,
                                &device->guard);
        memory_region_add_subregion(&machine->root, 0x1000 * i, &device->registers);
    }
}

static void machine_destroy(struct machine *machine)
{
    for (unsigned i = 0; i < 2; i++) {
        memory_region_destroy(&machine->devices[i].registers);
        access_guard_destroy(&machine->devices[i].guard);
    }
    address_space_destroy(&machine->as);
    memory_region_destroy(&machine->root);
}

static void test_own_dma_is_refused(void)
{
    struct machine machine;

    machine_init(&machine);
    machine.devices[0].target = 0; /* itself */
    CU_ASSERT_EQUAL(address_space_store(&machine.as, 0, 4, CPU, 1), MEMORY_OK);
    CU_ASSERT_EQUAL(machine.devices[0].refused, 1);
    CU_ASSERT_EQUAL(machine.as.unassigned_count, 0);
    machine_destroy(&machine);
}

struct storm {
    struct machine *machine;
    gpa_t address;
};

static void *write_storm(void *opaque)
{
    struct storm *storm = opaque;

    for (unsigned i = 0; i < 3000; i++) {
        CU_ASSERT_EQUAL(address_space_store(&storm->machine->as, storm->address, 4, CPU, i),
                        MEMORY_OK);
    }
    return NULL;
}

static void test_two_devices_do_not_lock_up(void)
{
    struct machine machine;
    struct storm storms[2] = {{&machine, 0}, {&machine, 0x1000}};
    pthread_t threads[2];

    machine_init(&machine);
    machine.devices[0].target = 0x1000;
    machine.devices[1].target = 0;
    for (unsigned i = 0; i < 2; i++) {
        pthread_create(&threads[i], NULL, write_storm, &storms[i]);
    }
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    CU_ASSERT_EQUAL(machine.devices[0].accesses, 3000);
    CU_ASSERT_EQUAL(machine.devices[1].accesses, 3000);
    machine_destroy(&machine);
}

static const struct unit_test tests[] = {
    {"enter and leave", test_enter_and_leave},
    {"re-entry is refused", test_reentry_is_refused},
    {"threads exclude each other", test_threads_exclude_each_other},
    {"rings of threads come apart", test_rings_of_threads_come_apart},
    {"a device's own DMA is refused", test_own_dma_is_refused},
    {"two devices in each other's registers do not lock up", test_two_devices_do_not_lock_up},
    {NULL, NULL},
};

int main(void)
{
    return memory_unit_run("memory-guard", tests);
}
