/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The slow half of access.h: segment checks, page crossings, devices, breakpoints, #AC. */
#include "tcg/access.h"
#include "dm/intc/local-apic.h"
#include "tcg/debug.h"
#include "tcg/jit.h"
#include "tcg/lockstep.h"
#include "util/little-endian.h"

#include <glib.h>

#define SEGMENT_TYPE_CODE     (1u << 3)
#define SEGMENT_TYPE_DOWN     (1u << 2) /* data */
#define SEGMENT_TYPE_WRITABLE (1u << 1) /* data */
#define SEGMENT_TYPE_READABLE (1u << 1) /* code */
#define SEGMENT_ATTR_PRESENT  (1u << 7)
#define SEGMENT_ATTR_BIG      (1u << 14)
#define ALIGNMENT_LIMIT       8 /* bytes: the largest operand that #AC asks to be aligned */

bool cpu_is_canonical(uint64_t linear)
{
    return (uint64_t)((int64_t)(linear << 16) >> 16) == linear;
}

static enum tlb_class supervisor_class(const struct cpu *cpu)
{
    return (cpu->cr4 & CR4_SMAP) && !(cpu->eflags & FLAG_AC) ? TLB_SUPERVISOR_SMAP : TLB_SUPERVISOR;
}

void cpu_update_data_tables(struct cpu *cpu)
{
    enum tlb_class supervisor = supervisor_class(cpu), user = TLB_USER;

    if ((cpu->cr0 & CR0_AM) && (cpu->eflags & FLAG_AC)) {
        user = TLB_EMPTY;
    }
    if (cpu->trial) {
        supervisor = user = TLB_EMPTY; /* stores are logged on the slow path */
    }
    for (unsigned cpl = 0; cpl < 3; cpl++) {
        cpu->data_table[cpl] = cpu->tlb->data[supervisor];
    }
    cpu->data_table[3] = cpu->tlb->data[user];
}

static enum tlb_class data_class(const struct cpu *cpu)
{
    return cpu->cpl == 3 ? TLB_USER : supervisor_class(cpu);
}

/* SDM vol. 3, 5.3 to 5.5. */
static bool segment_allows(const struct cpu *cpu, const struct x86_segment *segment,
                           uint64_t offset, unsigned size, bool is_write)
{
    uint64_t last = offset + size - 1, first_valid = 0, last_valid = segment->limit;
    unsigned attributes = segment->attributes;

    if (cpu->protected_mode && !cpu->v86) {
        bool code = attributes & SEGMENT_TYPE_CODE;

        if (!(attributes & SEGMENT_ATTR_PRESENT)) {
            return false; /* a null selector was loaded */
        }
        if (is_write ? code || !(attributes & SEGMENT_TYPE_WRITABLE)
                     : code && !(attributes & SEGMENT_TYPE_READABLE)) {
            return false;
        }
        if (!code && (attributes & SEGMENT_TYPE_DOWN)) {
            first_valid = (uint64_t)segment->limit + 1;
            last_valid = attributes & SEGMENT_ATTR_BIG ? UINT32_MAX : UINT16_MAX;
        }
    }
    return offset >= first_valid && last <= last_valid;
}

/* The linear address of an access, after the checks of segmentation. */
static uint64_t segment_linear(struct cpu *cpu, unsigned index, uint64_t offset, unsigned size,
                               bool is_write)
{
    const struct x86_segment *segment = &cpu->segment[index];
    enum cpu_exception fault = index == X86_SS ? EXCEPTION_SS : EXCEPTION_GP;
    uint64_t linear;

    if (cpu->mode == CPU_MODE_64) {
        linear = offset + (index >= X86_FS ? segment->base : 0);
        if (!cpu_is_canonical(linear) || !cpu_is_canonical(linear + size - 1)) {
            cpu_raise_error(cpu, fault, 0);
        }
        return linear;
    }
    if (!segment_allows(cpu, segment, offset, size, is_write)) {
        cpu_raise_error(cpu, fault, 0);
    }
    return (uint32_t)(segment->base + offset);
}

static uint64_t wrap_linear(const struct cpu *cpu, uint64_t linear)
{
    return cpu->long_mode ? linear : (uint32_t)linear;
}

/* What a device does can't be undone. */
static void before_device(struct cpu *cpu)
{
    if (cpu->trial) {
        lockstep_refuse(cpu);
    }
    memory_rcu_read_unlock();
}

/* After a device was accessed: the memory map may have changed, signals may have come (also to
 * ourselves, and then no further instruction may run). */
static void after_device(struct cpu *cpu)
{
    memory_rcu_read_lock();
    tlb_check_generation(cpu);
    if (__atomic_load_n(&cpu->vcpu->signals, __ATOMIC_RELAXED)) {
        cpu->exit_block = true;
    }
}

