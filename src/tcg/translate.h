/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From guest instructions to host instructions.
 *
 * A block is a run of instructions in one page, left at its end or by taken conditional jumps in
 * between. Guest general registers live in host registers throughout, all but three. The host's
 * stack stays the host's. GS points to struct cpu. S0 and S1 are free within an instruction.
 *
 * What is not translated, and all that goes wrong (TLB misses, devices, faults), is done by the
 * interpreter's handler for the whole instruction: registers and flags are put into struct cpu, and
 * taken from it after. So an instruction changes nothing before its last access has succeeded.
 *
 * Flags. A guest instruction that sets flags is the same host instruction. While nothing spoils
 * them they stay in the host's flags (FLAGS_IN_HOST). A TLB probe spoils them; then they are
 * described by the registers they came from (FLAGS_DESCRIBED) as long as those keep their values,
 * or else are in cpu->lazy (FLAGS_IN_RECORD). At a block's borders they are in cpu->lazy.
 *
 * Nothing in a block depends on its linear address: that of its page is in cpu->page_linear.
 */
#ifndef DUODM_TCG_TRANSLATE_H
#define DUODM_TCG_TRANSLATE_H

#include "tcg/flags.h"
#include "tcg/jit.h"
#include "tcg/opcode.h"

#define S0 HOST_R10
#define S1 HOST_R11

#define TRANSLATE_MAX_INSNS 64

#define CPU_FIELD(field) host_cpu((int32_t)offsetof(struct cpu, field))

/* What a translation row says of its instructions; status flags first. */
enum translate_effect {
    FLAGS_UNTOUCHED = 0,
    FLAGS_READ = 1 << 0,    /* some of them */
    FLAGS_WRITE = 1 << 1,   /* all of them, whatever they were */
    FLAGS_CHANGE = 1 << 2,  /* some of them; the others stay */
    FLAGS_SPOIL = 1 << 3,   /* the host instruction spoils them, the guest's keeps them */
    ROW_SIDE_EXIT = 1 << 4, /* jumps, or goes on in the block */
    ROW_GOES_ON = 1 << 6,   /* ends a block only if the handler has to do it */
    ROW_MAY_FAULT = 1 << 5, /* though it has no memory operand in ModRM */
};

enum flags_place { FLAGS_IN_RECORD, FLAGS_IN_HOST, FLAGS_DESCRIBED };

enum flags_description_kind {
    DESCRIBE_NOTHING,
    DESCRIBE_COMPARE,   /* a - b */
    DESCRIBE_SUBTRACT,  /* a is the result of something minus b */
    DESCRIBE_ADD,       /* a is the result of something plus b */
    DESCRIBE_LOGIC,     /* a is the result */
    DESCRIBE_TEST,      /* a & b */
    DESCRIBE_INCREMENT, /* a is the result; CF is in the host's flags: only to be saved */
    DESCRIBE_DECREMENT,
};

struct flags_description {
    uint8_t kind;
    uint8_t size; /* bytes */
    uint8_t a, b; /* guest registers */
    bool b_is_immediate;
    int32_t immediate;
};

struct flags_state {
    uint8_t place; /* enum flags_place */
    /* While in the host's flags: what they are, or NOTHING. While described: by what. */
    struct flags_description description;
    bool explicit_record; /* IN_RECORD: known to be FLAGS_EXPLICIT */
};

/* A way out of the straight line, written after the block. */
struct slow_path {
    uint8_t *from[5]; /* jumps that lead here */
    unsigned count;
    const struct insn *insn;  /* execute this */
    uint16_t next;            /* offset of the next instruction in its page */
    uint8_t *resume;          /* then go on here */
    struct flags_state flags; /* as they are on arrival */
    bool want_host_flags, want_vector;
};

/* A jump to be bound after the block to code that leaves it. */
struct side_exit {
    uint8_t *from;
    struct flags_state flags;
    int64_t target; /* relative to the page's linear address */
    const struct insn *insn;
    unsigned next; /* offset of the instruction after the jump */
};

struct translate_row;

/* All rows, hashed by handler. */
struct translate_rows {
    const struct translate_row *slots[1];
};

struct translator {
    struct emitter e;
    struct jit *jit;
    const struct cpu *cpu;
    enum jit_context context;
    bool user;     /* CPL 3, else 0 */
    unsigned word; /* bytes of an address, and of what is pushed: 8, or 4 in 32-bit code */
    const uint8_t *host_page;
    unsigned start; /* offset of the block in its page */
    uint8_t *entry; /* the block's first byte of code */

