/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/block/block-private.h"
#include "memory/host-access.h"

void block_iov_copy(const struct block_request *request, uint64_t skip, char *buffer,
                    uint64_t length, bool to_buffer)
{
    for (unsigned i = 0; i < request->iov_count && length; i++) {
        const struct iovec *iov = &request->iov[i];
        uint64_t piece;

        if (skip >= iov->iov_len) {
            skip -= iov->iov_len;
            continue;
        }
        piece = MIN(iov->iov_len - skip, length);
        if (to_buffer) {
            host_read(buffer, (char *)iov->iov_base + skip, piece, false);
        } else {
            host_write((char *)iov->iov_base + skip, buffer, piece, false);
        }
        buffer += piece;
        length -= piece;
        skip = 0;
    }
}

void block_iov_zero(const struct block_request *request, uint64_t skip)
{
    static const char zeroes[4096];

    while (skip < request->length) {
        uint64_t piece = MIN(request->length - skip, sizeof(zeroes));

        block_iov_copy(request, skip, (char *)zeroes, piece, false);
        skip += piece;
    }
}
