/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU's state, whole for resets and snapshots, and in architectural form for monitors and
 * loaders. Reset puts back what the kernel made a new vCPU with: that is the power-on state.
 */
#include "backend-kvm/state.h"
#include "backend-kvm/kvm-machine.h"
#include "util/error.h"
#include "util/little-endian.h"
#include "util/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define MSR_TSC          0x10
#define MSR_TSC_DEADLINE 0x6e0

/* MSRs. */

static void drop_msr(struct kvm_msr_list *list, unsigned index)
{
    memmove(&list->indices[index], &list->indices[index + 1],
            (list->nmsrs - index - 1) * sizeof(list->indices[0]));
    list->nmsrs--;
}

/* Those of the list that this vCPU doesn't have leave the list at the first reading. */
static bool get_msrs(struct kvm_vcpu *v, struct kvm_cpu_state *state, GError **error)
{
    struct kvm_msr_list *list = v->kvm->msrs;
    g_autofree struct kvm_msrs *msrs =
        g_malloc0(sizeof(*msrs) + KVM_STATE_MSR_MAX * sizeof(msrs->entries[0]));
    unsigned done = 0;

    while (done < list->nmsrs) {
        int result;

        msrs->nmsrs = list->nmsrs - done;
        for (unsigned i = 0; i < msrs->nmsrs; i++) {
            msrs->entries[i].index = list->indices[done + i];
        }
        result = kvm_ioctl(v->fd, KVM_GET_MSRS, msrs);
        if (result < 0) {
            return duodm_fail(error, DUODM_ERROR_FAILED, "kvm: MSRs can't be read: %s",
                              g_strerror(-result));
        }
        for (unsigned i = 0; i < (unsigned)result; i++, done++) {
            state->msr_index[done] = list->indices[done];
            state->msr_value[done] = msrs->entries[i].data;
        }
        if (done < list->nmsrs) {
            drop_msr(list, done);
        }
    }
    state->msr_count = done;
    return true;
}

static bool has_value(const struct kvm_cpu_state *state, uint32_t index, uint64_t value)
{
    for (unsigned i = 0; i < state->msr_count; i++) {
        if (state->msr_index[i] == index) {
            return state->msr_value[i] == value;
        }
    }
    return false;
}

static bool set_msr(struct kvm_vcpu *v, uint32_t index, uint64_t value, GError **error)
{
    return kvm_write_msr(v->vcpu, index, value) ||
           duodm_fail(error, DUODM_ERROR_FAILED,
                      "kvm: CPU %u: MSR 0x%" PRIx32 " can't be set to 0x%" PRIx64, v->vcpu->index,
                      index, value);
}

/* Only those that differ: the kernel shows some that it won't let anyone set. */
static bool set_msrs(struct kvm_vcpu *v, const struct kvm_cpu_state *state, GError **error)
{
    g_autofree struct kvm_cpu_state *now = g_new0(struct kvm_cpu_state, 1);

    if (!get_msrs(v, now, error)) {
        return false;
    }
    for (unsigned i = 0; i < state->msr_count; i++) {
        uint32_t index = state->msr_index[i];

        if (index != MSR_TSC_DEADLINE &&
            (index == MSR_TSC || !has_value(now, index, state->msr_value[i])) &&
            !set_msr(v, index, state->msr_value[i], error)) {
            return false;
        }
    }
    return true;
}

/* It arms the timer of the local APIC, which must be as it was by then. */
static bool set_deadline(struct kvm_vcpu *v, const struct kvm_cpu_state *state, GError **error)
{
    for (unsigned i = 0; i < state->msr_count; i++) {
        if (state->msr_index[i] == MSR_TSC_DEADLINE) {
            return set_msr(v, MSR_TSC_DEADLINE, state->msr_value[i], error);
        }
    }
    return true;
}

/* The whole. */

static bool call(struct kvm_vcpu *v, unsigned long request, const void *argument, const char *what,
                 GError **error)
{
    int result = kvm_ioctl(v->fd, request, (void *)argument);

    return result >= 0 || duodm_fail(error, DUODM_ERROR_FAILED, "kvm: CPU %u: %s: %s",
                                     v->vcpu->index, what, g_strerror(-result));
}

static bool has_apic(const struct kvm_vcpu *v)
{
    return v->kvm->irqchip != KERNEL_IRQCHIP_OFF;
}

static bool get_xsave(struct kvm_vcpu *v, struct kvm_cpu_state *state, GError **error)
{
    int size = kvm_api_check(&v->kvm->api, KVM_CAP_XSAVE2);

    if (size > KVM_STATE_XSAVE_MAX) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "kvm: %d bytes of XSAVE state are more than duodm can keep", size);
    }
    state->xsave_size = (uint32_t)MAX(size, (int)sizeof(struct kvm_xsave));
    return call(v, size ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, state->xsave, "FPU state", error);
}

