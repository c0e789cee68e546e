/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The server: its thread, its listening socket, the picture, and what monitors ask of it. */
#include "dm/vnc/vnc-private.h"
#include "dm/char/socket-address.h"
#include "util/error.h"
#include "util/thread.h"

#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BLANK_WIDTH  640
#define BLANK_HEIGHT 480

/* How often the picture is looked at: often while it changes, less and less while it does not. */
#define INTERVAL_MIN_MS  30
#define INTERVAL_STEP_MS 10
#define INTERVAL_MAX_MS  200

/* The library waits no longer for the relay, which never lets it wait. */
#define RELAY_WAIT_MS 5000

/* Who is at an end of a socket. */

struct vnc_client_info *vnc_client_info_new(int fd, bool is_peer)
{
    struct vnc_client_info *info = g_new0(struct vnc_client_info, 1);
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof(address);
    char host[NI_MAXHOST] = "", service[NI_MAXSERV] = "";
    int status = is_peer ? getpeername(fd, (struct sockaddr *)&address, &length)
                         : getsockname(fd, (struct sockaddr *)&address, &length);

    if (status == 0 && address.ss_family == AF_UNIX) {
        g_strlcpy(host, is_peer ? "" : ((struct sockaddr_un *)&address)->sun_path, sizeof(host));
        info->family = g_strdup("unix");
    } else if (status == 0) {
        getnameinfo((struct sockaddr *)&address, length, host, sizeof(host), service,
                    sizeof(service), NI_NUMERICHOST | NI_NUMERICSERV);
        info->family = g_strdup(address.ss_family == AF_INET6 ? "ipv6" : "ipv4");
    } else {
        info->family = g_strdup("unknown");
    }
    info->host = g_strdup(host);
    info->service = g_strdup(service);
    return info;
}

void vnc_client_info_free(struct vnc_client_info *info)
{
    if (info) {
        g_free(info->host);
        g_free(info->service);
        g_free(info->family);
        g_free(info);
    }
}

static void client_info_free(gpointer info)
{
    vnc_client_info_free(info);
}

struct vnc_info *vnc_get_info(struct vnc_server *server)
{
    struct vnc_info *info = g_new0(struct vnc_info, 1);
    struct vnc_client_info *own = vnc_client_info_new(server->listener, false);

    info->host = g_steal_pointer(&own->host);
    info->service = g_steal_pointer(&own->service);
    info->family = g_steal_pointer(&own->family);
    vnc_client_info_free(own);
    info->auth = server->options.needs_password ? "vnc" : "none";
    info->clients = g_ptr_array_new_with_free_func(client_info_free);
    pthread_mutex_lock(&server->lock);
    for (unsigned i = 0; i < server->client_infos->len; i++) {
        const struct vnc_client_info *client = g_ptr_array_index(server->client_infos, i);
        struct vnc_client_info *copy = g_new0(struct vnc_client_info, 1);

        copy->host = g_strdup(client->host);
        copy->service = g_strdup(client->service);
        copy->family = g_strdup(client->family);
        g_ptr_array_add(info->clients, copy);
    }
    pthread_mutex_unlock(&server->lock);
    return info;
}

void vnc_info_free(struct vnc_info *info)
{
    g_free(info->host);
    g_free(info->service);
    g_free(info->family);
    g_ptr_array_unref(info->clients);
    g_free(info);
}

/* Password. */

static bool check_needed(const struct vnc_server *server, GError **error)
{
    return server->options.needs_password ||
           duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                      "clients are not asked for a password: start with -vnc ...,password=on");
}

bool vnc_set_password(struct vnc_server *server, const char *password, GError **error)
{
    if (!check_needed(server, error)) {
        return false;
    }
    pthread_mutex_lock(&server->lock);
    memset(server->password, 0, sizeof(server->password));
    server->has_password = password != NULL;
    if (password) {
        g_strlcpy(server->password, password, sizeof(server->password));
    }
    pthread_mutex_unlock(&server->lock);
    return true;
}

bool vnc_set_password_expiry(struct vnc_server *server, gint64 when, GError **error)
{
    if (!check_needed(server, error)) {
        return false;
    }
    pthread_mutex_lock(&server->lock);
    server->password_expiry = when;
    pthread_mutex_unlock(&server->lock);
    return true;
}

