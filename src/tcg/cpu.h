/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of one x86-64 CPU of the tcg engine. Touched only by its own thread, but for the
 * signals in struct vcpu; other threads look while it is paused.
 *
 * rip: while an instruction executes, rip is the address of the NEXT one (so that relative jumps
 * and pushes of the return address read naturally); `current` is the instruction, and a fault
 * subtracts its length. Exceptions leave the handler by longjmp (cpu_raise), so a handler changes
 * architectural state only after its last memory access that can fault (or uses cpu_probe_write).
 */
#ifndef DUODM_TCG_CPU_H
#define DUODM_TCG_CPU_H

#include "dm/vcpu.h"
#include "tcg/features.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

struct insn;
struct cpu;
struct tlb;
struct block_cache;
struct local_apic;
struct cpu_model;
struct tlb_entry;
struct cpu_rollback;
struct host_stubs;
struct jit;
struct lockstep;
struct huge_pages;

/* EFLAGS: SDM vol. 1, 3.4.3. */
enum cpu_flag {
    FLAG_CF = 1u << 0,
    FLAG_FIXED = 1u << 1,
    FLAG_PF = 1u << 2,
    FLAG_AF = 1u << 4,
    FLAG_ZF = 1u << 6,
    FLAG_SF = 1u << 7,
    FLAG_TF = 1u << 8,
    FLAG_IF = 1u << 9,
    FLAG_DF = 1u << 10,
    FLAG_OF = 1u << 11,
    FLAG_IOPL = 3u << 12,
    FLAG_NT = 1u << 14,
    FLAG_RF = 1u << 16,
    FLAG_VM = 1u << 17,
    FLAG_AC = 1u << 18,
    FLAG_VIF = 1u << 19,
    FLAG_VIP = 1u << 20,
    FLAG_ID = 1u << 21,
};
#define FLAGS_STATUS (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

#define CR0_PE         (1ull << 0)
#define CR0_MP         (1ull << 1)
#define CR0_EM         (1ull << 2)
#define CR0_TS         (1ull << 3)
#define CR0_ET         (1ull << 4)
#define CR0_NE         (1ull << 5)
#define CR0_WP         (1ull << 16)
#define CR0_AM         (1ull << 18)
#define CR0_NW         (1ull << 29)
#define CR0_CD         (1ull << 30)
#define CR0_PG         (1ull << 31)
#define CR4_VME        (1ull << 0)
#define CR4_PVI        (1ull << 1)
#define CR4_TSD        (1ull << 2)
#define CR4_DE         (1ull << 3)
#define CR4_PSE        (1ull << 4)
#define CR4_PAE        (1ull << 5)
#define CR4_MCE        (1ull << 6)
#define CR4_PGE        (1ull << 7)
#define CR4_PCE        (1ull << 8)
#define CR4_OSFXSR     (1ull << 9)
#define CR4_OSXMMEXCPT (1ull << 10)
#define CR4_UMIP       (1ull << 11)
#define CR4_FSGSBASE   (1ull << 16)
#define CR4_PCIDE      (1ull << 17)
#define CR4_OSXSAVE    (1ull << 18)
#define CR4_SMEP       (1ull << 20)
#define CR4_SMAP       (1ull << 21)
#define EFER_SCE       (1ull << 0)
#define EFER_LME       (1ull << 8)
#define EFER_LMA       (1ull << 10)
#define EFER_NXE       (1ull << 11)

enum cpu_exception {
    EXCEPTION_DE = 0,
    EXCEPTION_DB = 1,
    EXCEPTION_NMI = 2,
    EXCEPTION_BP = 3,
    EXCEPTION_OF = 4,
    EXCEPTION_BR = 5,
    EXCEPTION_UD = 6,
    EXCEPTION_NM = 7,
    EXCEPTION_DF = 8,
    EXCEPTION_TS = 10,
    EXCEPTION_NP = 11,
    EXCEPTION_SS = 12,
    EXCEPTION_GP = 13,
    EXCEPTION_PF = 14,
    EXCEPTION_MF = 16,
    EXCEPTION_AC = 17,
    EXCEPTION_MC = 18,
    EXCEPTION_XM = 19,
};

