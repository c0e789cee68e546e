/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An RCU of its own, of the flavour that registers threads by itself. Not inline (_LGPL_SOURCE):
 * its header uses structures that the library has not aligned as they are declared.
 */
#include "memory/translation.h"

#include <urcu/urcu-bp.h>

void memory_translation_hold(void)
{
    urcu_bp_read_lock();
}

void memory_translation_release(void)
{
    urcu_bp_read_unlock();
}

void memory_translation_synchronize(void)
{
    urcu_bp_synchronize_rcu();
}
