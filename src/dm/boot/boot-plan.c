/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/boot/boot-plan.h"
#include "dm/boot/boot-file.h"
#include "memory/address-space.h"
#include "util/error.h"
#include "util/little-endian.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/random.h>

/* Descriptor attributes in the form of struct x86_segment. */
#define CODE_32 0xc09b /* G, D, present, execute/read, accessed */
#define CODE_64 0xa09b /* G, L */
#define DATA_32 0xc093 /* G, B, present, read/write, accessed */
#define TSS_32  0x008b /* present, busy 32-bit (in long mode: 64-bit) TSS */
#define LDT     0x0082

#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18
#define SELECTOR_TSS  0x20

#define CR0_PE   0x00000001u
#define CR0_ET   0x00000010u
#define CR0_PG   0x80000000u
#define CR4_PAE  0x20u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u

static void chunk_clear(gpointer data)
{
    struct boot_chunk *chunk = data;

    g_clear_pointer(&chunk->bytes, g_bytes_unref);
    g_clear_pointer(&chunk->file, boot_file_unref);
}

struct boot_plan *boot_plan_new(void)
{
    struct boot_plan *plan = g_new0(struct boot_plan, 1);

    plan->chunks = g_array_new(FALSE, FALSE, sizeof(struct boot_chunk));
    g_array_set_clear_func(plan->chunks, chunk_clear);
    return plan;
}

void boot_plan_free(struct boot_plan *plan)
{
    if (plan) {
        g_array_unref(plan->chunks);
        g_free(plan);
    }
}

static const struct boot_chunk *chunk_at(const struct boot_plan *plan, unsigned index)
{
    return &g_array_index(plan->chunks, struct boot_chunk, index);
}

static struct range chunk_range(const struct boot_chunk *chunk)
{
    return (struct range){chunk->address, chunk->length};
}

static bool is_ram(const struct boot_environment *environment, struct range range)
{
    for (unsigned i = 0; i < environment->map.count; i++) {
        const struct e820_entry *entry = &environment->map.entries[i];

        if (entry->type == E820_RAM &&
            range_contains_range((struct range){entry->start, entry->length}, range)) {
            return true;
        }
    }
    return false;
}

bool boot_plan_is_free(const struct boot_plan *plan, const struct boot_environment *environment,
                       struct range range)
{
    if (!range_is_valid(range) || !is_ram(environment, range)) {
        return false;
    }
    for (unsigned i = 0; i < plan->chunks->len; i++) {
        if (range_overlaps(range, chunk_range(chunk_at(plan, i)))) {
            return false;
        }
    }
    return true;
}

/* Candidates are the start of each piece of RAM and the end of each chunk: nothing lower fits. */
bool boot_plan_find_low(const struct boot_plan *plan, const struct boot_environment *environment,
                        struct range within, uint64_t size, uint64_t alignment, uint64_t *address)
{
    unsigned count = 1 + environment->map.count + plan->chunks->len;
    bool found = false;

    for (unsigned i = 0; i < count; i++) {
        uint64_t start = within.start;
        struct range candidate;

        if (i > environment->map.count) {
            const struct boot_chunk *chunk = chunk_at(plan, i - environment->map.count - 1);

            start = chunk->address + chunk->length;
        } else if (i > 0) {
            start = environment->map.entries[i - 1].start;
        }
        if (start < within.start || start > UINT64_MAX - alignment) {
            continue;
        }
        candidate = (struct range){(start + alignment - 1) & ~(alignment - 1), size};
        if ((!found || candidate.start < *address) && range_contains_range(within, candidate) &&
            boot_plan_is_free(plan, environment, candidate)) {
            *address = candidate.start;
            found = true;
        }
    }
    return found;
}

bool boot_plan_find_high(const struct boot_plan *plan, const struct boot_environment *environment,
                         struct range within, uint64_t size, uint64_t alignment, uint64_t *address)
{
    unsigned count = 1 + environment->map.count + plan->chunks->len;
    bool found = false;

