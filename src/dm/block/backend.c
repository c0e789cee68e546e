/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Backends: opening, names, users, sizes, and waiting for them to be idle. */
#include "dm/block/block-private.h"
#include "dm/block/removable.h"
#include "dm/machine.h"
#include "dm/nearest-word.h"
#include "util/error.h"

#include <errno.h>
#include <unistd.h>

#include <time.h>

#define ZEROES_MAX (1u << 30) /* bytes of one discard or write-zeroes */

static const struct block_driver *const drivers[] = {
    &block_driver_file, &block_driver_host_device, &block_driver_nbd,
    &block_driver_null, &block_driver_raw,
};

/* Registry. */

static void on_machine_event(void *opaque, const char *event, const char *json_data)
{
    struct block_registry *registry = opaque;

    if (!g_str_equal(event, "RESUME")) {
        return;
    }
    for (unsigned i = 0; i < registry->backends->len; i++) {
        block_errors_reset(g_ptr_array_index(registry->backends, i));
    }
}

struct block_registry *block_registry_new(struct machine *machine)
{
    struct block_registry *registry = g_new0(struct block_registry, 1);

    registry->machine = machine;
    registry->backends = g_ptr_array_new();
    registry->removables = g_ptr_array_new();
    registry->empty_drives = g_ptr_array_new_with_free_func(g_free);
    registry->pool = block_pool_new();
    if (machine) {
        machine_add_event_listener(machine, on_machine_event, registry);
    }
    return registry;
}

void block_registry_free(struct block_registry *registry)
{
    while (registry->backends->len) {
        /* The last may be what an earlier one is a window of: references sort that out. */
        block_unref(g_ptr_array_steal_index(registry->backends, registry->backends->len - 1));
    }
    block_pool_free(registry->pool);
    g_ptr_array_unref(registry->empty_drives);
    g_ptr_array_unref(registry->removables);
    g_ptr_array_unref(registry->backends);
    g_free(registry);
}

static struct block_backend *find_node(const struct block_registry *registry, const char *name)
{
    for (unsigned i = 0; i < registry->backends->len; i++) {
        struct block_backend *backend = g_ptr_array_index(registry->backends, i);

        if (g_str_equal(backend->node_name, name)) {
            return backend;
        }
    }
    return NULL;
}

static struct block_backend *find_device(const struct block_registry *registry, const char *name)
{
    for (unsigned i = 0; i < registry->backends->len; i++) {
        struct block_backend *backend = g_ptr_array_index(registry->backends, i);

        if (*name && g_str_equal(backend->device_name, name)) {
            return backend;
        }
    }
    return NULL;
}

void block_set_option(struct block_backend *backend, const char *option)
{
    backend->option = option;
}

struct block_backend *block_find(struct block_registry *registry, const char *name, GError **error)
{
    struct block_backend *backend = find_device(registry, name);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;

    backend = backend ? backend : find_node(registry, name);
    if (backend) {
        return backend;
    }
    if (block_is_empty_drive(registry, name)) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "drive '%s' has no file=: only a CD drive can be empty", name);
        return NULL;
    }
    for (unsigned i = 0; i < registry->backends->len; i++) {
        const struct block_backend *other = g_ptr_array_index(registry->backends, i);

        g_ptr_array_add(names, *other->device_name ? other->device_name : other->node_name);
    }
    g_ptr_array_add(names, NULL);
    hint = suggestion(name, (const char *const *)names->pdata);
    duodm_fail(error, DUODM_ERROR_NOT_FOUND,
               "there is no drive '%s'%s: make it with -drive ...,id= or -blockdev "
               "...,node-name=",
               name, hint);
    return NULL;
}

/* Opening. */

static bool take_names(struct block_registry *registry, struct block_backend *backend,
                       const char *device_name, GError **error)
{
    const char *names[] = {device_name, backend->options.node_name};

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (names[i] && (find_device(registry, names[i]) || find_node(registry, names[i]))) {
            return duodm_fail(error, DUODM_ERROR_EXISTS,
                              "there is a drive or node '%s' already: choose another name",
                              names[i]);
        }
    }
    backend->device_name = g_strdup(device_name ? device_name : "");
    backend->node_name = backend->options.node_name
                             ? g_strdup(backend->options.node_name)
                             : g_strdup_printf("#block%03u", registry->next_node++);
    return true;
}

