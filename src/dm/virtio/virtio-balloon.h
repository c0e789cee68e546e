/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The balloon of a machine, as monitors see it. Main loop only. */
#ifndef DUODM_DM_VIRTIO_VIRTIO_BALLOON_H
#define DUODM_DM_VIRTIO_VIRTIO_BALLOON_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct machine;

/* Ask the guest to make do with so many bytes of memory. */
bool balloon_set_target(struct machine *machine, uint64_t bytes, GError **error);
/* The bytes of memory that the guest has. */
bool balloon_query(struct machine *machine, uint64_t *bytes, GError **error);
/* What the guest last told of its memory, a line each. */
void balloon_print_statistics(struct machine *machine, GString *out);

#endif
