/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend-kvm/memory-slots.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct memory_slots {
    const struct memory_slots_ops *ops;
    void *opaque;
    unsigned limit; /* slots that the kernel has */
    GArray *list;   /* struct memory_slot; the index is the number */
    bool quiet;     /* vCPUs are held until commit */
    bool any_doomed;
};

/* A section's whole pages on one side of the cut. */
struct piece {
    gpa_t start;
    uint64_t length;
    uint8_t *host;
    uint64_t region_offset;
};

struct memory_slots *memory_slots_new(const struct memory_slots_ops *ops, void *opaque,
                                      unsigned count)
{
    struct memory_slots *slots = g_new0(struct memory_slots, 1);

    slots->ops = ops;
    slots->opaque = opaque;
    slots->limit = count;
    slots->list = g_array_new(FALSE, TRUE, sizeof(struct memory_slot));
    return slots;
}

void memory_slots_free(struct memory_slots *slots)
{
    if (slots) {
        g_array_unref(slots->list);
        g_free(slots);
    }
}

static struct memory_slot *slot_at(const struct memory_slots *slots, unsigned number)
{
    return &g_array_index(slots->list, struct memory_slot, number);
}

const struct memory_slot *memory_slots_list(const struct memory_slots *slots, unsigned *count)
{
    *count = slots->list->len;
    return (const struct memory_slot *)(void *)slots->list->data;
}

/* Sections and slots. */

static bool is_memory(const struct listener_section *section)
{
    switch (section->region->kind) {
    case MEMORY_RAM:
    case MEMORY_ROM:
    case MEMORY_RAM_DEVICE:
        return true;
    case MEMORY_ROM_DEVICE:
        return section->rom_mode;
    default:
        return false;
    }
}

static uint32_t flags_of(const struct listener_section *section)
{
    enum memory_region_kind kind = section->region->kind;
    bool read_only = section->read_only || kind == MEMORY_ROM || kind == MEMORY_ROM_DEVICE;

    return (read_only ? KVM_MEM_READONLY : 0) |
           (section->dirty_clients && !read_only ? KVM_MEM_LOG_DIRTY_PAGES : 0);
}

/* Pages that a section fills only in part are left to exits. Returns the number of pieces. */
static unsigned cut_section(const struct listener_section *section, struct piece pieces[2])
{
    uint8_t *host = memory_region_host_pointer(section->region);
    const uint64_t mask = SLOT_PAGE_SIZE - 1;
    uint64_t skip = -section->start & mask, left;
    unsigned count = 0;
    struct piece all;

    if (!is_memory(section) || !host || section->length <= skip) {
        return 0;
    }
    all.start = section->start + skip;
    all.length = (section->length - skip) & ~mask;
    all.region_offset = section->region_offset + skip;
    all.host = host + all.region_offset;
    if (!all.length || ((uintptr_t)all.host & mask)) {
        return 0;
    }
    left = all.start < SLOT_CUT ? MIN(SLOT_CUT - all.start, all.length) : 0;
    if (left && left < all.length) {
        pieces[count++] = (struct piece){all.start, left, all.host, all.region_offset};
        all.start += left;
        all.length -= left;
        all.host += left;
        all.region_offset += left;
    }
    pieces[count++] = all;
    return count;
}

static struct memory_slot *find_exact(const struct memory_slots *slots, const struct piece *piece)
{
    for (unsigned i = 0; i < slots->list->len; i++) {
        struct memory_slot *slot = slot_at(slots, i);

        if (slot->length == piece->length && slot->start == piece->start &&
            slot->host == piece->host) {
            return slot;
        }
    }
    return NULL;
}

static struct memory_slot *get_free_slot(struct memory_slots *slots)
{
    struct memory_slot empty = {.number = slots->list->len};

    for (unsigned i = 0; i < slots->list->len; i++) {
        if (!slot_at(slots, i)->length) {
            return slot_at(slots, i);
        }
    }
    if (slots->list->len == slots->limit) {
        return NULL;
    }
    g_array_append_val(slots->list, empty);
    return slot_at(slots, slots->list->len - 1);
}

/* The kernel. */

static int set_region(struct memory_slots *slots, const struct memory_slot *slot, uint64_t length)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot->number,
        .flags = slot->flags,
        .guest_phys_addr = slot->start,
        .memory_size = length,
        .userspace_addr = (uintptr_t)slot->host,
    };

    return slots->ops->set_region(slots->opaque, &region);
}

static void hold_vcpus(struct memory_slots *slots)
{
    if (!slots->quiet) {
        slots->quiet = true;
        slots->ops->quiesce(slots->opaque);
    }
}

static void sync_slot(struct memory_slots *slots, const struct memory_slot *slot)
{
    uint64_t pages = slot->length / SLOT_PAGE_SIZE, words = (pages + 63) / 64;
    g_autofree uint64_t *bitmap = NULL;
    struct kvm_dirty_log log = {.slot = slot->number};

    if (!(slot->flags & KVM_MEM_LOG_DIRTY_PAGES) || !slots->ops->get_dirty) {
        return;
    }
    bitmap = g_new0(uint64_t, words);
    log.dirty_bitmap = bitmap;
    if (slots->ops->get_dirty(slots->opaque, &log) < 0) {
        /* What isn't known to be clean is dirty. */
        memory_region_set_dirty(slot->region, slot->region_offset, slot->length);
        return;
    }
    for (uint64_t word = 0; word < words; word++) {
        for (uint64_t bits = bitmap[word]; bits; bits &= bits - 1) {
            uint64_t page = word * 64 + (unsigned)__builtin_ctzll(bits);

            memory_region_set_dirty(slot->region, slot->region_offset + page * SLOT_PAGE_SIZE,
                                    SLOT_PAGE_SIZE);
        }
    }
}