static bool is_expired(const struct vnc_server *server)
{
    return server->password_expiry && g_get_real_time() / G_USEC_PER_SEC >= server->password_expiry;
}

static rfbBool password_check(rfbClientPtr rfb, const char *response, int length)
{
    struct vnc_server *server = rfb->screen->screenData;
    uint8_t expected[CHALLENGESIZE], difference = 0;
    char password[VNC_PASSWORD_MAX + 1];
    bool may_pass;

    pthread_mutex_lock(&server->lock);
    may_pass = server->has_password && !is_expired(server) && length == CHALLENGESIZE;
    memcpy(password, server->password, sizeof(password));
    pthread_mutex_unlock(&server->lock);
    if (!may_pass) {
        return FALSE;
    }
    memcpy(expected, rfb->authChallenge, sizeof(expected));
    server->library->rfbEncryptBytes(expected, password);
    for (unsigned i = 0; i < sizeof(expected); i++) {
        difference |= expected[i] ^ (uint8_t)response[i];
    }
    return difference == 0;
}

/* Input. */

static void on_key(rfbBool down, rfbKeySym keysym, rfbClientPtr rfb)
{
    struct vnc_server *server = rfb->screen->screenData;
    const struct vnc_client *client = rfb->clientData;
    struct vnc_event event = {
        .kind = VNC_EVENT_KEY, .client = client->number, .keysym = keysym, .down = down};

    server->interval_ms = INTERVAL_MIN_MS;
    vnc_input_push(&server->input, &event);
}

static void on_pointer(int mask, int x, int y, rfbClientPtr rfb)
{
    struct vnc_server *server = rfb->screen->screenData;
    const struct vnc_client *client = rfb->clientData;
    struct vnc_event event = {
        .kind = VNC_EVENT_POINTER,
        .client = client->number,
        .buttons = (unsigned)mask & 0xff,
        .x = (unsigned)CLAMP(x, 0, rfb->screen->width - 1),
        .y = (unsigned)CLAMP(y, 0, rfb->screen->height - 1),
        .width = (unsigned)rfb->screen->width,
        .height = (unsigned)rfb->screen->height,
    };

    server->interval_ms = INTERVAL_MIN_MS;
    vnc_input_push(&server->input, &event);
}

/* Picture. */

/* Pixels are 00 RR GG BB in a word of this machine. */
static void set_format(rfbPixelFormat *format)
{
    format->redShift = 16;
    format->greenShift = 8;
    format->blueShift = 0;
}

static void take_surface(struct vnc_server *server)
{
    const struct surface *surface = display_view_surface(server->view);

    server->library->rfbNewFramebuffer(server->screen, (char *)surface->pixels, (int)surface->width,
                                       (int)surface->height, 8, 3, 4);
    set_format(&server->screen->serverFormat);
    for (unsigned i = 0; i < server->clients->len; i++) {
        const struct vnc_client *client = g_ptr_array_index(server->clients, i);

        server->library->rfbSetTranslateFunction(client->rfb);
    }
}

/* Has anything changed? */
static bool refresh(struct vnc_server *server)
{
    const GArray *changes;

    if (!server->view) {
        return false;
    }
    display_view_refresh(server->view);
    if (display_view_was_resized(server->view)) {
        take_surface(server);
        return true;
    }
    changes = display_view_changes(server->view);
    for (unsigned i = 0; i < changes->len; i++) {
        const struct surface_rect *rect = &g_array_index(changes, struct surface_rect, i);

        server->library->rfbMarkRectAsModified(server->screen, (int)rect->x, (int)rect->y,
                                               (int)(rect->x + rect->width),
                                               (int)(rect->y + rect->height));
    }
    return changes->len > 0;
}

static void arm_timer(struct vnc_server *server)
{
    struct timeval interval = {.tv_usec = 1000 * server->interval_ms};

    event_add(server->timer, &interval);
}

/* The first client is there, or the last one has gone: look at the picture, or no longer. */
static void update_looking(struct vnc_server *server)
{
    bool wanted = server->clients->len > 0;

    if (server->view) {
        display_view_set_tracking(server->view, wanted);
    }
    if (!wanted) {
        event_del(server->timer);
    }
}

