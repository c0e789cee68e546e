/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Properties: what a user may set on a device, as one table per class. The values live in the
 * device's own struct, at the offset that the table names. `-device NAME,help` prints the table.
 */
#ifndef DUODM_DM_PROPERTY_H
#define DUODM_DM_PROPERTY_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum property_type {
    PROPERTY_BOOL,  /* bool: on/off/yes/no/true/false */
    PROPERTY_UINT8, /* uint8_t; number in C notation */
    PROPERTY_UINT16,
    PROPERTY_UINT32,
    PROPERTY_UINT64,
    PROPERTY_SIZE,        /* uint64_t bytes, with suffix B K M G T P E (powers of 1024) */
    PROPERTY_STRING,      /* char *, g_free'd by the core */
    PROPERTY_CHARDEV,     /* struct chardev *, by id */
    PROPERTY_NETDEV,      /* struct netdev *, by id */
    PROPERTY_PCI_ADDRESS, /* int32_t devfn, "slot[.function]" in hex; -1: any */
    PROPERTY_MAC,         /* uint8_t[6] */
    PROPERTY_BOOT_INDEX,  /* int32_t, from 0 on; -1: none */
    PROPERTY_DRIVE,       /* char *, g_free'd by the core: an image, by -drive's id or node-name */
};
/* Added to the type of what the guest can't tell: of the host's, or how we treat the guest. A saved
 * machine goes on whatever it is (snapshot/configuration.h). */
#define PROPERTY_OF_HOST 0x100u

struct property {
    const char *name;
    unsigned type;             /* enum property_type, with PROPERTY_OF_HOST or without */
    size_t offset;             /* in the device's struct */
    const char *default_value; /* as a user would write it; NULL: zero */
    uint64_t minimum, maximum; /* of numbers; both 0: the type's own range */
    const char *help;          /* one line */
};

#define PROPERTY_END                                                                               \
    {                                                                                              \
        NULL, 0, 0, NULL, 0, 0, NULL                                                               \
    }

struct machine;

static inline enum property_type property_type(const struct property *property)
{
    return (enum property_type)(property->type & ~PROPERTY_OF_HOST);
}

/* Set one field of object from text. Errors name the property, the value and what is valid. */
bool property_set(struct machine *machine, void *object, const struct property *property,
                  const char *text, GError **error);
/* Set all defaults of a table (ended by PROPERTY_END; NULL: none). */
void property_set_defaults(struct machine *machine, void *object, const struct property *table);
void property_free_values(void *object, const struct property *table);
/* By name; NULL: the table (NULL: none) has none such. */
const struct property *property_find(const struct property *table, const char *name);
/* The value as text; caller frees. */
char *property_get_text(const void *object, const struct property *property);

/* Parse "64", "4G", "0x1000", "1.5M" into bytes; refuses overflow, signs and trailing text. */
bool parse_size(const char *text, char default_suffix, uint64_t *bytes, GError **error);
/* 64, 0x40. No sign, and no leading zero: 010 is refused, whether meant as ten or as eight. */
bool parse_number(const char *text, uint64_t *value, GError **error);
/* on, yes, true; off, no, false. */
bool parse_bool(const char *text, bool *value, GError **error);

#endif