/* How the processor reads code now: derived from CR0, EFER, EFLAGS.VM and CS by cpu_update_mode. */
enum cpu_mode { CPU_MODE_16, CPU_MODE_32, CPU_MODE_64 };

/* A 16-byte vector register, seen as any of its types. */
union vector128 {
    uint8_t u8[16];
    int8_t s8[16];
    uint16_t u16[8];
    int16_t s16[8];
    uint32_t u32[4];
    int32_t s32[4];
    uint64_t u64[2];
    int64_t s64[2];
    float f32[4];
    double f64[2];
} __attribute__((aligned(16)));

/* A 32-byte vector register: its low half is the SSE register. */
union vector256 {
    struct {
        union vector128 xmm, high;
    };
    union vector128 lanes[2];
    uint8_t u8[32];
    uint32_t u32[8];
    int32_t s32[8];
    uint64_t u64[4];
    int64_t s64[4];
} __attribute__((aligned(16)));

/* x87 in the form that FXSAVE has it. */
struct cpu_fpu {
    struct {
        uint64_t mantissa;
        uint16_t exponent;
    } registers[8];                   /* physical R0..R7; MMX uses mantissa */
    uint16_t control, status, opcode; /* status holds TOP in bits 13:11 */
    uint8_t valid;                    /* bit per physical register: 0 empty (abridged tag) */
    uint64_t instruction_pointer, data_pointer;
    uint16_t instruction_selector, data_selector;
};

/* Lazy status flags (flags.h): the operation and its operands, from which each flag is made. */
struct cpu_flags {
    uint8_t operation;    /* enum flags_operation, with the size in it */
    uint64_t result;      /* of the operation */
    uint64_t source;      /* second operand, or what the operation's row says */
    uint64_t destination; /* first operand as it was */
};

struct cpu {
    uint64_t gpr[X86_REGISTER_COUNT];
    uint64_t rip;
    struct cpu_flags lazy;
    uint32_t eflags; /* all but the status flags; those are in lazy. Use cpu_get_eflags */
    uint8_t cpl;
    uint8_t mode;          /* enum cpu_mode: code */
    bool long_mode;        /* EFER.LMA */
    bool protected_mode;   /* CR0.PE */
    bool v86;              /* EFLAGS.VM */
    bool stack_32;         /* SS.B (not in 64-bit mode) */
    bool flat_segments;    /* ES, SS, DS base 0 and limit 4 GiB, writable: no check needed */
    bool open_fs, open_gs; /* limit 4 GiB, writable: only the base is to be added */
    bool interrupt_shadow; /* STI, MOV SS, POP SS: none is taken before the next instruction ends */
    bool debug_shadow;     /* MOV SS, POP SS: also no debug exception */
    bool halted;
    bool wait_for_sipi;
    bool shutdown;       /* triple fault; machine told */
    bool nmi_blocked;    /* until IRET */
    uint8_t nmi_pending; /* how many: at most two, the one to be delivered now and the next */
    bool exit_block;     /* end the block after this instruction: mode, paging or code changed */
    const struct insn *current;

    struct x86_segment segment[X86_SEGMENT_COUNT]; /* visible and hidden parts */
    struct x86_segment ldt, task;
    struct {
        uint64_t base;
        uint16_t limit;
    } gdt, idt;
    uint64_t cr0, cr2, cr3, cr4, efer, xcr0;
    uint64_t dr[8];
    uint64_t pdpte[4]; /* PAE: loaded with CR3 */

    union vector256 ymm[16];
    struct cpu_fpu fpu;
    uint32_t mxcsr;

    /* MSRs that are only storage live in msr.c's own struct; these are used elsewhere too. */
    uint64_t msr_star, msr_lstar, msr_cstar, msr_fmask, msr_kernel_gs_base, msr_tsc_aux;
    uint64_t msr_sysenter_cs, msr_sysenter_esp, msr_sysenter_eip;
    uint64_t msr_pat, msr_misc_enable;
    int64_t tsc_offset; /* added to the clock's ns */
    struct cpu_msrs *msrs;

