/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SSE floating point on the host's own SSE unit, under the guest's MXCSR. Each function computes
 * with all exceptions masked and returns the exception flags that it raised (MXCSR bits 5:0). A
 * port to another host puts a software version behind the same functions.
 */
#ifndef DUODM_TCG_HOST_SSE_H
#define DUODM_TCG_HOST_SSE_H

#include "tcg/cpu.h"
#include "tcg/mxcsr.h"

#if !defined(__x86_64__)
#error "host-sse.h: SSE floating point is computed by the host and needs an x86-64 one"
#endif

typedef float host_vector __attribute__((vector_size(16), may_alias));

/*
 * Unmasked, underflow is signalled for any tiny result, masked only for an inexact one. Flushing to
 * zero signals any; the wrong result that it makes is never seen, since #XM follows.
 */
static inline void host_sse_begin(uint32_t mxcsr)
{
    uint32_t flush = mxcsr & MXCSR_UM ? 0 : MXCSR_FTZ;
    uint32_t value = (mxcsr & MXCSR_COMPUTE) | MXCSR_MASKS | flush;

    __asm__ volatile("ldmxcsr %0" : : "m"(value) : "memory");
}

/* The host's own MXCSR differs only while a guest rounds or flushes in another way; then it is
 * put back. Sticky flags stay behind; the next begin clears them. */
static inline unsigned host_sse_end(uint32_t mxcsr)
{
    uint32_t value;

    __asm__ volatile("stmxcsr %0" : "=m"(value) : : "memory");
    if ((mxcsr & MXCSR_COMPUTE) || !(mxcsr & MXCSR_UM)) {
        uint32_t reset = MXCSR_RESET;
        __asm__ volatile("ldmxcsr %0" : : "m"(reset) : "memory");
    }
    return value & MXCSR_FLAGS;
}

