/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/chardev.h"
#include "dm/char/backend.h"
#include "dm/machine.h"
#include "dm/nearest-word.h"
#include "util/error.h"

#include <string.h>

static const struct chardev_backend *const backends[] = {
    &chardev_file, &chardev_null, &chardev_pty, &chardev_socket, &chardev_stdio, NULL,
};

void chardev_list_kinds(FILE *out)
{
    for (unsigned i = 0; backends[i]; i++) {
        fprintf(out, "%-8s %s\n", backends[i]->name, backends[i]->description);
    }
}

GPtrArray *chardev_list_keys(void)
{
    GPtrArray *list = g_ptr_array_new();

    g_ptr_array_add(list, (void *)"id");
    g_ptr_array_add(list, (void *)"mux");
    for (unsigned i = 0; backends[i]; i++) {
        for (unsigned k = 0; backends[i]->keys && backends[i]->keys[k]; k++) {
            const char *key = backends[i]->keys[k];

            if (!g_ptr_array_find_with_equal_func(list, key, g_str_equal, NULL)) {
                g_ptr_array_add(list, (void *)key);
            }
        }
    }
    return list;
}

static const struct chardev_backend *find_backend(const char *name, GError **error)
{
    const char *names[G_N_ELEMENTS(backends)];
    g_autofree char *hint = NULL;
    unsigned i;

    for (i = 0; backends[i]; i++) {
        if (g_str_equal(backends[i]->name, name)) {
            return backends[i];
        }
        names[i] = backends[i]->name;
    }
    names[i] = NULL;
    hint = suggestion(name, names);
    duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
               "there is no character back end '%s'%s ('-chardev help' lists them)", name, hint);
    return NULL;
}

static bool check_options(const struct chardev_backend *backend, const struct key_values *options,
                          GError **error)
{
    g_autoptr(GPtrArray) valid = g_ptr_array_new();

    g_ptr_array_add(valid, (void *)"backend");
    g_ptr_array_add(valid, (void *)"id");
    g_ptr_array_add(valid, (void *)"mux");
    for (unsigned i = 0; backend->keys && backend->keys[i]; i++) {
        g_ptr_array_add(valid, (void *)backend->keys[i]);
    }
    g_ptr_array_add(valid, NULL);
    return key_values_check(options, (const char *const *)valid->pdata, error);
}

struct chardev *chardev_make(const struct chardev_backend *backend, struct machine *machine,
                             struct event_base *base, const char *id,
                             const struct key_values *options, GError **error)
{
    struct chardev *chardev = g_malloc0(backend->instance_size);

    chardev->backend = chardev->outer = backend;
    chardev->machine = machine;
    chardev->base = base;
    chardev->id = g_strdup(id);
    if (backend->open && !backend->open(chardev, options, error)) {
        g_free(chardev->id);
        g_free(chardev);
        return NULL;
    }
    return chardev;
}

static bool check_id(struct machine *machine, const char *id, GError **error)
{
    if (!id || !*id) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "a character device needs an id: add id=NAME");
    }
    for (const char *p = id; *p; p++) {
        if (!g_ascii_isalnum(*p) && !strchr("-._", *p)) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "id '%s' may have letters, digits, '-', '.' and '_' only", id);
        }
    }
    if (machine && chardev_find(machine, id)) {
        return duodm_fail(error, DUODM_ERROR_EXISTS,
                          "there is a character device '%s' already: choose another id", id);
    }
    return true;
}

bool chardev_stdio_is_used(struct machine *machine)
{
    for (unsigned i = 0; machine && i < machine->chardevs->len; i++) {
        const struct chardev *chardev = g_ptr_array_index(machine->chardevs, i);

        if (chardev->outer == &chardev_stdio) {
            return true;
        }
    }
    return false;
}

/* options must hold "backend"; checks them, opens, and registers with the machine. */
static struct chardev *new_from_list(struct machine *machine, struct event_base *base,
                                     const struct key_values *options, GError **error)
{
    const struct chardev_backend *backend;
    const char *kind = key_values_get(options, "backend");
    const char *id = key_values_get(options, "id");
    g_autofree char *back_id = NULL;
    struct chardev *chardev;
    bool mux = false;

    if (!kind) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "no kind of character device is named ('-chardev help' lists them)");
        return NULL;
    }
    backend = find_backend(kind, error);
    if (!backend || !check_options(backend, options, error) || !check_id(machine, id, error) ||
        !key_values_get_bool(options, "mux", &mux, error)) {
        return NULL;
    }
    if (backend == &chardev_stdio && chardev_stdio_is_used(machine)) {
        duodm_fail(error, DUODM_ERROR_BUSY,
                   "standard input and output are in use already: give one of their users another "
                   "character device, or share them with mon:stdio");
        return NULL;
    }
    back_id = mux ? g_strconcat(id, "-base", NULL) : g_strdup(id);
    chardev = chardev_make(backend, machine, base, back_id, options, error);
    if (chardev && mux) {
        chardev = chardev_mux_new(chardev, id);
    }
    if (chardev && machine) {
        g_ptr_array_add(machine->chardevs, chardev);
    }
    return chardev;
}

