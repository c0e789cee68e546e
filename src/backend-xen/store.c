/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xenstore: where the toolstack reads that the device model runs, and from which we hear that a
 * domain has gone. All of it in the main loop, but for what another thread asks to be written.
 */
#include "backend-xen/xen-machine.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <string.h>
#include <xen/io/xenbus.h>

#define RELEASE_PATH  "@releaseDomain"
#define RELEASE_TOKEN "duodm"

#define TRANSACTION_TRIES 16 /* of one that others' changes get in the way of */

struct xen_store {
    struct xen_machine *xen;
    struct xs_handle *handle;
    struct event *watched;
    GPtrArray *watches;    /* of struct xen_store_watch: their owners' */
    unsigned watch_number; /* of the next one */
    /* Seconds that the guest set its clock by, not yet written. */
    pthread_mutex_t lock;
    int64_t time_offset;
    struct io_task write_time_offset;
};

/* Gone, or about to be: nothing is left to do for it. */
static bool domain_is_alive(const struct xen_machine *xen)
{
    xc_dominfo_t info;

    return xc_domain_getinfo(xen->control, xen->domid, 1, &info) == 1 && info.domid == xen->domid &&
           !info.dying;
}

static void forget_watch(struct xen_store *store)
{
    g_clear_pointer(&store->watched, event_free);
}

/* Whose token it is; NULL: RELEASE_TOKEN, or that of a watch which has ended. */
static struct xen_store_watch *find_watch(const struct xen_store *store, const char *token)
{
    for (unsigned i = 0; i < store->watches->len; i++) {
        struct xen_store_watch *watch = g_ptr_array_index(store->watches, i);

        if (g_str_equal(watch->token, token)) {
            return watch;
        }
    }
    return NULL;
}

static void on_watch(evutil_socket_t fd, short events, void *opaque)
{
    struct xen_store *store = opaque;
    struct xen_machine *xen = store->xen;
    char **fired;

    errno = 0;
    while ((fired = xs_check_watch(store->handle))) {
        struct xen_store_watch *watch = find_watch(store, fired[XS_WATCH_TOKEN]);

        free(fired);
        if (watch) {
            watch->changed(watch->opaque);
        }
        errno = 0;
    }
    if (errno != EAGAIN) {
        /* The domain can be served without it. */
        xen_warn(xen, "xenstore is gone");
        forget_watch(store);
    }
    if (!domain_is_alive(xen)) {
        log_warning("xen: domain %u is gone", xen->domid);
        machine_request_exit(xen->machine, 0);
    }
}

static bool watch_domains(struct xen_store *store, GError **error)
{
    struct xen_machine *xen = store->xen;

    if (!xs_watch(store->handle, RELEASE_PATH, RELEASE_TOKEN)) {
        return xen_fail(xen, error, "xenstore: cannot watch " RELEASE_PATH);
    }
    store->watched = event_new(xen->machine->base, xs_fileno(store->handle), EV_READ | EV_PERSIST,
                               on_watch, store);
    return (store->watched && event_add(store->watched, NULL) == 0) ||
           duodm_fail(error, DUODM_ERROR_FAILED, "xen: the main loop takes no event for xenstore");
}

bool xen_store_watch(struct xen_machine *xen, struct xen_store_watch *watch, GError **error)
{
    struct xen_store *store = xen->store;

    if (!store) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED, "xen: domain %u: no xenstore any more",
                          xen->domid);
    }
    g_snprintf(watch->token, sizeof(watch->token), "%u", store->watch_number++);
    g_ptr_array_add(store->watches, watch);
    if (!xs_watch(store->handle, watch->path, watch->token)) {
        g_ptr_array_remove(store->watches, watch);
        return xen_fail(xen, error, "xenstore: cannot watch %s", watch->path);
    }
    return true;
}

void xen_store_unwatch(struct xen_machine *xen, struct xen_store_watch *watch)
{
    struct xen_store *store = xen->store;

    if (store && g_ptr_array_remove(store->watches, watch)) {
        xs_unwatch(store->handle, watch->path, watch->token);
    }
}

void xen_store_write_state(struct xen_machine *xen, const char *state)
{
    g_autofree char *path = g_strdup_printf("/local/domain/0/device-model/%u/state", xen->domid);

    if (xen->store && !xs_write(xen->store->handle, XBT_NULL, path, state, strlen(state))) {
        xen_warn(xen, "xenstore: cannot write '%s' to %s", state, path);
    }
}

/* The nearest number that there is to the sum of two. */
static int64_t sum_of(int64_t a, int64_t b)
{
    int64_t sum;

    return !__builtin_add_overflow(a, b, &sum) ? sum : b < 0 ? INT64_MIN : INT64_MAX;
}

/* rtc/timeoffset of the domain's /vm entry: what its builder gives the clock next time. */
static void write_time_offset(void *opaque)
{
    struct xen_store *store = opaque;
    struct xen_machine *xen = store->xen;
    g_autofree char *link = g_strdup_printf("/local/domain/%u/vm", xen->domid);
    char *vm = xs_read(store->handle, XBT_NULL, link, NULL);
    g_autofree char *path = vm ? g_strdup_printf("%s/rtc/timeoffset", vm) : NULL;
    char *old = path ? xs_read(store->handle, XBT_NULL, path, NULL) : NULL;
    g_autofree char *text = NULL;
    int64_t seconds;

    pthread_mutex_lock(&store->lock);
    seconds = store->time_offset;
    store->time_offset = 0;
    pthread_mutex_unlock(&store->lock);
    text = g_strdup_printf("%" PRId64, sum_of(old ? g_ascii_strtoll(old, NULL, 10) : 0, seconds));
    if (!path || !xs_write(store->handle, XBT_NULL, path, text, strlen(text))) {
        xen_warn(xen, "xenstore: cannot write the clock's offset");
    }
    free(old);
    free(vm);
}