static bool is_apic_page(const struct cpu *cpu, uint64_t physical)
{
    return cpu->apic && (physical & PAGE_MASK) == local_apic_base(cpu->apic);
}

static uint64_t device_read(struct cpu *cpu, uint64_t physical, unsigned size)
{
    uint64_t value;

    before_device(cpu);
    if (is_apic_page(cpu, physical)) {
        value = local_apic_read(cpu->apic, physical & ~PAGE_MASK, size);
    } else {
        address_space_load(cpu->memory, physical, size, MEMORY_ATTRIBUTES_CPU, &value);
    }
    after_device(cpu);
    return value;
}

static void device_write(struct cpu *cpu, uint64_t physical, unsigned size, uint64_t value)
{
    before_device(cpu);
    if (is_apic_page(cpu, physical)) {
        local_apic_write(cpu->apic, physical & ~PAGE_MASK, size, value);
        cpu->interrupt_pending = true;
        cpu->exit_block = true;
    } else {
        address_space_store(cpu->memory, physical, size, MEMORY_ATTRIBUTES_CPU, value);
    }
    after_device(cpu);
}

/* The largest access that may start a transfer of `length` bytes: one access if that is what the
 * instruction makes, else aligned pieces. */
static unsigned piece_size(uint64_t physical, unsigned length)
{
    unsigned size = 8;

    if (length == 1 || length == 2 || length == 4 || length == 8) {
        return length;
    }
    while (size > length || (physical & (size - 1))) {
        size /= 2;
    }
    return size;
}

/* Whole-value copies where the size has one, so that an access is as atomic as on hardware. */
static void copy_bytes(void *to, const void *from, unsigned length)
{
    switch (length) {
    case 1:
        memcpy(to, from, 1);
        break;
    case 2:
        memcpy(to, from, 2);
        break;
    case 4:
        memcpy(to, from, 4);
        break;
    case 8:
        memcpy(to, from, 8);
        break;
    case 16:
        memcpy(to, from, 16);
        break;
    default:
        memcpy(to, from, length);
    }
}

/* Part of an access that lies in one page and is known to be allowed. */
static void read_piece(struct cpu *cpu, enum tlb_class class, uint64_t linear, uint8_t *buffer,
                       unsigned length)
{
    const struct tlb_entry *entry = tlb_lookup(cpu, class, linear, false);
    uint64_t physical = (entry->physical & PAGE_MASK) | (linear & ~PAGE_MASK);

    if (entry->physical & TLB_PAGE_WATCHED) {
        debug_note_access(cpu, linear, length, false);
    }
    if (!(entry->physical & TLB_PAGE_IO)) {
        copy_bytes(buffer, entry->host + (linear & ~PAGE_MASK), length);
        return;
    }
    while (length) {
        unsigned size = piece_size(physical, length);
        uint64_t value = device_read(cpu, physical, size);

        memcpy(buffer, &value, size);
        buffer += size;
        physical += size;
        length -= size;
    }
}

static void mark_dirty(struct cpu *cpu, uint64_t physical, unsigned length)
{
    struct memory_section section =
        address_space_lookup(cpu->memory, physical, true, MEMORY_ATTRIBUTES_CPU);

    if (section.region && section.dirty_logged) {
        memory_region_set_dirty(section.region, section.offset, length);
    }
}

/* As cpu_note_store, for any length. */
static void note_long_store(struct cpu *cpu, uintptr_t host, unsigned length)
{
    uintptr_t code = cpu->code_window + CODE_WINDOW_MARGIN;

    if (cpu->code_window_length && host < cpu->code_window + cpu->code_window_length &&
        host + length > code) {
        cpu->exit_block = true;
    }
}

static void write_piece(struct cpu *cpu, enum tlb_class class, uint64_t linear,
                        const uint8_t *buffer, unsigned length)
{
    struct tlb_entry *entry = tlb_lookup(cpu, class, linear, true);
    uint64_t physical = (entry->physical & PAGE_MASK) | (linear & ~PAGE_MASK);
    unsigned flags = entry->physical & ~PAGE_MASK;

    if (flags & TLB_PAGE_WATCHED) {
        debug_note_access(cpu, linear, length, true);
    }
    if (!(flags & (TLB_PAGE_IO | TLB_PAGE_READ_ONLY))) {
        uint8_t *host = entry->host + (linear & ~PAGE_MASK);

        if (cpu->trial) {
            lockstep_note_store(cpu->trial, host, length);
        }
        copy_bytes(host, buffer, length);
        note_long_store(cpu, (uintptr_t)host, length);
        if (flags & TLB_PAGE_CODE) {
            jit_note_store(cpu, host, length);
            if (!jit_page_has_code(cpu->jit, host)) {
                tlb_rearm(cpu, entry, linear);
            }
        }
        if (flags & TLB_PAGE_LOGGED) {
            mark_dirty(cpu, physical, length);
        }
        return;
    }
    while (length) {
        unsigned size = piece_size(physical, length);
        uint64_t value = 0;

        memcpy(&value, buffer, size);
        device_write(cpu, physical, size, value);
        buffer += size;
        physical += size;
        length -= size;
    }
}

