/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Driver "nbd": an export of an NBD server, through libnbd. One thread per backend owns the
 * connection; submitters leave requests with it. When the connection is lost the thread tries to
 * have it again each second, says so, and sends anew what was not answered; requests wait for that
 * up to reconnect-delay seconds, then fail.
 */
#include "dm/block/block-private.h"
#include "dm/block/nbd-library.h"
#include "util/error.h"
#include "util/log.h"
#include "util/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND      1000000000u      /* ns */
#define RETRY_NS    SECOND           /* between attempts to connect */
#define PIECE_MAX   (32u << 20)      /* bytes of one command; any server takes that */
#define BOUNCE_MAX  (2u << 20)       /* bytes of a piece that is gathered from several places */
#define CANCEL_WAIT (5ull * SECOND)  /* for answers, when a queue is to end */
#define GREET_WAIT  (10ull * SECOND) /* for a server to answer who connects */
#define CLOSE_WAIT  (1ull * SECOND)  /* for a server to close what we ended */

enum nbd_link { NBD_UP, NBD_CONNECTING, NBD_DOWN };

struct nbd_state {
    struct block_backend *backend;
    struct nbd_library lib;
    pthread_t thread;
    int wake_fd;          /* eventfd */
    pthread_mutex_t lock; /* leaf: protects what follows, to the blank line */
    struct block_request *pending, **pending_end;
    struct block_queue *cancel; /* a queue whose requests are to end; NULL: none */
    bool quit;

    /* The thread's own. */
    struct nbd_handle *nbd;
    enum nbd_link link;
    uint64_t next_try, give_up, drop_at; /* ns, monotonic; drop_at 0: no queue waits to go */
    uint64_t greeted_by;                 /* the same: NBD_CONNECTING ends then */
    GQueue unsent;                       /* of struct block_request */
    GHashTable *sent;                    /* the same, as a set */
    char *zeroes;                        /* BOUNCE_MAX bytes, for servers without write-zeroes */
    uint32_t piece_max;
    bool can_flush, can_trim, can_zero;
};

static uint64_t now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

/* The handle. */

static struct nbd_handle *make_handle(const struct nbd_state *state)
{
    const struct block_options *options = &state->backend->options;
    struct nbd_handle *nbd = state->lib.create();

    if (nbd && options->export_name) {
        state->lib.set_export_name(nbd, options->export_name);
    }
    return nbd;
}

/* Begin to connect. -1 and libnbd's error. */
static int begin_connect(const struct nbd_state *state)
{
    const struct block_options *options = &state->backend->options;

    if (options->uri) {
        return state->lib.aio_connect_uri(state->nbd, options->uri);
    }
    if (options->unix_path) {
        return state->lib.aio_connect_unix(state->nbd, options->unix_path);
    }
    return state->lib.aio_connect_tcp(state->nbd, options->host ? options->host : "localhost",
                                      options->port ? options->port : "10809");
}

static void close_handle(struct nbd_state *state)
{
    /* Ends what was sent: on_answer hears of it. */
    if (state->nbd) {
        state->lib.close(state->nbd);
        state->nbd = NULL;
    }
}

static bool is_gone(const struct nbd_state *state)
{
    return state->lib.aio_is_dead(state->nbd) || state->lib.aio_is_closed(state->nbd);
}

/* Requests. The thread only. */

static void end_request(struct block_request *request, int result)
{
    g_free(request->bounce);
    request->bounce = NULL;
    block_request_post(request, result);
}

/* Not answered, or never sent: once more, or the end. */
static void keep_request(struct nbd_state *state, struct block_request *request)
{
    if (request->cancelled) {
        end_request(request, -ECANCELED);
    } else {
        g_queue_push_tail(&state->unsent, request);
    }
}

static uint32_t piece_length(const struct nbd_state *state, const struct block_request *request)
{
    uint64_t left = request->length - request->progress;
    bool gathers = request->operation == BLOCK_READ || request->operation == BLOCK_WRITE;
    uint32_t most = state->piece_max;

    if ((gathers && (request->iov_count > 1 || BLOCK_ALWAYS_BOUNCE)) ||
        (request->operation == BLOCK_WRITE_ZEROES && !state->can_zero)) {
        most = MIN(most, BOUNCE_MAX);
    }
    return (uint32_t)MIN(left, most);
}

static bool is_lost(int error_number)
{
    return error_number == ENOTCONN || error_number == ESHUTDOWN || error_number == EPIPE ||
           error_number == ECONNRESET;
}

