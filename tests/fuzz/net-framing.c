/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: what the peer of a stream back end sends, in parts whose size the first byte says.
 */
#include "dm/net/framing.h"
#include "fuzz/fuzz-main.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_reader reader;
    size_t part = size ? (size_t)data[0] * data[0] + 1 : 1;
    uint32_t sum = 0;

    frame_reader_init(&reader);
    while (size) {
        const uint8_t *packet;
        enum frame_result result;
        size_t room, length;
        uint8_t *space = frame_reader_space(&reader, &room);
        size_t n = MIN(MIN(part, room), size);

        g_assert(room > 0);
        memcpy(space, data, n);
        frame_reader_added(&reader, n);
        data += n;
        size -= n;
        while ((result = frame_reader_peek(&reader, &packet, &length)) == FRAME_PACKET) {
            for (size_t i = 0; i < length; i++) {
                sum += packet[i];
            }
            frame_reader_drop(&reader);
        }
        if (result == FRAME_BROKEN) {
            break;
        }
    }
    frame_reader_destroy(&reader);
    return sum == 1 ? 0 : 0; /* sum: so that the bytes are read */
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "net-framing");
}
#endif
