/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Character devices from the inside: queues, back-pressure, the multiplexer, descriptors. */
#include "dm/chardev.h"
#include "unit/suite.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A front end that notes what it gets. */
struct listener {
    struct chardev_frontend frontend;
    GString *input;
    size_t room; /* SIZE_MAX: any */
    unsigned events[CHARDEV_FOCUS + 1];
};

static size_t listener_room(void *opaque)
{
    struct listener *listener = opaque;

    return listener->room == SIZE_MAX ? 1024 : listener->room;
}

static void listener_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct listener *listener = opaque;

    CU_ASSERT_TRUE(length <= listener_room(listener));
    g_string_append_len(listener->input, (const char *)data, (gssize)length);
    if (listener->room != SIZE_MAX) {
        listener->room -= length;
    }
}

static void listener_event(void *opaque, enum chardev_event event)
{
    ((struct listener *)opaque)->events[event]++;
}

static void listener_init(struct listener *listener)
{
    *listener = (struct listener){.room = SIZE_MAX, .input = g_string_new(NULL)};
    listener->frontend.can_receive = listener_room;
    listener->frontend.receive = listener_receive;
    listener->frontend.event = listener_event;
    listener->frontend.opaque = listener;
}

static void listener_clear(struct listener *listener)
{
    chardev_detach(&listener->frontend);
    g_string_free(listener->input, TRUE);
}

struct fixture {
    struct event_base *base;
    struct chardev *chardev;
    int peer;
};

static void turn(struct fixture *fixture)
{
    for (unsigned i = 0; i < 20; i++) {
        event_base_loop(fixture->base, EVLOOP_NONBLOCK);
    }
}

/* A socket chardev whose other end is fixture->peer. */
static void setup(struct fixture *fixture, const char *more)
{
    g_autofree char *options = NULL;
    g_autoptr(GError) error = NULL;
    int pair[2];

    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    options = g_strdup_printf("socket,id=x,fd=%d%s", pair[0], more);
    fixture->base = event_base_new();
    fixture->chardev = chardev_new(NULL, fixture->base, options, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture->chardev);
    close(pair[0]);
    fixture->peer = pair[1];
    fcntl(fixture->peer, F_SETFL, O_NONBLOCK);
}

static void teardown(struct fixture *fixture)
{
    chardev_free(fixture->chardev);
    close(fixture->peer);
    event_base_free(fixture->base);
}

static void test_input_waits_for_room(void)
{
    struct fixture fixture;
    struct listener listener;

    setup(&fixture, "");
    listener_init(&listener);
    listener.room = 3;
    CU_ASSERT_TRUE(chardev_attach(fixture.chardev, &listener.frontend, NULL));
    CU_ASSERT_EQUAL(listener.events[CHARDEV_OPENED], 1);
    CU_ASSERT_EQUAL(write(fixture.peer, "abcdef", 6), 6);
    turn(&fixture);
    CU_ASSERT_STRING_EQUAL(listener.input->str, "abc");
    listener.room = 2;
    turn(&fixture);
    CU_ASSERT_STRING_EQUAL(listener.input->str, "abc");
    chardev_accept_input(&listener.frontend);
    turn(&fixture);
    CU_ASSERT_STRING_EQUAL(listener.input->str, "abcde");
    listener_clear(&listener);
    teardown(&fixture);
}

/* Everything that was taken arrives in order, short takes end in CHARDEV_WRITABLE. */
static void test_output_is_bounded_and_complete(void)
{
    struct fixture fixture;
    struct listener listener;
    uint8_t chunk[1000], got[4096];
    size_t sent = 0, received = 0, taken;
    ssize_t n;

    setup(&fixture, "");
    listener_init(&listener);
    chardev_attach(fixture.chardev, &listener.frontend, NULL);
    do {
        for (size_t i = 0; i < sizeof(chunk); i++) {
            chunk[i] = (uint8_t)((sent + i) % 251);
        }
        taken = chardev_write(&listener.frontend, chunk, sizeof(chunk));
        sent += taken;
    } while (taken == sizeof(chunk) && sent < 64u << 20);
    CU_ASSERT_TRUE(taken < sizeof(chunk));
    CU_ASSERT_EQUAL(listener.events[CHARDEV_WRITABLE], 0);
    while (received < sent) {
        turn(&fixture);
        n = read(fixture.peer, got, sizeof(got));
        CU_ASSERT_TRUE_FATAL(n > 0);
        for (ssize_t i = 0; i < n; i++) {
            CU_ASSERT_EQUAL_FATAL(got[i], (received + (size_t)i) % 251);
        }
        received += (size_t)n;
    }
    turn(&fixture);
    CU_ASSERT_EQUAL(listener.events[CHARDEV_WRITABLE], 1);
    listener_clear(&listener);
    teardown(&fixture);
}

