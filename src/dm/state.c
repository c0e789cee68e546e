/* SPDX-License-Identifier: GPL-2.0-or-later */
/* State sections: see state.h for their layout. A stream may come from anybody; trust no length. */
#include "dm/state.h"
#include "dm/clock.h"
#include "util/crc32.h"
#include "util/error.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define STATE_MAGIC      0x53445544u /* "DUDS" */
#define HEADER_SIZE      12u         /* magic, length, version */
#define CHECKSUM_SIZE    4u
#define SECTION_SIZE_MAX (64u << 20)

/* Bytes of an element, in the stream and (but for timers) in memory. */
static unsigned element_size(enum state_type type)
{
    static const uint8_t sizes[] = {
        [STATE_BOOL] = 1,   [STATE_UINT8] = 1,  [STATE_UINT16] = 2,
        [STATE_UINT32] = 4, [STATE_UINT64] = 8, [STATE_INT64] = 8,
        [STATE_BYTES] = 1,  [STATE_TIMER] = 8,  [STATE_BUFFER] = 1,
    };

    return sizes[type];
}

static size_t memory_stride(enum state_type type)
{
    return type == STATE_TIMER ? sizeof(struct clock_timer) : element_size(type);
}

/* An element as a number, from memory. */
static uint64_t element_get(enum state_type type, const void *element)
{
    switch (type) {
    case STATE_BOOL:
        return *(const bool *)element;
    case STATE_UINT16:
        return *(const uint16_t *)element;
    case STATE_UINT32:
        return *(const uint32_t *)element;
    case STATE_UINT64:
    case STATE_INT64:
        return *(const uint64_t *)element;
    case STATE_TIMER:
        return clock_timer_is_armed(element) ? ((const struct clock_timer *)element)->deadline
                                             : UINT64_MAX;
    default:
        return *(const uint8_t *)element;
    }
}

static void element_set(enum state_type type, void *element, uint64_t value)
{
    switch (type) {
    case STATE_BOOL:
        *(bool *)element = value != 0;
        break;
    case STATE_UINT16:
        *(uint16_t *)element = (uint16_t)value;
        break;
    case STATE_UINT32:
        *(uint32_t *)element = (uint32_t)value;
        break;
    case STATE_UINT64:
    case STATE_INT64:
        *(uint64_t *)element = value;
        break;
    case STATE_TIMER:
        if (value == UINT64_MAX) {
            clock_timer_disarm(element);
        } else {
            clock_timer_arm(element, value);
        }
        break;
    default:
        *(uint8_t *)element = (uint8_t)value;
        break;
    }
}

/* Writing. */

static void put_number(GByteArray *stream, uint64_t value, unsigned size)
{
    uint8_t bytes[8];

    for (unsigned i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
    g_byte_array_append(stream, bytes, size);
}

static void put_string(GByteArray *stream, const char *text)
{
    size_t length = MIN(strlen(text), UINT8_MAX);

    put_number(stream, length, 1);
    g_byte_array_append(stream, (const guint8 *)text, (guint)length);
}

static void put_field(GByteArray *stream, const struct state_field *field, const void *object)
{
    const char *memory = (const char *)object + field->offset;

    put_string(stream, field->name);
    put_number(stream, field->type, 1);
    if (field->type == STATE_BUFFER) {
        const GByteArray *buffer = *(GByteArray *const *)(const void *)memory;

        assert(buffer->len <= field->count);
        put_number(stream, buffer->len, 4);
        g_byte_array_append(stream, buffer->data, buffer->len);
        return;
    }
    put_number(stream, field->count, 4);
    for (unsigned i = 0; i < field->count; i++) {
        put_number(stream, element_get(field->type, memory + i * memory_stride(field->type)),
                   element_size(field->type));
    }
}

void state_save(GByteArray *stream, const struct state_description *description, void *object,
                const char *instance)
{
    guint start = stream->len;
    uint32_t length;

    if (description->before_save) {
        description->before_save(object);
    }
    put_number(stream, STATE_MAGIC, 4);
    put_number(stream, 0, 4); /* length, when it is known */
    put_number(stream, description->version, 4);
    put_string(stream, description->name);
    put_string(stream, instance);
    for (const struct state_field *field = description->fields; field->name; field++) {
        put_field(stream, field, object);
    }
    length = stream->len - start + CHECKSUM_SIZE;
    assert(length <= SECTION_SIZE_MAX);
    for (unsigned i = 0; i < 4; i++) {
        stream->data[start + 4 + i] = (uint8_t)(length >> (8 * i));
    }
    put_number(stream, crc32_of(stream->data + start, stream->len - start), 4);
}

/* Reading. */

struct reader {
    const uint8_t *data;
    size_t left;
    const char *description, *instance; /* for messages; NULL: not known yet */
    GError **error;
};

static bool refuse(const struct reader *reader, const char *field, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
static bool refuse(const struct reader *reader, const char *field, const char *format, ...)
{
    g_autofree char *reason = NULL;
    va_list args;

    va_start(args, format);
    reason = g_strdup_vprintf(format, args);
    va_end(args);
    if (!reader->description) {
        return duodm_fail(reader->error, DUODM_ERROR_INVALID_ARGUMENT, "saved state: %s", reason);
    }
    return duodm_fail(reader->error, DUODM_ERROR_INVALID_ARGUMENT,
                      "saved state of %s '%s'%s%s%s: %s", reader->description, reader->instance,
                      field ? ", field '" : "", field ? field : "", field ? "'" : "", reason);
}

/* Little-endian number of `size` bytes. The caller knows that they are there, or checks. */
static uint64_t number_at(const uint8_t *data, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)data[i] << (8 * i);
    }
    return value;
}

