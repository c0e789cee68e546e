/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys of a keyboard, and the codes by which the world knows them. The table is keys.def. */
#ifndef DUODM_DM_INPUT_KEYS_H
#define DUODM_DM_INPUT_KEYS_H

#include <stdbool.h>
#include <stdint.h>

struct key {
    const char *name;                /* as QMP's QKeyCode */
    uint16_t set2;                   /* scan code of set 2; e0xx: with that prefix; e114: Pause */
    uint8_t set3;                    /* scan code of set 3; 0: none */
    uint8_t usage;                   /* HID usage, page 7; 0: none */
    uint32_t keysym, keysym_shifted; /* X keysyms on a US layout; 0: none */
};
extern const struct key key_table[];
extern const unsigned key_count; /* rows of key_table */

/* NULL: there is none. A name is QMP's (also of those that stand for another: "kp_asterisk"). */
const struct key *key_find_name(const char *name);
/* By QMP's number: the scan code of set 1, with 80h added for those with the prefix e0h. */
const struct key *key_find_number(unsigned number);
/* By X keysym. *needs_shift: only with Shift held does the key give that keysym. */
const struct key *key_find_keysym(uint32_t keysym, bool *needs_shift);

/* What the 8042 makes of a byte of scan code set 2 when it translates to set 1. */
uint8_t key_translate_set2(uint8_t code);

#endif
