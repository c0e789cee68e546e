/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory as instructions see it: segmentation, then paging, then memory or a device. Each
 * of these raises the architecture's fault (by longjmp) and then has no effect.
 */
#ifndef DUODM_TCG_ACCESS_H
#define DUODM_TCG_ACCESS_H

#include "tcg/cpu.h"
#include "tcg/insn.h"
#include "tcg/tlb.h"

#include <string.h>

/* Offset of the memory operand in its segment, truncated to the address size. */
uint64_t insn_effective_address(const struct cpu *cpu, const struct insn *insn);

/* segment: enum x86_segment_index. offset: effective address. Little-endian values. Any alignment
 * (with #AC where enabled), page crossings are checked as a whole before anything is written. */
static inline uint8_t cpu_read8(struct cpu *cpu, unsigned segment, uint64_t offset);
static inline uint16_t cpu_read16(struct cpu *cpu, unsigned segment, uint64_t offset);
static inline uint32_t cpu_read32(struct cpu *cpu, unsigned segment, uint64_t offset);
static inline uint64_t cpu_read64(struct cpu *cpu, unsigned segment, uint64_t offset);
void cpu_read_bytes(struct cpu *cpu, unsigned segment, uint64_t offset, void *buffer,
                    unsigned length);
static inline void cpu_write8(struct cpu *cpu, unsigned segment, uint64_t offset, uint8_t value);
static inline void cpu_write16(struct cpu *cpu, unsigned segment, uint64_t offset, uint16_t value);
static inline void cpu_write32(struct cpu *cpu, unsigned segment, uint64_t offset, uint32_t value);
static inline void cpu_write64(struct cpu *cpu, unsigned segment, uint64_t offset, uint64_t value);
void cpu_write_bytes(struct cpu *cpu, unsigned segment, uint64_t offset, const void *buffer,
                     unsigned length);
/* Raise what a write of length bytes would raise, without writing. */
void cpu_probe_write(struct cpu *cpu, unsigned segment, uint64_t offset, unsigned length);

/*
 * Read-modify-write. If the operand lies in RAM: its host address after all write checks, for host
 * atomics (page-crossing or MMIO: NULL, then the caller uses cpu_locked_begin/end around a plain
 * read and write). The page is marked dirty and code in it invalidated by cpu_modify_done.
 */
void *cpu_modify_begin(struct cpu *cpu, unsigned segment, uint64_t offset, unsigned size);
void cpu_modify_done(struct cpu *cpu, unsigned segment, uint64_t offset, unsigned size);
void cpu_locked_begin(struct cpu *cpu); /* machine-wide lock for split and MMIO locked accesses */
void cpu_locked_end(struct cpu *cpu);

/* Supervisor accesses by linear address, as the processor itself makes them to descriptor tables
 * and TSSs (CPL ignored; SMAP does not apply). */
uint64_t cpu_system_read(struct cpu *cpu, uint64_t linear, unsigned size);
void cpu_system_write(struct cpu *cpu, uint64_t linear, unsigned size, uint64_t value);

/* I/O ports (permission was checked). */
uint32_t cpu_port_read(struct cpu *cpu, uint16_t port, unsigned size);
void cpu_port_write(struct cpu *cpu, uint16_t port, unsigned size, uint32_t value);

/* TLB (tlb.c, mmu.c). */
void cpu_tlb_flush(struct cpu *cpu, bool global_too);
void cpu_tlb_flush_page(struct cpu *cpu, uint64_t linear); /* INVLPG: current PCID and globals */
/* CR writes with all checks (control-registers in mmu.c): raise #GP themselves. */
void cpu_set_cr0(struct cpu *cpu, uint64_t value);
void cpu_set_cr3(struct cpu *cpu, uint64_t value);
void cpu_set_cr4(struct cpu *cpu, uint64_t value);
void cpu_invpcid(struct cpu *cpu, uint64_t type, uint64_t pcid, uint64_t linear);
bool cpu_is_canonical(uint64_t linear);

/* CPUID and MSRs (cpuid.c, msr.c). */
void cpu_cpuid(struct cpu *cpu, uint32_t leaf, uint32_t subleaf,
               uint32_t out[4]);                      /* EAX EBX ECX EDX */
uint64_t cpu_read_msr(struct cpu *cpu, uint32_t msr); /* raises #GP(0) */
void cpu_write_msr(struct cpu *cpu, uint32_t msr, uint64_t value);
bool cpu_try_write_msr(struct cpu *cpu, uint32_t msr, uint64_t value); /* false: #GP(0) */
uint64_t cpu_read_tsc(struct cpu *cpu);

/* Flags (flags.c). */
uint32_t cpu_get_eflags(const struct cpu *cpu);
/* Replace the bits in mask. */
void cpu_set_eflags(struct cpu *cpu, uint32_t value, uint32_t mask);

/* Events (exception.c): deliver an interrupt, NMI or the pending exception through the IDT. */
enum event_type {
    EVENT_INTERRUPT,
    EVENT_NMI,
    EVENT_EXCEPTION,
    EVENT_SOFTWARE /* INT n, INT3, INTO */,
    EVENT_ICEBP
};
void cpu_deliver_event(struct cpu *cpu, enum event_type type, uint8_t vector, bool has_error,
                       uint32_t error);
