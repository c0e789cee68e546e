/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -accel tcg,lockstep=on: each translated block is executed by the interpreter too, from the same
 * state, and the outcomes are compared: registers, flags, vectors, a fault if there was one, and
 * memory. For one vCPU.
 *
 * The interpreter goes first. Its stores and those of its page walks are logged; they are undone,
 * and the TLB entries that it made dropped, before the translated code runs: that starts from the
 * same memory, and meets the same TLB misses. The host addresses that translated code checks for
 * writing are logged too: it writes nowhere where the interpreter wrote nothing.
 *
 * What reaches a device, and what can't be executed twice (RDTSC, WRMSR, ...), is executed once, by
 * the interpreter: for that the translator would call the same handlers.
 */
#ifndef DUODM_TCG_LOCKSTEP_H
#define DUODM_TCG_LOCKSTEP_H

#include "tcg/cpu.h"

#include <glib.h>

#define LOCKSTEP_PROBES 256 /* more than a block can have */

struct translation;

/* A place that the interpreter wrote. Its bytes are in lockstep.bytes: as they were, and from
 * `length` on as the block left them. */
struct lockstep_store {
    uint8_t *host;
    unsigned length, bytes;
};

/* A place that translated code was about to write. It makes these records itself. */
struct lockstep_probe {
    uint8_t *host;
    uint64_t size;
};

/* Of one vCPU; touched by its thread alone. */
struct lockstep {
    jmp_buf unwind; /* of a turn */
    bool refused;   /* the interpreter's turn ended so */
    unsigned count; /* instructions that the interpreter executed in it */
    GArray *stores; /* of struct lockstep_store */
    GByteArray *bytes;
    GArray *fills; /* of uint32_t: TLB entries made by either, as tlb_drop takes them */
    struct lockstep_probe probes[LOCKSTEP_PROBES]; /* up to cpu->write_probe */
    struct cpu before, interpreted;
    char *difference;               /* the message about the one found, or NULL */
    uint64_t compared, once, again; /* blocks; again: attempts after the first. For info jit */
};

struct lockstep *lockstep_new(void);
void lockstep_free(struct lockstep *lockstep); /* may be NULL */

/* Instead of jit_run, and with its contract: one block. */
bool lockstep_run(struct cpu *cpu);

/* A TLB entry was filled: as tlb_drop takes it. */
void lockstep_note_fill(struct lockstep *lockstep, uint32_t entry);
/* While cpu->trial is set: length bytes of guest memory at host are about to be written. */
void lockstep_note_store(struct lockstep *lockstep, uint8_t *host, unsigned length);
/* Likewise: the block does what can't be undone. Ends the trial. */
_Noreturn void lockstep_refuse(struct cpu *cpu);

/* lockstep-compare.c. Is cpu, and memory, as the interpreter left them? If not and text is given,
 * append what is not. */
bool lockstep_differs(const struct cpu *cpu, const struct translation *translation, GString *text);
/* A probe of translated code where the interpreter stored nothing, or NULL. */
const struct lockstep_probe *lockstep_find_stray(const struct cpu *cpu);
/* Tell of a difference, and have the machine stopped. */
void lockstep_report(struct cpu *cpu, const struct translation *translation);
/* For info jit. */
void lockstep_print(const struct lockstep *lockstep, GString *out);

#endif
