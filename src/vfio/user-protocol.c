/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vfio/user-protocol.h"
#include "util/error.h"
#include "vfio/region-info.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <linux/vfio.h>
#include <string.h>
#include <unistd.h>

#define HEADER_SIZE      sizeof(struct vfio_user_header)
#define SMALL_PAGE       UINT64_C(4096)
#define DEFAULT_DMA_MAPS 65535u
#define VERSION_SIZE     4u         /* major and minor */
#define DMA_MAPS_MAX     (1u << 24) /* what is more is taken for that */

const char *vfio_user_command_name(unsigned command)
{
    static const char *const names[] = {
        [VFIO_USER_VERSION] = "VERSION",
        [VFIO_USER_DMA_MAP] = "DMA_MAP",
        [VFIO_USER_DMA_UNMAP] = "DMA_UNMAP",
        [VFIO_USER_DEVICE_GET_INFO] = "DEVICE_GET_INFO",
        [VFIO_USER_DEVICE_GET_REGION_INFO] = "DEVICE_GET_REGION_INFO",
        [VFIO_USER_DEVICE_GET_IRQ_INFO] = "DEVICE_GET_IRQ_INFO",
        [VFIO_USER_DEVICE_SET_IRQS] = "DEVICE_SET_IRQS",
        [VFIO_USER_REGION_READ] = "REGION_READ",
        [VFIO_USER_REGION_WRITE] = "REGION_WRITE",
        [VFIO_USER_DMA_READ] = "DMA_READ",
        [VFIO_USER_DMA_WRITE] = "DMA_WRITE",
        [VFIO_USER_DEVICE_RESET] = "DEVICE_RESET",
    };

    return command < G_N_ELEMENTS(names) && names[command] ? names[command] : "unknown";
}

static bool fail(GError **error, const char *what)
{
    return duodm_fail(error, DUODM_ERROR_IO, "%s", what);
}

/* Messages out of a stream. */

void vfio_user_framer_init(struct vfio_user_framer *framer)
{
    *framer = (struct vfio_user_framer){.room = HEADER_SIZE};
    framer->buffer = g_malloc(framer->room);
}

void vfio_user_framer_clear(struct vfio_user_framer *framer)
{
    vfio_user_framer_next(framer);
    g_clear_pointer(&framer->buffer, g_free);
}

static struct vfio_user_header header_of(const struct vfio_user_framer *framer)
{
    struct vfio_user_header header;

    memcpy(&header, framer->buffer, sizeof(header));
    return header;
}

uint8_t *vfio_user_framer_space(struct vfio_user_framer *framer, size_t *wanted)
{
    size_t whole = framer->filled < HEADER_SIZE ? HEADER_SIZE : header_of(framer).size;

    *wanted = framer->is_broken ? 0 : whole - framer->filled;
    return framer->buffer + framer->filled;
}

enum vfio_user_framing vfio_user_framer_added(struct vfio_user_framer *framer, size_t length,
                                              const char **problem)
{
    struct vfio_user_header header;

    framer->filled += length;
    if (framer->filled < HEADER_SIZE) {
        return VFIO_USER_PART;
    }
    header = header_of(framer);
    if (header.size < HEADER_SIZE || header.size > VFIO_USER_MESSAGE_MAX) {
        *problem = "a message says that it has an impossible size";
        framer->is_broken = true;
        return VFIO_USER_BROKEN;
    }
    if ((header.flags & VFIO_USER_TYPE) > VFIO_USER_REPLY) {
        *problem = "a message is neither a command nor a reply";
        framer->is_broken = true;
        return VFIO_USER_BROKEN;
    }
    if (header.size > framer->room) {
        framer->room = header.size;
        framer->buffer = g_realloc(framer->buffer, framer->room);
    }
    return framer->filled == header.size ? VFIO_USER_WHOLE : VFIO_USER_PART;
}

bool vfio_user_framer_add_fd(struct vfio_user_framer *framer, int fd)
{
    if (framer->fd_count == VFIO_USER_FDS_MAX) {
        close(fd);
        return false;
    }
    framer->fds[framer->fd_count++] = fd;
    return true;
}

