/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: a command line, one word per line of the input. */
#include "dm/cli/options.h"
#include "fuzz/fuzz-main.h"
#include "unit/engines-for-tests.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup(size ? (const char *)data : "", size);
    g_auto(GStrv) words = g_strsplit(text, "\n", 256);
    g_autoptr(GError) error = NULL;
    struct command_line line;

    if (!freopen("/dev/null", "w", stdout)) { /* the lists of "help" */
        return 0;
    }
    command_line_init(&line);
    if (!command_line_parse(&line, (int)g_strv_length(words), words, &error)) {
        g_assert(error && *error->message);
    }
    command_line_clear(&line);
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "options");
}
#endif
