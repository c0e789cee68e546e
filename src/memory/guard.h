/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lock of a device, taken by the core around each of the device's callbacks (register access,
 * timer, reset, event), so that a device's author never takes it.
 *
 * It also stops a device from being entered again by its own DMA: enter fails, with no lock taken,
 * if the calling thread is in the guard already, or if waiting for it would close a cycle of
 * threads that wait for one another (device A's DMA into B while B's DMA goes into A). The access
 * then fails as a bus error would.
 */
#ifndef DUODM_MEMORY_GUARD_H
#define DUODM_MEMORY_GUARD_H

#include <stdbool.h>
#include <stdint.h>

struct access_guard {
    uintptr_t word; /* atomic: who is inside, and whether others wait; 0: nobody. guard.c's */
};

void access_guard_init(struct access_guard *guard);
void access_guard_destroy(struct access_guard *guard);

/* Enter; blocks while another thread is inside. False: re-entry or a cycle, and nothing taken. */
bool access_guard_enter(struct access_guard *guard) __attribute__((warn_unused_result));
void access_guard_leave(struct access_guard *guard);

/* Is the calling thread inside? For assertions. */
bool access_guard_is_held(const struct access_guard *guard);

#endif
