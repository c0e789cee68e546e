/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the two turns left, compared and told. */
#include "dm/machine.h"
#include "tcg/access.h"
#include "tcg/execute.h"
#include "tcg/jit.h"
#include "tcg/lockstep.h"
#include "tcg/opcode.h"

#include <inttypes.h>

#define FIELD(name)                                                                                \
    {                                                                                              \
#name, offsetof(struct cpu, name), sizeof(((struct cpu *)NULL)->name)                      \
    }

/* Without the status flags, and without what is only derived from these. FIP and FDP of the x87
 * unit are not kept by translated code. */
static const struct {
    const char *name;
    size_t offset, size;
} fields[] = {
    FIELD(gpr),
    FIELD(rip),
    FIELD(eflags),
    FIELD(cpl),
    FIELD(mode),
    FIELD(interrupt_shadow),
    FIELD(debug_shadow),
    FIELD(halted),
    FIELD(nmi_blocked),
    FIELD(segment),
    FIELD(ldt),
    FIELD(task),
    FIELD(gdt),
    FIELD(idt),
    FIELD(cr0),
    FIELD(cr2),
    FIELD(cr3),
    FIELD(cr4),
    FIELD(efer),
    FIELD(xcr0),
    FIELD(dr),
    FIELD(ymm),
    FIELD(fpu.registers),
    FIELD(fpu.control),
    FIELD(fpu.status),
    FIELD(fpu.valid),
    FIELD(mxcsr),
    FIELD(msr_kernel_gs_base),
    FIELD(pending_vector),
    FIELD(pending_error),
};

/* --- Memory --- */

static const struct lockstep_store *get_store(const struct lockstep *lockstep, unsigned i)
{
    return &g_array_index(lockstep->stores, struct lockstep_store, i);
}

static const uint8_t *stored_by_interpreter(const struct lockstep *lockstep,
                                            const struct lockstep_store *store)
{
    return lockstep->bytes->data + store->bytes + store->length;
}

static const struct lockstep_store *find_other_store(const struct lockstep *lockstep)
{
    for (unsigned i = 0; i < lockstep->stores->len; i++) {
        const struct lockstep_store *store = get_store(lockstep, i);

        if (memcmp(stored_by_interpreter(lockstep, store), store->host, store->length) != 0) {
            return store;
        }
    }
    return NULL;
}

static bool is_stored(const struct lockstep *lockstep, const uint8_t *byte)
{
    for (unsigned i = 0; i < lockstep->stores->len; i++) {
        const struct lockstep_store *store = get_store(lockstep, i);

        if (byte >= store->host && byte < store->host + store->length) {
            return true;
        }
    }
    return false;
}

const struct lockstep_probe *lockstep_find_stray(const struct cpu *cpu)
{
    for (const struct lockstep_probe *probe = cpu->lockstep->probes; probe < cpu->write_probe;
         probe++) {
        if (!is_stored(cpu->lockstep, probe->host) ||
            !is_stored(cpu->lockstep, probe->host + probe->size - 1)) {
            return probe;
        }
    }
    return NULL;
}

/* --- Status flags --- */

/* Those that some instruction of the block left undefined. */
static uint32_t undefined_flags(const struct cpu *cpu, const struct translation *translation)
{
    uint32_t undefined = 0;
    unsigned offset = 0;
    struct insn insn;

    for (unsigned i = 0; i < cpu->lockstep->count && offset < translation->length; i++) {
        if (decode_insn(cpu, translation->host + offset, translation->length - offset, &insn) !=
            DECODE_OK) {
            break;
        }
        undefined |= insn_undefined_flags(&insn);
        offset += insn.length;
    }
    return undefined;
}

static bool flags_differ(const struct cpu *cpu, const struct translation *translation)
{
    uint32_t other = cpu_get_eflags(cpu) ^ cpu_get_eflags(&cpu->lockstep->interpreted);

    other &= FLAGS_STATUS;
    return other && (other & ~undefined_flags(cpu, translation));
}

/* --- All of it --- */

static void append_bytes(GString *text, const void *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        g_string_append_printf(text, "%02x", ((const uint8_t *)data)[i]);
    }
}

