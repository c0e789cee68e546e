/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The comparison of the tcg engine with the real processor. A case is one instruction with a
 * complete user-mode state; it runs natively in a child process and in the engine over a mock of
 * memory, and what comes out must be the same.
 */
#ifndef DUODM_TESTS_NATIVE_H
#define DUODM_TESTS_NATIVE_H

#include "tcg/cpu.h"
#include "tcg/opcode.h"

#include <stdbool.h>
#include <stdint.h>

/* The address space of a case: one page of code, read and executed, one of data; nothing else.
 * All below 2 GiB, so that 32-bit code reaches it. GS has a base, in 64-bit mode only. */
#define NATIVE_PAGE      4096u
#define CODE_ADDRESS     UINT64_C(0x10000000)
#define DATA_ADDRESS     UINT64_C(0x20000000)
#define CODE_ENTRY       0x400u /* offset of the instruction; INT3 all around */
#define GS_BASE          UINT64_C(0x01234568)
#define CODE_SELECTOR_64 0x33
#define CODE_SELECTOR_32 0x23
#define DATA_SELECTOR    0x2b
#define INT3_OPCODE      0xcc
#define NO_OPCODE        0x06 /* undefined in 64-bit mode: where a translated sequence ends */
#define SEQUENCE_INSNS   50
#define SEQUENCE_BYTES   (SEQUENCE_INSNS * 15 + 16)

/* User-mode state, as a signal frame has it. */
struct native_state {
    uint64_t gpr[X86_REGISTER_COUNT]; /* in enum x86_register order */
    uint64_t rip;
    uint64_t rflags;
    struct {
        uint64_t mantissa;
        uint16_t exponent;
    } st[8]; /* ST(0) first */
    uint16_t fpu_control, fpu_status;
    uint8_t fpu_valid; /* bit per physical register */
    uint32_t mxcsr;
    union vector256 ymm[16];
};

struct native_outcome {
    struct native_state state;
    bool completed; /* no fault */
    uint8_t vector; /* of the fault */
    uint8_t memory[NATIVE_PAGE];
};

struct native_case {
    uint64_t number;
    const struct cpu_features *features;
    bool code_64;    /* else 32-bit compatibility mode */
    bool want_fault; /* at the memory operand */
    uint8_t bytes[SEQUENCE_BYTES];
    unsigned length;
    struct native_state before;
    uint8_t memory[NATIVE_PAGE];
    struct native_outcome native;
    bool done; /* the child wrote native */
};

struct native_engine;

/* A row of the opcode maps, and what must be encoded to reach it. -1: free. */
struct native_row {
    const struct opcode *row;
    const char *map; /* for messages: "0f38" */
    uint8_t lead[3]; /* opcode bytes before opcode */
    unsigned lead_count;
    uint8_t opcode;
    int8_t prefix; /* 0 none, 1 66, 2 F3, 3 F2 */
    int8_t reg, rm, mod, w;
    uint8_t vex_map;            /* 0: no VEX */
    uint64_t cases;             /* compared */
    uint64_t completed;         /* of them, without a fault */
    uint64_t accessed, refused; /* with a memory operand; of them, with #PF, #GP, #SS or #AC */
};

/* rows.c: all instructions of all maps. Caller frees with g_array_unref; of struct native_row. */
GArray *native_rows_new(void);
bool native_row_is_comparable(const struct native_row *row, const struct cpu_features *host,
                              bool with_32);
/* What the engine and the host both have. */
void native_host_features(struct cpu_features *features);

/* random.c */
struct random {
    uint64_t state;
};
uint64_t random_next(struct random *random);
unsigned random_below(struct random *random, unsigned limit);
bool random_chance(struct random *random, unsigned percent);
uint64_t random_integer(struct random *random); /* biased to what makes edges */
uint32_t random_float(struct random *random);
uint64_t random_double(struct random *random);
void random_extended(struct random *random, uint64_t *mantissa, uint16_t *exponent);

/* generate.c: fill a case for a row, in 64-bit or, if asked for, either mode; false if what came
 * out is not to be run. */
bool native_generate(struct random *random, const struct native_row *row,
                     const struct cpu_features *features, bool with_32, struct native_case *c);

/* An encoding of the row that decodes to it in 64-bit mode, registers and all as they come.
 * *displacement_at: where the memory operand's displacement of 32 bits is; 0: there is none. */
bool native_generate_insn(struct random *random, const struct native_row *row,
                          const struct native_case *c, uint8_t bytes[16], struct insn *insn,
                          unsigned *displacement_at);
/* Memory and a state to begin with. */
void native_generate_state(struct random *random, struct native_case *c);

/* sequence.c: fill a case with up to SEQUENCE_INSNS instructions, with branches, the last of which
 * may fault; the interpreter has run it then, with this outcome. */
void native_generate_sequence(struct random *random, const GArray *rows,
                              const struct cpu_features *features, struct native_engine *engine,
                              struct native_case *c, struct native_outcome *outcome);

/* host.c: run the cases in a child. False: the child died or hung (message printed). */
bool native_run(struct native_case *cases, unsigned count);
/* Can user mode run 32-bit code? Some kernels and hypervisors keep it out. c: for use, shared. */
bool native_has_32(struct native_case *c);

/* engine.c */
/* translator: else the interpreter executes. */
struct native_engine *native_engine_new(bool translator, bool sequences);
void native_engine_free(struct native_engine *engine);
/* A CPU in the mode and with the features of the case, for decoding. */
void native_engine_prepare(struct cpu *cpu, const struct native_case *c);
void native_engine_run(struct native_engine *engine, const struct native_case *c,
                       struct native_outcome *outcome);

/* A sequence, all of it. */
void native_engine_run_sequence(struct native_engine *engine, const struct native_case *c,
                                struct native_outcome *outcome);
/* The same step by step, in the interpreter: begin, then decode (at an offset from the entry) and
 * execute; false: a fault came, and nothing has changed. */
struct cpu *native_engine_begin(struct native_engine *engine, const struct native_case *c);
bool native_engine_step(struct native_engine *engine, unsigned offset, const uint8_t *bytes,
                        unsigned length);
void native_engine_end(struct native_engine *engine, struct native_outcome *outcome);

/* Where flags, condition codes and the like that are open have been kept out. */
bool native_compare_sequence(const struct native_case *c, const struct native_outcome *engine,
                             const char *who, bool print);
/* compare.c: true if all is equal; else, if asked to, prints the case and what differs. */
bool native_compare(const struct native_case *c, const struct native_outcome *engine, bool print);

#endif
