/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device tree in the making (Devicetree Specification 0.4): nodes in any order, properties set as
 * numbers and strings, phandles given out on demand; then packed to the flattened form by libfdt.
 */
#ifndef DUODM_DM_FDT_DEVICE_NODE_H
#define DUODM_DM_FDT_DEVICE_NODE_H

#include <glib.h>
#include <stdint.h>

struct device_node;

struct device_node *device_node_new_root(void);
/* Of a root: frees all below. NULL is fine. */
void device_node_free(struct device_node *root);
/* A new child, owned by its parent. The name is printf's; it has its unit address, if any. A child
 * of that name that is there already is given back. */
struct device_node *device_node_add(struct device_node *parent, const char *format, ...)
    G_GNUC_PRINTF(2, 3);
/* A child by its name; NULL: there is none. */
struct device_node *device_node_find(struct device_node *parent, const char *name);
/* "/a/b@1". Caller frees. */
char *device_node_path(const struct device_node *node);

/* Set a property, replacing its former value. */
void device_node_set_flag(struct device_node *node, const char *name); /* empty: it is there */
void device_node_set_string(struct device_node *node, const char *name, const char *value);
void device_node_set_strings(struct device_node *node, const char *name, const char *const *values);
void device_node_set_cells(struct device_node *node, const char *name, const uint32_t *cells,
                           unsigned count);
/* Cells as arguments: device_node_set(node, "interrupts", 4, 3). */
#define device_node_set(node_, name_, ...)                                                         \
    device_node_set_cells(node_, name_, (const uint32_t[]){__VA_ARGS__},                           \
                          sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))
/* A 64-bit number as two cells, for use among the arguments of device_node_set. */
#define DEVICE_NODE_U64(value_) (uint32_t)((uint64_t)(value_) >> 32), (uint32_t)(value_)

/* The number by which other nodes name this one: the property is added at the first call. */
uint32_t device_node_phandle(struct device_node *node);

/* The flattened tree of a root. */
GBytes *device_node_pack(const struct device_node *root);

#endif
