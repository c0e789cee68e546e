/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory of translated code: one memfd mapped twice, writable here, executable there, so that
 * no page is ever both. Filled from the bottom up; when full, all of it is forgotten at once. The
 * lock of its owner guards it.
 */
#ifndef DUODM_TCG_CODE_CACHE_H
#define DUODM_TCG_CODE_CACHE_H

#include "tcg/emit.h"

#include <glib.h>
#include <stddef.h>

#define CODE_ALIGNMENT 16 /* bytes: where a block may start */

struct code_cache {
    uint8_t *writable;
    const uint8_t *executable;
    size_t size;         /* bytes */
    size_t used;         /* of them */
    size_t kept;         /* used again after a flush from here on: what is below stays */
    unsigned generation; /* flushes so far */
};

bool code_cache_init(struct code_cache *cache, size_t size, GError **error);
void code_cache_destroy(struct code_cache *cache);
/* Start writing at the next aligned place, with all the room there is. */
void code_cache_begin(const struct code_cache *cache, struct emitter *e);
/* Keep what was written. Its executable address is e's start plus e->to_exec. */
void code_cache_commit(struct code_cache *cache, const struct emitter *e);
/* What has been written so far survives flushes. */
void code_cache_keep(struct code_cache *cache);
void code_cache_flush(struct code_cache *cache);

#endif
