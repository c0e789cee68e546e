/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Saved state: what is written comes back, and anything else is refused with nothing changed. */
#include "dm/state.h"
#include "dm/clock.h"
#include "unit/suite.h"
#include "unit/seed.h"

#include <string.h>

struct thing {
    bool on;
    uint8_t byte;
    uint16_t half[3];
    uint32_t word;
    uint64_t large;
    int64_t delta;
    uint8_t bytes[5];
    struct clock_timer timer, idle_timer;
    uint32_t later;
    unsigned loads, saves; /* not saved */
};

#define FIELDS                                                                                     \
    STATE(BOOL, thing, on, 1), STATE(UINT8, thing, byte, 1),                                       \
        STATE_ARRAY(UINT16, thing, half, 3, 1), STATE(UINT32, thing, word, 1),                     \
        STATE(UINT64, thing, large, 1), STATE(INT64, thing, delta, 1),                             \
        STATE_ARRAY(BYTES, thing, bytes, 5, 1), STATE(TIMER, thing, timer, 1),                     \
        STATE(TIMER, thing, idle_timer, 1)

static const struct state_field fields_1[] = {FIELDS, STATE_END};
static const struct state_field fields_2[] = {FIELDS, STATE(UINT32, thing, later, 2), STATE_END};

static bool thing_after_load(void *object)
{
    struct thing *thing = object;

    thing->loads++;
    return thing->byte != 99;
}

static void thing_before_save(void *object)
{
    ((struct thing *)object)->saves++;
}

/* What a duodm of tomorrow might write. */
static const struct state_field fields_unknown[] = {
    STATE(BOOL, thing, on, 1),
    {"tomorrow", STATE_UINT8, offsetof(struct thing, byte), 1, 1},
    STATE_END,
};
static const struct state_description version_unknown = {
    .name = "thing", .version = 1, .fields = fields_unknown};

static const struct state_description version_1 = {
    .name = "thing",
    .version = 1,
    .fields = fields_1,
    .after_load = thing_after_load,
    .before_save = thing_before_save,
};
static const struct state_description version_2 = {
    .name = "thing",
    .version = 2,
    .fields = fields_2,
    .after_load = thing_after_load,
    .before_save = thing_before_save,
};

static void ignore(void *opaque)
{
}

static struct machine_clock *thing_init(struct thing *thing, struct machine_clock *clock)
{
    if (!clock) {
        clock = machine_clock_new(NULL, NULL);
        machine_clock_set_manual(clock);
    }
    *thing = (struct thing){0};
    clock_timer_init(&thing->timer, clock, ignore, NULL, NULL);
    clock_timer_init(&thing->idle_timer, clock, ignore, NULL, NULL);
    return clock;
}

static void thing_fill(struct thing *thing)
{
    thing->on = true;
    thing->byte = 0xa5;
    thing->half[0] = 0x1234;
    thing->half[2] = 0xffff;
    thing->word = 0xdeadbeef;
    thing->large = 0x0123456789abcdef;
    thing->delta = -5;
    memcpy(thing->bytes, "abcde", 5);
    thing->later = 77;
    clock_timer_arm(&thing->timer, 123456789);
}

static void thing_destroy(struct thing *thing)
{
    clock_timer_destroy(&thing->timer);
    clock_timer_destroy(&thing->idle_timer);
}

/* The saved fields as bytes, to compare two things by. */
static GByteArray *image_of(struct thing *thing)
{
    GByteArray *image = g_byte_array_new();

    state_save(image, &version_2, thing, "image");
    return image;
}

static bool equal(struct thing *a, struct thing *b)
{
    g_autoptr(GByteArray) x = image_of(a), y = image_of(b);

    return x->len == y->len && memcmp(x->data, y->data, x->len) == 0;
}

struct pair {
    struct thing from, to, blank; /* blank: as `to` was */
    struct machine_clock *clock;
    GByteArray *stream; /* of from */
};

static void pair_init(struct pair *pair, const struct state_description *description)
{
    pair->clock = thing_init(&pair->from, NULL);
    thing_init(&pair->to, pair->clock);
    thing_init(&pair->blank, pair->clock);
    thing_fill(&pair->from);
    pair->to.word = pair->blank.word = 0x55;
    clock_timer_arm(&pair->to.idle_timer, 500);
    clock_timer_arm(&pair->blank.idle_timer, 500);
    pair->stream = g_byte_array_new();
    state_save(pair->stream, description, &pair->from, "pci.0[3]");
}

