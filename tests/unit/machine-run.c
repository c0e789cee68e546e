/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Run states, requests from any thread, events as QMP tells them, exit status. */
#include "unit/fake-machine.h"
#include "unit/suite.h"

#include <string.h>

/* A machine whose events are collected as text, "STOP SHUTDOWN{...} ". */
struct run_test {
    struct fake_engine engine;
    struct machine *machine;
    GString *events;
};

static void on_event(void *opaque, const char *event, const char *data)
{
    struct run_test *test = opaque;

    g_string_append_printf(test->events, "%s%s ", event, data ? data : "");
}

static void run_test_init_with(struct run_test *test, struct machine_config *config)
{
    *test = (struct run_test){0};
    test->events = g_string_new("");
    test->machine = fake_machine_new_with(&test->engine, config);
    machine_add_event_listener(test->machine, on_event, test);
}

static void run_test_init(struct run_test *test)
{
    struct machine_config config;

    machine_config_init(&config);
    config.smp = 2;
    run_test_init_with(test, &config);
}

static void run_test_destroy(struct run_test *test)
{
    CU_ASSERT_FALSE(test->engine.confused);
    fake_machine_free(test->machine);
    g_string_free(test->events, TRUE);
}

/* What happened since the last look. */
static bool events_are(struct run_test *test, const char *expected)
{
    bool same = g_str_equal(test->events->str, expected);

    if (!same) {
        g_printerr("events are '%s', expected '%s'\n", test->events->str, expected);
    }
    g_string_truncate(test->events, 0);
    return same;
}