static void check_alignment(struct cpu *cpu, uint64_t linear, unsigned size)
{
    if (cpu->cpl == 3 && (cpu->cr0 & CR0_AM) && (cpu->eflags & FLAG_AC)) {
        unsigned alignment = size == 10 ? 8 : size; /* an 80-bit real */

        if (alignment <= ALIGNMENT_LIMIT && (linear & (alignment - 1))) {
            cpu_raise_error(cpu, EXCEPTION_AC, 0);
        }
    }
}

/* Both pages are checked before anything is accessed; #AC comes after #PF (SDM vol. 3, 6.9). */
static unsigned check_pages(struct cpu *cpu, enum tlb_class class, uint64_t linear, unsigned length,
                            bool is_write)
{
    unsigned first = MIN(length, PAGE_SIZE_4K - (linear & ~PAGE_MASK));

    tlb_lookup(cpu, class, linear, is_write);
    if (first < length) {
        tlb_lookup(cpu, class, wrap_linear(cpu, linear + first), is_write);
    }
    return first;
}

static void read_linear(struct cpu *cpu, enum tlb_class class, uint64_t linear, void *buffer,
                        unsigned length)
{
    unsigned first = check_pages(cpu, class, linear, length, false);

    check_alignment(cpu, linear, length);
    read_piece(cpu, class, linear, buffer, first);
    if (first < length) {
        read_piece(cpu, class, wrap_linear(cpu, linear + first), (uint8_t *)buffer + first,
                   length - first);
    }
}

static void write_linear(struct cpu *cpu, enum tlb_class class, uint64_t linear, const void *buffer,
                         unsigned length)
{
    unsigned first = check_pages(cpu, class, linear, length, true);

    check_alignment(cpu, linear, length);
    write_piece(cpu, class, linear, buffer, first);
    if (first < length) {
        write_piece(cpu, class, wrap_linear(cpu, linear + first), (const uint8_t *)buffer + first,
                    length - first);
    }
}

uint64_t cpu_read_slow(struct cpu *cpu, unsigned segment, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    read_linear(cpu, data_class(cpu), segment_linear(cpu, segment, offset, size, false), &value,
                size);
    return value;
}

void cpu_write_slow(struct cpu *cpu, unsigned segment, uint64_t offset, unsigned size,
                    uint64_t value)
{
    write_linear(cpu, data_class(cpu), segment_linear(cpu, segment, offset, size, true), &value,
                 size);
}

void cpu_read_bytes(struct cpu *cpu, unsigned segment, uint64_t offset, void *buffer,
                    unsigned length)
{
    const uint8_t *host = cpu_host_for_read(cpu, segment, offset, length);

    if (host && length <= PAGE_SIZE_4K) {
        copy_bytes(buffer, host, length);
        return;
    }
    read_linear(cpu, data_class(cpu), segment_linear(cpu, segment, offset, length, false), buffer,
                length);
}

void cpu_write_bytes(struct cpu *cpu, unsigned segment, uint64_t offset, const void *buffer,
                     unsigned length)
{
    uint8_t *host = cpu_host_for_write(cpu, segment, offset, length);

    if (host && length <= PAGE_SIZE_4K) {
        copy_bytes(host, buffer, length);
        note_long_store(cpu, (uintptr_t)host, length);
        return;
    }
    write_linear(cpu, data_class(cpu), segment_linear(cpu, segment, offset, length, true), buffer,
                 length);
}

void cpu_probe_write(struct cpu *cpu, unsigned segment, uint64_t offset, unsigned length)
{
    uint64_t linear;

    if (!length || cpu_host_for_write(cpu, segment, offset, length)) {
        return;
    }
    linear = segment_linear(cpu, segment, offset, length, true);
    check_pages(cpu, data_class(cpu), linear, length, true);
    check_alignment(cpu, linear, length);
}