/* destination = destination OPERATION source, or OPERATION source */
#define HOST_SSE(operation)                                                                        \
    static inline unsigned host_##operation(uint32_t mxcsr, union vector128 *destination,          \
                                            const union vector128 *source)                         \
    {                                                                                              \
        host_vector d = *(host_vector *)destination, s = *(const host_vector *)source;             \
                                                                                                   \
        host_sse_begin(mxcsr);                                                                     \
        __asm__ volatile(#operation " %1, %0" : "+x"(d) : "x"(s));                                 \
        *(host_vector *)destination = d;                                                           \
        return host_sse_end(mxcsr);                                                                \
    }
#define HOST_SSE_FAMILY(operation)                                                                 \
    HOST_SSE(operation##ps)                                                                        \
    HOST_SSE(operation##pd)                                                                        \
    HOST_SSE(operation##ss)                                                                        \
    HOST_SSE(operation##sd)

HOST_SSE_FAMILY(add)
HOST_SSE_FAMILY(sub)
HOST_SSE_FAMILY(mul)
HOST_SSE_FAMILY(div)
HOST_SSE_FAMILY(min)
HOST_SSE_FAMILY(max)
HOST_SSE_FAMILY(sqrt)
HOST_SSE(rcpps)
HOST_SSE(rcpss)
HOST_SSE(rsqrtps)
HOST_SSE(rsqrtss)
HOST_SSE(cvtdq2ps)
HOST_SSE(cvtdq2pd)
HOST_SSE(cvtps2pd)
HOST_SSE(cvtpd2ps)
HOST_SSE(cvtps2dq)
HOST_SSE(cvttps2dq)
HOST_SSE(cvtpd2dq)
HOST_SSE(cvttpd2dq)
HOST_SSE(cvtss2sd)
HOST_SSE(cvtsd2ss)

/* The predicate is part of the instruction. */
#define HOST_SSE_COMPARE_CASE(operation, n)                                                        \
    case n:                                                                                        \
        __asm__ volatile(#operation " $" #n ", %1, %0" : "+x"(d) : "x"(s));                        \
        break;
#define HOST_SSE_COMPARE(operation)                                                                \
    static inline unsigned host_##operation(uint32_t mxcsr, union vector128 *destination,          \
                                            const union vector128 *source, unsigned predicate)     \
    {                                                                                              \
        host_vector d = *(host_vector *)destination, s = *(const host_vector *)source;             \
                                                                                                   \
        host_sse_begin(mxcsr);                                                                     \
        switch (predicate & 7) {                                                                   \
            HOST_SSE_COMPARE_CASE(operation, 0)                                                    \
            HOST_SSE_COMPARE_CASE(operation, 1)                                                    \
            HOST_SSE_COMPARE_CASE(operation, 2)                                                    \
            HOST_SSE_COMPARE_CASE(operation, 3)                                                    \
            HOST_SSE_COMPARE_CASE(operation, 4)                                                    \
            HOST_SSE_COMPARE_CASE(operation, 5)                                                    \
            HOST_SSE_COMPARE_CASE(operation, 6)                                                    \
            HOST_SSE_COMPARE_CASE(operation, 7)                                                    \
        }                                                                                          \
        *(host_vector *)destination = d;                                                           \
        return host_sse_end(mxcsr);                                                                \
    }

HOST_SSE_COMPARE(cmpps)
HOST_SSE_COMPARE(cmppd)
HOST_SSE_COMPARE(cmpss)
HOST_SSE_COMPARE(cmpsd)

/* eflags: ZF, PF, CF as the instruction sets them. */
#define HOST_SSE_ORDER(operation)                                                                  \
    static inline unsigned host_##operation(uint32_t mxcsr, const union vector128 *a,              \
                                            const union vector128 *b, uint32_t *eflags)            \
    {                                                                                              \
        host_vector x = *(const host_vector *)a, y = *(const host_vector *)b;                      \
        bool zero, parity, carry;                                                                  \
                                                                                                   \
        host_sse_begin(mxcsr);                                                                     \
        __asm__ volatile(#operation " %4, %3"                                                      \
                         : "=@ccz"(zero), "=@ccp"(parity), "=@ccc"(carry)                          \
                         : "x"(x), "x"(y));                                                        \
        *eflags = (zero ? FLAG_ZF : 0) | (parity ? FLAG_PF : 0) | (carry ? FLAG_CF : 0);           \
        return host_sse_end(mxcsr);                                                                \
    }

HOST_SSE_ORDER(comiss)
HOST_SSE_ORDER(comisd)
HOST_SSE_ORDER(ucomiss)
HOST_SSE_ORDER(ucomisd)

#define HOST_SSE_FROM_INTEGER(name, text, type)                                                    \
    static inline unsigned host_##name(uint32_t mxcsr, union vector128 *destination, type value)   \
    {                                                                                              \
        host_vector d = *(host_vector *)destination;                                               \
                                                                                                   \
        host_sse_begin(mxcsr);                                                                     \
        __asm__ volatile(text " %1, %0" : "+x"(d) : "r"(value));                                   \
        *(host_vector *)destination = d;                                                           \
        return host_sse_end(mxcsr);                                                                \
    }

HOST_SSE_FROM_INTEGER(cvtsi2ss_32, "cvtsi2ssl", uint32_t)
HOST_SSE_FROM_INTEGER(cvtsi2ss_64, "cvtsi2ssq", uint64_t)
HOST_SSE_FROM_INTEGER(cvtsi2sd_32, "cvtsi2sdl", uint32_t)
HOST_SSE_FROM_INTEGER(cvtsi2sd_64, "cvtsi2sdq", uint64_t)

#define HOST_SSE_TO_INTEGER(name, text, type)                                                      \
    static inline unsigned host_##name(uint32_t mxcsr, uint64_t *value,                            \
                                       const union vector128 *source)                              \
    {                                                                                              \
        host_vector s = *(const host_vector *)source;                                              \
        type result;                                                                               \
                                                                                                   \
        host_sse_begin(mxcsr);                                                                     \
        __asm__ volatile(text " %1, %0" : "=r"(result) : "x"(s));                                  \
        *value = result;                                                                           \
        return host_sse_end(mxcsr);                                                                \
    }
#define HOST_SSE_TO_INTEGER_FAMILY(operation)                                                      \
    HOST_SSE_TO_INTEGER(operation##_32, #operation, uint32_t)                                      \
    HOST_SSE_TO_INTEGER(operation##_64, #operation, uint64_t)

HOST_SSE_TO_INTEGER_FAMILY(cvtss2si)
HOST_SSE_TO_INTEGER_FAMILY(cvttss2si)
HOST_SSE_TO_INTEGER_FAMILY(cvtsd2si)
HOST_SSE_TO_INTEGER_FAMILY(cvttsd2si)

#endif
