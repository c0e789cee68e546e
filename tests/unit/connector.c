/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections in the background, with a resolver that hangs: dm/char/connector.h. */
#include "dm/char/connector.h"
#include "unit/suite.h"

#include <event2/event.h>
#include <netdb.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <unistd.h>

/* The resolver: each call waits until the test lets it go on. */
static sem_t entered, released;

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **list)
{
    sem_post(&entered);
    sem_wait(&released);
    return EAI_AGAIN;
}

/* A listener at a path. */
static int listen_at(const char *path)
{
    struct socket_address address = {.path = (char *)path, .fd = -1};
    int fd = socket_address_listen(&address, NULL);

    CU_ASSERT_TRUE_FATAL(fd >= 0);
    return fd;
}

struct outcome {
    struct event_base *base;
    unsigned calls;
    int fd; /* of the last */
};

static void on_done(void *opaque, int fd)
{
    struct outcome *outcome = opaque;

    outcome->calls++;
    outcome->fd = fd;
    event_base_loopbreak(outcome->base);
}

static const struct socket_address somewhere = {.host = "host", .port = "1", .fd = -1};

/* Whoever starts and stops it again and again meets one thread. */
static void test_one_thread(void)
{
    struct outcome outcome = {event_base_new(), 0, 0};
    struct connector *connector = connector_new(&somewhere, on_done, &outcome);
    int calls;

    for (unsigned i = 0; i < 5; i++) {
        CU_ASSERT_TRUE(connector_start(connector, outcome.base));
        connector_stop(connector);
    }
    CU_ASSERT_TRUE(connector_start(connector, outcome.base));
    sem_wait(&entered);
    sem_post(&released);
    event_base_dispatch(outcome.base); /* the last start gets the first thread's answer */
    CU_ASSERT_EQUAL(outcome.calls, 1);
    CU_ASSERT_EQUAL(outcome.fd, -1);
    sem_getvalue(&entered, &calls);
    CU_ASSERT_EQUAL(calls, 0);
    sem_post(&released);
    CU_ASSERT_TRUE(connector_start(connector, outcome.base)); /* and then another thread's */
    event_base_dispatch(outcome.base);
    CU_ASSERT_EQUAL(outcome.calls, 2);
    sem_wait(&entered);
    connector_free(connector);
    event_base_free(outcome.base);
}

/* Its end does not wait for the thread. */
static void test_end_while_it_hangs(void)
{
    struct outcome outcome = {event_base_new(), 0, 0};
    struct connector *connector = connector_new(&somewhere, on_done, &outcome);

    CU_ASSERT_TRUE(connector_start(connector, outcome.base));
    sem_wait(&entered);
    connector_free(connector);
    event_base_loop(outcome.base, EVLOOP_NONBLOCK);
    CU_ASSERT_EQUAL(outcome.calls, 0);
    sem_post(&released);
    event_base_free(outcome.base);
}

/* A connection; one that came after the stop is closed at the next start. */
static void test_connection(void)
{
    g_autofree char *folder = g_dir_make_tmp("duodm-unit-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "socket", NULL);
    const struct socket_address address = {.path = path, .fd = -1};
    struct outcome outcome = {event_base_new(), 0, -1};
    struct connector *connector = connector_new(&address, on_done, &outcome);
    int listener = listen_at(path);

    CU_ASSERT_TRUE(connector_start(connector, outcome.base));
    event_base_dispatch(outcome.base);
    CU_ASSERT_EQUAL(outcome.calls, 1);
    CU_ASSERT_TRUE(outcome.fd >= 0);
    close(outcome.fd);
    for (unsigned i = 0; i < 5; i++) {
        CU_ASSERT_TRUE(connector_start(connector, outcome.base));
        connector_stop(connector);
    }
    connector_free(connector);
    CU_ASSERT_EQUAL(outcome.calls, 1);
    close(listener);
    unlink(path);
    rmdir(folder);
    event_base_free(outcome.base);
}

static const struct unit_test tests[] = {
    {"one thread", test_one_thread},
    {"end while it hangs", test_end_while_it_hangs},
    {"connection", test_connection},
    {NULL, NULL},
};

int main(void)
{
    sem_init(&entered, 0, 0);
    sem_init(&released, 0, 0);
    return unit_run("connector", tests);
}