static void pair_destroy(struct pair *pair)
{
    thing_destroy(&pair->from);
    thing_destroy(&pair->to);
    thing_destroy(&pair->blank);
    machine_clock_free(pair->clock);
    g_byte_array_unref(pair->stream);
}

static bool load(struct pair *pair, const uint8_t *data, size_t length,
                 const struct state_description *description, GError **error)
{
    size_t consumed = 0;

    return state_load(data, length, description, &pair->to, "pci.0[3]", &consumed, error) &&
           consumed <= length;
}

static void test_round_trip(void)
{
    struct pair pair;
    size_t consumed;

    pair_init(&pair, &version_2);
    state_save(pair.stream, &version_2, &pair.blank, "second");
    CU_ASSERT_TRUE(state_load(pair.stream->data, pair.stream->len, &version_2, &pair.to, "pci.0[3]",
                              &consumed, NULL));
    CU_ASSERT_TRUE(equal(&pair.from, &pair.to));
    CU_ASSERT_EQUAL(pair.to.timer.deadline, 123456789);
    CU_ASSERT_FALSE(clock_timer_is_armed(&pair.to.idle_timer));
    CU_ASSERT_EQUAL(pair.to.loads, 1);
    CU_ASSERT_TRUE(state_load(pair.stream->data + consumed, pair.stream->len - consumed, &version_2,
                              &pair.to, "second", &consumed, NULL));
    CU_ASSERT_TRUE(equal(&pair.blank, &pair.to));
    pair_destroy(&pair);
}

static void test_versions(void)
{
    g_autoptr(GError) error = NULL;
    struct pair pair;

    pair_init(&pair, &version_1);
    pair.to.later = 4711;
    CU_ASSERT_TRUE(load(&pair, pair.stream->data, pair.stream->len, &version_2, NULL));
    CU_ASSERT_EQUAL(pair.to.word, 0xdeadbeef);
    CU_ASSERT_EQUAL(pair.to.later, 4711);
    pair_destroy(&pair);

    pair_init(&pair, &version_2);
    CU_ASSERT_FALSE(load(&pair, pair.stream->data, pair.stream->len, &version_1, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "thing 'pci.0[3]'"));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "version 2"));
    CU_ASSERT_TRUE(equal(&pair.blank, &pair.to));
    pair_destroy(&pair);
}

static void test_wrong_device(void)
{
    static const struct state_description other = {
        .name = "other", .version = 1, .fields = fields_1};
    struct pair pair;
    size_t consumed;

    pair_init(&pair, &version_1);
    CU_ASSERT_FALSE(load(&pair, pair.stream->data, pair.stream->len, &other, NULL));
    CU_ASSERT_FALSE(state_load(pair.stream->data, pair.stream->len, &version_1, &pair.to,
                               "pci.0[4]", &consumed, NULL));
    CU_ASSERT_TRUE(equal(&pair.blank, &pair.to));
    pair_destroy(&pair);
}

static void test_contradiction_is_undone(void)
{
    g_autoptr(GError) error = NULL;
    struct pair pair;

    pair_init(&pair, &version_1);
    pair.from.byte = 99;
    g_byte_array_set_size(pair.stream, 0);
    state_save(pair.stream, &version_1, &pair.from, "pci.0[3]");
    CU_ASSERT_FALSE(load(&pair, pair.stream->data, pair.stream->len, &version_1, &error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(error);
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "thing 'pci.0[3]', field 'byte'"));
    CU_ASSERT_TRUE(equal(&pair.blank, &pair.to));
    CU_ASSERT_EQUAL(pair.to.byte, 0); /* recomputed for the old values */
    pair_destroy(&pair);
}

static void test_unknown_field(void)
{
    g_autoptr(GError) error = NULL;
    struct pair pair;

    pair_init(&pair, &version_unknown);
    CU_ASSERT_FALSE(load(&pair, pair.stream->data, pair.stream->len, &version_1, &error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(error);
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "thing 'pci.0[3]', field 'byte'"));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "'tomorrow'"));
    CU_ASSERT_TRUE(equal(&pair.blank, &pair.to));
    pair_destroy(&pair);
}

