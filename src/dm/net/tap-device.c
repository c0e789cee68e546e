/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/net/net.h"
#include "dm/net/tap.h"
#include "dm/property.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool fail_interface(const char *name, int number, GError **error)
{
    const char *advice = "";

    if (number == EPERM || number == EACCES) {
        advice = ": CAP_NET_ADMIN is needed, or an interface that was made for this user (ip "
                 "tuntap add NAME mode tap user USER)";
    } else if (number == EBUSY) {
        advice = ": another process uses it";
    } else if (number == EINVAL) {
        advice = ": it is no tap interface, or was made for another number of queues";
    }
    if (!*name) {
        return duodm_fail(error, DUODM_ERROR_IO, "a new tap interface: %s%s", g_strerror(number),
                          advice);
    }
    return duodm_fail(error, DUODM_ERROR_IO, "tap interface '%s': %s%s", name, g_strerror(number),
                      advice);
}

/* A descriptor for one queue, or -1 with errno. An empty name gets the kernel's choice. */
static int open_queue(char name[IFNAMSIZ], short flags)
{
    struct ifreq request = {.ifr_flags = flags};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0) {
        return -1;
    }
    memcpy(request.ifr_name, name, IFNAMSIZ);
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        int saved = errno;

        close(fd);
        errno = saved;
        return -1;
    }
    memcpy(name, request.ifr_name, IFNAMSIZ);
    return fd;
}

static void close_all(const int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        close(fds[i]);
    }
}

/* By name. One queue can be one of an interface that was made for many. */
static bool open_named(struct tap_device *device, int *fds, unsigned count, bool header,
                       GError **error)
{
    short flags = (short)(IFF_TAP | IFF_NO_PI | (header ? IFF_VNET_HDR : 0));
    unsigned done;

    if (count > 1) {
        flags |= IFF_MULTI_QUEUE;
    }
    for (done = 0; done < count; done++) {
        fds[done] = open_queue(device->name, flags);
        if (fds[done] < 0 && errno == EINVAL && count == 1) {
            flags |= IFF_MULTI_QUEUE;
            fds[done] = open_queue(device->name, flags);
        }
        if (fds[done] < 0) {
            break;
        }
    }
    if (done < count) {
        int saved = errno;

        close_all(fds, done);
        return fail_interface(device->name, saved, error);
    }
    return true;
}

/* "fd=N" and "fds=N:M:...": opened by who started us; ours from now on. */
static bool take_given(struct tap_device *device, const char *text, int *fds, unsigned *count,
                       GError **error)
{
    g_auto(GStrv) words = g_strsplit(text, ":", -1);
    struct ifreq request;

    for (*count = 0; words[*count]; ++*count) {
        uint64_t number;

        if (*count == NET_QUEUES_MAX) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "fds=: at most %d queues",
                              NET_QUEUES_MAX);
        }
        if (!parse_number(words[*count], &number, error)) {
            g_prefix_error(error, "fd=%s: ", text);
            return false;
        }
        if (number > G_MAXINT || ioctl((int)number, TUNGETIFF, &request) < 0 ||
            !(request.ifr_flags & IFF_TAP) ||
            fcntl((int)number, F_SETFL, O_RDWR | O_NONBLOCK) < 0 ||
            fcntl((int)number, F_SETFD, FD_CLOEXEC) < 0) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "fd=%s is not an open tap device", words[*count]);
        }
        fds[*count] = (int)number;
    }
    if (!*count) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "fd= needs a number");
    }
    memcpy(device->name, request.ifr_name, IFNAMSIZ);
    device->name[IFNAMSIZ - 1] = '\0';
    return true;
}

static bool parse_queues(const struct key_values *options, unsigned *count, GError **error)
{
    const char *text = key_values_get(options, "queues");
    uint64_t number = 1;

    if (text && (!parse_number(text, &number, error) || !number || number > NET_QUEUES_MAX)) {
        g_clear_error(error);
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "queues=%s must be 1 to %d", text,
                          NET_QUEUES_MAX);
    }
    *count = (unsigned)number;
    return true;
}

