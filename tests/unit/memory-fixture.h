/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of the memory layer share: random numbers, and a listener that remembers. */
#ifndef DUODM_TESTS_MEMORY_FIXTURE_H
#define DUODM_TESTS_MEMORY_FIXTURE_H

#include "memory/address-space.h"
#include "memory/listener.h"
#include "memory/rcu.h"
#include "seed.h"
#include "suite.h"

#include <stdlib.h>

#define CPU MEMORY_ATTRIBUTES_CPU

/* unit_run, and then what RCU has still to free. */
static inline int memory_unit_run(const char *name, const struct unit_test *tests)
{
    int status = unit_run(name, tests);

    if (!status) { /* a failed test may have left something locked */
        memory_rcu_barrier();
    }
    return status;
}

/* xorshift64* */
static inline uint64_t test_random(uint64_t *state)
{
    uint64_t x = *state ? *state : 1;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return (x * UINT64_C(2685821657736338717)) >> 16;
}

static inline unsigned test_below(uint64_t *state, unsigned limit)
{
    return (unsigned)(test_random(state) % limit);
}

/*
 * A listener that holds what it was told, and fails the test if it hears something impossible: an
 * addition over what it has, a removal of what it doesn't have.
 */
struct recorder {
    struct memory_listener listener;
    GArray *sections; /* struct listener_section, by start */
    GArray *eventfds; /* struct ioeventfd_section, in no order */
    unsigned begins, commits, adds, removes, log_changes, failures;
    int fail_after; /* refuse the nth addition from now, 0: the next; -1: never */
    GString *log;   /* one character a call: ( ) + - l e E */
};

static inline struct recorder *recorder_of(struct memory_listener *listener)
{
    return (struct recorder *)listener;
}

static inline struct listener_section *recorder_at(struct recorder *recorder, unsigned i)
{
    return &g_array_index(recorder->sections, struct listener_section, i);
}

static inline void recorder_begin(struct memory_listener *listener)
{
    recorder_of(listener)->begins++;
    g_string_append_c(recorder_of(listener)->log, '(');
}

static inline void recorder_commit(struct memory_listener *listener)
{
    recorder_of(listener)->commits++;
    g_string_append_c(recorder_of(listener)->log, ')');
}

static inline bool recorder_refuses(struct recorder *recorder, GError **error)
{
    if (recorder->fail_after < 0 || recorder->fail_after-- > 0) {
        return false;
    }
    g_set_error(error, g_quark_from_static_string("test"), 1, "refused by the test");
    return true;
}

static inline bool recorder_add(struct memory_listener *listener,
                                const struct listener_section *section, GError **error)
{
    struct recorder *recorder = recorder_of(listener);
    unsigned at = 0;

    if (recorder_refuses(recorder, error)) {
        g_string_append_c(recorder->log, 'x');
        return false;
    }
    recorder->adds++;
    g_string_append_c(recorder->log, '+');
    while (at < recorder->sections->len && recorder_at(recorder, at)->start < section->start) {
        at++;
    }
    if (at > 0) {
        struct listener_section *before = recorder_at(recorder, at - 1);

        CU_ASSERT_FATAL(before->start + before->length <= section->start);
    }
    if (at < recorder->sections->len) {
        CU_ASSERT_FATAL(section->start + section->length <= recorder_at(recorder, at)->start);
    }
    g_array_insert_val(recorder->sections, at, *section);
    return true;
}

static inline bool section_equals(const struct listener_section *a,
                                  const struct listener_section *b)
{
    return a->region == b->region && a->start == b->start && a->length == b->length &&
           a->region_offset == b->region_offset && a->read_only == b->read_only &&
           a->rom_mode == b->rom_mode && a->dirty_clients == b->dirty_clients;
}

static inline unsigned recorder_find(struct recorder *recorder,
                                     const struct listener_section *section)
{
    for (unsigned i = 0; i < recorder->sections->len; i++) {
        if (section_equals(recorder_at(recorder, i), section)) {
            return i;
        }
    }
    CU_FAIL_FATAL("a section that was never added");
    return 0;
}

static inline void recorder_remove(struct memory_listener *listener,
                                   const struct listener_section *section)
{
    struct recorder *recorder = recorder_of(listener);

    recorder->removes++;
    g_string_append_c(recorder->log, '-');
    g_array_remove_index(recorder->sections, recorder_find(recorder, section));
}

