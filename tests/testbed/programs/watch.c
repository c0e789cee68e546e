/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load watch FILE OFFSET VALUE: maps a file (a BAR, in sysfs), writes VALUE there, 32 bits, prints
 * "watching", and reads it back without end. Another value ends that, and is printed.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "load.h"

enum { PAGE = 4096 };

int load_watch(int argc, char **argv)
{
    unsigned long offset, value;
    volatile uint32_t *word;
    uint32_t found;
    uint8_t *page;
    int fd;

    if (argc != 3) {
        fprintf(stderr, "usage: load watch FILE OFFSET VALUE\n");
        return 2;
    }
    offset = strtoul(argv[1], NULL, 0);
    value = strtoul(argv[2], NULL, 0);
    fd = open(argv[0], O_RDWR | O_SYNC);
    page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(offset & -PAGE));
    if (fd < 0 || page == MAP_FAILED) {
        return failed(argv[0]);
    }
    word = (volatile uint32_t *)(void *)(page + offset % PAGE);
    *word = (uint32_t)value;
    printf("watching\n");
    while ((found = *word) == value) {
    }
    printf("0x%x\n", found);
    return 0;
}