    struct insn insns[TRANSLATE_MAX_INSNS];
    const struct translate_row *rows[TRANSLATE_MAX_INSNS];
    bool live[TRANSLATE_MAX_INSNS]; /* status flags after it can be seen by someone */
    unsigned count;
    bool unrepeatable; /* lockstep: the only one is */

    /* The instruction under way. */
    unsigned index, next; /* next: offset of the one after it */
    const struct insn *insn;
    const struct translate_row *row; /* NULL: handler */
    bool flags_live;                 /* after it */
    bool failed;                     /* no memory for what it needs */
    bool ended;                      /* control does not come to its end */
    struct slow_path *slow;          /* its own, or NULL */

    /* For the log: where each instruction's code begins (NULL: it has none), and what is after. */
    const uint8_t *insn_code[TRANSLATE_MAX_INSNS], *exits_code;

    struct flags_state flags;
    bool vector_resident; /* known */
    bool avx_allowed;     /* known */
    unsigned next_after;  /* offset of the byte after the block */

    struct slow_path slow_paths[TRANSLATE_MAX_INSNS];
    unsigned slow_count;
    struct side_exit side_exits[TRANSLATE_MAX_INSNS];
    unsigned side_exit_count;
};

/* Translate t->insn. False: it can't (nothing was written then): its handler will be called. */
typedef bool (*translate_function)(struct translator *t, const struct insn *insn,
                                   const struct translate_row *row);

/* How to translate the instructions that a handler executes. */
struct translate_row {
    insn_execute_fn handler;
    translate_function translate;
    uint8_t size;    /* operand size in bytes that the handler is for; 0: look at the insn */
    uint8_t effects; /* mask of enum translate_effect */
    uint32_t value;  /* the translate function's own: opcode, ... */
};

struct translate_rows *translate_rows_new(void);

/* The tables, each ended by a row without handler. */
extern const struct translate_row translate_integer_rows[]; /* translate-integer.c */
extern const struct translate_row translate_shift_rows[];   /* translate-shift.c */
extern const struct translate_row translate_bit_rows[];     /* translate-bit.c */
extern const struct translate_row translate_move_rows[];    /* translate-move.c */
extern const struct translate_row translate_control_rows[]; /* translate-control.c */
extern const struct translate_row translate_stack_rows[];   /* translate-stack.c */
extern const struct translate_row translate_system_rows[];  /* translate-system.c */

/* In translate_shift_rows' values. A count of 0 changes no flags: such a shift has no row. */
#define SHIFT_BY_CONSTANT (1u << 31)
bool shift_count_is_zero(const struct insn *insn, const struct translate_row *row);

/* --- Registers (translate-register.c) --- */

/* Host register of a guest register, or HOST_NO_REGISTER: it lives in cpu->gpr. */
unsigned host_of_guest(unsigned guest);
/* A guest register as an operand. size 1 and no REX: 4..7 are the high bytes. */
struct host_operand guest_operand(const struct insn *insn, unsigned guest, unsigned size);
bool guest_is_high_byte(const struct insn *insn, unsigned guest, unsigned size);
/* A host register with the guest register's value: its own, or `scratch` loaded with it. */
unsigned guest_value(struct translator *t, unsigned guest, unsigned size, unsigned scratch);
/* Write a host register's value to a guest register: 1 and 2 bytes merge, 4 clear the upper half.
 * Flags unharmed. */
void guest_write(struct translator *t, unsigned guest, unsigned size, unsigned from);
/* After a 4-byte operation whose destination was guest_operand(): clear the upper half if need be.
 */
void guest_clear_upper(struct translator *t, unsigned guest, unsigned size);
/* Must be called before guest registers change; mask of 1 << register. */
void guest_will_change(struct translator *t, uint32_t registers);

/* --- Memory (translate-memory.c) --- */

/* Can the address be made by emit_address? Instructions whose can't be have no row. */
bool address_is_simple(const struct translator *t, const struct insn *insn);
/* Add the segment's base to S0. Spoils S1 and flags. */
void emit_segment_base(struct translator *t, const struct insn *insn);
/* The linear address of the memory operand to S0. Spoils S1 and flags. */
void emit_address(struct translator *t, const struct insn *insn);
/* Probe the TLB for S0. Then S0 is the host address. Spoils S1; flags must have been seen to.
 * Misses go to the instruction's slow path. */
