/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The main of a fuzz target that is not built for libFuzzer (-DFUZZ_ENGINE): runs the files and
 * folders that the command line names; without any, the target's corpus, each file as it is and
 * then changed in a few thousand random ways.
 */
#ifndef DUODM_TESTS_FUZZ_FUZZ_MAIN_H
#define DUODM_TESTS_FUZZ_FUZZ_MAIN_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifndef FUZZ_ENGINE
#define FUZZ_CHANGES 2000
#define FUZZ_SEED    20261122

static void fuzz_change(GRand *random, const uint8_t *data, size_t size)
{
    size_t length = g_rand_boolean(random) ? size : (size_t)g_rand_int_range(random, 0, (int)size);
    g_autofree uint8_t *copy = g_memdup2(data, length); /* of that size, so that ASan sees it */

    for (int k = g_rand_int_range(random, 1, 6); k && length; k--) {
        size_t at = (size_t)g_rand_int_range(random, 0, (int)MIN(length, 4096));
        static const uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0xff};

        copy[at] = g_rand_boolean(random) ? (uint8_t)g_rand_int(random)
                                          : edges[g_rand_int_range(random, 0, 5)];
    }
    LLVMFuzzerTestOneInput(copy, length);
}

static bool fuzz_run_file(const char *path, unsigned changes)
{
    g_autofree char *data = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GRand) random = g_rand_new_with_seed(FUZZ_SEED);
    gsize size;

    if (!g_file_get_contents(path, &data, &size, &error)) {
        g_printerr("%s\n", error->message);
        return false;
    }
    LLVMFuzzerTestOneInput((const uint8_t *)data, size);
    for (unsigned i = 0; i < changes && size; i++) {
        fuzz_change(random, (const uint8_t *)data, size);
    }
    return true;
}

static bool fuzz_run_path(const char *path, unsigned changes)
{
    g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
    const char *name;
    bool good = true;

    if (!folder) {
        return fuzz_run_file(path, changes);
    }
    while ((name = g_dir_read_name(folder))) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        good = fuzz_run_file(file, changes) && good;
    }
    return good;
}

static int fuzz_main(int argc, char **argv, const char *name)
{
    const char *source = g_getenv("srcdir");
    g_autofree char *corpus =
        g_build_filename(source ? source : ".", "tests/fuzz/corpus", name, NULL);
    bool good = true;

    if (argc < 2) {
        g_print("seed %u, %u changes of each file\n", FUZZ_SEED, FUZZ_CHANGES);
        return fuzz_run_path(corpus, FUZZ_CHANGES) ? 0 : 1;
    }
    for (int i = 1; i < argc; i++) {
        good = fuzz_run_path(argv[i], 0) && good;
    }
    return good ? 0 : 1;
}
#endif

#endif
