/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/input/keys.h"

#include <glib.h>

const struct key key_table[] = {
#define KEY(name_, set2_, set3_, usage_, keysym_, shifted_)                                        \
    {name_, set2_, set3_, usage_, keysym_, shifted_},
#include "dm/input/keys.def"
#undef KEY
};
const unsigned key_count = G_N_ELEMENTS(key_table);

/* Other names and keysyms of the same keys. */
static const struct {
    const char *name, *key;
} other_names[] = {
    {"asterisk", "kp_multiply"}, {"compose", "menu"},  {"hiragana", "katakanahiragana"},
    {"altgr", "alt_r"},          {"altgr_r", "alt_r"}, {"kp_asterisk", "kp_multiply"},
    {"kp_period", "kp_decimal"}, {"win", "meta_l"},    {"lf", "ret"},
};

static const struct {
    uint32_t keysym;
    const char *key;
} other_keysyms[] = {
    {0xff0a, "ret"},      {0xff7e, "alt_r"},  {0xfe03, "alt_r"},
    {0xffe7, "meta_l"},   {0xffe8, "meta_r"}, {0xff20, "menu"},
    {0xff8f, "kp_enter"}, {0xff80, "spc"},    {0xff89, "tab"},
};

const struct key *key_find_name(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(other_names); i++) {
        if (g_str_equal(other_names[i].name, name)) {
            name = other_names[i].key;
            break;
        }
    }
    for (unsigned i = 0; i < key_count; i++) {
        if (g_str_equal(key_table[i].name, name)) {
            return &key_table[i];
        }
    }
    return NULL;
}

const struct key *key_find_number(unsigned number)
{
    bool extended = number & 0x80;

    for (unsigned i = 0; i < key_count; i++) {
        uint16_t set2 = key_table[i].set2;

        if ((set2 >> 8 == 0xe0) == extended && set2 >> 8 != 0xe1 &&
            key_translate_set2((uint8_t)set2) == (number & 0x7f) && number <= 0xff) {
            return &key_table[i];
        }
    }
    return NULL;
}

const struct key *key_find_keysym(uint32_t keysym, bool *needs_shift)
{
    *needs_shift = false;
    for (unsigned i = 0; keysym && i < key_count; i++) {
        if (key_table[i].keysym == keysym) {
            return &key_table[i];
        }
    }
    for (unsigned i = 0; keysym && i < key_count; i++) {
        if (key_table[i].keysym_shifted == keysym) {
            *needs_shift = keysym < 0x80; /* a keypad's other name needs none: Num Lock decides */
            return &key_table[i];
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(other_keysyms); i++) {
        if (other_keysyms[i].keysym == keysym) {
            return key_find_name(other_keysyms[i].key);
        }
    }
    return NULL;
}

/* IBM's table, as every 8042 has it; codes from 80h on stay but for two. */
uint8_t key_translate_set2(uint8_t code)
{
    static const uint8_t table[128] = {
        0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
        0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
        0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
        0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
        0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
        0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
        0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
        0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
        0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
    };

    return code < 0x80 ? table[code] : code == 0x83 ? 0x41 : code == 0x84 ? 0x54 : code;
}
