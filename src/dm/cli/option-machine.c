/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options that say what the machine is. */
#include "dm/absent.h"
#include "dm/cli/options.h"
#include "dm/nearest-word.h"
#include "util/error.h"
#include "util/host-memory.h"

#include <inttypes.h>
#include <string.h>

#define FW_CFG_NAME_MAX 55 /* bytes; the directory has 56 with the final zero */

static bool is_help(const char *text)
{
    return g_str_equal(text, "help") || g_str_equal(text, "?");
}

static void print_properties(const struct property *table)
{
    for (; table && table->name; table++) {
        printf("  %-20s %s%s%s%s\n", table->name, table->help, table->default_value ? " [" : "",
               table->default_value ? table->default_value : "", table->default_value ? "]" : "");
    }
}

/* -machine */

static void list_boards(void)
{
    for (unsigned i = 0; board_table[i]; i++) {
        printf("%-12s %s%s%s%s%s\n", board_table[i]->name, board_table[i]->description,
               board_table[i]->alias ? " (alias " : "",
               board_table[i]->alias ? board_table[i]->alias : "", board_table[i]->alias ? ")" : "",
               board_table[i]->is_default ? " [default]" : "");
    }
}

static bool set_board(struct command_line *line, const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;

    for (unsigned i = 0; board_table[i]; i++) {
        if (g_str_equal(board_table[i]->name, name) ||
            g_strcmp0(board_table[i]->alias, name) == 0) {
            line->board = board_table[i];
            return true;
        }
        g_ptr_array_add(names, (void *)board_table[i]->name);
    }
    g_ptr_array_add(names, NULL);
    hint = suggestion(name, (const char *const *)names->pdata);
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "there is no machine '%s'%s ('-machine help' lists them)", name, hint);
}

const struct board_class *command_line_board(const struct command_line *line)
{
    for (unsigned i = 0; !line->board && board_table[i]; i++) {
        if (board_table[i]->is_default) {
            return board_table[i];
        }
    }
    return line->board ? line->board : board_table[0];
}

static bool check_board_property(const struct command_line *line, const char *name, GError **error)
{
    static const char *const common[] = {"type",           "accel",          "acpi",
                                         "dumpdmar",       "dumpdtb",        "hpet",
                                         "kernel-irqchip", "memory-backend", "help"};
    const struct board_class *board = command_line_board(line);
    const char *advice = absent_machine_property_advice(name);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;

    if (board && property_find(board->properties, name)) {
        return true;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(common); i++) {
        g_ptr_array_add(names, (void *)common[i]);
    }
    for (const struct property *p = board ? board->properties : NULL; p && p->name; p++) {
        g_ptr_array_add(names, (void *)p->name);
    }
    g_ptr_array_add(names, NULL);
    hint = *advice ? g_strdup(advice) : suggestion(name, (const char *const *)names->pdata);
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "machine '%s' has no property '%s'%s ('-machine %s,help' lists them)",
                      board ? board->name : "", name, hint, board ? board->name : "TYPE");
}

/* accel=a:b is a short form of -accel a -accel b. */
static bool add_engines(struct command_line *line, const char *list, GError **error)
{
    g_auto(GStrv) names = g_strsplit(list, ":", -1);

    g_ptr_array_set_size(line->engines, 0);
    for (unsigned i = 0; names[i]; i++) {
        if (!option_accel(line, names[i], error)) {
            return false;
        }
    }
    return true;
}

static bool is_irqchip_option(const char *name)
{
    return g_str_equal(name, "kernel-irqchip") || g_str_equal(name, "kernel_irqchip");
}

static bool set_irqchip(struct machine_config *config, const char *value, GError **error)
{
    static const char *const names[] = {
        [KERNEL_IRQCHIP_ON] = "on", [KERNEL_IRQCHIP_SPLIT] = "split", [KERNEL_IRQCHIP_OFF] = "off"};

    for (unsigned i = KERNEL_IRQCHIP_ON; i < G_N_ELEMENTS(names); i++) {
        if (g_str_equal(names[i], value)) {
            config->kernel_irqchip = (enum kernel_irqchip)i;
            return true;
        }
    }
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "kernel-irqchip: '%s' is not valid: on, off or split is expected", value);
}

