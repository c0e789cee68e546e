/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/boot/firmware-image.h"
#include "dm/boot/boot-file.h"
#include "dm/machine.h"
#include "util/error.h"

#define SIZE_UNIT 0x10000u

static const char *const folders[] = {DUODM_DATADIR, "/usr/share/seabios", "/usr/share/qemu"};

/* The path of an image; NULL if there is none of that name anywhere. A path is taken as it is. */
static char *find_image(const char *name)
{
    if (strchr(name, '/') || g_file_test(name, G_FILE_TEST_EXISTS)) {
        return g_strdup(name);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(folders); i++) {
        char *path = g_build_filename(folders[i], name, NULL);

        if (g_file_test(path, G_FILE_TEST_EXISTS)) {
            return path;
        }
        g_free(path);
    }
    return NULL;
}

char *firmware_file_find(const struct machine_config *config, const char *name, GError **error)
{
    static const char *const places[] = {DUODM_DATADIR, "/usr/share/seabios", "/usr/share/qemu",
                                         "/usr/share/ovmf", "/usr/lib/ipxe/qemu"};
    const GPtrArray *given = config->firmware_folders;

    if (g_file_test(name, G_FILE_TEST_EXISTS)) {
        return g_strdup(name);
    }
    for (unsigned i = 0; i < given->len + G_N_ELEMENTS(places); i++) {
        const char *folder = i < given->len ? g_ptr_array_index(given, i) : places[i - given->len];
        g_autofree char *path = g_build_filename(folder, name, NULL);

        if (g_file_test(path, G_FILE_TEST_EXISTS)) {
            return g_steal_pointer(&path);
        }
    }
    duodm_fail(error, DUODM_ERROR_NOT_FOUND,
               "firmware '%s' was not found: install Debian's seabios, or name another with -bios "
               "or its folder with -L",
               name);
    return NULL;
}

GBytes *firmware_image_read(const char *name, GError **error)
{
    g_autofree char *path = find_image(name ? name : FIRMWARE_DEFAULT_NAME);
    GBytes *image;

    if (!path) {
        duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                   "no BIOS image '%s' in %s or %s: install Debian's seabios package (apt-get "
                   "install seabios), or name one with -bios, or a kernel with -kernel",
                   name ? name : FIRMWARE_DEFAULT_NAME, folders[0], folders[1]);
        return NULL;
    }
    image = boot_file_read("BIOS image", path, FIRMWARE_IMAGE_MAX, "the room for it below 4 GiB",
                           error);
    if (image && g_bytes_get_size(image) % SIZE_UNIT) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "BIOS image '%s' is truncated or none: its %zu bytes are no multiple of 64 KiB",
                   path, g_bytes_get_size(image));
        g_bytes_unref(image);
        return NULL;
    }
    return image;
}
