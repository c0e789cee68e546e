/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Serial EEPROM 93C46, 64 words of 16 bits, on the three wires of the Microwire bus: a network card
 * keeps its address in it. The owner drives the wires as its register says. Opcodes are those of
 * Microchip's data sheet DS20001749.
 */
#ifndef DUODM_DM_NIC_MICROWIRE_H
#define DUODM_DM_NIC_MICROWIRE_H

#include "dm/state.h"

#include <stdbool.h>
#include <stdint.h>

#define MICROWIRE_WORDS 64

struct microwire {
    uint16_t words[MICROWIRE_WORDS];
    bool select, clock; /* as last driven */
    bool output;        /* DO */
    bool write_enabled; /* EWEN came, and no EWDS since */
    uint8_t phase;      /* enum microwire_phase */
    uint8_t bits;       /* shifted in this phase */
    uint8_t command;    /* 2 bits of opcode, 6 of address */
    uint16_t shift;     /* what is shifted in or out */
};

/* Drive CS, SK and DI; the level of DO. Anything may be driven. */
bool microwire_drive(struct microwire *eeprom, bool select, bool clock, bool input);
/* The wires as at power-on; the words stay. */
void microwire_reset(struct microwire *eeprom);
bool microwire_is_valid(const struct microwire *eeprom); /* after state was loaded */

/* For the owner's state table. */
#define MICROWIRE_STATE_FIELDS(struct_, field_)                                                    \
    STATE_ARRAY(UINT16, struct_, field_.words, MICROWIRE_WORDS, 1),                                \
        STATE(BOOL, struct_, field_.select, 1), STATE(BOOL, struct_, field_.clock, 1),             \
        STATE(BOOL, struct_, field_.output, 1), STATE(BOOL, struct_, field_.write_enabled, 1),     \
        STATE(UINT8, struct_, field_.phase, 1), STATE(UINT8, struct_, field_.bits, 1),             \
        STATE(UINT8, struct_, field_.command, 1), STATE(UINT16, struct_, field_.shift, 1)

#endif
