/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much memory this host can give. The kernel grants memory lazily, and what a guest never
 * touches costs nothing, so that a guest may be given more than is free. What is more than all RAM
 * and swap together can't ever be had: the guest would be killed in the middle of its work. An
 * administrator who wants that (a sparse guest) says so: vm.overcommit_memory=1.
 */
#ifndef DUODM_UTIL_HOST_MEMORY_H
#define DUODM_UTIL_HOST_MEMORY_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct host_memory {
    uint64_t ram, swap;     /* bytes in all */
    uint64_t available;     /* bytes that can be had now without swapping; 0: not known */
    bool always_overcommit; /* vm.overcommit_memory is 1 */
};

void host_memory_read(struct host_memory *host);
/* May a guest have so many bytes? The error says what there is and what to do. */
bool host_memory_check(const struct host_memory *host, uint64_t size, GError **error);

#endif
