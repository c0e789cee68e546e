/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory: the C library's copies and fills, a walk through 64 MiB by pointers, its strings. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Blocks of many sizes, 16 bytes to 1 MiB, each as many bytes in all. */
uint64_t bench_memcpy(unsigned work)
{
    enum { SIZE = 1 << 20 };
    static uint8_t from[SIZE + 64], to[SIZE + 64];
    uint64_t state = 17, sum = 0;

    for (unsigned i = 0; i < SIZE; i++) {
        from[i] = bench_random(&state);
    }
    for (unsigned round = 0; round < work; round++) {
        for (unsigned bits = 4; bits <= 20; bits += 2) {
            unsigned size = 1u << bits;
            for (unsigned at = 0; at < SIZE; at += size) {
                memcpy(to + ((at + round) & (SIZE - size)), from + (at & (SIZE - size)), size);
            }
            sum = bench_mix(sum, to[(round * 4099) & (SIZE - 1)]);
        }
    }
    return sum;
}

uint64_t bench_memset(unsigned work)
{
    enum { SIZE = 1 << 20 };
    static uint8_t to[SIZE];
    uint64_t sum = 0;

    for (unsigned round = 0; round < work; round++) {
        for (unsigned bits = 4; bits <= 20; bits += 2) {
            unsigned size = 1u << bits;
            for (unsigned at = 0; at < SIZE; at += size) {
                memset(to + at, (int)(at + round), size);
            }
            sum = bench_mix(sum, to[(round * 4099) & (SIZE - 1)]);
        }
    }
    return sum;
}

/* A cycle through one word of each cache line, in random order. */
uint64_t bench_chase(unsigned work)
{
    enum { LINES = (64 << 20) / 64, WORDS = 8 };
    uint64_t *words = malloc((size_t)LINES * 64), state = 23, at = 0;

    if (!words) {
        return 0;
    }
    /* Sattolo's shuffle makes one cycle. */
    for (uint64_t i = 0; i < LINES; i++) {
        words[i * WORDS] = i;
    }
    for (uint64_t i = LINES - 1; i > 0; i--) {
        uint64_t j = bench_random(&state) % i, swap = words[i * WORDS];
        words[i * WORDS] = words[j * WORDS];
        words[j * WORDS] = swap;
    }
    for (unsigned step = 0; step < work * 20000; step++) {
        at = words[at * WORDS];
    }
    free(words);
    return at;
}

static uint64_t string_round(char *text, unsigned length, char *other)
{
    uint64_t sum = strlen(text);

    strcpy(other, text);
    sum += strcmp(text, other) == 0;
    sum += strncmp(text, other, length / 2) == 0;
    sum += memchr(text, 'z', length) != NULL;
    sum += (uint64_t)(strchr(text, 'y') ? strchr(text, 'y') - text : 7);
    sum += strstr(text, "needle") ? 100 : 0;
    sum += strspn(text, "abcdefgh") + strcspn(text, "z");
    sum += (uint64_t)(strrchr(text, 'q') ? strrchr(text, 'q') - text : 3);
    strcat(other, "tail");
    return sum + strlen(other) + (unsigned)(memcmp(text, other, length) == 0);
}

uint64_t bench_strings(unsigned work)
{
    static char text[4096], other[4200];
    uint64_t state = 29, sum = 0;

    for (unsigned round = 0; round < work * 60; round++) {
        unsigned length = 8u << (round % 9);
        for (unsigned i = 0; i < length; i += 8) {
            uint64_t value = bench_random(&state) & 0x0f0f0f0f0f0f0f0f;
            value += 0x6161616161616161;
            memcpy(text + i, &value, 8);
        }
        text[length - 1] = 0;
        for (unsigned i = 0; i < 20; i++) {
            sum = bench_mix(sum, string_round(text, length, other));
        }
        sum += (unsigned)snprintf(other, sizeof(other), "%u %s %x", round, "words", round * 7);
    }
    return sum;
}
