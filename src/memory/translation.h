/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accesses that go by what an IOMMU has said, from the question to the end of the copy. Nothing
 * else happens between: no callback is called, no lock taken but leaf locks. So who has an IOMMU
 * forget something may wait for all that are under way, with any lock held, and also inside
 * memory_rcu_read_lock.
 */
#ifndef DUODM_MEMORY_TRANSLATION_H
#define DUODM_MEMORY_TRANSLATION_H

/* From before the question on, until the copy has ended. Nests; nothing between may wait. */
void memory_translation_hold(void);
void memory_translation_release(void);
/* Wait for those that hold now. Not while holding. */
void memory_translation_synchronize(void);

#endif
