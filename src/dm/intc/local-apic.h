/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Local APIC, xAPIC and x2APIC (SDM vol. 3, chapter 11). One per vCPU; used by engines that do not
 * bring their own. Reads, writes and the CPU-side calls come from the vCPU's own thread; messages
 * come from any thread. Has its own leaf lock.
 */
#ifndef DUODM_DM_INTC_LOCAL_APIC_H
#define DUODM_DM_INTC_LOCAL_APIC_H

#include "dm/machine.h"

#define APIC_DEFAULT_BASE 0xfee00000u

/* In power-on state, but for local_apic_reset, which follows. The vCPU outlives it. NULL is fine to
 * be freed. */
struct local_apic *local_apic_new(struct machine *machine, struct vcpu *vcpu);
void local_apic_free(struct local_apic *apic);
void local_apic_reset(struct local_apic *apic, bool init_only); /* init_only: INIT, not power-on */

/* Register page, offset in the 4 KiB page, size as the CPU issued it (only aligned 4-byte accesses
 * are defined: others read as the part of the register, writes are dropped). */
uint64_t local_apic_read(struct local_apic *apic, unsigned offset, unsigned size);
void local_apic_write(struct local_apic *apic, unsigned offset, unsigned size, uint64_t value);
/* MSRs 800h-8ffh in x2APIC mode, IA32_APIC_BASE, IA32_TSC_DEADLINE. False: #GP(0). */
bool local_apic_msr_read(struct local_apic *apic, uint32_t msr, uint64_t *value);
bool local_apic_msr_write(struct local_apic *apic, uint32_t msr, uint64_t value);
uint64_t local_apic_base(const struct local_apic *apic); /* physical address of the page; UINT64_MAX
                                                            when disabled or in x2APIC mode */

/* CR8: bits 7:4 of the TPR. */
unsigned local_apic_get_cr8(struct local_apic *apic);
void local_apic_set_cr8(struct local_apic *apic, unsigned cr8);

/* Is there an interrupt to deliver now (priority above PPR, or ExtINT from the 8259)? Cheap. */
bool local_apic_has_interrupt(struct local_apic *apic);
/* Accept it: vector 0..255, or -1 if it went away (then nothing is delivered). */
int local_apic_acknowledge(struct local_apic *apic);

/* A message from the IOAPIC, an MSI or another CPU's ICR; delivered to whom it addresses.
 * destination is 8 bits in xAPIC form, 32 in x2APIC form. */
enum apic_delivery {
    APIC_FIXED,
    APIC_LOWEST,
    APIC_SMI,
    APIC_RESERVED,
    APIC_NMI,
    APIC_INIT,
    APIC_STARTUP,
    APIC_EXTINT
};
struct apic_message {
    uint32_t destination;
    bool logical;
    bool level_triggered;
    bool deassert; /* level 0 */
    bool x2apic;   /* destination is in x2APIC form: ffh is an ID, ffffffffh is everyone */
    enum apic_delivery delivery;
    uint8_t vector;
};
/* True if some APIC took it. Takes no lock on the way of fixed interrupts. Any lock held. */
bool apic_deliver(struct machine *machine, const struct apic_message *message);
/* A write of an MSI (SDM vol. 3, 11.11): address 0xfee00000..0xfeefffff, and in its bits 63:40
 * those of the destination above 8. To the engine's local APICs, if it has them. True if one took
 * it. */
bool apic_deliver_msi(struct machine *machine, uint64_t address, uint32_t data);
/* LINT0, driven by the 8259's INTR output, and LINT1 (NMI). */
void local_apic_set_lint(struct local_apic *apic, unsigned pin, bool level);
/* For the TSC-deadline timer: the guest's TSC is the machine's clock in ns plus this. Set by the
 * engine, in the vCPU's thread, whenever the guest moves its TSC. */
void local_apic_set_tsc_offset(struct local_apic *apic, int64_t offset);
/* MAXPHYADDR as CPUID has it (default 40): higher bits of IA32_APIC_BASE are reserved. */
void local_apic_set_physical_bits(struct local_apic *apic, unsigned bits);
/* Is IA32_APIC_BASE.EN set (CPUID's APIC bit shows it)? */
bool local_apic_is_enabled(const struct local_apic *apic);
/* All that the guest can observe. */
extern const struct state_description local_apic_state;

#define APIC_TIMER_FREQUENCY 1000000000u /* bus clock of the timer, Hz */

#endif
