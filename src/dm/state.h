/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of a device must be kept for snapshots, migration and Xen's save record, as one table per
 * class. Whatever a guest can observe and reset does not recompute is listed.
 */
#ifndef DUODM_DM_STATE_H
#define DUODM_DM_STATE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum state_type {
    STATE_BOOL,
    STATE_UINT8,
    STATE_UINT16,
    STATE_UINT32,
    STATE_UINT64,
    STATE_INT64,
    STATE_BYTES,  /* count bytes */
    STATE_TIMER,  /* struct clock_timer: its deadline */
    STATE_BUFFER, /* GByteArray *, never NULL: 0 to count bytes */
};

struct state_field {
    const char *name;
    enum state_type type;
    size_t offset;    /* in the object */
    unsigned count;   /* array elements; 1 for a scalar */
    unsigned version; /* of the description in which the field appeared */
};

struct state_description {
    const char *name;
    unsigned version;                 /* what is written; older ones can be read */
    const struct state_field *fields; /* ended by a NULL name */
    bool (*after_load)(
        void *object); /* check and recompute; false refuses the stream. May be NULL */
    void (*before_save)(void *object); /* may be NULL */
    /* It receives interrupt lines: it is loaded after all that drive lines, so that what they do
     * while they are loaded is overwritten by what it was. */
    bool receives_lines;
};

#define STATE(type_, struct_, field_, version_)                                                    \
    {                                                                                              \
#field_, STATE_##type_, offsetof(struct struct_, field_), 1, version_                      \
    }
#define STATE_ARRAY(type_, struct_, field_, count_, version_)                                      \
    {                                                                                              \
#field_, STATE_##type_, offsetof(struct struct_, field_), count_, version_                 \
    }
/* By another name than the field's: that of older streams. */
#define STATE_NAMED(name_, type_, struct_, field_, version_)                                       \
    {                                                                                              \
        name_, STATE_##type_, offsetof(struct struct_, field_), 1, version_                        \
    }
#define STATE_END                                                                                  \
    {                                                                                              \
        NULL, STATE_BOOL, 0, 0, 0                                                                  \
    }

/*
 * Append the state of object as one section: instance names it among others of its description.
 * Layout, all numbers little-endian:
 *
 *     u32 magic, u32 length of the section, u32 version of the description,
 *     string description, string instance             (string: u8 length, bytes)
 *     per field: string name, u8 type, u32 count, count elements in the type's size
 *     u32 CRC-32 (IEEE 802.3) of all bytes before
 */
void state_save(GByteArray *stream, const struct state_description *description, void *object,
                const char *instance);

/*
 * Read the section at the start of stream into object; *consumed gets its length. The whole section
 * is checked before the first field is touched; if after_load refuses, the old values are put back.
 * So a failed load leaves object as it was. Fields newer than the stream keep their values.
 */
bool state_load(const uint8_t *stream, size_t length, const struct state_description *description,
                void *object, const char *instance, size_t *consumed, GError **error);
/* Would state_load take the section, as far as can be told without after_load? */
bool state_check(const uint8_t *stream, size_t length, const struct state_description *description,
                 const char *instance, size_t *consumed, GError **error);
/* Whose section is at the start of stream? Its frame and checksum are checked. The strings are the
 * caller's to free; those of a stream may hold anything but NUL. */
bool state_peek(const uint8_t *stream, size_t length, char **description, char **instance,
                size_t *consumed, GError **error);

#endif