void vnc_server_wake(struct vnc_server *server)
{
    update_looking(server);
    if (server->clients->len && server->interval_ms == INTERVAL_MIN_MS &&
        !event_pending(server->timer, EV_TIMEOUT, NULL)) {
        arm_timer(server);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *opaque)
{
    struct vnc_server *server = opaque;

    server->interval_ms = refresh(server)
                              ? INTERVAL_MIN_MS
                              : MIN(server->interval_ms + INTERVAL_STEP_MS, INTERVAL_MAX_MS);
    for (unsigned i = server->clients->len; i-- > 0;) {
        vnc_client_update(g_ptr_array_index(server->clients, i));
    }
    vnc_client_sweep(server);
    update_looking(server);
    if (server->clients->len) {
        arm_timer(server);
    }
}

static struct vnc_arrival *pop_arrival(struct vnc_server *server)
{
    struct vnc_arrival *arrival;

    pthread_mutex_lock(&server->lock);
    arrival = g_queue_pop_head(&server->arrivals);
    pthread_mutex_unlock(&server->lock);
    return arrival;
}

static void take_arrivals(void *opaque)
{
    struct vnc_server *server = opaque;
    struct vnc_arrival *arrival;

    while ((arrival = pop_arrival(server))) {
        if (!server->clients->len) { /* the client is told the size at once */
            refresh(server);
        }
        vnc_client_new(server, arrival);
        g_free(arrival);
    }
    server->interval_ms = INTERVAL_MIN_MS;
    vnc_server_wake(server);
}

/* In the relay's thread. */
static void on_arrival(void *opaque, int fd, struct vnc_client_info *info,
                       struct vnc_backlog *backlog)
{
    struct vnc_server *server = opaque;
    struct vnc_arrival *arrival = g_new(struct vnc_arrival, 1);

    *arrival = (struct vnc_arrival){fd, info, backlog};
    pthread_mutex_lock(&server->lock);
    g_queue_push_tail(&server->arrivals, arrival);
    pthread_mutex_unlock(&server->lock);
    task_queue_post(&server->tasks, &server->arrivals_task);
}

/* Thread. */

static void *thread_main(void *opaque)
{
    struct vnc_server *server = opaque;

    while (!server->quit && event_base_loop(server->base, EVLOOP_ONCE) >= 0) {
    }
    take_arrivals(server); /* the relay is gone: they have come to their end too */
    while (server->clients->len) {
        vnc_client_close(g_ptr_array_index(server->clients, server->clients->len - 1));
    }
    update_looking(server);
    return NULL;
}

static void quit(void *opaque)
{
    struct vnc_server *server = opaque;

    server->quit = true;
}

static bool make_loop(struct vnc_server *server, GError **error)
{
    server->base = event_base_new();
    if (!server->base || !task_queue_init(&server->tasks, server->base)) {
        g_clear_pointer(&server->base, event_base_free);
        return duodm_fail(error, DUODM_ERROR_FAILED, "no event loop: %s", g_strerror(errno));
    }
    server->timer = evtimer_new(server->base, on_timer, server);
    return true;
}

static void free_loop(struct vnc_server *server)
{
    event_free(server->timer);
    task_queue_destroy(&server->tasks);
    event_base_free(server->base);
}

static void stop_thread(struct vnc_server *server)
{
    task_queue_post(&server->tasks, &server->quit_task);
    pthread_join(server->thread, NULL);
}

static bool start_threads(struct vnc_server *server, GError **error)
{
    sigset_t signals;
    int status;

    thread_block_signals(&signals);
    status = pthread_create(&server->thread, NULL, thread_main, server);
    thread_restore_signals(&signals);
    if (status != 0) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY, "no thread: %s", g_strerror(status));
    }
    pthread_setname_np(server->thread, "vnc");
    server->relay = vnc_relay_start(server->listener, server->options.needs_password, on_arrival,
                                    server, error);
    if (!server->relay) {
        stop_thread(server);
    }
    return server->relay != NULL;
}

/* Listening. */

