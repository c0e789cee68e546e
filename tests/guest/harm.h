/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What guests that mean harm share: random numbers, and the seed that the command line gives. */
#ifndef DUODM_TESTS_GUEST_HARM_H
#define DUODM_TESTS_GUEST_HARM_H

#include "guest.h"

extern uint32_t multiboot_info;

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators". */
static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1d;
}

/* A state for that from any seed. */
static inline uint64_t random_state(uint64_t seed)
{
    return seed * 0x9e3779b97f4a7c15 | 1;
}

/* N of "NAME=N" on the command line, decimal; else 0. */
static inline uint64_t given_number(const char *name)
{
    const uint32_t *info = (const uint32_t *)(uintptr_t)multiboot_info;
    const char *line = info && info[0] & 4 ? (const char *)(uintptr_t)info[4] : "";
    uint64_t value = 0;
    unsigned length = 0;

    for (; *line; line++) {
        for (length = 0; name[length] && line[length] == name[length]; length++) {
        }
        if (!name[length] && line[length] == '=') {
            break;
        }
    }
    for (line += *line ? length + 1 : 0; *line >= '0' && *line <= '9'; line++) {
        value = value * 10 + (uint64_t)(*line - '0');
    }
    return value;
}

/* "seed=N", else the time. */
static inline uint64_t given_seed(void)
{
    uint64_t seed = given_number("seed");
    uint32_t low, high;

    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return seed ? seed : (uint64_t)high << 32 | low;
}

#endif
