/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mappings of files that another process may cut short. An access to what is not there any more
 * would end this process (SIGBUS): here it finds zeros instead, and the owner of the mapping is
 * told.
 *
 * Signals belong to the process, so the list of such mappings does, too.
 */
#ifndef DUODM_UTIL_FILE_GUARD_H
#define DUODM_UTIL_FILE_GUARD_H

#include <stdbool.h>
#include <stddef.h>

struct file_guard;

/*
 * Guard length bytes at host, whole pages that can be read. When the file has been cut short *cut
 * (atomic) is true, and notify, an event descriptor (-1: none), is signalled. Both stay until the
 * removal.
 */
struct file_guard *file_guard_add(void *host, size_t length, bool *cut, int notify);
/* Before the memory is unmapped, when nobody uses it any more. */
void file_guard_remove(struct file_guard *guard);

/* The kernel met the fault (EFAULT), so there was no signal: put zeros where a file is cut short.
 * False: none is. Any thread. */
bool file_guard_repair(void);

#endif
