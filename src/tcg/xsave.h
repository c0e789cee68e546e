/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The FXSAVE and XSAVE area: SDM vol. 1, 10.5 and 13.4. What CPUID leaf 0DH reports is from here.
 */
#ifndef DUODM_TCG_XSAVE_H
#define DUODM_TCG_XSAVE_H

#include <stdint.h>

#define XCR0_X87       (UINT64_C(1) << 0)
#define XCR0_SSE       (UINT64_C(1) << 1)
#define XCR0_SUPPORTED (XCR0_X87 | XCR0_SSE)
#define XCR0_RESET     XCR0_X87

#define FXSAVE_BYTES       512 /* the legacy region */
#define XSAVE_HEADER_BYTES 64
/* CPUID.0DH.0: EBX and ECX, since no enabled or supported component lies in the extended region */
#define XSAVE_BYTES (FXSAVE_BYTES + XSAVE_HEADER_BYTES)

#endif
