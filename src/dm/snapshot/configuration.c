/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/snapshot/configuration.h"
#include "dm/block/block.h"
#include "dm/machine.h"
#include "util/error.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define MACHINE    "machine" /* the owner of what is no device's */
#define NAME_LIMIT 255u      /* bytes of a device's name: no section has more of it */
#define VALUE_MAX  128u      /* bytes of a value; a longer one is told by its checksum */

/* Making it. */

static void put(json_t *owner, const char *name, const char *value)
{
    g_autofree char *valid = g_utf8_make_valid(value ? value : "", -1);
    g_autofree char *checksum = strlen(valid) > VALUE_MAX
                                    ? g_compute_checksum_for_string(G_CHECKSUM_SHA256, valid, -1)
                                    : NULL;

    json_object_set_new(owner, name, json_string(checksum ? checksum : valid));
}

static void put_number(json_t *owner, const char *name, uint64_t value)
{
    g_autofree char *text = g_strdup_printf("%" PRIu64, value);

    put(owner, name, text);
}

/* A guest knows an image by its size. */
static void put_drive(json_t *owner, const struct machine *machine, const char *name,
                      const char *drive)
{
    const struct block_backend *backend = *drive ? block_find(machine->blocks, drive, NULL) : NULL;
    g_autofree char *text =
        backend ? g_strdup_printf("%" PRIu64 " bytes", block_size(backend)) : NULL;

    put(owner, name, text);
}

static void put_table(json_t *owner, const struct machine *machine, const void *object,
                      const struct property *table)
{
    for (; table && table->name; table++) {
        g_autofree char *text = property_get_text(object, table);

        if (table->type & PROPERTY_OF_HOST) {
            continue;
        }
        switch (property_type(table)) {
        case PROPERTY_CHARDEV: /* what is at the other end of a device */
        case PROPERTY_NETDEV:
        case PROPERTY_BOOT_INDEX:  /* firmware has read it */
        case PROPERTY_PCI_ADDRESS: /* in the name of its device */
            break;
        case PROPERTY_DRIVE:
            put_drive(owner, machine, table->name, text);
            break;
        default:
            put(owner, table->name, text);
            break;
        }
    }
}

static void put_machine(json_t *all, const struct machine *machine)
{
    const struct machine_config *config = &machine->config;
    json_t *owner = json_object();

    if (!machine->engine->attaches) { /* else processors are others' */
        put(owner, "CPU model", config->cpu_model);
        put_number(owner, "maxcpus", config->max_cpus);
        put_number(owner, "sockets", config->sockets);
        put_number(owner, "cores", config->cores);
        put_number(owner, "threads", config->threads);
    }
    if (machine->board_options) {
        put_table(owner, machine, machine->board_options, machine->board->properties);
    }
    json_object_set_new(all, MACHINE, owner);
}

static void put_bus(json_t *all, const struct bus *bus)
{
    for (unsigned i = 0; bus && i < bus->children->len; i++) {
        const struct device *device = g_ptr_array_index(bus->children, i);
        g_autofree char *name = device_state_name(device);
        g_autofree char *valid = g_utf8_make_valid(name, (gssize)MIN(strlen(name), NAME_LIMIT));
        json_t *owner = json_object();

        put_table(owner, device->machine, device, device->class->properties);
        put_table(owner, device->machine, device, device->class->facts);
        put_table(owner, device->machine, device, bus->ops ? bus->ops->facts : NULL);
        json_object_set_new(all, valid, owner);
    }
}

static json_t *describe(const struct machine *machine)
{
    json_t *all = json_object();

    put_machine(all, machine);
    put_bus(all, machine->system_bus);
    put_bus(all, machine->isa_bus);
    put_bus(all, machine->pci_bus);
    for (unsigned i = 0; i < machine->device_buses->len; i++) {
        put_bus(all, g_ptr_array_index(machine->device_buses, i));
    }
    return all;
}

void configuration_save(struct machine *machine, GByteArray *text)
{
    json_t *all = describe(machine);
    char *dump = json_dumps(all, JSON_COMPACT);

    g_byte_array_append(text, (const guint8 *)dump, (guint)strlen(dump));
    free(dump);
    json_decref(all);
}

/* Comparing. */

/* Every owner of one is in the other. */
static bool check_owners(const json_t *saved, const json_t *ours, GError **error)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)saved, name, value)
    {
        if (!json_object_get(ours, name)) {
            return duodm_fail(
                error, DUODM_ERROR_INVALID_ARGUMENT,
                "saved state is of a machine with '%s', which this one does not have: "
                "start duodm with the options that the saved machine had",
                name);
        }
    }
    json_object_foreach((json_t *)ours, name, value)
    {
        if (!json_object_get(saved, name)) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "saved state is of a machine without '%s', which this one has: start "
                              "duodm with the options that the saved machine had",
                              name);
        }
    }
    return true;
}

/* All that differs, for one thing often follows from another (vectors from queues). */
static bool check_values(const char *owner, const json_t *saved, const json_t *ours, GError **error)
{
    g_autoptr(GString) list = g_string_new(NULL);
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)ours, name, value)
    {
        const char *here = json_string_value(value);
        const char *there = json_string_value(json_object_get(saved, name));

        if (there && !g_str_equal(there, here)) {
            g_string_append_printf(list, "%s '%s' was '%s', is '%s' here", list->len ? "," : "",
                                   name, there, here);
        }
    }
    return !list->len || duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                                    "saved state is of a machine with another '%s':%s: start duodm "
                                    "with the options that the saved machine had",
                                    owner, list->str);
}

static bool check_all(const json_t *saved, const json_t *ours, GError **error)
{
    const char *owner;
    json_t *values;

    if (!check_owners(saved, ours, error)) {
        return false;
    }
    json_object_foreach((json_t *)ours, owner, values)
    {
        if (!check_values(owner, json_object_get(saved, owner), values, error)) {
            return false;
        }
    }
    return true;
}

bool configuration_check(struct machine *machine, const GByteArray *text, GError **error)
{
    json_t *saved, *ours;
    json_error_t reason;
    bool good;

    if (!text->len) {
        return true;
    }
    saved = json_loadb((const char *)text->data, text->len, JSON_REJECT_DUPLICATES, &reason);
    if (!json_is_object(saved)) {
        json_decref(saved);
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "saved state: the machine's configuration can't be read: %s",
                          saved ? "it is no object" : reason.text);
    }
    ours = describe(machine);
    good = check_all(saved, ours, error);
    json_decref(ours);
    json_decref(saved);
    return good;
}
