/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load pio MILLISECONDS PORT...: one thread per port, the n-th on CPU n, writes a byte to its port
 * again and again: exits to the device model. Prints "exits N per second R" for all together.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/io.h>

#include "load.h"

struct worker {
    pthread_t thread;
    int cpu;
    unsigned short port;
    uint64_t exits;
};

static atomic_bool stop;
static pthread_barrier_t barrier;

static void *worker_run(void *data)
{
    struct worker *worker = data;
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(worker->cpu, &cpus);
    sched_setaffinity(0, sizeof(cpus), &cpus);
    iopl(3); /* of this thread */
    pthread_barrier_wait(&barrier);
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        outb(0, worker->port);
        worker->exits++;
    }
    return NULL;
}

int load_pio(int argc, char **argv)
{
    struct worker workers[16] = {0};
    int count = argc - 1;
    if (count < 1 || count > 16 || iopl(3) != 0) {
        return failed("load pio MILLISECONDS PORT...");
    }
    pthread_barrier_init(&barrier, NULL, (unsigned)count + 1);
    for (int i = 0; i < count; i++) {
        workers[i].cpu = i;
        workers[i].port = (unsigned short)strtoul(argv[1 + i], NULL, 0);
        pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]);
    }
    long ms = atol(argv[0]);
    struct timespec duration = {ms / 1000, ms % 1000 * 1000000};
    pthread_barrier_wait(&barrier);
    uint64_t began = now_ns();
    nanosleep(&duration, NULL); /* the length of the measurement */
    atomic_store(&stop, true);
    uint64_t exits = 0;
    for (int i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        exits += workers[i].exits;
    }
    double seconds = (double)(now_ns() - began) / 1e9;
    printf("exits %llu per second %.0f\n", (unsigned long long)exits, (double)exits / seconds);
    return 0;
}
