/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPUs in the human monitor. */
#include "dm/machine.h"
#include "dm/monitor/hmp-commands.h"
#include "util/error.h"

#include <inttypes.h>

static bool check_cpu(const struct hmp_context *context, GError **error)
{
    const struct machine *machine = context->machine;

    if (!machine->vcpu_count || !machine->engine->get_state) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "this machine has no CPU to look at (engine '%s')",
                          machine->engine->name);
    }
    if (context->cpu >= machine->vcpu_count) {
        return duodm_fail(error, DUODM_ERROR_NOT_FOUND, "there is no CPU %u: 0 to %u exist",
                          context->cpu, machine->vcpu_count - 1);
    }
    return true;
}

bool hmp_get_state(const struct hmp_context *context, struct x86_state *state, GError **error)
{
    bool held, ok;

    if (!check_cpu(context, error)) {
        return false;
    }
    held = machine_hold_vcpus(context->machine);
    ok = context->machine->engine->get_state(context->machine->vcpus[context->cpu], state);
    machine_release_vcpus(context->machine, held);
    return ok || duodm_fail(error, DUODM_ERROR_FAILED, "the registers of CPU %u can't be had",
                            context->cpu);
}

static void print_general(const struct x86_state *state, GString *out)
{
    static const char *const names[X86_REGISTER_COUNT] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP",
                                                          "RSI", "RDI", "R8 ", "R9 ", "R10", "R11",
                                                          "R12", "R13", "R14", "R15"};
    static const enum x86_register order[X86_REGISTER_COUNT] = {
        X86_RAX, X86_RBX, X86_RCX, X86_RDX, X86_RSI, X86_RDI, X86_RBP, X86_RSP,
        X86_R8,  X86_R9,  X86_R10, X86_R11, X86_R12, X86_R13, X86_R14, X86_R15};

    for (unsigned i = 0; i < X86_REGISTER_COUNT; i++) {
        g_string_append_printf(out, "%s=%016" PRIx64 "%c", names[order[i]], state->gpr[order[i]],
                               i % 4 == 3 ? '\n' : ' ');
    }
}

static void print_flags(uint64_t rflags, GString *out)
{
    static const struct {
        unsigned bit;
        const char *name;
    } flags[] = {{21, "ID"}, {18, "AC"}, {17, "VM"}, {16, "RF"}, {14, "NT"}, {11, "OF"}, {10, "DF"},
                 {9, "IF"},  {8, "TF"},  {7, "SF"},  {6, "ZF"},  {4, "AF"},  {2, "PF"},  {0, "CF"}};

    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++) {
        if (rflags >> flags[i].bit & 1) {
            g_string_append_printf(out, " %s", flags[i].name);
        }
    }
}

static void print_segment(const char *name, const struct x86_segment *segment, GString *out)
{
    g_string_append_printf(
        out, "%s =%04x base=%016" PRIx64 " limit=%08" PRIx32 " attributes=%04x DPL=%u\n", name,
        segment->selector, segment->base, segment->limit, segment->attributes,
        segment->attributes >> 5 & 3);
}

static void print_segments(const struct x86_state *state, GString *out)
{
    static const char *const names[X86_SEGMENT_COUNT] = {"ES", "CS", "SS", "DS", "FS", "GS"};

    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        print_segment(names[i], &state->segment[i], out);
    }
    print_segment("LDT", &state->ldt, out);
    print_segment("TR", &state->task, out);
    g_string_append_printf(out, "GDT base=%016" PRIx64 " limit=%08" PRIx32 "\n", state->gdt.base,
                           state->gdt.limit);
    g_string_append_printf(out, "IDT base=%016" PRIx64 " limit=%08" PRIx32 "\n", state->idt.base,
                           state->idt.limit);
}

static void print_state(const struct machine *machine, const struct x86_state *state, GString *out)
{
    print_general(state, out);
    g_string_append_printf(out, "RIP=%016" PRIx64 " RFL=%08" PRIx64, state->rip, state->rflags);
    print_flags(state->rflags, out);
    g_string_append_printf(out, " CPL=%u A20=%d HLT=%d\n",
                           state->segment[X86_SS].attributes >> 5 & 3,
                           !__atomic_load_n(&machine->a20_masked, __ATOMIC_RELAXED), state->halted);
    print_segments(state, out);
    g_string_append_printf(out,
                           "CR0=%08" PRIx64 " CR2=%016" PRIx64 " CR3=%016" PRIx64 " CR4=%08" PRIx64
                           " CR8=%" PRIx64 "\n",
                           state->cr0, state->cr2, state->cr3, state->cr4, state->cr8);
    for (unsigned i = 0; i < 8; i++) {
        if (i != 4 && i != 5) { /* other names of 6 and 7 */
            g_string_append_printf(out, "DR%u=%016" PRIx64 "%c", i, state->dr[i],
                                   i == 3 || i == 7 ? '\n' : ' ');
        }
    }
    g_string_append_printf(out, "EFER=%016" PRIx64 "\n", state->efer);
}

bool hmp_info_registers(struct hmp_context *context, char **words, GString *out, GError **error)
{
    bool all = words[1] && g_str_equal(words[1], "-a");
    unsigned count = context->machine->vcpu_count;
    unsigned first = all ? 0 : context->cpu, last = all && count ? count - 1 : context->cpu;
    struct hmp_context look = *context;
    struct x86_state state;

    if (words[1] && !all) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "'%s' is not known: info registers [-a]", words[1]);
    }
    for (look.cpu = first; look.cpu <= last; look.cpu++) {
        if (!hmp_get_state(&look, &state, error)) {
            return false;
        }
        if (all) {
            g_string_append_printf(out, "CPU#%u\n", look.cpu);
        }
        print_state(context->machine, &state, out);
    }
    return true;
}

bool hmp_info_cpus(struct hmp_context *context, char **words, GString *out, GError **error)
{
    struct hmp_context look = *context;
    struct x86_state state;

    for (look.cpu = 0; look.cpu < context->machine->vcpu_count; look.cpu++) {
        if (!hmp_get_state(&look, &state, error)) {
            return false;
        }
        g_string_append_printf(
            out, "%c CPU #%u: rip=0x%016" PRIx64 "%s thread_id=%d\n",
            look.cpu == context->cpu ? '*' : ' ', look.cpu, state.rip,
            state.halted ? " (halted)" : "",
            __atomic_load_n(&context->machine->vcpus[look.cpu]->thread_id, __ATOMIC_RELAXED));
    }
    return true;
}

bool hmp_cpu(struct hmp_context *context, char **words, GString *out, GError **error)
{
    struct hmp_context chosen = *context;
    uint64_t index;

    if (!words[1]) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "which one? cpu INDEX");
    }
    if (!parse_number(words[1], &index, error)) {
        return false;
    }
    chosen.cpu = (unsigned)MIN(index, G_MAXUINT);
    if (!check_cpu(&chosen, error)) {
        return false;
    }
    context->cpu = chosen.cpu;
    return true;
}
