/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parsing of properties: what is accepted, what is refused, and what the refusal says. */
#include "dm/property.h"
#include "dm/nearest-word.h"
#include "unit/suite.h"
#include "unit/seed.h"
#include "util/error.h"

#include <string.h>

struct object {
    bool flag;
    uint8_t small;
    uint16_t port;
    uint32_t word;
    uint64_t large, size;
    char *text;
    int32_t address;
    uint8_t mac[6];
};

#define OFFSET(field) offsetof(struct object, field)

static const struct property table[] = {
    {"flag", PROPERTY_BOOL, OFFSET(flag), "on", 0, 0, ""},
    {"small", PROPERTY_UINT8, OFFSET(small), NULL, 0, 0, ""},
    {"port", PROPERTY_UINT16, OFFSET(port), "0x3f8", 0x10, 0xfff8, ""},
    {"word", PROPERTY_UINT32, OFFSET(word), NULL, 0, 0, ""},
    {"large", PROPERTY_UINT64, OFFSET(large), NULL, 0, 0, ""},
    {"size", PROPERTY_SIZE, OFFSET(size), "64K", 0, 0, ""},
    {"text", PROPERTY_STRING, OFFSET(text), "default", 0, 0, ""},
    {"address", PROPERTY_PCI_ADDRESS, OFFSET(address), "-1", 0, 0, ""},
    {"mac", PROPERTY_MAC, OFFSET(mac), "52:54:00:12:34:56", 0, 0, ""},
    PROPERTY_END,
};

static void test_sizes(void)
{
    static const struct {
        const char *text;
        char suffix;
        uint64_t bytes;
    } good[] = {
        {"0", 'M', 0},
        {"64", 'M', 64ull << 20},
        {"64", 'B', 64},
        {"4G", 'M', 4ull << 30},
        {"4g", 'M', 4ull << 30},
        {"1.5M", 'B', 3ull << 19},
        {"0.5K", 'B', 512},
        {"0x1000", 'B', 0x1000},
        {"0x10K", 'B', 0x4000},
        {"1P", 'M', 1ull << 50},
        {"15E", 'M', 15ull << 60},
        {"18446744073709551615", 'B', UINT64_MAX},
        {"010", 'B', 10},
    };
    static const char *const bad[] = {
        "",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1MB",
        "M",
        "1.M",
        "1.",
        ".5M",
        "0x",
        "0xg",
        "16E",
        "1X",
        "1.5.5M",
        "1e3",
        "1K1",
        "nan",
        "18446744073709551616",
        "99999999999999999999999999G",
        "0x1.8M",
        "1.00000000000000000000000001M",
        "\xff\xfe",
        "1\n",
    };
    uint64_t bytes;

    for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
        CU_ASSERT_TRUE(parse_size(good[i].text, good[i].suffix, &bytes, NULL));
        CU_ASSERT_EQUAL(bytes, good[i].bytes);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        bytes = 4711;
        CU_ASSERT_FALSE(parse_size(bad[i], 'M', &bytes, &error));
        CU_ASSERT_PTR_NOT_NULL_FATAL(error);
        CU_ASSERT_TRUE(g_utf8_validate(error->message, -1, NULL));
        CU_ASSERT_EQUAL(bytes, 4711);
    }
}

static void test_numbers(void)
{
    static const char *const bad[] = {"",   "-1", "+1",  " 1", "1 ",  "0x",
                                      "1k", "08", "010", "00", "1.0", "18446744073709551616",
                                      "ten"};
    uint64_t value;
    bool flag;

    CU_ASSERT_TRUE(parse_number("18446744073709551615", &value, NULL) && value == UINT64_MAX);
    CU_ASSERT_TRUE(parse_number("0xF8", &value, NULL) && value == 0xf8);
    CU_ASSERT_TRUE(parse_number("0x010", &value, NULL) && value == 16);
    CU_ASSERT_TRUE(parse_number("0", &value, NULL) && value == 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        CU_ASSERT_FALSE(parse_number(bad[i], &value, NULL));
    }
    CU_ASSERT_TRUE(parse_bool("yes", &flag, NULL) && flag);
    CU_ASSERT_TRUE(parse_bool("off", &flag, NULL) && !flag);
    CU_ASSERT_FALSE(parse_bool("ON ", &flag, NULL));
    CU_ASSERT_FALSE(parse_bool("", &flag, NULL));
}

static bool set(struct object *object, const char *name, const char *text, GError **error)
{
    return property_set(NULL, object, property_find(table, name), text, error);
}

static void test_defaults_and_text(void)
{
    static const char *const expected[] = {
        "on", "0", "1016", "0", "0", "65536", "default", "-1", "52:54:00:12:34:56"};
    struct object object = {0};

    property_set_defaults(NULL, &object, table);
    for (unsigned i = 0; table[i].name; i++) {
        g_autofree char *text = property_get_text(&object, &table[i]);

        CU_ASSERT_STRING_EQUAL(text, expected[i]);
    }
    CU_ASSERT_TRUE(set(&object, "text", "other", NULL));
    CU_ASSERT_STRING_EQUAL(object.text, "other");
    CU_ASSERT_PTR_NULL(property_find(table, "colour"));
    property_free_values(&object, table);
    CU_ASSERT_PTR_NULL(object.text);
}

