/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: what a vfio-user server sends, in parts whose size the first byte says; each message
 * is taken for what its command says. */
#include "fuzz/fuzz-main.h"
#include "util/little-endian.h"
#include "vfio/user-protocol.h"

/* What the parser let through must be in order. */
static void check_version(const uint8_t *payload, size_t length, unsigned fds)
{
    struct vfio_user_capabilities can;

    if (vfio_user_parse_version(payload, length, fds, &can, NULL)) {
        g_assert(can.message_fds >= 1 && can.message_fds <= VFIO_USER_FDS_MAX);
        g_assert(can.data_size >= 1 && can.data_size <= VFIO_USER_DATA_MAX);
        g_assert(can.dma_maps >= 1);
        g_assert(can.page_sizes >= 4096 && can.page_sizes % 4096 == 0);
        g_assert(can.twin_socket < (int)fds);
    }
}

static void check_region(const uint8_t *payload, size_t length)
{
    struct vfio_region region = {.areas = g_array_new(false, false, sizeof(struct range))};
    unsigned index = length >= 12 ? load_le32(payload + 8) : 0;
    size_t needed;

    if (vfio_user_parse_region_info(payload, length, index, &region, &needed, NULL)) {
        for (unsigned i = 0; i < region.areas->len; i++) {
            struct range area = g_array_index(region.areas, struct range, i);

            g_assert(area.start % 4096 == 0 && area.length % 4096 == 0 && area.length > 0);
            g_assert(area.start < region.size);
        }
        g_assert(region.areas->len <= length / 16 + 1);
    }
    g_array_unref(region.areas);
}

static void check_device(unsigned command, const uint8_t *payload, size_t length)
{
    unsigned index = length >= 12 ? load_le32(payload + 8) % VFIO_IRQ_COUNT : 0, first, second;
    uint32_t flags;

    if (command == VFIO_USER_DEVICE_GET_INFO) {
        if (vfio_user_parse_device_info(payload, length, &flags, &first, &second, NULL)) {
            g_assert(first <= VFIO_REGION_COUNT && second <= VFIO_IRQ_COUNT);
        }
    } else if (vfio_user_parse_irq_info(payload, length, index, &flags, &first, NULL)) {
        g_assert(first <= 2048);
    }
}

static void check_dma(unsigned command, const uint8_t *payload, size_t length)
{
    struct vfio_user_dma_access access;
    const uint8_t *data;

    if (vfio_user_parse_dma_access(command, payload, length, &access, &data) == 0) {
        g_assert(access.count >= 1 && access.count <= VFIO_USER_DATA_MAX);
        g_assert(range_is_valid((struct range){access.address, access.count}));
        if (command == VFIO_USER_DMA_WRITE) {
            g_assert(data >= payload && data + access.count == payload + length);
        }
    }
}

static void check_message(const struct vfio_user_framer *framer)
{
    const uint8_t *payload;
    size_t length;
    struct vfio_user_header header = vfio_user_framer_get(framer, &payload, &length);
    /* Of that size, so that ASan sees what is read beyond it. */
    g_autofree uint8_t *copy = g_memdup2(payload, length);

    g_assert(header.size == length + sizeof(header));
    g_assert(vfio_user_command_name(header.command));
    switch (header.command) {
    case VFIO_USER_VERSION:
        check_version(copy, length, header.id % (VFIO_USER_FDS_MAX + 1));
        break;
    case VFIO_USER_DEVICE_GET_REGION_INFO:
        check_region(copy, length);
        break;
    case VFIO_USER_DEVICE_GET_INFO:
    case VFIO_USER_DEVICE_GET_IRQ_INFO:
        check_device(header.command, copy, length);
        break;
    default:
        check_dma(header.command, copy, length);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vfio_user_framer framer;
    size_t part = size ? (size_t)data[0] * data[0] + 1 : 1;
    enum vfio_user_framing result = VFIO_USER_PART;
    const char *problem = NULL;

    vfio_user_framer_init(&framer);
    while (size && result != VFIO_USER_BROKEN) {
        size_t wanted;
        uint8_t *space = vfio_user_framer_space(&framer, &wanted);
        size_t n = MIN(MIN(part, wanted), size);

        g_assert(wanted > 0);
        memcpy(space, data, n);
        data += n;
        size -= n;
        result = vfio_user_framer_added(&framer, n, &problem);
        if (result == VFIO_USER_WHOLE) {
            check_message(&framer);
            vfio_user_framer_next(&framer);
        }
    }
    g_assert(result != VFIO_USER_BROKEN || problem);
    vfio_user_framer_clear(&framer);
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "vfio-user");
}
#endif
