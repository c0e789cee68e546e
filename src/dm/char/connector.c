/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/char/connector.h"
#include "util/thread.h"

#include <assert.h>
#include <event2/event.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Owned by its maker and by its thread. */
struct connector {
    unsigned references; /* atomic */
    struct socket_address address;
    int fd;              /* what the thread got, -1: nothing; atomic */
    int cancel_fd;       /* to the thread: eventfd */
    int done_fd;         /* from the thread, as its last word: eventfd */
    bool has_thread;     /* which was started, and whose last word was not read */
    struct event *event; /* it is being tried: the last word */
    connector_done_fn done;
    void *opaque;
};

static void release(struct connector *connector)
{
    if (__atomic_sub_fetch(&connector->references, 1, __ATOMIC_SEQ_CST)) {
        return;
    }
    if (connector->fd >= 0) {
        close(connector->fd);
    }
    close(connector->cancel_fd);
    close(connector->done_fd);
    socket_address_clear(&connector->address);
    g_free(connector);
}

static void *run(void *opaque)
{
    struct connector *connector = opaque;
    int fd = socket_address_connect(&connector->address, connector->cancel_fd, NULL, NULL);

    __atomic_store_n(&connector->fd, fd, __ATOMIC_SEQ_CST);
    eventfd_write(connector->done_fd, 1);
    release(connector);
    return NULL;
}

static bool start_thread(struct connector *connector)
{
    pthread_t thread;
    sigset_t signals;
    int result;

    __atomic_add_fetch(&connector->references, 1, __ATOMIC_SEQ_CST);
    thread_block_signals(&signals);
    result = pthread_create(&thread, NULL, run, connector);
    thread_restore_signals(&signals);
    if (result) {
        release(connector);
        return false;
    }
    pthread_setname_np(thread, "connector");
    pthread_detach(thread);
    return true;
}

/* What the thread got, if it has ended. */
static bool take_result(struct connector *connector, int *fd)
{
    eventfd_t count;

    if (!connector->has_thread || eventfd_read(connector->done_fd, &count) < 0) {
        return false;
    }
    connector->has_thread = false;
    *fd = __atomic_exchange_n(&connector->fd, -1, __ATOMIC_SEQ_CST);
    return true;
}

static void on_done(evutil_socket_t done_fd, short what, void *opaque)
{
    struct connector *connector = opaque;
    int fd;

    if (take_result(connector, &fd)) {
        g_clear_pointer(&connector->event, event_free);
        connector->done(connector->opaque, fd);
    }
}

struct connector *connector_new(const struct socket_address *address, connector_done_fn done,
                                void *opaque)
{
    struct connector *connector = g_new0(struct connector, 1);

    connector->references = 1;
    connector->address = (struct socket_address){
        .path = g_strdup(address->path),
        .host = g_strdup(address->host),
        .port = g_strdup(address->port),
        .fd = -1,
    };
    connector->fd = -1;
    connector->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    connector->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    connector->done = done;
    connector->opaque = opaque;
    return connector;
}

void connector_free(struct connector *connector)
{
    if (connector) {
        connector_stop(connector);
        release(connector);
    }
}

bool connector_start(struct connector *connector, struct event_base *base)
{
    eventfd_t count;
    int stale;

    assert(!connector->event);
    if (connector->cancel_fd < 0 || connector->done_fd < 0) {
        return false;
    }
    eventfd_read(connector->cancel_fd, &count); /* one that still resolves goes on for us */
    if (take_result(connector, &stale) && stale >= 0) {
        close(stale); /* nobody has looked after it since */
    }
    if (!connector->has_thread) {
        connector->has_thread = start_thread(connector);
    }
    if (connector->has_thread) {
        connector->event =
            event_new(base, connector->done_fd, EV_READ | EV_PERSIST, on_done, connector);
        event_add(connector->event, NULL);
    }
    return connector->has_thread;
}

void connector_stop(struct connector *connector)
{
    if (connector && connector->event) {
        g_clear_pointer(&connector->event, event_free);
        eventfd_write(connector->cancel_fd, 1);
    }
}
