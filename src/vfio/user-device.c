/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vfio/user-device.h"
#include "util/error.h"
#include "vfio/user-connection.h"
#include "vfio/user-dma.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define INFO_ROOM 16384u /* bytes of an answer about a region, with its areas */

struct vfio_user_device {
    struct vfio_device device;
    struct vfio_user_connection *connection;
    struct vfio_user_dma *dma;
    int files[VFIO_REGION_COUNT]; /* of regions that can be mapped; -1: none */
    bool automasked;              /* INTx is masked by its signal */
    void (*lost)(void *opaque);
    void *opaque;
};

static struct vfio_user_device *user_of(struct vfio_device *device)
{
    return (struct vfio_user_device *)device;
}

/* The connection's listener. */

static int on_dma_read(void *opaque, const struct vfio_user_dma_access *access, void *data)
{
    return vfio_user_dma_read(((struct vfio_user_device *)opaque)->dma, access, data);
}

static int on_dma_write(void *opaque, const struct vfio_user_dma_access *access, const void *data)
{
    return vfio_user_dma_write(((struct vfio_user_device *)opaque)->dma, access, data);
}

static const char *examine(void *opaque)
{
    const struct vfio_user_device *user = opaque;

    return __atomic_load_n(&user->device.owner.cut, __ATOMIC_SEQ_CST)
               ? "it cut short a file that is mapped"
               : NULL;
}

static void on_lost(void *opaque)
{
    struct vfio_user_device *user = opaque;

    user->lost(user->opaque);
}

/* A request whose answer has nothing but what is said, of that very size. */
static bool ask(struct vfio_user_device *user, enum vfio_user_command command, const void *payload,
                size_t size, void *reply, size_t reply_size, GError **error)
{
    struct vfio_user_request request = {
        .command = command,
        .payload = payload,
        .payload_size = size,
        .reply = reply,
        .reply_room = reply_size,
        .reply_minimum = reply_size,
    };

    return vfio_user_request(user->connection, &request, error);
}

/* Regions. */

static bool is_answer_to(const struct vfio_user_region_access *reply,
                         const struct vfio_user_region_access *asked)
{
    return reply->offset == asked->offset && reply->region == asked->region &&
           reply->count == asked->count;
}

static bool region_read(struct vfio_device *device, unsigned region, uint64_t offset, void *buffer,
                        unsigned size)
{
    struct vfio_user_device *user = user_of(device);
    struct vfio_user_region_access access = {.offset = offset, .region = region, .count = size};
    uint8_t small[sizeof(access) + sizeof(uint64_t)];
    g_autofree uint8_t *large = size > sizeof(uint64_t) ? g_malloc(sizeof(access) + size) : NULL;
    uint8_t *reply = large ? large : small;
    struct vfio_user_region_access answered;

    if (!ask(user, VFIO_USER_REGION_READ, &access, sizeof(access), reply, sizeof(access) + size,
             NULL)) {
        return false;
    }
    memcpy(&answered, reply, sizeof(answered));
    if (!is_answer_to(&answered, &access)) {
        return vfio_user_break(user->connection, "it read something else than it was asked for",
                               NULL);
    }
    memcpy(buffer, reply + sizeof(access), size);
    return true;
}

static bool region_write(struct vfio_device *device, unsigned region, uint64_t offset,
                         const void *buffer, unsigned size)
{
    struct vfio_user_device *user = user_of(device);
    struct vfio_user_region_access access = {.offset = offset, .region = region, .count = size};
    struct vfio_user_region_access reply;
    uint8_t payload[sizeof(access) + sizeof(uint64_t)];

    memcpy(payload, &access, sizeof(access));
    memcpy(payload + sizeof(access), buffer, size);
    if (!ask(user, VFIO_USER_REGION_WRITE, payload, sizeof(access) + size, &reply, sizeof(reply),
             NULL)) {
        return false;
    }
    return is_answer_to(&reply, &access) ||
           vfio_user_break(user->connection, "it wrote something else than it was asked for", NULL);
}

/* What is not there from the beginning. */
static bool check_file(struct vfio_user_device *user, unsigned region, struct range area,
                       GError **error)
{
    const struct vfio_region *info = &user->device.regions[region];
    uint64_t needed = MIN(area.length, info->size - area.start);
    struct stat status;

    if (info->file_offset > INT64_MAX - area.start ||
        info->file_offset + area.start > INT64_MAX - needed) {
        return duodm_fail(error, DUODM_ERROR_IO, "vfio-user %s: region %u is out of its file",
                          user->device.name, region);
    }
    return fstat(user->files[region], &status) == 0 &&
                   (!S_ISREG(status.st_mode) ||
                    (uint64_t)status.st_size >= info->file_offset + area.start + needed)
               ? true
               : duodm_fail(error, DUODM_ERROR_IO,
                            "vfio-user %s: the file of region %u is shorter than the region",
                            user->device.name, region);
}

