/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FXSAVE, FXRSTOR; XSAVE, XSAVEOPT, XSAVEC, XRSTOR; XGETBV, XSETBV; MXCSR. */
#include "tcg/xsave.h"
#include "tcg/avx.h"
#include "tcg/fpu.h"
#include "tcg/simd.h"

#define XMM_OFFSET 160

/* SDM vol. 1, table 10-2. */
struct fxsave_area {
    uint16_t control, status;
    uint8_t valid, reserved;
    uint16_t opcode;
    uint64_t instruction, data; /* offset and selector, or 64-bit offset with REX.W */
    uint32_t mxcsr, mxcsr_mask;
    struct {
        uint64_t mantissa;
        uint16_t exponent, padding[3];
    } st[8];
    union vector128 xmm[16];
    uint8_t unused[96];
};
G_STATIC_ASSERT(sizeof(struct fxsave_area) == FXSAVE_BYTES);
G_STATIC_ASSERT(offsetof(struct fxsave_area, xmm) == XMM_OFFSET);

struct xsave_header {
    uint64_t xstate_bv, xcomp_bv, reserved[6];
};
G_STATIC_ASSERT(sizeof(struct xsave_header) == XSAVE_HEADER_BYTES);

/* Registers 8 to 15 are neither saved nor restored outside 64-bit mode. */
static unsigned vector_count(const struct cpu *cpu)
{
    return cpu->mode == CPU_MODE_64 ? 16 : 8;
}

static unsigned vector_bytes(const struct cpu *cpu)
{
    return vector_count(cpu) * sizeof(union vector128);
}

static void get_xmm(const struct cpu *cpu, union vector128 *to)
{
    for (unsigned i = 0; i < 16; i++) {
        to[i] = cpu->ymm[i].xmm;
    }
}

static void set_xmm(struct cpu *cpu, const union vector128 *from)
{
    for (unsigned i = 0; i < vector_count(cpu); i++) {
        cpu->ymm[i].xmm = from[i];
    }
}

static void set_high(struct cpu *cpu, const union vector128 *from)
{
    for (unsigned i = 0; i < vector_count(cpu); i++) {
        cpu->ymm[i].high = from[i];
    }
}

static bool has_64_bit_pointers(const struct insn *insn)
{
    return insn->operand_size == 8;
}

static void save_x87(const struct cpu *cpu, const struct insn *insn, struct fxsave_area *area)
{
    const struct cpu_fpu *fpu = &cpu->fpu;

    area->control = fpu->control;
    area->status = fpu->status;
    area->valid = fpu->valid;
    area->opcode = fpu->opcode;
    if (has_64_bit_pointers(insn)) {
        area->instruction = fpu->instruction_pointer;
        area->data = fpu->data_pointer;
    } else {
        area->instruction =
            (uint32_t)fpu->instruction_pointer | ((uint64_t)fpu->instruction_selector << 32);
        area->data = (uint32_t)fpu->data_pointer | ((uint64_t)fpu->data_selector << 32);
    }
    for (unsigned i = 0; i < 8; i++) {
        struct x87_value value = fpu_read(cpu, i);
        area->st[i].mantissa = value.mantissa;
        area->st[i].exponent = value.exponent;
    }
}

static void restore_x87(struct cpu *cpu, const struct insn *insn, const struct fxsave_area *area)
{
    struct cpu_fpu *fpu = &cpu->fpu;

    fpu->control = (area->control & FPU_CONTROL_WRITE) | FPU_CONTROL_FIXED;
    fpu->status = area->status;
    fpu->valid = area->valid;
    fpu->opcode = area->opcode & 0x7ff;
    fpu->instruction_pointer = area->instruction;
    fpu->data_pointer = area->data;
    if (!has_64_bit_pointers(insn)) {
        fpu->instruction_pointer &= UINT32_MAX;
        fpu->instruction_selector = area->instruction >> 32;
        fpu->data_pointer &= UINT32_MAX;
        fpu->data_selector = area->data >> 32;
    }
    for (unsigned i = 0; i < 8; i++) {
        unsigned r = fpu_physical(cpu, i);
        fpu->registers[r].mantissa = area->st[i].mantissa;
        fpu->registers[r].exponent = area->st[i].exponent;
    }
    fpu_update_summary(cpu);
}

