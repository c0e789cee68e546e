/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes, in any mode: the decoder stays within them, agrees with itself when it gets them bit
 * by bit, and what it accepts can be printed. First byte: mode; the rest is code.
 */
#include "fuzz/fuzz-main.h"
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
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "decode");
}
#endif
