/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DUODM_UTIL_HOT_PATH_H
#define DUODM_UTIL_HOT_PATH_H

/* A function that each exit of a vCPU goes through. The linker puts all of them side by side, so
 * that they share a few pages: after an exit each page costs a miss in a processor's caches and
 * TLB. */
#define HOT_PATH __attribute__((hot))

#endif
