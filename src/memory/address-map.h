/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What address_space_map gave out and address_space_unmap takes back. */
#ifndef DUODM_MEMORY_ADDRESS_MAP_H
#define DUODM_MEMORY_ADDRESS_MAP_H

/* Bounds of the bounce buffers of one address space. */
#define BOUNCE_BUFFERS_MAX 256
#define BOUNCE_BYTES_MAX   (4u << 20)  /* of all at once */
#define BOUNCE_LENGTH_MAX  (64u << 10) /* of one */

struct address_map; /* of one address space; has its own leaf lock */

struct address_map *address_map_new(void);
void address_map_free(struct address_map *map);

#endif
