/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/monitor/qmp-framer.h"

#include <string.h>

#define RESYNC 0xff

/* What may come next. */
enum state {
    BETWEEN,      /* values: the beginning of one */
    VALUE,        /* after ':' or ',' in an array */
    FIRST_VALUE,  /* after '[': a value or ']' */
    KEY,          /* after ',' in an object */
    FIRST_KEY,    /* after '{': a key or '}' */
    COLON,        /* after a key */
    COMMA_OR_END, /* after a value */
    STRING,
    STRING_ESCAPE,
    TOKEN, /* a number, true, false or null */
    SKIPPING,
};

struct qmp_framer {
    enum state state;
    bool string_is_key;
    unsigned depth;
    uint8_t is_object[QMP_FRAMER_MAX_DEPTH]; /* per level; else an array */
    GString *text;
    const char *problem; /* of the last error */
    bool complete;       /* text was handed out: it is cleared at the next feed */
};

struct qmp_framer *qmp_framer_new(void)
{
    struct qmp_framer *framer = g_new0(struct qmp_framer, 1);

    framer->text = g_string_new(NULL);
    return framer;
}

void qmp_framer_free(struct qmp_framer *framer)
{
    if (framer) {
        g_string_free(framer->text, TRUE);
        g_free(framer);
    }
}

/* A long value's memory is given back; short ones share one buffer. */
static void clear_text(struct qmp_framer *framer)
{
    if (framer->text->allocated_len > 65536) {
        g_string_free(framer->text, TRUE);
        framer->text = g_string_new(NULL);
    }
    g_string_truncate(framer->text, 0);
}

void qmp_framer_reset(struct qmp_framer *framer)
{
    framer->state = BETWEEN;
    framer->depth = 0;
    framer->complete = false;
    clear_text(framer);
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static bool is_token(uint8_t byte)
{
    return g_ascii_isalnum(byte) || byte == '+' || byte == '-' || byte == '.';
}

/* NULL, or what is wrong. */
static const char *open_level(struct qmp_framer *framer, bool is_object)
{
    if (framer->depth == QMP_FRAMER_MAX_DEPTH) {
        return "values are nested too deeply";
    }
    framer->is_object[framer->depth++] = is_object;
    framer->state = is_object ? FIRST_KEY : FIRST_VALUE;
    return NULL;
}

static const char *close_level(struct qmp_framer *framer, bool is_object)
{
    if (framer->is_object[framer->depth - 1] != is_object) {
        return is_object ? "']' is expected, not '}'" : "'}' is expected, not ']'";
    }
    framer->depth--;
    framer->state = COMMA_OR_END;
    framer->complete = framer->depth == 0;
    return NULL;
}

static void begin_string(struct qmp_framer *framer, bool is_key)
{
    framer->state = STRING;
    framer->string_is_key = is_key;
}

static const char *begin_value(struct qmp_framer *framer, uint8_t byte)
{
    if (byte == '{' || byte == '[') {
        return open_level(framer, byte == '{');
    }
    if (byte == '"') {
        begin_string(framer, false);
        return NULL;
    }
    framer->state = TOKEN;
    return is_token(byte) ? NULL : "a value is expected";
}

static const char *in_string(struct qmp_framer *framer, uint8_t byte)
{
    if (byte < 0x20) {
        return "a string has a control character or lacks its end";
    }
    if (framer->state == STRING_ESCAPE) {
        framer->state = STRING;
    } else if (byte == '\\') {
        framer->state = STRING_ESCAPE;
    } else if (byte == '"') {
        framer->state = framer->string_is_key ? COLON : COMMA_OR_END;
    }
    return NULL;
}

static const char *after_value(struct qmp_framer *framer, uint8_t byte)
{
    bool in_object = framer->is_object[framer->depth - 1];

    if (byte == ',') {
        framer->state = in_object ? KEY : VALUE;
        return NULL;
    }
    if (byte == '}' || byte == ']') {
        return close_level(framer, byte == '}');
    }
    return in_object ? "',' or '}' is expected" : "',' or ']' is expected";
}

static const char *key(struct qmp_framer *framer, uint8_t byte)
{
    if (byte == '"') {
        begin_string(framer, true);
        return NULL;
    }
    if (byte == '}' && framer->state == FIRST_KEY) {
        return close_level(framer, true);
    }
    return "a key in double quotes is expected";
}

/* One byte in its state; NULL, or what is wrong. */
static const char *step(struct qmp_framer *framer, uint8_t byte)
{
    if (framer->state == TOKEN && !is_token(byte)) {
        framer->state = COMMA_OR_END;
    }
    if (framer->state != STRING && framer->state != STRING_ESCAPE && is_space(byte)) {
        return NULL;
    }
    switch (framer->state) {
    case BETWEEN:
        return byte == '{' || byte == '[' ? begin_value(framer, byte)
                                          : "a command is a JSON object";
    case FIRST_VALUE:
        if (byte == ']') {
            return close_level(framer, false);
        }
        return begin_value(framer, byte);
    case VALUE:
        return begin_value(framer, byte);
    case FIRST_KEY:
    case KEY:
        return key(framer, byte);
    case COLON:
        framer->state = VALUE;
        return byte == ':' ? NULL : "':' is expected";
    case COMMA_OR_END:
        return after_value(framer, byte);
    case STRING:
    case STRING_ESCAPE:
        return in_string(framer, byte);
    default:
        return NULL;
    }
}

static enum qmp_framer_result fail(struct qmp_framer *framer, const char *problem, bool skip)
{
    qmp_framer_reset(framer);
    framer->problem = problem;
    framer->state = skip ? SKIPPING : BETWEEN;
    return QMP_FRAMER_ERROR;
}

/* One byte; says whether a value or an error is there. */
static enum qmp_framer_result feed_byte(struct qmp_framer *framer, uint8_t byte)
{
    const char *problem;

    if (framer->state == SKIPPING) {
        framer->state = byte == '\n' || byte == RESYNC ? BETWEEN : SKIPPING;
        return QMP_FRAMER_MORE;
    }
    if (byte == RESYNC) {
        return framer->state == BETWEEN ? QMP_FRAMER_MORE
                                        : fail(framer, "the value was broken off", false);
    }
    problem = step(framer, byte);
    if (!problem && framer->text->len == QMP_FRAMER_MAX_LENGTH) {
        problem = "the value is too long";
    }
    if (problem) {
        return fail(framer, problem, byte != '\n');
    }
    if (framer->state != BETWEEN) {
        g_string_append_c(framer->text, (char)byte);
    }
    if (framer->complete) {
        framer->problem = NULL;
        framer->state = BETWEEN;
        return QMP_FRAMER_VALUE;
    }
    return QMP_FRAMER_MORE;
}

enum qmp_framer_result qmp_framer_feed(struct qmp_framer *framer, const uint8_t *data,
                                       size_t length, size_t *used)
{
    if (framer->complete) {
        qmp_framer_reset(framer);
    }
    for (*used = 0; *used < length;) {
        enum qmp_framer_result result = feed_byte(framer, data[(*used)++]);

        if (result != QMP_FRAMER_MORE) {
            return result;
        }
    }
    return QMP_FRAMER_MORE;
}

const char *qmp_framer_text(const struct qmp_framer *framer, size_t *length)
{
    const char *text = framer->problem ? framer->problem : framer->text->str;

    *length = framer->problem ? strlen(text) : framer->text->len;
    return text;
}
