/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load withdraw PID: the host takes the memory of all devices that process PID has by VFIO away
 * from it: their memory decoding is switched off through its own descriptors, so the kernel drops
 * what is mapped, and whoever goes there has a fault that leads to nothing. Prints "withdrawn N".
 */
#include <dirent.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "load.h"

enum { COMMAND = 4, COMMAND_MEMORY = 2 };

static bool is_device(const char *folder, const char *name)
{
    char path[512], target[64] = "";

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return readlink(path, target, sizeof(target) - 1) > 0 && strstr(target, "[vfio-device]");
}

static bool withdraw(int device)
{
    struct vfio_region_info info = {.argsz = sizeof(info), .index = VFIO_PCI_CONFIG_REGION_INDEX};
    uint16_t command;

    if (device < 0 || ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) != 0 ||
        pread(device, &command, 2, (off_t)(info.offset + COMMAND)) != 2) {
        return false;
    }
    command &= (uint16_t)~COMMAND_MEMORY;
    return pwrite(device, &command, 2, (off_t)(info.offset + COMMAND)) == 2;
}

int load_withdraw(int argc, char **argv)
{
    unsigned count = 0;
    char folder[64];
    int process;
    DIR *files;

    if (argc != 1) {
        fprintf(stderr, "usage: load withdraw PID\n");
        return 2;
    }
    snprintf(folder, sizeof(folder), "/proc/%s/fd", argv[0]);
    files = opendir(folder);
    process = (int)syscall(SYS_pidfd_open, atoi(argv[0]), 0);
    if (!files || process < 0) {
        return failed(folder);
    }
    for (const struct dirent *file; (file = readdir(files));) {
        if (!is_device(folder, file->d_name)) {
            continue;
        }
        if (!withdraw((int)syscall(SYS_pidfd_getfd, process, atoi(file->d_name), 0))) {
            return failed(file->d_name);
        }
        count++;
    }
    printf("withdrawn %u\n", count);
    return count == 0;
}