/* The answer to a piece of a request, or the end of the connection. */
static int on_answer(void *opaque, int *error_number)
{
    struct block_request *request = opaque;
    struct nbd_state *state = block_request_protocol(request)->driver_data;
    uint32_t length = piece_length(state, request);

    g_hash_table_remove(state->sent, request);
    if (*error_number && is_lost(*error_number)) {
        keep_request(state, request);
        return 1;
    }
    if (*error_number) {
        end_request(request, -*error_number);
        return 1;
    }
    if (request->operation == BLOCK_READ && request->bounce) {
        block_iov_copy(request, request->progress, request->bounce, length, false);
    }
    request->progress += length;
    if (request->operation == BLOCK_FLUSH || request->progress == request->length) {
        end_request(request, 0);
    } else {
        keep_request(state, request);
    }
    return 1; /* the command is done with */
}

/* Where a piece is, in one run of bytes. */
static void *piece_buffer(struct block_request *request, uint32_t length)
{
    if (request->iov_count == 1 && !BLOCK_ALWAYS_BOUNCE) {
        return (char *)request->iov[0].iov_base + request->progress;
    }
    if (!request->bounce) {
        request->bounce = g_malloc(MIN(request->length, BOUNCE_MAX));
    }
    if (request->operation == BLOCK_WRITE) {
        block_iov_copy(request, request->progress, request->bounce, length, true);
    }
    return request->bounce;
}

/* -1: libnbd's error. */
static int64_t send_piece(struct nbd_state *state, struct block_request *request)
{
    const nbd_completion_callback done = {.callback = on_answer, .user_data = request};
    uint64_t offset = request->window + request->offset + request->progress;
    uint32_t length = piece_length(state, request);
    uint32_t fua = request->sync && state->backend->native_fua ? LIBNBD_CMD_FLAG_FUA : 0;

    switch (request->operation) {
    case BLOCK_READ:
        return state->lib.aio_pread(state->nbd, piece_buffer(request, length), length, offset, done,
                                    0);
    case BLOCK_WRITE:
        return state->lib.aio_pwrite(state->nbd, piece_buffer(request, length), length, offset,
                                     done, fua);
    case BLOCK_FLUSH:
        return state->lib.aio_flush(state->nbd, done, 0);
    case BLOCK_DISCARD:
        return state->lib.aio_trim(state->nbd, length, offset, done, 0);
    case BLOCK_WRITE_ZEROES:
        if (!state->can_zero) {
            return state->lib.aio_pwrite(state->nbd, state->zeroes, length, offset, done, 0);
        }
        return state->lib.aio_zero(state->nbd, length, offset, done,
                                   request->may_unmap ? 0 : LIBNBD_CMD_FLAG_NO_HOLE);
    }
    return -1;
}

static bool needs_nothing(const struct nbd_state *state, const struct block_request *request)
{
    return (request->operation == BLOCK_FLUSH && !state->can_flush) ||
           (request->operation == BLOCK_DISCARD && !state->can_trim);
}

static void send_unsent(struct nbd_state *state)
{
    unsigned count = state->unsent.length;

    while (count-- && !is_gone(state)) {
        struct block_request *request = g_queue_pop_head(&state->unsent);

        if (needs_nothing(state, request)) {
            end_request(request, 0);
            continue;
        }
        g_hash_table_add(state->sent, request);
        if (send_piece(state, request) >= 0) {
            continue;
        }
        g_hash_table_remove(state->sent, request);
        if (state->lib.aio_is_dead(state->nbd) || is_lost(state->lib.get_errno())) {
            keep_request(state, request);
            break;
        }
        end_request(request, state->lib.get_errno() ? -state->lib.get_errno() : -EIO);
    }
}

static void fail_unsent(struct nbd_state *state)
{
    struct block_request *request;

    while ((request = g_queue_pop_head(&state->unsent))) {
        end_request(request, -EIO);
    }
}

/* Connection. The thread only. */

static void learn_abilities(struct nbd_state *state)
{
    int64_t most = state->lib.get_block_size(state->nbd, LIBNBD_SIZE_MAXIMUM);

    state->can_flush = state->lib.can_flush(state->nbd) > 0;
    state->can_trim = state->lib.can_trim(state->nbd) > 0;
    state->can_zero = state->lib.can_zero(state->nbd) > 0;
    state->piece_max = most > 0 && most < PIECE_MAX ? (uint32_t)most : PIECE_MAX;
}

