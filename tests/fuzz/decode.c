/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes, in any mode: the decoder stays within them, agrees with itself when it gets them bit
 * by bit, and what it accepts can be printed. First byte: mode; the rest is code.
 */
#include "tcg/opcode.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cpu cpu;
    struct insn insn, again;

    if (size < 1) {
        return 0;
    }
    memset(&cpu, 0, sizeof(cpu));
    memset(&cpu.features, data[0] & 0x10 ? 0 : 0xff, sizeof(cpu.features));
    cpu.mode = (data[0] & 3) % 3;
    cpu.protected_mode = cpu.mode == CPU_MODE_64 || (data[0] & 4);
    cpu.v86 = cpu.mode == CPU_MODE_16 && cpu.protected_mode && (data[0] & 8);

    for (size_t at = 1; at < size;) {
        unsigned available = MIN(size - at, 15);
        /* Of its own size, so that a sanitizer sees a read past the end. */
        g_autofree uint8_t *code = g_memdup2(data + at, available);
        enum decode_result result = decode_insn(&cpu, code, available, &insn);

        if (result != DECODE_OK) {
            at++;
            continue;
        }
        g_assert_cmpuint(insn.length, >=, 1);
        g_assert_cmpuint(insn.length, <=, available);
        g_assert_nonnull(insn.execute);
        g_assert_cmpint(decode_insn(&cpu, code, insn.length, &again), ==, DECODE_OK);
        g_assert_cmpuint(again.length, ==, insn.length);
        if (insn.length > 1) {
            g_assert_cmpint(decode_insn(&cpu, code, insn.length - 1, &again), ==, DECODE_NEED_MORE);
        }
        g_autofree char *text = insn_format(&insn, at);
        g_assert_cmpuint(strlen(text), >, 0);
        insn_undefined_flags(&insn);
        at += insn.length;
    }
    return 0;
}

#ifndef FUZZ_ENGINE
static bool run_file(const char *path)
{
    g_autofree char *data = NULL;
    g_autoptr(GError) error = NULL;
    gsize size;

    if (!g_file_get_contents(path, &data, &size, &error)) {
        g_printerr("%s\n", error->message);
        return false;
    }
    LLVMFuzzerTestOneInput((const uint8_t *)data, size);
    return true;
}

static bool run_folder(const char *path)
{
    g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
    const char *name;
    bool good = folder != NULL;

    while (folder && (name = g_dir_read_name(folder))) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        good = run_file(file) && good;
    }
    return good;
}

/* Files of random bytes from a fixed seed, so that a run without a corpus is a test too. */
static void run_random(unsigned rounds)
{
    GRand *random = g_rand_new_with_seed(20240229);
    uint8_t data[256];

    for (unsigned i = 0; i < rounds; i++) {
        for (unsigned j = 0; j < sizeof(data); j++) {
            data[j] = (uint8_t)g_rand_int(random);
        }
        LLVMFuzzerTestOneInput(data, sizeof(data));
    }
    g_rand_free(random);
}

int main(int argc, char **argv)
{
    bool good = true;

    if (argc < 2) {
        const char *source = g_getenv("srcdir");
        g_autofree char *corpus =
            g_build_filename(source ? source : ".", "tests", "fuzz", "corpus", "decode", NULL);

        run_random(2000);
        return run_folder(corpus) ? 0 : 1;
    }
    for (int i = 1; i < argc; i++) {
        good =
            (g_file_test(argv[i], G_FILE_TEST_IS_DIR) ? run_folder(argv[i]) : run_file(argv[i])) &&
            good;
    }
    return good ? 0 : 1;
}
#endif