static bool open_queues(struct tap_device *device, const struct key_values *options, int *fds,
                        unsigned *count, bool header, GError **error)
{
    const char *name = key_values_get(options, "ifname");
    const char *fd = key_values_get(options, "fd"), *many = key_values_get(options, "fds");

    if (fd || many) {
        if ((fd && many) || name || key_values_get(options, "script") ||
            key_values_get(options, "queues")) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "an open tap device (fd=, fds=) goes without fd= or fds= besides, "
                              "ifname=, script= and queues=");
        }
        return take_given(device, fd ? fd : many, fds, count, error);
    }
    if (name && strlen(name) >= IFNAMSIZ) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "ifname=%s: at most %d characters",
                          name, IFNAMSIZ - 1);
    }
    g_strlcpy(device->name, name ? name : "", IFNAMSIZ);
    return parse_queues(options, count, error) && open_named(device, fds, *count, header, error);
}

/* The largest set that this kernel knows (USO came with Linux 6.2). Leaves all off. */
static unsigned find_offloads(int fd)
{
    static const unsigned sets[] = {
        NET_OFFLOAD_ALL,
        NET_OFFLOAD_CHECKSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 | NET_OFFLOAD_TSO_ECN,
        NET_OFFLOAD_CHECKSUM,
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(sets); i++) {
        if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)sets[i]) == 0) {
            ioctl(fd, TUNSETOFFLOAD, 0ul);
            return sets[i];
        }
    }
    return 0;
}

static bool set_send_buffer(const char *text, int fd, GError **error)
{
    uint64_t bytes;
    int value;

    if (!parse_size(text, 'B', &bytes, error)) {
        g_prefix_error(error, "sndbuf=%s: ", text);
        return false;
    }
    value = bytes && bytes < G_MAXINT ? (int)bytes : G_MAXINT;
    return ioctl(fd, TUNSETSNDBUF, &value) == 0 ||
           duodm_fail(error, DUODM_ERROR_IO, "sndbuf=%s: %s", text, g_strerror(errno));
}

static bool configure(struct tap_device *device, const struct key_values *options, int fd,
                      GError **error)
{
    const char *send_buffer = key_values_get(options, "sndbuf");
    int size = sizeof(struct vnet_header);
    struct ifreq request;

    if (send_buffer && !set_send_buffer(send_buffer, fd, error)) {
        return false;
    }
    if (ioctl(fd, TUNGETIFF, &request) < 0) {
        return fail_interface(device->name, errno, error);
    }
    device->multi_queue = request.ifr_flags & IFF_MULTI_QUEUE;
    if (request.ifr_flags & IFF_VNET_HDR) {
        if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0) {
            return fail_interface(device->name, errno, error);
        }
        device->header_size = sizeof(struct vnet_header);
        device->offloads = find_offloads(fd);
    }
    return true;
}

bool tap_device_open(struct tap_device *device, const struct key_values *options, int *fds,
                     unsigned *count, GError **error)
{
    bool header = true;

    if (!key_values_get_bool(options, "vnet_hdr", &header, error) ||
        !open_queues(device, options, fds, count, header, error)) {
        return false;
    }
    for (unsigned i = 0; i < *count; i++) {
        if (!configure(device, options, fds[i], error)) {
            close_all(fds, *count);
            return false;
        }
    }
    return true;
}

void tap_device_set_offloads(const struct tap_device *device, int fd, unsigned offloads)
{
    offloads &= device->offloads;
    if (!(offloads & NET_OFFLOAD_CHECKSUM)) {
        offloads = 0; /* the kernel's rule: nothing else without it */
    }
    if (!(offloads & (NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6))) {
        offloads &= ~(unsigned)NET_OFFLOAD_TSO_ECN;
    }
    if ((offloads & (NET_OFFLOAD_USO4 | NET_OFFLOAD_USO6)) !=
        (NET_OFFLOAD_USO4 | NET_OFFLOAD_USO6)) {
        offloads &= ~(unsigned)(NET_OFFLOAD_USO4 | NET_OFFLOAD_USO6);
    }
    if (device->header_size) {
        ioctl(fd, TUNSETOFFLOAD, (unsigned long)offloads);
    }
}

void tap_device_set_active(const struct tap_device *device, int fd, bool active)
{
    struct ifreq request = {.ifr_flags = active ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

    if (device->multi_queue) {
        ioctl(fd, TUNSETQUEUE, &request); /* that it is so already is no failure */
    }
}