    for (unsigned i = 0; i < count; i++) {
        uint64_t end = within.start + within.length;
        struct range candidate;

        if (i > environment->map.count) {
            end = chunk_at(plan, i - environment->map.count - 1)->address;
        } else if (i > 0) {
            const struct e820_entry *entry = &environment->map.entries[i - 1];

            end = entry->start + entry->length;
        }
        if (end < size || end - size < within.start) {
            continue;
        }
        candidate = (struct range){(end - size) & ~(alignment - 1), size};
        if ((!found || candidate.start > *address) && range_contains_range(within, candidate) &&
            boot_plan_is_free(plan, environment, candidate)) {
            *address = candidate.start;
            found = true;
        }
    }
    return found;
}

void boot_plan_add(struct boot_plan *plan, uint64_t address, GBytes *bytes, uint64_t offset,
                   uint64_t length, uint64_t memory_length)
{
    struct boot_chunk chunk = {
        .address = address,
        .length = memory_length,
        .bytes = bytes ? g_bytes_ref(bytes) : NULL,
        .offset = offset,
        .copied = length,
    };

    g_array_append_val(plan->chunks, chunk);
}

void boot_plan_add_file(struct boot_plan *plan, uint64_t address, struct boot_file *file,
                        uint64_t offset, uint64_t length)
{
    struct boot_chunk chunk = {
        .address = address,
        .length = length,
        .file = boot_file_ref(file),
        .offset = offset,
        .copied = length,
    };

    g_array_append_val(plan->chunks, chunk);
}

void boot_plan_add_copy(struct boot_plan *plan, uint64_t address, const void *data, uint64_t length)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, length);

    boot_plan_add(plan, address, bytes, 0, length, length);
}

void boot_plan_add_with_random(struct boot_plan *plan, uint64_t address, const void *data,
                               uint64_t length, uint64_t random_length)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, length);

    boot_plan_add(plan, address, bytes, 0, length, length + random_length);
    g_array_index(plan->chunks, struct boot_chunk, plan->chunks->len - 1).random = true;
}

void boot_plan_reserve(struct boot_plan *plan, struct range range)
{
    struct boot_chunk chunk = {.address = range.start, .length = range.length, .reserved = true};

    g_array_append_val(plan->chunks, chunk);
}

static uint64_t pack_descriptor(uint32_t base, uint32_t limit, uint16_t attributes)
{
    uint64_t raw_limit = attributes & 0x8000 ? limit >> 12 : limit;

    return (raw_limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
           (uint64_t)(attributes & 0xff) << 40 | (raw_limit >> 16 & 0xf) << 48 |
           (uint64_t)(attributes >> 12 & 0xf) << 52 | (uint64_t)(base >> 24) << 56;
}

void boot_plan_add_gdt(struct boot_plan *plan, uint64_t address, bool long_mode)
{
    uint8_t gdt[BOOT_GDT_SIZE] = {0};

    store_le64(gdt + SELECTOR_CODE, pack_descriptor(0, UINT32_MAX, long_mode ? CODE_64 : CODE_32));
    store_le64(gdt + SELECTOR_DATA, pack_descriptor(0, UINT32_MAX, DATA_32));
    store_le64(gdt + SELECTOR_TSS, pack_descriptor(0, 0x67, TSS_32));
    boot_plan_add_copy(plan, address, gdt, sizeof(gdt));
}

static void set_flat(struct boot_plan *plan, uint64_t gdt, uint64_t entry, uint16_t code)
{
    struct x86_state *cpu = &plan->cpu;

    *cpu = (struct x86_state){0};
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        cpu->segment[i] = (struct x86_segment){SELECTOR_DATA, DATA_32, UINT32_MAX, 0};
    }
    cpu->segment[X86_CS] = (struct x86_segment){SELECTOR_CODE, code, UINT32_MAX, 0};
    cpu->ldt = (struct x86_segment){0, LDT, 0xffff, 0};
    cpu->task = (struct x86_segment){SELECTOR_TSS, TSS_32, 0x67, 0};
    cpu->gdt = (struct x86_segment){.base = gdt, .limit = BOOT_GDT_SIZE - 1};
    cpu->idt = (struct x86_segment){.base = 0, .limit = 0x3ff};
    cpu->rip = entry;
    cpu->rflags = 2;
    cpu->cr0 = CR0_PE | CR0_ET;
    cpu->dr[6] = 0xffff0ff0;
    cpu->dr[7] = 0x400;
}

