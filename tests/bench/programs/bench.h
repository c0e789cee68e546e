/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The programs of the translator's bench. Each does `work` units of the same work and returns a
 * checksum of what it computed, equal wherever it runs; a unit is some milliseconds of an emulated
 * processor. One file per kind of work, one row per program in main.c.
 */
#ifndef DUODM_BENCH_H
#define DUODM_BENCH_H

#include <stdint.h>

typedef uint64_t (*bench_program)(unsigned work);

/* integer.c */
uint64_t bench_branches(unsigned work);
uint64_t bench_sort(unsigned work);
uint64_t bench_dispatch(unsigned work);
/* hash.c */
uint64_t bench_crc(unsigned work);
uint64_t bench_sha256(unsigned work);
/* float.c */
uint64_t bench_matrix(unsigned work);
uint64_t bench_nbody(unsigned work);
uint64_t bench_long_double(unsigned work);
/* memory.c */
uint64_t bench_memcpy(unsigned work);
uint64_t bench_memset(unsigned work);
uint64_t bench_chase(unsigned work);
uint64_t bench_strings(unsigned work);
/* compress.c */
uint64_t bench_compress(unsigned work);
/* system.c */
uint64_t bench_fork(unsigned work);
uint64_t bench_syscalls(unsigned work);
uint64_t bench_faults(unsigned work);
uint64_t bench_pingpong(unsigned work);
uint64_t bench_ports(unsigned work);

/* A fixed sequence of numbers (xorshift64). *state is not 0. */
static inline uint64_t bench_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline uint64_t bench_mix(uint64_t sum, uint64_t value)
{
    return (sum ^ value) * 0x9e3779b97f4a7c15u + (sum >> 29);
}

#endif
