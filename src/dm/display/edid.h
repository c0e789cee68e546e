/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a screen tells of itself (VESA Enhanced EDID, release A, revision 2: EDID 1.4). */
#ifndef DUODM_DM_DISPLAY_EDID_H
#define DUODM_DM_DISPLAY_EDID_H

#include <stdint.h>

#define EDID_SIZE 128u

/* A screen that prefers width x height, at most 4095 each, and can do the usual others. */
void edid_make(uint8_t edid[EDID_SIZE], unsigned width, unsigned height);

#endif
