/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load files write FOLDER FIRST: files FIRST, FIRST+1, ..., each of random size, fsynced together
 * with its folder entry; "synced N" is printed after that, so N must survive whatever comes. Ends
 * only when it is killed.
 * load files verify FOLDER FIRST LAST: these files are there and whole. Prints "verified N".
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load.h"

enum {
    MAX_SIZE = 256 * 1024,
};

/* Size and content follow from the number. Returns the size. */
static size_t content_of(unsigned long number, char *data)
{
    uint64_t state = number * 0x9e3779b97f4a7c15U + 1;
    size_t size = (8 + next_random(&state) % (MAX_SIZE - 8)) & ~(size_t)7;
    fill_random(data, size, &state);
    return size;
}

static int write_file(const char *folder, int folder_fd, unsigned long number, char *data)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%lu", folder, number);
    size_t size = content_of(number, data);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || fsync(fd) != 0 || close(fd) != 0 ||
        fsync(folder_fd) != 0) {
        return failed(path);
    }
    printf("synced %lu\n", number);
    return 0;
}

static int verify_file(const char *folder, unsigned long number, char *data)
{
    static char found[MAX_SIZE + 1];
    char path[4096];
    snprintf(path, sizeof(path), "%s/%lu", folder, number);
    size_t size = content_of(number, data);
    int fd = open(path, O_RDONLY);
    if (fd < 0) {
        return failed(path);
    }
    ssize_t count = read(fd, found, sizeof(found));
    close(fd);
    if (count != (ssize_t)size || memcmp(found, data, size) != 0) {
        printf("%s: not what was synced (%zd bytes of %zu)\n", path, count, size);
        return 1;
    }
    return 0;
}

int load_files(int argc, char **argv)
{
    static char data[MAX_SIZE];
    if (argc == 3 && strcmp(argv[0], "write") == 0) {
        int folder_fd = open(argv[1], O_RDONLY | O_DIRECTORY);
        if (folder_fd < 0) {
            return failed(argv[1]);
        }
        for (unsigned long number = strtoul(argv[2], NULL, 0);; number++) {
            if (write_file(argv[1], folder_fd, number, data) != 0) {
                return 1;
            }
        }
    }
    if (argc == 4 && strcmp(argv[0], "verify") == 0) {
        unsigned long last = strtoul(argv[3], NULL, 0);
        for (unsigned long number = strtoul(argv[2], NULL, 0); number <= last; number++) {
            if (verify_file(argv[1], number, data) != 0) {
                return 1;
            }
        }
        printf("verified %lu\n", last);
        return 0;
    }
    printf("load files write FOLDER FIRST | verify FOLDER FIRST LAST\n");
    return 2;
}
