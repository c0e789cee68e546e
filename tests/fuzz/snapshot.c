/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: a saved machine, loaded as it is and then with all its checksums made good, so that
 * what lies behind them is reached. What a loader refuses must leave devices as they were.
 */
#include "dm/snapshot/device-state.h"
#include "dm/snapshot/migration-private.h"
#include "fuzz/fuzz-machine.h"
#include "fuzz/fuzz-main.h"
#include "util/crc32.h"
#include "util/crc32c.h"
#include "util/little-endian.h"

#include <sys/mman.h>
#include <unistd.h>

#define SECTION_HEAD 12u
#define SECTION_MIN  16u

static const struct board_class fuzz_board = {.name = "fuzz"};

static void mend_sections(uint8_t *data, size_t length)
{
    while (length >= SECTION_MIN) {
        uint32_t section = load_le32(data + 4);

        if (section < SECTION_MIN || section > length) {
            return;
        }
        store_le32(data + section - 4, crc32_of(data, section - 4));
        data += section;
        length -= section;
    }
}

static void mend_records(uint8_t *data, size_t length)
{
    while (length >= SNAPSHOT_RECORD_SIZE) {
        size_t payload = MIN(load_le32(data + 4), length - SNAPSHOT_RECORD_SIZE);

        if (load_le32(data) == SNAPSHOT_STATE) {
            mend_sections(data + SNAPSHOT_RECORD_SIZE, payload);
        }
        store_le32(data + 16, crc32c(0, data + SNAPSHOT_RECORD_SIZE, payload));
        store_le32(data + 20, crc32c(0, data, 20));
        data += SNAPSHOT_RECORD_SIZE + payload;
        length -= SNAPSHOT_RECORD_SIZE + payload;
    }
}

static void load(struct machine *machine, int fd, const uint8_t *data, size_t size)
{
    struct migration *migration = machine->migration;
    g_autoptr(GByteArray) before = g_byte_array_new(), after = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    bool was_running, good;

    if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size) {
        abort();
    }
    lseek(fd, 0, SEEK_SET);
    migration->channel = (struct snapshot_channel){.fd = fd, .cancel_fd = -1};
    good = migration_read(migration, &error);
    g_assert(good == !error);
    if (!good) {
        return;
    }
    g_assert(device_state_save(machine, false, before, NULL));
    if (!device_state_load(machine, migration->state->data, migration->state->len, &was_running,
                           &error)) {
        g_assert(error);
        g_assert(device_state_save(machine, false, after, NULL));
        g_assert(before->len == after->len && !memcmp(before->data, after->data, before->len));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    struct machine *machine = fuzz_machine();
    g_autofree uint8_t *mended = g_memdup2(data, size);

    if (fd < 0) {
        fd = memfd_create("snapshot", MFD_CLOEXEC);
        machine->board = &fuzz_board;
    }
    load(machine, fd, data, size);
    if (size >= 4 && load_le32(data) == SNAPSHOT_HEAD) {
        mend_records(mended, size);
    } else if (size) {
        mend_sections(mended, size);
    }
    load(machine, fd, mended, size);
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "snapshot");
}
#endif