static void *region_map(struct vfio_device *device, unsigned region, struct range area,
                        GError **error)
{
    const struct vfio_region *info = &device->regions[region];
    int protection = PROT_READ | (info->writable ? PROT_WRITE : 0);
    void *host;

    if (!check_file(user_of(device), region, area, error)) {
        return NULL;
    }
    host = mmap(NULL, area.length, protection, MAP_SHARED, user_of(device)->files[region],
                (off_t)(info->file_offset + area.start));
    if (host == MAP_FAILED) {
        duodm_fail(error, DUODM_ERROR_IO,
                   "vfio-user %s: mapping 0x%" PRIx64 " bytes of region %u: %s", device->name,
                   area.length, region, g_strerror(errno));
        return NULL;
    }
    vfio_device_guard(device, host, area.length);
    return host;
}

static void region_unmap(struct vfio_device *device, void *host, uint64_t length)
{
    vfio_device_unguard(device, host);
    munmap(host, length);
}

/* Interrupts. */

static bool set_irqs(struct vfio_user_device *user, uint32_t flags, enum vfio_irq irq,
                     unsigned first, unsigned count, const int *fds, unsigned fd_count,
                     GError **error)
{
    struct vfio_irq_set payload = {
        .argsz = sizeof(payload), .flags = flags, .index = irq, .start = first, .count = count};
    struct vfio_user_request request = {
        .command = VFIO_USER_DEVICE_SET_IRQS,
        .payload = &payload,
        .payload_size = sizeof(payload),
        .fds = fds,
        .fd_count = fd_count,
    };

    return vfio_user_request(user->connection, &request, error);
}

/* Of the first descriptors, how many are of one kind: to be set, or none. No more than go along
 * with one message. */
static unsigned run_length(const struct vfio_user_device *user, const int *descriptors,
                           unsigned count)
{
    unsigned most = vfio_user_capabilities(user->connection)->message_fds, n = 1;

    while (n < count && (descriptors[n] >= 0) == (descriptors[0] >= 0) &&
           (descriptors[0] < 0 || n < most)) {
        n++;
    }
    return n;
}

/* A message has descriptors for all of its interrupts, or for none: that takes them away. */
static int set_triggers(struct vfio_device *device, enum vfio_irq irq, unsigned first,
                        const int *descriptors, unsigned count, GError **error)
{
    struct vfio_user_device *user = user_of(device);

    if (count == 0) {
        return set_irqs(user, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, irq, 0, 0, NULL,
                        0, error)
                   ? 0
                   : -1;
    }
    for (unsigned done = 0, n; done < count; done += n) {
        n = run_length(user, descriptors + done, count - done);
        if (!set_irqs(user, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, irq,
                      first + done, n, descriptors + done, descriptors[done] >= 0 ? n : 0, error)) {
            return -1;
        }
    }
    return 0;
}

static bool unmask(struct vfio_device *device, GError **error)
{
    return !user_of(device)->automasked ||
           set_irqs(user_of(device), VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK,
                    VFIO_IRQ_INTX, 0, 1, NULL, 0, error);
}

static bool set_unmask_descriptor(struct vfio_device *device, int descriptor, GError **error)
{
    return !user_of(device)->automasked ||
           set_irqs(user_of(device), VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK,
                    VFIO_IRQ_INTX, 0, 1, &descriptor, descriptor >= 0, error);
}

static bool reset(struct vfio_device *device, GError **error)
{
    return ask(user_of(device), VFIO_USER_DEVICE_RESET, NULL, 0, NULL, 0, error);
}

/* What the device has. */

/* Say of whom an error is that the parser found. */
static bool explain(const struct vfio_user_device *user, bool ok, GError **error)
{
    if (!ok) {
        g_prefix_error(error, "vfio-user %s: ", user->device.name);
    }
    return ok;
}

/* Ask for a region, with room for so many bytes. A server that knows no such region refuses. */
static bool ask_region(struct vfio_user_device *user, unsigned index, uint8_t *reply, size_t room,
                       struct vfio_user_request *request, GError **error)
{
    struct vfio_region_info payload = {.argsz = (uint32_t)room, .index = index};

    *request = (struct vfio_user_request){
        .command = VFIO_USER_DEVICE_GET_REGION_INFO,
        .payload = &payload,
        .payload_size = sizeof(payload),
        .reply = reply,
        .reply_room = room,
        .takes_fds = true,
    };
    return vfio_user_request(user->connection, request, error);
}

static bool take_region(struct vfio_user_device *user, unsigned index, const uint8_t *reply,
                        struct vfio_user_request *request, GError **error)
{
    struct vfio_region *region = &user->device.regions[index];
    size_t needed = 0;
    bool ok =
        vfio_user_parse_region_info(reply, request->reply_size, index, region, &needed, error);

