/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/char/connector.h"
#include "util/thread.h"

#include <event2/event.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Owned by its maker and by its thread, which a resolver may keep for longer than anyone waits. */
struct connector {
    unsigned references; /* atomic */
    struct socket_address address;
    int fd;        /* what the thread got, -1: nothing; atomic */
    int cancel_fd; /* to the thread: eventfd */
    int done_fd;   /* from the thread: eventfd */
    struct event *event;
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

    thread_block_signals(&signals);
    result = pthread_create(&thread, NULL, run, connector);
    thread_restore_signals(&signals);
    if (result) {
        return false;
    }
    pthread_setname_np(thread, "connector");
    pthread_detach(thread);
    return true;
}

static void on_done(evutil_socket_t done_fd, short what, void *opaque)
{
    struct connector *connector = opaque;
    connector_done_fn done = connector->done;
    void *done_opaque = connector->opaque;
    int fd = __atomic_exchange_n(&connector->fd, -1, __ATOMIC_SEQ_CST);

    event_free(connector->event);
    release(connector);
    done(done_opaque, fd);
}

struct connector *connector_start(struct event_base *base, const struct socket_address *address,
                                  connector_done_fn done, void *opaque)
{
    struct connector *connector = g_new0(struct connector, 1);

    connector->references = 2;
    connector->address = (struct socket_address){
        .path = g_strdup(address->path),
        .host = g_strdup(address->host),
        .port = g_strdup(address->port),
        .fd = -1,
    };
    connector->fd = -1;
    connector->cancel_fd = eventfd(0, EFD_CLOEXEC);
    connector->done_fd = eventfd(0, EFD_CLOEXEC);
    connector->done = done;
    connector->opaque = opaque;
    if (connector->cancel_fd < 0 || connector->done_fd < 0 || !start_thread(connector)) {
        connector->references = 1;
        release(connector);
        return NULL;
    }
    connector->event = event_new(base, connector->done_fd, EV_READ, on_done, connector);
    event_add(connector->event, NULL);
    return connector;
}

void connector_cancel(struct connector *connector)
{
    if (connector) {
        eventfd_write(connector->cancel_fd, 1);
        event_free(connector->event);
        release(connector);
    }
}