/* One round of the main loop, which carries out what was requested. */
static void run_loop_once(struct run_test *test)
{
    event_base_loop(test->machine->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void start(struct run_test *test)
{
    machine_start(test->machine);
    g_string_truncate(test->events, 0);
}

static void test_start_and_stop(void)
{
    struct run_test test;

    run_test_init(&test);
    CU_ASSERT_STRING_EQUAL(run_state_name(test.machine->state), "prelaunch");
    machine_start(test.machine);
    machine_start(test.machine);
    CU_ASSERT_TRUE(events_are(&test, "RESUME "));
    CU_ASSERT_TRUE(test.engine.running);
    CU_ASSERT_STRING_EQUAL(run_state_name(test.machine->state), "running");
    machine_stop(test.machine, RUN_STATE_PAUSED);
    machine_stop(test.machine, RUN_STATE_PAUSED);
    CU_ASSERT_TRUE(events_are(&test, "STOP "));
    CU_ASSERT_FALSE(test.engine.running);
    CU_ASSERT_STRING_EQUAL(run_state_name(test.machine->state), "paused");
    run_test_destroy(&test);
}

static void test_clock_stands_while_stopped(void)
{
    struct run_test test;
    uint64_t before, stopped;

    run_test_init(&test);
    start(&test);
    before = machine_clock_now(test.machine->clock);
    while (machine_clock_now(test.machine->clock) == before) {
    }
    machine_stop(test.machine, RUN_STATE_PAUSED);
    stopped = machine_clock_now(test.machine->clock);
    g_usleep(2000);
    CU_ASSERT_EQUAL(machine_clock_now(test.machine->clock), stopped);
    run_test_destroy(&test);
}

static void count(void *opaque)
{
    ++*(unsigned *)opaque;
}

static void test_reset(void)
{
    struct run_test test;
    unsigned handled = 0;

    run_test_init(&test);
    machine_add_reset_handler(test.machine, count, &handled);
    start(&test);
    machine_request_reset(test.machine, true);
    CU_ASSERT_TRUE(test.machine->vcpus_held);
    CU_ASSERT_EQUAL(test.machine->vcpus[0]->signals, VCPU_SIGNAL_EXIT);
    CU_ASSERT_EQUAL(test.engine.kicks, 2);
    CU_ASSERT_EQUAL(handled, 0);
    vcpu_signal(test.machine->vcpus[1], VCPU_SIGNAL_INIT | VCPU_SIGNAL_STARTUP);
    run_loop_once(&test);
    CU_ASSERT_TRUE(events_are(&test, "RESET{\"guest\": true, \"reason\": \"guest-reset\"} "));
    CU_ASSERT_EQUAL(handled, 1);
    CU_ASSERT_EQUAL(test.engine.resets, 2);
    CU_ASSERT_FALSE(test.machine->vcpus_held);
    CU_ASSERT_FALSE(test.machine->vcpus[1]->signals & (VCPU_SIGNAL_INIT | VCPU_SIGNAL_STARTUP));
    CU_ASSERT_TRUE(test.engine.running);
    machine_request_reset(test.machine, false);
    run_loop_once(&test);
    CU_ASSERT_TRUE(
        events_are(&test, "RESET{\"guest\": false, \"reason\": \"host-qmp-system-reset\"} "));
    run_test_destroy(&test);
}

static void test_no_reboot(void)
{
    struct machine_config config;
    struct run_test test;

    machine_config_init(&config);
    config.no_reboot = true;
    run_test_init_with(&test, &config);
    start(&test);
    machine_request_reset(test.machine, true);
    run_loop_once(&test);
    CU_ASSERT_TRUE(events_are(&test, "SHUTDOWN{\"guest\": true, \"reason\": \"guest-reset\"} "));
    CU_ASSERT_TRUE(test.machine->quit);
    CU_ASSERT_EQUAL(machine_run(test.machine), 0);
    run_test_destroy(&test);
}

/* -no-shutdown: the guest's shutdown stops the machine until it is reset; the user's ends it. */
static void test_no_shutdown(void)
{
    struct machine_config config;
    struct run_test test;

    machine_config_init(&config);
    config.no_shutdown = true;
    run_test_init_with(&test, &config);
    start(&test);
    machine_request_shutdown(test.machine, SHUTDOWN_GUEST_SHUTDOWN);
    run_loop_once(&test);
    CU_ASSERT_TRUE(
        events_are(&test, "SHUTDOWN{\"guest\": true, \"reason\": \"guest-shutdown\"} STOP "));
    CU_ASSERT_FALSE(test.machine->quit);
    CU_ASSERT_STRING_EQUAL(run_state_name(test.machine->state), "shutdown");
    CU_ASSERT_TRUE(machine_needs_reset(test.machine));
    machine_start(test.machine);
    CU_ASSERT_TRUE(events_are(&test, ""));
    machine_request_reset(test.machine, false);
    run_loop_once(&test);
    CU_ASSERT_STRING_EQUAL(run_state_name(test.machine->state), "prelaunch");
    start(&test);
    machine_request_shutdown(test.machine, SHUTDOWN_HOST_QMP_QUIT);
    run_loop_once(&test);
    CU_ASSERT_TRUE(events_are(&test, "SHUTDOWN{\"guest\": false, \"reason\": \"host-qmp-quit\"} "));
    CU_ASSERT_TRUE(test.machine->quit);
    run_test_destroy(&test);
}

static void test_exit_status(void)
{
    struct run_test test;

    run_test_init(&test);
    start(&test);
    machine_request_shutdown(test.machine, SHUTDOWN_GUEST_SHUTDOWN);
    machine_request_exit(test.machine, 85);
    machine_request_exit(test.machine, 3);
    machine_request_reset(test.machine, true);
    CU_ASSERT_EQUAL(machine_run(test.machine), 85);
    CU_ASSERT_TRUE(events_are(&test, ""));
    CU_ASSERT_FALSE(test.engine.running);
    machine_request_exit(test.machine, 4); /* too late */
    CU_ASSERT_EQUAL(machine_run(test.machine), 85);
    run_test_destroy(&test);
}

static void test_powerdown(void)
{
    struct run_test test;
    unsigned pressed = 0;

    run_test_init(&test);
    machine_set_powerdown_handler(test.machine, count, &pressed);
    start(&test);
    machine_request_powerdown(test.machine);
    CU_ASSERT_FALSE(test.machine->vcpus_held);
    run_loop_once(&test);
    CU_ASSERT_TRUE(events_are(&test, "POWERDOWN "));
    CU_ASSERT_EQUAL(pressed, 1);
    CU_ASSERT_TRUE(test.engine.running);
    run_test_destroy(&test);
}

static void test_panic(void)
{
    struct run_test test;

    run_test_init(&test);
    start(&test);
    machine_report_panic(test.machine, "test of a guest's panic");
    run_loop_once(&test);
    CU_ASSERT_TRUE(events_are(&test, "GUEST_PANICKED{\"action\": \"pause\"} STOP "));
    CU_ASSERT_STRING_EQUAL(run_state_name(test.machine->state), "guest-panicked");
    CU_ASSERT_FALSE(test.engine.running);
    run_test_destroy(&test);
}

/* Every thread's requests are carried out, and the machine ends with the first status asked for. */
static gpointer request_many(gpointer opaque)
{
    for (unsigned i = 0; i < 2000; i++) {
        machine_request_reset(opaque, true);
        machine_request_powerdown(opaque);
    }
    return NULL;
}

static gpointer request_exit(gpointer opaque)
{
    request_many(opaque);
    machine_request_exit(opaque, 33);
    return NULL;
}

static void test_threads(void)
{
    GThread *threads[4];
    struct run_test test;

    run_test_init(&test);
    for (unsigned i = 0; i < 4; i++) {
        threads[i] = g_thread_new("requests", i ? request_many : request_exit, test.machine);
    }
    CU_ASSERT_EQUAL(machine_run(test.machine), 33);
    for (unsigned i = 0; i < 4; i++) {
        g_thread_join(threads[i]);
    }
    run_test_destroy(&test);
}

static void test_start_paused(void)
{
    struct machine_config config;
    struct run_test test;

    machine_config_init(&config);
    config.start_paused = true;
    run_test_init_with(&test, &config);
    machine_request_shutdown(test.machine, SHUTDOWN_HOST_SIGNAL);
    CU_ASSERT_EQUAL(machine_run(test.machine), 0);
    CU_ASSERT_TRUE(events_are(&test, "SHUTDOWN{\"guest\": false, \"reason\": \"host-signal\"} "));
    CU_ASSERT_EQUAL(test.engine.resumes, 0);
    CU_ASSERT_EQUAL(test.engine.resets, 1);
    run_test_destroy(&test);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"start and stop", test_start_and_stop},
        {"the clock stands while stopped", test_clock_stands_while_stopped},
        {"reset", test_reset},
        {"-no-reboot", test_no_reboot},
        {"-no-shutdown", test_no_shutdown},
        {"exit status", test_exit_status},
        {"power button", test_powerdown},
        {"panic", test_panic},
        {"requests of many threads", test_threads},
        {"-S", test_start_paused},
        {NULL, NULL},
    };

    return unit_run("machine-run", tests);
}
