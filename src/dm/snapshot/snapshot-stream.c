/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/snapshot/snapshot-stream.h"
#include "util/crc32c.h"
#include "util/error.h"
#include "util/little-endian.h"

#include <errno.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

bool snapshot_wait(const struct snapshot_channel *channel, bool to_write, GError **error)
{
    struct pollfd fds[] = {
        {.fd = channel->cancel_fd, .events = POLLIN},
        {.fd = channel->fd, .events = to_write ? POLLOUT : POLLIN},
    };

    while (poll(fds, G_N_ELEMENTS(fds), -1) < 0) {
        if (errno != EINTR) {
            return duodm_fail(error, DUODM_ERROR_IO, "poll: %s", g_strerror(errno));
        }
    }
    return !fds[0].revents || duodm_fail(error, DUODM_ERROR_FAILED, "cancelled");
}

/* Leave out what was written of a vector. */
static void advance(struct iovec *iov, unsigned count, size_t done)
{
    for (unsigned i = 0; i < count && done; i++) {
        size_t step = MIN(done, iov[i].iov_len);

        iov[i].iov_base = (uint8_t *)iov[i].iov_base + step;
        iov[i].iov_len -= step;
        done -= step;
    }
}

static bool write_all(struct snapshot_channel *channel, struct iovec *iov, unsigned count,
                      GError **error)
{
    size_t left = 0;

    for (unsigned i = 0; i < count; i++) {
        left += iov[i].iov_len;
    }
    while (left) {
        ssize_t done;

        if (!snapshot_wait(channel, true, error)) {
            return false;
        }
        done = writev(channel->fd, iov, (int)count);
        if (done < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        if (done <= 0) {
            return duodm_fail(error, DUODM_ERROR_IO, "the machine's state can't be written: %s",
                              g_strerror(done ? errno : EIO));
        }
        advance(iov, count, (size_t)done);
        left -= (size_t)done;
        __atomic_fetch_add(&channel->bytes, (uint64_t)done, __ATOMIC_RELAXED);
    }
    return true;
}

bool snapshot_write(struct snapshot_channel *channel, enum snapshot_record_type type,
                    uint64_t argument, const void *payload, uint32_t length, GError **error)
{
    uint8_t head[SNAPSHOT_RECORD_SIZE];
    struct iovec iov[] = {{head, sizeof(head)}, {(void *)payload, length}};

    store_le32(head, type);
    store_le32(head + 4, length);
    store_le64(head + 8, argument);
    store_le32(head + 16, crc32c(0, payload, length));
    store_le32(head + 20, crc32c(0, head, 20));
    return write_all(channel, iov, G_N_ELEMENTS(iov), error);
}

ssize_t snapshot_read_some(struct snapshot_channel *channel, void *data, size_t size,
                           GError **error)
{
    for (;;) {
        ssize_t done;

        if (!snapshot_wait(channel, false, error)) {
            return -1;
        }
        done = read(channel->fd, data, size);
        if (done >= 0) {
            __atomic_fetch_add(&channel->bytes, (uint64_t)done, __ATOMIC_RELAXED);
            return done;
        }
        if (errno != EINTR && errno != EAGAIN) {
            duodm_fail(error, DUODM_ERROR_IO, "the machine's state can't be read: %s",
                       g_strerror(errno));
            return -1;
        }
    }
}

bool snapshot_read(struct snapshot_channel *channel, void *data, size_t length, GError **error)
{
    while (length) {
        ssize_t done = snapshot_read_some(channel, data, length, error);

        if (done < 0) {
            return false;
        }
        if (!done) {
            return duodm_fail(error, DUODM_ERROR_IO,
                              "the machine's state ends too soon, after %" G_GUINT64_FORMAT
                              " bytes: it was cut off, or its writer failed",
                              channel->bytes);
        }
        data = (uint8_t *)data + done;
        length -= (size_t)done;
    }
    return true;
}

bool snapshot_parse_record(const uint8_t head[SNAPSHOT_RECORD_SIZE], struct snapshot_record *record,
                           GError **error)
{
    *record = (struct snapshot_record){
        .type = load_le32(head),
        .length = load_le32(head + 4),
        .argument = load_le64(head + 8),
        .checksum = load_le32(head + 16),
    };
    return crc32c(0, head, 20) == load_le32(head + 20) ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "what is read is no saved machine, or was altered: the head of a record has "
                      "a wrong checksum");
}

bool snapshot_read_record(struct snapshot_channel *channel, struct snapshot_record *record,
                          GError **error)
{
    uint8_t head[SNAPSHOT_RECORD_SIZE];

    return snapshot_read(channel, head, sizeof(head), error) &&
           snapshot_parse_record(head, record, error);
}

bool snapshot_check_payload(const struct snapshot_record *record, const void *payload,
                            GError **error)
{
    return crc32c(0, payload, record->length) == record->checksum ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "the machine's state was altered: a record of %u bytes has a wrong checksum",
                      record->length);
}