static bool set_board_option(struct command_line *line, const struct key_value *item,
                             GError **error)
{
    bool on = true;

    if (g_str_equal(item->key, "type")) {
        return true; /* set before the properties, which depend on it */
    }
    if (g_str_equal(item->key, "accel")) {
        return add_engines(line, item->value, error);
    }
    if (g_str_equal(item->key, "acpi") || g_str_equal(item->key, "hpet")) {
        if (!parse_bool(item->value, &on, error)) {
            g_prefix_error(error, "%s: ", item->key);
            return false;
        }
        *(item->key[0] == 'a' ? &line->config.no_acpi : &line->config.no_hpet) = !on;
        return true;
    }
    if (g_str_equal(item->key, "dumpdtb")) {
        g_free(line->config.dtb_dump);
        line->config.dtb_dump = g_strdup(item->value);
        return true;
    }
    if (g_str_equal(item->key, "dumpdmar")) {
        g_free(line->config.dmar_dump);
        line->config.dmar_dump = g_strdup(item->value);
        return true;
    }
    if (g_str_equal(item->key, "memory-backend")) {
        g_free(line->config.memory_backend);
        line->config.memory_backend = g_strdup(item->value);
        return true;
    }
    if (g_str_equal(item->key, "suppress-vmdesc")) {
        return parse_bool(item->value, &on, error); /* streams never have a description */
    }
    if (is_irqchip_option(item->key)) {
        return set_irqchip(&line->config, item->value, error);
    }
    if (!check_board_property(line, item->key, error)) {
        return false;
    }
    key_values_set(line->board_options, item->key, item->value);
    return true;
}

static bool apply_machine(struct command_line *line, const struct key_values *list, GError **error)
{
    const char *type = key_values_get(list, "type");

    if (type && is_help(type)) {
        list_boards();
        line->done = true;
        return true;
    }
    if (type && !set_board(line, type, error)) {
        return false;
    }
    if (key_values_get(list, "help") || key_values_get(list, "?")) {
        printf("  %-20s engines to try, in order\n  %-20s ACPI tables [on]\n"
               "  %-20s write the ACPI table of intel-iommu to a file, and end\n"
               "  %-20s write the machine as a flattened device tree to a file, and end\n"
               "  %-20s HPET [on]\n"
               "  %-20s interrupt controllers in the kernel (kvm): on, off or split\n"
               "  %-20s what RAM is made of: the id of an -object memory-backend-memfd\n",
               "accel", "acpi", "dumpdmar", "dumpdtb", "hpet", "kernel-irqchip", "memory-backend");
        print_properties(command_line_board(line) ? command_line_board(line)->properties : NULL);
        line->done = true;
        return true;
    }
    for (unsigned i = 0; i < list->items->len; i++) {
        if (!set_board_option(line, g_ptr_array_index(list->items, i), error)) {
            return false;
        }
        if (line->done) {
            break;
        }
    }
    return true;
}

bool option_machine(struct command_line *line, const char *value, GError **error)
{
    struct key_values *list = key_values_parse(value, "type", error);
    bool ok = list && apply_machine(line, list, error);

    key_values_free(list);
    return ok;
}

/* -accel */

static void list_engines(void)
{
    for (unsigned i = 0; engine_table[i]; i++) {
        g_autoptr(GError) reason = NULL;
        bool available = !engine_table[i]->is_available || engine_table[i]->is_available(&reason);

        printf("%-8s %s%s%s%s\n", engine_table[i]->name, engine_table[i]->description,
               available ? "" : " (not here: ", available ? "" : reason->message,
               available ? "" : ")");
    }
}

static const struct engine_ops *find_engine(const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL, *all = NULL;

    for (unsigned i = 0; engine_table[i]; i++) {
        if (g_str_equal(engine_table[i]->name, name)) {
            return engine_table[i];
        }
        g_ptr_array_add(names, (void *)engine_table[i]->name);
    }
    g_ptr_array_add(names, NULL);
    hint = suggestion(name, (const char *const *)names->pdata);
    all = g_strjoinv(", ", (char **)names->pdata);
    duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "this build has no engine '%s'%s (it has: %s)",
               name, hint, all);
    return NULL;
}

/* Known elsewhere or in another build: a list that names them may fall through to the next. */
static bool may_fall_through(const char *name)
{
    static const char *const known[] = {"kvm", "xen", "tcg", "qtest", NULL};

    return g_strv_contains(known, name);
}

static bool check_engine(struct command_line *line, const struct key_values *list, GError **error)
{
    const char *name = key_values_get(list, "accel");
    g_autoptr(GError) unknown = NULL;
    const struct engine_ops *engine = find_engine(name, &unknown);

    if (engine && (key_values_get(list, "help") || key_values_get(list, "?"))) {
        print_properties(engine->options);
        line->done = true;
        return true;
    }
    if (!engine && !may_fall_through(name)) {
        g_propagate_error(error, g_steal_pointer(&unknown));
        return false;
    }
    for (unsigned i = 0; engine && i < list->items->len; i++) {
        const struct key_value *item = g_ptr_array_index(list->items, i);

        if (!g_str_equal(item->key, "accel") && !property_find(engine->options, item->key)) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "engine '%s' has no option '%s' ('-accel %s,help' lists them)", name,
                              item->key, name);
        }
    }
    return true;
}

