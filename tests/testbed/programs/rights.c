/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a device model's descriptors of Xen's devices still allow. usage: rights PID OTHER-DOMID
 *
 * Takes copies of the process's descriptors and tries what nobody but a control domain's root may
 * do: hypercalls, and mapping memory, device-model operations and event channels of another domain.
 * Prints a line for each descriptor; exit status 1 if something was allowed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux: include/uapi/xen/privcmd.h, evtchn.h */
struct hypercall {
    uint64_t op, arguments[5];
};
struct mmap_batch {
    unsigned count;
    uint16_t domid;
    uint64_t address;
    const uint64_t *frames;
    int *errors;
};
struct dm_op {
    uint16_t domid, count;
    const void *buffers;
};
struct bind_unbound {
    unsigned remote_domid;
};
#define PRIVCMD_HYPERCALL  _IOC(_IOC_NONE, 'P', 0, sizeof(struct hypercall))
#define PRIVCMD_MMAP_BATCH _IOC(_IOC_NONE, 'P', 4, sizeof(struct mmap_batch))
#define PRIVCMD_DM_OP      _IOC(_IOC_NONE, 'P', 5, sizeof(struct dm_op))
#define EVTCHN_BIND        _IOC(_IOC_NONE, 'E', 2, sizeof(struct bind_unbound))
#define XEN_VERSION        17 /* the number of a hypercall that harms nobody */

static bool is_refused(const char *name, const char *what, int result)
{
    bool refused = result < 0 && (errno == EPERM || errno == EACCES);

    if (!refused) {
        printf("%s: %s is allowed (%s)\n", name, what, result < 0 ? strerror(errno) : "success");
    }
    return refused;
}

static bool check_privcmd(int fd, const char *name, uint16_t domid)
{
    struct hypercall call = {.op = XEN_VERSION};
    uint64_t frame = 0;
    int error = 0;
    void *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    struct mmap_batch map = {1, domid, (uint64_t)(uintptr_t)page, &frame, &error};
    struct dm_op operation = {.domid = domid};
    bool good = is_refused(name, "a hypercall", ioctl(fd, PRIVCMD_HYPERCALL, &call));

    good &= is_refused(name, "another domain's memory", ioctl(fd, PRIVCMD_MMAP_BATCH, &map));
    return good &
           is_refused(name, "another domain's devices", ioctl(fd, PRIVCMD_DM_OP, &operation));
}

static bool check_evtchn(int fd, const char *name, uint16_t domid)
{
    struct bind_unbound bind = {domid};

    return is_refused(name, "another domain's event channel", ioctl(fd, EVTCHN_BIND, &bind));
}

static bool check(int pidfd, int number, const char *target, uint16_t domid)
{
    int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
    char name[400];
    bool good = false;

    snprintf(name, sizeof(name), "descriptor %d, %s", number, target);
    if (fd < 0) {
        printf("%s: %s\n", name, strerror(errno));
    } else if (strcmp(target, "/dev/xen/privcmd") == 0) {
        good = check_privcmd(fd, name, domid);
    } else if (strcmp(target, "/dev/xen/evtchn") == 0) {
        good = check_evtchn(fd, name, domid);
    } else {
        printf("%s: should not be open\n", name);
    }
    if (good) {
        printf("%s: restricted\n", name);
    }
    if (fd >= 0) {
        close(fd);
    }
    return good;
}

int main(int argc, char **argv)
{
    char path[64], target[256];
    int pidfd, checked = 0;
    struct dirent *entry;
    bool good = true;
    DIR *folder;

    if (argc != 3) {
        fprintf(stderr, "usage: rights PID OTHER-DOMID\n");
        return 2;
    }
    snprintf(path, sizeof(path), "/proc/%d/fd", atoi(argv[1]));
    pidfd = (int)syscall(SYS_pidfd_open, atoi(argv[1]), 0);
    folder = opendir(path);
    if (pidfd < 0 || !folder) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 2;
    }
    while ((entry = readdir(folder))) {
        ssize_t length = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);

        target[length < 0 ? 0 : length] = 0;
        if (strncmp(target, "/dev/xen/", 9) == 0 || strstr(target, "xenbus")) {
            good &= check(pidfd, atoi(entry->d_name), target, (uint16_t)atoi(argv[2]));
            checked++;
        }
    }
    closedir(folder);
    return good && checked ? 0 : 1;
}