static inline void recorder_log_changed(struct memory_listener *listener,
                                        const struct listener_section *section,
                                        uint32_t old_clients, uint32_t new_clients)
{
    struct recorder *recorder = recorder_of(listener);
    struct listener_section before = *section;

    recorder->log_changes++;
    g_string_append_c(recorder->log, 'l');
    CU_ASSERT_EQUAL(section->dirty_clients, new_clients);
    CU_ASSERT_NOT_EQUAL(old_clients, new_clients);
    before.dirty_clients = old_clients;
    recorder_at(recorder, recorder_find(recorder, &before))->dirty_clients = new_clients;
}

static inline bool eventfd_equals(const struct ioeventfd_section *a,
                                  const struct ioeventfd_section *b)
{
    return a->address == b->address && a->size == b->size && a->match_value == b->match_value &&
           a->value == b->value && a->fd == b->fd;
}

static inline bool recorder_eventfd_add(struct memory_listener *listener,
                                        const struct ioeventfd_section *section, GError **error)
{
    struct recorder *recorder = recorder_of(listener);

    if (recorder_refuses(recorder, error)) {
        g_string_append_c(recorder->log, 'X');
        return false;
    }
    g_string_append_c(recorder->log, 'e');
    g_array_append_val(recorder->eventfds, *section);
    return true;
}

static inline int recorder_find_eventfd(struct recorder *recorder,
                                        const struct ioeventfd_section *section)
{
    for (unsigned i = 0; i < recorder->eventfds->len; i++) {
        if (eventfd_equals(&g_array_index(recorder->eventfds, struct ioeventfd_section, i),
                           section)) {
            return (int)i;
        }
    }
    return -1;
}

static inline void recorder_eventfd_remove(struct memory_listener *listener,
                                           const struct ioeventfd_section *section)
{
    struct recorder *recorder = recorder_of(listener);
    int at = recorder_find_eventfd(recorder, section);

    g_string_append_c(recorder->log, 'E');
    CU_ASSERT_FATAL(at >= 0);
    g_array_remove_index(recorder->eventfds, (guint)at);
}

static inline void recorder_failed(struct memory_listener *listener,
                                   const struct listener_section *section, const GError *error)
{
    recorder_of(listener)->failures++;
    g_string_append_c(recorder_of(listener)->log, 'f');
    CU_ASSERT_PTR_NOT_NULL(error);
}

static inline void recorder_init(struct recorder *recorder, int priority)
{
    *recorder = (struct recorder){
        .listener =
            {
                .name = "recorder",
                .priority = priority,
                .begin = recorder_begin,
                .commit = recorder_commit,
                .section_add = recorder_add,
                .section_remove = recorder_remove,
                .log_changed = recorder_log_changed,
                .ioeventfd_add = recorder_eventfd_add,
                .ioeventfd_remove = recorder_eventfd_remove,
                .failed = recorder_failed,
            },
        .sections = g_array_new(FALSE, FALSE, sizeof(struct listener_section)),
        .eventfds = g_array_new(FALSE, FALSE, sizeof(struct ioeventfd_section)),
        .fail_after = -1,
        .log = g_string_new(NULL),
    };
}

static inline void recorder_clear(struct recorder *recorder)
{
    g_array_free(recorder->sections, TRUE);
    g_array_free(recorder->eventfds, TRUE);
    g_string_free(recorder->log, TRUE);
}

/* Does a fresh registration say what this one has heard in its life? */
static inline void recorder_check(struct recorder *recorder)
{
    struct recorder fresh;

    recorder_init(&fresh, 0);
    CU_ASSERT_TRUE_FATAL(memory_listener_register(&fresh.listener, recorder->listener.as, NULL));
    CU_ASSERT_EQUAL_FATAL(fresh.sections->len, recorder->sections->len);
    for (unsigned i = 0; i < fresh.sections->len; i++) {
        CU_ASSERT_TRUE_FATAL(section_equals(recorder_at(&fresh, i), recorder_at(recorder, i)));
    }
    CU_ASSERT_EQUAL_FATAL(fresh.eventfds->len, recorder->eventfds->len);
    for (unsigned i = 0; i < fresh.eventfds->len; i++) {
        CU_ASSERT_TRUE_FATAL(
            recorder_find_eventfd(
                recorder, &g_array_index(fresh.eventfds, struct ioeventfd_section, i)) >= 0);
    }
    memory_listener_unregister(&fresh.listener);
    CU_ASSERT_EQUAL_FATAL(fresh.sections->len, 0);
    CU_ASSERT_EQUAL_FATAL(fresh.eventfds->len, 0);
    recorder_clear(&fresh);
}

#endif
