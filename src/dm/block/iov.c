/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/block/block-private.h"

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
            memcpy(buffer, (char *)iov->iov_base + skip, piece);
        } else {
            memcpy((char *)iov->iov_base + skip, buffer, piece);
        }
        buffer += piece;
        length -= piece;
        skip = 0;
    }
}
