/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The loads that a scenario runs in a guest or in L1: one program, one file for each. */
#ifndef TESTBED_LOAD_H
#define TESTBED_LOAD_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Each takes the arguments after its name and returns an exit status. */
int load_randread(int argc, char **argv);
int load_stream(int argc, char **argv);
int load_files(int argc, char **argv);
int load_disk(int argc, char **argv);
int load_edu(int argc, char **argv);
int load_vfio(int argc, char **argv);
int load_kexec(int argc, char **argv);
int load_echo(int argc, char **argv);
int load_watch(int argc, char **argv);
int load_withdraw(int argc, char **argv);

/* xorshift64*: the same bytes on both sides of a wire and before and after a crash. */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dU;
}

/* length: a multiple of 8. */
static inline void fill_random(void *data, size_t length, uint64_t *state)
{
    for (size_t at = 0; at < length; at += 8) {
        uint64_t value = next_random(state);
        memcpy((char *)data + at, &value, 8);
    }
}

static inline uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static inline int failed(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    return 1;
}

#endif