static uint64_t aligned_address(struct cpu *cpu, const struct insn *insn, unsigned alignment)
{
    uint64_t offset = insn_effective_address(cpu, insn);

    simd_check_alignment(cpu, insn->segment, offset, alignment);
    return offset;
}

void fpu_fxsave(struct cpu *cpu, const struct insn *insn)
{
    struct fxsave_area area = {.mxcsr = cpu->mxcsr, .mxcsr_mask = MXCSR_VALID};
    unsigned bytes = XMM_OFFSET;

    fpu_check_available(cpu);
    uint64_t offset = aligned_address(cpu, insn, 16);
    save_x87(cpu, insn, &area);
    if (cpu->cr4 & CR4_OSFXSR) {
        get_xmm(cpu, area.xmm);
        bytes += vector_bytes(cpu);
    }
    /* All 512 bytes must be writable, though the last are left as they are. */
    cpu_probe_write(cpu, insn->segment, offset, FXSAVE_BYTES);
    cpu_write_bytes(cpu, insn->segment, offset, &area, bytes);
}

void fpu_fxrstor(struct cpu *cpu, const struct insn *insn)
{
    struct fxsave_area area;

    fpu_check_available(cpu);
    uint64_t offset = aligned_address(cpu, insn, 16);
    cpu_read_bytes(cpu, insn->segment, offset, &area, sizeof(area));
    if (cpu->cr4 & CR4_OSFXSR) {
        if (area.mxcsr & ~MXCSR_VALID) {
            cpu_raise_error(cpu, EXCEPTION_GP, 0);
        }
        cpu->mxcsr = area.mxcsr;
        set_xmm(cpu, area.xmm);
    }
    restore_x87(cpu, insn, &area);
}

uint64_t xcr0_supported(const struct cpu *cpu)
{
    bool avx = cpu_features_have(&cpu->features, FEATURE_AVX);

    return XCR0_X87 | XCR0_SSE | (avx ? XCR0_AVX : 0);
}

static bool is_zero(const union vector128 *v)
{
    return (v->u64[0] | v->u64[1]) == 0;
}

static bool is_x87_initial(const struct cpu_fpu *fpu)
{
    if (fpu->control != FPU_CONTROL_RESET || fpu->status || fpu->valid || fpu->opcode ||
        fpu->instruction_pointer || fpu->data_pointer || fpu->instruction_selector ||
        fpu->data_selector) {
        return false;
    }
    for (unsigned i = 0; i < 8; i++) {
        if (fpu->registers[i].mantissa || fpu->registers[i].exponent) {
            return false;
        }
    }
    return true;
}

/* XINUSE: the components that are not in their initial configuration (SDM vol. 1, 13.6). */
static uint64_t components_in_use(const struct cpu *cpu)
{
    uint64_t used = is_x87_initial(&cpu->fpu) ? 0 : XCR0_X87;

    for (unsigned i = 0; i < 16; i++) {
        used |= is_zero(&cpu->ymm[i].xmm) ? 0 : XCR0_SSE;
        used |= is_zero(&cpu->ymm[i].high) ? 0 : XCR0_AVX;
    }
    return used;
}

static void xsave_check(struct cpu *cpu)
{
    if (!(cpu->cr4 & CR4_OSXSAVE)) {
        cpu_raise(cpu, EXCEPTION_UD);
    }
    if (cpu->cr0 & CR0_TS) {
        cpu_raise(cpu, EXCEPTION_NM);
    }
}

/* Requested-feature bitmap: EDX:EAX and XCR0 */
static uint64_t requested_components(const struct cpu *cpu)
{
    uint64_t mask = (cpu->gpr[X86_RDX] << 32) | (uint32_t)cpu->gpr[X86_RAX];

    return mask & cpu->xcr0;
}

/* The components in `written` go to the area; with_mxcsr: MXCSR too. AVX state is the only one in
 * the extended region, so that it lies at the same place in the standard and the compacted form. */