static bool take_number(struct reader *reader, unsigned size, uint64_t *value)
{
    if (reader->left < size) {
        return false;
    }
    *value = number_at(reader->data, size);
    reader->data += size;
    reader->left -= size;
    return true;
}

/* Take a string that must be this one. */
static bool take_string(struct reader *reader, const char *expected)
{
    size_t expected_length = MIN(strlen(expected), UINT8_MAX);
    uint64_t length;

    if (!take_number(reader, 1, &length) || reader->left < length) {
        return false;
    }
    if (length != expected_length || memcmp(reader->data, expected, length) != 0) {
        return false;
    }
    reader->data += length;
    reader->left -= length;
    return true;
}

/* Any string without NUL. */
static char *take_any_string(struct reader *reader)
{
    uint64_t length;
    char *text;

    if (!take_number(reader, 1, &length) || reader->left < length ||
        memchr(reader->data, 0, length)) {
        return NULL;
    }
    text = g_strndup((const char *)reader->data, length);
    reader->data += length;
    reader->left -= length;
    return text;
}

/* Check the frame; the reader then has what lies between header and checksum. */
static bool open_frame(struct reader *reader, uint32_t *version, size_t *consumed)
{
    const uint8_t *start = reader->data;
    uint64_t length;

    if (reader->left < HEADER_SIZE + CHECKSUM_SIZE) {
        return refuse(reader, NULL, "the stream ends within the header");
    }
    if (number_at(start, 4) != STATE_MAGIC) {
        return refuse(reader, NULL, "this is not a section of saved state");
    }
    length = number_at(start + 4, 4);
    if (length < HEADER_SIZE + CHECKSUM_SIZE || length > SECTION_SIZE_MAX) {
        return refuse(reader, NULL, "its length is impossible (%" PRIu64 " bytes)", length);
    }
    if (length > reader->left) {
        return refuse(reader, NULL, "the stream was cut off after %zu of its %" PRIu64 " bytes",
                      reader->left, length);
    }
    if (crc32_of(start, length - CHECKSUM_SIZE) !=
        number_at(start + length - CHECKSUM_SIZE, CHECKSUM_SIZE)) {
        return refuse(reader, NULL, "the checksum is wrong: the stream was altered");
    }
    *version = (uint32_t)number_at(start + 8, 4);
    *consumed = length;
    reader->data += HEADER_SIZE;
    reader->left = length - HEADER_SIZE - CHECKSUM_SIZE;
    return true;
}

static bool open_section(struct reader *reader, const struct state_description *description,
                         uint32_t *version, size_t *consumed)
{
    if (!open_frame(reader, version, consumed)) {
        return false;
    }
    if (!take_string(reader, description->name) || !take_string(reader, reader->instance)) {
        return refuse(reader, NULL, "the section belongs to another device");
    }
    if (*version > description->version) {
        return refuse(reader, NULL,
                      "it was saved in version %" PRIu32 ", this duodm reads up to %u", *version,
                      description->version);
    }
    return true;
}

/* The contents of a buffer; its length was read. */
static bool take_buffer(struct reader *reader, const struct state_field *field, uint64_t length,
                        void *object)
{
    if (length > field->count) {
        return refuse(reader, field->name, "%" PRIu64 " bytes are more than the %u that it holds",
                      length, field->count);
    }
    if (reader->left < length) {
        return refuse(reader, field->name, "the section ends within it");
    }
    if (object) {
        GByteArray *buffer = *(GByteArray **)(void *)((char *)object + field->offset);

        g_byte_array_set_size(buffer, 0);
        g_byte_array_append(buffer, reader->data, (guint)length);
    }
    reader->data += length;
    reader->left -= length;
    return true;
}

/* Not the field that was expected, but one that this duodm does not know, or none. */
static bool refuse_other_field(struct reader at_field, const char *expected)
{
    g_autofree char *found = take_any_string(&at_field);
    g_autofree char *shown = found ? g_utf8_make_valid(found, -1) : NULL;

    return refuse(&at_field, expected, "it is not where it should be%s%s%s",
                  shown ? ": there is '" : "", shown ? shown : "", shown ? "'" : "");
}