void boot_plan_set_flat_32(struct boot_plan *plan, uint64_t gdt, uint64_t entry)
{
    set_flat(plan, gdt, entry, CODE_32);
}

void boot_plan_set_long_mode(struct boot_plan *plan, uint64_t gdt, uint64_t cr3, uint64_t entry)
{
    set_flat(plan, gdt, entry, CODE_64);
    plan->cpu.cr0 |= CR0_PG;
    plan->cpu.cr3 = cr3;
    plan->cpu.cr4 = CR4_PAE;
    plan->cpu.efer = EFER_LME | EFER_LMA;
}

/* Entropy is a help to the guest, no promise: without it the bytes stay zero. */
static void fill_random(uint8_t *out, size_t length)
{
    while (length) {
        ssize_t n = getrandom(out, MIN(length, 256u), GRND_NONBLOCK);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return;
        }
        out += n;
        length -= (size_t)n;
    }
}

static enum memory_result write_rest(const struct boot_chunk *chunk, struct address_space *memory)
{
    uint8_t block[4096] = {0};
    uint64_t at = chunk->copied;
    enum memory_result result = MEMORY_OK;

    while (at < chunk->length && result == MEMORY_OK) {
        uint64_t length = MIN(chunk->length - at, sizeof(block));

        if (chunk->random) {
            fill_random(block, length);
        }
        result =
            address_space_write(memory, chunk->address + at, MEMORY_ATTRIBUTES_CPU, block, length);
        at += length;
    }
    return result;
}

/* From the file to the guest's memory, with no copy between. */
static enum memory_result write_file(const struct boot_chunk *chunk, struct address_space *memory)
{
    uint64_t done = 0;

    while (done < chunk->copied) {
        uint64_t length = chunk->copied - done;
        void *host =
            address_space_map(memory, chunk->address + done, &length, true, MEMORY_ATTRIBUTES_CPU);
        bool ok = host && boot_file_copy(chunk->file, chunk->offset + done, host, length);

        if (host) {
            address_space_unmap(memory, host, length, true, length);
        }
        if (!ok) {
            return MEMORY_DECODE_ERROR;
        }
        done += length;
    }
    return MEMORY_OK;
}

bool boot_plan_write(const struct boot_plan *plan, struct address_space *memory, GError **error)
{
    for (unsigned i = 0; i < plan->chunks->len; i++) {
        const struct boot_chunk *chunk = chunk_at(plan, i);
        enum memory_result result = MEMORY_OK;

        if (chunk->reserved) {
            continue;
        }
        if (chunk->file) {
            result = write_file(chunk, memory);
        } else if (chunk->copied) {
            const uint8_t *data = g_bytes_get_data(chunk->bytes, NULL);

            result = address_space_write(memory, chunk->address, MEMORY_ATTRIBUTES_CPU,
                                         data + chunk->offset, chunk->copied);
        }
        if (result == MEMORY_OK) {
            result = write_rest(chunk, memory);
        }
        if (result != MEMORY_OK) {
            return duodm_fail(error, DUODM_ERROR_FAILED,
                              "no RAM took %" PRIu64 " bytes of the kernel at 0x%" PRIx64 " (%s)",
                              chunk->length, chunk->address,
                              chunk->file ? "or its file has changed" : "outside of it");
        }
    }
    return true;
}
