/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a user is told when a vCPU can't go on. */
#include "backend-kvm/kvm-machine.h"

#include <inttypes.h>

#define CODE_BYTES 16u

static void append_code(struct kvm_vcpu *v, uint64_t linear, GString *out)
{
    uint64_t physical;
    uint8_t code[CODE_BYTES];
    unsigned count = (unsigned)MIN(CODE_BYTES, 4096 - (linear & 4095));

    if (!kvm_virtual_to_physical(v->vcpu, linear, &physical)) {
        g_string_append(out, "Code: not mapped\n");
        return;
    }
    address_space_read(&v->kvm->machine->as_memory, physical, MEMORY_ATTRIBUTES_CPU, code, count);
    g_string_append(out, "Code:");
    for (unsigned i = 0; i < count; i++) {
        g_string_append_printf(out, " %02x", code[i]);
    }
    g_string_append_c(out, '\n');
}

char *kvm_describe_vcpu(struct kvm_vcpu *v)
{
    static const char *const names[] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                        "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"};
    GString *out = g_string_new(NULL);
    struct x86_state state;

    kvm_get_x86_state(v->vcpu, &state);
    for (unsigned i = 0; i < X86_REGISTER_COUNT; i++) {
        g_string_append_printf(out, "%s=%016" PRIx64 "%c", names[i], state.gpr[i],
                               i % 4 == 3 ? '\n' : ' ');
    }
    g_string_append_printf(out,
                           "CS:RIP=%04x:%016" PRIx64 " (base %" PRIx64 ") RFLAGS=%08" PRIx64
                           "\nCR0=%08" PRIx64 " CR2=%016" PRIx64 " CR3=%016" PRIx64
                           " CR4=%08" PRIx64 " EFER=%04" PRIx64 "\n",
                           state.segment[X86_CS].selector, state.rip, state.segment[X86_CS].base,
                           state.rflags, state.cr0, state.cr2, state.cr3, state.cr4, state.efer);
    append_code(v, state.segment[X86_CS].base + state.rip, out);
    return g_string_free(out, FALSE);
}

void kvm_report_fault(struct kvm_vcpu *v, const char *what)
{
    g_autofree char *registers = kvm_describe_vcpu(v);
    g_autofree char *text =
        g_strdup_printf("kvm: CPU %u can't go on: %s\n%sThe machine is paused; system_reset starts "
                        "it anew",
                        v->vcpu->index, what, registers);

    machine_report_internal_error(v->kvm->machine, text);
}

void kvm_report_fail_entry(struct kvm_vcpu *v)
{
    g_autofree char *text =
        g_strdup_printf("the processor refuses the guest's state (hardware reason 0x%" PRIx64
                        "); the kernel's log (dmesg) may say more",
                        (uint64_t)v->run->fail_entry.hardware_entry_failure_reason);

    kvm_report_fault(v, text);
}

static void report_emulation(struct kvm_vcpu *v)
{
    const struct kvm_run *run = v->run;
    GString *text = g_string_new("the kernel can't emulate the guest's instruction");

    if (run->emulation_failure.ndata >= 3 &&
        (run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)) {
        unsigned size = MIN(run->emulation_failure.insn_size, 15);

        for (unsigned i = 0; i < size; i++) {
            g_string_append_printf(text, " %02x", run->emulation_failure.insn_bytes[i]);
        }
    }
    kvm_report_fault(v, text->str);
    g_string_free(text, TRUE);
}

void kvm_report_internal_error(struct kvm_vcpu *v)
{
    const struct kvm_run *run = v->run;
    GString *text;

    if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) {
        report_emulation(v);
        return;
    }
    text = g_string_new(NULL);
    switch (run->internal.suberror) {
    case KVM_INTERNAL_ERROR_SIMUL_EX:
        g_string_append(text, "two exceptions came at once where there can be only one");
        break;
    case KVM_INTERNAL_ERROR_DELIVERY_EV:
        g_string_append(text, "the delivery of an event met an exit that it can't meet");
        break;
    case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
        g_string_append(text, "the processor left the guest for an unknown reason");
        break;
    default:
        g_string_append_printf(text, "internal error %" PRIu32 " of KVM", run->internal.suberror);
    }
    for (unsigned i = 0; i < MIN(run->internal.ndata, G_N_ELEMENTS(run->internal.data)); i++) {
        g_string_append_printf(text, "%s0x%" PRIx64, i ? " " : " (",
                               (uint64_t)run->internal.data[i]);
    }
    g_string_append(text, run->internal.ndata ? ")" : "");
    kvm_report_fault(v, text->str);
    g_string_free(text, TRUE);
}
