/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A request moves `count` elements of `size` bytes between two sides: the one that it addresses (a
 * port, memory, configuration space) and the other, which is guest memory (data_is_ptr) or the
 * request's own data field. Elements go through a buffer, a block at a time: guest memory is read
 * and written as a whole, a port as a string, other registers element by element, in the order of
 * the instruction (df: from the highest address down). The buffer always holds memory's order.
 */
#include "backend-xen/ioreq.h"
#include "util/log.h"

#include <inttypes.h>
#include <string.h>

#define BLOCK_SIZE 4096 /* bytes */

struct side {
    const struct ioreq_target *target;
    struct address_space *as; /* NULL: configuration space */
    uint64_t address;         /* of the first element of the instruction */
    bool advances;            /* each element has the next address; else all have the same */
};

/* Some elements, in the order of the instruction: element i of the block lies at place(i) in the
 * buffer, and at lowest + place(i) * size in memory. */
struct block {
    uint8_t *buffer;
    unsigned size, count;
    bool down; /* df */
};

static unsigned place(const struct block *block, unsigned i)
{
    return block->down ? block->count - 1 - i : i;
}

static uint64_t lowest(const struct side *side, const struct block *block)
{
    uint64_t skip = (uint64_t)(block->count - 1) * block->size;

    return side->advances && block->down ? side->address - skip : side->address;
}

static uint64_t element_address(const struct side *side, const struct block *block, unsigned i)
{
    return lowest(side, block) + (side->advances ? (uint64_t)place(block, i) * block->size : 0);
}

static void step(struct side *side, const struct block *block)
{
    uint64_t length = (uint64_t)block->count * block->size;

    if (side->advances) {
        side->address = block->down ? side->address - length : side->address + length;
    }
}

static uint64_t get_element(const struct block *block, unsigned i)
{
    uint64_t value = 0;

    memcpy(&value, block->buffer + (size_t)place(block, i) * block->size, block->size);
    return GUINT64_FROM_LE(value);
}

static void put_element(const struct block *block, unsigned i, uint64_t value)
{
    value = GUINT64_TO_LE(value);
    memcpy(block->buffer + (size_t)place(block, i) * block->size, &value, block->size);
}

/* Is all of it memory, with no register that would see how it is accessed? */
static bool is_memory(const struct side *side, const struct block *block, bool is_write)
{
    uint64_t length = (uint64_t)block->count * block->size;
    struct memory_section section;

    if (!side->advances || block->count == 1) {
        return false;
    }
    memory_rcu_read_lock();
    section = address_space_lookup(side->as, lowest(side, block), is_write, MEMORY_ATTRIBUTES_CPU);
    memory_rcu_read_unlock();
    return section.host && section.length >= length && (section.writable || !is_write);
}

static uint64_t read_element(const struct side *side, uint64_t address, unsigned size)
{
    const struct ioreq_target *target = side->target;
    uint64_t value = UINT64_MAX;

    if (side->as) {
        address_space_load(side->as, address, size, MEMORY_ATTRIBUTES_CPU, &value);
    } else {
        value = target->config_read(target->opaque, address >> 40 & 0xff, address >> 32 & 0xff,
                                    (unsigned)(address & UINT32_MAX), size);
    }
    return value;
}

static void write_element(const struct side *side, uint64_t address, unsigned size, uint64_t value)
{
    const struct ioreq_target *target = side->target;

    if (side->as) {
        address_space_store(side->as, address, size, MEMORY_ATTRIBUTES_CPU, value);
    } else {
        target->config_write(target->opaque, address >> 40 & 0xff, address >> 32 & 0xff,
                             (unsigned)(address & UINT32_MAX), size, (uint32_t)value);
    }
}

/* A port again and again, in memory's order. */
static bool is_string(const struct side *side, const struct block *block)
{
    return side->as && !side->advances && !block->down;
}

static void read_block(const struct side *side, const struct block *block)
{
    if (is_string(side, block)) {
        address_space_load_string(side->as, side->address, block->size, MEMORY_ATTRIBUTES_CPU,
                                  block->buffer, block->count);
        return;
    }
    if (is_memory(side, block, false)) {
        address_space_read(side->as, lowest(side, block), MEMORY_ATTRIBUTES_CPU, block->buffer,
                           (uint64_t)block->count * block->size);
        return;
    }
    for (unsigned i = 0; i < block->count; i++) {
        put_element(block, i, read_element(side, element_address(side, block, i), block->size));
    }
}

static void write_block(const struct side *side, const struct block *block)
{
    if (is_string(side, block)) {
        address_space_store_string(side->as, side->address, block->size, MEMORY_ATTRIBUTES_CPU,
                                   block->buffer, block->count);
        return;
    }
    if (is_memory(side, block, true)) {
        address_space_write(side->as, lowest(side, block), MEMORY_ATTRIBUTES_CPU, block->buffer,
                            (uint64_t)block->count * block->size);
        return;
    }
    for (unsigned i = 0; i < block->count; i++) {
        write_element(side, element_address(side, block, i), block->size, get_element(block, i));
    }
}