static void test_peer_leaves(void)
{
    struct fixture fixture;
    struct listener listener;
    g_autofree char *data = g_malloc0(1 << 20);

    setup(&fixture, "");
    listener_init(&listener);
    chardev_attach(fixture.chardev, &listener.frontend, NULL);
    while (chardev_write(&listener.frontend, data, 1 << 20) == 1 << 20) {
    }
    close(fixture.peer);
    fixture.peer = -1;
    turn(&fixture);
    CU_ASSERT_EQUAL(listener.events[CHARDEV_CLOSED], 1);
    CU_ASSERT_EQUAL(listener.events[CHARDEV_WRITABLE], 1);
    CU_ASSERT_EQUAL(chardev_write(&listener.frontend, data, 1 << 20), 1 << 20);
    listener_clear(&listener);
    teardown(&fixture);
}

static void test_one_front_end(void)
{
    struct fixture fixture;
    struct listener a, b;
    g_autoptr(GError) error = NULL;

    setup(&fixture, "");
    listener_init(&a);
    listener_init(&b);
    CU_ASSERT_TRUE(chardev_attach(fixture.chardev, &a.frontend, NULL));
    CU_ASSERT_FALSE(chardev_attach(fixture.chardev, &b.frontend, &error));
    CU_ASSERT_PTR_NOT_NULL(error);
    chardev_detach(&a.frontend);
    CU_ASSERT_TRUE(chardev_attach(fixture.chardev, &b.frontend, NULL));
    CU_ASSERT_EQUAL(chardev_write(&a.frontend, "x", 1), 1); /* swallowed */
    listener_clear(&a);
    teardown(&fixture); /* before its front end: which is detached then */
    CU_ASSERT_PTR_NULL(b.frontend.chardev);
    listener_clear(&b);
}

static void test_mux(void)
{
    struct fixture fixture;
    struct listener a, b;

    setup(&fixture, ",mux=on");
    listener_init(&a);
    listener_init(&b);
    CU_ASSERT_TRUE(chardev_is_shared(fixture.chardev));
    CU_ASSERT_TRUE(chardev_attach(fixture.chardev, &a.frontend, NULL));
    CU_ASSERT_TRUE(chardev_attach(fixture.chardev, &b.frontend, NULL));
    CU_ASSERT_EQUAL(a.events[CHARDEV_FOCUS], 1);
    CU_ASSERT_EQUAL(b.events[CHARDEV_FOCUS], 0);
    /* All in one read: each byte goes to whom had the focus when it was typed. */
    CU_ASSERT_EQUAL(write(fixture.peer, "one\001ctwo\001cthree\001\001\001b", 19), 19);
    turn(&fixture);
    CU_ASSERT_STRING_EQUAL(a.input->str, "onethree\001");
    CU_ASSERT_STRING_EQUAL(b.input->str, "two");
    CU_ASSERT_EQUAL(a.events[CHARDEV_BREAK], 1);
    CU_ASSERT_EQUAL(b.events[CHARDEV_FOCUS], 1);
    CU_ASSERT_EQUAL(chardev_write(&a.frontend, "A", 1), 1);
    CU_ASSERT_EQUAL(chardev_write(&b.frontend, "B", 1), 1);
    chardev_detach(&a.frontend); /* the focus moves on */
    CU_ASSERT_EQUAL(write(fixture.peer, "rest", 4), 4);
    turn(&fixture);
    CU_ASSERT_STRING_EQUAL(b.input->str, "tworest");
    listener_clear(&a);
    listener_clear(&b);
    teardown(&fixture);
}