void *cpu_modify_begin(struct cpu *cpu, unsigned segment, uint64_t offset, unsigned size)
{
    uint8_t *host = cpu_host_for_write(cpu, segment, offset, size);
    enum tlb_class class = data_class(cpu);
    const struct tlb_entry *entry;
    uint64_t linear;

    if (host) {
        return host;
    }
    linear = segment_linear(cpu, segment, offset, size, true);
    if (check_pages(cpu, class, linear, size, true) < size) {
        return NULL;
    }
    check_alignment(cpu, linear, size);
    entry = tlb_lookup(cpu, class, linear, true);
    if (entry->physical & (TLB_PAGE_IO | TLB_PAGE_READ_ONLY)) {
        return NULL;
    }
    if (entry->physical & TLB_PAGE_WATCHED) {
        debug_note_access(cpu, linear, size, true);
    }
    host = entry->host + (linear & ~PAGE_MASK);
    if (cpu->trial) {
        lockstep_note_store(cpu->trial, host, size);
    }
    return host;
}

void cpu_modify_done(struct cpu *cpu, unsigned segment, uint64_t offset, unsigned size)
{
    uint8_t *host = cpu_host_for_write(cpu, segment, offset, size);
    const struct tlb_entry *entry;
    uint64_t linear;

    if (host) {
        cpu_note_store(cpu, host);
        return;
    }
    linear = segment_linear(cpu, segment, offset, size, true);
    entry = tlb_lookup(cpu, data_class(cpu), linear, true);
    host = entry->host + (linear & ~PAGE_MASK);
    note_long_store(cpu, (uintptr_t)host, size);
    if (entry->physical & TLB_PAGE_CODE) {
        jit_note_store(cpu, host, size);
    }
    if (entry->physical & TLB_PAGE_LOGGED) {
        mark_dirty(cpu, (entry->physical & PAGE_MASK) | (linear & ~PAGE_MASK), size);
    }
}

void cpu_locked_begin(struct cpu *cpu)
{
    pthread_mutex_lock(cpu->machine_lock);
    cpu->holds_machine_lock = true;
}

void cpu_locked_end(struct cpu *cpu)
{
    cpu->holds_machine_lock = false;
    pthread_mutex_unlock(cpu->machine_lock);
}

static enum tlb_class system_class(const struct cpu *cpu)
{
    return cpu->cr4 & CR4_SMAP ? TLB_SUPERVISOR_SMAP : TLB_SUPERVISOR;
}

static uint64_t system_linear(struct cpu *cpu, uint64_t linear, unsigned size)
{
    linear = wrap_linear(cpu, linear);
    if (cpu->long_mode && (!cpu_is_canonical(linear) || !cpu_is_canonical(linear + size - 1))) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    return linear;
}

/* By size: a narrow copy into a wide variable would wait for the copy to reach the cache. */
static uint64_t load_by_size(const uint8_t *host, unsigned size)
{
    switch (size) {
    case 1:
        return *host;
    case 2:
        return load_le16(host);
    case 4:
        return load_le32(host);
    default:
        return load_le64(host);
    }
}

uint64_t cpu_system_read(struct cpu *cpu, uint64_t linear, unsigned size)
{
    enum tlb_class class = system_class(cpu);
    const struct tlb_entry *entry;
    const uint8_t *host;
    uint64_t value = 0;
    unsigned first;

    linear = system_linear(cpu, linear, size);
    entry = &cpu->tlb->data[class][tlb_index(linear)];
    host = tlb_host(entry->read_tag, entry, linear, size);
    if (host) {
        return load_by_size(host, size);
    }
    first = check_pages(cpu, class, linear, size, false);
    read_piece(cpu, class, linear, (uint8_t *)&value, first);
    if (first < size) {
        read_piece(cpu, class, wrap_linear(cpu, linear + first), (uint8_t *)&value + first,
                   size - first);
    }
    return value;
}

void cpu_system_write(struct cpu *cpu, uint64_t linear, unsigned size, uint64_t value)
{
    enum tlb_class class = system_class(cpu);
    unsigned first;

    linear = system_linear(cpu, linear, size);
    first = check_pages(cpu, class, linear, size, true);
    write_piece(cpu, class, linear, (const uint8_t *)&value, first);
    if (first < size) {
        write_piece(cpu, class, wrap_linear(cpu, linear + first), (const uint8_t *)&value + first,
                    size - first);
    }
}

uint32_t cpu_port_read(struct cpu *cpu, uint16_t port, unsigned size)
{
    uint64_t value;

    before_device(cpu);
    address_space_load(cpu->io, port, size, MEMORY_ATTRIBUTES_CPU, &value);
    after_device(cpu);
    return (uint32_t)value;
}

void cpu_port_write(struct cpu *cpu, uint16_t port, unsigned size, uint32_t value)
{
    before_device(cpu);
    address_space_store(cpu->io, port, size, MEMORY_ATTRIBUTES_CPU, value);
    after_device(cpu);
}