static void append_difference(GString *text, const char *name, const void *interpreter,
                              const void *translator, size_t length)
{
    g_string_append_printf(text, "\n  %s: interpreter ", name);
    append_bytes(text, interpreter, length);
    g_string_append(text, ", translator ");
    append_bytes(text, translator, length);
}

/* Most blocks end here: all of the fields above and what is between them, but for the last ones. */
static bool ranges_equal(const struct cpu *a, const struct cpu *b)
{
    return !memcmp(a->gpr, b->gpr, offsetof(struct cpu, lazy)) &&
           !memcmp(&a->eflags, &b->eflags,
                   offsetof(struct cpu, exit_block) - offsetof(struct cpu, eflags)) &&
           !memcmp(a->segment, b->segment,
                   offsetof(struct cpu, msr_star) - offsetof(struct cpu, segment)) &&
           a->msr_kernel_gs_base == b->msr_kernel_gs_base &&
           a->pending_vector == b->pending_vector && a->pending_error == b->pending_error;
}

static bool fields_differ(const struct cpu *cpu, GString *text)
{
    bool differs = false;

    if (ranges_equal(cpu, &cpu->lockstep->interpreted)) {
        return false;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
        const uint8_t *translator = (const uint8_t *)cpu + fields[i].offset;
        const uint8_t *interpreter =
            (const uint8_t *)&cpu->lockstep->interpreted + fields[i].offset;

        if (memcmp(interpreter, translator, fields[i].size) != 0) {
            differs = true;
            if (text) {
                append_difference(text, fields[i].name, interpreter, translator, fields[i].size);
            }
        }
    }
    return differs;
}

bool lockstep_differs(const struct cpu *cpu, const struct translation *translation, GString *text)
{
    const struct lockstep *lockstep = cpu->lockstep;
    const struct lockstep_store *store = find_other_store(lockstep);
    const struct lockstep_probe *stray = lockstep_find_stray(cpu);
    bool flags = flags_differ(cpu, translation), others = fields_differ(cpu, text);

    if (text && flags) {
        g_string_append_printf(text, "\n  status flags: interpreter %x, translator %x",
                               cpu_get_eflags(&lockstep->interpreted) & FLAGS_STATUS,
                               cpu_get_eflags(cpu) & FLAGS_STATUS);
    }
    if (text && store) {
        append_difference(text, "memory", stored_by_interpreter(lockstep, store), store->host,
                          store->length);
    }
    if (text && stray) {
        g_string_append_printf(text, "\n  memory: %" PRIu64 " bytes that only the translator wrote",
                               stray->size);
    }
    return flags || others || store || stray;
}

static void append_state(GString *text, const char *name, const struct cpu *cpu)
{
    g_string_append_printf(text, "\n %s: rip %016" PRIx64 " flags %08x", name, cpu->rip,
                           cpu_get_eflags(cpu));
    for (unsigned i = 0; i < X86_REGISTER_COUNT; i++) {
        g_string_append_printf(text, "%sr%-2u %016" PRIx64, i % 4 ? " " : "\n  ", i, cpu->gpr[i]);
    }
}

void lockstep_report(struct cpu *cpu, const struct translation *translation)
{
    struct lockstep *lockstep = cpu->lockstep;
    GString *text = g_string_new("lockstep: translated code differs from the interpreter: ");

    append_bytes(text, translation->host, translation->length);
    lockstep_differs(cpu, translation, text);
    append_state(text, "before", &lockstep->before);
    append_state(text, "interpreter", &lockstep->interpreted);
    append_state(text, "translator", cpu);
    lockstep->difference = g_string_free(text, false);
    if (cpu->vcpu->machine) {
        machine_report_internal_error(cpu->vcpu->machine, lockstep->difference);
    }
}

void lockstep_print(const struct lockstep *lockstep, GString *out)
{
    g_string_append_printf(out,
                           "lockstep: %" PRIu64 " blocks compared, %" PRIu64
                           " executed once, %" PRIu64 " comparisons repeated\n",
                           lockstep->compared, lockstep->once, lockstep->again);
}
