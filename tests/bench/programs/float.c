/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Floating point: a matrix product and n bodies in double, a series in long double (x87). */
#include "bench.h"

#include <math.h>
#include <string.h>

static uint64_t bits_of(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

uint64_t bench_matrix(unsigned work)
{
    enum { N = 128 };
    static double a[N][N], b[N][N], c[N][N];
    uint64_t state = 5, sum = 0;

    for (unsigned i = 0; i < N * N; i++) {
        a[i / N][i % N] = (double)(bench_random(&state) >> 40) / 1000.0;
        b[i / N][i % N] = (double)(bench_random(&state) >> 40) / 3000.0;
    }
    for (unsigned round = 0; round < work; round++) {
        memset(c, 0, sizeof(c));
        for (unsigned i = 0; i < N; i++) {
            for (unsigned k = 0; k < N; k++) {
                double factor = a[i][k];
                for (unsigned j = 0; j < N; j++) {
                    c[i][j] += factor * b[k][j];
                }
            }
        }
        sum = bench_mix(sum, bits_of(c[round % N][(round * 7) % N]));
        a[round % N][3] += 1.0;
    }
    return sum;
}

struct body {
    double x[3], v[3], mass;
};

static void advance(struct body *bodies, unsigned count, double dt)
{
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = i + 1; j < count; j++) {
            double d[3], square = 0;
            for (unsigned k = 0; k < 3; k++) {
                d[k] = bodies[i].x[k] - bodies[j].x[k];
                square += d[k] * d[k];
            }
            double magnitude = dt / (square * sqrt(square));
            for (unsigned k = 0; k < 3; k++) {
                bodies[i].v[k] -= d[k] * bodies[j].mass * magnitude;
                bodies[j].v[k] += d[k] * bodies[i].mass * magnitude;
            }
        }
    }
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < 3; k++) {
            bodies[i].x[k] += dt * bodies[i].v[k];
        }
    }
}

uint64_t bench_nbody(unsigned work)
{
    enum { BODIES = 6 };
    struct body bodies[BODIES];
    uint64_t state = 11, sum = 0;

    for (unsigned i = 0; i < BODIES; i++) {
        for (unsigned k = 0; k < 3; k++) {
            bodies[i].x[k] = (double)(bench_random(&state) >> 44) / 10000.0 + 3.0 * i;
            bodies[i].v[k] = (double)(bench_random(&state) >> 44) / 10000000.0;
        }
        bodies[i].mass = 1.0 + i;
    }
    for (unsigned step = 0; step < work * 2000; step++) {
        advance(bodies, BODIES, 0.001);
    }
    for (unsigned i = 0; i < BODIES; i++) {
        sum = bench_mix(sum, bits_of(bodies[i].x[0]) ^ bits_of(bodies[i].v[2]));
    }
    return sum;
}

/* The logistic map and the arctangent's series, at 64 bits of mantissa. */
uint64_t bench_long_double(unsigned work)
{
    long double x = 0.3L, sum = 0, sign = 1;
    uint64_t mantissa;

    for (unsigned i = 0; i < work * 20000; i++) {
        x = 3.9L * x * (1 - x);
        sum += sign * x / (2 * (i & 1023) + 1);
        sign = -sign;
        if ((i & 255) == 0) {
            sum = sqrtl(sum * sum + x);
        }
    }
    memcpy(&mantissa, &sum, sizeof(mantissa));
    return mantissa;
}
