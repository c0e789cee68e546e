/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mappings that somebody else can take away: files that another process may cut short, registers
 * of a device that the host may withdraw. An access to what is not there any more would end this
 * process (SIGBUS): here it finds zeros in a file and ones in registers, and the owner of the
 * mapping is told.
 *
 * Signals belong to the process, so the list of such mappings does, too.
 */
#ifndef DUODM_UTIL_FILE_GUARD_H
#define DUODM_UTIL_FILE_GUARD_H

#include <stdbool.h>
#include <stddef.h>

struct file_guard;

/* Of any number of guards. */
struct file_guard_owner {
    bool is_device; /* registers: reading them does something, so only who wants them may */
    bool cut;       /* atomic: something was not there any more */
    int notify;     /* atomic: event descriptor that is signalled then; -1: none */
};

/* Guard length bytes at host, whole pages that can be read. The owner stays until the removal. */
struct file_guard *file_guard_add(void *host, size_t length, struct file_guard_owner *owner);
/* Before the memory is unmapped, when nobody uses it any more. */
void file_guard_remove(struct file_guard *guard);

/* The kernel met the fault (EFAULT), so there was no signal: put zeros where a file is cut short.
 * False: none is. Devices are not looked at. Any thread. (KVM tells of such a fault only while the
 * guest has interrupts off: else it fetches the page in the background, again and again.) */
bool file_guard_repair(void);

#endif
