/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMCALL and VMMCALL. CPUID says that there is a hypervisor, so they call it, on either vendor's
 * CPU, with the registers that Linux's Documentation/virt/kvm/x86/hypercalls.rst gives them. The
 * one service is an IPI to many at once; no CPUID leaf offers it, and all other numbers are
 * refused.
 */
#include "dm/intc/local-apic.h"
#include "dm/machine.h"
#include "tcg/access.h"
#include "tcg/execute.h"

#define CALL_SEND_IPI 10u

#define ERROR_NOT_PERMITTED (-1)
#define ERROR_INVALID       (-22)
#define ERROR_NO_SUCH_CALL  (-1000)

#define ICR_VECTOR    0xffu
#define ICR_MODE(icr) ((icr) >> 8 & 7)
#define ICR_REFUSED   (1u << 11 | 3u << 18) /* logical destinations, shorthands */

/* The processors whose APIC IDs are first + n for the bits n that are set in low and high, each
 * half as wide as the mode's registers. Returns how many took the interrupt. */
static int64_t send_ipi(struct cpu *cpu, uint64_t low, uint64_t high, uint32_t first, uint32_t icr)
{
    unsigned width = cpu->mode == CPU_MODE_64 ? 64 : 32;
    struct apic_message message = {
        .x2apic = true, .delivery = (enum apic_delivery)ICR_MODE(icr), .vector = icr & ICR_VECTOR};
    int64_t taken = 0;

    if ((icr & ICR_REFUSED) || (message.delivery != APIC_FIXED && message.delivery != APIC_NMI)) {
        return ERROR_INVALID;
    }
    for (unsigned bit = 0; bit < 2 * width; bit++) {
        uint64_t half = bit < width ? low : high;

        message.destination = first + bit;
        if ((half >> bit % width & 1) && message.destination >= first &&
            message.destination < cpu->vcpu->machine->vcpu_count) {
            taken += apic_deliver(cpu->vcpu->machine, &message);
        }
    }
    return taken;
}

void execute_hypercall(struct cpu *cpu, const struct insn *insn)
{
    uint64_t mask = cpu->mode == CPU_MODE_64 ? UINT64_MAX : UINT32_MAX;
    int64_t result = ERROR_NO_SUCH_CALL;

    if (cpu->cpl != 0) {
        result = ERROR_NOT_PERMITTED;
    } else if ((cpu->gpr[X86_RAX] & mask) == CALL_SEND_IPI) {
        result = send_ipi(cpu, cpu->gpr[X86_RBX] & mask, cpu->gpr[X86_RCX] & mask,
                          (uint32_t)cpu->gpr[X86_RDX], (uint32_t)cpu->gpr[X86_RSI]);
    }
    cpu->gpr[X86_RAX] = (uint64_t)result & mask;
    cpu->exit_block = true;
}
