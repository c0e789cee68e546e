/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tcg/block-log.h"
#include "tcg/translate.h"
#include "util/log.h"

#include <inttypes.h>

#define ROW_BYTES 16

void block_log_guest(const char *by, uint64_t linear, uint64_t rip, const struct insn *insns,
                     unsigned count)
{
    g_autoptr(GString) text = g_string_new(NULL);

    g_string_append_printf(text, "IN: %s\n", by);
    for (unsigned i = 0; i < count; i++) {
        g_autofree char *insn = insn_format(&insns[i], rip);

        g_string_append_printf(text, "0x%016" PRIx64 ":  %s\n", linear, insn);
        linear += insns[i].length;
        rip += insns[i].length;
    }
    log_printf("%s\n", text->str);
}

/* Rows of bytes, each with its offset from the block's first. */
static void append_rows(GString *text, const uint8_t *entry, const uint8_t *from, const uint8_t *to)
{
    for (const uint8_t *row = from; row < to; row += ROW_BYTES) {
        g_string_append_printf(text, "  +0x%04x: ", (unsigned)(row - entry));
        for (const uint8_t *at = row; at < to && at < row + ROW_BYTES; at++) {
            g_string_append_printf(text, " %02x", *at);
        }
        g_string_append_c(text, '\n');
    }
}

/* Where the code of what comes after instruction i begins. */
static const uint8_t *code_end(const struct translator *t, unsigned i)
{
    bool is_last = i + 1 == t->count || !t->insn_code[i + 1];

    return is_last ? t->exits_code : t->insn_code[i + 1];
}

void block_log_host(const struct translator *t, uint64_t linear)
{
    g_autoptr(GString) text = g_string_new(NULL);

    g_string_append_printf(text, "OUT: 0x%" PRIx64 ", %u bytes\n",
                           (uint64_t)(uintptr_t)(t->entry + t->e.to_exec),
                           (unsigned)(t->e.at - t->entry));
    g_string_append(text, "entry\n");
    append_rows(text, t->entry, t->entry, t->insn_code[0]);
    for (unsigned i = 0; i < t->count && t->insn_code[i]; i++) {
        g_string_append_printf(text, "guest 0x%016" PRIx64 "\n", linear);
        append_rows(text, t->entry, t->insn_code[i], code_end(t, i));
        linear += t->insns[i].length;
    }
    g_string_append(text, "exits and slow paths\n");
    append_rows(text, t->entry, t->exits_code, t->e.at);
    log_printf("%s\n", text->str);
}
