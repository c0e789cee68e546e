/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What guest RAM is made of: private memory, or a file that other processes can map, too. */
#include "dm/machine-private.h"
#include "dm/object.h"
#include "util/error.h"

#include <inttypes.h>

struct memory_backend {
    struct object object;
    uint64_t size; /* bytes; 0: as much as the machine has */
    bool share;
};

static const struct property memfd_properties[] = {
    {"size", PROPERTY_SIZE, offsetof(struct memory_backend, size), NULL, 0, 0,
     "as -m has it [that]"},
    {"share", PROPERTY_BOOL, offsetof(struct memory_backend, share), "on", 0, 0,
     "other processes can map it; off: it is private memory [on]"},
    PROPERTY_END,
};

extern const struct object_class memory_backend_memfd_class;

const struct object_class memory_backend_memfd_class = {
    .name = "memory-backend-memfd",
    .description = "guest RAM that other processes can map (-machine memory-backend=ID)",
    .instance_size = sizeof(struct memory_backend),
    .properties = memfd_properties,
};

/* The one that -machine names, or NULL. */
static bool find_backend(struct machine *machine, struct memory_backend **backend, GError **error)
{
    const char *id = machine->config.memory_backend;

    *backend = NULL;
    if (!id) {
        return true;
    }
    *backend =
        (struct memory_backend *)object_find(machine, id, &memory_backend_memfd_class, error);
    if (!*backend) {
        g_prefix_error(error, "-machine memory-backend=%s: ", id);
        return false;
    }
    if ((*backend)->size && (*backend)->size != machine->config.ram_size) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "-machine memory-backend=%s: it has %" PRIu64
                          " bytes, the machine %" PRIu64 " (-m): they must be the same",
                          id, (*backend)->size, machine->config.ram_size);
    }
    return true;
}

bool machine_allocate_ram(struct machine *machine, GError **error)
{
    uint64_t size = machine->config.ram_size;
    struct memory_backend *backend;

    if (!find_backend(machine, &backend, error)) {
        return false;
    }
    return (backend ? backend->share : machine->config.share_ram)
               ? memory_region_init_ram(&machine->ram, "ram", size, error)
               : memory_region_init_private_ram(&machine->ram, "ram", size, error);
}
