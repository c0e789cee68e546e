/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text for a chardev that may take it slowly: what it does not take is kept. Main loop only. */
#ifndef DUODM_DM_CHAR_OUTPUT_H
#define DUODM_DM_CHAR_OUTPUT_H

#include "dm/chardev.h"

struct chardev_output {
    struct chardev_frontend *frontend; /* not owned */
    GByteArray *pending; /* bytes that wait: as many as are added, so its owner looks at _length */
};

void chardev_output_init(struct chardev_output *output, struct chardev_frontend *frontend);
void chardev_output_destroy(struct chardev_output *output);
void chardev_output_add(struct chardev_output *output, const void *data, size_t length);
/* On CHARDEV_WRITABLE. */
void chardev_output_send(struct chardev_output *output);
/* Before the process ends: have the chardev take what waits, unless the other side does not read,
 * for about a second at most. */
void chardev_output_flush(struct chardev_output *output);
/* Bytes that wait. */
size_t chardev_output_length(const struct chardev_output *output);

#endif