static void backend_free(struct block_backend *backend)
{
    block_errors_free(backend->errors);
    g_ptr_array_unref(backend->queues);
    pthread_cond_destroy(&backend->drained);
    pthread_mutex_destroy(&backend->drain_lock);
    block_unref(backend->child);
    block_options_clear(&backend->options);
    g_free(backend->device_name);
    g_free(backend->node_name);
    g_free(backend);
}

struct block_backend *block_open_driver(struct block_registry *registry,
                                        const struct block_driver *driver,
                                        struct block_options *options, struct block_backend *child,
                                        const char *device_name, GError **error)
{
    struct block_backend *backend = g_new0(struct block_backend, 1);

    backend->references = 1;
    backend->registry = registry;
    backend->driver = driver;
    backend->options = *options;
    *options = (struct block_options){0};
    backend->child = child ? block_ref(child) : NULL;
    backend->uring_fd = -1;
    backend->limits.request_alignment = 1;
    backend->limits.max_zeroes = ZEROES_MAX;
    backend->queues = g_ptr_array_new();
    pthread_mutex_init(&backend->drain_lock, NULL);
    pthread_cond_init(&backend->drained, NULL);
    if (!take_names(registry, backend, device_name, error) || !driver->open(backend, error)) {
        backend_free(backend);
        return NULL;
    }
    backend->errors = block_errors_new(backend);
    g_ptr_array_add(registry->backends, backend);
    return backend;
}

/* What raw is a window of. */
static struct block_backend *find_child(struct block_registry *registry,
                                        const struct block_options *options, GError **error)
{
    struct block_backend *child;

    if (options->file_definition) {
        return block_open(registry, options->file_definition, NULL, error);
    }
    child = find_node(registry, options->file_reference);
    if (!child) {
        duodm_fail(error, DUODM_ERROR_NOT_FOUND, "file=%s: there is no such node",
                   options->file_reference);
    }
    return child;
}

static bool check_policies(const struct block_options *options, GError **error)
{
    enum block_error_policy ignored;

    return (!options->werror || block_error_policy_parse(options->werror, true, &ignored, error)) &&
           (!options->rerror || block_error_policy_parse(options->rerror, false, &ignored, error));
}

static void remove_backend(struct block_registry *registry, struct block_backend *backend)
{
    struct block_backend *child = backend->owns_child ? backend->child : NULL;

    g_ptr_array_remove(registry->backends, backend);
    if (child) {
        remove_backend(registry, child);
    }
    block_unref(backend);
}

struct block_backend *block_open(struct block_registry *registry, json_t *object,
                                 const char *device_name, GError **error)
{
    struct block_backend *backend = NULL, *child = NULL;
    const struct block_driver *driver = NULL;
    struct block_options options;
    bool owns_child;

    if (!block_options_parse(object, &options, error)) {
        return NULL;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(drivers); i++) {
        driver = g_str_equal(drivers[i]->name, options.driver) ? drivers[i] : driver;
    }
    owns_child = options.file_definition != NULL;
    if (!check_policies(&options, error)) {
        goto out;
    }
    if (!driver->is_protocol) {
        child = find_child(registry, &options, error);
        if (!child) {
            goto out;
        }
    }
    backend = block_open_driver(registry, driver, &options, child, device_name, error);
    if (backend) {
        backend->owns_child = owns_child;
    } else if (child && owns_child) {
        remove_backend(registry, child);
    }
out:
    block_options_clear(&options);
    return backend;
}

/* Who has it; free it. */
static char *describe_user(const struct block_backend *backend)
{
    const char *id = backend->user->device_id;

    return id && *id ? g_strdup_printf("device '%s'", id) : g_strdup("a device without an id");
}

static bool check_unused(const struct block_registry *registry, const struct block_backend *backend,
                         GError **error)
{
    if (backend->user) {
        g_autofree char *user = describe_user(backend);

        return duodm_fail(error, DUODM_ERROR_BUSY, "node '%s' is used by %s", backend->node_name,
                          user);
    }
    if (*backend->device_name) {
        return duodm_fail(error, DUODM_ERROR_BUSY,
                          "node '%s' belongs to drive '%s', which stays as long as the machine",
                          backend->node_name, backend->device_name);
    }
    for (unsigned i = 0; i < registry->backends->len; i++) {
        const struct block_backend *other = g_ptr_array_index(registry->backends, i);

        if (other->child == backend) {
            return duodm_fail(error, DUODM_ERROR_BUSY, "node '%s' is used by node '%s'",
                              backend->node_name, other->node_name);
        }
    }
    return true;
}

