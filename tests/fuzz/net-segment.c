/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: a guest's header (12 bytes) and packet, through the software that finishes packets.
 */
#include "dm/net/segment.h"
#include "fuzz/fuzz-main.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vnet_header header;
    struct segmenter segmenter;
    struct iovec pieces[2];
    size_t length, total = 0;

    if (size < sizeof(header) || size > sizeof(header) + NET_PACKET_MAX) {
        return 0;
    }
    memcpy(&header, data, sizeof(header));
    length = size - sizeof(header);
    if (!vnet_header_is_valid(&header, length)) {
        return 0;
    }
    {
        g_autofree uint8_t *packet = g_memdup2(data + sizeof(header), length);

        if (segmenter_start(&segmenter, &header, packet, length)) {
            while (segmenter_next(&segmenter, pieces)) {
                g_assert(pieces[0].iov_len == segmenter.headers);
                g_assert(pieces[1].iov_len <= header.gso_size);
                total += pieces[1].iov_len;
            }
            g_assert(total == length - segmenter.headers);
        }
        packet_finish_large(packet, length, &header);
        if (header.flags & VNET_NEEDS_CHECKSUM) {
            packet_finish_checksum(packet, length, &header);
        }
    }
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "net-segment");
}
#endif