struct chardev *chardev_new(struct machine *machine, struct event_base *base, const char *options,
                            GError **error)
{
    struct key_values *list = key_values_parse(options, "backend", error);
    struct chardev *chardev = list ? new_from_list(machine, base, list, error) : NULL;

    key_values_free(list);
    return chardev;
}

/* "HOST:PORT" with an optional "[v6]" host; an empty host means any or the loopback address. */
static bool add_host_port(struct key_values *list, const char *text, GError **error)
{
    const char *colon = strrchr(text, ':');
    g_autofree char *host = NULL;

    if (!colon || !colon[1]) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "'tcp:%s' must be tcp:HOST:PORT",
                          text);
    }
    host = g_strndup(text, (gsize)(colon - text));
    if (host[0] == '[' && g_str_has_suffix(host, "]")) {
        memmove(host, host + 1, strlen(host));
        host[strlen(host) - 1] = '\0';
    }
    if (*host) {
        key_values_set(list, "host", host);
    }
    key_values_set(list, "port", colon + 1);
    return true;
}

/* "unix:PATH,server,..." and "tcp:HOST:PORT,..." as the options of a socket. */
static struct key_values *parse_socket(const char *text, bool is_unix, GError **error)
{
    struct key_values *list = key_values_parse(text, "address", error);
    g_autofree char *address = list ? key_values_take(list, "address") : NULL;

    if (!list) {
        return NULL;
    }
    if (!address || !*address) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "%s: needs %s", is_unix ? "unix" : "tcp",
                   is_unix ? "the path of a socket" : "HOST:PORT");
    } else if (is_unix) {
        key_values_set(list, "path", address);
        return list;
    } else if (add_host_port(list, address, error)) {
        return list;
    }
    key_values_free(list);
    return NULL;
}

/* The short forms as a list of options; "stdio" and the like go through as they are. */
static struct key_values *parse_short(const char *text, GError **error)
{
    const char *colon = strchr(text, ':');
    g_autofree char *kind = colon ? g_strndup(text, (gsize)(colon - text)) : NULL;
    struct key_values *list = NULL;

    if (!kind) {
        return key_values_parse(text, "backend", error);
    }
    if (g_str_equal(kind, "unix") || g_str_equal(kind, "tcp")) {
        list = parse_socket(colon + 1, kind[0] == 'u', error);
        kind = (g_free(kind), g_strdup("socket"));
    } else if (g_str_equal(kind, "file")) {
        list = key_values_parse(colon + 1, "path", error);
    } else {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "'%s' is no character device: use stdio, null, none, pty, file:PATH, "
                   "unix:PATH[,server=on], tcp:HOST:PORT[,server=on], mon:... or chardev:ID",
                   text);
    }
    if (list) {
        key_values_set(list, "backend", kind);
    }
    return list;
}

struct chardev *chardev_new_short(struct machine *machine, struct event_base *base, const char *id,
                                  const char *text, GError **error)
{
    struct chardev *chardev;
    struct key_values *list;

    if (g_str_equal(text, "none")) {
        return NULL;
    }
    if (g_str_has_prefix(text, "chardev:")) {
        chardev = chardev_find(machine, text + strlen("chardev:"));
        if (!chardev) {
            duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                       "there is no character device '%s': make it with -chardev ...,id=%s",
                       text + strlen("chardev:"), text + strlen("chardev:"));
        }
        return chardev;
    }
    if (g_str_has_prefix(text, "mon:")) {
        list = parse_short(text + strlen("mon:"), error);
        if (list) {
            key_values_set(list, "mux", "on");
            if (g_strcmp0(key_values_get(list, "backend"), "stdio") == 0 &&
                !key_values_get(list, "signal")) {
                key_values_set(list, "signal", "off"); /* Ctrl-C belongs to the guest */
            }
        }
    } else {
        list = parse_short(text, error);
    }
    if (!list) {
        return NULL;
    }
    key_values_set(list, "id", id);
    chardev = new_from_list(machine, base, list, error);
    key_values_free(list);
    return chardev;
}