struct vfio_user_header vfio_user_framer_get(const struct vfio_user_framer *framer,
                                             const uint8_t **payload, size_t *length)
{
    *payload = framer->buffer + HEADER_SIZE;
    *length = framer->filled - HEADER_SIZE;
    return header_of(framer);
}

void vfio_user_framer_next(struct vfio_user_framer *framer)
{
    while (framer->fd_count) {
        close(framer->fds[--framer->fd_count]);
    }
    framer->filled = 0;
}

/* VERSION. */

GByteArray *vfio_user_make_version(void)
{
    const uint16_t numbers[] = {VFIO_USER_MAJOR, VFIO_USER_MINOR};
    GByteArray *payload = g_byte_array_new();
    g_autofree char *text =
        g_strdup_printf("{\"capabilities\":{\"max_msg_fds\":%u,\"max_data_xfer_size\":%u,"
                        "\"max_dma_maps\":%u,\"twin_socket\":{\"supported\":true}}}",
                        VFIO_USER_FDS_MAX, VFIO_USER_DATA_MAX, DEFAULT_DMA_MAPS);

    g_byte_array_append(payload, (const uint8_t *)numbers, VERSION_SIZE);
    g_byte_array_append(payload, (const uint8_t *)text, (guint)strlen(text) + 1);
    return payload;
}

/* A number of an object, at least 1; *value stays as it is where there is none. */
static bool take_number(const json_t *object, const char *name, uint64_t *value, GError **error)
{
    const json_t *number = json_object_get(object, name);

    if (!number) {
        return true;
    }
    if (!json_is_integer(number) || json_integer_value(number) < 1) {
        return duodm_fail(error, DUODM_ERROR_IO, "VERSION: capability %s is no positive number",
                          name);
    }
    *value = (uint64_t)json_integer_value(number);
    return true;
}

static bool take_twin_socket(const json_t *object, unsigned fd_count, int *index, GError **error)
{
    const json_t *twin = json_object_get(object, "twin_socket");
    const json_t *number = json_object_get(twin, "fd_index");

    if (!json_is_true(json_object_get(twin, "supported"))) {
        return true;
    }
    if (!json_is_integer(number) || json_integer_value(number) < 0 ||
        json_integer_value(number) >= fd_count) {
        return fail(error, "VERSION: twin_socket names no descriptor that came along");
    }
    *index = (int)json_integer_value(number);
    return true;
}

static bool take_capabilities(const json_t *root, unsigned fd_count,
                              struct vfio_user_capabilities *capabilities, GError **error)
{
    const json_t *object = json_object_get(root, "capabilities");
    uint64_t fds = capabilities->message_fds;

    if (!json_is_object(root) || (object && !json_is_object(object))) {
        return fail(error, "VERSION: capabilities are no JSON object");
    }
    if (!take_number(object, "max_msg_fds", &fds, error) ||
        !take_number(object, "max_data_xfer_size", &capabilities->data_size, error) ||
        !take_number(object, "max_dma_maps", &capabilities->dma_maps, error) ||
        !take_number(object, "pgsizes", &capabilities->page_sizes, error) ||
        !take_twin_socket(object, fd_count, &capabilities->twin_socket, error)) {
        return false;
    }
    capabilities->message_fds = (unsigned)MIN(fds, VFIO_USER_FDS_MAX);
    capabilities->data_size = MIN(capabilities->data_size, VFIO_USER_DATA_MAX);
    capabilities->dma_maps = MIN(capabilities->dma_maps, DMA_MAPS_MAX);
    capabilities->page_sizes &= ~(SMALL_PAGE - 1);
    if (!capabilities->page_sizes) {
        return fail(error, "VERSION: pgsizes has no page of 4 KiB or more");
    }
    return true;
}

bool vfio_user_parse_version(const uint8_t *payload, size_t length, unsigned fd_count,
                             struct vfio_user_capabilities *capabilities, GError **error)
{
    uint16_t numbers[2];
    json_t *root;
    bool ok;