void xen_store_add_time_offset(struct xen_machine *xen, int64_t seconds)
{
    struct xen_store *store = xen->store;

    if (store) {
        pthread_mutex_lock(&store->lock);
        store->time_offset = sum_of(store->time_offset, seconds);
        pthread_mutex_unlock(&store->lock);
        machine_post(xen->machine, &store->write_time_offset);
    }
}

/*
 * A device model may also serve paravirtual devices; this one serves none, and says so by an empty
 * list (Xen's docs/misc/qemu-backends.txt). A toolstack that gave the domain such devices all the
 * same (libxl does so with vkbd, unasked) has made back ends for them: their state is set to
 * closed, for which the guest's drivers do not wait. Linux waits half a minute for one that says
 * nothing.
 */
static void refuse_backend(const struct xen_store *store, const char *path, const char *device)
{
    static const char closed[] = "6"; /* xen/io/xenbus.h: XenbusStateClosed */
    g_autofree char *key = g_strdup_printf("%s/%s/state", path, device);

    if (!xs_write(store->handle, XBT_NULL, key, closed, strlen(closed))) {
        xen_warn(store->xen, "xenstore: cannot write %s", key);
    }
}

static void refuse_backends(const struct xen_store *store)
{
    static const struct {
        const char *kind;
        bool is_default; /* nobody asked for it: nothing is to be said */
    } kinds[] = {
        {"qdisk", false}, {"qnic", false}, {"qusb", false}, {"9pfs", false}, {"vkbd", true}};
    const struct xen_machine *xen = store->xen;
    g_autofree char *list = g_strdup_printf("/local/domain/0/device-model/%u/backends", xen->domid);

    if (!xs_mkdir(store->handle, XBT_NULL, list)) {
        xen_warn(xen, "xenstore: cannot make %s", list);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *path =
            g_strdup_printf("/local/domain/0/backend/%s/%u", kinds[i].kind, xen->domid);
        unsigned count = 0;
        char **numbers = xs_directory(store->handle, XBT_NULL, path, &count);

        for (unsigned device = 0; numbers && device < count; device++) {
            refuse_backend(store, path, numbers[device]);
            if (!kinds[i].is_default) {
                log_warning("xen: domain %u: device %s has the back end '%s', which is not "
                            "available here: the guest can use it as an emulated device only",
                            xen->domid, numbers[device], kinds[i].kind);
            }
        }
        free(numbers);
    }
}

/*
 * The functions of the host that the toolstack says the domain has: "dev-N" is one's address, and
 * "state-N" what becomes of it (libxl has xen-pciback's entries for HVM domains, too). Whether name
 * is among them, and stays; in a transaction.
 */
static bool is_listed(struct xs_handle *handle, xs_transaction_t transaction, const char *list,
                      const char *name)
{
    unsigned count = 0;
    char **keys = xs_directory(handle, transaction, list, &count);
    bool found = false;

    for (unsigned i = 0; keys && i < count && !found; i++) {
        g_autofree char *key = g_strdup_printf("%s/%s", list, keys[i]);
        g_autofree char *state_key =
            g_strdup_printf("%s/state-%s", list, keys[i] + strcspn(keys[i], "0123456789"));
        char *value =
            g_str_has_prefix(keys[i], "dev-") ? xs_read(handle, transaction, key, NULL) : NULL;

        if (value && g_str_equal(value, name)) {
            char *state = xs_read(handle, transaction, state_key, NULL);

            found = !state || g_ascii_strtoull(state, NULL, 10) != XenbusStateClosing;
            free(state);
        }
        free(value);
    }
    free(keys);
    return found;
}

enum xen_store_answer xen_store_has_function(struct xen_machine *xen, const char *name)
{
    g_autofree char *list = g_strdup_printf(XEN_STORE_FUNCTIONS, xen->domid);

    for (unsigned i = 0; xen->store && i < TRANSACTION_TRIES; i++) {
        struct xs_handle *handle = xen->store->handle;
        xs_transaction_t transaction = xs_transaction_start(handle);
        bool found = transaction != XBT_NULL && is_listed(handle, transaction, list, name);

        if (transaction != XBT_NULL && xs_transaction_end(handle, transaction, false)) {
            return found ? XEN_STORE_YES : XEN_STORE_NO;
        }
        if (errno != EAGAIN) {
            break;
        }
    }
    return XEN_STORE_UNKNOWN;
}

bool xen_store_open(struct xen_machine *xen, GError **error)
{
    struct xen_store *store;
    struct xs_handle *handle = xs_open(0);

    if (!handle) {
        return xen_fail(xen, error, "cannot connect to xenstore (is xenstored running?)");
    }
    store = g_new0(struct xen_store, 1);
    store->xen = xen;
    store->handle = handle;
    store->watches = g_ptr_array_new();
    store->write_time_offset = (struct io_task){.run = write_time_offset, .opaque = store};
    pthread_mutex_init(&store->lock, NULL);
    xen->store = store;
    refuse_backends(store);
    return watch_domains(store, error);
}

void xen_store_close(struct xen_machine *xen)
{
    struct xen_store *store = xen->store;

    if (!store) {
        return;
    }
    machine_cancel(xen->machine, &store->write_time_offset);
    forget_watch(store);
    xs_close(store->handle);
    g_ptr_array_free(store->watches, TRUE);
    pthread_mutex_destroy(&store->lock);
    g_free(store);
    xen->store = NULL;
}