bool option_accel(struct command_line *line, const char *value, GError **error)
{
    struct key_values *list = key_values_parse(value, "accel", error);
    const char *name = list ? key_values_get(list, "accel") : NULL;

    if (list && name && is_help(name)) {
        list_engines();
        line->done = true;
    } else if (list && !name) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "no engine is named ('-accel help' lists them)");
    } else if (list && check_engine(line, list, error)) {
        g_ptr_array_add(line->engines, list);
        return true;
    }
    key_values_free(list);
    return line->done;
}

/* -cpu, -smp, -m */

bool option_cpu(struct command_line *line, const char *value, GError **error)
{
    line->help_cpu = is_help(value);
    if (!*value) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "no model is named ('-cpu help' lists them)");
    }
    g_free(line->config.cpu_model);
    line->config.cpu_model = g_strdup(value);
    return true;
}

static bool get_count(const struct key_values *list, const char *key, unsigned *count,
                      GError **error)
{
    const char *text = key_values_get(list, key);
    uint64_t number;

    *count = 0;
    if (!text) {
        return true;
    }
    if (!parse_number(text, &number, error)) {
        g_prefix_error(error, "%s: ", key);
        return false;
    }
    if (number < 1 || number > MACHINE_MAX_VCPUS) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "%s must be 1 to %d, the most CPUs of a machine", key, MACHINE_MAX_VCPUS);
    }
    *count = (unsigned)number;
    return true;
}

/* What was left open: one thread a core, all cores in one socket. */
static bool complete_topology(struct machine_config *config, unsigned cpus, GError **error)
{
    unsigned sockets = config->sockets, cores = config->cores;
    unsigned threads = config->threads ? config->threads : 1;

    if (!cpus) {
        cpus = MAX(sockets, 1) * MAX(cores, 1) * threads;
    }
    if (!cores) {
        sockets = sockets ? sockets : 1;
        cores = MAX(cpus / (sockets * threads), 1);
    } else if (!sockets) {
        sockets = MAX(cpus / (cores * threads), 1);
    }
    if (cpus > MACHINE_MAX_VCPUS) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "%u CPUs are more than %d", cpus,
                          MACHINE_MAX_VCPUS);
    }
    if (sockets * cores * threads != cpus) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "%u sockets of %u cores of %u threads are %u CPUs, not %u", sockets,
                          cores, threads, sockets * cores * threads, cpus);
    }
    config->smp = cpus;
    config->sockets = sockets;
    config->cores = cores;
    config->threads = threads;
    return true;
}

static bool apply_smp(struct machine_config *config, const struct key_values *list, GError **error)
{
    static const char *const keys[] = {"cpus", "maxcpus", "sockets", "cores", "threads", NULL};
    unsigned cpus, maxcpus;

    if (!key_values_check(list, keys, error) || !get_count(list, "cpus", &cpus, error) ||
        !get_count(list, "maxcpus", &maxcpus, error) ||
        !get_count(list, "sockets", &config->sockets, error) ||
        !get_count(list, "cores", &config->cores, error) ||
        !get_count(list, "threads", &config->threads, error)) {
        return false;
    }
    cpus = cpus ? cpus : maxcpus;
    if (maxcpus && maxcpus < cpus) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "maxcpus=%u is less than the %u CPUs that there are", maxcpus, cpus);
    }
    /* Sockets, cores and threads are those of all that there can be. */
    if (!complete_topology(config, maxcpus ? maxcpus : cpus, error)) {
        return false;
    }
    config->max_cpus = config->smp;
    config->smp = maxcpus && cpus ? cpus : config->smp;
    return true;
}

bool option_smp(struct command_line *line, const char *value, GError **error)
{
    struct key_values *list = key_values_parse(value, "cpus", error);
    bool ok = list && apply_smp(&line->config, list, error);

    key_values_free(list);
    return ok;
}

static bool apply_memory(struct machine_config *config, const struct key_values *list,
                         GError **error)
{
    static const char *const keys[] = {"size", NULL};
    const char *text = key_values_get(list, "size");
    uint64_t size;

    if (!key_values_check(list, keys, error)) {
        return false;
    }
    if (!text) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "the size is missing");
    }
    if (!parse_size(text, 'M', &size, error)) {
        return false;
    }
    if (size < MACHINE_RAM_MIN || size > MACHINE_RAM_MAX) {
        struct host_memory host;

        host_memory_read(&host);
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "%" PRIu64 " bytes of memory are not possible: give 2M to 1T (this host "
                          "has %" PRIu64 "M)",
                          size, host.ram >> 20);
    }
    config->ram_size = (size + 4095) & ~UINT64_C(4095);
    return true;
}

bool option_memory(struct command_line *line, const char *value, GError **error)
{
    struct key_values *list = key_values_parse(value, "size", error);
    bool ok = list && apply_memory(&line->config, list, error);

    key_values_free(list);
    return ok;
}