static int listen_on(const struct vnc_options *options, GError **error)
{
    for (unsigned port = options->port;; port++) {
        g_autofree char *text = g_strdup_printf("%u", port);
        struct socket_address address = {
            .path = options->path,
            .host = options->host ? options->host : (char *)"0.0.0.0",
            .port = text,
            .fd = -1,
        };
        g_autoptr(GError) problem = NULL;
        int fd = socket_address_listen(&address, &problem);

        if (fd >= 0) {
            return fd;
        }
        if (options->path || port >= options->last_port) {
            g_propagate_error(error, g_steal_pointer(&problem));
            return -1;
        }
    }
}

static void make_screen(struct vnc_server *server)
{
    static const char text[] = "duodm";
    const char *name = server->machine->config.name;
    rfbScreenInfoPtr screen;

    server->blank = g_new0(uint32_t, BLANK_WIDTH * BLANK_HEIGHT);
    screen = server->library->rfbGetScreen(NULL, NULL, BLANK_WIDTH, BLANK_HEIGHT, 8, 3, 4);
    screen->frameBuffer = (char *)server->blank;
    set_format(&screen->serverFormat);
    screen->desktopName = name ? g_strdup_printf("%s (%s)", text, name) : g_strdup(text);
    screen->screenData = server;
    screen->cursor = NULL;
    screen->deferUpdateTime = 0;
    screen->deferPtrUpdateTime = 0;
    screen->maxClientWait = RELAY_WAIT_MS;
    screen->kbdAddEvent = on_key;
    screen->ptrAddEvent = on_pointer;
    screen->alwaysShared = server->options.share == VNC_SHARE_IGNORE;
    screen->dontDisconnect = server->options.share == VNC_SHARE_FORCE_SHARED;
    if (server->options.needs_password) {
        screen->authPasswdData = server;
        screen->passwordCheck = password_check;
    }
    server->screen = screen;
}

static void free_server(struct vnc_server *server)
{
    if (server->library && server->screen) {
        g_free((char *)server->screen->desktopName);
        server->library->rfbScreenCleanup(server->screen);
    }
    g_free(server->blank);
    display_view_free(server->view);
    g_ptr_array_unref(server->clients);
    g_ptr_array_unref(server->client_infos);
    pthread_mutex_destroy(&server->lock);
    vnc_options_clear(&server->options);
    own_path_remove(&server->own);
    if (server->listener >= 0) {
        close(server->listener);
    }
    g_free((void *)server->library);
    g_free(server);
}

bool vnc_server_start(struct machine *machine, const struct vnc_options *options, GError **error)
{
    struct vnc_server *server = g_new0(struct vnc_server, 1);

    server->machine = machine;
    server->options = *options;
    server->options.host = g_strdup(options->host);
    server->options.path = g_strdup(options->path);
    server->clients = g_ptr_array_new();
    server->client_infos = g_ptr_array_new();
    server->interval_ms = INTERVAL_MIN_MS;
    server->arrivals_task = (struct io_task){.run = take_arrivals, .opaque = server};
    g_queue_init(&server->arrivals);
    server->quit_task = (struct io_task){.run = quit, .opaque = server};
    pthread_mutex_init(&server->lock, NULL);
    server->listener = listen_on(options, error);
    if (server->listener >= 0) {
        own_path_init(&server->own, options->path);
    }
    server->library = server->listener >= 0 ? vnc_library_load(error) : NULL;
    if (!server->library) {
        free_server(server);
        return false;
    }
    make_screen(server);
    server->view = display_view_new(machine);
    if (!make_loop(server, error)) {
        free_server(server);
        return false;
    }
    vnc_input_init(&server->input, machine, vnc_get_info(server));
    if (!start_threads(server, error)) {
        vnc_input_destroy(&server->input);
        free_loop(server);
        free_server(server);
        return false;
    }
    machine->vnc = server;
    return true;
}

void vnc_server_stop(struct machine *machine)
{
    struct vnc_server *server = machine->vnc;

    if (!server) {
        return;
    }
    machine->vnc = NULL;
    vnc_relay_stop(server->relay);
    stop_thread(server);
    vnc_input_destroy(&server->input);
    free_loop(server);
    free_server(server);
}
