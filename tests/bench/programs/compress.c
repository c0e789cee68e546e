/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small LZ compressor: bytes as they are, and matches of 4 to 67 bytes in the last 64 KiB, found
 * through a hash table. A control byte below 128 counts literals less one; from 128 on it says a
 * match's length less 4, and its distance follows in two bytes.
 */
#include "bench.h"

#include <string.h>

enum { SIZE = 1 << 17, WINDOW = 1 << 16, HASH_BITS = 14, MATCH_MIN = 4, MATCH_MAX = 67 };

static uint32_t hash_of(const uint8_t *at)
{
    uint32_t word;

    memcpy(&word, at, sizeof(word));
    return (word * 2654435761u) >> (32 - HASH_BITS);
}

static uint8_t *put_literals(uint8_t *to, const uint8_t *from, unsigned count)
{
    while (count) {
        unsigned run = count < 128 ? count : 128;
        *to++ = run - 1;
        memcpy(to, from, run);
        to += run;
        from += run;
        count -= run;
    }
    return to;
}

static unsigned match_length(const uint8_t *a, const uint8_t *b, unsigned most)
{
    unsigned length = 0;

    while (length < most && a[length] == b[length]) {
        length++;
    }
    return length;
}

static unsigned compress(const uint8_t *from, unsigned size, uint8_t *to)
{
    static int32_t table[1 << HASH_BITS];
    uint8_t *start = to;
    unsigned at = 0, literals = 0;

    memset(table, -1, sizeof(table));
    while (at + MATCH_MIN <= size) {
        uint32_t hash = hash_of(from + at);
        int32_t earlier = table[hash];
        unsigned most = size - at < MATCH_MAX ? size - at : MATCH_MAX, length = 0;
        table[hash] = (int32_t)at;
        if (earlier >= 0 && at - (unsigned)earlier < WINDOW) {
            length = match_length(from + earlier, from + at, most);
        }
        if (length < MATCH_MIN) {
            at++;
            literals++;
            continue;
        }
        to = put_literals(to, from + at - literals, literals);
        literals = 0;
        *to++ = 128 + length - MATCH_MIN;
        *to++ = (at - (unsigned)earlier) & 0xff;
        *to++ = (at - (unsigned)earlier) >> 8;
        at += length;
    }
    literals += size - at;
    return (unsigned)(put_literals(to, from + size - literals, literals) - start);
}

static unsigned expand(const uint8_t *from, unsigned size, uint8_t *to)
{
    const uint8_t *end = from + size;
    uint8_t *start = to;

    while (from < end) {
        unsigned control = *from++;
        if (control < 128) {
            memcpy(to, from, control + 1);
            to += control + 1;
            from += control + 1;
            continue;
        }
        unsigned distance = from[0] | from[1] << 8;
        from += 2;
        for (unsigned i = 0; i < control - 128 + MATCH_MIN; i++, to++) {
            *to = to[-(int)distance];
        }
    }
    return (unsigned)(to - start);
}

/* Text of words from a small vocabulary, some more frequent than others. */
static void make_text(uint8_t *text, uint64_t *state)
{
    unsigned at = 0;

    while (at < SIZE) {
        uint64_t word = bench_random(state), letters = (word % 97) * (word % 31) + 1;
        for (unsigned i = 0; i < 2 + letters % 7 && at < SIZE; i++) {
            text[at++] = 'a' + (letters >> i) % 26;
        }
        if (at < SIZE) {
            text[at++] = ' ';
        }
    }
}

uint64_t bench_compress(unsigned work)
{
    static uint8_t text[SIZE], packed[SIZE + SIZE / 64], again[SIZE];
    uint64_t state = 31, sum = 0;

    for (unsigned round = 0; round < work; round++) {
        if (round % 16 == 0) {
            make_text(text, &state);
        }
        text[round] ^= 1;
        unsigned size = compress(text, SIZE, packed);
        unsigned back = expand(packed, size, again);
        sum =
            bench_mix(sum, size + (back == SIZE && memcmp(text, again, SIZE) == 0 ? 0 : 1u << 31));
    }
    return sum;
}
