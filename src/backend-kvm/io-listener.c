/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel must know of the topology: memory slots, the event descriptors that writes
 * signal, and the registers whose writes it may collect instead of an exit for each.
 */
#include "backend-kvm/kvm-machine.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define MEMORY_LISTENER_OF(listener_)                                                              \
    ((struct kvm_machine *)((uint8_t *)(listener_)-offsetof(struct kvm_machine, memory_listener)))
#define IO_LISTENER_OF(listener_)                                                                  \
    ((struct kvm_machine *)((uint8_t *)(listener_)-offsetof(struct kvm_machine, io_listener)))

/* Slots. */

static int slot_set_region(void *opaque, const struct kvm_userspace_memory_region *region)
{
    const struct kvm_machine *kvm = opaque;

    return kvm->ending ? 0 : kvm_vm_ioctl(&kvm->api, KVM_SET_USER_MEMORY_REGION, (void *)region);
}

static int slot_get_dirty(void *opaque, struct kvm_dirty_log *log)
{
    const struct kvm_machine *kvm = opaque;

    if (kvm->ring_entries || kvm->ending) {
        return 0; /* the rings tell */
    }
    return kvm_vm_ioctl(&kvm->api, KVM_GET_DIRTY_LOG, log);
}

static void slot_quiesce(void *opaque)
{
    kvm_hold_guest(opaque);
    kvm_collect_dirty_rings(opaque);
}

static void slot_release(void *opaque)
{
    kvm_release_guest(opaque);
}

static const struct memory_slots_ops slots_ops = {
    .set_region = slot_set_region,
    .get_dirty = slot_get_dirty,
    .quiesce = slot_quiesce,
    .release = slot_release,
};

/* Collected writes. */

static int set_zone(const struct kvm_machine *kvm, const struct listener_section *section, bool pio,
                    bool add)
{
    struct kvm_coalesced_mmio_zone zone = {
        .addr = section->start,
        .size = (uint32_t)section->length,
        .pio = pio,
    };

    return kvm_vm_ioctl(&kvm->api,
                        add ? KVM_REGISTER_COALESCED_MMIO : KVM_UNREGISTER_COALESCED_MMIO, &zone);
}

static bool is_coalesced(const struct kvm_machine *kvm, const struct listener_section *section,
                         bool pio)
{
    return section->region->coalesced && section->length <= UINT32_MAX &&
           kvm_api_check(&kvm->api, pio ? KVM_CAP_COALESCED_PIO : KVM_CAP_COALESCED_MMIO);
}

/* Entries are carried out in order, by whoever comes first. */
void kvm_take_coalesced(struct kvm_machine *kvm)
{
    struct kvm_coalesced_mmio_ring *ring = kvm->coalesced;
    uint32_t limit = (uint32_t)((4096 - sizeof(*ring)) / sizeof(ring->coalesced_mmio[0]));

    pthread_mutex_lock(&kvm->coalesced_lock);
    while (ring->first != __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE) && ring->first < limit) {
        const struct kvm_coalesced_mmio *entry = &ring->coalesced_mmio[ring->first];
        struct address_space *as = entry->pio ? &kvm->machine->as_io : &kvm->machine->as_memory;

        address_space_write(as, entry->phys_addr, MEMORY_ATTRIBUTES_CPU, entry->data,
                            MIN(entry->len, sizeof(entry->data)));
        __atomic_store_n(&ring->first, (ring->first + 1) % limit, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&kvm->coalesced_lock);
}

/* Dirty rings. */

static unsigned collect_ring(struct kvm_machine *kvm, struct kvm_vcpu *v)
{
    unsigned count = 0;

    for (;;) {
        struct kvm_dirty_gfn *entry = &v->ring[v->ring_next % kvm->ring_entries];

        if (!(__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY)) {
            return count;
        }
        memory_slots_mark(kvm->slots, entry->slot & 0xffff, entry->offset);
        __atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
        v->ring_next++;
        count++;
    }
}

void kvm_collect_dirty_rings(struct kvm_machine *kvm)
{
    unsigned count = 0;

    if (!kvm->ring_entries) {
        return;
    }
    memory_topology_begin(); /* slots stay as they are meanwhile */
    for (unsigned i = 0; i < kvm->machine->vcpu_count; i++) {
        struct kvm_vcpu *v = kvm->machine->vcpus[i]->engine;

        count += v && v->ring ? collect_ring(kvm, v) : 0;
    }
    if (count) {
        kvm_vm_ioctl(&kvm->api, KVM_RESET_DIRTY_RINGS, NULL);
    }
    memory_topology_commit();
}

/* Event descriptors. */

