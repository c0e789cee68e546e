/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * String instructions. A repeated one runs many iterations at once, each complete in itself: a
 * fault or an interrupt between two leaves RCX, RSI and RDI exact and RIP at the instruction.
 */
#include "tcg/debug.h"
#include "tcg/execute.h"
#include "tcg/operand.h"
#include "tcg/port.h"

/* Iterations before the run loop gets a chance to see interrupts. */
#define REPEAT_MAX 65536

static void advance(struct cpu *cpu, const struct insn *insn, unsigned number, unsigned size,
                    uint64_t iterations)
{
    uint64_t bytes = size * iterations;
    uint64_t value = cpu->eflags & FLAG_DF ? cpu->gpr[number] - bytes : cpu->gpr[number] + bytes;
    gpr_write(cpu, number, insn->address_size, value);
}

static uint64_t source_offset(const struct cpu *cpu, const struct insn *insn)
{
    return gpr_read(cpu, X86_RSI, insn->address_size);
}

static uint64_t destination_offset(const struct cpu *cpu, const struct insn *insn)
{
    return gpr_read(cpu, X86_RDI, insn->address_size);
}

/* One iteration; false ends the repetition (CMPS and SCAS). */
typedef bool (*iterate_fn)(struct cpu *cpu, const struct insn *insn, unsigned size);

/* Several iterations at once, if that makes no difference: how many were done, 0 if not even one.
 */
typedef uint64_t (*bulk_fn)(struct cpu *cpu, const struct insn *insn, unsigned size,
                            uint64_t count);

/* Not for exit_block: an instruction that writes over itself goes on all the same. */
static bool must_stop(const struct cpu *cpu)
{
    return __atomic_load_n(&cpu->vcpu->signals, __ATOMIC_RELAXED) != 0 || cpu->debug_pending;
}

ALWAYS_INLINE void repeat(struct cpu *cpu, const struct insn *insn, unsigned size,
                          iterate_fn iterate, bulk_fn bulk)
{
    if (!(insn->prefixes & (INSN_REP | INSN_REPNE))) {
        iterate(cpu, insn, size);
        return;
    }
    uint64_t count = gpr_read(cpu, X86_RCX, insn->address_size);
    /* An address size of 32 bits clears the upper half of RCX, but not with a count of 0. */
    if (count == 0) {
        return;
    }
    bool single = debug_active(cpu);
    for (unsigned budget = REPEAT_MAX; budget > 0; budget--) {
        uint64_t done = bulk && !single ? bulk(cpu, insn, size, count) : 0;
        bool more = true;
        if (done == 0) {
            more = iterate(cpu, insn, size);
            done = 1;
        }
        count -= done;
        gpr_write(cpu, X86_RCX, insn->address_size, count);
        if (count == 0 || !more) {
            return;
        }
        if (single || must_stop(cpu)) {
            break;
        }
    }
    /* Not finished: the next instruction is this one again. */
    cpu->rip -= insn->length;
    if (cpu->mode != CPU_MODE_64) {
        cpu->rip = (uint32_t)cpu->rip;
    }
    cpu->eflags |= FLAG_RF; /* as the image that an event pushes now shall have it */
    cpu->exit_block = true;
}

/* Bytes from offset that stay within one page of linear memory and within the offset's size. */
static uint64_t bytes_in_page(const struct cpu *cpu, const struct insn *insn, unsigned segment,
                              uint64_t offset)
{
    uint64_t linear = cpu->segment[segment].base + offset;
    uint64_t in_page = 4096 - (linear & 4095);
    uint64_t to_wrap = size_mask(insn->address_size) - offset;
    return MIN(in_page, to_wrap);
}

static uint64_t iterations_in_pages(const struct cpu *cpu, const struct insn *insn, unsigned size,
                                    uint64_t count, bool with_source)
{
    if (cpu->eflags & FLAG_DF) {
        return 0;
    }
    uint64_t bytes = bytes_in_page(cpu, insn, X86_ES, destination_offset(cpu, insn));
    if (with_source) {
        bytes = MIN(bytes, bytes_in_page(cpu, insn, insn->segment, source_offset(cpu, insn)));
    }
    return MIN(count, bytes / size);
}

static uint64_t movs_bulk(struct cpu *cpu, const struct insn *insn, unsigned size, uint64_t count)
{
    count = iterations_in_pages(cpu, insn, size, count, true);
    uint64_t source = source_offset(cpu, insn), destination = destination_offset(cpu, insn);
    uint64_t distance =
        (cpu->segment[X86_ES].base + destination - (cpu->segment[insn->segment].base + source)) &
        4095;
    /* A destination shortly above the source repeats what was just written: no more at once than
     * the distance. It counts within the page, as two linear pages may be the same memory. */
    if (distance != 0) {
        count = MIN(count, distance / size);
    }
    uint64_t length = count * size;
    if (count < 2 || !cpu_host_for_read(cpu, insn->segment, source, length) ||
        !cpu_host_for_write(cpu, X86_ES, destination, length)) {
        return 0;
    }
    uint8_t buffer[4096];
    cpu_read_bytes(cpu, insn->segment, source, buffer, length);
    cpu_write_bytes(cpu, X86_ES, destination, buffer, length);
    advance(cpu, insn, X86_RSI, size, count);
    advance(cpu, insn, X86_RDI, size, count);
    return count;
}

