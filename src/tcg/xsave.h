/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The FXSAVE and XSAVE area: SDM vol. 1, 10.5 and 13.4. What CPUID leaf 0DH reports is from here.
 */
#ifndef DUODM_TCG_XSAVE_H
#define DUODM_TCG_XSAVE_H

#include <stdint.h>

struct cpu;

#define XCR0_X87   (UINT64_C(1) << 0)
#define XCR0_SSE   (UINT64_C(1) << 1)
#define XCR0_AVX   (UINT64_C(1) << 2)
#define XCR0_RESET XCR0_X87

#define XCOMP_COMPACTED (UINT64_C(1) << 63) /* in XCOMP_BV */

#define FXSAVE_BYTES       512 /* the legacy region */
#define XSAVE_HEADER_BYTES 64
#define XSAVE_MIN_BYTES    (FXSAVE_BYTES + XSAVE_HEADER_BYTES)
/* AVX state: the upper halves of YMM0 to YMM15 (CPUID.0DH.2: EBX and EAX) */
#define XSAVE_AVX_OFFSET XSAVE_MIN_BYTES
#define XSAVE_AVX_BYTES  256

/* What XSETBV accepts and CPUID.0DH.0 shows: by the CPU's features. */
uint64_t xcr0_supported(const struct cpu *cpu);

#endif
