/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load disk DEVICE THREADS: random reads and writes of 4 to 64 KiB past the guest's page cache, one
 * at a time from each thread, each in its own part of the disk, until the disk is taken away. What
 * is read must be what was written last. Prints "begun" when each thread has done one, and in the
 * end "disk N": how many were right.
 */
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "load.h"

enum {
    BLOCK = 4096,
    SLOT = 64 << 10, /* bytes that one transfer has at most */
    SLOTS = 32,      /* of a thread */
    FIRST = 8 << 20, /* below are other data */
    THREADS_MAX = 16,
};

struct worker {
    pthread_t thread;
    pthread_barrier_t *begun; /* waited for once */
    int fd;
    off_t start;
    uint64_t random;
    uint64_t seeds[SLOTS];   /* of what is in a slot */
    unsigned lengths[SLOTS]; /* bytes; 0: nothing is there yet */
    uint64_t done;
    bool is_wrong;
};

static bool write_slot(struct worker *worker, unsigned slot, char *data)
{
    unsigned length = BLOCK * (1 + (unsigned)(next_random(&worker->random) % (SLOT / BLOCK)));
    uint64_t seed = next_random(&worker->random);

    worker->seeds[slot] = seed;
    worker->lengths[slot] = length;
    fill_random(data, length, &seed);
    return pwrite(worker->fd, data, length, worker->start + (off_t)slot * SLOT) == (ssize_t)length;
}

static bool read_slot(struct worker *worker, unsigned slot, char *data, char *wanted)
{
    unsigned length = worker->lengths[slot];
    uint64_t seed = worker->seeds[slot];

    if (pread(worker->fd, data, length, worker->start + (off_t)slot * SLOT) != (ssize_t)length) {
        return false;
    }
    fill_random(wanted, length, &seed);
    worker->is_wrong = memcmp(data, wanted, length) != 0;
    return !worker->is_wrong;
}

static bool transfer(struct worker *worker, char *data, char *wanted)
{
    unsigned slot = (unsigned)(next_random(&worker->random) % SLOTS);
    bool ok = worker->lengths[slot] && next_random(&worker->random) % 2
                  ? read_slot(worker, slot, data, wanted)
                  : write_slot(worker, slot, data);

    worker->done += ok;
    return ok;
}

static void *worker_run(void *opaque)
{
    struct worker *worker = opaque;
    char *data = aligned_alloc(BLOCK, SLOT), *wanted = aligned_alloc(BLOCK, SLOT);
    bool ok = transfer(worker, data, wanted);

    pthread_barrier_wait(worker->begun);
    while (ok) {
        ok = transfer(worker, data, wanted);
    }
    free(data);
    free(wanted);
    return NULL;
}

int load_disk(int argc, char **argv)
{
    static struct worker workers[THREADS_MAX];
    pthread_barrier_t begun;
    int fd = argc == 2 ? open(argv[0], O_RDWR | O_DIRECT) : -1;
    int count = argc == 2 ? atoi(argv[1]) : 0;
    uint64_t done = 0;
    bool is_wrong = false;

    if (fd < 0 || count < 1 || count > THREADS_MAX) {
        return failed("load disk DEVICE THREADS");
    }
    pthread_barrier_init(&begun, NULL, (unsigned)count + 1);
    for (int i = 0; i < count; i++) {
        workers[i] = (struct worker){.fd = fd,
                                     .begun = &begun,
                                     .start = FIRST + (off_t)i * SLOTS * SLOT,
                                     .random = now_ns() + (unsigned)i};
        pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]);
    }
    pthread_barrier_wait(&begun);
    printf("begun\n");
    for (int i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        done += workers[i].done;
        is_wrong |= workers[i].is_wrong;
    }
    if (is_wrong) {
        printf("other data came back\n");
        return 1;
    }
    printf("disk %llu\n", (unsigned long long)done);
    return 0;
}
