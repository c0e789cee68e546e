/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For a fuzz target that is not linked with a fuzzer (-DFUZZ_ENGINE): a main that runs the target
 * on files, and on the files of folders, as a regression test of its corpus.
 */
#ifndef DUODM_TESTS_FUZZ_FUZZ_MAIN_H
#define DUODM_TESTS_FUZZ_FUZZ_MAIN_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifndef FUZZ_ENGINE
static unsigned fuzz_run(const char *path)
{
    g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
    g_autofree char *data = NULL;
    g_autoptr(GError) error = NULL;
    const char *name;
    unsigned count = 0;
    gsize size;

    if (folder) {
        while ((name = g_dir_read_name(folder))) {
            g_autofree char *file = g_build_filename(path, name, NULL);

            count += fuzz_run(file);
        }
        return count;
    }
    if (!g_file_get_contents(path, &data, &size, &error)) {
        g_printerr("%s\n", error->message);
        return 0;
    }
    LLVMFuzzerTestOneInput((const uint8_t *)data, size);
    return 1;
}

int main(int argc, char **argv)
{
    unsigned count = 0;

    for (int i = 1; i < argc; i++) {
        unsigned of_this = fuzz_run(argv[i]);

        if (!of_this) {
            return 1;
        }
        count += of_this;
    }
    g_printerr("%u inputs\n", count);
    return 0;
}
#endif

#endif
