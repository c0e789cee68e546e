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
 * directory, a pipe or a device, empty or larger than the limit.
 */
GBytes *boot_file_read(const char *role, const char *path, uint64_t limit, const char *limit_reason,
                       GError **error);

/* The same file kept open instead, for what is read straight into guest memory at each reset. */
struct boot_file;
struct boot_file *boot_file_open(const char *role, const char *path, uint64_t limit,
                                 const char *limit_reason, GError **error);
struct boot_file *boot_file_ref(struct boot_file *file);
void boot_file_unref(struct boot_file *file);
uint64_t boot_file_size(const struct boot_file *file); /* bytes, when it was opened */
/* Bytes from an offset; false if the file has become shorter, or can't be read. */
bool boot_file_copy(const struct boot_file *file, uint64_t offset, void *to, uint64_t length);

#endif