bool kvm_state_get(struct kvm_vcpu *v, struct kvm_cpu_state *state, GError **error)
{
    state->halted = v->halted;
    state->wait_for_sipi = v->wait_for_sipi;
    return call(v, KVM_GET_REGS, &state->regs, "registers", error) &&
           call(v, KVM_GET_SREGS, &state->sregs, "system registers", error) &&
           call(v, KVM_GET_XCRS, &state->xcrs, "XCRs", error) && get_xsave(v, state, error) &&
           call(v, KVM_GET_DEBUGREGS, &state->debugregs, "debug registers", error) &&
           call(v, KVM_GET_VCPU_EVENTS, &state->events, "pending events", error) &&
           call(v, KVM_GET_MP_STATE, &state->mp_state, "processor state", error) &&
           (!has_apic(v) || call(v, KVM_GET_LAPIC, &state->lapic, "local APIC", error)) &&
           get_msrs(v, state, error);
}

/* The mode of the local APIC and of paging comes with the system registers: they go first. */
bool kvm_state_set(struct kvm_vcpu *v, const struct kvm_cpu_state *state, GError **error)
{
    return call(v, KVM_SET_SREGS, &state->sregs, "system registers", error) &&
           call(v, KVM_SET_REGS, &state->regs, "registers", error) &&
           call(v, KVM_SET_XCRS, &state->xcrs, "XCRs", error) &&
           call(v, KVM_SET_XSAVE, state->xsave, "FPU state", error) && set_msrs(v, state, error) &&
           (!has_apic(v) || call(v, KVM_SET_LAPIC, &state->lapic, "local APIC", error)) &&
           set_deadline(v, state, error) &&
           call(v, KVM_SET_VCPU_EVENTS, &state->events, "pending events", error) &&
           call(v, KVM_SET_MP_STATE, &state->mp_state, "processor state", error) &&
           call(v, KVM_SET_DEBUGREGS, &state->debugregs, "debug registers", error);
}

void kvm_reset_vcpu(struct vcpu *vcpu)
{
    struct kvm_vcpu *v = vcpu->engine;
    g_autoptr(GError) error = NULL;

    for (unsigned i = 0; i < v->power_on->msr_count; i++) {
        if (v->power_on->msr_index[i] == MSR_TSC) {
            v->power_on->msr_value[i] = 0;
        }
    }
    v->halted = v->io_pending = false;
    v->wait_for_sipi = vcpu->index != 0;
    if (!kvm_state_set(v, v->power_on, &error)) {
        log_warning("%s; the reset is incomplete", error->message);
    }
}

/* INIT leaves the FPU and most MSRs alone (SDM vol. 3, 9.1.1). */
void kvm_init_vcpu(struct kvm_vcpu *v)
{
    const struct kvm_cpu_state *state = v->power_on;
    struct kvm_sregs sregs = state->sregs, now = {0};
    g_autoptr(GError) error = NULL;

    kvm_ioctl(v->fd, KVM_GET_SREGS, &now);
    sregs.apic_base = now.apic_base;
    if (!call(v, KVM_SET_SREGS, &sregs, "system registers", &error) ||
        !call(v, KVM_SET_REGS, &state->regs, "registers", &error) ||
        !call(v, KVM_SET_VCPU_EVENTS, &state->events, "pending events", &error) ||
        !call(v, KVM_SET_DEBUGREGS, &state->debugregs, "debug registers", &error)) {
        log_warning("%s; INIT is incomplete", error->message);
    }
}

void kvm_start_vcpu(struct kvm_vcpu *v, uint8_t vector)
{
    struct kvm_sregs sregs = {0};
    struct kvm_regs regs = v->power_on->regs;

    kvm_ioctl(v->fd, KVM_GET_SREGS, &sregs);
    sregs.cs.selector = (uint16_t)(vector << 8);
    sregs.cs.base = (uint64_t)vector << 12;
    kvm_ioctl(v->fd, KVM_SET_SREGS, &sregs);
    regs.rip = 0;
    kvm_ioctl(v->fd, KVM_SET_REGS, &regs);
}

/* Architectural form. */

static void get_segment(struct x86_segment *to, const struct kvm_segment *from)
{
    to->selector = from->selector;
    to->base = from->base;
    to->limit = from->limit;
    to->attributes = (uint16_t)(from->type | from->s << 4 | from->dpl << 5 | from->present << 7 |
                                from->avl << 12 | from->l << 13 | from->db << 14 | from->g << 15);
}