static void test_mux_input_waits(void)
{
    struct fixture fixture;
    struct listener a;
    g_autofree char *data = g_strnfill(10000, 'x');
    size_t total = 0;

    setup(&fixture, ",mux=on");
    listener_init(&a);
    a.room = 0;
    chardev_attach(fixture.chardev, &a.frontend, NULL);
    CU_ASSERT_EQUAL(write(fixture.peer, data, 10000), 10000);
    while (total < 10000) {
        turn(&fixture);
        CU_ASSERT_EQUAL(a.input->len, total);
        a.room = MIN(100, 10000 - total);
        total += a.room;
        chardev_accept_input(&a.frontend);
        turn(&fixture);
        CU_ASSERT_EQUAL_FATAL(a.input->len, total);
    }
    listener_clear(&a);
    teardown(&fixture);
}

static void send_descriptor(int peer, int fd, unsigned count)
{
    char byte = 'f', space[CMSG_SPACE(sizeof(int) * 8)] = {0};
    struct iovec vector = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = space,
        .msg_controllen = CMSG_SPACE(sizeof(int) * count),
    };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    for (unsigned i = 0; i < count; i++) {
        memcpy(CMSG_DATA(header) + i * sizeof(int), &fd, sizeof(int));
    }
    CU_ASSERT_EQUAL(sendmsg(peer, &message, 0), 1);
}

static void test_descriptors(void)
{
    struct fixture fixture;
    struct listener listener;
    int first, second;

    setup(&fixture, "");
    listener_init(&listener);
    chardev_attach(fixture.chardev, &listener.frontend, NULL);
    CU_ASSERT_EQUAL(chardev_take_fd(&listener.frontend), -1);
    send_descriptor(fixture.peer, fixture.peer, 2);
    turn(&fixture);
    CU_ASSERT_STRING_EQUAL(listener.input->str, "f");
    first = chardev_take_fd(&listener.frontend);
    second = chardev_take_fd(&listener.frontend);
    CU_ASSERT_TRUE(first >= 0 && second >= 0 && first != second);
    CU_ASSERT_TRUE(fcntl(first, F_GETFD) & FD_CLOEXEC);
    CU_ASSERT_EQUAL(chardev_take_fd(&listener.frontend), -1);
    close(first);
    close(second);
    send_descriptor(fixture.peer, fixture.peer, 8); /* more than are kept: closed */
    listener_clear(&listener);
    teardown(&fixture);
}

static void test_short_forms(void)
{
    static const char *const bad[] = {
        "", "foo", "tcp:", "tcp:x", "unix:", "file:", "mon:", "mon:none", "null,x", "telnet:a:1"};
    struct event_base *base = event_base_new();
    GError *error = NULL;

    CU_ASSERT_PTR_NULL(chardev_new_short(NULL, base, "x", "none", &error));
    CU_ASSERT_PTR_NULL(error);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        CU_ASSERT_PTR_NULL(chardev_new_short(NULL, base, "x", bad[i], &error));
        CU_ASSERT_PTR_NOT_NULL_FATAL(error);
        g_clear_error(&error);
    }
    {
        struct chardev *chardev = chardev_new_short(NULL, base, "x", "mon:null", NULL);
        g_autofree char *name = chardev_filename(chardev);

        CU_ASSERT_TRUE(chardev_is_shared(chardev));
        CU_ASSERT_STRING_EQUAL(chardev_id(chardev), "x");
        CU_ASSERT_STRING_EQUAL(name, "null");
        chardev_free(chardev);
    }
    event_base_free(base);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"input waits for room", test_input_waits_for_room},
        {"output is bounded and complete", test_output_is_bounded_and_complete},
        {"the peer leaves", test_peer_leaves},
        {"one front end", test_one_front_end},
        {"mux", test_mux},
        {"mux: input waits", test_mux_input_waits},
        {"descriptors", test_descriptors},
        {"short forms", test_short_forms},
        {NULL, NULL},
    };

    signal(SIGPIPE, SIG_IGN);
    evthread_use_pthreads();
    return unit_run("chardev", tests);
}
