/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Breakpoints and single steps. */
#include "tcg/debug.h"
#include "tcg/access.h"

#define BREAKPOINTS 4

/* DR7.R/Wn */
enum breakpoint_type { BREAK_EXECUTE, BREAK_WRITE, BREAK_IO, BREAK_READ_WRITE };

static bool is_enabled(const struct cpu *cpu, unsigned n)
{
    return (cpu->dr[7] >> (2 * n)) & 3;
}

static enum breakpoint_type breakpoint_type(const struct cpu *cpu, unsigned n)
{
    return (cpu->dr[7] >> (16 + 4 * n)) & 3;
}

static unsigned breakpoint_length(const struct cpu *cpu, unsigned n)
{
    static const uint8_t lengths[4] = {1, 2, 8, 4};
    return lengths[(cpu->dr[7] >> (18 + 4 * n)) & 3];
}

static bool overlaps(const struct cpu *cpu, unsigned n, uint64_t start, unsigned length)
{
    unsigned size = breakpoint_length(cpu, n);
    uint64_t first = cpu->dr[n] & ~(uint64_t)(size - 1);
    /* Distances, so that ranges at the top of the address space don't wrap. */
    return start - first < size || first - start < length;
}

/* One #DB tells all: what MOV SS held back is told along with what comes by itself, as INT1. */
static void set_reasons(struct cpu *cpu, uint32_t reasons)
{
    reasons |= cpu->debug_pending;
    cpu->debug_pending = 0;
    cpu->dr[6] = (cpu->dr[6] & ~(uint64_t)DR6_CONDITIONS) | reasons;
}

_Noreturn void debug_fault(struct cpu *cpu, uint32_t reasons)
{
    set_reasons(cpu, reasons);
    cpu_raise(cpu, EXCEPTION_DB);
}

void debug_trap(struct cpu *cpu, uint32_t reasons)
{
    set_reasons(cpu, reasons);
    cpu_deliver_event(cpu, EVENT_EXCEPTION, EXCEPTION_DB, false, 0);
}

void debug_icebp(struct cpu *cpu)
{
    if (cpu->debug_pending) {
        set_reasons(cpu, 0);
    }
    cpu_deliver_event(cpu, EVENT_ICEBP, EXCEPTION_DB, false, 0);
}

void debug_check_code(struct cpu *cpu)
{
    /* MOV SS holds back execution breakpoints on Intel's only. */
    if (!(cpu->dr[7] & DR7_ENABLES) || (cpu->debug_shadow && !cpu->vendor_amd)) {
        return;
    }
    uint64_t linear = cpu->rip;
    if (cpu->mode != CPU_MODE_64) {
        linear = (uint32_t)(linear + cpu->segment[X86_CS].base);
    }
    uint32_t reasons = 0;
    for (unsigned n = 0; n < BREAKPOINTS; n++) {
        if (is_enabled(cpu, n) && breakpoint_type(cpu, n) == BREAK_EXECUTE &&
            cpu->dr[n] == linear) {
            reasons |= 1u << n;
        }
    }
    if (reasons) {
        debug_fault(cpu, reasons);
    }
}

static void note(struct cpu *cpu, uint32_t reasons)
{
    if (reasons) {
        cpu->debug_pending |= reasons;
        cpu->exit_block = true;
    }
}

void debug_note_access(struct cpu *cpu, uint64_t linear, unsigned length, bool is_write)
{
    uint32_t reasons = 0;
    for (unsigned n = 0; n < BREAKPOINTS; n++) {
        enum breakpoint_type type = breakpoint_type(cpu, n);
        bool wanted = type == BREAK_READ_WRITE || (type == BREAK_WRITE && is_write);
        if (is_enabled(cpu, n) && wanted && overlaps(cpu, n, linear, length)) {
            reasons |= 1u << n;
        }
    }
    note(cpu, reasons);
}

/* I/O breakpoints exist with CR4.DE only; without, their type is undefined: none. */
void debug_note_port_slow(struct cpu *cpu, uint16_t port, unsigned size)
{
    uint32_t reasons = 0;
    if (!(cpu->cr4 & CR4_DE)) {
        return;
    }
    for (unsigned n = 0; n < BREAKPOINTS; n++) {
        if (is_enabled(cpu, n) && breakpoint_type(cpu, n) == BREAK_IO &&
            overlaps(cpu, n, port, size)) {
            reasons |= 1u << n;
        }
    }
    note(cpu, reasons);
}

void debug_after_instruction(struct cpu *cpu, bool single_step)
{
    bool step = single_step && !cpu->debug_no_step;
    cpu->debug_no_step = false;
    /* After MOV SS and POP SS data breakpoints wait for the next instruction's end. */
    if (cpu->debug_shadow) {
        return;
    }
    uint32_t reasons = step ? DR6_BS : 0;
    if (reasons | cpu->debug_pending) {
        debug_trap(cpu, reasons);
    }
}
