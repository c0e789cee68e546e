/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Read-copy-update for the memory layer, over liburcu-memb. Readers use memory_rcu_read_lock and
 * memory_rcu_read_unlock (address-space.h); writers publish with an atomic release store and give
 * what they replaced to memory_rcu_defer. ThreadSanitizer can't see liburcu's ordering, so the
 * wrappers tell it.
 */
#ifndef DUODM_MEMORY_RCU_H
#define DUODM_MEMORY_RCU_H

#include <stdbool.h>
#include <urcu/urcu-memb.h>

/* Call function(head) in a helper thread once all present readers are done. Never blocks. */
void memory_rcu_defer(struct rcu_head *head, void (*function)(struct rcu_head *head));

/* To be called first in a deferred function, before it frees anything. */
void memory_rcu_deferred_begin(void);

/* Is the calling thread between memory_rcu_read_lock and its unlock? */
bool memory_rcu_is_reading(void);

/* Wait until all present readers are done. Not while reading. */
void memory_rcu_synchronize(void);

/* Wait until everything deferred before has run. Not while reading. For tests and teardown. */
void memory_rcu_barrier(void);

#endif
