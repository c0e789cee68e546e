/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory that misses the TLB a lot gets huge pages from the host: a thread of low priority
 * asks the kernel to collapse the 2 MiB around (MADV_COLLAPSE, Linux 6.1; elsewhere nothing
 * happens). The contents stay; accesses meanwhile wait.
 */
#ifndef DUODM_TCG_HUGE_PAGES_H
#define DUODM_TCG_HUGE_PAGES_H

#include <stdint.h>

struct huge_pages;

struct huge_pages *huge_pages_new(void);
void huge_pages_free(struct huge_pages *pages);
/* A TLB entry was filled for the page at this host address. Any thread; quick. */
void huge_pages_note_fill(struct huge_pages *pages, const uint8_t *host);

#endif