/* Between the side that is addressed and guest memory. */
static void move_by_pointer(const struct ioreq *request, struct side *side)
{
    struct side pointer = {side->target, side->target->memory, request->data, true};
    struct side *from = request->dir == IOREQ_READ ? side : &pointer;
    struct side *to = request->dir == IOREQ_READ ? &pointer : side;
    uint8_t buffer[BLOCK_SIZE];
    unsigned left = request->count;

    while (left) {
        struct block block = {buffer, request->size, MIN(left, BLOCK_SIZE / request->size),
                              request->df};

        read_block(from, &block);
        write_block(to, &block);
        step(from, &block);
        step(to, &block);
        left -= block.count;
    }
}

static void move_data(struct ioreq *request, const struct side *side)
{
    struct block block = {NULL, request->size, request->count, request->df};

    for (unsigned i = 0; i < request->count; i++) {
        uint64_t address = element_address(side, &block, i);

        if (request->dir == IOREQ_READ) {
            request->data = read_element(side, address, request->size);
        } else {
            write_element(side, address, request->size, request->data);
        }
    }
}

static bool is_sane(const struct ioreq *request)
{
    unsigned largest = request->type == IOREQ_TYPE_COPY ? 8 : 4;

    return request->size && !(request->size & (request->size - 1)) && request->size <= largest &&
           request->count <= IOREQ_COUNT_MAX &&
           (request->type != IOREQ_TYPE_PCI_CONFIG || request->addr >> 48 == 0);
}

static void perform_access(const struct ioreq_target *target, struct ioreq *request)
{
    struct side side = {target, NULL, request->addr, false};

    if (!is_sane(request)) {
        log_item(LOG_GUEST_ERRORS,
                 "xen: request of type %u: %" PRIu32 " times %" PRIu32 " bytes at 0x%" PRIx64
                 " makes no sense\n",
                 request->type, request->count, request->size, request->addr);
        request->data = request->data_is_ptr ? request->data : UINT64_MAX;
        return;
    }
    if (request->type == IOREQ_TYPE_PIO) {
        side.as = target->io;
    } else if (request->type == IOREQ_TYPE_COPY) {
        side.as = target->memory;
        side.advances = true;
    }
    if (request->data_is_ptr) {
        move_by_pointer(request, &side);
    } else {
        move_data(request, &side);
    }
}

void ioreq_perform(const struct ioreq_target *target, struct ioreq *request)
{
    switch (request->type) {
    case IOREQ_TYPE_PIO:
    case IOREQ_TYPE_COPY:
    case IOREQ_TYPE_PCI_CONFIG:
        perform_access(target, request);
        break;
    case IOREQ_TYPE_TIMEOFFSET:
        target->set_time_offset(target->opaque, (int64_t)request->data);
        break;
    case IOREQ_TYPE_INVALIDATE:
        target->invalidate(target->opaque);
        break;
    default:
        log_item(LOG_UNIMPLEMENTED, "xen: request of type %u is not known\n", request->type);
        request->data = request->data_is_ptr ? request->data : UINT64_MAX;
    }
}

/* Buffered requests: small ones take a slot, one of 8 bytes of data a second one. */

static struct buf_ioreq take_slot(const struct buffered_iopage *page, uint32_t number)
{
    struct buf_ioreq slot;

    memcpy(&slot, &page->buf_ioreq[number % IOREQ_BUFFER_SLOT_NUM], sizeof(slot));
    return slot;
}

/* How many slots wait, and the first of them. Both pointers at once, for Xen may fold them back
 * together at any time. None where they are further apart than the ring is long: nobody could say
 * what they mean. */
static uint32_t waiting_slots(const struct buffered_iopage *page, uint32_t *next)
{
    uint64_t both = __atomic_load_n((const uint64_t *)(const void *)page, __ATOMIC_ACQUIRE);
    uint32_t count = (uint32_t)(both >> 32) - (uint32_t)both;

    *next = (uint32_t)both;
    return count <= IOREQ_BUFFER_SLOT_NUM ? count : 0;
}

bool ioreq_drain_buffer(const struct ioreq_target *target, struct buffered_iopage *page)
{
    uint32_t next;

    for (unsigned i = 0; i < IOREQ_BUFFER_SLOT_NUM; i++) {
        uint32_t waiting = waiting_slots(page, &next);
        struct buf_ioreq slot;
        struct ioreq request;
        unsigned slots;

        if (!waiting) {
            return i > 0;
        }
        slot = take_slot(page, next);
        request = (struct ioreq){
            .addr = slot.addr,
            .data = slot.data,
            .count = 1,
            .size = 1u << slot.size,
            .dir = slot.dir,
            .df = 1,
            .type = slot.type,
        };
        slots = request.size == 8 ? 2 : 1;
        if (slots == 2) {
            request.data |= (uint64_t)take_slot(page, next + 1).data << 32;
        }
        ioreq_perform(target, &request);
        __atomic_fetch_add(&page->read_pointer, MIN(slots, waiting), __ATOMIC_RELEASE);
    }
    return true;
}
