/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/fdt/device-node.h"

#include <libfdt.h>
#include <string.h>

#define FIRST_SIZE 4096u

struct node_property {
    char *name;
    GBytes *value;
};

struct device_node {
    char *name;
    struct device_node *root, *parent; /* root: itself, and NULL */
    GPtrArray *properties;             /* of struct node_property, in order of setting */
    GPtrArray *children;
    uint32_t phandle;      /* 0: none */
    uint32_t last_phandle; /* root: given out last */
};

static void property_free(gpointer data)
{
    struct node_property *property = data;

    g_free(property->name);
    g_bytes_unref(property->value);
    g_free(property);
}

static void node_free(gpointer data)
{
    struct device_node *node = data;

    g_free(node->name);
    g_ptr_array_unref(node->properties);
    g_ptr_array_unref(node->children);
    g_free(node);
}

static struct device_node *node_new(struct device_node *parent, char *name)
{
    struct device_node *node = g_new0(struct device_node, 1);

    node->name = name;
    node->parent = parent;
    node->root = parent ? parent->root : node;
    node->properties = g_ptr_array_new_with_free_func(property_free);
    node->children = g_ptr_array_new_with_free_func(node_free);
    return node;
}

struct device_node *device_node_new_root(void)
{
    return node_new(NULL, g_strdup(""));
}

void device_node_free(struct device_node *root)
{
    if (root) {
        node_free(root);
    }
}

struct device_node *device_node_find(struct device_node *parent, const char *name)
{
    for (unsigned i = 0; i < parent->children->len; i++) {
        struct device_node *child = g_ptr_array_index(parent->children, i);

        if (g_str_equal(child->name, name)) {
            return child;
        }
    }
    return NULL;
}

struct device_node *device_node_add(struct device_node *parent, const char *format, ...)
{
    g_autofree char *name = NULL;
    struct device_node *node;
    va_list args;

    va_start(args, format);
    name = g_strdup_vprintf(format, args);
    va_end(args);
    node = device_node_find(parent, name);
    if (!node) {
        node = node_new(parent, g_steal_pointer(&name));
        g_ptr_array_add(parent->children, node);
    }
    return node;
}

char *device_node_path(const struct device_node *node)
{
    g_autofree char *above = NULL;

    if (!node->parent) {
        return g_strdup("/");
    }
    above = device_node_path(node->parent);
    return g_strconcat(above, node->parent->parent ? "/" : "", node->name, NULL);
}

static void set(struct device_node *node, const char *name, const void *value, size_t length)
{
    struct node_property *property = NULL;

    for (unsigned i = 0; i < node->properties->len && !property; i++) {
        struct node_property *old = g_ptr_array_index(node->properties, i);

        property = g_str_equal(old->name, name) ? old : NULL;
    }
    if (!property) {
        property = g_new0(struct node_property, 1);
        property->name = g_strdup(name);
        g_ptr_array_add(node->properties, property);
    }
    g_clear_pointer(&property->value, g_bytes_unref);
    property->value = g_bytes_new(value, length);
}

void device_node_set_flag(struct device_node *node, const char *name)
{
    set(node, name, NULL, 0);
}

void device_node_set_string(struct device_node *node, const char *name, const char *value)
{
    set(node, name, value, strlen(value) + 1);
}

void device_node_set_strings(struct device_node *node, const char *name, const char *const *values)
{
    g_autoptr(GByteArray) list = g_byte_array_new();

    for (; *values; values++) {
        g_byte_array_append(list, (const uint8_t *)*values, (guint)strlen(*values) + 1);
    }
    set(node, name, list->data, list->len);
}

void device_node_set_cells(struct device_node *node, const char *name, const uint32_t *cells,
                           unsigned count)
{
    g_autofree uint32_t *values = g_new(uint32_t, count);

    for (unsigned i = 0; i < count; i++) {
        values[i] = GUINT32_TO_BE(cells[i]);
    }
    set(node, name, values, count * sizeof(*values));
}

uint32_t device_node_phandle(struct device_node *node)
{
    if (!node->phandle) {
        node->phandle = ++node->root->last_phandle;
        device_node_set(node, "phandle", node->phandle);
    }
    return node->phandle;
}

/* Packing. libfdt's sequential writer says when its buffer is full: then all is done again in a
 * larger one. */

static int pack_node(const struct device_node *node, void *buffer)
{
    int result = fdt_begin_node(buffer, node->name);

    for (unsigned i = 0; i < node->properties->len && !result; i++) {
        const struct node_property *property = g_ptr_array_index(node->properties, i);
        gsize length;
        const void *value = g_bytes_get_data(property->value, &length);

        result = fdt_property(buffer, property->name, value ? value : "", (int)length);
    }
    for (unsigned i = 0; i < node->children->len && !result; i++) {
        result = pack_node(g_ptr_array_index(node->children, i), buffer);
    }
    return result ? result : fdt_end_node(buffer);
}

static int pack_all(const struct device_node *root, void *buffer, unsigned size)
{
    int result = fdt_create(buffer, (int)size);

    if (!result) {
        result = fdt_finish_reservemap(buffer);
    }
    if (!result) {
        result = pack_node(root, buffer);
    }
    return result ? result : fdt_finish(buffer);
}

GBytes *device_node_pack(const struct device_node *root)
{
    g_autofree uint8_t *buffer = NULL;
    unsigned size = FIRST_SIZE;
    int result;

    do {
        g_free(buffer);
        buffer = g_malloc0(size);
        result = pack_all(root, buffer, size);
        size *= 2;
    } while (result == -FDT_ERR_NOSPACE);
    g_assert(result == 0); /* no other error can come from nodes in order */
    return g_bytes_new(buffer, fdt_totalsize(buffer));
}
