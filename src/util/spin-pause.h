/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DUODM_UTIL_SPIN_PAUSE_H
#define DUODM_UTIL_SPIN_PAUSE_H

/* Tells the processor that this thread only waits for another (SDM vol. 2, PAUSE). */
static inline void spin_pause(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

#endif
