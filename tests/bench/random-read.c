/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * In a guest of tests/bench/block.py: random reads of 4 KiB from a disk, past the page cache.
 * random-read DEVICE SECONDS DEPTH prints "READS count microseconds".
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BLOCK     4096
#define DEPTH_MAX 64

static uint64_t now_us(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

int main(int argc, char **argv)
{
    static char buffers[DEPTH_MAX][BLOCK] __attribute__((aligned(BLOCK)));
    static struct iocb blocks[DEPTH_MAX];
    int depth = argc > 3 ? atoi(argv[3]) : 0,
        fd = argc > 3 ? open(argv[1], O_RDONLY | O_DIRECT) : -1;
    uint64_t state = 88172645463325252u, count = 0, size, began, end;
    aio_context_t context = 0;

    if (fd < 0 || depth < 1 || depth > DEPTH_MAX) {
        fprintf(stderr, "usage: random-read DEVICE SECONDS DEPTH(1..64)\n");
        return 1;
    }
    size = (uint64_t)lseek(fd, 0, SEEK_END) / BLOCK;
    if (!size || syscall(SYS_io_setup, DEPTH_MAX, &context) < 0) {
        perror("random-read");
        return 1;
    }
    began = now_us();
    end = began + (uint64_t)atoi(argv[2]) * 1000000;
    for (int i = 0; i < depth; i++) {
        struct iocb *block = &blocks[i];

        *block = (struct iocb){.aio_lio_opcode = IOCB_CMD_PREAD,
                               .aio_fildes = (uint32_t)fd,
                               .aio_buf = (uintptr_t)buffers[i],
                               .aio_nbytes = BLOCK,
                               .aio_offset = (int64_t)(next_random(&state) % size * BLOCK)};
        if (syscall(SYS_io_submit, context, 1, &block) != 1) {
            perror("io_submit");
            return 1;
        }
    }
    while (now_us() < end) {
        struct io_event events[DEPTH_MAX];
        struct iocb *again[DEPTH_MAX];
        long done = syscall(SYS_io_getevents, context, 1, depth, events, NULL);

        for (long i = 0; i < done; i++) {
            if (events[i].res != BLOCK) {
                fprintf(stderr, "a read gave %lld\n", (long long)events[i].res);
                return 1;
            }
            again[i] = (struct iocb *)(uintptr_t)events[i].obj;
            again[i]->aio_offset = (int64_t)(next_random(&state) % size * BLOCK);
        }
        if (done <= 0 || syscall(SYS_io_submit, context, done, again) != done) {
            perror("io_getevents");
            return 1;
        }
        count += (uint64_t)done;
    }
    printf("READS %llu %llu\n", (unsigned long long)count, (unsigned long long)(now_us() - began));
    return 0;
}