bool block_delete(struct block_registry *registry, const char *node_name, GError **error)
{
    struct block_backend *backend = find_node(registry, node_name);

    if (!backend) {
        return duodm_fail(error, DUODM_ERROR_NOT_FOUND, "there is no node '%s'", node_name);
    }
    if (!check_unused(registry, backend, error)) {
        return false;
    }
    remove_backend(registry, backend);
    return true;
}

void block_remove(struct block_backend *backend)
{
    remove_backend(backend->registry, backend);
}

struct block_backend *block_ref(struct block_backend *backend)
{
    backend->references++;
    return backend;
}

void block_unref(struct block_backend *backend)
{
    if (!backend || --backend->references) {
        return;
    }
    if (backend->driver->close) {
        backend->driver->close(backend);
    }
    backend_free(backend);
}

/* What there is to know. */

const char *block_device_name(const struct block_backend *backend)
{
    return backend->device_name;
}

const char *block_node_name(const struct block_backend *backend)
{
    return backend->node_name;
}

uint64_t block_size(const struct block_backend *backend)
{
    return __atomic_load_n(&backend->size, __ATOMIC_RELAXED);
}

bool block_is_read_only(const struct block_backend *backend)
{
    return backend->read_only;
}

bool block_is_write_back(const struct block_backend *backend)
{
    return !backend->options.write_through;
}

const struct block_limits *block_get_limits(const struct block_backend *backend)
{
    return &backend->limits;
}

struct block_stats *block_get_stats(struct block_backend *backend)
{
    return &backend->stats;
}

char *block_filename(struct block_backend *backend)
{
    const struct block_options *options = &block_protocol(backend)->options;

    if (options->filename) {
        return g_strdup(options->filename);
    }
    if (options->uri) {
        return g_strdup(options->uri);
    }
    if (options->unix_path) {
        return g_strdup_printf("nbd+unix:///%s?socket=%s",
                               options->export_name ? options->export_name : "",
                               options->unix_path);
    }
    if (options->host || options->port) {
        return g_strdup_printf("nbd://%s:%s/%s", options->host ? options->host : "localhost",
                               options->port ? options->port : "10809",
                               options->export_name ? options->export_name : "");
    }
    return g_strdup_printf("%s://", block_protocol(backend)->driver->name);
}

/* Users. */

/* As locked_for_write and lock_shared say. */
static bool take_lock(struct block_backend *protocol, GError **error)
{
    return protocol->registry->is_inactive || !protocol->driver->lock ||
           protocol->driver->lock(protocol, protocol->locked_for_write, protocol->lock_shared,
                                  error);
}

static void release_lock(struct block_backend *protocol)
{
    if (!protocol->registry->is_inactive && protocol->driver->unlock) {
        protocol->driver->unlock(protocol);
    }
}

static bool lock_image(struct block_backend *protocol, const struct block_user *user,
                       GError **error)
{
    bool conflict =
        protocol->lock_count && !user->share_rw && (user->writes || protocol->locked_for_write);

    if (conflict) {
        g_autofree char *name = block_filename(protocol);

        return duodm_fail(error, DUODM_ERROR_BUSY,
                          "image '%s' is used by another device of this machine, and one of them "
                          "writes: share-rw=on on both allows that",
                          name);
    }
    if (!protocol->lock_count) {
        protocol->locked_for_write = user->writes;
        protocol->lock_shared = user->share_rw;
        if (!take_lock(protocol, error)) {
            return false;
        }
    }
    protocol->lock_count++;
    protocol->locked_for_write |= user->writes;
    return true;
}

bool block_attach(struct block_backend *backend, struct block_user *user, GError **error)
{
    if (backend->user) {
        g_autofree char *other = describe_user(backend);

        return duodm_fail(error, DUODM_ERROR_BUSY, "drive '%s' is used by %s already",
                          *backend->device_name ? backend->device_name : backend->node_name, other);
    }
    if (!lock_image(block_protocol(backend), user, error)) {
        return false;
    }
    backend->user = user;
    block_ref(backend);
    return true;
}

