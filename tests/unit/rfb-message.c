/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long an RFB client's messages are. */
#include "dm/vnc/rfb-message.h"
#include "unit/suite.h"

#include <string.h>

static void check(enum rfb_stage stage, const void *bytes, size_t available,
                  enum rfb_verdict verdict, size_t length)
{
    struct rfb_message message = rfb_message_look(stage, bytes, available);

    CU_ASSERT_EQUAL(message.verdict, verdict);
    if (verdict != RFB_BAD) {
        CU_ASSERT_EQUAL(message.length, length);
    }
}

static void test_handshake(void)
{
    unsigned minor;

    check(RFB_STAGE_VERSION, "RFB 003.008\n", 11, RFB_INCOMPLETE, 12);
    check(RFB_STAGE_VERSION, "RFB 003.008\n", 12, RFB_WHOLE, 12);
    check(RFB_STAGE_SECURITY, "\1", 1, RFB_WHOLE, 1);
    check(RFB_STAGE_PASSWORD, "0123456789abcde", 15, RFB_INCOMPLETE, 16);
    check(RFB_STAGE_INIT, "", 0, RFB_INCOMPLETE, 1);
    CU_ASSERT_TRUE(rfb_parse_version((const uint8_t *)"RFB 003.889\n", &minor) && minor == 8);
    CU_ASSERT_TRUE(rfb_parse_version((const uint8_t *)"RFB 003.007\n", &minor) && minor == 7);
    CU_ASSERT_TRUE(rfb_parse_version((const uint8_t *)"RFB 003.005\n", &minor) && minor == 3);
    CU_ASSERT_FALSE(rfb_parse_version((const uint8_t *)"RFB 003.00x\n", &minor));
    CU_ASSERT_FALSE(rfb_parse_version((const uint8_t *)"GET / HTTP/1", &minor));
    CU_ASSERT_FALSE(rfb_parse_version((const uint8_t *)"RFB 003.008 ", &minor));
}

static void test_stages(void)
{
    const uint8_t none = 1, password = 2;

    CU_ASSERT_EQUAL(rfb_next_stage(RFB_STAGE_VERSION, &none, false, true), RFB_STAGE_SECURITY);
    CU_ASSERT_EQUAL(rfb_next_stage(RFB_STAGE_VERSION, &none, true, true), RFB_STAGE_PASSWORD);
    CU_ASSERT_EQUAL(rfb_next_stage(RFB_STAGE_VERSION, &none, true, false), RFB_STAGE_INIT);
    CU_ASSERT_EQUAL(rfb_next_stage(RFB_STAGE_SECURITY, &none, false, false), RFB_STAGE_INIT);
    CU_ASSERT_EQUAL(rfb_next_stage(RFB_STAGE_SECURITY, &password, false, true), RFB_STAGE_PASSWORD);
    CU_ASSERT_EQUAL(rfb_next_stage(RFB_STAGE_PASSWORD, &none, false, true), RFB_STAGE_INIT);
    CU_ASSERT_EQUAL(rfb_next_stage(RFB_STAGE_INIT, &none, false, true), RFB_STAGE_NORMAL);
    CU_ASSERT_EQUAL(rfb_next_stage(RFB_STAGE_NORMAL, &none, false, true), RFB_STAGE_NORMAL);
}

static void test_messages(void)
{
    static const struct {
        uint8_t bytes[8]; /* the rest is zeros */
        size_t available;
        enum rfb_verdict verdict;
        size_t length;
    } cases[] = {
        {{0}, 20, RFB_WHOLE, 20},
        {{2, 0, 0}, 3, RFB_INCOMPLETE, 4},
        {{2, 0, 0, 3}, 15, RFB_INCOMPLETE, 16},
        {{2, 0, 0, 3}, 16, RFB_WHOLE, 16},
        {{2, 0, 4, 0}, 8192, RFB_WHOLE, 4100},
        {{2, 0, 4, 1}, 8192, RFB_BAD, 0},
        {{3}, 10, RFB_WHOLE, 10},
        {{4}, 7, RFB_INCOMPLETE, 8},
        {{5}, 6, RFB_WHOLE, 6},
        {{6, 0, 0, 0, 0, 0, 0, 5}, 8, RFB_SKIP, 13},
        {{6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfb}, 8, RFB_SKIP, 13},
        {{6, 0, 0, 0, 0x80, 0, 0, 0}, 8, RFB_BAD, 0},
        {{6, 0, 0, 0, 0x7f, 0, 0, 0}, 8, RFB_BAD, 0},
        {{6, 0, 0, 0, 0, 0, 0}, 7, RFB_INCOMPLETE, 8},
        {{0xfb, 0, 0, 1, 0, 1, 1, 0}, 24, RFB_WHOLE, 24},
        {{0xfb, 0, 0, 1, 0, 1, 1, 0}, 23, RFB_INCOMPLETE, 24},
        {{1}, 100, RFB_BAD, 0},
        {{7}, 100, RFB_BAD, 0},
        {{0xff}, 100, RFB_BAD, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t bytes[RFB_MESSAGE_MAX] = {0};

        memcpy(bytes, cases[i].bytes, sizeof(cases[i].bytes));
        check(RFB_STAGE_NORMAL, bytes, cases[i].available, cases[i].verdict, cases[i].length);
    }
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"handshake", test_handshake},
        {"stages", test_stages},
        {"messages", test_messages},
        {NULL, NULL},
    };

    return unit_run("rfb-message", tests);
}