    *capabilities = (struct vfio_user_capabilities){
        .message_fds = 1,
        .data_size = VFIO_USER_DATA_MAX,
        .dma_maps = DEFAULT_DMA_MAPS,
        .page_sizes = SMALL_PAGE,
        .twin_socket = -1,
    };
    if (length < VERSION_SIZE) {
        return fail(error, "VERSION: the answer is cut short");
    }
    memcpy(numbers, payload, VERSION_SIZE);
    if (numbers[0] != VFIO_USER_MAJOR || numbers[1] > VFIO_USER_MINOR) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "VERSION: the server speaks %u.%u, duodm %u.%u", numbers[0], numbers[1],
                          VFIO_USER_MAJOR, VFIO_USER_MINOR);
    }
    payload += VERSION_SIZE;
    length -= VERSION_SIZE;
    if (!length) {
        return true;
    }
    if (payload[length - 1]) {
        return fail(error, "VERSION: capabilities do not end with a NUL");
    }
    root = json_loads((const char *)payload, 0, NULL);
    ok = take_capabilities(root, fd_count, capabilities, error);
    json_decref(root);
    return ok;
}

/* Replies about the device. */

bool vfio_user_parse_device_info(const uint8_t *payload, size_t length, uint32_t *flags,
                                 unsigned *regions, unsigned *irqs, GError **error)
{
    uint32_t words[4]; /* argsz, flags, num_regions, num_irqs */

    if (length < sizeof(words)) {
        return fail(error, "DEVICE_GET_INFO: the answer is cut short");
    }
    memcpy(words, payload, sizeof(words));
    if (!(words[1] & VFIO_DEVICE_FLAGS_PCI)) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED, "is no PCI device");
    }
    *flags = words[1];
    *regions = MIN(words[2], VFIO_REGION_COUNT);
    *irqs = MIN(words[3], (unsigned)VFIO_IRQ_COUNT);
    return true;
}

bool vfio_user_parse_region_info(const uint8_t *payload, size_t length, unsigned index,
                                 struct vfio_region *region, size_t *needed, GError **error)
{
    struct vfio_region_info info;

    if (length < sizeof(info)) {
        return fail(error, "DEVICE_GET_REGION_INFO: the answer is cut short");
    }
    memcpy(&info, payload, sizeof(info));
    if (info.index != index) {
        return fail(error, "DEVICE_GET_REGION_INFO: the answer is about another region");
    }
    *needed = info.argsz;
    vfio_region_take_info(region, payload, (uint32_t)length);
    return true;
}

bool vfio_user_parse_irq_info(const uint8_t *payload, size_t length, unsigned index,
                              uint32_t *flags, unsigned *count, GError **error)
{
    static const unsigned most[VFIO_IRQ_COUNT] = {
        [VFIO_IRQ_INTX] = 1,  [VFIO_IRQ_MSI] = 32,    [VFIO_IRQ_MSIX] = 2048,
        [VFIO_IRQ_ERROR] = 1, [VFIO_IRQ_REQUEST] = 1,
    };
    struct vfio_irq_info info;

    if (length < sizeof(info)) {
        return fail(error, "DEVICE_GET_IRQ_INFO: the answer is cut short");
    }
    memcpy(&info, payload, sizeof(info));
    if (info.index != index) {
        return fail(error, "DEVICE_GET_IRQ_INFO: the answer is about other interrupts");
    }
    *flags = info.flags;
    *count = info.flags & VFIO_IRQ_INFO_EVENTFD ? MIN(info.count, most[index]) : 0;
    return true;
}

/* What the server asks for. */

int vfio_user_parse_dma_access(unsigned command, const uint8_t *payload, size_t length,
                               struct vfio_user_dma_access *access, const uint8_t **data)
{
    if (command != VFIO_USER_DMA_READ && command != VFIO_USER_DMA_WRITE) {
        return ENOTSUP;
    }
    if (length < sizeof(*access)) {
        return EINVAL;
    }
    memcpy(access, payload, sizeof(*access));
    *data = payload + sizeof(*access);
    if (access->count == 0 || access->count > VFIO_USER_DATA_MAX ||
        !range_is_valid((struct range){access->address, access->count}) ||
        length - sizeof(*access) != (command == VFIO_USER_DMA_WRITE ? access->count : 0)) {
        return EINVAL;
    }
    return 0;
}
