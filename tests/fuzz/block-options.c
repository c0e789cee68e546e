/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: the text of -drive (after a 'd') or -blockdev (after anything else). */
#include "dm/block/drive.h"
#include "dm/block/options.h"
#include "fuzz/fuzz-main.h"

static void parse(json_t *object)
{
    struct block_options options;
    g_autoptr(GError) error = NULL;

    if (block_options_parse(object, &options, &error)) {
        json_t *file = options.file_definition;

        if (file) {
            parse(file);
        }
        block_options_clear(&options);
    } else {
        g_assert(error && *error->message);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup(size ? (const char *)data : "", size);
    g_autoptr(GError) error = NULL;

    if (text[0] == 'd') {
        struct drive *drive = drive_from_text(text + 1, &error);

        g_assert(drive || error);
        if (drive && drive->blockdev) {
            parse(drive->blockdev);
        }
        drive_free(drive);
    } else if (text[0]) {
        json_t *object = blockdev_from_text(text + 1, &error);

        g_assert(object || error);
        if (object) {
            parse(object);
        }
        json_decref(object);
    }
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "block-options");
}
#endif
