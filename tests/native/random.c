/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random values that like the edges. */
#include "native.h"

/* splitmix64 */
uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

unsigned random_below(struct random *random, unsigned limit)
{
    return (random_next(random) >> 32) % limit;
}

bool random_chance(struct random *random, unsigned percent)
{
    return random_below(random, 100) < percent;
}

uint64_t random_integer(struct random *random)
{
    uint64_t value = random_next(random);

    switch (random_below(random, 8)) {
    case 0:
        return value & 0xff;
    case 1:
        return random_below(random, 3) - UINT64_C(1);
    case 2: /* a sign bit and its neighbours */
        return (UINT64_C(1) << (8 * (1 + (value & 7)) - 1)) + random_below(random, 3) - 1;
    case 3: /* sign-extended */
        return (uint64_t)(int64_t)(int32_t)value;
    case 4:
        return (uint64_t)(int64_t)(int8_t)value;
    case 5: /* one bit, or all up to one */
        return (UINT64_C(1) << (value & 63)) - (value >> 63);
    default:
        return value;
    }
}

/* A number of a format with these sizes, without its sign. */
static uint64_t random_magnitude(struct random *random, unsigned fraction_bits, unsigned bias)
{
    uint64_t mask = (UINT64_C(1) << fraction_bits) - 1, fraction = random_next(random) & mask;
    uint64_t exponent = bias + random_below(random, 24) - 12, largest = 2 * bias + 1;

    if (random_chance(random, 50)) { /* few significant bits: exact results, ties */
        fraction &= ~(mask >> random_below(random, 8));
    }
    switch (random_below(random, 16)) {
    case 0:
        return 0;
    case 1: /* denormal */
        return random_chance(random, 50) ? fraction : 1 + random_below(random, 3);
    case 2:
        return largest << fraction_bits; /* infinity */
    case 3:
        return largest << fraction_bits | fraction | 1 | UINT64_C(1) << (fraction_bits - 1);
    case 4: /* signalling */
        return (largest << fraction_bits | fraction | 1) & ~(UINT64_C(1) << (fraction_bits - 1));
    case 5: /* tiny */
        exponent = 1 + random_below(random, 3);
        break;
    case 6: /* huge */
        exponent = largest - 1 - random_below(random, 3);
        break;
    case 7: /* about the size of integers */
        exponent = bias + random_below(random, MIN(bias, 66));
        break;
    case 8: /* where products and quotients leave the range */
        exponent = bias / 2 + random_below(random, 8);
        break;
    case 9:
        exponent = bias + bias / 2 + random_below(random, 8);
        break;
    case 10: /* anything */
        exponent = random_below(random, largest);
        break;
    case 11: /* 1.0 and near */
        return ((uint64_t)bias << fraction_bits) + random_below(random, 3) - 1;
    default:
        break;
    }
    return exponent << fraction_bits | fraction;
}

uint32_t random_float(struct random *random)
{
    return random_magnitude(random, 23, 127) | (random_next(random) & 0x80000000);
}

uint64_t random_double(struct random *random)
{
    return random_magnitude(random, 52, 1023) | (random_next(random) & UINT64_C(1) << 63);
}

void random_extended(struct random *random, uint64_t *mantissa, uint16_t *exponent)
{
    unsigned bias = 16383;

    *exponent = bias + random_below(random, 24) - 12;
    *mantissa = random_next(random) | UINT64_C(1) << 63;
    if (random_chance(random, 50)) { /* few significant bits */
        *mantissa &= ~(UINT64_MAX >> 1 >> random_below(random, 8));
    }
    switch (random_below(random, 20)) {
    case 0:
        *exponent = 0, *mantissa = 0;
        break;
    case 1: /* denormal, pseudo-denormal */
        *exponent = 0, *mantissa = random_next(random) >> random_below(random, 4);
        break;
    case 2:
        *exponent = 0x7fff, *mantissa = UINT64_C(1) << 63;
        break;
    case 3: /* quiet and signalling */
        *exponent = 0x7fff, *mantissa = random_next(random) | UINT64_C(1) << 63;
        break;
    case 4: /* unsupported: unnormal, pseudo-NaN, pseudo-infinity */
        *exponent = random_chance(random, 50) ? 0x7fff : *exponent;
        *mantissa &= UINT64_MAX >> 1;
        break;
    case 5:
        *exponent = 1 + random_below(random, 3);
        break;
    case 6:
        *exponent = 0x7ffe - random_below(random, 3);
        break;
    case 7: /* about the size of integers and BCD */
        *exponent = bias + random_below(random, 70);
        break;
    case 8: /* a float's or double's limits */
        *exponent =
            bias + (random_chance(random, 50) ? 1 : -1) *
                       ((random_chance(random, 50) ? 127 : 1023) + random_below(random, 60) - 30);
        break;
    case 9:
        *exponent = random_below(random, 0x7fff);
        break;
    case 10:
        *exponent = bias, *mantissa = UINT64_C(1) << 63;
        break;
    default:
        break;
    }
    *exponent |= random_next(random) & 0x8000;
}