static int set_ioeventfd(const struct kvm_machine *kvm, const struct ioeventfd_section *section,
                         bool pio, bool add)
{
    struct kvm_ioeventfd request = {
        .addr = section->address,
        .len = section->size,
        .fd = section->fd,
        .datamatch = section->value,
        .flags = (pio ? KVM_IOEVENTFD_FLAG_PIO : 0) |
                 (section->match_value ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0) |
                 (add ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
    };

    if (!section->size && !kvm_api_check(&kvm->api, KVM_CAP_IOEVENTFD_ANY_LENGTH)) {
        return -EOPNOTSUPP;
    }
    return kvm_vm_ioctl(&kvm->api, KVM_IOEVENTFD, &request);
}

static bool add_ioeventfd(const struct kvm_machine *kvm, const struct ioeventfd_section *section,
                          bool pio, GError **error)
{
    int result = set_ioeventfd(kvm, section, pio, true);

    return result >= 0 || duodm_fail(error, DUODM_ERROR_FAILED,
                                     "kvm: no event descriptor for writes of 0x%" PRIx64 ": %s",
                                     section->address, g_strerror(-result));
}

/* Listeners. */

static bool memory_section_add(struct memory_listener *listener,
                               const struct listener_section *section, GError **error)
{
    struct kvm_machine *kvm = MEMORY_LISTENER_OF(listener);

    if (is_coalesced(kvm, section, false)) {
        set_zone(kvm, section, false, true);
    }
    return memory_slots_add(kvm->slots, section, error);
}

static void memory_section_remove(struct memory_listener *listener,
                                  const struct listener_section *section)
{
    struct kvm_machine *kvm = MEMORY_LISTENER_OF(listener);

    if (is_coalesced(kvm, section, false)) {
        set_zone(kvm, section, false, false);
        kvm_drain_coalesced(kvm);
    }
    memory_slots_remove(kvm->slots, section);
}

static void memory_log_changed(struct memory_listener *listener,
                               const struct listener_section *section, uint32_t old_clients,
                               uint32_t new_clients)
{
    memory_slots_change_log(MEMORY_LISTENER_OF(listener)->slots, section);
}

static void memory_log_sync(struct memory_listener *listener)
{
    struct kvm_machine *kvm = MEMORY_LISTENER_OF(listener);

    if (kvm->ring_entries) {
        kvm_hold_guest(kvm); /* so that all that was written is in the rings */
        kvm_collect_dirty_rings(kvm);
        kvm_release_guest(kvm);
    } else {
        memory_slots_sync(kvm->slots);
    }
}

static void memory_commit(struct memory_listener *listener)
{
    memory_slots_commit(MEMORY_LISTENER_OF(listener)->slots);
}

/*
 * An event descriptor that the kernel won't take is signalled by duodm after an exit: slower, no
 * more. Memory that it won't take is an error of the machine: before it runs it is told by
 * engine_ops.check_board, later it stops the machine.
 */
static void memory_failed(struct memory_listener *listener, const struct listener_section *section,
                          const GError *error)
{
    struct kvm_machine *kvm = MEMORY_LISTENER_OF(listener);

    if (!section) {
        log_item(LOG_UNIMPLEMENTED, "%s\n", error->message);
    } else if (kvm->machine->state == RUN_STATE_RUNNING) {
        machine_report_internal_error(kvm->machine, error->message);
    } else if (!kvm->refused) {
        kvm->refused = g_error_copy(error);
    }
}

static bool memory_ioeventfd_add(struct memory_listener *listener,
                                 const struct ioeventfd_section *section, GError **error)
{
    return add_ioeventfd(MEMORY_LISTENER_OF(listener), section, false, error);
}

static void memory_ioeventfd_remove(struct memory_listener *listener,
                                    const struct ioeventfd_section *section)
{
    set_ioeventfd(MEMORY_LISTENER_OF(listener), section, false, false);
}

static bool io_section_add(struct memory_listener *listener, const struct listener_section *section,
                           GError **error)
{
    struct kvm_machine *kvm = IO_LISTENER_OF(listener);

    if (is_coalesced(kvm, section, true)) {
        set_zone(kvm, section, true, true);
    }
    return true;
}

static void io_section_remove(struct memory_listener *listener,
                              const struct listener_section *section)
{
    struct kvm_machine *kvm = IO_LISTENER_OF(listener);

    if (is_coalesced(kvm, section, true)) {
        set_zone(kvm, section, true, false);
        kvm_drain_coalesced(kvm);
    }
}

static bool io_ioeventfd_add(struct memory_listener *listener,
                             const struct ioeventfd_section *section, GError **error)
{
    return add_ioeventfd(IO_LISTENER_OF(listener), section, true, error);
}

static void io_ioeventfd_remove(struct memory_listener *listener,
                                const struct ioeventfd_section *section)
{
    set_ioeventfd(IO_LISTENER_OF(listener), section, true, false);
}

bool kvm_register_listeners(struct kvm_machine *kvm, GError **error)
{
    int count = kvm_api_check(&kvm->api, KVM_CAP_NR_MEMSLOTS);

    kvm->slots = memory_slots_new(&slots_ops, kvm, count ? (unsigned)count : 32);
    kvm->memory_listener = (struct memory_listener){
        .name = "kvm",
        .commit = memory_commit,
        .section_add = memory_section_add,
        .section_remove = memory_section_remove,
        .log_changed = memory_log_changed,
        .log_sync = memory_log_sync,
        .ioeventfd_add = memory_ioeventfd_add,
        .ioeventfd_remove = memory_ioeventfd_remove,
        .failed = memory_failed,
    };
    kvm->io_listener = (struct memory_listener){
        .name = "kvm-io",
        .section_add = io_section_add,
        .section_remove = io_section_remove,
        .ioeventfd_add = io_ioeventfd_add,
        .ioeventfd_remove = io_ioeventfd_remove,
    };
    return memory_listener_register(&kvm->memory_listener, &kvm->machine->as_memory, error) &&
           memory_listener_register(&kvm->io_listener, &kvm->machine->as_io, error);
}

void kvm_unregister_listeners(struct kvm_machine *kvm)
{
    memory_listener_unregister(&kvm->io_listener);
    memory_listener_unregister(&kvm->memory_listener);
    g_clear_pointer(&kvm->slots, memory_slots_free);
}
