/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process: its signals, terminal, files, and the order in which things come up. Whatever step
 * fails, those before it are taken back in the opposite order, so that nothing is left behind.
 */
#include "dm/char/terminal.h"
#include "dm/cli/launch.h"
#include "util/error.h"
#include "util/log.h"
#include "util/own-path.h"
#include "util/trace.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP};

struct process {
    struct launch launch;
    struct event *ending_events[G_N_ELEMENTS(ending_signals)];
    struct event *continue_event;
    bool running; /* the machine's loop: from then on a signal is a request to it */
    int pidfile;  /* open and locked; -1: none */
    struct own_path own_pidfile;
};

static bool open_log(struct process *process, GError **error)
{
    const struct command_line *line = &process->launch.line;

    if (line->log_file && !log_set_file(line->log_file, error)) {
        g_prefix_error(error, "-D: ");
        return false;
    }
    if (line->log_items && !log_set_items(line->log_items, error)) {
        g_prefix_error(error, "-d: ");
        return false;
    }
    for (unsigned i = 0; i < line->traces->len; i++) {
        if (!trace_enable(g_ptr_array_index(line->traces, i), true, error)) {
            g_prefix_error(error, "-trace: ");
            return false;
        }
    }
    return true;
}

static bool make_loop(struct process *process, GError **error)
{
    if (evthread_use_pthreads() == 0) {
        process->launch.base = event_base_new();
    }
    return process->launch.base ||
           duodm_fail(error, DUODM_ERROR_FAILED, "no event loop: %s", g_strerror(errno));
}

static void free_loop(struct process *process)
{
    event_base_free(process->launch.base);
    libevent_global_shutdown();
}

static void end_by_signal(evutil_socket_t number, short what, void *opaque)
{
    struct process *process = opaque;

    if (process->running) {
        fprintf(stderr, "duodm: ended by signal %d (%s)\n", (int)number, strsignal((int)number));
        machine_request_shutdown(process->launch.machine, SHUTDOWN_HOST_SIGNAL);
    } else {
        event_base_loopbreak(process->launch.base); /* a chardev waits for its client */
    }
}

static void continued(evutil_socket_t number, short what, void *opaque)
{
    terminal_resume();
}