    if (ok && needed > INFO_ROOM) {
        ok = duodm_fail(error, DUODM_ERROR_IO, "region %u is described in %zu bytes: too many",
                        index, needed);
    }
    if (!region->readable) {
        g_array_set_size(region->areas, 0);
    }
    if (ok && region->areas->len && !request->reply_fd_count) {
        ok = duodm_fail(error, DUODM_ERROR_IO,
                        "region %u can be mapped, but no descriptor came for it", index);
    }
    for (unsigned i = 0; i < request->reply_fd_count; i++) {
        if (i == 0 && ok && region->areas->len) {
            user->files[index] = request->reply_fds[i];
        } else {
            close(request->reply_fds[i]);
        }
    }
    return explain(user, ok, error);
}

static bool read_region(struct vfio_user_device *user, unsigned index, GError **error)
{
    g_autofree uint8_t *reply = g_malloc(INFO_ROOM);
    struct vfio_user_request request;

    if (!ask_region(user, index, reply, INFO_ROOM, &request, error)) {
        if (request.refusal == EINVAL) {
            g_clear_error(error);
            return true;
        }
        return false;
    }
    return take_region(user, index, reply, &request, error);
}

static bool read_irq(struct vfio_user_device *user, unsigned index, GError **error)
{
    struct vfio_irq_info payload = {.argsz = sizeof(payload), .index = index}, reply;
    struct vfio_user_request request = {
        .command = VFIO_USER_DEVICE_GET_IRQ_INFO,
        .payload = &payload,
        .payload_size = sizeof(payload),
        .reply = &reply,
        .reply_room = sizeof(reply),
    };
    uint32_t flags;

    if (!vfio_user_request(user->connection, &request, error)) {
        if (request.refusal == EINVAL) {
            g_clear_error(error);
            return true;
        }
        return false;
    }
    if (!explain(user,
                 vfio_user_parse_irq_info((const uint8_t *)&reply, request.reply_size, index,
                                          &flags, &user->device.vectors[index], error),
                 error)) {
        return false;
    }
    if (index == VFIO_IRQ_INTX) {
        user->automasked = flags & VFIO_IRQ_INFO_AUTOMASKED;
    }
    return true;
}

static bool read_device(struct vfio_user_device *user, GError **error)
{
    struct vfio_device_info payload = {.argsz = 16};
    uint8_t reply[16];
    unsigned regions, irqs;
    uint32_t flags;

    if (!ask(user, VFIO_USER_DEVICE_GET_INFO, &payload, sizeof(reply), reply, sizeof(reply),
             error) ||
        !explain(user,
                 vfio_user_parse_device_info(reply, sizeof(reply), &flags, &regions, &irqs, error),
                 error)) {
        return false;
    }
    user->device.can_reset = flags & VFIO_DEVICE_FLAGS_RESET;
    for (unsigned i = 0; i < regions; i++) {
        if (!read_region(user, i, error)) {
            return false;
        }
    }
    for (unsigned i = 0; i < irqs; i++) {
        if (!read_irq(user, i, error)) {
            return false;
        }
    }
    return true;
}

/* Life. */

static void user_free(struct vfio_device *device)
{
    struct vfio_user_device *user = user_of(device);

    vfio_user_disconnect(user->connection);
    vfio_user_dma_free(user->dma);
    for (unsigned i = 0; i < VFIO_REGION_COUNT; i++) {
        if (user->files[i] >= 0) {
            close(user->files[i]);
        }
    }
    vfio_device_clear(device);
    g_free(user);
}

static const struct vfio_device_ops user_ops = {
    .read = region_read,
    .write = region_write,
    .map = region_map,
    .unmap = region_unmap,
    .set_triggers = set_triggers,
    .unmask = unmask,
    .set_unmask_descriptor = set_unmask_descriptor,
    .reset = reset,
    .free = user_free,
};

struct vfio_device *vfio_user_device_new(const struct vfio_user_options *options, GError **error)
{
    struct vfio_user_device *user = g_new0(struct vfio_user_device, 1);
    const struct vfio_user_listener listener = {on_dma_read, on_dma_write, examine, on_lost, user};

    vfio_device_init(&user->device, &user_ops, options->name);
    memset(user->files, 0xff, sizeof(user->files));
    user->lost = options->lost;
    user->opaque = options->opaque;
    user->dma = vfio_user_dma_new(options->direct_dma);
    user->connection =
        vfio_user_connect(options->path, options->name, options->timeout, &listener, error);
    if (!user->connection) {
        user_free(&user->device);
        return NULL;
    }
    user->device.owner.notify = vfio_user_wake_descriptor(user->connection);
    user->device.block_size = MAX(4, (unsigned)vfio_user_capabilities(user->connection)->data_size);
    vfio_user_dma_set_connection(user->dma, user->connection);
    if (!read_device(user, error)) {
        user_free(&user->device);
        return NULL;
    }
    return &user->device;
}

struct dma_backend *vfio_user_device_backend(struct vfio_device *device)
{
    return vfio_user_dma_backend(user_of(device)->dma);
}

char *vfio_user_device_problem(struct vfio_device *device)
{
    return vfio_user_problem(user_of(device)->connection);
}