static void begin_reconnect(struct nbd_state *state)
{
    state->next_try = now_ns() + RETRY_NS;
    state->greeted_by = now_ns() + GREET_WAIT;
    state->nbd = make_handle(state);
    if (state->nbd && begin_connect(state) == 0) {
        state->link = NBD_CONNECTING;
    } else {
        close_handle(state);
        state->link = NBD_DOWN;
    }
}

static void lose_connection(struct nbd_state *state)
{
    const struct block_options *options = &state->backend->options;
    g_autofree char *name = block_filename(state->backend);
    enum nbd_link before = state->link;

    state->link = NBD_DOWN;
    close_handle(state);
    if (before == NBD_CONNECTING) {
        return; /* next_try is set */
    }
    state->give_up = now_ns() + options->reconnect_delay * SECOND;
    state->next_try = now_ns();
    if (options->reconnect_delay) {
        log_warning("the connection to NBD server %s was lost: trying again each second; requests "
                    "wait for %" PRIu64 " s, then fail",
                    name, options->reconnect_delay);
    } else {
        log_warning("the connection to NBD server %s was lost: trying again each second; requests "
                    "fail meanwhile (reconnect-delay=SECONDS lets them wait)",
                    name);
    }
}

static void gain_connection(struct nbd_state *state)
{
    g_autofree char *name = block_filename(state->backend);
    int64_t size = state->lib.get_size(state->nbd);

    if (size < 0 || (uint64_t)size < state->backend->size) {
        log_warning("NBD server %s came back with a smaller export: not used", name);
        lose_connection(state);
        return;
    }
    learn_abilities(state);
    state->link = NBD_UP;
    log_warning("NBD server %s is connected again", name);
}

static void update_link(struct nbd_state *state)
{
    if (state->nbd && is_gone(state)) {
        lose_connection(state);
    } else if (state->link == NBD_CONNECTING &&
               (state->lib.aio_is_ready(state->nbd) || state->lib.aio_is_processing(state->nbd))) {
        gain_connection(state);
    } else if (state->link == NBD_CONNECTING && now_ns() >= state->greeted_by) {
        lose_connection(state);
    }
    if (state->link == NBD_DOWN && now_ns() >= state->next_try) {
        begin_reconnect(state);
    }
    if (state->link == NBD_UP) {
        send_unsent(state);
    } else if (now_ns() >= state->give_up) {
        fail_unsent(state);
    }
}

/* The thread's loop. */

static void cancel_queue(struct nbd_state *state, const struct block_queue *queue)
{
    unsigned count = state->unsent.length;
    GHashTableIter iter;
    gpointer key;

    while (count--) {
        struct block_request *request = g_queue_pop_head(&state->unsent);

        request->cancelled |= request->queue == queue;
        keep_request(state, request);
    }
    g_hash_table_iter_init(&iter, state->sent);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        struct block_request *request = key;

        if (request->queue == queue) {
            request->cancelled = true;
            state->drop_at = state->drop_at ? state->drop_at : now_ns() + CANCEL_WAIT;
        }
    }
}

/* False: the thread is to end. */
static bool take_messages(struct nbd_state *state)
{
    struct block_request *request, *next;
    struct block_queue *cancel;
    uint64_t count;
    bool quit;

    if (read(state->wake_fd, &count, sizeof(count)) < 0) {
        g_assert(errno == EAGAIN || errno == EINTR);
    }
    pthread_mutex_lock(&state->lock);
    request = state->pending;
    state->pending = NULL;
    state->pending_end = &state->pending;
    cancel = state->cancel;
    state->cancel = NULL;
    quit = state->quit;
    pthread_mutex_unlock(&state->lock);
    for (; request; request = next) {
        next = request->next;
        g_queue_push_tail(&state->unsent, request);
    }
    if (cancel) {
        cancel_queue(state, cancel);
    }
    return !quit;
}

static int timeout_ms(const struct nbd_state *state)
{
    uint64_t until = UINT64_MAX, now = now_ns();

    if (state->drop_at) {
        until = state->drop_at;
    }
    if (state->link != NBD_UP) {
        if (state->unsent.length) {
            until = MIN(until, state->give_up);
        }
        until = MIN(until, state->link == NBD_DOWN ? state->next_try : state->greeted_by);
    }
    if (until == UINT64_MAX) {
        return -1;
    }
    return until <= now ? 0 : (int)MIN((until - now) / 1000000 + 1, 1000000);
}

