/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The framer of QMP: values cut anywhere are found, broken ones are told and passed over. */
#include "dm/monitor/qmp-framer.h"
#include "unit/suite.h"

#include <string.h>

/* Feed text in pieces of `piece` bytes; results as text: values as they are, errors as "!", each
 * ended by '|'. */
static char *frame(const char *text, size_t length, size_t piece)
{
    struct qmp_framer *framer = qmp_framer_new();
    GString *out = g_string_new(NULL);

    for (size_t at = 0; at < length;) {
        size_t run = MIN(piece, length - at), used, value_length;
        enum qmp_framer_result result =
            qmp_framer_feed(framer, (const uint8_t *)text + at, run, &used);
        const char *value = qmp_framer_text(framer, &value_length);

        at += used;
        if (result == QMP_FRAMER_VALUE) {
            g_string_append_len(out, value, (gssize)value_length);
            g_string_append_c(out, '|');
        } else if (result == QMP_FRAMER_ERROR) {
            g_string_append(out, "!|");
        } else {
            CU_ASSERT_EQUAL(used, run);
        }
    }
    qmp_framer_free(framer);
    return g_string_free(out, FALSE);
}

/* The result must not depend on where the stream is cut. */
static void expect(const char *text, const char *expected)
{
    for (size_t piece = 1; piece <= 16; piece++) {
        g_autofree char *got = frame(text, strlen(text), piece);

        if (strcmp(got, expected) != 0) {
            g_printerr("'%s' in pieces of %zu: '%s', expected '%s'\n", text, piece, got, expected);
            CU_FAIL("framing");
        }
    }
}

static void test_values(void)
{
    expect("{}", "{}|");
    expect(" \r\n\t{}\n", "{}|");
    expect("{}{}[]", "{}|{}|[]|");
    expect("{\"a\": [1, -2.5e+3, true, null, \"x\"]}", "{\"a\": [1, -2.5e+3, true, null, \"x\"]}|");
    expect("{\"a\":{\"b\":{}}}{}", "{\"a\":{\"b\":{}}}|{}|");
    expect("[[],[[]]]", "[[],[[]]]|");
    expect("{\"a\":\"}]{[\"}", "{\"a\":\"}]{[\"}|");
    expect("{\"a\\\"b\":\"c\\\\\"}", "{\"a\\\"b\":\"c\\\\\"}|");
    expect("{\n\"a\"\n:\n1\n}", "{\n\"a\"\n:\n1\n}|");
}

static void test_errors(void)
{
    static const char *const broken[] = {
        "x",       "}",        "]",          "\"a\"",    "1",         ",",          ":",
        "{1}",     "{,}",      "{]",         "[}",       "[,1]",      "[1 2]",      "{\"a\"}",
        "{\"a\",", "{\"a\":}", "{\"a\":1,}", "[1,]",     "{\"a\" 1}", "[\"\x01\"]", "{\"a\":1:2}",
        "{a}",     "{'a': 1}", "[1}",        "{\"a\":]",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(broken); i++) {
        g_autofree char *text = g_strconcat(broken[i], " {\"lost\": 1}\n{\"next\": 1}", NULL);

        expect(text, "!|{\"next\": 1}|");
    }
    /* A line feed in a string breaks it and is also where all starts afresh. */
    expect("{\"a\": \"b\n{}", "!|{}|");
}

static void test_resynchronisation(void)
{
    expect("{\"a\": \xff{}", "!|{}|");
    expect("\xff\xff{}\xff{}", "{}|{}|");
    expect("x\xff{}", "!|{}|");
}

static void test_depth(void)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (unsigned i = 0; i < QMP_FRAMER_MAX_DEPTH; i++) {
        g_string_append_c(text, '[');
    }
    for (unsigned i = 0; i < QMP_FRAMER_MAX_DEPTH; i++) {
        g_string_append_c(text, ']');
    }
    {
        g_autofree char *expected = g_strconcat(text->str, "|", NULL);
        g_autofree char *got = frame(text->str, text->len, 100);

        CU_ASSERT_STRING_EQUAL(got, expected);
    }
    g_string_prepend_c(text, '[');
    g_string_append(text, "]\n{}");
    expect(text->str, "!|{}|");
}

static void test_length(void)
{
    struct qmp_framer *framer = qmp_framer_new();
    g_autofree char *chunk = g_strnfill(65536, 'a');
    size_t used, total = 0;
    enum qmp_framer_result result = qmp_framer_feed(framer, (const uint8_t *)"[\"", 2, &used);

    CU_ASSERT_EQUAL(result, QMP_FRAMER_MORE);
    while (result == QMP_FRAMER_MORE && total < 4u * QMP_FRAMER_MAX_LENGTH) {
        result = qmp_framer_feed(framer, (const uint8_t *)chunk, 65536, &used);
        total += used;
    }
    CU_ASSERT_EQUAL(result, QMP_FRAMER_ERROR);
    CU_ASSERT_EQUAL(total, QMP_FRAMER_MAX_LENGTH - 2 + 1);
    CU_ASSERT_EQUAL(qmp_framer_feed(framer, (const uint8_t *)chunk, 65536, &used), QMP_FRAMER_MORE);
    CU_ASSERT_EQUAL(qmp_framer_feed(framer, (const uint8_t *)"\n{}", 3, &used), QMP_FRAMER_VALUE);
    qmp_framer_free(framer);
}

static void test_reset(void)
{
    struct qmp_framer *framer = qmp_framer_new();
    size_t used, length;

    qmp_framer_feed(framer, (const uint8_t *)"{\"a\"", 4, &used);
    qmp_framer_reset(framer);
    CU_ASSERT_EQUAL(qmp_framer_feed(framer, (const uint8_t *)"{}", 2, &used), QMP_FRAMER_VALUE);
    CU_ASSERT_STRING_EQUAL(qmp_framer_text(framer, &length), "{}");
    CU_ASSERT_EQUAL(length, 2);
    qmp_framer_free(framer);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"values in any pieces", test_values},
        {"errors, and the next line", test_errors},
        {"FFh starts afresh", test_resynchronisation},
        {"depth is bounded", test_depth},
        {"length is bounded", test_length},
        {"reset forgets a half value", test_reset},
        {NULL, NULL},
    };

    return unit_run("qmp-framer", tests);
}
