/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The log of blocks: -d in_asm, -d out_asm. Each block is one write to the log. */
#ifndef DUODM_TCG_BLOCK_LOG_H
#define DUODM_TCG_BLOCK_LOG_H

#include "tcg/insn.h"

#include <stdint.h>

struct translator;

/* Guest instructions, in a row: the first is at CS:rip, whose linear address is `linear`. `by` says
 * who has decoded them. */
void block_log_guest(const char *by, uint64_t linear, uint64_t rip, const struct insn *insns,
                     unsigned count);
/* Host code of the block that t has just written, up to t->e.at, by guest instruction. `linear`: of
 * the block's start. */
void block_log_host(const struct translator *t, uint64_t linear);

#endif
