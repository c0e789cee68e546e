/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest can tell of its machine that is not state, for it never changes: processors, the
 * board's options, each device's properties and facts (dm/device.h). A saved machine carries it, so
 * that one which is not the same is refused.
 *
 * The text is JSON: {"machine": {"cores": "2", ...}, "isa-serial[0]": {"iobase": "1016", ...},
 * ...}, devices under the names that their state has. Names and values are short, whatever users
 * give.
 */
#ifndef DUODM_DM_SNAPSHOT_CONFIGURATION_H
#define DUODM_DM_SNAPSHOT_CONFIGURATION_H

#include <glib.h>
#include <stdbool.h>

struct machine;

#define CONFIGURATION_MAX (16u << 20) /* bytes: of more devices than a machine has room for */

/* Append the machine's. Main loop, paused. */
void configuration_save(struct machine *machine, GByteArray *text);
/*
 * Is the saved one this machine's? The error names device, property and both values. What only one
 * of two versions of duodm knows is not compared; each device must be in both. An empty text is of
 * a version that saved none: it fits. Main loop, paused.
 */
bool configuration_check(struct machine *machine, const GByteArray *text, GError **error);

#endif
