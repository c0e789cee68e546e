/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: what a QMP client sends, through the framer, the checks and the commands. */
#include "dm/monitor/qmp-commands.h"
#include "dm/monitor/qmp-framer.h"
#include "fuzz/fuzz-machine.h"
#include "fuzz/fuzz-main.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qmp_context context = {.machine = fuzz_machine(), .negotiated = size & 1};
    struct qmp_framer *framer = qmp_framer_new();

    while (size) {
        size_t used, length;
        enum qmp_framer_result result = qmp_framer_feed(framer, data, size, &used);
        const char *text = qmp_framer_text(framer, &length);

        data += used;
        size -= used;
        if (result == QMP_FRAMER_VALUE) {
            json_t *reply = qmp_handle_text(&context, text, length);
            char *dump = json_dumps(reply, 0);

            g_assert(dump); /* there is an answer to everything */
            free(dump);
            json_decref(reply);
        }
    }
    qmp_framer_free(framer);
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "qmp");
}
#endif