    /* #DB (debug.h): bits of DR6 to report after the instruction; no single-step trap after it. */
    uint32_t debug_pending;
    bool debug_no_step;
    bool task_trap; /* the task just entered has the T bit */

    /* What cpu_raise restores if the instruction or event under way faults (rollback.h), or NULL.
     */
    struct cpu_rollback *rollback;

    /* Exception under way, for double and triple faults. */
    jmp_buf *unwind;    /* where cpu_raise goes: the run loop's */
    int pending_vector; /* of the exception that unwound; see exception.c */
    uint32_t pending_error;
    bool pending_has_error;
    bool delivering; /* an event is being delivered */
    int delivering_vector;

    struct tlb *tlb;
    struct tlb_entry *data_table[4]; /* of tlb, by CPL: cpu_update_data_tables */
    struct huge_pages *huge_pages;   /* the machine's, or NULL */
    struct block_cache *blocks;
    struct host_stubs *stubs; /* how AVX instructions are executed (avx.h); NULL: no AVX */
    /* Host addresses of the executing block's bytes, with a margin before them: a store there ends
     * the block (access.h). */
    uintptr_t code_window;
    uint32_t code_window_length;   /* bytes; 0: none */
    pthread_mutex_t *machine_lock; /* for cpu_locked_begin: the engine's */
    unsigned pause_count;          /* PAUSEs executed */
    bool interrupt_pending;        /* the local APIC may have one: asked when IF allows it */
    bool holds_machine_lock;       /* between cpu_locked_begin and _end */
    bool vendor_amd;               /* AuthenticAMD, else GenuineIntel */
    uint8_t physical_bits;         /* MAXPHYADDR */
    uint64_t a20_held;             /* bits of physical addresses that are held low: tlb_reset */
    const struct cpu_model *model; /* what -cpu selected: cpuid.h */
    struct cpu_features features;
    struct vcpu *vcpu;
    struct local_apic *apic;
    struct address_space *memory, *io;
    struct machine_clock *clock;

    /* What translated code uses (translate.h). It reaches this struct by GS. */
    struct jit *jit;           /* the machine's translator, or NULL: interpreter */
    struct lockstep *lockstep; /* blocks are compared with the interpreter (lockstep.h), or NULL */
    struct lockstep *trial;    /* the same, while the interpreter's stores are to be undone */
    struct lockstep_probe *write_probe; /* of translated code: the next record (lockstep.h) */
    struct cpu *self;                   /* this struct's address */
    uint64_t page_linear;               /* of the translated block that runs */
    uint64_t scratch;                   /* within one instruction */
    uint64_t jump_fix;     /* of an indirect jump that left translated code: jit-run.c */
    uint32_t exit_request; /* atomic; not 0: leave translated code. Set by kicks */
    uint32_t host_mxcsr;   /* of this thread's C code */
    bool vector_resident;  /* YMM0-15 and MXCSR are in the host's registers */
    bool x87_resident;     /* the x87 state is in the host's unit */
    /* For info: entries of translated code; looks for a block beyond the jump cache; in vain. */
    uint64_t jit_entered, jit_looked_up, jit_missed;
    uint64_t instructions; /* retired, counted by block; for info and tests */
};

/* Raise a fault: the state is as before the current instruction. */
_Noreturn void cpu_raise(struct cpu *cpu, enum cpu_exception vector);
_Noreturn void cpu_raise_error(struct cpu *cpu, enum cpu_exception vector, uint32_t error);
/* #PF with CR2. */
_Noreturn void cpu_raise_page_fault(struct cpu *cpu, uint64_t linear, uint32_t error);

/* Recompute mode, cpl-dependent and segment-dependent flags after CS, SS, CR0, EFER, VM changed. */
void cpu_update_mode(struct cpu *cpu);

/* Choose the TLB tables for each CPL: after EFLAGS.AC, CR0.AM or CR4.SMAP changed. */
void cpu_update_data_tables(struct cpu *cpu);

#endif