void emit_probe(struct translator *t, unsigned size, bool is_write);
/* Likewise, of an operand that must be a multiple of its size, 16 or 32: else to the slow path. */
void emit_probe_aligned(struct translator *t, unsigned size, bool is_write);
/* All of it: save flags, address, probe. */
void emit_operand_probe(struct translator *t, const struct insn *insn, unsigned size,
                        bool is_write);
/* The operand in ModRM.rm, to be read only: a register's place, or memory that has been probed. */
struct host_operand emit_rm_to_read(struct translator *t, const struct insn *insn, unsigned size);
/* Jump to the slow path if the condition holds. */
void emit_slow_if(struct translator *t, unsigned condition);
/* Pointer to the instruction that stays as long as the code. */
const struct insn *keep_insn(struct translator *t, const struct insn *insn);
void emit_slow_paths(struct translator *t);

/* --- Flags (translate-flags.c) --- */

/* The host's flags are about to be spoilt. */
void flags_before_spoil(struct translator *t);
/* Put the guest's flags into the host's, wherever they are. Spoils S1. */
void flags_to_host(struct translator *t);
/* Put them into cpu->lazy. Spoils S1, and the host's flags unless those are where they were. */
void flags_to_record(struct translator *t);
/* Likewise, as FLAGS_EXPLICIT (with other bits of the host's flags register beside them). */
void flags_to_explicit_record(struct translator *t);
/* From a FLAGS_EXPLICIT record to the host's flags. Spoils S1. */
void emit_explicit_to_host(struct emitter *e);
/* The same, for a copy of the state (slow paths, exits). */
void flags_state_to_record(struct translator *t, const struct flags_state *state);
/* The host's flags are the guest's now, described so. */
void flags_now_in_host(struct translator *t, struct flags_description description);
/* cpu->lazy has them (a handler was called). */
void flags_now_in_record(struct translator *t);

/* LOCK, if the instruction has it. */
static inline void emit_lock_prefix(struct translator *t, const struct insn *insn)
{
    if (insn->prefixes & INSN_LOCK) {
        emit_8(&t->e, 0xf0);
    }
}

/* The host can't name a high byte register next to memory behind S0: exchange it with the low byte
 * before and after, and name that. For insn->reg, when insn->memory. Returns the register to name.
 * Flags unharmed. */
unsigned begin_high_byte(struct translator *t, const struct insn *insn, unsigned size);
void end_high_byte(struct translator *t, const struct insn *insn, unsigned size);

static inline struct flags_description describe_nothing(void)
{
    return (struct flags_description){.kind = DESCRIBE_NOTHING};
}

/* --- Vector registers (translate-vector.c) --- */

/* Have YMM0-15 and MXCSR in the host's registers from here on, or go to the slow path. Call after
 * flags_before_spoil, before anything else of the instruction is written. Spoils S1. */
void vector_require(struct translator *t, const struct insn *insn);
/* How to translate an SSE or AVX instruction that these features suffice for, or NULL. */
const struct translate_row *translate_vector_row(const struct insn *insn,
                                                 const struct cpu_features *host);

/* --- BMI1, BMI2 (translate-bmi.c) --- */

const struct translate_row *translate_bmi_row(const struct insn *insn,
                                              const struct cpu_features *host);

/* --- x87 (translate-x87.c) --- */

const struct translate_row *translate_x87_row(const struct insn *insn);
/* The x87 state to the host's unit, if it may be there, and back. */
bool x87_load(struct cpu *cpu);
void x87_save(struct cpu *cpu);

/* --- Leaving (translate-control.c) --- */

/* Go to an offset from the page's linear address. The flags are in the record. */
void emit_exit(struct translator *t, int64_t target);
/* Go to the linear address in S0. stack_fix: what to add to RSP if it turns out not canonical. */
void emit_exit_indirect(struct translator *t, int stack_fix);
void emit_side_exits(struct translator *t);
/* Probe for a push, with S0 the host address of the new top of the stack; for a pop, of the top;
 * and move the stack pointer by bytes. */
void emit_push_probe(struct translator *t);
void emit_pop_probe(struct translator *t);
void emit_move_stack(struct translator *t, int32_t bytes);
/* Call the handler. ends: it may change rip or mode: leave after it. */
void emit_handler(struct translator *t, const struct insn *insn, bool ends);

#endif