/* Let libnbd go on when the connection is ready for it; until then wait, or until somebody wakes
 * us, at most timeout ms (-1: for ever). */
static void poll_connection(struct nbd_state *state, int timeout)
{
    struct pollfd fds[2] = {{.fd = state->wake_fd, .events = POLLIN}, {.fd = -1}};
    unsigned direction;

    if (state->nbd) {
        direction = state->lib.aio_get_direction(state->nbd);
        fds[1].fd = state->lib.aio_get_fd(state->nbd);
        fds[1].events = (short)((direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
                                (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0));
    }
    if (poll(fds, 2, timeout) <= 0 || !state->nbd) {
        return;
    }
    direction = state->lib.aio_get_direction(state->nbd);
    if ((fds[1].revents & (POLLIN | POLLHUP | POLLERR)) &&
        (direction & LIBNBD_AIO_DIRECTION_READ)) {
        state->lib.aio_notify_read(state->nbd);
    } else if ((fds[1].revents & (POLLOUT | POLLHUP | POLLERR)) &&
               (direction & LIBNBD_AIO_DIRECTION_WRITE)) {
        state->lib.aio_notify_write(state->nbd);
    }
}

static void wait_for_events(struct nbd_state *state)
{
    if (state->nbd && is_gone(state)) {
        return; /* found out while connecting or sending: there is nothing to wait for */
    }
    poll_connection(state, timeout_ms(state));
}

static void *run_thread(void *opaque)
{
    struct nbd_state *state = opaque;

    pthread_setname_np(pthread_self(), "nbd");
    while (take_messages(state)) {
        if (!g_hash_table_size(state->sent)) {
            state->drop_at = 0;
        } else if (state->drop_at && now_ns() >= state->drop_at && state->nbd) {
            state->drop_at = 0;
            lose_connection(state); /* a server that does not answer holds nobody up for ever */
        }
        update_link(state);
        wait_for_events(state);
    }
    return NULL;
}

static void wake(const struct nbd_state *state)
{
    const uint64_t one = 1;

    if (write(state->wake_fd, &one, sizeof(one)) < 0) {
        g_assert(errno == EAGAIN);
    }
}

/* The driver. */

static void start(struct block_backend *backend, struct block_request *request)
{
    struct nbd_state *state = backend->driver_data;
    bool first;

    request->next = NULL;
    pthread_mutex_lock(&state->lock);
    first = !state->pending;
    *state->pending_end = request;
    state->pending_end = &request->next;
    pthread_mutex_unlock(&state->lock);
    if (first) {
        wake(state);
    }
}

static void cancel(struct block_backend *backend, struct block_queue *queue)
{
    struct nbd_state *state = backend->driver_data;

    pthread_mutex_lock(&state->lock);
    state->cancel = queue;
    pthread_mutex_unlock(&state->lock);
    wake(state);
}

/* What libnbd says of the last call, if it has something to say. */
static void note_problem(const struct nbd_state *state, char **problem)
{
    const char *text = state->lib.get_error();

    if (text) {
        g_free(*problem);
        *problem = g_strdup(text);
    }
}

/* One attempt, which ends at a time (ns, monotonic). There is no thread yet. */
static bool connect_until(struct nbd_state *state, uint64_t end, char **problem)
{
    state->nbd = make_handle(state);
    if (!state->nbd || begin_connect(state) < 0) {
        note_problem(state, problem);
        return false;
    }
    note_problem(state, problem);
    while (!state->lib.aio_is_ready(state->nbd) && !is_gone(state)) {
        uint64_t now = now_ns();

        if (now >= end) {
            g_free(*problem);
            *problem = g_strdup("it does not answer");
            return false;
        }
        poll_connection(state, (int)((end - now) / 1000000 + 1));
        note_problem(state, problem);
    }
    return !is_gone(state);
}

/* Connect, for as long as open-timeout says. */
static bool connect_first(struct nbd_state *state, GError **error)
{
    uint64_t limit = state->backend->options.open_timeout * SECOND, until = now_ns() + limit;
    g_autofree char *name = block_filename(state->backend);
    g_autofree char *problem = NULL;

    for (;;) {
        struct timespec pause = {.tv_nsec = 100000000};

        if (connect_until(state, limit ? until : now_ns() + GREET_WAIT, &problem)) {
            return true;
        }
        close_handle(state);
        if (now_ns() >= until) {
            break;
        }
        nanosleep(&pause, NULL);
    }
    return duodm_fail(error, DUODM_ERROR_IO,
                      "NBD server %s can't be used: %s (is qemu-nbd or nbdkit running there? "
                      "open-timeout=SECONDS waits for it)",
                      name, problem ? problem : "no reason is known");
}

/* The server hears a proper end, and may close first. */
static void disconnect(struct nbd_state *state)
{
    uint64_t until = now_ns() + CLOSE_WAIT, now;
    eventfd_t wakes;

    if (state->lib.aio_disconnect(state->nbd, 0) < 0) {
        return;
    }
    (void)eventfd_read(state->wake_fd, &wakes); /* what was for the thread */
    while (!is_gone(state) && (now = now_ns()) < until) {
        poll_connection(state, (int)((until - now) / 1000000 + 1));
    }
}

static bool learn_export(struct nbd_state *state, GError **error)
{
    struct block_backend *backend = state->backend;
    int64_t size = state->lib.get_size(state->nbd);
    int64_t least = state->lib.get_block_size(state->nbd, LIBNBD_SIZE_MINIMUM);
    bool server_read_only = state->lib.is_read_only(state->nbd) != 0;
    g_autofree char *name = block_filename(backend);

    if (size < 0) {
        return duodm_fail(error, DUODM_ERROR_IO, "NBD server %s tells no size: %s", name,
                          state->lib.get_error());
    }
    if (server_read_only && !backend->options.read_only && !backend->options.auto_read_only) {
        return duodm_fail(error, DUODM_ERROR_IO,
                          "NBD server %s exports for reading only: add read-only=on", name);
    }
    learn_abilities(state);
    backend->size = (uint64_t)size / BLOCK_SECTOR * BLOCK_SECTOR;
    backend->read_only = backend->options.read_only || server_read_only;
    backend->native_fua = state->lib.can_fua(state->nbd) > 0;
    backend->limits.can_discard = backend->options.discard && state->can_trim;
    if (least > 1 && (least & (least - 1)) == 0 && least <= (1 << 20)) {
        backend->limits.request_alignment = (uint32_t)least;
    }
    return true;
}

static void free_state(struct nbd_state *state)
{
    close_handle(state);
    g_hash_table_unref(state->sent);
    pthread_mutex_destroy(&state->lock);
    if (state->wake_fd >= 0) {
        close(state->wake_fd);
    }
    g_free(state->zeroes);
    g_free(state);
}

static bool start_thread(struct nbd_state *state, GError **error)
{
    sigset_t before;
    int problem;

    thread_block_signals(&before);
    problem = pthread_create(&state->thread, NULL, run_thread, state);
    thread_restore_signals(&before);
    return !problem || duodm_fail(error, DUODM_ERROR_FAILED, "no thread for an NBD connection: %s",
                                  g_strerror(problem));
}

static bool nbd_open(struct block_backend *backend, GError **error)
{
    struct nbd_library library;
    struct nbd_state *state;

    if (!nbd_library_load(&library, error)) {
        return false;
    }
    state = g_new0(struct nbd_state, 1);
    state->lib = library;
    state->backend = backend;
    state->pending_end = &state->pending;
    state->sent = g_hash_table_new(NULL, NULL);
    state->zeroes = g_malloc0(BOUNCE_MAX);
    pthread_mutex_init(&state->lock, NULL);
    g_queue_init(&state->unsent);
    state->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (state->wake_fd < 0) {
        duodm_fail(error, DUODM_ERROR_IO, "no event descriptor: %s", g_strerror(errno));
        goto fail;
    }
    if (!connect_first(state, error) || !learn_export(state, error) ||
        !start_thread(state, error)) {
        goto fail;
    }
    backend->driver_data = state;
    return true;

fail:
    free_state(state);
    return false;
}

static void nbd_driver_close(struct block_backend *backend)
{
    struct nbd_state *state = backend->driver_data;

    pthread_mutex_lock(&state->lock);
    state->quit = true;
    pthread_mutex_unlock(&state->lock);
    wake(state);
    pthread_join(state->thread, NULL);
    if (state->link == NBD_UP) {
        disconnect(state);
    }
    free_state(state);
}

const struct block_driver block_driver_nbd = {
    .name = "nbd",
    .is_protocol = true,
    .open = nbd_open,
    .close = nbd_driver_close,
    .start = start,
    .cancel = cancel,
};
