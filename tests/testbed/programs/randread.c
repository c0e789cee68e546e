/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load randread DEVICE THREADS MILLISECONDS: random 4 KiB reads past the guest's page cache, one at
 * a time from each thread. Prints "reads N per second R".
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <linux/fs.h>
#include <unistd.h>

#include "load.h"

enum {
    BLOCK = 4096,
};

struct reader {
    pthread_t thread;
    int fd;
    uint64_t blocks;
    uint64_t seed;
    uint64_t reads;
    int error;
};

static atomic_bool stop;

static void *reader_run(void *data)
{
    struct reader *reader = data;
    void *buffer = aligned_alloc(BLOCK, BLOCK);
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        off_t at = (off_t)(next_random(&reader->seed) % reader->blocks * BLOCK);
        if (pread(reader->fd, buffer, BLOCK, at) != BLOCK) {
            reader->error = errno ? errno : EIO;
            break;
        }
        reader->reads++;
    }
    free(buffer);
    return NULL;
}

int load_randread(int argc, char **argv)
{
    struct reader readers[64] = {0};
    uint64_t size = 0;
    int fd = argc == 3 ? open(argv[0], O_RDONLY | O_DIRECT) : -1;
    if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) != 0 || size < BLOCK) {
        return failed("load randread DEVICE THREADS MILLISECONDS");
    }
    int count = atoi(argv[1]);
    count = count < 1 ? 1 : count > 64 ? 64 : count;
    uint64_t began = now_ns();
    for (int i = 0; i < count; i++) {
        readers[i] = (struct reader){.fd = fd, .blocks = size / BLOCK, .seed = 1000U + (unsigned)i};
        pthread_create(&readers[i].thread, NULL, reader_run, &readers[i]);
    }
    long ms = atol(argv[2]);
    struct timespec duration = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&duration, NULL); /* the length of the measurement */
    atomic_store(&stop, true);
    uint64_t reads = 0;
    int error = 0;
    for (int i = 0; i < count; i++) {
        pthread_join(readers[i].thread, NULL);
        reads += readers[i].reads;
        error = readers[i].error ? readers[i].error : error;
    }
    if (error) {
        errno = error;
        return failed(argv[0]);
    }
    double seconds = (double)(now_ns() - began) / 1e9;
    printf("reads %llu per second %.0f\n", (unsigned long long)reads, (double)reads / seconds);
    return 0;
}
