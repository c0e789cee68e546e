/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a command line to a machine that is ready to run. main.c calls these in order; each makes
 * its part or fails with nothing of that part left.
 */
#ifndef DUODM_DM_CLI_LAUNCH_H
#define DUODM_DM_CLI_LAUNCH_H

#include "dm/cli/options.h"

struct event_base;
struct qtest_server;

struct launch {
    struct command_line line;
    struct event_base *base;
    const struct engine_ops *engine;
    void *engine_options; /* struct of the engine's, or NULL */
    void *board_options;  /* struct of the board's, or NULL */
    struct machine *machine;
    GPtrArray *monitor_chardevs; /* of struct chardev, parallel to line.monitors; NULL: none */
    struct chardev *mux_monitor; /* gets a human monitor besides its serial port; NULL: none */
    struct chardev *qtest_chardev;
    struct qtest_server *qtest;
};

/* The first engine of -accel that can be used here, and its options; checks -cpu. */
bool launch_choose_engine(struct launch *launch, GError **error);
void launch_forget_engine(struct launch *launch);
bool launch_make_machine(struct launch *launch, GError **error);
void launch_free_machine(struct launch *launch);
bool launch_open_chardevs(struct launch *launch, GError **error);
void launch_close_chardevs(struct launch *launch);
/* After the control monitors: who waits for a greeting need not wait for the engine. */
bool launch_create_engine(struct launch *launch, GError **error);
/* -blockdev and -drive; machine_free closes them. option-block.c */
bool launch_open_drives(struct launch *launch, GError **error);
/* The machine owns them. */
bool launch_open_netdevs(struct launch *launch, GError **error);
bool launch_make_objects(struct launch *launch, GError **error);
bool launch_make_board(struct launch *launch, GError **error);
void launch_forget_board(struct launch *launch);
bool launch_add_devices(struct launch *launch, GError **error);
/* QMP. A client that is there has its greeting while the machine is made; what it sends is carried
 * out when the machine is complete. */
bool launch_start_control_monitors(struct launch *launch, GError **error);
void launch_stop_monitors(struct launch *launch); /* all of them */
/* Human monitors and the test port. */
/* option-display.c: the adapter of -vga, before the user's devices; the server of -vnc. */
bool launch_add_adapter(struct launch *launch, GError **error);
bool launch_start_vnc(struct launch *launch, GError **error);
void launch_stop_vnc(struct launch *launch);
bool launch_start_monitors(struct launch *launch, GError **error);
void launch_stop_qtest(struct launch *launch);
/* Everything is open: give up the rights that it took. drop-rights.c */
bool launch_drop_rights(struct launch *launch, GError **error);

#endif
