/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that a user names to be put into the guest's memory. */
#ifndef DUODM_DM_BOOT_BOOT_FILE_H
#define DUODM_DM_BOOT_BOOT_FILE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Read a whole file of at most `limit` bytes (the machine's RAM, unless limit_reason says what
 * else). role says what it is to the user: "kernel". NULL and an error if it is missing, a
 * directory, empty or larger than the limit. Pipes are read to their end.
 */
GBytes *boot_file_read(const char *role, const char *path, uint64_t limit, const char *limit_reason,
                       GError **error);

#endif