/* After a longjmp into the run loop: deliver the pending exception, with double and triple faults.
 */
void cpu_deliver_pending(struct cpu *cpu);
/* PAUSE: the guest spins. The vCPU that it waits for may need this host processor (run-loop.c). */
void cpu_pause(struct cpu *cpu);
/* Power-on or INIT state (reset.c). */
void cpu_reset(struct cpu *cpu, bool init_only);

/*
 * The fast paths. In 64-bit mode, and with flat segments, the linear address is a sum and needs no
 * check: an address that is not canonical, or past 4 GiB, is in no TLB entry. An access that
 * crosses a page ends in another page than its entry's tag, so that one comparison finds both.
 */
#define CODE_WINDOW_MARGIN                                                                         \
    16 /* bytes before a block where a store of up to 16 bytes touches it                          \
        */

uint64_t cpu_read_slow(struct cpu *cpu, unsigned segment, uint64_t offset, unsigned size);
void cpu_write_slow(struct cpu *cpu, unsigned segment, uint64_t offset, unsigned size,
                    uint64_t value);

static inline bool cpu_linear_fast(const struct cpu *cpu, unsigned segment, uint64_t offset,
                                   uint64_t *linear)
{
    if (__builtin_expect(cpu->mode == CPU_MODE_64, 1)) {
        *linear = segment >= X86_FS ? cpu->segment[segment].base + offset : offset;
        return true;
    }
    *linear = (uint32_t)offset;
    return cpu->flat_segments && segment != X86_CS && segment < X86_FS;
}

/* One comparison finds misses and page crossings (tlb.h). */
static inline uint8_t *tlb_host(uint64_t tag, const struct tlb_entry *entry, uint64_t linear,
                                unsigned size)
{
    uint64_t offset = tag ^ linear;

    return __builtin_expect(size <= PAGE_SIZE_4K && offset <= PAGE_SIZE_4K - size, 1)
               ? entry->host + offset
               : NULL;
}

/* Host address of an access that may be done in place, or NULL. */
static inline uint8_t *cpu_host_for_read(const struct cpu *cpu, unsigned segment, uint64_t offset,
                                         unsigned size)
{
    const struct tlb_entry *entry;
    uint64_t linear;

    if (__builtin_expect(!cpu_linear_fast(cpu, segment, offset, &linear), 0)) {
        return NULL;
    }
    entry = &cpu->data_table[cpu->cpl][tlb_index(linear)];
    return tlb_host(entry->read_tag, entry, linear, size);
}

static inline uint8_t *cpu_host_for_write(const struct cpu *cpu, unsigned segment, uint64_t offset,
                                          unsigned size)
{
    const struct tlb_entry *entry;
    uint64_t linear;

    if (__builtin_expect(!cpu_linear_fast(cpu, segment, offset, &linear), 0)) {
        return NULL;
    }
    entry = &cpu->data_table[cpu->cpl][tlb_index(linear)];
    return tlb_host(entry->write_tag, entry, linear, size);
}

/* After a store of up to 16 bytes: has it touched the block that is executing? */
static inline void cpu_note_store(struct cpu *cpu, const uint8_t *host)
{
    if (__builtin_expect((uintptr_t)host - cpu->code_window < cpu->code_window_length, 0)) {
        cpu->exit_block = true;
    }
}

#define CPU_ACCESS_FUNCTIONS(bits)                                                                 \
    static inline uint##bits##_t cpu_read##bits(struct cpu *cpu, unsigned segment,                 \
                                                uint64_t offset)                                   \
    {                                                                                              \
        const uint8_t *host = cpu_host_for_read(cpu, segment, offset, bits / 8);                   \
        uint##bits##_t value;                                                                      \
                                                                                                   \
        if (__builtin_expect(!host, 0)) {                                                          \
            return (uint##bits##_t)cpu_read_slow(cpu, segment, offset, bits / 8);                  \
        }                                                                                          \
        memcpy(&value, host, sizeof(value));                                                       \
        return value;                                                                              \
    }                                                                                              \
    static inline void cpu_write##bits(struct cpu *cpu, unsigned segment, uint64_t offset,         \
                                       uint##bits##_t value)                                       \
    {                                                                                              \
        uint8_t *host = cpu_host_for_write(cpu, segment, offset, bits / 8);                        \
                                                                                                   \
        if (__builtin_expect(!host, 0)) {                                                          \
            cpu_write_slow(cpu, segment, offset, bits / 8, value);                                 \
            return;                                                                                \
        }                                                                                          \
        memcpy(host, &value, sizeof(value));                                                       \
        cpu_note_store(cpu, host);                                                                 \
    }

CPU_ACCESS_FUNCTIONS(8)
CPU_ACCESS_FUNCTIONS(16)
CPU_ACCESS_FUNCTIONS(32)
CPU_ACCESS_FUNCTIONS(64)
#undef CPU_ACCESS_FUNCTIONS

#endif