static void test_truncated(void)
{
    struct pair pair;

    pair_init(&pair, &version_2);
    for (unsigned length = 0; length < pair.stream->len; length++) {
        g_autofree uint8_t *cut = g_memdup2(pair.stream->data, length); /* for ASan */
        g_autoptr(GError) error = NULL;

        CU_ASSERT_FALSE_FATAL(load(&pair, cut, length, &version_2, &error));
        CU_ASSERT_PTR_NOT_NULL_FATAL(error);
        CU_ASSERT_PTR_NOT_NULL_FATAL(strstr(error->message, "pci.0[3]"));
    }
    CU_ASSERT_TRUE(equal(&pair.blank, &pair.to));
    pair_destroy(&pair);
}

static void test_bits_flipped(void)
{
    struct pair pair;

    pair_init(&pair, &version_2);
    for (unsigned bit = 0; bit < pair.stream->len * 8; bit++) {
        g_autofree uint8_t *altered = g_memdup2(pair.stream->data, pair.stream->len);
        g_autoptr(GError) error = NULL;

        altered[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CU_ASSERT_FALSE_FATAL(load(&pair, altered, pair.stream->len, &version_2, &error));
        CU_ASSERT_PTR_NOT_NULL_FATAL(error);
    }
    CU_ASSERT_TRUE(equal(&pair.blank, &pair.to));
    pair_destroy(&pair);
}

/* The checksum that a forger would make. */
static void forge_checksum(uint8_t *data, size_t length)
{
    uint32_t crc = ~0u;

    for (size_t i = 0; i < length - 4; i++) {
        crc ^= data[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        }
    }
    crc = ~crc;
    memcpy(data + length - 4, &crc, 4);
}

/* A forger writes anything behind a good checksum: accepted or refused, but never half. */
static void test_forged(void)
{
    g_autoptr(GRand) random = test_seeded_rand();
    unsigned refused = 0, named = 0;

    for (unsigned round = 0; round < 20000; round++) {
        g_autofree uint8_t *forged = NULL;
        g_autoptr(GError) error = NULL;
        struct pair pair;

        pair_init(&pair, &version_2);
        forged = g_memdup2(pair.stream->data, pair.stream->len);
        for (gint n = g_rand_int_range(random, 1, 4); n > 0; n--) {
            /* Not the length: that ends in "truncated". */
            forged[g_rand_int_range(random, 8, (gint)pair.stream->len - 4)] =
                (uint8_t)g_rand_int(random);
        }
        forge_checksum(forged, pair.stream->len);
        if (!load(&pair, forged, pair.stream->len, &version_2, &error)) {
            CU_ASSERT_PTR_NOT_NULL_FATAL(error);
            CU_ASSERT_TRUE_FATAL(equal(&pair.blank, &pair.to));
            refused++;
            named += strstr(error->message, "field '") != NULL;
        }
        pair_destroy(&pair);
    }
    CU_ASSERT_TRUE(refused > 1000 && refused < 20000);
    CU_ASSERT_TRUE(named > 1000);
}

/* Bytes cut off the end or added to it, with length and checksum that fit. */
static void test_forged_length(void)
{
    struct pair pair;

    pair_init(&pair, &version_2);
    for (size_t length = 16; length < pair.stream->len + 16; length++) {
        g_autofree uint8_t *forged = g_malloc0(length);
        g_autoptr(GError) error = NULL;
        uint32_t field = (uint32_t)length;

        if (length == pair.stream->len) {
            continue;
        }
        memcpy(forged, pair.stream->data, MIN(length, pair.stream->len));
        memcpy(forged + 4, &field, 4);
        forge_checksum(forged, length);
        CU_ASSERT_FALSE_FATAL(load(&pair, forged, length, &version_2, &error));
        CU_ASSERT_PTR_NOT_NULL_FATAL(error);
    }
    CU_ASSERT_TRUE(equal(&pair.blank, &pair.to));
    pair_destroy(&pair);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"round trip", test_round_trip},
        {"versions", test_versions},
        {"another device's section", test_wrong_device},
        {"a refused load is undone", test_contradiction_is_undone},
        {"an unknown field", test_unknown_field},
        {"truncated at each byte", test_truncated},
        {"each bit flipped", test_bits_flipped},
        {"forged", test_forged},
        {"forged length", test_forged_length},
        {NULL, NULL},
    };

    return unit_run("state", tests);
}