static void set_segment(struct kvm_segment *to, const struct x86_segment *from)
{
    unsigned a = from->attributes;

    *to = (struct kvm_segment){
        .base = from->base,
        .limit = from->limit,
        .selector = from->selector,
        .type = a & 15,
        .s = a >> 4 & 1,
        .dpl = a >> 5 & 3,
        .present = a >> 7 & 1,
        .avl = a >> 12 & 1,
        .l = a >> 13 & 1,
        .db = a >> 14 & 1,
        .g = a >> 15 & 1,
        .unusable = !(a >> 7 & 1),
    };
}

/* The kernel's order of general registers is that of kvm_regs; ours that of their encoding. */
static void copy_general(struct kvm_regs *regs, uint64_t *gpr, bool to_kernel)
{
    __u64 *const places[X86_REGISTER_COUNT] = {&regs->rax, &regs->rcx, &regs->rdx, &regs->rbx,
                                               &regs->rsp, &regs->rbp, &regs->rsi, &regs->rdi,
                                               &regs->r8,  &regs->r9,  &regs->r10, &regs->r11,
                                               &regs->r12, &regs->r13, &regs->r14, &regs->r15};

    for (unsigned i = 0; i < X86_REGISTER_COUNT; i++) {
        if (to_kernel) {
            *places[i] = gpr[i];
        } else {
            gpr[i] = *places[i];
        }
    }
}

static struct kvm_segment *segment_of(struct kvm_sregs *sregs, unsigned index)
{
    struct kvm_segment *const places[X86_SEGMENT_COUNT] = {
        [X86_ES] = &sregs->es, [X86_CS] = &sregs->cs, [X86_SS] = &sregs->ss,
        [X86_DS] = &sregs->ds, [X86_FS] = &sregs->fs, [X86_GS] = &sregs->gs,
    };

    return places[index];
}

/* A failing ioctl leaves zeros, and no vCPU that exists has one. */
bool kvm_get_x86_state(struct vcpu *vcpu, struct x86_state *state)
{
    const struct kvm_vcpu *v = vcpu->engine;
    struct kvm_regs regs = {0};
    struct kvm_sregs sregs = {0};
    struct kvm_debugregs debugregs = {0};
    struct kvm_mp_state mp_state = {0};
    bool ok =
        kvm_ioctl(v->fd, KVM_GET_REGS, &regs) == 0 && kvm_ioctl(v->fd, KVM_GET_SREGS, &sregs) == 0;

    kvm_ioctl(v->fd, KVM_GET_DEBUGREGS, &debugregs);
    kvm_ioctl(v->fd, KVM_GET_MP_STATE, &mp_state);
    *state = (struct x86_state){
        .rip = regs.rip,
        .rflags = regs.rflags,
        .gdt = {.base = sregs.gdt.base, .limit = sregs.gdt.limit},
        .idt = {.base = sregs.idt.base, .limit = sregs.idt.limit},
        .cr0 = sregs.cr0,
        .cr2 = sregs.cr2,
        .cr3 = sregs.cr3,
        .cr4 = sregs.cr4,
        .cr8 = sregs.cr8,
        .efer = sregs.efer,
        .halted = mp_state.mp_state != KVM_MP_STATE_RUNNABLE || v->halted,
    };
    copy_general(&regs, state->gpr, false);
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        get_segment(&state->segment[i], segment_of(&sregs, i));
    }
    get_segment(&state->ldt, &sregs.ldt);
    get_segment(&state->task, &sregs.tr);
    for (unsigned i = 0; i < 4; i++) {
        state->dr[i] = debugregs.db[i];
    }
    state->dr[6] = debugregs.dr6;
    state->dr[7] = debugregs.dr7;
    return ok;
}

static void set_debug(const struct kvm_vcpu *v, const struct x86_state *state)
{
    struct kvm_debugregs debugregs = {.dr6 = state->dr[6], .dr7 = state->dr[7]};

    memcpy(debugregs.db, state->dr, sizeof(debugregs.db));
    kvm_ioctl(v->fd, KVM_SET_DEBUGREGS, &debugregs);
}