static void write_components(struct cpu *cpu, const struct insn *insn, uint64_t offset,
                             uint64_t written, bool with_mxcsr)
{
    struct fxsave_area area = {.mxcsr = cpu->mxcsr, .mxcsr_mask = MXCSR_VALID};
    union vector128 high[16];
    unsigned segment = insn->segment;

    save_x87(cpu, insn, &area);
    get_xmm(cpu, area.xmm);
    for (unsigned i = 0; i < 16; i++) {
        high[i] = cpu->ymm[i].high;
    }
    if (written & XCR0_X87) {
        cpu_write_bytes(cpu, segment, offset, &area, offsetof(struct fxsave_area, mxcsr));
        cpu_write_bytes(cpu, segment, offset + offsetof(struct fxsave_area, st), area.st,
                        sizeof(area.st));
    }
    if (with_mxcsr) {
        cpu_write_bytes(cpu, segment, offset + offsetof(struct fxsave_area, mxcsr), &area.mxcsr, 8);
    }
    if (written & XCR0_SSE) {
        cpu_write_bytes(cpu, segment, offset + XMM_OFFSET, area.xmm, vector_bytes(cpu));
    }
    if (written & XCR0_AVX) {
        cpu_write_bytes(cpu, segment, offset + XSAVE_AVX_OFFSET, high, vector_bytes(cpu));
    }
}

static unsigned area_bytes(uint64_t components)
{
    return components & XCR0_AVX ? XSAVE_AVX_OFFSET + XSAVE_AVX_BYTES : XSAVE_MIN_BYTES;
}

/* requested decides on XSTATE_BV; written, a subset, on which parts of the area are stored. */
static void xsave(struct cpu *cpu, const struct insn *insn, uint64_t offset, uint64_t requested,
                  uint64_t written)
{
    unsigned segment = insn->segment;
    uint64_t xstate_bv = cpu_read64(cpu, segment, offset + FXSAVE_BYTES);

    cpu_probe_write(cpu, segment, offset, area_bytes(requested));
    write_components(cpu, insn, offset, written, requested & (XCR0_SSE | XCR0_AVX));
    xstate_bv = (xstate_bv & ~requested) | (requested & components_in_use(cpu));
    cpu_write64(cpu, segment, offset + FXSAVE_BYTES, xstate_bv);
}

void fpu_xsave(struct cpu *cpu, const struct insn *insn)
{
    uint64_t requested = requested_components(cpu);

    xsave_check(cpu);
    xsave(cpu, insn, aligned_address(cpu, insn, 64), requested, requested);
}

/* The init optimisation alone; what was modified since the last XRSTOR is not tracked. */
void fpu_xsaveopt(struct cpu *cpu, const struct insn *insn)
{
    uint64_t requested = requested_components(cpu);

    xsave_check(cpu);
    xsave(cpu, insn, aligned_address(cpu, insn, 64), requested, requested & components_in_use(cpu));
}

/* Compacted: MXCSR belongs to the SSE component, and keeps it in use (SDM vol. 1, 13.10). */
void fpu_xsavec(struct cpu *cpu, const struct insn *insn)
{
    uint64_t requested = requested_components(cpu), used = components_in_use(cpu);

    xsave_check(cpu);
    uint64_t offset = aligned_address(cpu, insn, 64);
    used |= cpu->mxcsr != MXCSR_RESET ? XCR0_SSE : 0;
    used &= requested;
    uint64_t header[2] = {used, requested | XCOMP_COMPACTED};
    cpu_probe_write(cpu, insn->segment, offset, area_bytes(requested));
    write_components(cpu, insn, offset, used, used & XCR0_SSE);
    cpu_write_bytes(cpu, insn->segment, offset + FXSAVE_BYTES, header, sizeof(header));
}

/* SDM vol. 1, 13.8.1 and 13.8.2 */
static bool is_header_valid(const struct cpu *cpu, const struct xsave_header *header)
{
    uint64_t format = header->xcomp_bv & ~XCOMP_COMPACTED, reserved = header->reserved[0];

    if (!(header->xcomp_bv & XCOMP_COMPACTED)) {
        return !(header->xstate_bv & ~cpu->xcr0) && !format && !reserved;
    }
    for (unsigned i = 1; i < G_N_ELEMENTS(header->reserved); i++) {
        reserved |= header->reserved[i];
    }
    return cpu_features_have(&cpu->features, FEATURE_XSAVEC) && !(format & ~cpu->xcr0) &&
           !(header->xstate_bv & ~format) && !reserved;
}