/* Values at and beyond the edges of each type; a refused one leaves the field alone. */
static void test_ranges(void)
{
    static const struct {
        const char *name, *text;
        bool good;
    } cases[] = {
        {"small", "255", true},
        {"small", "256", false},
        {"port", "0x10", true},
        {"port", "0xf", false},
        {"port", "0xfff8", true},
        {"port", "0xfff9", false},
        {"word", "4294967295", true},
        {"word", "4294967296", false},
        {"flag", "1", false},
        {"address", "1f.7", true},
        {"address", "20", false},
        {"address", "1.8", false},
        {"address", "3.", false},
        {"address", ".1", false},
        {"address", "-2", false},
        {"address", "0x1f", true},
        {"address", "a", true},
        {"address", "1.1.1", false},
        {"mac", "52:54:00:12:34:5", false},
        {"mac", "52:54:00:12:34:567", false},
        {"mac", "52-54-00-12-34-56", false},
        {"mac", "ff:FF:00:00:00:01", true},
        {"mac", "", false},
        {"size", "1.5G", true},
        {"large", "1K", false},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        struct object object, before;
        bool good;

        memset(&object, 0x5a, sizeof(object));
        before = object;
        good = set(&object, cases[i].name, cases[i].text, &error);
        CU_ASSERT_EQUAL(good, cases[i].good);
        if (!good) {
            CU_ASSERT_PTR_NOT_NULL_FATAL(error);
            CU_ASSERT_PTR_NOT_NULL(strstr(error->message, cases[i].name));
            CU_ASSERT_EQUAL(memcmp(&object, &before, sizeof(object)), 0);
        }
    }
}

static void test_messages(void)
{
    g_autoptr(GError) range = NULL, kind = NULL, endless = NULL;
    g_autofree char *text = g_strnfill(100000, 'x');
    struct object object = {0};

    CU_ASSERT_FALSE(set(&object, "port", "4", &range));
    CU_ASSERT_PTR_NOT_NULL(strstr(range->message, "'4'"));
    CU_ASSERT_PTR_NOT_NULL(strstr(range->message, "0x10 to 0xfff8"));
    CU_ASSERT_TRUE(g_error_matches(range, DUODM_ERROR, DUODM_ERROR_INVALID_ARGUMENT));
    CU_ASSERT_FALSE(set(&object, "flag", "perhaps\x1b[2J", &kind));
    CU_ASSERT_PTR_NOT_NULL(strstr(kind->message, "on or off"));
    CU_ASSERT_PTR_NULL(strchr(kind->message, 0x1b));
    CU_ASSERT_FALSE(set(&object, "word", text, &endless));
    CU_ASSERT_TRUE(strlen(endless->message) < 300);
}

static void test_nearest_word(void)
{
    static const char *const words[] = {
        "isa-serial", "isa-debugcon", "isa-debug-exit", "PIIX3", "pc-testdev", "pci-testdev", "q35",
        NULL};
    static const struct {
        const char *word, *nearest;
    } cases[] = {
        {"isa-seral", "isa-serial"},
        {"isa-serila", "isa-serial"},
        {"isa_debug_exit", "isa-debug-exit"},
        {"piix3", "PIIX3"},
        {"pi-testdev", "pc-testdev"},
        {"q53", "q35"},
        {"pci-testdevs", "pci-testdev"},
        {"virtio-net-pci", NULL},
        {"", NULL},
        {"x", NULL},
    };
    static const char *const none[] = {NULL};
    g_autofree char *endless = g_strnfill(100000, 'i');

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *nearest = nearest_word(cases[i].word, words);

        CU_ASSERT_EQUAL(g_strcmp0(nearest, cases[i].nearest), 0);
    }
    CU_ASSERT_PTR_NULL(nearest_word(endless, words));
    CU_ASSERT_PTR_NULL(nearest_word("isa-serial", none));
}

/* Text from anybody: random bytes never crash, and a refusal is always explained. */
static void test_hostile_text(void)
{
    g_autoptr(GRand) random = test_seeded_rand();
    struct object object = {0};

    for (unsigned round = 0; round < 20000; round++) {
        const struct property *property = &table[g_rand_int_range(random, 0, 9)];
        g_autoptr(GError) error = NULL;
        char text[24];
        gint length = g_rand_int_range(random, 0, sizeof(text));

        for (gint i = 0; i < length; i++) {
            text[i] = g_rand_boolean(random) ? "0123456789.xKMGE:-"[g_rand_int_range(random, 0, 18)]
                                             : (char)g_rand_int_range(random, 1, 256);
        }
        text[length] = 0;
        if (!property_set(NULL, &object, property, text, &error)) {
            CU_ASSERT_PTR_NOT_NULL_FATAL(error);
            CU_ASSERT_TRUE_FATAL(g_utf8_validate(error->message, -1, NULL));
        } else {
            g_autofree char *back = property_get_text(&object, property);

            CU_ASSERT_TRUE_FATAL(property_set(NULL, &object, property, back, NULL));
        }
        nearest_word(text, (const char *const[]){"serial", "debug", NULL});
    }
    property_free_values(&object, table);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"sizes", test_sizes},
        {"numbers and truth values", test_numbers},
        {"defaults and text", test_defaults_and_text},
        {"ranges", test_ranges},
        {"messages", test_messages},
        {"nearest word", test_nearest_word},
        {"hostile text", test_hostile_text},
        {NULL, NULL},
    };

    return unit_run("property", tests);
}
