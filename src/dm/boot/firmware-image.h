/* SPDX-License-Identifier: GPL-2.0-or-later */
/* BIOS images: where they are searched, and what they must look like. */
#ifndef DUODM_DM_BOOT_FIRMWARE_IMAGE_H
#define DUODM_DM_BOOT_FIRMWARE_IMAGE_H

#include <glib.h>

struct machine_config;

#define FIRMWARE_DEFAULT_NAME "bios-256k.bin"
#define FIRMWARE_IMAGE_MAX    (16u << 20) /* bytes; it lies right below 4 GiB */

/*
 * The path of a firmware file: as it is named, or in a folder of -L, or where Debian's packages put
 * such files. Caller frees. NULL and an error that says what to do if it is nowhere.
 */
char *firmware_file_find(const struct machine_config *config, const char *name, GError **error);

/*
 * Read an image by -bios's argument: a path, or a name that is looked for in duodm's own data
 * folder and where Debian's seabios package puts it. NULL: the default. Its size must be a multiple
 * of 64 KiB. NULL and an error if there is none.
 */
GBytes *firmware_image_read(const char *name, GError **error);

#endif