static void delete_slot(struct memory_slots *slots, struct memory_slot *slot)
{
    int result;

    sync_slot(slots, slot);
    result = set_region(slots, slot, 0);
    if (result < 0) {
        log_warning("kvm: memory at 0x%" PRIx64 " can't be taken from the guest: %s", slot->start,
                    g_strerror(-result));
    }
    slot->length = 0;
    slot->doomed = false;
}

/* What goes where a piece comes. */
static void make_room(struct memory_slots *slots, const struct piece *piece)
{
    for (unsigned i = 0; i < slots->list->len; i++) {
        struct memory_slot *slot = slot_at(slots, i);

        if (slot->doomed && slot->start < piece->start + piece->length &&
            piece->start < slot->start + slot->length) {
            hold_vcpus(slots);
            delete_slot(slots, slot);
        }
    }
}

static bool explain(const struct piece *piece, int result, GError **error)
{
    return duodm_fail(error, DUODM_ERROR_NO_MEMORY,
                      "kvm: %" PRIu64 " KiB of memory at 0x%" PRIx64
                      " can't be given to the guest: %s%s",
                      piece->length / 1024, piece->start, g_strerror(-result),
                      result == -ENOMEM ? "; give it less with -m, or free some" : "");
}

static bool set_flags(struct memory_slots *slots, struct memory_slot *slot, uint32_t flags,
                      const struct piece *piece, GError **error)
{
    uint32_t old = slot->flags;
    int result;

    if (flags == old) {
        return true;
    }
    if ((flags ^ old) & KVM_MEM_READONLY) { /* only of a new slot */
        hold_vcpus(slots);
        sync_slot(slots, slot);
        slot->flags = old;
        set_region(slots, slot, 0);
    } else if (!(flags & KVM_MEM_LOG_DIRTY_PAGES)) {
        sync_slot(slots, slot);
    }
    slot->flags = flags;
    result = set_region(slots, slot, slot->length);
    if (result < 0) {
        slot->flags = old;
        if ((flags ^ old) & KVM_MEM_READONLY) {
            slot->length = 0;
        }
        return explain(piece, result, error);
    }
    return true;
}

static bool add_piece(struct memory_slots *slots, const struct piece *piece,
                      const struct listener_section *section, GError **error)
{
    struct memory_slot *slot = find_exact(slots, piece);
    uint32_t flags = flags_of(section);
    int result;

    if (slot) {
        slot->doomed = false;
        slot->region = section->region;
        slot->region_offset = piece->region_offset;
        return set_flags(slots, slot, flags, piece, error);
    }
    make_room(slots, piece);
    slot = get_free_slot(slots);
    if (!slot) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY,
                          "kvm: this kernel has %u memory slots, and all are used: use fewer "
                          "devices with memory of their own",
                          slots->limit);
    }
    *slot = (struct memory_slot){
        .number = slot->number,
        .start = piece->start,
        .length = piece->length,
        .host = piece->host,
        .flags = flags,
        .region = section->region,
        .region_offset = piece->region_offset,
    };
    result = set_region(slots, slot, slot->length);
    if (result < 0) {
        slot->length = 0;
        return explain(piece, result, error);
    }
    return true;
}

bool memory_slots_add(struct memory_slots *slots, const struct listener_section *section,
                      GError **error)
{
    struct piece pieces[2];
    unsigned count = cut_section(section, pieces);

    for (unsigned i = 0; i < count; i++) {
        if (!add_piece(slots, &pieces[i], section, error)) {
            struct memory_slot *first = i ? find_exact(slots, &pieces[0]) : NULL;

            if (first) {
                delete_slot(slots, first);
            }
            return false;
        }
    }
    return true;
}

void memory_slots_remove(struct memory_slots *slots, const struct listener_section *section)
{
    struct piece pieces[2];
    unsigned count = cut_section(section, pieces);

    for (unsigned i = 0; i < count; i++) {
        struct memory_slot *slot = find_exact(slots, &pieces[i]);

        if (slot) {
            slot->doomed = slots->any_doomed = true;
        }
    }
}

void memory_slots_change_log(struct memory_slots *slots, const struct listener_section *section)
{
    struct piece pieces[2];
    unsigned count = cut_section(section, pieces);

    for (unsigned i = 0; i < count; i++) {
        struct memory_slot *slot = find_exact(slots, &pieces[i]);
        g_autoptr(GError) error = NULL;

        if (slot && !set_flags(slots, slot, flags_of(section), &pieces[i], &error)) {
            log_warning("%s", error->message);
        }
    }
}

void memory_slots_commit(struct memory_slots *slots)
{
    for (unsigned i = 0; slots->any_doomed && i < slots->list->len; i++) {
        struct memory_slot *slot = slot_at(slots, i);

        if (slot->doomed) {
            delete_slot(slots, slot);
        }
    }
    slots->any_doomed = false;
    if (slots->quiet) {
        slots->quiet = false;
        slots->ops->release(slots->opaque);
    }
}

void memory_slots_sync(struct memory_slots *slots)
{
    for (unsigned i = 0; i < slots->list->len; i++) {
        if (slot_at(slots, i)->length) {
            sync_slot(slots, slot_at(slots, i));
        }
    }
}

void memory_slots_mark(struct memory_slots *slots, unsigned number, uint64_t page)
{
    const struct memory_slot *slot = number < slots->list->len ? slot_at(slots, number) : NULL;

    if (slot && page < slot->length / SLOT_PAGE_SIZE) {
        memory_region_set_dirty(slot->region, slot->region_offset + page * SLOT_PAGE_SIZE,
                                SLOT_PAGE_SIZE);
    }
}