void kvm_set_x86_state(struct vcpu *vcpu, const struct x86_state *state)
{
    struct kvm_vcpu *v = vcpu->engine;
    struct x86_state from = *state;
    struct kvm_regs regs = {.rip = state->rip, .rflags = state->rflags | 2};
    struct kvm_sregs sregs = {0};
    struct kvm_mp_state mp_state = {state->halted ? KVM_MP_STATE_HALTED : KVM_MP_STATE_RUNNABLE};
    g_autoptr(GError) error = NULL;

    kvm_ioctl(v->fd, KVM_GET_SREGS, &sregs); /* what x86_state doesn't have stays */
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        set_segment(segment_of(&sregs, i), &state->segment[i]);
    }
    set_segment(&sregs.ldt, &state->ldt);
    set_segment(&sregs.tr, &state->task);
    sregs.gdt = (struct kvm_dtable){.base = state->gdt.base, .limit = (uint16_t)state->gdt.limit};
    sregs.idt = (struct kvm_dtable){.base = state->idt.base, .limit = (uint16_t)state->idt.limit};
    sregs.cr0 = state->cr0 | 0x10; /* ET is always set */
    sregs.cr2 = state->cr2;
    sregs.cr3 = state->cr3;
    sregs.cr4 = state->cr4;
    sregs.cr8 = state->cr8;
    sregs.efer = state->efer;
    copy_general(&regs, from.gpr, true);
    if (!call(v, KVM_SET_SREGS, &sregs, "system registers", &error) ||
        !call(v, KVM_SET_REGS, &regs, "registers", &error)) {
        log_warning("%s", error->message);
    }
    set_debug(v, state);
    if (has_apic(v)) {
        kvm_ioctl(v->fd, KVM_SET_MP_STATE, &mp_state);
    } else {
        v->halted = state->halted;
        v->wait_for_sipi &= state->halted;
    }
}

bool kvm_virtual_to_physical(struct vcpu *vcpu, uint64_t address, uint64_t *physical)
{
    const struct kvm_vcpu *v = vcpu->engine;
    struct kvm_translation translation = {.linear_address = address};

    if (kvm_ioctl(v->fd, KVM_TRANSLATE, &translation) < 0 || !translation.valid) {
        return false;
    }
    *physical = translation.physical_address;
    return true;
}

void kvm_write_apic(struct vcpu *vcpu, unsigned offset, uint32_t value)
{
    const struct kvm_vcpu *v = vcpu->engine;
    struct kvm_lapic_state lapic;

    if (kvm_ioctl(v->fd, KVM_GET_LAPIC, &lapic) == 0 && offset <= sizeof(lapic.regs) - 4) {
        store_le32((uint8_t *)lapic.regs + offset, value);
        kvm_ioctl(v->fd, KVM_SET_LAPIC, &lapic);
    }
}

/* Snapshots. */

#define PART(name_)                                                                                \
    {                                                                                              \
#name_, STATE_BYTES, offsetof(struct kvm_cpu_state, name_),                                \
            sizeof(((struct kvm_cpu_state *)0)->name_), 1                                          \
    }

static bool after_load(void *object)
{
    const struct kvm_cpu_state *state = object;

    return state->msr_count <= KVM_STATE_MSR_MAX && state->xsave_size <= KVM_STATE_XSAVE_MAX;
}

static const struct state_field fields[] = {
    PART(regs),
    PART(sregs),
    PART(xcrs),
    PART(debugregs),
    PART(events),
    PART(mp_state),
    STATE(BOOL, kvm_cpu_state, halted, 1),
    STATE(BOOL, kvm_cpu_state, wait_for_sipi, 1),
    PART(lapic),
    STATE(UINT32, kvm_cpu_state, xsave_size, 1),
    PART(xsave),
    STATE(UINT32, kvm_cpu_state, msr_count, 1),
    STATE_ARRAY(UINT32, kvm_cpu_state, msr_index, KVM_STATE_MSR_MAX, 1),
    STATE_ARRAY(UINT64, kvm_cpu_state, msr_value, KVM_STATE_MSR_MAX, 1),
    STATE_END,
};

const struct state_description kvm_vcpu_state = {
    .name = "kvm-vcpu",
    .version = 1,
    .fields = fields,
    .after_load = after_load,
};

bool kvm_save_vcpu(struct vcpu *vcpu, GByteArray *stream, GError **error)
{
    g_autofree struct kvm_cpu_state *state = g_new0(struct kvm_cpu_state, 1);
    g_autofree char *instance = g_strdup_printf("%u", vcpu->index);

    if (!kvm_state_get(vcpu->engine, state, error)) {
        return false;
    }
    state_save(stream, &kvm_vcpu_state, state, instance);
    return true;
}

bool kvm_load_vcpu(struct vcpu *vcpu, const uint8_t *stream, size_t length, size_t *consumed,
                   GError **error)
{
    struct kvm_vcpu *v = vcpu->engine;
    g_autofree struct kvm_cpu_state *state = g_new0(struct kvm_cpu_state, 1);
    g_autofree struct kvm_cpu_state *old = g_new0(struct kvm_cpu_state, 1);
    g_autofree char *instance = g_strdup_printf("%u", vcpu->index);

    if (!kvm_state_get(v, old, error) ||
        !state_load(stream, length, &kvm_vcpu_state, state, instance, consumed, error)) {
        return false;
    }
    if (!kvm_state_set(v, state, error)) {
        kvm_state_set(v, old, NULL);
        return false;
    }
    v->halted = state->halted;
    v->wait_for_sipi = state->wait_for_sipi;
    v->io_pending = false;
    return true;
}
