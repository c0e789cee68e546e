/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SHA-1 and SHA-256 (FIPS 180-4) steps. Lane 3 holds the first word, as the manual has it. */
#include "tcg/simd.h"

static uint32_t rotate_left(uint32_t value, unsigned count)
{
    return value << count | value >> (32 - count);
}

static uint32_t rotate_right(uint32_t value, unsigned count)
{
    return rotate_left(value, 32 - count);
}

static uint32_t choose(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) ^ (~x & z);
}

static uint32_t majority(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) ^ (x & z) ^ (y & z);
}

static uint32_t sha1_function(unsigned round, uint32_t b, uint32_t c, uint32_t d)
{
    return round == 0 ? choose(b, c, d) : round == 2 ? majority(b, c, d) : b ^ c ^ d;
}

/* Four rounds with the function and constant that the immediate chooses. */
LANES(sha1rnds4)
{
    static const uint32_t constants[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    unsigned round = immediate & 3;
    uint32_t A = d->u32[3], B = d->u32[2], C = d->u32[1], D = d->u32[0], E = 0;

    for (unsigned i = 0; i < 4; i++) {
        uint32_t next = sha1_function(round, B, C, D) + rotate_left(A, 5) + s->u32[3 - i] + E +
                        constants[round];
        E = D;
        D = C;
        C = rotate_left(B, 30);
        B = A;
        A = next;
    }
    *d = (union vector128){.u32 = {D, C, B, A}};
}
SSE_HANDLER(sha1rnds4)

LANES(sha1nexte)
{
    uint32_t e = rotate_left(d->u32[3], 30);

    *d = *s;
    d->u32[3] += e;
}
SSE_HANDLER(sha1nexte)

LANES(sha1msg1)
{
    d->u32[3] ^= d->u32[1];
    d->u32[2] ^= d->u32[0];
    d->u32[1] ^= s->u32[3];
    d->u32[0] ^= s->u32[2];
}
SSE_HANDLER(sha1msg1)

LANES(sha1msg2)
{
    uint32_t w16 = rotate_left(d->u32[3] ^ s->u32[2], 1);

    d->u32[2] = rotate_left(d->u32[2] ^ s->u32[1], 1);
    d->u32[1] = rotate_left(d->u32[1] ^ s->u32[0], 1);
    d->u32[0] = rotate_left(d->u32[0] ^ w16, 1);
    d->u32[3] = w16;
}
SSE_HANDLER(sha1msg2)

/* Two rounds; the message words, with constants added, are in XMM0. */
void sse_sha256rnds2(struct cpu *cpu, const struct insn *insn)
{
    sse_check(cpu);
    union vector128 s = sse_read(cpu, insn), *d = &cpu->ymm[insn->reg].xmm;
    uint32_t A = s.u32[3], B = s.u32[2], E = s.u32[1], F = s.u32[0];
    uint32_t C = d->u32[3], D = d->u32[2], G = d->u32[1], H = d->u32[0];
    uint32_t words[2] = {cpu->ymm[0].xmm.u32[0], cpu->ymm[0].xmm.u32[1]};

    for (unsigned i = 0; i < 2; i++) {
        uint32_t sum1 = rotate_right(E, 6) ^ rotate_right(E, 11) ^ rotate_right(E, 25);
        uint32_t sum0 = rotate_right(A, 2) ^ rotate_right(A, 13) ^ rotate_right(A, 22);
        uint32_t t1 = choose(E, F, G) + sum1 + words[i] + H;
        uint32_t t2 = majority(A, B, C) + sum0;
        H = G;
        G = F;
        F = E;
        E = D + t1;
        D = C;
        C = B;
        B = A;
        A = t1 + t2;
    }
    *d = (union vector128){.u32 = {F, E, B, A}};
}

static uint32_t sha256_sigma0(uint32_t w)
{
    return rotate_right(w, 7) ^ rotate_right(w, 18) ^ w >> 3;
}

static uint32_t sha256_sigma1(uint32_t w)
{
    return rotate_right(w, 17) ^ rotate_right(w, 19) ^ w >> 10;
}

LANES(sha256msg1)
{
    for (unsigned i = 0; i < 3; i++) {
        d->u32[i] += sha256_sigma0(d->u32[i + 1]);
    }
    d->u32[3] += sha256_sigma0(s->u32[0]);
}
SSE_HANDLER(sha256msg1)

LANES(sha256msg2)
{
    d->u32[0] += sha256_sigma1(s->u32[2]);
    d->u32[1] += sha256_sigma1(s->u32[3]);
    d->u32[2] += sha256_sigma1(d->u32[0]);
    d->u32[3] += sha256_sigma1(d->u32[1]);
}
SSE_HANDLER(sha256msg2)
