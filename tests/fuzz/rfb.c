/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: what a client sends, cut into messages as the relay does. */
#include "dm/vnc/rfb-message.h"
#include "fuzz/fuzz-main.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum rfb_stage stage = RFB_STAGE_VERSION;
    unsigned minor = 8;
    size_t at = 1;

    while (at < size) {
        size_t available = MIN(size - at, RFB_MESSAGE_MAX);
        g_autofree uint8_t *bytes = g_memdup2(data + at, available); /* so that ASan sees its end */
        struct rfb_message message = rfb_message_look(stage, bytes, available);

        if (message.verdict == RFB_INCOMPLETE || message.verdict == RFB_BAD) {
            g_assert(message.verdict == RFB_BAD || message.length > available);
            break;
        }
        g_assert(message.length > 0);
        g_assert(message.verdict == RFB_SKIP || message.length <= available);
        if (stage == RFB_STAGE_VERSION && !rfb_parse_version(bytes, &minor)) {
            break;
        }
        stage = rfb_next_stage(stage, bytes, minor == RFB_MINOR_OLD, data[0] & 1);
        at += message.length;
    }
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "rfb");
}
#endif