/* Check one field, and if object is not NULL, set it. */
static bool take_field(struct reader *reader, const struct state_field *field, void *object)
{
    const struct reader at_field = *reader;
    unsigned size = element_size(field->type);
    uint64_t type, count, value = 0;

    if (!take_string(reader, field->name)) {
        return refuse_other_field(at_field, field->name);
    }
    if (!take_number(reader, 1, &type) || !take_number(reader, 4, &count)) {
        return refuse(reader, field->name, "the section ends within it");
    }
    if (type == STATE_BUFFER && field->type == STATE_BUFFER) {
        return take_buffer(reader, field, count, object);
    }
    if (type != field->type || count != field->count) {
        return refuse(reader, field->name,
                      "its type or count is %" PRIu64 ", %" PRIu64 " where %d, %u is expected",
                      type, count, field->type, field->count);
    }
    if (reader->left / size < field->count) {
        return refuse(reader, field->name, "the section ends within it");
    }
    for (unsigned i = 0; i < field->count; i++) {
        take_number(reader, size, &value);
        if (field->type == STATE_BOOL && value > 1) {
            return refuse(reader, field->name, "%" PRIu64 " is not a truth value", value);
        }
        if (object) {
            element_set(field->type,
                        (char *)object + field->offset + i * memory_stride(field->type), value);
        }
    }
    return true;
}

/* A field that is refused with those before it while they alone are not. */
static const char *find_contradiction(struct reader reader,
                                      const struct state_description *description, uint32_t version,
                                      void *object)
{
    for (const struct state_field *field = description->fields; field->name; field++) {
        if (field->version <= version && take_field(&reader, field, object) &&
            !description->after_load(object)) {
            return field->name;
        }
    }
    return NULL;
}

static bool take_fields(struct reader reader, const struct state_description *description,
                        uint32_t version, void *object)
{
    for (const struct state_field *field = description->fields; field->name; field++) {
        if (field->version <= version && !take_field(&reader, field, object)) {
            return false;
        }
    }
    if (reader.left) {
        return refuse(&reader, NULL, "%zu bytes too many", reader.left);
    }
    return true;
}

/* Put back what state_save gave for the same object. */
static void restore(const GByteArray *old, const struct state_description *description,
                    void *object, const char *instance)
{
    struct reader reader = {old->data, old->len, description->name, instance, NULL};
    uint32_t version;
    size_t consumed;
    bool good = open_section(&reader, description, &version, &consumed) &&
                take_fields(reader, description, version, object);

    assert(good);
    if (good && description->after_load) {
        description->after_load(object);
    }
}

bool state_load(const uint8_t *stream, size_t length, const struct state_description *description,
                void *object, const char *instance, size_t *consumed, GError **error)
{
    struct reader reader = {stream, length, description->name, instance, error};
    g_autoptr(GByteArray) old = g_byte_array_new();
    uint32_t version;

    if (!open_section(&reader, description, &version, consumed) ||
        !take_fields(reader, description, version, NULL)) {
        return false;
    }
    state_save(old, description, object, instance);
    take_fields(reader, description, version, object);
    if (description->after_load && !description->after_load(object)) {
        const char *field;

        restore(old, description, object, instance);
        field = find_contradiction(reader, description, version, object);
        restore(old, description, object, instance);
        return refuse(&reader, field, "its value is impossible, or contradicts those before it");
    }
    return true;
}

bool state_check(const uint8_t *stream, size_t length, const struct state_description *description,
                 const char *instance, size_t *consumed, GError **error)
{
    struct reader reader = {stream, length, description->name, instance, error};
    uint32_t version;

    return open_section(&reader, description, &version, consumed) &&
           take_fields(reader, description, version, NULL);
}

/* Whose section a stream says that this is, for messages: nothing of it was checked. */
static void read_owner(const uint8_t *stream, size_t length, char **description, char **instance)
{
    g_autofree char *first = NULL, *second = NULL;
    struct reader reader = {0};

    if (length < HEADER_SIZE || number_at(stream, 4) != STATE_MAGIC) {
        return;
    }
    reader.data = stream + HEADER_SIZE;
    reader.left = length - HEADER_SIZE;
    first = take_any_string(&reader);
    second = first ? take_any_string(&reader) : NULL;
    if (second) {
        *description = g_utf8_make_valid(first, -1);
        *instance = g_utf8_make_valid(second, -1);
    }
}

bool state_peek(const uint8_t *stream, size_t length, char **description, char **instance,
                size_t *consumed, GError **error)
{
    g_autofree char *owner = NULL, *owner_instance = NULL, *name = NULL;
    struct reader reader = {stream, length, NULL, NULL, error};
    uint32_t version;

    read_owner(stream, length, &owner, &owner_instance);
    reader.description = owner;
    reader.instance = owner_instance;
    if (!open_frame(&reader, &version, consumed)) {
        return false;
    }
    name = take_any_string(&reader);
    *instance = name ? take_any_string(&reader) : NULL;
    *description = *instance ? g_steal_pointer(&name) : NULL;
    return *instance || refuse(&reader, NULL, "a section does not say whose it is");
}
