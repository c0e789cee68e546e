/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands about CPUs: which there are, and (where a hypervisor runs them) which come and go. */
#include "dm/acpi/acpi-cpu-hotplug.h"
#include "dm/keyval.h"
#include "dm/hotplug.h"
#include "dm/machine.h"
#include "dm/monitor/qmp-commands.h"
#include "util/error.h"

#include <string.h>

#define CPU_DRIVER    "x86_64-cpu" /* what query-hotpluggable-cpus tells device_add to say */
#define CPU_ID_PREFIX "cpu-"       /* of those that were added: libxl's names */

struct place {
    unsigned socket, core, thread;
};

/* A hypervisor's CPUs are numbered as sockets: how the guest sees them is not ours to say. */
static struct place place_of(const struct machine *machine, unsigned index)
{
    unsigned threads = MAX(machine->config.threads, 1), cores = MAX(machine->config.cores, 1);

    if (machine->cpus) {
        return (struct place){.socket = index};
    }
    return (struct place){index / threads / cores, index / threads % cores, index % threads};
}

static json_t *place_object(const struct machine *machine, unsigned index)
{
    struct place place = place_of(machine, index);

    return json_pack("{s:i, s:i, s:i}", "socket-id", (int)place.socket, "core-id", (int)place.core,
                     "thread-id", (int)place.thread);
}

static bool is_present(struct machine *machine, unsigned index)
{
    return machine->cpus ? acpi_cpu_is_present(machine->cpus, index) : index < machine->config.smp;
}

static int thread_of(const struct machine *machine, unsigned index)
{
    return index < machine->vcpu_count
               ? __atomic_load_n(&machine->vcpus[index]->thread_id, __ATOMIC_RELAXED)
               : 0;
}

json_t *qmp_query_cpus_fast(struct qmp_context *context, json_t *arguments, GError **error)
{
    struct machine *machine = context->machine;
    json_t *list = json_array();

    for (unsigned i = 0; i < machine->config.max_cpus; i++) {
        g_autofree char *path = g_strdup_printf("/machine/cpu[%u]", i);

        if (is_present(machine, i)) {
            json_array_append_new(list,
                                  json_pack("{s:i, s:s, s:i, s:o, s:s}", "cpu-index", (int)i,
                                            "qom-path", path, "thread-id", thread_of(machine, i),
                                            "props", place_object(machine, i), "target", "x86_64"));
        }
    }
    return list;
}

json_t *qmp_query_hotpluggable_cpus(struct qmp_context *context, json_t *arguments, GError **error)
{
    struct machine *machine = context->machine;
    json_t *list = json_array();

    for (unsigned i = machine->config.max_cpus; i-- > 0;) {
        json_t *cpu = json_pack("{s:s, s:i, s:o}", "type", CPU_DRIVER, "vcpus-count", 1, "props",
                                place_object(machine, i));

        if (is_present(machine, i)) {
            g_autofree char *path = g_strdup_printf("/machine/cpu[%u]", i);

            json_object_set_new(cpu, "qom-path", json_string(path));
        }
        json_array_append_new(list, cpu);
    }
    return list;
}

/* device_add, device_del. */

static bool has_driver(struct machine *machine, const char *driver)
{
    return g_str_equal(driver, CPU_DRIVER);
}

/* The CPU that an id names; false if it is no id of one that can be there. */
static bool index_of_id(const struct machine *machine, const char *id, unsigned *index)
{
    guint64 number;

    if (!g_str_has_prefix(id, CPU_ID_PREFIX) ||
        !g_ascii_string_to_unsigned(id + strlen(CPU_ID_PREFIX), 10, 0, machine->config.max_cpus - 1,
                                    &number, NULL)) {
        return false;
    }
    *index = (unsigned)number;
    return true;
}

static bool has_id(struct machine *machine, const char *id)
{
    unsigned index;

    return machine->cpus && index_of_id(machine, id, &index) &&
           acpi_cpu_is_present(machine->cpus, index);
}

static bool get_number(const struct key_values *list, const char *key, uint64_t *value,
                       GError **error)
{
    const char *text = key_values_get(list, key);

    *value = 0;
    return !text || parse_number(text, value, error);
}

/* The CPU at a list's socket, core and thread. */
static bool find_place(const struct machine *machine, const struct key_values *list,
                       unsigned *index, GError **error)
{
    uint64_t socket, core, thread;

    if (!get_number(list, "socket-id", &socket, error) ||
        !get_number(list, "core-id", &core, error) ||
        !get_number(list, "thread-id", &thread, error)) {
        return false;
    }
    for (unsigned i = 0; i < machine->config.max_cpus; i++) {
        struct place place = place_of(machine, i);

        if (place.socket == socket && place.core == core && place.thread == thread) {
            *index = i;
            return true;
        }
    }
    return duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                      "the machine has no place for that CPU: query-hotpluggable-cpus lists all");
}

static bool check_hotplug(const struct machine *machine, GError **error)
{
    return machine->cpus || duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                                       "CPUs of engine '%s' can't come or go: start with -smp as "
                                       "many as are needed",
                                       machine->engine->name);
}

static bool add(struct machine *machine, const struct key_values *list, GError **error)
{
    static const char *const keys[] = {"driver", "id", "socket-id", "core-id", "thread-id", NULL};
    unsigned index = 0;

    if (!check_hotplug(machine, error) || !key_values_check(list, keys, error) ||
        !find_place(machine, list, &index, error)) {
        return false;
    }
    if (acpi_cpu_is_present(machine->cpus, index)) {
        return duodm_fail(error, DUODM_ERROR_EXISTS, "CPU %u is there already", index);
    }
    acpi_cpu_set_present(machine->cpus, index, true);
    return true;
}

/* The guest is told, and lets go when it likes; the hypervisor's CPU stays. */
static bool take_out(struct machine *machine, const char *id, GError **error)
{
    g_autofree char *data =
        g_strdup_printf("{\"device\": \"%s\", \"path\": \"/machine/%s\"}", id, id);
    unsigned index = 0;

    if (!check_hotplug(machine, error) || !index_of_id(machine, id, &index)) {
        return false;
    }
    if (index == 0) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED, "CPU 0 can't be taken away");
    }
    acpi_cpu_set_present(machine->cpus, index, false);
    machine_emit_event(machine, "DEVICE_DELETED", data);
    return true;
}

const struct hotplug_kind cpu_hotplug_kind = {
    .has_driver = has_driver,
    .has_id = has_id,
    .add = add,
    .remove = take_out,
};