static bool movs_one(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    uint64_t value = memory_read(cpu, insn->segment, source_offset(cpu, insn), size);
    memory_write(cpu, X86_ES, destination_offset(cpu, insn), size, value);
    advance(cpu, insn, X86_RSI, size, 1);
    advance(cpu, insn, X86_RDI, size, 1);
    return true;
}

ALWAYS_INLINE void movs(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    repeat(cpu, insn, size, movs_one, movs_bulk);
}
EXECUTE_BY_SIZE(movs)

static uint64_t stos_bulk(struct cpu *cpu, const struct insn *insn, unsigned size, uint64_t count)
{
    count = iterations_in_pages(cpu, insn, size, count, false);
    if (count < 2) {
        return 0;
    }
    uint64_t destination = destination_offset(cpu, insn);
    if (!cpu_host_for_write(cpu, X86_ES, destination, count * size)) {
        return 0;
    }
    uint8_t buffer[4096];
    if (size == 1) {
        memset(buffer, (uint8_t)cpu->gpr[X86_RAX], count);
    } else {
        for (uint64_t i = 0; i < count; i++) {
            memcpy(buffer + i * size, &cpu->gpr[X86_RAX], size);
        }
    }
    cpu_write_bytes(cpu, X86_ES, destination, buffer, count * size);
    advance(cpu, insn, X86_RDI, size, count);
    return count;
}

static bool stos_one(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    memory_write(cpu, X86_ES, destination_offset(cpu, insn), size, cpu->gpr[X86_RAX]);
    advance(cpu, insn, X86_RDI, size, 1);
    return true;
}

ALWAYS_INLINE void stos(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    repeat(cpu, insn, size, stos_one, stos_bulk);
}
EXECUTE_BY_SIZE(stos)

static bool lods_one(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    uint64_t value = memory_read(cpu, insn->segment, source_offset(cpu, insn), size);
    gpr_write(cpu, X86_RAX, size, value);
    advance(cpu, insn, X86_RSI, size, 1);
    return true;
}

ALWAYS_INLINE void lods(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    repeat(cpu, insn, size, lods_one, NULL);
}
EXECUTE_BY_SIZE(lods)

/* REPE goes on while equal, REPNE while not. */
static bool compare(struct cpu *cpu, const struct insn *insn, unsigned size, uint64_t destination,
                    uint64_t source)
{
    uint64_t result = (destination - source) & size_mask(size);
    flags_set(cpu, FLAGS_SUB, size, result, destination, source);
    return insn->prefixes & INSN_REPNE ? result != 0 : result == 0;
}

static bool cmps_one(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    uint64_t first = memory_read(cpu, insn->segment, source_offset(cpu, insn), size);
    uint64_t second = memory_read(cpu, X86_ES, destination_offset(cpu, insn), size);
    advance(cpu, insn, X86_RSI, size, 1);
    advance(cpu, insn, X86_RDI, size, 1);
    return compare(cpu, insn, size, first, second);
}

ALWAYS_INLINE void cmps(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    repeat(cpu, insn, size, cmps_one, NULL);
}
EXECUTE_BY_SIZE(cmps)

static bool scas_one(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    uint64_t value = memory_read(cpu, X86_ES, destination_offset(cpu, insn), size);
    advance(cpu, insn, X86_RDI, size, 1);
    return compare(cpu, insn, size, gpr_read(cpu, X86_RAX, size), value);
}

ALWAYS_INLINE void scas(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    repeat(cpu, insn, size, scas_one, NULL);
}
EXECUTE_BY_SIZE(scas)

/* INS and OUTS have no 64-bit form: the operand is 32 bits. */

static bool ins_one(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    uint16_t port = cpu->gpr[X86_RDX];
    uint64_t destination = destination_offset(cpu, insn);
    port_check(cpu, port, size);
    /* Nothing may be taken from the device if it can't be stored. */
    cpu_probe_write(cpu, X86_ES, destination, size);
    memory_write(cpu, X86_ES, destination, size, port_read(cpu, port, size));
    advance(cpu, insn, X86_RDI, size, 1);
    return true;
}

ALWAYS_INLINE void ins(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    repeat(cpu, insn, size == 8 ? 4 : size, ins_one, NULL);
}
EXECUTE_BY_SIZE(ins)

static bool outs_one(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    uint16_t port = cpu->gpr[X86_RDX];
    port_check(cpu, port, size);
    uint64_t value = memory_read(cpu, insn->segment, source_offset(cpu, insn), size);
    port_write(cpu, port, size, value);
    advance(cpu, insn, X86_RSI, size, 1);
    return true;
}

ALWAYS_INLINE void outs(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    repeat(cpu, insn, size == 8 ? 4 : size, outs_one, NULL);
}
EXECUTE_BY_SIZE(outs)
