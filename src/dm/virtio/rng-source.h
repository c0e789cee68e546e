/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where entropy for guests comes from: -object rng-builtin (the host kernel's generator) and
 * -object rng-random (a character device). */
#ifndef DUODM_DM_VIRTIO_RNG_SOURCE_H
#define DUODM_DM_VIRTIO_RNG_SOURCE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

struct machine;
struct object;

/* A source by its id; NULL or "": the built-in one (*source NULL). */
bool rng_source_find(struct machine *machine, const char *id, struct object **source,
                     GError **error);
/* Up to length bytes; what came, 0: nothing now. Never blocks. Any thread. */
size_t rng_source_read(struct object *source, void *buffer, size_t length);
/* A descriptor that becomes readable when there is more, or -1: there always is. */
int rng_source_fd(struct object *source);

#endif