void chardev_free(struct chardev *chardev)
{
    if (!chardev) {
        return;
    }
    if (chardev->machine && chardev->machine->chardevs) {
        g_ptr_array_remove(chardev->machine->chardevs, chardev);
    }
    if (chardev->frontend) {
        chardev_detach(chardev->frontend);
    }
    if (chardev->backend->close) {
        chardev->backend->close(chardev);
    }
    g_free(chardev->id);
    g_free(chardev);
}

struct chardev *chardev_find(struct machine *machine, const char *id)
{
    for (unsigned i = 0; i < machine->chardevs->len; i++) {
        struct chardev *chardev = g_ptr_array_index(machine->chardevs, i);

        if (g_str_equal(chardev->id, id)) {
            return chardev;
        }
    }
    return NULL;
}

const char *chardev_id(const struct chardev *chardev)
{
    return chardev->id;
}

char *chardev_filename(const struct chardev *chardev)
{
    return chardev->backend->filename(chardev);
}

bool chardev_is_attached(const struct chardev *chardev)
{
    return chardev->frontend || chardev_is_shared(chardev);
}

bool chardev_is_shared(const struct chardev *chardev)
{
    return chardev->backend->attach != NULL;
}

bool chardev_accept_many(struct chardev *chardev, chardev_accept_fn accept, void *opaque,
                         GDestroyNotify free_opaque)
{
    return chardev->backend->accept_many && !chardev_is_attached(chardev) &&
           chardev->backend->accept_many(chardev, accept, opaque, free_opaque);
}

bool chardev_attach(struct chardev *chardev, struct chardev_frontend *frontend, GError **error)
{
    if (chardev->backend->attach) {
        return chardev->backend->attach(chardev, frontend, error);
    }
    if (chardev->frontend) {
        return duodm_fail(error, DUODM_ERROR_BUSY,
                          "character device '%s' is in use already: one user each, unless it was "
                          "made with mux=on",
                          chardev->id);
    }
    chardev->frontend = frontend;
    frontend->chardev = chardev;
    if (chardev->peer_open) {
        frontend_event(frontend, CHARDEV_OPENED);
    }
    chardev_accept_input(frontend);
    return true;
}

void chardev_detach(struct chardev_frontend *frontend)
{
    struct chardev *chardev = frontend->chardev;

    if (!chardev) {
        return;
    }
    frontend->chardev = NULL;
    if (chardev->backend->detach) {
        chardev->backend->detach(chardev, frontend);
    } else {
        chardev->frontend = NULL;
    }
}

size_t chardev_write(struct chardev_frontend *frontend, const void *data, size_t length)
{
    struct chardev *chardev = frontend->chardev;

    if (!chardev) {
        return length;
    }
    if (chardev->backend->write_from) {
        return chardev->backend->write_from(chardev, frontend, data, length);
    }
    return chardev->backend->write(chardev, data, length);
}

void chardev_accept_input(struct chardev_frontend *frontend)
{
    struct chardev *chardev = frontend->chardev;

    if (chardev && chardev->backend->accept_input) {
        chardev->backend->accept_input(chardev);
    }
}

int chardev_take_fd(struct chardev_frontend *frontend)
{
    struct chardev *chardev = frontend->chardev;

    return chardev && chardev->backend->take_fd ? chardev->backend->take_fd(chardev) : -1;
}

void chardev_flush(struct chardev *chardev)
{
    if (chardev->backend->flush) {
        chardev->backend->flush(chardev);
    }
}

size_t frontend_room(struct chardev_frontend *frontend)
{
    size_t room = 0;

    if (frontend && (!frontend->guard || access_guard_enter(frontend->guard))) {
        room = frontend->can_receive(frontend->opaque);
        if (frontend->guard) {
            access_guard_leave(frontend->guard);
        }
    }
    return room;
}

void frontend_receive(struct chardev_frontend *frontend, const uint8_t *data, size_t length)
{
    struct access_guard *guard = frontend ? frontend->guard : NULL;

    if (frontend && (!guard || access_guard_enter(guard))) {
        frontend->receive(frontend->opaque, data, length);
        if (guard) {
            access_guard_leave(guard);
        }
    }
}

void frontend_event(struct chardev_frontend *frontend, enum chardev_event event)
{
    struct access_guard *guard = frontend ? frontend->guard : NULL;

    if (frontend && frontend->event && (!guard || access_guard_enter(guard))) {
        frontend->event(frontend->opaque, event);
        if (guard) {
            access_guard_leave(guard);
        }
    }
}

void chardev_set_peer_open(struct chardev *chardev, bool open)
{
    if (chardev->peer_open != open) {
        chardev->peer_open = open;
        frontend_event(chardev->frontend, open ? CHARDEV_OPENED : CHARDEV_CLOSED);
    }
}