void block_detach(struct block_backend *backend)
{
    struct block_backend *protocol = block_protocol(backend);

    backend->user = NULL;
    protocol->lock_count--;
    if (!protocol->lock_count) {
        protocol->locked_for_write = false;
        release_lock(protocol);
    }
    block_unref(backend);
}

/* Those that are locked, or would be. */
static GPtrArray *list_locked(const struct block_registry *registry)
{
    GPtrArray *list = g_ptr_array_new();

    for (unsigned i = 0; i < registry->backends->len; i++) {
        struct block_backend *backend = g_ptr_array_index(registry->backends, i);

        if (backend->lock_count) {
            g_ptr_array_add(list, backend);
        }
    }
    return list;
}

bool block_inactivate(struct block_registry *registry, GError **error)
{
    g_autoptr(GPtrArray) locked = list_locked(registry);

    if (registry->is_inactive) {
        return true;
    }
    for (unsigned i = 0; i < locked->len; i++) {
        struct block_backend *backend = g_ptr_array_index(locked, i);

        if (backend->locked_for_write && backend->uring_fd >= 0 &&
            fdatasync(backend->uring_fd) < 0) {
            g_autofree char *name = block_filename(backend);

            return duodm_fail(error, DUODM_ERROR_IO, "image '%s' can't be flushed: %s", name,
                              g_strerror(errno));
        }
    }
    for (unsigned i = 0; i < locked->len; i++) {
        release_lock(g_ptr_array_index(locked, i));
    }
    registry->is_inactive = true;
    return true;
}

bool block_activate(struct block_registry *registry, GError **error)
{
    g_autoptr(GPtrArray) locked = list_locked(registry);

    if (!registry->is_inactive) {
        return true;
    }
    registry->is_inactive = false;
    for (unsigned i = 0; i < locked->len; i++) {
        if (!take_lock(g_ptr_array_index(locked, i), error)) {
            while (i-- > 0) {
                release_lock(g_ptr_array_index(locked, i));
            }
            registry->is_inactive = true;
            return false;
        }
    }
    return true;
}

bool block_resize(struct block_backend *backend, uint64_t size, GError **error)
{
    size = size / BLOCK_SECTOR * BLOCK_SECTOR;
    if (backend->read_only) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED, "node '%s' is read-only",
                          backend->node_name);
    }
    if (!backend->driver->resize) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "an image of driver '%s' can't be resized", backend->driver->name);
    }
    block_drain(backend);
    if (!backend->driver->resize(backend, size, error)) {
        return false;
    }
    __atomic_store_n(&backend->size, size, __ATOMIC_RELAXED);
    if (backend->user && backend->user->resized) {
        backend->user->resized(backend->user->opaque);
    }
    return true;
}

/* Idleness. */

void block_backend_begin(struct block_backend *backend)
{
    __atomic_fetch_add(&backend->in_flight, 1, __ATOMIC_SEQ_CST);
}

void block_backend_end(struct block_backend *backend)
{
    if (__atomic_sub_fetch(&backend->in_flight, 1, __ATOMIC_SEQ_CST) == 0 &&
        __atomic_load_n(&backend->drain_waiters, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&backend->drain_lock);
        pthread_cond_broadcast(&backend->drained);
        pthread_mutex_unlock(&backend->drain_lock);
    }
}

/* Complete what is under way in queues of the caller's own loop. */
static void drain_own(struct block_backend *backend)
{
    struct machine *machine = backend->registry->machine;

    for (unsigned i = 0; i < backend->queues->len; i++) {
        struct block_queue *queue = g_ptr_array_index(backend->queues, i);

        while ((!machine || block_queue_base(queue) == machine->base) &&
               block_queue_in_flight(queue)) {
            block_queue_wait(queue);
        }
    }
}

void block_drain(struct block_backend *backend)
{
    drain_own(backend);
    pthread_mutex_lock(&backend->drain_lock);
    __atomic_fetch_add(&backend->drain_waiters, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&backend->in_flight, __ATOMIC_SEQ_CST)) {
        pthread_cond_wait(&backend->drained, &backend->drain_lock);
    }
    __atomic_fetch_sub(&backend->drain_waiters, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&backend->drain_lock);
}