static bool catch_signals(struct process *process, GError **error)
{
    struct sigaction old;

    signal(SIGPIPE, SIG_IGN); /* a peer that leaves is seen where it is written to */
    terminal_catch_fatal_signals();
    for (unsigned i = 0; i < G_N_ELEMENTS(ending_signals); i++) {
        /* What is ignored was meant to be: nohup. */
        if (sigaction(ending_signals[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN) {
            continue;
        }
        process->ending_events[i] =
            evsignal_new(process->launch.base, ending_signals[i], end_by_signal, process);
        event_add(process->ending_events[i], NULL);
    }
    process->continue_event = evsignal_new(process->launch.base, SIGCONT, continued, NULL);
    event_add(process->continue_event, NULL);
    return true;
}

static void release_signals(struct process *process)
{
    event_free(process->continue_event);
    for (unsigned i = 0; i < G_N_ELEMENTS(ending_signals); i++) {
        if (process->ending_events[i]) {
            event_free(process->ending_events[i]);
        }
    }
}

static void remove_pidfile(struct process *process)
{
    own_path_remove(&process->own_pidfile);
    if (process->pidfile >= 0) {
        close(process->pidfile);
        process->pidfile = -1;
    }
}

static bool fail_pidfile(struct process *process, GError **error)
{
    int reason = errno;

    remove_pidfile(process);
    return duodm_fail(error, reason == EBUSY ? DUODM_ERROR_BUSY : DUODM_ERROR_IO, "-pidfile %s: %s",
                      process->launch.line.pidfile,
                      reason == EBUSY ? "another process holds it" : g_strerror(reason));
}

static bool write_pidfile(struct process *process, GError **error)
{
    const char *path = process->launch.line.pidfile;
    g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());
    struct stat status;
    bool is_file;

    if (!path) {
        return true;
    }
    process->pidfile = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (process->pidfile < 0 || fstat(process->pidfile, &status) < 0) {
        return fail_pidfile(process, error);
    }
    is_file = S_ISREG(status.st_mode); /* else a device or pipe, which is told and left alone */
    if (is_file && lockf(process->pidfile, F_TLOCK, 0) < 0) {
        errno = EBUSY;
        return fail_pidfile(process, error);
    }
    if (is_file) {
        g_autofree char *real = realpath(path, NULL);

        own_path_init(&process->own_pidfile, real);
    }
    if ((is_file && ftruncate(process->pidfile, 0) < 0) ||
        write(process->pidfile, text, strlen(text)) != (ssize_t)strlen(text)) {
        return fail_pidfile(process, error);
    }
    return true;
}

/* Steps of struct launch, as steps of struct process. */
#define LAUNCH_UP(name_)                                                                           \
    static bool name_##_up(struct process *process, GError **error)                                \
    {                                                                                              \
        return launch_##name_(&process->launch, error);                                            \
    }
#define LAUNCH_DOWN(name_)                                                                         \
    static void name_##_down(struct process *process)                                              \
    {                                                                                              \
        launch_##name_(&process->launch);                                                          \
    }

LAUNCH_UP(choose_engine)
LAUNCH_DOWN(forget_engine)
LAUNCH_UP(make_machine)
LAUNCH_DOWN(free_machine)
LAUNCH_UP(open_chardevs)
LAUNCH_DOWN(close_chardevs)
LAUNCH_UP(start_control_monitors)
LAUNCH_DOWN(stop_monitors)
LAUNCH_UP(create_engine)
LAUNCH_UP(open_drives)
LAUNCH_UP(open_netdevs)
LAUNCH_UP(make_objects)
LAUNCH_UP(make_board)
LAUNCH_DOWN(forget_board)
LAUNCH_UP(add_devices)
LAUNCH_UP(start_vnc)
LAUNCH_DOWN(stop_vnc)
LAUNCH_UP(start_monitors)
LAUNCH_DOWN(stop_qtest)
LAUNCH_UP(drop_rights)

static const struct {
    bool (*up)(struct process *process, GError **error);
    void (*down)(struct process *process); /* NULL: nothing to take back */
} steps[] = {
    {open_log, NULL},
    {choose_engine_up, forget_engine_down},
    {make_loop, free_loop},
    {catch_signals, release_signals},
    {write_pidfile, remove_pidfile},
    {make_machine_up, free_machine_down},
    {open_chardevs_up, close_chardevs_down},
    {start_control_monitors_up, stop_monitors_down},
    {create_engine_up, NULL},
    {open_drives_up, NULL},
    {open_netdevs_up, NULL},
    {make_objects_up, NULL},
    {make_board_up, forget_board_down},
    {add_devices_up, NULL},
    {start_vnc_up, stop_vnc_down},
    {start_monitors_up, stop_qtest_down},
    {drop_rights_up, NULL},
};

/* The exit status of the process. */
static int run(struct process *process, GError **error)
{
    unsigned done = 0;
    int status = 1;

    while (done < G_N_ELEMENTS(steps) && !process->launch.line.done &&
           steps[done].up(process, error)) {
        done++;
    }
    if (process->launch.line.done) {
        status = 0;
    } else if (done == G_N_ELEMENTS(steps)) {
        process->running = true;
        status = machine_run(process->launch.machine);
    }
    while (done-- > 0) {
        if (steps[done].down) {
            steps[done].down(process);
        }
    }
    return status;
}

int main(int argc, char **argv)
{
    struct process process = {.pidfile = -1};
    g_autoptr(GError) error = NULL;
    int status = 1;

    command_line_init(&process.launch.line);
    if (command_line_parse(&process.launch.line, argc, argv, &error)) {
        status = process.launch.line.done ? 0 : run(&process, &error);
    }
    terminal_restore();
    if (error) {
        fprintf(stderr, "duodm: %s\n", error->message);
    }
    command_line_clear(&process.launch.line);
    if (fflush(stdout) != 0) {
        status = 1; /* help that nobody could read */
    }
    return status;
}
