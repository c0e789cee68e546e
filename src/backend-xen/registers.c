/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What monitors show of vCPUs: Xen has them, and gives a copy. Under -xen-domid-restrict it does
 * not. */
#include "backend-xen/xen-machine.h"

#include <xen/hvm/save.h>

/* Xen leaves the four bits out that a descriptor has between P and AVL. */
static uint16_t attributes_of(uint32_t access_rights)
{
    return (uint16_t)((access_rights & 0xff) | (access_rights & 0xf00) << 4);
}

#define SEGMENT(cpu, name)                                                                         \
    (struct x86_segment)                                                                           \
    {                                                                                              \
        .selector = (uint16_t)(cpu).name##_sel, .attributes = attributes_of((cpu).name##_arbytes), \
        .limit = (cpu).name##_limit, .base = (cpu).name##_base                                     \
    }

static void convert_segments(const struct hvm_hw_cpu *cpu, struct x86_state *state)
{
    state->segment[X86_ES] = SEGMENT(*cpu, es);
    state->segment[X86_CS] = SEGMENT(*cpu, cs);
    state->segment[X86_SS] = SEGMENT(*cpu, ss);
    state->segment[X86_DS] = SEGMENT(*cpu, ds);
    state->segment[X86_FS] = SEGMENT(*cpu, fs);
    state->segment[X86_GS] = SEGMENT(*cpu, gs);
    state->ldt = SEGMENT(*cpu, ldtr);
    state->task = SEGMENT(*cpu, tr);
    state->gdt = (struct x86_segment){.base = cpu->gdtr_base, .limit = cpu->gdtr_limit};
    state->idt = (struct x86_segment){.base = cpu->idtr_base, .limit = cpu->idtr_limit};
}

static void convert(const struct hvm_hw_cpu *cpu, struct x86_state *state)
{
    *state = (struct x86_state){
        .gpr = {cpu->rax, cpu->rcx, cpu->rdx, cpu->rbx, cpu->rsp, cpu->rbp, cpu->rsi, cpu->rdi,
                cpu->r8, cpu->r9, cpu->r10, cpu->r11, cpu->r12, cpu->r13, cpu->r14, cpu->r15},
        .rip = cpu->rip,
        .rflags = cpu->rflags,
        .cr0 = cpu->cr0,
        .cr2 = cpu->cr2,
        .cr3 = cpu->cr3,
        .cr4 = cpu->cr4,
        .efer = cpu->msr_efer,
        .dr = {cpu->dr0, cpu->dr1, cpu->dr2, cpu->dr3, 0, 0, cpu->dr6, cpu->dr7},
    };
    convert_segments(cpu, state);
}

bool xen_get_state(struct vcpu *vcpu, struct x86_state *state)
{
    const struct xen_machine *xen = xen_of(vcpu->machine);
    struct hvm_hw_cpu cpu = {0};

    bool ok = xc_domain_hvm_getcontext_partial(xen->control, xen->domid, HVM_SAVE_CODE(CPU),
                                               (uint16_t)vcpu->index, &cpu, sizeof(cpu)) == 0;

    convert(&cpu, state);
    return ok;
}

bool xen_translate(struct vcpu *vcpu, uint64_t address, uint64_t *physical)
{
    const struct xen_machine *xen = xen_of(vcpu->machine);
    uint64_t page =
        xc_translate_foreign_address(xen->control, xen->domid, (int)vcpu->index, address);

    *physical = page << XEN_PAGE_SHIFT | (address & (XEN_PAGE_SIZE - 1));
    return page != 0;
}
