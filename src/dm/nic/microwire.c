/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/nic/microwire.h"

#define COMMAND_BITS 8 /* opcode and address, after the start bit */
#define WORD_BITS    16
#define ADDRESS_MASK (MICROWIRE_WORDS - 1)

enum microwire_phase {
    PHASE_START,   /* waits for the start bit */
    PHASE_COMMAND, /* opcode and address come in */
    PHASE_READ,    /* words go out, one after the other */
    PHASE_DATA,    /* the word to be written comes in */
    PHASE_DONE,    /* waits for CS to fall */
    PHASE_COUNT,
};

enum opcode {
    OPCODE_EXTENDED,
    OPCODE_WRITE,
    OPCODE_READ,
    OPCODE_ERASE,
};

/* The upper two address bits of OPCODE_EXTENDED. */
enum extended {
    EXTENDED_EWDS, /* disable writing */
    EXTENDED_WRAL, /* write all */
    EXTENDED_ERAL, /* erase all */
    EXTENDED_EWEN, /* enable writing */
};

static void enter(struct microwire *eeprom, enum microwire_phase phase)
{
    eeprom->phase = (uint8_t)phase;
    eeprom->bits = 0;
    eeprom->shift = 0;
}

static void fill(struct microwire *eeprom, uint16_t value)
{
    for (unsigned i = 0; i < MICROWIRE_WORDS && eeprom->write_enabled; i++) {
        eeprom->words[i] = value;
    }
}

static void begin_extended(struct microwire *eeprom)
{
    switch ((enum extended)(eeprom->command >> 4 & 3)) {
    case EXTENDED_WRAL:
        enter(eeprom, PHASE_DATA);
        return;
    case EXTENDED_ERAL:
        fill(eeprom, 0xffff);
        break;
    case EXTENDED_EWDS:
        eeprom->write_enabled = false;
        break;
    case EXTENDED_EWEN:
        eeprom->write_enabled = true;
        break;
    }
    enter(eeprom, PHASE_DONE);
}

static void begin_command(struct microwire *eeprom)
{
    unsigned address = eeprom->command & ADDRESS_MASK;

    switch ((enum opcode)(eeprom->command >> 6)) {
    case OPCODE_READ:
        enter(eeprom, PHASE_READ);
        eeprom->shift = eeprom->words[address];
        eeprom->output = false; /* a dummy zero goes before the word */
        break;
    case OPCODE_WRITE:
        enter(eeprom, PHASE_DATA);
        break;
    case OPCODE_ERASE:
        if (eeprom->write_enabled) {
            eeprom->words[address] = 0xffff;
        }
        enter(eeprom, PHASE_DONE);
        break;
    case OPCODE_EXTENDED:
        begin_extended(eeprom);
        break;
    }
}

static void finish_write(struct microwire *eeprom)
{
    if (eeprom->command >> 6 == OPCODE_EXTENDED) {
        fill(eeprom, eeprom->shift);
    } else if (eeprom->write_enabled) {
        eeprom->words[eeprom->command & ADDRESS_MASK] = eeprom->shift;
    }
    enter(eeprom, PHASE_DONE);
}

static void shift_out(struct microwire *eeprom)
{
    eeprom->output = eeprom->shift >> 15;
    eeprom->shift = (uint16_t)(eeprom->shift << 1);
    if (++eeprom->bits == WORD_BITS) {
        unsigned next = (eeprom->command + 1u) & ADDRESS_MASK;

        eeprom->bits = 0;
        eeprom->command = (uint8_t)(OPCODE_READ << 6 | next);
        eeprom->shift = eeprom->words[next];
    }
}

static void rising_clock(struct microwire *eeprom, bool input)
{
    switch ((enum microwire_phase)eeprom->phase) {
    case PHASE_START:
        if (input) {
            enter(eeprom, PHASE_COMMAND);
        }
        break;
    case PHASE_COMMAND:
        eeprom->command = (uint8_t)(eeprom->command << 1 | input);
        if (++eeprom->bits == COMMAND_BITS) {
            begin_command(eeprom);
        }
        break;
    case PHASE_READ:
        shift_out(eeprom);
        break;
    case PHASE_DATA:
        eeprom->shift = (uint16_t)(eeprom->shift << 1 | input);
        if (++eeprom->bits == WORD_BITS) {
            finish_write(eeprom);
        }
        break;
    case PHASE_DONE:
    case PHASE_COUNT:
        break;
    }
}

bool microwire_drive(struct microwire *eeprom, bool select, bool clock, bool input)
{
    if (select && !eeprom->select) {
        enter(eeprom, PHASE_START);
        eeprom->output = true; /* ready: writing takes no time */
    } else if (select && clock && !eeprom->clock) {
        rising_clock(eeprom, input);
    }
    eeprom->select = select;
    eeprom->clock = clock;
    return eeprom->output || !select; /* DO floats, and is pulled up */
}

void microwire_reset(struct microwire *eeprom)
{
    eeprom->select = eeprom->clock = eeprom->write_enabled = false;
    eeprom->output = true;
    eeprom->command = 0;
    enter(eeprom, PHASE_START);
}

bool microwire_is_valid(const struct microwire *eeprom)
{
    return eeprom->phase < PHASE_COUNT && eeprom->bits < WORD_BITS;
}