/* -boot, -rtc, -name, -uuid, -fw_cfg */

/* Letters of drives; *kept is replaced if there are some. */
static bool take_boot_order(const char *key, const char *order, char **kept, GError **error)
{
    for (const char *p = order; p && *p; p++) {
        if (*p < 'a' || *p > 'p' || strchr(p + 1, *p)) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "%s '%s' must be different letters: a (floppy), c (disk), "
                              "d (CD-ROM), n (network), ... up to p",
                              key, order);
        }
    }
    if (order) {
        g_free(*kept);
        *kept = g_strdup(order);
    }
    return true;
}

static bool apply_boot(struct machine_config *config, const struct key_values *list, GError **error)
{
    static const char *const keys[] = {"order", "once", "menu", NULL};

    return key_values_check(list, keys, error) &&
           key_values_get_bool(list, "menu", &config->boot_menu, error) &&
           take_boot_order("order", key_values_get(list, "order"), &config->boot_order, error) &&
           take_boot_order("once", key_values_get(list, "once"), &config->boot_once, error);
}

bool option_boot(struct command_line *line, const char *value, GError **error)
{
    struct key_values *list = key_values_parse(value, "order", error);
    bool ok = list && apply_boot(&line->config, list, error);

    key_values_free(list);
    return ok;
}

/* "YYYY-MM-DD" or "YYYY-MM-DDThh:mm:ss" */
static bool is_date(const char *text)
{
    g_autofree char *full =
        strchr(text, 'T') ? g_strdup(text) : g_strconcat(text, "T00:00:00", NULL);
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) time = NULL;

    if (strlen(full) != strlen("YYYY-MM-DDThh:mm:ss")) {
        return false;
    }
    time = g_date_time_new_from_iso8601(full, utc);
    return time != NULL;
}

static bool apply_rtc(struct machine_config *config, const struct key_values *list, GError **error)
{
    static const char *const keys[] = {"base", NULL};
    const char *base = key_values_get(list, "base");

    if (!key_values_check(list, keys, error)) {
        return false;
    }
    if (!base || (!g_str_equal(base, "utc") && !g_str_equal(base, "localtime") && !is_date(base))) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "base must be utc, localtime, or a time such as 2024-02-29T12:34:56");
    }
    g_free(config->rtc_base);
    config->rtc_base = g_strdup(base);
    return true;
}

bool option_rtc(struct command_line *line, const char *value, GError **error)
{
    struct key_values *list = key_values_parse(value, NULL, error);
    bool ok = list && apply_rtc(&line->config, list, error);

    key_values_free(list);
    return ok;
}

bool option_name(struct command_line *line, const char *value, GError **error)
{
    static const char *const keys[] = {"guest", NULL};
    struct key_values *list = key_values_parse(value, "guest", error);
    bool ok = list && key_values_check(list, keys, error);

    if (ok && !key_values_get(list, "guest")) {
        ok = duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "the name is missing");
    } else if (ok && !g_utf8_validate(value, -1, NULL)) {
        ok = duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "the name must be UTF-8");
    } else if (ok) {
        g_free(line->config.name);
        line->config.name = key_values_take(list, "guest");
    }
    key_values_free(list);
    return ok;
}

bool option_uuid(struct command_line *line, const char *value, GError **error)
{
    if (!g_uuid_string_is_valid(value)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "a UUID looks like 01234567-89ab-cdef-0123-456789abcdef");
    }
    g_free(line->config.uuid_text);
    line->config.uuid_text = g_ascii_strdown(value, -1);
    return true;
}

static bool apply_fw_cfg(struct command_line *line, const struct key_values *list, GError **error)
{
    static const char *const keys[] = {"name", "file", "string", NULL};
    const char *name = key_values_get(list, "name");
    const char *file = key_values_get(list, "file");
    const char *string = key_values_get(list, "string");
    struct fw_cfg_option *item;

    if (!key_values_check(list, keys, error)) {
        return false;
    }
    if (!name || !*name || strlen(name) > FW_CFG_NAME_MAX || !!file + !!string != 1) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "needs name=NAME of 1 to %d bytes, and one of file=FILE and string=TEXT",
                          FW_CFG_NAME_MAX);
    }
    item = g_new0(struct fw_cfg_option, 1);
    item->name = g_strdup(name);
    item->file = g_strdup(file);
    item->string = g_strdup(string);
    g_ptr_array_add(line->config.fw_cfg_items, item);
    return true;
}

bool option_fw_cfg(struct command_line *line, const char *value, GError **error)
{
    struct key_values *list = key_values_parse(value, "name", error);
    bool ok = list && apply_fw_cfg(line, list, error);

    key_values_free(list);
    return ok;
}
