/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integers: branches that depend on data, sorting, an interpreter's loop. */
#include "bench.h"

#include <stdlib.h>

/* Lengths of Collatz sequences, and primes by division. */
uint64_t bench_branches(unsigned work)
{
    uint64_t sum = 0;

    for (unsigned n = 1; n < work * 1000; n++) {
        uint64_t x = n;
        unsigned steps = 0, divisor = 3;
        while (x != 1) {
            x = x & 1 ? 3 * x + 1 : x / 2;
            steps++;
        }
        while (divisor * divisor <= n && n % divisor) {
            divisor += 2;
        }
        sum += steps + (divisor * divisor > n);
    }
    return sum;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void sift(uint32_t *heap, unsigned root, unsigned count)
{
    for (unsigned child; (child = 2 * root + 1) < count; root = child) {
        child += child + 1 < count && heap[child] < heap[child + 1];
        if (heap[root] >= heap[child]) {
            return;
        }
        uint32_t swap = heap[root];
        heap[root] = heap[child];
        heap[child] = swap;
    }
}

static void heap_sort(uint32_t *values, unsigned count)
{
    for (unsigned i = count / 2; i-- > 0;) {
        sift(values, i, count);
    }
    while (count-- > 1) {
        uint32_t swap = values[0];
        values[0] = values[count];
        values[count] = swap;
        sift(values, 0, count);
    }
}

/* The C library's sort with a comparison by pointer, and a heap sort in place. */
uint64_t bench_sort(unsigned work)
{
    enum { COUNT = 20000 };
    static uint32_t values[COUNT], others[COUNT];
    uint64_t state = 1, sum = 0;

    for (unsigned round = 0; round < work; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            values[i] = others[i] = bench_random(&state) >> 32;
        }
        qsort(values, COUNT, sizeof(values[0]), compare);
        heap_sort(others, COUNT);
        for (unsigned i = 0; i < COUNT; i += 97) {
            sum = bench_mix(sum, values[i] + ((uint64_t)others[i] << 32));
        }
    }
    return sum;
}

/* --- An interpreter: bytecode, a table of functions, a return for each --- */

struct machine {
    const uint8_t *code;
    uint64_t a, b, counter;
};

typedef void (*operation)(struct machine *m);

static void op_add(struct machine *m)
{
    m->a += m->b;
}
static void op_xor(struct machine *m)
{
    m->a ^= m->b >> 3;
}
static void op_rotate(struct machine *m)
{
    m->b = m->b << 7 | m->b >> 57;
}
static void op_swap(struct machine *m)
{
    uint64_t swap = m->a;

    m->a = m->b;
    m->b = swap;
}
static void op_skip(struct machine *m)
{
    m->code += m->a & 1;
}
static void op_loop(struct machine *m)
{
    m->code -= --m->counter ? 64 : 0;
}

uint64_t bench_dispatch(unsigned work)
{
    static operation table[8] = {op_add, op_xor,  op_rotate, op_swap,
                                 op_add, op_skip, op_rotate, op_loop};
    uint8_t code[67];
    uint64_t state = 7;

    for (unsigned i = 0; i < 66; i++) {
        code[i] = bench_random(&state) % 7;
    }
    code[63] = code[64] = 7; /* the second one for a skip of the first */
    code[65] = code[66] = 0;
    code[62] = 0;
    struct machine m = {code, 1, 0x123456789abcdef, (uint64_t)work * 8000};
    while (m.counter) {
        table[*m.code++](&m);
        if (m.code < code) {
            m.code = code;
        }
    }
    return m.a ^ m.b;
}
