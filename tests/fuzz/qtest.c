/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: lines of the test port, and through them the registers of the small machine. */
#include "fuzz/fuzz-machine.h"
#include "fuzz/fuzz-main.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qtest_server *server = qtest_server_new(fuzz_machine(), NULL, NULL, NULL);
    g_autofree char *text = g_strndup((const char *)data, size);
    char *rest = text, *line;

    while ((line = strsep(&rest, "\n"))) {
        g_autoptr(GString) reply = g_string_new(NULL);

        qtest_handle_line(server, line, reply);
        g_assert(!reply->len || g_str_has_prefix(reply->str, "OK") ||
                 g_str_has_prefix(reply->str, "FAIL "));
    }
    qtest_server_free(server);
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "qtest");
}
#endif