void fpu_xrstor(struct cpu *cpu, const struct insn *insn)
{
    static const struct fxsave_area initial = {.control = FPU_CONTROL_RESET, .mxcsr = MXCSR_RESET};
    struct fxsave_area area;
    struct xsave_header header;
    union vector128 high[16] = {{.u64 = {0}}};

    xsave_check(cpu);
    uint64_t requested = requested_components(cpu);
    uint64_t offset = aligned_address(cpu, insn, 64);
    cpu_read_bytes(cpu, insn->segment, offset, &area, sizeof(area));
    cpu_read_bytes(cpu, insn->segment, offset + FXSAVE_BYTES, &header, sizeof(header));
    if (!is_header_valid(cpu, &header)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    uint64_t stored = header.xstate_bv;
    bool compacted = header.xcomp_bv & XCOMP_COMPACTED;
    bool with_mxcsr = requested & (compacted ? XCR0_SSE : XCR0_SSE | XCR0_AVX);
    uint32_t mxcsr = !compacted || (stored & XCR0_SSE) ? area.mxcsr : initial.mxcsr;
    if (with_mxcsr && (mxcsr & ~MXCSR_VALID)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    if (requested & stored & XCR0_AVX) {
        cpu_read_bytes(cpu, insn->segment, offset + XSAVE_AVX_OFFSET, high, vector_bytes(cpu));
    }
    if (with_mxcsr) {
        cpu->mxcsr = mxcsr;
    }
    if (requested & XCR0_X87) {
        restore_x87(cpu, insn, stored & XCR0_X87 ? &area : &initial);
    }
    if (requested & XCR0_SSE) {
        set_xmm(cpu, stored & XCR0_SSE ? area.xmm : initial.xmm);
    }
    if (requested & XCR0_AVX) {
        set_high(cpu, high);
    }
}

/* XCR0 or, with ECX 1, what of it is in use */
void fpu_xgetbv(struct cpu *cpu, const struct insn *insn)
{
    uint32_t number = cpu->gpr[X86_RCX];
    uint64_t value = cpu->xcr0;

    if (!(cpu->cr4 & CR4_OSXSAVE)) {
        cpu_raise(cpu, EXCEPTION_UD);
    }
    if (number > 1 || (number == 1 && !cpu_features_have(&cpu->features, FEATURE_XGETBV1))) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    if (number == 1) {
        value &= components_in_use(cpu);
    }
    cpu->gpr[X86_RAX] = (uint32_t)value;
    cpu->gpr[X86_RDX] = value >> 32;
}

void fpu_xsetbv(struct cpu *cpu, const struct insn *insn)
{
    uint64_t value = (cpu->gpr[X86_RDX] << 32) | (uint32_t)cpu->gpr[X86_RAX];

    if (!(cpu->cr4 & CR4_OSXSAVE)) {
        cpu_raise(cpu, EXCEPTION_UD);
    }
    if (cpu->cpl != 0 || (uint32_t)cpu->gpr[X86_RCX] != 0 || !(value & XCR0_X87) ||
        (value & ~xcr0_supported(cpu)) || (value & (XCR0_SSE | XCR0_AVX)) == XCR0_AVX) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    cpu->xcr0 = value;
}

static void load_mxcsr(struct cpu *cpu, const struct insn *insn)
{
    uint32_t value = simd_read_memory(cpu, insn, 4);
    if (value & ~MXCSR_VALID) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    cpu->mxcsr = value;
}

void sse_ldmxcsr(struct cpu *cpu, const struct insn *insn)
{
    sse_check(cpu);
    load_mxcsr(cpu, insn);
}

void sse_stmxcsr(struct cpu *cpu, const struct insn *insn)
{
    sse_check(cpu);
    simd_write_memory(cpu, insn, 4, cpu->mxcsr);
}

void avx_ldmxcsr(struct cpu *cpu, const struct insn *insn)
{
    avx_check(cpu);
    load_mxcsr(cpu, insn);
}

void avx_stmxcsr(struct cpu *cpu, const struct insn *insn)
{
    avx_check(cpu);
    simd_write_memory(cpu, insn, 4, cpu->mxcsr);
}
